// SPDX-License-Identifier: BSD-2-Clause
/* doveadm pw: makes and checks password hashes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/scheme.h"
#include "base/check.h"
#include "cmd/doveadm.h"

const char doveadm_pw_usage[] = "pw [-l] [-p plaintext] [-r rounds] [-s scheme] [-t hash] [-V]";

static int list_schemes(void)
{
	for (size_t i = 0; password_scheme_name(i); i++)
		printf("%s%s", i ? " " : "", password_scheme_name(i));
	printf("\n");
	return 0;
}

static void test_password(const char *hash, const char *plain)
{
	struct reason why;

	switch (password_verify(hash, "CRYPT", NULL, slice_of(plain), &why)) {
	case PASSWORD_MATCH:
		printf("%s (verified)\n", hash);
		return;
	case PASSWORD_MISMATCH:
		doveadm_die(
		    EX_TEMPFAIL, "reverse password verification check failed: Password mismatch");
	default:
		doveadm_die(EX_TEMPFAIL, "reverse password decode check failed: %s", why.text);
	}
}

static char *ask_password(bool twice)
{
	const char *typed = getpass(twice ? "Enter new password: " : "Enter password to verify: ");
	char *first = xstrdup(typed ? typed : "");

	if (!twice)
		return first;
	typed = getpass("Retype new password: ");
	if (strcmp(first, typed ? typed : "") != 0)
		doveadm_die(EX_TEMPFAIL, "Passwords don't match!");
	return first;
}

int doveadm_pw(int argc, char **argv)
{
	const char *scheme = "CRYPT", *hash = NULL;
	struct strbuf out = STRBUF_INIT(4096);
	char *plain = NULL;
	uint64_t rounds = 0;
	struct reason why;
	bool verify = false;
	int option;

	while ((option = getopt(argc, argv, "+lp:r:s:t:V")) != -1) {
		switch (option) {
		case 'l':
			return list_schemes();
		case 'p':
			free(plain);
			plain = xstrdup(optarg);
			break;
		case 'r':
			if (!slice_uint(slice_of(optarg), UINT32_MAX, &rounds))
				doveadm_usage(doveadm_pw_usage);
			break;
		case 's':
			scheme = optarg;
			break;
		case 't':
			hash = optarg;
			break;
		case 'V':
			verify = true;
			break;
		default:
			doveadm_usage(doveadm_pw_usage);
		}
	}
	if (optind != argc)
		doveadm_usage(doveadm_pw_usage);
	if (!plain)
		plain = ask_password(!hash);
	if (!hash && !password_make(scheme, NULL, slice_of(plain), rounds, &out, &why))
		doveadm_die(EX_TEMPFAIL, "%s", why.text);
	if (hash || verify)
		test_password(hash ? hash : out.ptr, plain);
	else
		printf("%s\n", out.ptr);
	strbuf_release(&out);
	free(plain);
	return 0;
}

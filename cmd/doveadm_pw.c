// SPDX-License-Identifier: BSD-2-Clause
/* doveadm pw: makes and checks password hashes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include "auth/scheme.h"
#include "base/check.h"
#include "base/digest.h"
#include "cmd/doveadm.h"

/* More than any password has; a line that is longer is none. */
#define TYPED_MAX (64 * 1024 + 2)

const char doveadm_pw_usage[] =
    "pw [-l] [-p plaintext] [-r rounds] [-s scheme] [-t hash] [-u user] [-V]";

struct request {
	const char *scheme, *hash, *user; /* hash: to be checked, or NULL */
	char *plain;
	uint64_t rounds;
	bool list, verify;
};

static void list_schemes(void)
{
	for (size_t i = 0; password_scheme_name(i); i++)
		printf("%s ", password_scheme_name(i));
	printf("\n");
}

/* A line of standard input, without its end; false at the end of all. */
static bool read_typed(char *typed, size_t size)
{
	size_t len;

	if (!fgets(typed, (int)size, stdin))
		return false;
	len = strlen(typed);
	if (len && typed[len - 1] == '\n')
		typed[len - 1] = '\0';
	else if (len == size - 1)
		return false;
	return true;
}

/* With a prompt and without echo where somebody types. */
static bool ask(const char *prompt, char *typed, size_t size)
{
	struct termios before, quiet;
	bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0, good;

	if (!is_terminal)
		return read_typed(typed, size);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	fputs(prompt, stderr);
	good = read_typed(typed, size);
	fputs("\n", stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	return good;
}

/* The peer makes the hash of an empty password when its input ends. */
static char *ask_password(bool twice)
{
	static char first[TYPED_MAX], second[TYPED_MAX];
	char *plain;

	for (;;) {
		if (!ask(twice ? "Enter new password: " : "Enter password to verify: ", first,
			sizeof(first)))
			break;
		if (!twice)
			return xstrdup(first);
		if (!ask("Retype new password: ", second, sizeof(second)))
			break;
		if (!strcmp(first, second)) {
			plain = xstrdup(first);
			secret_clear(first, sizeof(first));
			secret_clear(second, sizeof(second));
			return plain;
		}
		fprintf(stderr, "Error: Passwords don't match!\n");
	}
	doveadm_die(EX_TEMPFAIL, "No password was given");
}

/* Why HASH is not the password's, in the peer's words. */
_Noreturn static void refuse(enum password_result result, const struct reason *why)
{
	if (result == PASSWORD_UNKNOWN_SCHEME)
		doveadm_die(EX_TEMPFAIL, "reverse decode check failed: Unknown scheme");
	if (result == PASSWORD_UNUSABLE && slice_starts(slice_of(why->text), "Input "))
		doveadm_die(EX_TEMPFAIL, "reverse decode check failed: %s", why->text);
	doveadm_die(EX_TEMPFAIL, "reverse password verification check failed: %s",
	    result == PASSWORD_UNUSABLE ? why->text : "Password mismatch");
}

static void check(const char *hash, const struct request *request)
{
	bool has_scheme = *hash == '{' && strchr(hash, '}');
	struct reason why;
	/* Without a prefix only MD5's hashes say what they are. */
	enum password_result result =
	    password_verify(hash, "", request->user, slice_of(request->plain), &why);

	if (!has_scheme && result == PASSWORD_UNKNOWN_SCHEME)
		doveadm_die(EX_TEMPFAIL, "Missing {scheme} prefix from hash");
	if (result != PASSWORD_MATCH)
		refuse(result, &why);
	printf("%s%s (verified)\n", has_scheme ? "" : "{MD5-CRYPT}", hash);
}

static void make(const struct request *request)
{
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct reason why;

	if (!password_make(request->scheme, request->user, slice_of(request->plain),
		request->rounds, &out, &why))
		doveadm_die(EX_TEMPFAIL, "%s", why.text);
	if (request->verify)
		check(out.ptr, request);
	else
		printf("%s\n", out.ptr);
	strbuf_release(&out);
}

static void take_option(struct request *request, int option)
{
	switch (option) {
	case 'l':
		request->list = true;
		break;
	case 'p':
		free(request->plain);
		request->plain = xstrdup(optarg);
		break;
	case 'r':
		if (!slice_uint(slice_of(optarg), UINT32_MAX, &request->rounds))
			doveadm_usage();
		break;
	case 's':
		request->scheme = optarg;
		break;
	case 't':
		request->hash = optarg;
		break;
	case 'u':
		request->user = optarg;
		break;
	case 'V':
		request->verify = true;
		break;
	default:
		exit(EX_USAGE); /* getopt has said it */
	}
}

static void act(struct request *request)
{
	if (request->list) {
		list_schemes();
		return;
	}
	if (!request->plain)
		request->plain = ask_password(!request->hash);
	if (request->hash)
		check(request->hash, request);
	else
		make(request);
}

int doveadm_pw(int argc, char **argv)
{
	struct request request = { .scheme = "CRYPT" };
	int option, status = 0;

	while ((option = getopt(argc, argv, "+lp:r:s:t:u:V")) != -1)
		take_option(&request, option);
	if (optind == argc) {
		act(&request);
	} else {
		fprintf(stderr, "Error: Extraneous arguments found: %s\n", argv[optind]);
		status = EX_USAGE;
	}
	if (request.plain)
		secret_clear(request.plain, strlen(request.plain));
	free(request.plain);
	return status;
}

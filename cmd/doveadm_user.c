// SPDX-License-Identifier: BSD-2-Clause
/* doveadm user: what the user database says of users. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/master_client.h"
#include "base/check.h"
#include "base/clock.h"
#include "cmd/doveadm.h"

#define LOOKUP_MS (30 * 1000)

const char doveadm_user_usage[] = "user [-a <userdb socket path>] [-f field] <user mask> "
				  "[<user mask> [...]]";

struct user_variables {
	const char *user;
	struct auth_user *found;
};

static struct slice present(const char *text)
{
	return text && *text ? slice_of(text) : SLICE_LIT("");
}

static struct slice user_variable(const char *name, void *arg)
{
	struct user_variables *v = arg;
	struct slice user = slice_of(v->user);
	ptrdiff_t at = slice_rfind(user, '@');

	if (!strcmp(name, "user"))
		return user;
	if (!strcmp(name, "username"))
		return at < 0 ? user : slice_first(user, (size_t)at);
	if (!strcmp(name, "domain"))
		return at < 0 ? SLICE_LIT("") : slice_from(user, (size_t)at + 1);
	if (!strcmp(name, "home"))
		return present(auth_user_field(v->found, "home"));
	if (!strcmp(name, "service"))
		return SLICE_LIT("doveadm");
	return SLICE_LIT("");
}

/* The user's own location, or the one of the configuration for this user; the caller frees it. */
static char *mail_location(const struct dovecot_settings *settings, struct auth_user *user)
{
	const char *own = auth_user_field(user, "mail");
	struct user_variables v = { user->name, user };
	struct strbuf out = STRBUF_INIT(4096);
	char *error = NULL;

	if (!dovecot_var_expand(
		&out, own ? own : settings->mail_location, user_variable, &v, &error))
		doveadm_die(EX_TEMPFAIL, "mail_location: %s", error);
	return strbuf_detach(&out);
}

static bool is_leading(struct slice name)
{
	static const char *const leading[] = { "uid", "gid", "home", "mail" };

	for (size_t i = 0; i < ARRAY_LEN(leading); i++)
		if (slice_eq_str(name, leading[i]))
			return true;
	return false;
}

static void print_user(const struct dovecot_settings *settings, struct auth_user *user)
{
	static const char *const leading[] = { "uid", "gid", "home" };
	char *mail = mail_location(settings, user);

	for (size_t i = 0; i < ARRAY_LEN(leading); i++) {
		const char *value = auth_user_field(user, leading[i]);

		if (value)
			printf("%s\t%s\n", leading[i], value);
	}
	printf("mail\t%s\n", mail);
	for (size_t i = 3; i < user->fields.count; i++) {
		struct slice field = user->fields.list[i];
		ptrdiff_t equals = slice_find(field, '=');
		struct slice name = equals < 0 ? field : slice_first(field, (size_t)equals);

		if (!is_leading(name))
			printf("%.*s\t%.*s\n", SLICE_ARG(name),
			    SLICE_ARG(slice_from(field, name.len + 1)));
	}
	free(mail);
}

static void print_field(
    const struct dovecot_settings *settings, struct auth_user *user, const char *field)
{
	const char *value = auth_user_field(user, field);
	char *mail;

	if (!strcmp(field, "mail")) {
		mail = mail_location(settings, user);
		printf("%s\n", mail);
		free(mail);
	} else if (value) {
		printf("%s\n", value);
	}
}

static int show_user(
    const struct dovecot_settings *settings, const char *path, const char *name, const char *field)
{
	struct auth_user user;
	struct reason why;
	int code = 0;

	switch (auth_master_user(path, name, "doveadm", deadline_in(LOOKUP_MS), &user, &why)) {
	case AUTH_USER_FOUND:
		if (field)
			print_field(settings, &user, field);
		else
			print_user(settings, &user);
		break;
	case AUTH_USER_UNKNOWN:
		printf("\nuserdb lookup: user %s doesn't exist\n", name);
		code = EX_NOUSER;
		break;
	case AUTH_USER_FAILED:
		fflush(stdout);
		fprintf(stderr, "doveadm(%s)<%ld><>: Error: auth-master: userdb lookup(%s): %s\n",
		    name, (long)getpid(), name, why.text);
		code = EX_TEMPFAIL;
		break;
	}
	auth_user_release(&user);
	return code;
}

static void print_name(const char *name, void *arg)
{
	(void)arg;
	printf("%s\n", name);
}

static int list_users(const char *path, const char *mask)
{
	struct reason why;

	if (auth_master_list(path, mask, deadline_in(LOOKUP_MS), print_name, NULL, &why))
		return 0;
	fflush(stdout);
	fprintf(
	    stderr, "Error: auth-master: userdb list: %s\nFatal: user listing failed\n", why.text);
	return EX_TEMPFAIL;
}

int doveadm_user(int argc, char **argv)
{
	const char *socket = NULL, *field = NULL;
	struct dovecot_settings *settings;
	bool first = true;
	int option, code = 0;
	char *path;

	while ((option = getopt(argc, argv, "+a:f:")) != -1) {
		if (option == 'a')
			socket = optarg;
		else if (option == 'f')
			field = optarg;
		else
			doveadm_usage(doveadm_user_usage);
	}
	if (optind == argc)
		doveadm_usage(doveadm_user_usage);
	settings = doveadm_settings("doveadm");
	path = doveadm_socket_path(settings, socket ? socket : settings->auth_socket_path);
	for (int i = optind; i < argc; i++) {
		int result;

		if (strpbrk(argv[i], "*?")) {
			result = list_users(path, argv[i]);
		} else {
			if (!first)
				printf("\n");
			else if (!field)
				printf("field\tvalue\n");
			first = false;
			result = show_user(settings, path, argv[i], field);
		}
		if (result && code != EX_TEMPFAIL)
			code = result;
	}
	free(path);
	dovecot_settings_free(settings);
	return code;
}

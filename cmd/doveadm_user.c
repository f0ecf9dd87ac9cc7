// SPDX-License-Identifier: BSD-2-Clause
/* doveadm user: what the user database says of users. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/master_client.h"
#include "base/check.h"
#include "base/clock.h"
#include "cmd/doveadm.h"
#include "cmd/doveadm_print.h"

#define LOOKUP_MS  (30 * 1000)
#define PARAMS_MAX 32

const char doveadm_user_usage[] = "[-a <userdb socket path>] [-x <auth info>] [-f field] "
				  "[-e <value>] [-u] <user mask> [<user mask> [...]]";

static const struct doveadm_column columns[] = { { "field", "field", false, false },
	{ "value", "value", true, false } };

struct user_command {
	struct dovecot_settings *settings;
	char *path;
	const char *field, *expression; /* -f, -e */
	bool only_userdb;		/* -u */
	const char *params[PARAMS_MAX + 2];
	size_t param_count;
	struct strbuf tail; /* what comes after the table */
};

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
	if (!strncmp(name, "userdb:", 7))
		return present(auth_user_field(v->found, name + 7));
	if (!strcmp(name, "service"))
		return SLICE_LIT("doveadm");
	return present(auth_user_field(v->found, name));
}

/* TEXT for this user; the caller frees it. */
static char *expand(const char *what, const char *text, struct auth_user *user)
{
	struct user_variables v = { user->name, user };
	struct strbuf out = STRBUF_INIT(4096);
	char *error = NULL;

	if (!dovecot_var_expand(&out, text, user_variable, &v, &error))
		doveadm_die(EX_TEMPFAIL, "%s: %s", what, error);
	return strbuf_detach(&out);
}

/* The user's own location, or the one of the configuration for this user; the caller frees it. */
static char *mail_location(const struct dovecot_settings *settings, struct auth_user *user)
{
	const char *own = auth_user_field(user, "mail");

	return expand("mail_location", own ? own : settings->mail_location, user);
}

static bool is_leading(struct slice name)
{
	static const char *const leading[] = { "uid", "gid", "home", "mail" };

	for (size_t i = 0; i < ARRAY_LEN(leading); i++)
		if (slice_eq_str(name, leading[i]))
			return true;
	return false;
}

static void print_slices(struct slice name, struct slice value)
{
	char *text = xstrndup(name.ptr, name.len);

	doveadm_print(text);
	free(text);
	text = xstrndup(value.ptr, value.len);
	doveadm_print(text);
	free(text);
}

/* "name=value" in two; a word alone has no value. */
static struct slice split(struct slice field, struct slice *value)
{
	ptrdiff_t equals = slice_find(field, '=');

	*value = slice_from(field, equals < 0 ? field.len : (size_t)equals + 1);
	return equals < 0 ? field : slice_first(field, (size_t)equals);
}

static void print_user(struct user_command *c, struct auth_user *user)
{
	static const char *const leading[] = { "uid", "gid", "home" };
	char *mail = mail_location(c->settings, user);

	for (size_t i = 0; i < ARRAY_LEN(leading); i++) {
		const char *value = auth_user_field(user, leading[i]);

		if (value)
			print_slices(slice_of(leading[i]), slice_of(value));
	}
	print_slices(SLICE_LIT("mail"), slice_of(mail));
	for (size_t i = 3; i < user->fields.count; i++) {
		struct slice value, name = split(user->fields.list[i], &value);

		if (!is_leading(name))
			print_slices(name, value);
	}
	free(mail);
}

/* As the database has it, without what the configuration adds. */
static void print_userdb(struct auth_user *user)
{
	printf("userdb: %s\n  %-10s: %s\n", user->name, "user", user->name);
	for (size_t i = 3; i < user->fields.count; i++) {
		struct slice value, name = split(user->fields.list[i], &value);

		printf("  %-10.*s: %.*s\n", SLICE_ARG(name), SLICE_ARG(value));
	}
}

static void print_field(struct user_command *c, struct auth_user *user)
{
	const char *value = auth_user_field(user, c->field);
	char *mail;

	if (!strcmp(c->field, "mail") && !c->only_userdb) {
		mail = mail_location(c->settings, user);
		printf("%s\n", mail);
		free(mail);
	} else if (value) {
		printf("%s\n", value);
	}
}

static void print_found(struct user_command *c, struct auth_user *user)
{
	char *text;

	if (c->field) {
		print_field(c, user);
	} else if (c->expression) {
		text = expand("-e", c->expression, user);
		printf("%s\n", text);
		free(text);
	} else if (c->only_userdb) {
		print_userdb(user);
	} else {
		print_user(c, user);
	}
}

static bool has_table(const struct user_command *c)
{
	return !c->field && !c->expression && !c->only_userdb;
}

static void print_unknown(struct user_command *c, const char *name)
{
	if (has_table(c)) {
		strbuf_addf(&c->tail, "\nuserdb lookup: user %s doesn't exist\n", name);
	} else if (c->only_userdb && !c->field) {
		printf("userdb lookup: user %s doesn't exist\n", name);
	} else {
		fflush(stdout);
		fprintf(stderr, "\nuserdb lookup: user %s doesn't exist\n", name);
	}
}

static int show_user(struct user_command *c, const char *name)
{
	struct auth_user user;
	struct reason why;
	int code = 0;
	char *text;

	switch (auth_master_ask(
	    c->path, "USER", name, c->params, deadline_in(LOOKUP_MS), &user, &why)) {
	case AUTH_USER_FOUND:
		print_found(c, &user);
		break;
	case AUTH_USER_UNKNOWN:
		print_unknown(c, name);
		code = EX_NOUSER;
		break;
	case AUTH_USER_FAILED:
		fflush(stdout);
		text = doveadm_connect_text(why.text);
		fprintf(stderr, "doveadm(%s)<%ld><>: Error: auth-master: userdb lookup(%s): %s\n",
		    name, (long)getpid(), name, text);
		free(text);
		code = EX_TEMPFAIL;
		break;
	}
	auth_user_release(&user);
	return code;
}

/* A name that fits one of the masks. */
static void print_name(const char *name, void *arg)
{
	for (char **masks = arg; *masks; masks++) {
		if (fnmatch(*masks, name, 0) != 0)
			continue;
		printf("%s\n", name);
		return;
	}
}

static int list_users(const struct user_command *c, char **masks)
{
	const char *all = masks[1] ? "*" : masks[0];
	struct reason why;

	if (auth_master_list(c->path, all, deadline_in(LOOKUP_MS), print_name, masks, &why))
		return 0;
	fflush(stdout);
	fprintf(
	    stderr, "Error: auth-master: userdb list: %s\nFatal: user listing failed\n", why.text);
	return EX_TEMPFAIL;
}

static int show_users(struct user_command *c, char **names)
{
	int code = 0;

	if (has_table(c))
		doveadm_print_begin("tab", columns, ARRAY_LEN(columns));
	for (size_t i = 0; names[i]; i++) {
		int result;

		if (i && has_table(c))
			strbuf_addch(&c->tail, '\n');
		else if (i)
			putchar('\n');
		result = show_user(c, names[i]);
		if (result && code != EX_TEMPFAIL)
			code = result;
	}
	if (has_table(c))
		doveadm_print_end();
	fputs(c->tail.len ? c->tail.ptr : "", stdout);
	return code;
}

/* One mask makes a list of names of it all, as with the peer. */
static bool has_mask(char **names)
{
	for (; *names; names++)
		if (strpbrk(*names, "*?"))
			return true;
	return false;
}

static void add_param(struct user_command *c, const char *text)
{
	if (c->param_count >= PARAMS_MAX)
		doveadm_die(EX_USAGE, "too many -x");
	c->params[c->param_count++] = text;
}

static void take_options(struct user_command *c, int argc, char **argv, const char **socket)
{
	int option;

	while ((option = getopt(argc, argv, "+a:e:f:ux:")) != -1) {
		switch (option) {
		case 'a':
			*socket = optarg;
			break;
		case 'e':
			c->expression = optarg;
			break;
		case 'f':
			c->field = optarg;
			break;
		case 'u':
			c->only_userdb = true;
			break;
		case 'x':
			add_param(c, optarg);
			break;
		default:
			exit(EX_USAGE);
		}
	}
	if (optind == argc)
		doveadm_usage();
	for (size_t i = 0; i < c->param_count; i++)
		if (!strncmp(c->params[i], "service=", 8) || !strncmp(c->params[i], "protocol=", 9))
			return;
	c->params[c->param_count] = "service=doveadm";
}

int doveadm_user(int argc, char **argv)
{
	struct user_command c = { .tail = STRBUF_INIT(1024 * 1024) };
	const char *socket = NULL;
	int code = 0;

	take_options(&c, argc, argv, &socket);
	c.settings = doveadm_settings("doveadm");
	c.path = socket ? xstrdup(socket)
			: doveadm_socket_path(c.settings, c.settings->auth_socket_path);
	if (has_mask(argv + optind)) {
		code = list_users(&c, argv + optind);
	} else {
		code = show_users(&c, argv + optind);
	}
	strbuf_release(&c.tail);
	free(c.path);
	dovecot_settings_free(c.settings);
	return code;
}

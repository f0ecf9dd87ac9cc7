// SPDX-License-Identifier: BSD-2-Clause
/* doveadm auth: logs in as a client of the authentication server does, and asks its databases. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/auth_client.h"
#include "auth/master_client.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "cmd/doveadm.h"

#define LOOKUP_MS  (30 * 1000)
#define PARAMS_MAX 32

const char doveadm_auth_test_usage[] = "[-a <auth socket path>] [-x <auth info>] "
				       "[-M <master user>] <user> [<password>]";
const char doveadm_auth_login_usage[] =
    "[-a <auth-login socket path>] [-m <auth-master socket path>] [-x <auth info>] "
    "[-M <master user>] <user> [<password>]";
const char doveadm_auth_lookup_usage[] = "[-a <userdb socket path>] [-x <auth info>] "
					 "[-f field] <user> [<user> [...]]";

struct login {
	struct auth_params params;
	const char *auth_socket, *master_socket;
	const char *master_user, *user, *password;
	struct dovecot_settings *settings;
	char *path; /* of auth_socket */
	struct auth_client *client;
	struct auth_request *request;
};

/* --- login --- */

static unsigned port_of(const char *text)
{
	uint64_t port;

	return slice_uint(slice_of(text), 65535, &port) ? (unsigned)port : 0;
}

/* What -x tells the server of the client; words that it cannot be told are wrong. */
static void take_info(struct auth_params *params, char *text)
{
	char *value = strchr(text, '=');

	if (!value)
		value = text + strlen(text);
	else
		*value++ = '\0';
	if (!strcmp(text, "service") || !strcmp(text, "protocol"))
		params->service = value;
	else if (!strcmp(text, "session"))
		params->session = value;
	else if (!strcmp(text, "lip"))
		params->local_ip = value;
	else if (!strcmp(text, "rip"))
		params->remote_ip = value;
	else if (!strcmp(text, "lport"))
		params->local_port = port_of(value);
	else if (!strcmp(text, "rport"))
		params->remote_port = port_of(value);
	else if (!strcmp(text, "local_name"))
		params->local_name = value;
	else if (!strcmp(text, "secured"))
		params->secured = true;
	else
		doveadm_die(EX_USAGE, "-x: unknown: %s", text);
}

static void take_login(struct login *l, const char *options, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, options)) != -1) {
		switch (option) {
		case 'a':
			l->auth_socket = optarg;
			break;
		case 'm':
			l->master_socket = optarg;
			break;
		case 'M':
			l->master_user = optarg;
			break;
		case 'x':
			take_info(&l->params, optarg);
			break;
		default:
			exit(EX_USAGE);
		}
	}
	if (argc - optind < 1 || argc - optind > 2)
		doveadm_usage();
	l->user = argv[optind];
	l->password = argc - optind == 2 ? argv[optind + 1] : getpass("Password: ");
}

/* RFC 4616: the name to act as only where a master user logs in for it. */
static enum auth_status log_in(struct login *l)
{
	struct strbuf plain = STRBUF_INIT(4096), coded = STRBUF_INIT(8192);
	enum auth_status status;

	l->settings = doveadm_settings("doveadm");
	l->path = doveadm_socket_path(l->settings, l->auth_socket);
	l->client = auth_client_new(l->path);
	strbuf_addstr(&plain, l->master_user ? l->user : "");
	strbuf_addch(&plain, '\0');
	strbuf_addstr(&plain, l->master_user ? l->master_user : l->user);
	strbuf_addch(&plain, '\0');
	strbuf_addstr(&plain, l->password ? l->password : "");
	base64_encode(&coded, strbuf_slice(&plain));
	l->params.mechanism = "PLAIN";
	l->params.initial = strbuf_slice(&coded);
	l->request = auth_request_start(l->client, &l->params, deadline_in(LOOKUP_MS), &status);
	if (status == AUTH_CONTINUE)
		doveadm_die(EX_TEMPFAIL, "auth-client: the server asks for more");
	strbuf_release(&plain);
	strbuf_release(&coded);
	return status;
}

static int print_auth(const struct login *l, enum auth_status status)
{
	struct slice text;

	if (status == AUTH_TEMPORARY && !*auth_request_code(l->request)) {
		char *why = doveadm_connect_text(auth_request_reason(l->request));

		fprintf(stderr, "Error: auth-client: conn unix:%s: %s\n", l->path, why);
		free(why);
		return EX_NOPERM;
	}
	printf("passdb: %s auth %s\nextra fields:\n", l->user,
	    status == AUTH_OK ? "succeeded" : "failed");
	for (size_t i = 0; auth_request_nth(l->request, i, &text); i++)
		printf("  %.*s\n", SLICE_ARG(text));
	return status == AUTH_OK ? 0 : EX_NOPERM;
}

static void release(struct login *l)
{
	auth_request_free(l->request);
	auth_client_free(l->client);
	free(l->path);
	dovecot_settings_free(l->settings);
}

int doveadm_auth_test(int argc, char **argv)
{
	struct login l = { .params = { .service = "doveadm", .nologin = true },
		.auth_socket = "auth-client" };
	int code;

	take_login(&l, "+a:M:x:", argc, argv);
	code = print_auth(&l, log_in(&l));
	release(&l);
	return code;
}

/* The second half of a login: what a mailbox process would be told. */
static int print_request(const struct login *l)
{
	char *path = doveadm_socket_path(l->settings, l->master_socket);
	struct auth_user user;
	struct reason why;
	int code = 0;

	switch (auth_master_request(path, auth_request_client_pid(l->request),
	    auth_request_id(l->request), slice_of(auth_request_cookie(l->request)),
	    deadline_in(LOOKUP_MS), &user, &why)) {
	case AUTH_USER_FOUND:
		puts("userdb extra fields:");
		for (size_t i = 2; i < user.fields.count; i++)
			printf("  %.*s\n", SLICE_ARG(user.fields.list[i]));
		break;
	case AUTH_USER_UNKNOWN:
		fprintf(stderr, "Error: userdb lookup: user %s doesn't exist\n", l->user);
		code = EX_NOUSER;
		break;
	case AUTH_USER_FAILED:
		fprintf(stderr, "Error: auth-master: userdb lookup(%s): %s\n", l->user, why.text);
		code = EX_TEMPFAIL;
		break;
	}
	auth_user_release(&user);
	free(path);
	return code;
}

int doveadm_auth_login(int argc, char **argv)
{
	struct login l = { .params = { .service = "doveadm" },
		.auth_socket = "auth-login",
		.master_socket = "auth-master" };
	int code;

	take_login(&l, "+a:m:M:x:", argc, argv);
	code = print_auth(&l, log_in(&l));
	fflush(stdout);
	if (code == 0)
		code = print_request(&l);
	release(&l);
	return code;
}

/* --- lookup --- */

static void print_lookup(const struct auth_user *user, const char *field)
{
	struct slice value;

	if (field) {
		if (auth_field_get(&user->fields, 2, field, &value))
			printf("%.*s\n", SLICE_ARG(value));
		return;
	}
	printf("passdb: %s\n", user->name);
	for (size_t i = 2; i < user->fields.count; i++) {
		struct slice text = user->fields.list[i];
		ptrdiff_t equals = slice_find(text, '=');
		struct slice name = equals < 0 ? text : slice_first(text, (size_t)equals);

		value = equals < 0 ? SLICE_LIT("") : slice_from(text, (size_t)equals + 1);
		printf("  %-10.*s: %.*s\n", SLICE_ARG(name), SLICE_ARG(value));
	}
}

static int look_up(
    const char *path, const char *name, const char *const params[], const char *field)
{
	struct auth_user user;
	struct reason why;
	int code = 0;

	switch (auth_master_ask(path, "PASS", name, params, deadline_in(LOOKUP_MS), &user, &why)) {
	case AUTH_USER_FOUND:
		print_lookup(&user, field);
		break;
	case AUTH_USER_UNKNOWN:
		fflush(stdout);
		fprintf(stderr, "passdb lookup: user %s doesn't exist\n", name);
		code = EX_NOUSER;
		break;
	case AUTH_USER_FAILED:
		fflush(stdout);
		fprintf(stderr, "Error: auth-master: passdb lookup(%s): %s\n", name, why.text);
		code = EX_TEMPFAIL;
		break;
	}
	auth_user_release(&user);
	return code;
}

int doveadm_auth_lookup(int argc, char **argv)
{
	const char *params[PARAMS_MAX + 2] = { NULL }, *socket = NULL, *field = NULL;
	size_t count = 0;
	struct dovecot_settings *settings;
	bool has_service = false;
	int option, code = 0;
	char *path;

	while ((option = getopt(argc, argv, "+a:f:x:")) != -1) {
		if (option == 'a')
			socket = optarg;
		else if (option == 'f')
			field = optarg;
		else if (option == 'x' && count < PARAMS_MAX)
			params[count++] = optarg;
		else
			exit(EX_USAGE);
		has_service |= option == 'x' && strncmp(optarg, "service=", 8) == 0;
	}
	if (optind == argc)
		doveadm_usage();
	if (!has_service)
		params[count] = "service=doveadm";
	settings = doveadm_settings("doveadm");
	path = socket ? xstrdup(socket) : doveadm_socket_path(settings, "auth-userdb");
	for (int i = optind; i < argc; i++) {
		int result;

		if (i > optind)
			putchar('\n');
		result = look_up(path, argv[i], params, field);
		code = result ? result : code;
	}
	free(path);
	dovecot_settings_free(settings);
	return code;
}

/* --- cache flush --- */

int doveadm_auth_cache(int argc, char **argv)
{
	struct dovecot_settings *settings;
	const char *socket = NULL;
	struct reason why;
	uint32_t flushed;
	char *path;
	bool good;
	int option;

	if (argc < 2 || strcmp(argv[1], "flush") != 0)
		doveadm_usage();
	argc--;
	argv++;
	while ((option = getopt(argc, argv, "+a:")) != -1) {
		if (option != 'a')
			exit(EX_USAGE);
		socket = optarg;
	}
	settings = doveadm_settings("doveadm");
	path = socket ? xstrdup(socket) : doveadm_socket_path(settings, "auth-master");
	good = auth_master_flush(path, argv + optind, deadline_in(LOOKUP_MS), &flushed, &why);
	if (good)
		printf("%u cache entries flushed\n", flushed);
	else
		fprintf(stderr, "Error: auth-master: auth cache flush: %s\n", why.text);
	free(path);
	dovecot_settings_free(settings);
	return good ? 0 : EX_TEMPFAIL;
}

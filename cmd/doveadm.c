// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveadm: questions to a running instance, and its control.  Output and exit codes are the peer's,
 * since scripts read them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth_client.h"
#include "auth/master_client.h"
#include "auth/scheme.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "conf/dovecot_conf.h"
#include "sys/file.h"

#define LOOKUP_MS      (30 * 1000)
#define STOP_MS	       (10 * 1000)
#define DEFAULT_CONFIG PC_SYSCONFDIR "/dovecot/dovecot.conf"

static const char *config_path = DEFAULT_CONFIG;

static _Noreturn void __attribute__((format(printf, 2, 3))) die(int code, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("Fatal: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(code);
}

/* --- configuration --- */

static void print_error(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		fprintf(stderr, "doveadm: Error: %s\n", line);
}

static struct dovecot_settings *read_settings(const char *protocol)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct dovecot_filter filter = { .protocol = protocol };
	struct dovecot_settings *settings;
	struct dovecot_source *source;

	if (access(config_path, F_OK) < 0)
		die(EX_TEMPFAIL, "Error reading configuration: stat(%s) failed: %s", config_path,
		    strerror(errno));
	source = dovecot_source_read(config_path, &errors);
	if (source)
		dovecot_conf_check(source, &errors);
	conf_errors_each(&errors, print_error, NULL);
	if (!source || errors.error_count)
		die(EX_CONFIG, "Error in configuration file %s", config_path);
	conf_errors_release(&errors);
	settings = dovecot_settings_new(source, &filter, NULL);
	dovecot_source_free(source);
	return settings;
}

/* NAME below base_dir, unless it is absolute; the caller frees it. */
static char *socket_path(const struct dovecot_settings *settings, const char *name)
{
	if (*name == '/')
		return xstrdup(name);
	return xasprintf("%s/%s", settings->base_dir, name);
}

/* --- user --- */

static const char user_usage[] = "user [-a <userdb socket path>] [-f field] <user mask> "
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
		die(EX_TEMPFAIL, "mail_location: %s", error);
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

static _Noreturn void usage(const char *text)
{
	fprintf(stderr, "doveadm %s\n", text);
	exit(EX_USAGE);
}

static int cmd_user(int argc, char **argv)
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
			usage(user_usage);
	}
	if (optind == argc)
		usage(user_usage);
	settings = read_settings("doveadm");
	path = socket_path(settings, socket ? socket : settings->auth_socket_path);
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

/* --- auth test --- */

static const char auth_usage[] = "auth test [-a <auth socket path>] <user> [<password>]";

static int print_auth(const char *user, const struct auth_request *request, enum auth_status status)
{
	if (status == AUTH_TEMPORARY && !*auth_request_code(request)) {
		fprintf(stderr, "Error: auth-client: %s\n", auth_request_reason(request));
		return EX_NOPERM;
	}
	printf("passdb: %s auth %s\n", user, status == AUTH_OK ? "succeeded" : "failed");
	printf("extra fields:\n  user=%s\n", auth_request_user(request));
	if (*auth_request_code(request))
		printf("  code=%s\n", auth_request_code(request));
	return status == AUTH_OK ? 0 : EX_NOPERM;
}

static int cmd_auth(int argc, char **argv)
{
	struct strbuf plain = STRBUF_INIT(4096), coded = STRBUF_INIT(8192);
	struct auth_params params = { .mechanism = "PLAIN", .service = "doveadm", .nologin = true };
	const char *socket = "auth-client", *password;
	char *path;
	struct dovecot_settings *settings;
	struct auth_request *request;
	struct auth_client *client;
	enum auth_status status;
	int option, code;

	if (argc < 2 || strcmp(argv[1], "test") != 0)
		usage(auth_usage);
	argc--;
	argv++;
	while ((option = getopt(argc, argv, "+a:")) != -1) {
		if (option != 'a')
			usage(auth_usage);
		socket = optarg;
	}
	if (argc - optind < 1 || argc - optind > 2)
		usage(auth_usage);
	password = argc - optind == 2 ? argv[optind + 1] : getpass("Password: ");
	settings = read_settings("doveadm");
	path = socket_path(settings, socket);
	client = auth_client_new(path);
	strbuf_addch(&plain, '\0');
	strbuf_addstr(&plain, argv[optind]);
	strbuf_addch(&plain, '\0');
	strbuf_addstr(&plain, password ? password : "");
	base64_encode(&coded, strbuf_slice(&plain));
	params.initial = strbuf_slice(&coded);
	request = auth_request_start(client, &params, deadline_in(LOOKUP_MS), &status);
	if (status == AUTH_CONTINUE)
		die(EX_TEMPFAIL, "auth-client: the server asks for more");
	code = print_auth(argv[optind], request, status);
	auth_request_free(request);
	auth_client_free(client);
	free(path);
	dovecot_settings_free(settings);
	strbuf_release(&plain);
	strbuf_release(&coded);
	return code;
}

/* --- pw --- */

static const char pw_usage[] = "pw [-l] [-p plaintext] [-r rounds] [-s scheme] [-t hash] [-V]";

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

	switch (password_verify(hash, "CRYPT", slice_of(plain), &why)) {
	case PASSWORD_MATCH:
		printf("%s (verified)\n", hash);
		return;
	case PASSWORD_MISMATCH:
		die(EX_TEMPFAIL, "reverse password verification check failed: Password mismatch");
	default:
		die(EX_TEMPFAIL, "reverse password decode check failed: %s", why.text);
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
		die(EX_TEMPFAIL, "Passwords don't match!");
	return first;
}

static int cmd_pw(int argc, char **argv)
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
				usage(pw_usage);
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
			usage(pw_usage);
		}
	}
	if (optind != argc)
		usage(pw_usage);
	if (!plain)
		plain = ask_password(!hash);
	if (!hash && !password_make(scheme, slice_of(plain), rounds, &out, &why))
		die(EX_TEMPFAIL, "%s", why.text);
	if (hash || verify)
		test_password(hash ? hash : out.ptr, plain);
	else
		printf("%s\n", out.ptr);
	strbuf_release(&out);
	free(plain);
	return 0;
}

/* --- reload, stop --- */

static char *pid_path(void)
{
	struct dovecot_settings *settings = read_settings(NULL);
	char *path = xasprintf("%s/master.pid", settings->base_dir);

	dovecot_settings_free(settings);
	return path;
}

/* The pid of the master that runs. */
static pid_t running_master(const char *path)
{
	struct strbuf text = STRBUF_INIT(100);
	uint64_t pid = 0;

	if (file_read(AT_FDCWD, path, &text) < 0 && errno != ENOENT)
		die(EX_TEMPFAIL, "open(%s) failed: %s", path, strerror(errno));
	if (!slice_uint(slice_trim(strbuf_slice(&text), " \n"), INT32_MAX, &pid) || pid < 2 ||
	    (kill((pid_t)pid, 0) < 0 && errno == ESRCH))
		die(EX_TEMPFAIL, "Dovecot is not running (read from %s)", path);
	strbuf_release(&text);
	return (pid_t)pid;
}

static void send_signal(pid_t pid, int signo)
{
	if (kill(pid, signo) < 0)
		die(errno == EPERM ? EX_NOPERM : EX_TEMPFAIL, "kill(%ld) failed: %s", (long)pid,
		    strerror(errno));
}

static int cmd_reload(int argc, char **argv)
{
	char *path;

	(void)argv;
	if (argc != 1)
		usage("reload");
	path = pid_path();
	send_signal(running_master(path), SIGHUP);
	free(path);
	return 0;
}

/* Returns when the instance is gone, so that a start may follow at once. */
static int cmd_stop(int argc, char **argv)
{
	const struct timespec pause = { 0, 20 * 1000 * 1000 };
	int64_t deadline = deadline_in(STOP_MS);
	char *path;
	pid_t pid;

	(void)argv;
	if (argc != 1)
		usage("stop");
	path = pid_path();
	pid = running_master(path);
	send_signal(pid, SIGTERM);
	/* Its pid lives on while nobody has waited for it; the file goes with it. */
	while (kill(pid, 0) == 0 && access(path, F_OK) == 0) {
		if (deadline_left(deadline) == 0)
			die(EX_TEMPFAIL, "process %ld does not stop", (long)pid);
		nanosleep(&pause, NULL);
	}
	free(path);
	return 0;
}

/* --- commands --- */

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "auth", cmd_auth, auth_usage },
	{ "pw", cmd_pw, pw_usage },
	{ "reload", cmd_reload, "reload" },
	{ "stop", cmd_stop, "stop" },
	{ "user", cmd_user, user_usage },
};

static _Noreturn void print_commands(void)
{
	fputs("usage: doveadm [-c <config file>] <command> [<args>]\n\n", stderr);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(stderr, "  %s\n", commands[i].usage);
	exit(EX_USAGE);
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+c:")) != -1) {
		if (option != 'c')
			print_commands();
		config_path = optarg;
	}
	if (optind == argc)
		print_commands();
	argc -= optind;
	argv += optind;
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		optind = 1;
		return commands[i].run(argc, argv);
	}
	fprintf(stderr, "doveadm: there is no command %s yet\n", argv[0]);
	print_commands();
}

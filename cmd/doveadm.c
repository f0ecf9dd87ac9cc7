// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveadm: questions to a running instance, and its control.  Output and exit codes are the peer's,
 * since scripts read them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/doveadm.h"

#define DEFAULT_CONFIG PC_SYSCONFDIR "/dovecot/dovecot.conf"

static const char *config_path = DEFAULT_CONFIG;

void doveadm_die(int code, const char *format, ...)
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

void doveadm_usage(const char *text)
{
	fprintf(stderr, "doveadm %s\n", text);
	exit(EX_USAGE);
}

static void print_error(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		fprintf(stderr, "doveadm: Error: %s\n", line);
}

struct dovecot_settings *doveadm_settings(const char *protocol)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct dovecot_filter filter = { .protocol = protocol };
	struct dovecot_settings *settings;
	struct dovecot_source *source;

	if (access(config_path, F_OK) < 0)
		doveadm_die(EX_TEMPFAIL, "Error reading configuration: stat(%s) failed: %s",
		    config_path, strerror(errno));
	source = dovecot_source_read(config_path, &errors);
	if (source)
		dovecot_conf_check(source, &errors);
	conf_errors_each(&errors, print_error, NULL);
	if (!source || errors.error_count)
		doveadm_die(EX_CONFIG, "Error in configuration file %s", config_path);
	conf_errors_release(&errors);
	settings = dovecot_settings_new(source, &filter, NULL);
	dovecot_source_free(source);
	return settings;
}

/* NAME below base_dir, unless it is absolute; the caller frees it. */
char *doveadm_socket_path(const struct dovecot_settings *settings, const char *name)
{
	if (*name == '/')
		return xstrdup(name);
	return xasprintf("%s/%s", settings->base_dir, name);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "auth", doveadm_auth, doveadm_auth_usage },
	{ "pw", doveadm_pw, doveadm_pw_usage },
	{ "reload", doveadm_reload, "reload" },
	{ "stop", doveadm_stop, "stop" },
	{ "user", doveadm_user, doveadm_user_usage },
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

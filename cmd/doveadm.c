// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveadm: questions to a running instance, and its control.  Output and exit codes are the peer's,
 * since scripts read them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/doveadm.h"
#include "cmd/doveadm_print.h"
#include "cmd/programs.h"

#define EXIT_OPTION    89
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

void doveadm_no_arguments(int argc, char **argv)
{
	if (argc == 1)
		return;
	fprintf(stderr, "Error: Extraneous arguments found: %s\n", argv[1]);
	exit(EX_USAGE);
}

const char *doveadm_config_path(void)
{
	return config_path;
}

static int run_program(char *path, int argc, char **argv)
{
	char **args = xcalloc((size_t)argc + 3, sizeof(*args));

	args[0] = "doveconf";
	args[1] = "-c";
	args[2] = (char *)(uintptr_t)config_path;
	memcpy(args + 3, argv + 1, (size_t)(argc - 1) * sizeof(*args));
	programs_exec(path, args);
}

static int config(int argc, char **argv)
{
	return run_program(programs_command("doveconf"), argc, argv);
}

static const char exec_usage[] = "<binary> [binary parameters]";

static int exec_binary(int argc, char **argv)
{
	struct dovecot_settings *settings;
	char *path;

	if (argc < 2)
		doveadm_usage();
	settings = doveadm_settings(NULL);
	path = xasprintf("%s/%s", settings->libexec_dir, argv[1]);
	dovecot_settings_free(settings);
	execv(path, argv + 1);
	doveadm_die(EX_TEMPFAIL, "execv(%s) failed: %s", path, strerror(errno));
}

static int help(int argc, char **argv);

/* In the order of their names; commands of a group stand together. */
static const struct command {
	const char *group; /* "" for none */
	const char *name;
	const char *usage;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "auth", "cache", "flush", doveadm_auth_cache },
	{ "auth", "login", doveadm_auth_login_usage, doveadm_auth_login },
	{ "auth", "lookup", doveadm_auth_lookup_usage, doveadm_auth_lookup },
	{ "auth", "test", doveadm_auth_test_usage, doveadm_auth_test },
	{ "", "config", "[doveconf parameters]", config },
	{ "", "exec", exec_usage, exec_binary },
	{ "", "help", "[<cmd>]", help },
	{ "instance", "list", "[-c] [<name>]", doveadm_instance_list },
	{ "instance", "remove", "<name> | <base dir>", doveadm_instance_remove },
	{ "", "kick", doveadm_kick_usage, doveadm_kick },
	{ "log", "errors", doveadm_log_errors_usage, doveadm_log_errors },
	{ "log", "find", "[<dir>]", doveadm_log_find },
	{ "log", "reopen", "", doveadm_log_reopen },
	{ "log", "test", "", doveadm_log_test },
	{ "process", "status", "[<service> [...]]", doveadm_process_status },
	{ "", "pw", NULL, doveadm_pw },
	{ "", "reload", "", doveadm_reload },
	{ "service", "status", "[<service> [...]]", doveadm_service_status },
	{ "", "stop", "", doveadm_stop },
	{ "", "user", doveadm_user_usage, doveadm_user },
	{ "", "who", doveadm_who_usage, doveadm_who },
};

static const struct command *current; /* NULL: none runs yet */

/* What stands after the command's name. */
static const char *usage_of(const struct command *command)
{
	return command->usage ? command->usage : doveadm_pw_usage + strlen("pw ");
}

void doveadm_usage(void)
{
	fprintf(stderr, "doveadm %s%s%s %s\n", current->group, *current->group ? " " : "",
	    current->name, usage_of(current));
	exit(EX_USAGE);
}

char *doveadm_connect_text(const char *text)
{
	static const char begin[] = "cannot connect to ";
	const char *path = text + strlen(begin), *colon;

	if (strncmp(text, begin, strlen(begin)) != 0 || !(colon = strstr(path, ": ")))
		return xstrdup(text);
	return xasprintf("connect(%.*s) failed%s", (int)(colon - path), path, colon);
}

static void print_group(FILE *to, const char *group)
{
	fprintf(to, "usage: doveadm [-Dv] [-f <formatter>] %s <command> [<args>]\n", group);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(commands[i].group, group))
			fprintf(to, "  %-12s %s\n", commands[i].name, usage_of(&commands[i]));
}

/* "auth   cache|login|lookup|test" */
static size_t print_group_line(FILE *to, size_t i)
{
	const char *group = commands[i].group;

	fprintf(to, "  %-12s %s", group, commands[i].name);
	for (i++; i < ARRAY_LEN(commands) && !strcmp(commands[i].group, group); i++)
		fprintf(to, "|%s", commands[i].name);
	fputc('\n', to);
	return i;
}

static void print_commands(FILE *to)
{
	fputs("usage: doveadm [-Dv] [-f <formatter>] <command> [<args>]\n", to);
	for (size_t i = 0; i < ARRAY_LEN(commands);) {
		if (*commands[i].group) {
			i = print_group_line(to, i);
			continue;
		}
		fprintf(to, "  %-12s %s\n", commands[i].name, usage_of(&commands[i]));
		i++;
	}
}

static int help(int argc, char **argv)
{
	(void)argv;
	if (argc < 2) {
		print_commands(stdout);
		return 0;
	}
	execlp("man", "man", "doveadm", (char *)NULL);
	doveadm_die(EX_TEMPFAIL, "execlp(man) failed: %s", strerror(errno));
}

static int run(const struct command *command, int argc, char **argv)
{
	optind = 1;
	current = command;
	return command->run(argc, argv);
}

static int find_and_run(int argc, char **argv)
{
	bool is_group = false;

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!*commands[i].group && !strcmp(commands[i].name, argv[0]))
			return run(&commands[i], argc, argv);
		if (strcmp(commands[i].group, argv[0]) != 0)
			continue;
		is_group = true;
		if (argc > 1 && !strcmp(commands[i].name, argv[1]))
			return run(&commands[i], argc - 1, argv + 1);
	}
	if (is_group)
		print_group(stderr, argv[0]);
	else
		print_commands(stderr);
	return EX_USAGE;
}

static void take_option(int option)
{
	switch (option) {
	case 'c':
		config_path = optarg;
		break;
	case 'D':
	case 'v': /* There is nothing more to tell. */
		break;
	case 'f':
		if (doveadm_print_format(optarg))
			break;
		fprintf(stderr, "doveadm: Fatal: Unknown print formatter: %s\n", optarg);
		exit(EX_TEMPFAIL);
	default:
		exit(EXIT_OPTION);
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+c:Df:v")) != -1)
		take_option(option);
	if (optind == argc) {
		print_commands(stderr);
		return EX_USAGE;
	}
	return find_and_run(argc - optind, argv + optind);
}

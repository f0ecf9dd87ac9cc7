// SPDX-License-Identifier: BSD-2-Clause
/* dovecot: start, stop and reload the POP3 server and the authentication. */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/control.h"
#include "cmd/programs.h"
#include "cmd/version.h"
#include "conf/dovecot_conf.h"
#include "log/log.h"

#define STOP_MS	    15000
#define EXIT_CONFIG 89 /* the peer's for every fatal error */
#define EXIT_TEMP   75 /* and doveadm's, which does these things there */

struct dovecot_command {
	const char *path;
	struct dovecot_source *source;
	struct dovecot_settings *settings;
	char *pid_file;
};

static _Noreturn __attribute__((format(printf, 1, 2))) void give_up(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_FATAL, format, args);
	va_end(args);
	exit(EXIT_CONFIG);
}

static void print_error(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		log_as(NULL, LOG_LEVEL_FATAL, "Error in configuration file %s", line);
	else
		log_warning("%s", line);
}

static void open_configuration(struct dovecot_command *dc)
{
	static const struct dovecot_filter no_filter;
	struct conf_errors errors = CONF_ERRORS_INIT;

	dc->source = dovecot_source_read(dc->path, &errors);
	if (dc->source == NULL)
		give_up(
		    "Error reading configuration: stat(%s) failed: %s", dc->path, strerror(errno));
	dovecot_conf_check(dc->source, &errors);
	if (errors.error_count > 0) {
		conf_errors_each(&errors, print_error, NULL);
		exit(EXIT_CONFIG);
	}
	dc->settings = dovecot_settings_new(dc->source, &no_filter, NULL);
	dc->pid_file = xasprintf("%s/master.pid", dc->settings->base_dir);
	conf_errors_release(&errors);
}

static int start(struct dovecot_command *dc, bool foreground)
{
	pid_t pid = control_running(dc->pid_file);
	char *argv[] = { "dovecot", "-D", (char *)(uintptr_t)dc->path, foreground ? "-s" : "-w",
		NULL };

	if (pid != 0)
		give_up("Dovecot is already running with PID %ld (read from %s)", (long)pid,
		    dc->pid_file);
	programs_exec(programs_daemon("master"), argv);
}

static pid_t need_running(const struct dovecot_command *dc)
{
	pid_t pid = control_running(dc->pid_file);

	if (pid == 0) {
		log_as(
		    NULL, LOG_LEVEL_FATAL, "Dovecot is not running (read from %s)", dc->pid_file);
		exit(EXIT_TEMP);
	}
	return pid;
}

static int stop(const struct dovecot_command *dc)
{
	control_stop(dc->pid_file, need_running(dc), SIGTERM, STOP_MS);
	return 0;
}

static int reload(const struct dovecot_command *dc)
{
	control_signal(need_running(dc), SIGHUP);
	return 0;
}

static int show(const struct dovecot_command *dc, const char *how)
{
	char *argv[] = { "doveconf", (char *)(uintptr_t)how, "-c", (char *)(uintptr_t)dc->path,
		NULL };

	programs_exec(programs_command("doveconf"), argv);
}

static int usage(int status)
{
	fputs("Usage: dovecot [-F] [-c <config file>] [-p] [-n] [-a] [--help] [--version]\n"
	      "       [--build-options] [--hostdomain] [reload] [stop]\n",
	    status ? stderr : stdout);
	return status;
}

static int build_options(void)
{
	puts("Build options: ioloop=epoll openssl\n"
	     "SQL driver plugins:\n"
	     "Passdb: checkpassword pam passwd passwd-file shadow static\n"
	     "Userdb: checkpassword passwd passwd-file prefetch static");
	return 0;
}

/* The host's full name, as far as it is known. */
static int host_domain(void)
{
	const struct addrinfo hints = { .ai_flags = AI_CANONNAME };
	char name[256] = "localhost";
	struct addrinfo *found;

	(void)gethostname(name, sizeof(name) - 1);
	if (strchr(name, '.') == NULL && getaddrinfo(name, NULL, &hints, &found) == 0) {
		if (found->ai_canonname != NULL && strchr(found->ai_canonname, '.') != NULL)
			snprintf(name, sizeof(name), "%s", found->ai_canonname);
		freeaddrinfo(found);
	}
	puts(name);
	return 0;
}

/* Words that are no commands of ours are doveadm's, who says what there is. */
static _Noreturn void run_doveadm(const struct dovecot_command *dc, char **words)
{
	char *argv[] = { "doveadm", "-c", (char *)(uintptr_t)dc->path, words[0], words[1], NULL };

	programs_exec(programs_command("doveadm"), argv);
}

static void release(struct dovecot_command *dc)
{
	free(dc->pid_file);
	dovecot_settings_free(dc->settings);
	dovecot_source_free(dc->source);
}

static int run_verb(struct dovecot_command *dc, const char *verb, bool foreground)
{
	int rc;

	open_configuration(dc);
	if (verb == NULL)
		return start(dc, foreground);
	rc = strcmp(verb, "stop") == 0 ? stop(dc) : reload(dc);
	release(dc);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' }, { "build-options", no_argument, NULL, 'B' },
		{ "hostdomain", no_argument, NULL, 'D' }, { NULL, 0, NULL, 0 } };
	struct dovecot_command dc = { .path = PC_SYSCONFDIR "/dovecot/dovecot.conf" };
	int list = 0;
	bool foreground = false;
	int option;

	log_command_dovecot("dovecot");
	while ((option = getopt_long(argc, argv, "Fc:nap", options, NULL)) != -1) {
		switch (option) {
		case 'F':
			foreground = true;
			break;
		case 'c':
			dc.path = optarg;
			break;
		case 'a':
		case 'n':
			list = option;
			break;
		case 'V':
			puts(DOVECOT_VERSION);
			return 0;
		case 'B':
			return build_options();
		case 'D':
			return host_domain();
		case 'p':
			give_up("-p is not supported: the key must be there without a password");
		case 'h':
			return usage(0);
		default:
			return usage(EXIT_CONFIG);
		}
	}
	if (list != 0) {
		return show(&dc, list == 'a' ? "-a" : "-n");
	}
	if (argv[optind] != NULL && strcmp(argv[optind], "stop") != 0 &&
	    strcmp(argv[optind], "reload") != 0)
		run_doveadm(&dc, argv + optind);
	return run_verb(&dc, argv[optind], foreground);
}

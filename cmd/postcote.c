// SPDX-License-Identifier: BSD-2-Clause
/* postcote: both halves of the suite at once. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/control.h"
#include "cmd/programs.h"
#include "conf/dovecot_conf.h"
#include "conf/postfix_conf.h"
#include "log/log.h"

struct suite {
	char *postfix_dir, *dovecot_conf;
	bool has_postfix, has_dovecot; /* a half without configuration is not wanted */
};

static int run(const char *command, char *const argv[])
{
	char *path = programs_command(command);
	int status = programs_run(path, argv);

	free(path);
	return status;
}

static int run_postfix(const struct suite *suite, char *verb)
{
	char *argv[] = { "postfix", "-c", suite->postfix_dir, verb, NULL };

	return run("postfix", argv);
}

static int run_dovecot(const struct suite *suite, char *verb)
{
	char *argv[] = { "dovecot", "-c", suite->dovecot_conf, verb, NULL };

	return run("dovecot", argv);
}

static void print_problem(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		log_error("%s", line);
}

static bool dovecot_conf_is_good(const struct suite *suite)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct dovecot_source *source = dovecot_source_read(suite->dovecot_conf, &errors);
	bool good;

	if (source == NULL) {
		log_error("open %s: %s", suite->dovecot_conf, strerror(errno));
		conf_errors_release(&errors);
		return false;
	}
	dovecot_conf_check(source, &errors);
	good = errors.error_count == 0;
	if (!good)
		conf_errors_each(&errors, print_problem, NULL);
	conf_errors_release(&errors);
	dovecot_source_free(source);
	return good;
}

/*
 * Postfix first: its spool has the directory where Dovecot makes the socket for smtpd.  But errors
 * of both configurations come at once, and then neither starts.
 */
static int start(const struct suite *suite)
{
	int status = 0;

	if (suite->has_dovecot && !dovecot_conf_is_good(suite)) {
		if (suite->has_postfix)
			(void)run_postfix(suite, "check");
		return 1;
	}
	if (suite->has_postfix)
		status = run_postfix(suite, "start");
	if (status == 0 && suite->has_dovecot)
		status = run_dovecot(suite, NULL);
	return status;
}

static int both(const struct suite *suite, char *verb)
{
	int status = 0;

	if (suite->has_postfix)
		status = run_postfix(suite, verb);
	if (suite->has_dovecot) {
		int second = run_dovecot(suite, verb);

		status = status ? status : second;
	}
	return status;
}

static int stop(const struct suite *suite)
{
	return both(suite, "stop");
}

static int reload(const struct suite *suite)
{
	return both(suite, "reload");
}

static char *postfix_pid_file(const struct suite *suite)
{
	struct postfix_source *source = postfix_source_read(suite->postfix_dir, NULL);
	struct postfix_params *params;
	char *path;

	if (source == NULL)
		return xstrdup("");
	params = postfix_params_new(source, NULL, NULL);
	path = xasprintf("%s/pid/master.pid", params->queue_directory);
	postfix_params_free(params);
	postfix_source_free(source);
	return path;
}

static char *dovecot_pid_file(const struct suite *suite)
{
	static const struct dovecot_filter no_filter;
	struct dovecot_source *source = dovecot_source_read(suite->dovecot_conf, NULL);
	struct dovecot_settings *settings;
	char *path;

	if (source == NULL)
		return xstrdup("");
	settings = dovecot_settings_new(source, &no_filter, NULL);
	path = xasprintf("%s/master.pid", settings->base_dir);
	dovecot_settings_free(settings);
	dovecot_source_free(source);
	return path;
}

/* 0 when it runs. */
static int print_status(const char *name, char *pid_file)
{
	pid_t pid = control_running(pid_file);

	free(pid_file);
	if (pid != 0)
		printf("%s is running: PID: %ld\n", name, (long)pid);
	else
		printf("%s is not running\n", name);
	return pid == 0;
}

static int status(const struct suite *suite)
{
	int missing = 0;

	if (suite->has_postfix)
		missing |= print_status("postfix", postfix_pid_file(suite));
	if (suite->has_dovecot)
		missing |= print_status("dovecot", dovecot_pid_file(suite));
	return missing;
}

static int version(const struct suite *suite)
{
	(void)suite;
	puts("Postcote " PACKAGE_VERSION);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct suite *suite);
	bool needs_configuration;
} verbs[] = {
	{ "start", start, true },
	{ "stop", stop, true },
	{ "reload", reload, true },
	{ "status", status, true },
	{ "version", version, false },
};

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: postcote start|stop|reload|status|version [-c DIR]\n");
	exit(1);
}

static void find_configuration(struct suite *suite, const char *dir)
{
	char *main_cf = xasprintf("%s/postfix/main.cf", dir);

	suite->postfix_dir = xasprintf("%s/postfix", dir);
	suite->dovecot_conf = xasprintf("%s/dovecot/dovecot.conf", dir);
	suite->has_postfix = access(main_cf, F_OK) == 0;
	suite->has_dovecot = access(suite->dovecot_conf, F_OK) == 0;
	if (!suite->has_postfix && !suite->has_dovecot)
		fatal("neither %s nor %s is there", main_cf, suite->dovecot_conf);
	free(main_cf);
}

int main(int argc, char **argv)
{
	const char *dir = PC_SYSCONFDIR;
	struct suite suite = { 0 };
	int option, rc;

	log_command("postcote");
	while ((option = getopt(argc, argv, "c:")) != -1) {
		if (option != 'c')
			usage();
		dir = optarg;
	}
	if (optind + 1 != argc)
		usage();
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].name, argv[optind]) != 0)
			continue;
		if (verbs[i].needs_configuration)
			find_configuration(&suite, dir);
		rc = verbs[i].run(&suite);
		free(suite.postfix_dir);
		free(suite.dovecot_conf);
		return rc;
	}
	usage();
}

// SPDX-License-Identifier: BSD-2-Clause
/* postfix: start, stop and look after the mail system. */
#include "cmd/postfix.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/command_log.h"
#include "cmd/control.h"
#include "cmd/programs.h"
#include "log/log.h"
#include "table/table_build.h"

#define LOG_NAME      "postfix/postfix-script"
#define LOG_NAME_SIZE 200
#define STOP_GRACE_MS 10000
#define WRAPPER_WORDS 20

static void open_configuration(struct postfix_command *pf)
{
	pf->source = postfix_source_read(pf->dir, &pf->errors);
	if (pf->source == NULL)
		fatal("open %s/main.cf: %s", pf->dir, strerror(errno));
	pf->params = postfix_params_new(pf->source, NULL, &pf->errors);
	pf->pid_file = xasprintf("%s/pid/master.pid", pf->params->queue_directory);
}

static void open_log(const struct postfix_command *pf)
{
	/* One of several instances logs under its own name. */
	static char tag[LOG_NAME_SIZE];
	const struct command_log to = { .tag = tag, .stderr_name = tag, .to_stderr = true };

	snprintf(tag, sizeof(tag), "%s/postfix-script", pf->params->syslog_name);
	(void)command_log_open(pf->params, &to);
}

static pid_t need_running(const struct postfix_command *pf)
{
	pid_t pid = control_running(pf->pid_file);

	if (pid == 0)
		fatal("the Postfix mail system is not running");
	return pid;
}

static void print_error(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		log_error("%s", line);
}

/* All of them at once, before anything is touched. */
static void need_sound_configuration(struct postfix_command *pf, const char *what)
{
	postfix_conf_check(pf->source, &pf->errors);
	if (pf->errors.error_count == 0)
		return;
	conf_errors_each(&pf->errors, print_error, NULL);
	fatal("the configuration has errors, %s", what);
}

/*
 * Defaults may name a table, too.  Names come sorted, so alias_database, which says of /etc/aliases
 * what it is, comes before all others that name the same file.
 */
static void build_tables_of(
    const struct postfix_source *source, const struct postfix_params *params)
{
	for (size_t i = 0; i < postfix_param_count(); i++) {
		const char *name = postfix_param_row(i)->name;
		const char *value = postfix_param_lookup(params, name);

		if (value != NULL)
			table_build_missing(value, strncmp(name, "alias_", 6) == 0);
	}
	/* Restriction classes are no parameters of ours. */
	for (size_t i = 0; i < postfix_source_set_count(source); i++) {
		const char *name = postfix_source_set_name(source, i);
		const char *value = postfix_param_lookup(params, name);

		if (value != NULL && postfix_param_find(name) == NULL)
			table_build_missing(value, false);
	}
}

/* An entry of master.cf may have tables of its own. */
static void build_tables(const struct postfix_command *pf)
{
	build_tables_of(pf->source, pf->params);
	for (size_t i = 0; i < postfix_service_count(pf->source); i++) {
		const struct postfix_service *entry = postfix_service_at(pf->source, i);
		struct postfix_params *role;

		if (entry->override_count == 0)
			continue;
		role = postfix_params_new(pf->source, entry, NULL);
		build_tables_of(pf->source, role);
		postfix_params_free(role);
	}
}

static int exec_master(const struct postfix_command *pf, const char *option)
{
	char *path = programs_daemon("master");
	char *argv[6] = { "master", "-c", (char *)(uintptr_t)pf->dir, (char *)(uintptr_t)option,
		pf->verbose ? "-v" : NULL, NULL };

	programs_exec(path, argv);
}

static int start(struct postfix_command *pf)
{
	if (control_running(pf->pid_file) != 0)
		fatal("the Postfix mail system is already running");
	need_sound_configuration(pf, "not started");
	build_tables(pf);
	log_info("starting the Postfix mail system");
	return exec_master(pf, "-w");
}

static int start_foreground(struct postfix_command *pf)
{
	if (control_running(pf->pid_file) != 0)
		fatal("the Postfix mail system is already running");
	need_sound_configuration(pf, "not started");
	build_tables(pf);
	log_info("starting the Postfix mail system");
	return exec_master(pf, getpid() == 1 ? "-i" : "-s");
}

static int stop(struct postfix_command *pf)
{
	pid_t pid = need_running(pf);

	log_info("stopping the Postfix mail system");
	control_stop(
	    pf->pid_file, pid, SIGTERM, pf->params->postcote_stop_timeout * 1000 + STOP_GRACE_MS);
	return 0;
}

static int abort_now(struct postfix_command *pf)
{
	pid_t pid = need_running(pf);

	log_info("aborting the Postfix mail system");
	control_stop(pf->pid_file, pid, SIGQUIT, STOP_GRACE_MS);
	return 0;
}

static int reload(struct postfix_command *pf)
{
	pid_t pid = need_running(pf);

	need_sound_configuration(pf, "not reloaded");
	build_tables(pf);
	log_info("refreshing the Postfix mail system");
	control_signal(pid, SIGHUP);
	return 0;
}

static int status(struct postfix_command *pf)
{
	pid_t pid = control_running(pf->pid_file);

	if (pid == 0) {
		log_info("the Postfix mail system is not running");
		return 1;
	}
	log_info("the Postfix mail system is running: PID: %ld", (long)pid);
	return 0;
}

static int flush(struct postfix_command *pf)
{
	char *argv[] = { "postqueue", "-c", (char *)(uintptr_t)pf->dir, "-f", NULL };

	(void)need_running(pf);
	programs_exec(programs_command("postqueue"), argv);
}

static const struct {
	const char *name;
	int (*run)(struct postfix_command *pf);
	bool has_arguments;
} verbs[] = {
	{ "start", start, false },
	{ "start-fg", start_foreground, false },
	{ "stop", stop, false },
	{ "abort", abort_now, false },
	{ "reload", reload, false },
	{ "status", status, false },
	{ "flush", flush, false },
	{ "check", postfix_check, false },
	{ "logrotate", postfix_logrotate, false },
	{ "set-permissions", postfix_set_permissions, true },
	{ "upgrade-configuration", postfix_upgrade_configuration, false },
};

static _Noreturn void usage(void)
{
	fatal("usage: postfix [-c config_dir] [-Dv] command");
}

static void release(struct postfix_command *pf)
{
	free(pf->pid_file);
	postfix_params_free(pf->params);
	postfix_source_free(pf->source);
	conf_errors_release(&pf->errors);
}

/* What the peer's command can do, and we cannot yet. */
static bool is_absent_verb(const char *verb)
{
	static const char *const absent[] = { "non-bdb", "post-install", "tls" };

	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		if (strcmp(absent[i], verb) == 0)
			return true;
	return false;
}

static int run_verb(struct postfix_command *pf, const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		int rc;

		if (strcmp(verbs[i].name, verb) != 0)
			continue;
		if (pf->rest[0] != NULL && !verbs[i].has_arguments)
			usage();
		open_configuration(pf);
		open_log(pf);
		rc = verbs[i].run(pf);
		release(pf);
		return rc;
	}
	log_command(LOG_NAME);
	if (is_absent_verb(verb))
		fatal("%s: not supported yet", verb);
	log_error("unknown command: '%s'", verb);
	fatal("usage: postfix start (or stop, reload, abort, flush, check, status, start-fg)");
}

/*
 * With several instances the command acts on all of them, unless it is told which one: the wrapper,
 * usually postmulti, runs it again for each.  Does not return when there is one.
 */
static void run_wrapper(const struct postfix_command *pf, char **args)
{
	struct postfix_source *source = postfix_source_read(pf->dir, NULL);
	struct postfix_params *params = source ? postfix_params_new(source, NULL, NULL) : NULL;
	const char *rest = params ? params->multi_instance_wrapper : "";
	struct strbuf word = STRBUF_INIT(4096);
	char **argv;
	size_t count = 0, arg_count = 0;

	while (args[arg_count] != NULL)
		arg_count++;
	argv = xcalloc(WRAPPER_WORDS + arg_count + 1, sizeof(*argv));

	while (count < WRAPPER_WORDS && postfix_list_next(&rest, &word))
		argv[count++] = xstrdup(word.ptr);
	if (rest[0] != '\0')
		fatal("multi_instance_wrapper: more than %d words", WRAPPER_WORDS);
	strbuf_release(&word);
	postfix_params_free(params);
	postfix_source_free(source);
	if (count == 0) {
		free(argv);
		return;
	}
	memcpy(argv + count, args, arg_count * sizeof(*argv));
	programs_exec(argv[0], argv);
}

int main(int argc, char **argv)
{
	struct postfix_command pf = { .errors = CONF_ERRORS_INIT };
	const char *dir = NULL;
	int option;

	log_command("postfix");
	while ((option = getopt(argc, argv, "c:Dv")) != -1) {
		switch (option) {
		case 'c':
			dir = optarg;
			break;
		case 'D':
			log_warning(
			    "-D: there is no debugger to start here, use ptrace on the process");
			break;
		case 'v':
			pf.verbose = true;
			break;
		default:
			usage();
		}
	}
	if (optind == argc)
		usage();
	pf.dir = postfix_conf_dir(dir);
	pf.rest = argv + optind + 1;
	if (dir == NULL && getenv("MAIL_CONFIG") == NULL)
		run_wrapper(&pf, argv + optind);
	return run_verb(&pf, argv[optind]);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Start: plan, pid file, directories, sockets, then processes.  Before anything is touched
 * all errors of the configuration are out.  Afterwards signals are all that master hears.
 */
#include "config.h"

#include "master/run.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "log/log_ring.h"
#include "master/supervisor.h"
#include "server/pid_file.h"

#define DOVECOT_VERSION "2.3.21"
#define ORPHANS_MS	5000

static bool debug;

static bool is_postfix(void)
{
	return master.language == MASTER_POSTFIX;
}

static void emit_error(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		log_error("%s", line);
}

static void emit_warning(enum conf_severity severity, const char *line, void *arg)
{
	(void)severity;
	(void)arg;
	log_warning("%s", line);
}

static struct generation *make_plan(void)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct generation *g = is_postfix() ? plan_postfix(&errors) : plan_dovecot(&errors);

	if (g == NULL) {
		if (errors.error_count == 0)
			log_error("open %s: %s", master.config, strerror(errno));
		conf_errors_each(&errors, emit_error, NULL);
	}
	conf_errors_release(&errors);
	return g;
}

int run_test(void)
{
	struct generation *g = make_plan();
	char *path;
	bool running;

	if (g == NULL)
		fatal("the configuration has errors");
	path = xasprintf("%s%s/master.pid", g->directory, is_postfix() ? "/pid" : "");
	running = pid_file_is_locked(path);
	free(path);
	return running;
}

static void log_started(const struct generation *g, const char *what)
{
	if (is_postfix())
		log_info("%s -- version %s, configuration %s (Postcote %s)", what,
		    g->params->mail_version, master.config, PACKAGE_VERSION);
	else
		log_info("Dovecot v%s (Postcote %s) starting up for %s (core dumps disabled)",
		    DOVECOT_VERSION, PACKAGE_VERSION, g->protocols);
}

static void log_user(void)
{
	const struct passwd *user = getpwuid(geteuid());

	if (!master.as_root)
		log_info("not started by root: all processes run as %s, which is one wall less",
		    user == NULL ? "one user" : user->pw_name);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* A directory that daemons of two generations would disagree about needs a restart. */
static bool can_take_over(const struct generation *g)
{
	if (strcmp(g->directory, master.current->directory) == 0)
		return true;
	log_error("%s changed from %s to %s: this needs a stop and a start",
	    is_postfix() ? "queue_directory" : "base_dir", master.current->directory, g->directory);
	return false;
}

static bool same_log(const struct generation *a, const struct generation *b)
{
	return same_text(a->log_path, b->log_path) &&
	       same_text(a->info_log_path, b->info_log_path) &&
	       same_text(a->debug_log_path, b->debug_log_path) &&
	       same_text(a->log_timestamp, b->log_timestamp) && same_text(a->facility, b->facility);
}

static void on_reload(int signo, void *arg)
{
	struct generation *g;
	const char *failed;

	(void)signo;
	(void)arg;
	if (master.stopping)
		return;
	if (!is_postfix())
		log_warning("SIGHUP received - reloading configuration");
	g = make_plan();
	if (g != NULL && !can_take_over(g)) {
		generation_free(g);
		g = NULL;
	}
	if (g == NULL) {
		log_error("reload: the configuration has errors, the old one stays in force");
		return;
	}
	if (!same_log(g, master.current)) {
		if (!master_log_open(g, false, debug, &failed))
			log_error("open logfile %s: %s", failed, strerror(errno));
	} else {
		master_log_reopen();
	}
	if (is_postfix())
		log_started(g, "reload");
	conf_errors_each(&g->findings, emit_warning, NULL);
	(void)generation_open_sockets(g);
	generation_install(g);
}

static void on_stop(int signo, void *arg)
{
	const struct signalfd_siginfo *info = loop_siginfo(master.loop);
	/* SIGQUIT is "postfix abort"; a second signal is impatience. */
	int64_t timeout_ms =
	    signo == SIGQUIT || master.stopping ? 0 : master.current->stop_timeout_ms;

	(void)arg;
	if (is_postfix())
		log_info("terminating on signal %d", signo);
	else
		log_warning("Killed with signal %d (by pid=%u uid=%u code=%s)", signo,
		    info->ssi_pid, info->ssi_uid, info->ssi_code == SI_USER ? "kill" : "kernel");
	generation_stop_all(timeout_ms);
}

static void on_reopen(int signo, void *arg)
{
	(void)signo;
	(void)arg;
	master_log_reopen();
}

static void on_child(int signo, void *arg)
{
	(void)signo;
	(void)arg;
	process_reap();
}

static void take_signals(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	loop_signal(master.loop, SIGHUP, on_reload, NULL);
	loop_signal(master.loop, SIGTERM, on_stop, NULL);
	loop_signal(master.loop, SIGINT, on_stop, NULL);
	loop_signal(master.loop, SIGQUIT, on_stop, NULL);
	loop_signal(master.loop, SIGUSR1, on_reopen, NULL);
	loop_signal(master.loop, SIGCHLD, on_child, NULL);
}

static void kill_children(void)
{
	char path[64];
	FILE *list;
	long pid;

	snprintf(path, sizeof(path), "/proc/self/task/%ld/children", (long)getpid());
	list = fopen(path, "re");
	if (list == NULL)
		return;
	while (fscanf(list, "%ld", &pid) == 1)
		kill((pid_t)pid, SIGKILL);
	fclose(list);
}

/* Children of daemons come to us when their parents are gone; when they are too, all is over. */
static void wait_for_orphans(void)
{
	int64_t deadline = deadline_in(master.stop_timeout_ms > 0 ? ORPHANS_MS : 0);
	const struct timespec pause = { .tv_nsec = 2000000 };
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid > 0)
			continue;
		if (deadline_left(deadline) == 0)
			kill_children();
		nanosleep(&pause, NULL);
	}
}

/* Nobody serves less because "doveadm log errors" has nothing to show. */
static void keep_errors(void)
{
	master.errors_fd = log_ring_create();
	master.errors = master.errors_fd < 0 ? NULL : log_ring_attach(master.errors_fd);
	log_keep(master.errors);
}

static void start(const struct run_options *options)
{
	struct generation *g = make_plan();
	const char *failed;

	if (g == NULL)
		fatal("the configuration has errors, not started");
	if (options->wait) {
		background_begin();
		master.started = background_ready;
	}
	if (is_postfix())
		spool_prepare(g);
	else
		base_dir_prepare(g);
	if (chdir(g->directory) < 0)
		fatal("change directory to %s: %s", g->directory, strerror(errno));
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!master_log_open(g, options->wait, debug, &failed))
		fatal(is_postfix() ? "open logfile %s: %s" : "Can't open log file %s: %s", failed,
		    strerror(errno));
	if (!is_postfix())
		keep_errors();
	master.loop = loop_new();
	take_signals();
	if (!generation_open_sockets(g))
		fatal("not started");
	daemon_output_open();
	if (!is_postfix())
		status_open(g);
	if (g->absent != NULL)
		log_warning("%s", g->absent);
	conf_errors_each(&g->findings, emit_warning, NULL);
	/* From here on the terminal hears what does not start, and nothing else. */
	(void)master_log_open(g, false, debug, &failed);
	log_started(g, "daemon started");
	log_user();
	generation_install(g);
}

int run(const struct run_options *options)
{
	debug = options->debug;
	start(options);
	loop_run(master.loop);
	wait_for_orphans();
	held_close_all();
	status_close();
	if (!is_postfix())
		base_dir_leave(master.current);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/* doveadm reload and stop: signals to the master that runs. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/control.h"
#include "cmd/doveadm.h"

#define STOP_MS (10 * 1000)

/* The pid of the master that runs; a number that was left in the file is somebody else's. */
static pid_t running_master(const char *path)
{
	pid_t pid = control_running(path);

	if (pid > 1)
		return pid;
	if (access(path, R_OK) < 0 && errno != ENOENT)
		doveadm_die(EX_TEMPFAIL, "open(%s) failed: %s", path, strerror(errno));
	doveadm_die(EX_TEMPFAIL, "Dovecot is not running (read from %s)", path);
}

static void send_signal(pid_t pid, int signo)
{
	if (kill(pid, signo) < 0)
		doveadm_die(errno == EPERM ? EX_NOPERM : EX_TEMPFAIL, "kill(%ld) failed: %s",
		    (long)pid, strerror(errno));
}

static char *pid_path(const struct dovecot_settings *settings)
{
	return xasprintf("%s/master.pid", settings->base_dir);
}

void doveadm_signal_master(const struct dovecot_settings *settings, int signo)
{
	char *path = pid_path(settings);

	send_signal(running_master(path), signo);
	free(path);
}

int doveadm_reload(int argc, char **argv)
{
	struct dovecot_settings *settings;

	doveadm_no_arguments(argc, argv);
	settings = doveadm_settings(NULL);
	doveadm_signal_master(settings, SIGHUP);
	dovecot_settings_free(settings);
	return 0;
}

/* Returns when the instance is gone, so that a start may follow at once. */
int doveadm_stop(int argc, char **argv)
{
	struct dovecot_settings *settings;
	char *path;
	pid_t pid;

	doveadm_no_arguments(argc, argv);
	settings = doveadm_settings(NULL);
	path = pid_path(settings);
	pid = running_master(path);
	send_signal(pid, SIGTERM);
	if (!control_wait_end(path, pid, deadline_in(STOP_MS)))
		doveadm_die(EX_TEMPFAIL, "process %ld does not stop", (long)pid);
	free(path);
	dovecot_settings_free(settings);
	return 0;
}

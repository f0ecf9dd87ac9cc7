// SPDX-License-Identifier: BSD-2-Clause
/* doveadm reload and stop: signals to the master that runs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/doveadm.h"
#include "sys/file.h"

#define STOP_MS (10 * 1000)

/* The pid of the master that runs. */
static pid_t running_master(const char *path)
{
	struct strbuf text = STRBUF_INIT(100);
	uint64_t pid = 0;

	if (file_read(AT_FDCWD, path, &text) < 0 && errno != ENOENT)
		doveadm_die(EX_TEMPFAIL, "open(%s) failed: %s", path, strerror(errno));
	if (!slice_uint(slice_trim(strbuf_slice(&text), " \n"), INT32_MAX, &pid) || pid < 2 ||
	    (kill((pid_t)pid, 0) < 0 && errno == ESRCH))
		doveadm_die(EX_TEMPFAIL, "Dovecot is not running (read from %s)", path);
	strbuf_release(&text);
	return (pid_t)pid;
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
	const struct timespec pause = { 0, 20 * 1000 * 1000 };
	int64_t deadline = deadline_in(STOP_MS);
	struct dovecot_settings *settings;
	char *path;
	pid_t pid;

	doveadm_no_arguments(argc, argv);
	settings = doveadm_settings(NULL);
	path = pid_path(settings);
	pid = running_master(path);
	send_signal(pid, SIGTERM);
	/* Its pid lives on while nobody has waited for it; the file goes with it. */
	while (kill(pid, 0) == 0 && access(path, F_OK) == 0) {
		if (deadline_left(deadline) == 0)
			doveadm_die(EX_TEMPFAIL, "process %ld does not stop", (long)pid);
		nanosleep(&pause, NULL);
	}
	free(path);
	dovecot_settings_free(settings);
	return 0;
}

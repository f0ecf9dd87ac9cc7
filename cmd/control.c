// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"
#include "server/pid_file.h"

#define HARDER_MS 5000
#define EXIT_MS	  2000

pid_t control_running(const char *pid_file)
{
	return pid_file_is_locked(pid_file) ? pid_file_read(pid_file) : 0;
}

void control_signal(pid_t pid, int signo)
{
	if (pid <= 1)
		fatal("there is no process number in the pid file");
	if (kill(pid, signo) < 0 && errno != ESRCH)
		fatal("cannot send a signal to process %ld: %s", (long)pid, strerror(errno));
}

/* A zombie counts as gone: its parent may never look at it. */
static bool is_gone(pid_t pid)
{
	char path[64], exe[8];

	snprintf(path, sizeof(path), "/proc/%ld/exe", (long)pid);
	return readlink(path, exe, sizeof(exe)) < 0 && errno == ENOENT;
}

bool control_wait_end(const char *pid_file, pid_t pid, int64_t deadline)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	int64_t exit_deadline;

	while (pid_file_is_locked(pid_file)) {
		if (deadline_left(deadline) == 0)
			return false;
		nanosleep(&pause, NULL);
	}
	/* It has let go of everything and is about to exit. */
	exit_deadline = deadline_in(EXIT_MS);
	while (!is_gone(pid) && deadline_left(exit_deadline) > 0)
		nanosleep(&pause, NULL);
	return true;
}

void control_stop(const char *pid_file, pid_t pid, int signo, int64_t patience_ms)
{
	control_signal(pid, signo);
	if (control_wait_end(pid_file, pid, deadline_in(patience_ms)))
		return;
	/* master kills its processes; and daemons without a master end by themselves. */
	control_signal(pid, SIGQUIT);
	if (control_wait_end(pid_file, pid, deadline_in(HARDER_MS)))
		return;
	control_signal(pid, SIGKILL);
	if (!control_wait_end(pid_file, pid, deadline_in(HARDER_MS)))
		fatal("process %ld does not end", (long)pid);
}

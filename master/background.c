// SPDX-License-Identifier: BSD-2-Clause
/*
 * The start as the caller sees it: the command returns when the suite serves, or after it has said
 * on standard error why it does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "log/log.h"
#include "master/run.h"
#include "master/supervisor.h"

#define START_MS 100000

static bool wait_readable(int fd, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int rc;

	do
		rc = poll(&pfd, 1, deadline_left(deadline));
	while (rc < 0 && errno == EINTR);
	return rc > 0;
}

/* Lines that are not "ready" are for whoever reads standard error. */
static int wait_for_ready(int fd, pid_t pid)
{
	int64_t deadline = deadline_in(START_MS);
	FILE *lines = fdopen(fd, "r");
	char line[512];
	int status;

	for (;;) {
		if (!wait_readable(fd, deadline)) {
			log_warning("not ready after %d s; still starting", START_MS / 1000);
			return 1;
		}
		/* master writes all its lines at once, so that none waits in stdio unseen. */
		if (lines == NULL || fgets(line, sizeof(line), lines) == NULL)
			break;
		do {
			if (strcmp(line, "ready\n") == 0)
				return 0;
			fputs(line, stderr);
		} while (fgets(line, sizeof(line), lines) != NULL);
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 0)
		return WEXITSTATUS(status);
	return 1;
}

void background_begin(void)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		fatal("cannot start in the background: %s", strerror(errno));
	if (pid > 0) {
		close(ends[1]);
		_exit(wait_for_ready(ends[0], pid));
	}
	close(ends[0]);
	(void)setsid();
	master.ready_fd = ends[1];
}

void background_ready(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		close(null);
}

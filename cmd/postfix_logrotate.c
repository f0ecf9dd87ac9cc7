// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/slice.h"
#include "cmd/command_log.h"
#include "cmd/control.h"
#include "cmd/postfix.h"
#include "log/log.h"

/* The processes of the suite turn to the new file within this time. */
#define REOPEN_MS (10 * 1000)
#define POLL_US	  (20 * 1000)
#define ARGS_MAX  32

/* The format is the administrator's; strftime(3) writes no more than it may, whatever it says. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static bool make_suffix(char *out, size_t size, const char *format, const struct tm *time)
{
	return strftime(out, size, format, time) > 0;
}
#pragma GCC diagnostic pop

static char *rotated_name(const struct postfix_params *params)
{
	time_t now = time(NULL);
	char suffix[256];
	struct tm local;

	localtime_r(&now, &local);
	if (!make_suffix(suffix, sizeof(suffix), params->maillog_file_rotate_suffix, &local))
		fatal("maillog_file_rotate_suffix: %s makes no suffix, or a too long one",
		    params->maillog_file_rotate_suffix);
	if (strchr(suffix, '/') != NULL)
		fatal("maillog_file_rotate_suffix: %s makes a path", suffix);
	return xasprintf("%s.%s", params->maillog_file, suffix);
}

/* A file that is there already is somebody's log. */
static void give_name(const char *path, const char *rotated)
{
	if (link(path, rotated) == 0 && unlink(path) == 0)
		return;
	fatal("logfile '%s' rotation failed: %s: %s", path, rotated, strerror(errno));
}

static bool wait_for_file(const char *path, int64_t deadline)
{
	struct stat st;

	while (stat(path, &st) < 0) {
		if (clock_ms() > deadline)
			return false;
		usleep(POLL_US);
	}
	return true;
}

/* The kernel gives a read lease on a file that nobody has open for writing (fcntl(2)). */
static bool wait_for_writers(int fd, int64_t deadline)
{
	while (fcntl(fd, F_SETLEASE, F_RDLCK) < 0) {
		if (clock_ms() > deadline)
			return false;
		usleep(POLL_US);
	}
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

static void compress(const char *command, const char *path)
{
	struct arena arena = ARENA_INIT;
	struct slice rest = slice_of(command), word;
	char *argv[ARGS_MAX + 2];
	size_t n = 0;
	pid_t pid;
	int status = 0, rc;

	while (n < ARGS_MAX && slice_token(&rest, " \t", &word))
		argv[n++] = arena_slicedup(&arena, word);
	if (n == 0)
		goto end;
	argv[n++] = arena_strdup(&arena, path);
	argv[n] = NULL;
	rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (rc != 0)
		fatal("maillog_file_compressor: %s: %s", argv[0], strerror(rc));
	while (waitpid(pid, &status, 0) < 0)
		ASSERT(errno == EINTR);
	if (status != 0)
		fatal(
		    "maillog_file_compressor: %s failed, the old log is left as %s", argv[0], path);
end:
	arena_release(&arena);
}

int postfix_logrotate(struct postfix_command *pf)
{
	const struct postfix_params *params = pf->params;
	const char *path = params->maillog_file;
	pid_t pid = control_running(pf->pid_file);
	int64_t deadline = deadline_in(REOPEN_MS);
	char *rotated;
	int fd;

	if (*path == '\0')
		fatal("parameter maillog_file is empty: there is no logfile to rotate");
	if (strncmp(path, "/dev/", strlen("/dev/")) == 0)
		fatal("'%s' is no file that can be rotated", path);
	rotated = rotated_name(params);
	give_name(path, rotated);
	fd = open(rotated, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		fatal("open %s: %s", rotated, strerror(errno));
	/* We are not to be among those who hold the old one. */
	command_log_close("postfix/postfix-script");
	if (pid != 0) {
		control_signal(pid, SIGUSR1);
		if (!wait_for_file(path, deadline))
			fatal("the mail system has not begun a new %s, the old one is %s", path,
			    rotated);
	}
	if (!wait_for_writers(fd, deadline))
		fatal("%s is still written to, and not compressed", rotated);
	close(fd);
	compress(params->maillog_file_compressor, rotated);
	free(rotated);
	return 0;
}

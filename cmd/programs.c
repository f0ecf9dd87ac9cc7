// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "sys/file.h"

/* RELATIVE to our own directory when it is there, else where "make install" put it. */
static char *find(const char *relative, const char *installed, const char *name)
{
	char *own = self_directory();
	char *path = xasprintf("%s/%s/%s", own == NULL ? "." : own, relative, name);

	free(own);
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return xasprintf("%s/%s", installed, name);
}

char *programs_command(const char *name)
{
	return find(".", PC_SBINDIR, name);
}

char *programs_daemon(const char *name)
{
	return find("../libexec/postcote", PC_LIBEXECDIR, name);
}

void programs_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

_Noreturn void programs_exec(const char *path, char *const argv[])
{
	execv(path, argv);
	fatal("cannot run %s: %s", path, strerror(errno));
}

int programs_run(const char *path, char *const argv[])
{
	int rc, status;
	pid_t pid;

	rc = posix_spawn(&pid, path, NULL, NULL, argv, environ);
	if (rc != 0) {
		log_error("cannot run %s: %s", path, strerror(rc));
		return 1;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

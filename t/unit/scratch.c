// SPDX-License-Identifier: BSD-2-Clause
#include "scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

static char directory[256];
static int directory_fd = -1;
static pid_t owner;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Children that exit leave it to the program itself. */
static void remove_directory(void)
{
	if (getpid() == owner)
		nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int scratch_fd(void)
{
	const char *tmp = getenv("TMPDIR");

	if (directory_fd != -1)
		return directory_fd;
	snprintf(directory, sizeof(directory), "%s/postcote-test.XXXXXX", tmp ? tmp : "/tmp");
	ASSERT(mkdtemp(directory));
	ASSERT(chmod(directory, 0755) == 0);
	owner = getpid();
	atexit(remove_directory);
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT(directory_fd != -1);
	return directory_fd;
}

const char *scratch_path(const char *name)
{
	static char path[sizeof(directory) + 512];

	scratch_fd();
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

int scratch_proc_fd(void)
{
	static int fd = -1;
	static pid_t of;

	if (of != getpid()) {
		fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		of = getpid();
	}
	ASSERT(fd != -1);
	return fd;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * For LD_PRELOAD: a sync of a file or directory that belongs to the user UID takes MS more
 * milliseconds (SLOWSYNC=MS:UID in the environment), as on a slow disk; other syncs are as ever.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int delay_ms;
static unsigned owner;

__attribute__((constructor)) static void read_setting(void)
{
	const char *text = getenv("SLOWSYNC");

	if (text == NULL || sscanf(text, "%d:%u", &delay_ms, &owner) != 2)
		delay_ms = 0;
}

static int slow(const char *name, int fd)
{
	int (*next)(int fd) = (int (*)(int))dlsym(RTLD_NEXT, name);
	struct stat st;

	if (delay_ms > 0 && fstat(fd, &st) == 0 && st.st_uid == owner)
		poll(NULL, 0, delay_ms);
	return next(fd);
}

int fsync(int fd)
{
	return slow("fsync", fd);
}

int fdatasync(int fd)
{
	return slow("fdatasync", fd);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * postlock: runs a command while a mailbox file is locked, in the ways that mailbox_delivery_lock
 * names: dotlock first, then those of the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/programs.h"
#include "cmd/queue_client.h"
#include "log/log.h"

#define NO_LOCK_STATUS 75

enum style { STYLE_FLOCK = 1, STYLE_FCNTL = 2, STYLE_DOTLOCK = 4 };

static const struct {
	const char *name;
	enum style style;
} styles[] = {
	{ "flock", STYLE_FLOCK },
	{ "fcntl", STYLE_FCNTL },
	{ "dotlock", STYLE_DOTLOCK },
};

static const struct postfix_params *params;
static char *dotlock; /* its path, while it is ours */

static unsigned parse_styles(const char *names)
{
	struct strbuf name = STRBUF_INIT(100);
	const char *rest = names;
	unsigned mask = 0;

	while (postfix_list_next(&rest, &name)) {
		size_t i = 0;

		while (i < ARRAY_LEN(styles) && strcasecmp(styles[i].name, name.ptr) != 0)
			i++;
		if (i == ARRAY_LEN(styles))
			queue_client_fatal(
			    "unknown lock_style value \"%s\" in \"%s\"", name.ptr, names);
		mask |= styles[i].style;
		strbuf_reset(&name);
	}
	strbuf_release(&name);
	return mask;
}

static void unlock(void)
{
	if (dotlock)
		unlink(dotlock);
}

/* A lock file that is older than stale_lock_time has lost its owner. */
static bool remove_stale(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_mtime < time(NULL) - params->stale_lock_time &&
	       unlink(path) == 0;
}

static void lock_dot(const char *folder)
{
	char *path = xasprintf("%s.lock", folder);
	int fd = -1;

	for (long tries = 1; fd == -1; tries++) {
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
		if (fd != -1 || (errno == EEXIST && remove_stale(path)))
			continue;
		if (errno != EEXIST || tries >= params->deliver_lock_attempts)
			queue_client_fatal("open file %s: unable to create lock file %s: %s",
			    folder, path, strerror(errno));
		sleep((unsigned)params->deliver_lock_delay);
	}
	close(fd);
	dotlock = path;
	atexit(unlock);
}

static int try_kernel(int fd, enum style style)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return style == STYLE_FLOCK ? flock(fd, LOCK_EX | LOCK_NB) : fcntl(fd, F_SETLK, &lock);
}

static void lock_kernel(int fd, const char *folder, enum style style)
{
	for (long tries = 1; try_kernel(fd, style) == -1; tries++) {
		if (tries >= params->deliver_lock_attempts)
			queue_client_fatal("open file %s: unable to lock for exclusive access: %s",
			    folder, strerror(errno));
		sleep((unsigned)params->deliver_lock_delay);
	}
}

static int lock_folder(const char *folder, unsigned mask)
{
	int fd;

	if (mask & STYLE_DOTLOCK)
		lock_dot(folder);
	fd = open(folder, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd == -1)
		queue_client_fatal("open file %s: %s", folder, strerror(errno));
	if (mask & STYLE_FLOCK)
		lock_kernel(fd, folder, STYLE_FLOCK);
	if (mask & STYLE_FCNTL)
		lock_kernel(fd, folder, STYLE_FCNTL);
	return fd;
}

/* Its exit status; 1 when it could not be run, or ended otherwise. */
static int run(char **argv)
{
	posix_spawnattr_t attr;
	sigset_t signals;
	pid_t pid;
	int status, rc;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGQUIT);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &signals);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawnp(&pid, argv[0], NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc != 0) {
		log_as(NULL, LOG_LEVEL_FATAL, "execvp %s: %s", argv[0], strerror(rc));
		return 1;
	}
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			queue_client_fatal("waitpid: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	const char *dir = NULL, *names = NULL;
	int opt, fd, status;

	programs_standard_files();
	log_command("postlock");
	queue_client_status = NO_LOCK_STATUS;
	while ((opt = getopt(argc, argv, "+c:l:v")) != -1)
		if (opt == 'c')
			dir = optarg;
		else if (opt == 'l')
			names = optarg;
		else if (opt != 'v') /* our messages say all that we know */
			optind = argc;
	if (argc - optind < 2)
		queue_client_fatal(
		    "usage: postlock [-c config_dir] [-l lock_style] [-v] folder command...");
	params = queue_client_params(dir);
	fd = lock_folder(argv[optind], parse_styles(names ? names : params->mailbox_delivery_lock));
	/* Who interrupts the command does not mean us: the lock has to go at the end. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	status = run(argv + optind + 1);
	close(fd);
	unlock();
	free(dotlock);
	dotlock = NULL;
	queue_client_end();
	return status;
}

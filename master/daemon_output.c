// SPDX-License-Identifier: BSD-2-Clause
/*
 * Daemons log by themselves.  What still comes out of their standard descriptors (a failed
 * assertion, a library in despair) comes here through one pipe, and into the log.
 */
#include "master/run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/slice.h"
#include "log/log.h"
#include "master/supervisor.h"

#define MAX_LINES 50 /* of one read; a flood is cut */

static int write_end = -1;
static struct loop_watch watch;

static void on_output(struct loop_watch *w, uint32_t events)
{
	char buf[4096];
	ssize_t n = read(w->fd, buf, sizeof(buf));
	struct slice rest, line;
	int lines = 0;

	(void)events;
	if (n <= 0)
		return;
	rest = slice_mem(buf, (size_t)n);
	while (lines++ < MAX_LINES && slice_token(&rest, "\n", &line))
		log_warning("a daemon wrote: %.*s", SLICE_ARG(line));
}

void daemon_output_open(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		fatal("cannot make a pipe: %s", strerror(errno));
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	write_end = ends[1];
	watch = (struct loop_watch){ .fd = ends[0], .ready = on_output };
	if (loop_watch(master.loop, &watch, EPOLLIN) < 0)
		fatal("cannot watch a pipe: %s", strerror(errno));
}

int daemon_output_fd(void)
{
	return write_end;
}

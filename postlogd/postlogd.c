// SPDX-License-Identifier: BSD-2-Clause
/*
 * postlogd: lines of programs that may not write to the log file themselves (postlog, postdrop,
 * postqueue), each a datagram on public/postlog.  The socket lies in a directory that only
 * setgid_group and the mail owner may enter.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/check.h"
#include "log/log.h"
#include "server/server.h"

/* One line more than the log takes shows that there was more. */
#define DATAGRAM_MAX 4096
/* Of what waits, before the loop looks at what else there is. */
#define LINES_AT_ONCE 100

static bool take_line(int fd)
{
	char line[DATAGRAM_MAX];
	ssize_t n = recv(fd, line, sizeof(line), MSG_DONTWAIT);

	if (n == -1)
		return errno == EINTR;
	/* Some clients end a line, or a text of C. */
	while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\0'))
		n--;
	if (n > 0)
		log_forward(line, (size_t)n);
	return true;
}

static void ready(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	for (int i = 0; i < LINES_AT_ONCE && take_line(watch->fd); i++)
		continue;
}

static struct loop_watch *watches;

static void start(struct server_context *ctx)
{
	watches = xcalloc(ctx->listener_count, sizeof(*watches));
	for (size_t i = 0; i < ctx->listener_count; i++) {
		watches[i].fd = ctx->listeners[i].fd;
		watches[i].ready = ready;
		if (ctx->listeners[i].type == LISTENER_DGRAM &&
		    loop_watch(ctx->loop, &watches[i], EPOLLIN) != 0)
			fatal("%s: %m", ctx->listeners[i].name);
	}
}

/* A successor, or at a stop nobody, reads on; what was sent before is not left behind. */
static void drain(struct server_context *ctx, bool reload)
{
	(void)reload;
	for (size_t i = 0; i < ctx->listener_count; i++) {
		if (ctx->listeners[i].type != LISTENER_DGRAM)
			continue;
		loop_unwatch(ctx->loop, &watches[i]);
		ready(&watches[i], EPOLLIN);
	}
}

static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	static const struct sandbox_path paths[] = { { "/usr/share/zoneinfo", SANDBOX_READ },
		{ "/etc", SANDBOX_READ }, { NULL, SANDBOX_READ } };

	(void)ctx;
	walls->paths = paths;
	walls->landlock = true;
	walls->calls = SANDBOX_CALLS_NO_NET;
}

static const struct server server = {
	.program = "postlogd",
	.language = SERVER_POSTFIX,
	.user = SERVER_MAIL_OWNER,
	.processes = 1,
	.prepare = NULL,
	.walls = walls,
	.start = start,
	.drain = drain,
};

int main(int argc, char **argv)
{
	return server_main(&server, argc, argv);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * virtual: delivers to the mailboxes of virtual users, found in tables only.  This file is the
 * front's agreement with qmgr: a connection is served until qmgr ends it.
 */
#include "virtual/virtual.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/server.h"

struct connection {
	struct session session; /* first */
	int fd;			/* -1: not served */
};

#define MAX_CONNECTIONS 64

/* Connections that are served, so that a stop can end them. */
static struct {
	pthread_mutex_t lock;
	struct connection *list[MAX_CONNECTIONS];
} open_ones = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct agent_class agent = {
	.name = "virtual", .deliver = virtual_front_deliver, .run = virtual_front_run
};

static bool register_connection(struct connection *c, struct connection *instead_of)
{
	bool found = false;

	pthread_mutex_lock(&open_ones.lock);
	for (size_t i = 0; i < MAX_CONNECTIONS && !found; i++)
		if (open_ones.list[i] == instead_of) {
			open_ones.list[i] = c;
			found = true;
		}
	pthread_mutex_unlock(&open_ones.lock);
	return found;
}

/* This thread is the connection's until qmgr ends it. */
static enum session_next serve(struct session *session, enum session_wake why)
{
	struct connection *c = (struct connection *)session;

	if (why != SESSION_OPENED)
		return SESSION_CLOSE;
	c->fd = fcntl(stream_fd(session->stream), F_DUPFD_CLOEXEC, 0);
	stream_free(session_take_stream(session));
	if (c->fd < 0)
		return SESSION_CLOSE;
	if (register_connection(c, NULL)) {
		delivery_serve(c->fd, &agent);
		(void)register_connection(NULL, c);
	} else {
		close(c->fd);
	}
	return SESSION_CLOSE;
}

static void close_session(struct session *session)
{
	(void)session;
}

static const struct session_class connection_class = {
	.name = "virtual", .size = sizeof(struct connection), .serve = serve, .close = close_session
};

static const struct session_class *session_class_of(const struct server_listener *listener)
{
	(void)listener;
	return &connection_class;
}

/* At a reload qmgr is asked to go to the next process.  At a stop nothing new begins. */
static void drain(struct server_context *ctx, bool reload)
{
	(void)ctx;
	if (reload) {
		delivery_leave();
		return;
	}
	pthread_mutex_lock(&open_ones.lock);
	for (size_t i = 0; i < MAX_CONNECTIONS; i++)
		if (open_ones.list[i] != NULL)
			(void)shutdown(open_ones.list[i]->fd, SHUT_RD);
	pthread_mutex_unlock(&open_ones.lock);
}

static void start(struct server_context *ctx)
{
	agent.delay_resolution = (int)ctx->params->delay_logging_resolution_limit;
}

static const struct server virtual_server = { .program = "virtual",
	.language = SERVER_POSTFIX,
	.user = SERVER_MAIL_OWNER,
	/* One: deliveries into one mailbox share its syncs in one worker. */
	.processes = 1,
	.prepare = virtual_front_prepare,
	.walls = virtual_front_walls,
	.start = start,
	.session = session_class_of,
	.drain = drain,
	.workers = &virtual_workers };

int main(int argc, char **argv)
{
	return server_main(&virtual_server, argc, argv);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * virtual: delivers to the mailboxes of virtual users, found in tables only.  This file is the
 * front's agreement with qmgr: a connection is served until qmgr ends it.
 */
#include "virtual/virtual.h"

#include <fcntl.h>

#include "rewrite/log_address.h"
#include "rewrite/status_filter.h"
#include "server/server.h"

static struct agent_class agent = {
	.name = "virtual", .deliver = virtual_front_deliver, .run = virtual_front_run
};

/* This thread is the connection's until qmgr ends it. */
static enum session_next serve(struct session *session, enum session_wake why)
{
	int fd;

	if (why != SESSION_OPENED)
		return SESSION_CLOSE;
	fd = fcntl(stream_fd(session->stream), F_DUPFD_CLOEXEC, 0);
	stream_free(session_take_stream(session));
	if (fd >= 0)
		delivery_serve(fd, &agent);
	return SESSION_CLOSE;
}

static void close_session(struct session *session)
{
	(void)session;
}

static const struct session_class connection_class = {
	.name = "virtual", .size = sizeof(struct session), .serve = serve, .close = close_session
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
	if (reload)
		delivery_leave();
	else
		delivery_stop();
}

static void prepare(struct server_context *ctx)
{
	log_address_prepare(ctx->params);
	agent.filter_arg = status_filter_new(
	    "virtual_delivery_status_filter", ctx->params->virtual_delivery_status_filter);
	agent.filter = agent.filter_arg != NULL ? status_filter_apply : NULL;
	virtual_front_prepare(ctx);
}

static void start(struct server_context *ctx)
{
	agent.delay_resolution = (int)ctx->params->delay_logging_resolution_limit;
	agent.soft_bounce = ctx->params->soft_bounce;
}

static const struct server virtual_server = { .program = "virtual",
	.language = SERVER_POSTFIX,
	.user = SERVER_MAIL_OWNER,
	/* One: deliveries into one mailbox share its syncs in one worker. */
	.processes = 1,
	.prepare = prepare,
	.walls = virtual_front_walls,
	.start = start,
	.session = session_class_of,
	.drain = drain,
	.workers = &virtual_workers };

int main(int argc, char **argv)
{
	return server_main(&virtual_server, argc, argv);
}

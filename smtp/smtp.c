// SPDX-License-Identifier: BSD-2-Clause
/*
 * smtp, lmtp: the process.  One per transport, so that its deliveries meet the connections that
 * others left; a connection from qmgr is served until qmgr ends it.
 */
#include "smtp/smtp.h"

#include <fcntl.h>
#include <string.h>

#include "base/check.h"
#include "rewrite/log_address.h"
#include "rewrite/status_filter.h"
#include "server/pool.h"
#include "server/server.h"
#include "smtp/smtp_content.h"
#include "smtp/smtp_sasl.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_tls.h"
#include "table/table.h"

bool smtp_is_lmtp;
const struct postfix_params *smtp_params;

static struct agent_class agent = { .deliver = smtp_deliver, .run = pool_run };

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
	.name = "smtp", .size = sizeof(struct session), .serve = serve, .close = close_session
};

static const struct session_class *session_class_of(const struct server_listener *listener)
{
	(void)listener;
	return &connection_class;
}

static void prepare(struct server_context *ctx)
{
	log_address_prepare(ctx->params);
	smtp_params = ctx->params;
	agent.name = smtp_is_lmtp ? "lmtp" : "smtp";
	agent.delay_resolution = (int)ctx->params->delay_logging_resolution_limit;
	agent.soft_bounce = ctx->params->soft_bounce;
	agent.filter_arg = status_filter_new(
	    SMTP_PARAM_NAME("delivery_status_filter"), SMTP_PARAM(delivery_status_filter));
	agent.filter = agent.filter_arg != NULL ? status_filter_apply : NULL;
	smtp_target_prepare(ctx->params);
	smtp_tls_prepare(ctx->params);
	smtp_sasl_prepare(ctx->params);
	smtp_session_prepare(ctx->params);
	smtp_reuse_prepare(ctx->params);
	smtp_content_prepare(ctx->params);
}

/* Resolving, certificates by name, tables; LMTP's sockets have to be found, too. */
static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	static struct sandbox_path paths[64];
	const char *ca_path = SMTP_PARAM(tls_CApath), *dir, *file;
	size_t n = 0;

	paths[n++] = (struct sandbox_path){ "/etc", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ postfix_source_dir(ctx->postfix), SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ "/usr/lib", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ "/usr/share/zoneinfo", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ "/proc/self/fd", SANDBOX_READ };
	if (ca_path[0] != '\0')
		paths[n++] = (struct sandbox_path){ ca_path, SANDBOX_READ };
	for (size_t i = 0; (file = smtp_sasl_reads(i)) != NULL; i++)
		paths[n++] = (struct sandbox_path){ file, SANDBOX_READ };
	for (size_t i = 0; (dir = table_directory(i)) != NULL && n < ARRAY_LEN(paths) - 1; i++)
		paths[n++] = (struct sandbox_path){ dir, SANDBOX_READ };
	paths[n] = (struct sandbox_path){ NULL, SANDBOX_READ };
	walls->paths = paths;
	walls->landlock = true;
	walls->calls = SANDBOX_CALLS_DENY;
}

/* At a reload qmgr is asked to go to the next process.  At a stop nothing new begins. */
static void drain(struct server_context *ctx, bool reload)
{
	(void)ctx;
	smtp_reuse_drain();
	if (reload)
		delivery_leave();
	else
		delivery_stop();
}

int main(int argc, char **argv)
{
	static struct server server = { .program = "smtp",
		.language = SERVER_POSTFIX,
		.user = SERVER_MAIL_OWNER,
		.processes = 1,
		.prepare = prepare,
		.walls = walls,
		.session = session_class_of,
		.drain = drain };
	const char *name = strrchr(argv[0], '/');

	smtp_is_lmtp = strcmp(name ? name + 1 : argv[0], "lmtp") == 0;
	if (smtp_is_lmtp)
		server.program = "lmtp";
	return server_main(&server, argc, argv);
}

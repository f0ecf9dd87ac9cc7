// SPDX-License-Identifier: BSD-2-Clause
/*
 * A daemon for the tests of master: speaks lines.  "crash" kills it, "hang" never ends a session,
 * "pid", "process" and "greeting" tell what is asked; anything else comes back.  It is copied
 * under the names of real daemons.  myhostname beginning with "fail" makes PREPARE fail.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "server/server.h"

static void prepare(struct server_context *ctx)
{
	if (ctx->params != NULL && strncmp(ctx->params->smtpd_banner, "fail", 4) == 0)
		fatal("open %s: No such file or directory", ctx->params->smtpd_banner);
}

static enum session_next answer(struct session *s, struct slice line)
{
	const struct server_context *ctx = server_context();

	if (slice_starts(line, "crash"))
		kill(getpid(), SIGSEGV);
	if (slice_starts(line, "hang"))
		for (;;)
			pause();
	if (slice_starts(line, "quit"))
		return SESSION_CLOSE;
	if (slice_starts(line, "pid"))
		stream_printf(s->stream, "%ld\n", (long)getpid());
	else if (slice_starts(line, "uid"))
		stream_printf(s->stream, "%ld\n", (long)getuid());
	else if (slice_starts(line, "process"))
		stream_printf(s->stream, "%u of %u\n", ctx->process, ctx->processes);
	else if (slice_starts(line, "greeting"))
		stream_printf(s->stream, "%s\n", ctx->params->smtpd_banner);
	else
		stream_write(s->stream, line);
	return SESSION_INPUT;
}

static enum session_next serve(struct session *s, enum session_wake why)
{
	struct slice line;

	s->deadline = deadline_in(60000);
	stream_set_deadline(s->stream, s->deadline);
	if (why == SESSION_OPENED)
		stream_printf(s->stream, "%s %s\n", s->listener->name, server_context()->log_name);
	if (why == SESSION_DRAINING) {
		stream_puts(s->stream, "bye\n");
		stream_flush(s->stream);
		return SESSION_CLOSE;
	}
	if (why == SESSION_EXPIRED)
		return SESSION_CLOSE;
	if (why != SESSION_HAS_INPUT)
		return SESSION_INPUT;
	do {
		if (stream_read_line(s->stream, 100, &line) != STREAM_READ_LINE ||
		    answer(s, line) == SESSION_CLOSE)
			return SESSION_CLOSE;
	} while (stream_has_input(s->stream));
	return SESSION_INPUT;
}

static const struct session_class lines = { .name = "lines",
	.size = sizeof(struct session),
	.serve = serve };

static const struct session_class *session(const struct server_listener *listener)
{
	(void)listener;
	return &lines;
}

static void reload(struct server_context *ctx)
{
	log_info("reloaded in place, greeting %s", ctx->params->smtpd_banner);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* The name tells what kind of daemon to be. */
int main(int argc, char **argv)
{
	struct server server = { .program = base_name(argv[0]),
		.language = SERVER_POSTFIX,
		.user = SERVER_MAIL_OWNER,
		.prepare = prepare,
		.session = session };

	if (strcmp(server.program, "qmgr") == 0) {
		server.processes = 1;
		server.alone = true;
		server.reload = reload;
	} else if (strcmp(server.program, "pickup") == 0) {
		server.processes = 1;
		server.alone = true;
	} else if (strcmp(server.program, "smtpd") != 0) {
		server.language = SERVER_DOVECOT;
		server.user = SERVER_INTERNAL;
	}
	return server_main(&server, argc, argv);
}

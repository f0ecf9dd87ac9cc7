// SPDX-License-Identifier: BSD-2-Clause
/*
 * A daemon for the tests of master: speaks lines.  "crash" kills it, "hang" never ends a session,
 * "pid", "uid", "process" and "greeting" tell what is asked, "work WORD" has a uid worker say it;
 * anything else comes back.  It is copied under the names of real daemons.  A smtpd_banner that
 * begins with "fail" makes PREPARE fail.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "server/server.h"
#include "server/uid_workers.h"
#include "sys/socket.h"

static void prepare(struct server_context *ctx)
{
	if (ctx->params != NULL && strncmp(ctx->params->smtpd_banner, "fail", 4) == 0)
		fatal("open %s: No such file or directory", ctx->params->smtpd_banner);
}

/* The worker, under its uid, writes to the descriptor that came with the record. */
static void worker_serve(struct msg_in *in)
{
	struct slice word = SLICE_NULL;

	(void)msg_get(&in->msg, "word", &word);
	if (slice_starts(word, "crash"))
		raise(SIGKILL);
	if (slice_starts(word, "slow")) {
		log_info("slow work begins");
		sleep(3);
	}
	dprintf(in->fds[0], "%.*s from pid %ld uid %ld\n", SLICE_ARG(word), (long)getpid(),
	    (long)getuid());
}

static bool resolve(
    const struct msg *request, struct uid_target *target, struct msg_out *out, struct reason *why)
{
	struct slice word = SLICE_NULL, rest, user;

	(void)msg_get(request, "word", &word);
	if (slice_eq_str(word, "refused")) {
		reason_set(why, "5.1.1", "no such user");
		return false;
	}
	rest = word;
	target->uid = slice_eq_str(word, "root") ? 0 : server_context()->uid;
	target->gid = server_context()->gid;
	/* "crash-bob" is bob's. */
	if (slice_token(&rest, "-", &user) && slice_token(&rest, "-", &user))
		snprintf(target->user, sizeof(target->user), "%.*s", SLICE_ARG(user));
	msg_add(out, "word", word);
	return true;
}

static const struct uid_workers_class workers = {
	.name = "test", .resolve = resolve, .worker_serve = worker_serve, .idle_ms = 200
};

static void ask_worker(struct stream *stream, struct slice word)
{
	struct msg_out m = { { 0 } };
	struct reason why = { "", "" };
	char text[200];
	ssize_t n = 0;
	int pair[2];

	if (socket_pair(pair) < 0)
		return;
	msg_begin(&m, "TEST");
	msg_add(&m, "word", slice_trim(word, "\n"));
	if (uid_workers_request(&m, &pair[1], 1, deadline_in(10000), &why)) {
		close(pair[1]);
		n = read(pair[0], text, sizeof(text));
		stream_write(stream, n > 0 ? slice_mem(text, (size_t)n) : SLICE_LIT("nothing\n"));
	} else {
		close(pair[1]);
		stream_printf(stream, "%s %s\n", why.dsn, why.text);
	}
	close(pair[0]);
	msg_release(&m);
}

static enum session_next answer(struct session *s, struct slice line)
{
	const struct server_context *ctx = server_context();

	if (slice_starts(line, "crash"))
		raise(SIGKILL);
	if (slice_starts(line, "hang"))
		for (;;)
			pause();
	if (slice_starts(line, "quit"))
		return SESSION_CLOSE;
	if (slice_starts(line, "work "))
		ask_worker(s->stream, slice_from(line, 5));
	else if (slice_starts(line, "pid"))
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

/* Whoever triggers is gone before anything could be said. */
static enum session_next take_trigger(struct session *s, enum session_wake why)
{
	struct slice byte;

	if (why == SESSION_OPENED)
		return SESSION_INPUT;
	if (why != SESSION_HAS_INPUT || !stream_read_some(s->stream, 1, &byte))
		return SESSION_CLOSE;
	if (slice_eq_str(byte, "W"))
		log_info("trigger received");
	else
		stream_printf(s->stream, "%ld\n", (long)getpid());
	stream_flush(s->stream);
	return SESSION_CLOSE;
}

static enum session_next serve(struct session *s, enum session_wake why)
{
	struct slice line;

	s->deadline = deadline_in(60000);
	stream_set_deadline(s->stream, s->deadline);
	if (strcmp(s->listener->name, "public/pickup") == 0)
		return take_trigger(s, why);
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

static const struct session_class lines = {
	.name = "lines", .size = sizeof(struct session), .serve = serve
};

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
	} else if (strcmp(server.program, "virtual") == 0) {
		server.processes = 1;
		server.workers = &workers;
	} else if (strcmp(server.program, "smtpd") != 0) {
		server.language = SERVER_DOVECOT;
		server.user = SERVER_INTERNAL;
	}
	return server_main(&server, argc, argv);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * A daemon for the tests of master: speaks lines.  "crash" kills it, "hang" never ends a session,
 * "pid", "uid", "process" and "greeting" tell what is asked, "work WORD" has a uid worker say it,
 * "call WORD" one over a link; anything else comes back.  It is copied under the names of real
 * daemons.  A smtpd_banner that begins with "fail" makes PREPARE fail.
 */
#include <pthread.h>
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

/* The same over a link; "twice" is said twice, "broken" as no worker should. */
static void worker_call(const struct msg *how, struct uid_work *w)
{
	struct slice word = SLICE_NULL, says = SLICE_NULL;
	char text[200];
	int len;

	(void)msg_get(&w->msg, "word", &word);
	(void)msg_get(how, "says", &says);
	if (slice_starts(word, "crash"))
		raise(SIGKILL);
	if (slice_starts(word, "hang"))
		for (;;)
			pause();
	if (slice_starts(word, "slow")) {
		log_info("slow work begins");
		sleep(3);
	}
	len = snprintf(text, sizeof(text), "%.*s %.*s pid %ld uid %ld\n", SLICE_ARG(word),
	    SLICE_ARG(says), (long)getpid(), (long)getuid());
	if (slice_starts(word, "twice"))
		(void)uid_work_answer(w, "again ", 6);
	(void)uid_work_answer(w, text, slice_starts(word, "broken") ? 0 : (size_t)len);
}

static bool resolve_link(
    const struct msg *request, struct uid_target *target, struct msg_out *out, struct reason *why)
{
	struct slice user = SLICE_NULL;
	uint64_t uid = 0, gid = 0;

	(void)msg_get(request, UID_LINK_USER, &user);
	(void)msg_get_u64(request, UID_LINK_UID, &uid);
	(void)msg_get_u64(request, UID_LINK_GID, &gid);
	if (slice_eq_str(user, "refused")) {
		reason_set(why, "5.1.1", "no such user");
		return false;
	}
	target->uid = (uid_t)uid;
	target->gid = (gid_t)gid;
	snprintf(target->user, sizeof(target->user), "%.*s", SLICE_ARG(user));
	msg_add_str(out, "says", "over a link from");
	return true;
}

static bool resolve(
    const struct msg *request, struct uid_target *target, struct msg_out *out, struct reason *why)
{
	struct slice word = SLICE_NULL, rest, user;

	if (!msg_get(request, "word", &word))
		return resolve_link(request, target, out, why);
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

static const struct uid_workers_class workers = { .name = "test",
	.resolve = resolve,
	.worker_serve = worker_serve,
	.worker_call = worker_call,
	.idle_ms = 200 };

struct asked {
	struct uid_call call; /* first */
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
	char text[600];
};

static enum uid_answered call_answered(struct uid_call *call, struct slice answer)
{
	struct asked *a = (struct asked *)call;
	size_t len = strlen(a->text);

	if (answer.len == 0)
		return UID_CALL_BROKEN;
	snprintf(a->text + len, sizeof(a->text) - len, "%.*s", SLICE_ARG(answer));
	return strchr(a->text, '\n') != NULL ? UID_CALL_IS_OVER : UID_CALL_GOES_ON;
}

static void call_ended(struct uid_call *call, const struct reason *why)
{
	struct asked *a = (struct asked *)call;

	pthread_mutex_lock(&a->lock);
	if (why != NULL)
		snprintf(a->text, sizeof(a->text), "%s %s\n", why->dsn, why->text);
	a->is_done = true;
	pthread_cond_signal(&a->done);
	pthread_mutex_unlock(&a->lock);
}

/* "crash-bob" is bob's. */
static void call_worker(struct stream *stream, struct slice word)
{
	struct asked a = { .call = { .answered = call_answered, .ended = call_ended },
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.done = PTHREAD_COND_INITIALIZER };
	struct uid_owner owner = { .gid = server_context()->gid, .user = "", .message = "" };
	struct slice text = slice_trim(word, "\n");
	char user[40] = "";
	struct msg_out m = { { 0 } };
	struct reason why = { "", "" };
	ptrdiff_t dash = slice_find(text, '-');

	if (dash >= 0)
		snprintf(user, sizeof(user), "%.*s", SLICE_ARG(slice_from(text, (size_t)dash + 1)));
	owner.user = user;
	owner.uid = slice_starts(text, "root") ? 0 : server_context()->uid;
	a.call.deadline = deadline_in(slice_starts(text, "hang") ? 500 : 20000);
	msg_begin(&m, "TEST");
	msg_add(&m, "word", text);
	if (uid_call_start(&a.call, &owner, &m, NULL, 0, deadline_in(10000), &why)) {
		pthread_mutex_lock(&a.lock);
		while (!a.is_done)
			pthread_cond_wait(&a.done, &a.lock);
		pthread_mutex_unlock(&a.lock);
		stream_puts(stream, a.text);
	} else {
		stream_printf(stream, "%s %s\n", why.dsn, why.text);
	}
	msg_release(&m);
}

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
	else if (slice_starts(line, "call "))
		call_worker(s->stream, slice_from(line, 5));
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

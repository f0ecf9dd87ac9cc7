// SPDX-License-Identifier: BSD-2-Clause
/* NOTICE and NOTED on the wire, and the service's loop. */
#include "deliver/notice.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "ipc/msg.h"
#include "log/log.h"
#include "sys/file.h"

#define SEND_LIMIT_MS 60000

void notice_request_write(struct msg_out *m, const struct notice_request *q)
{
	msg_begin(m, "NOTICE");
	msg_add_u64(m, "number", q->number);
	msg_add_u64(m, "kind", q->kind);
	msg_add_str(m, "id", q->id);
	msg_add_str(m, "sender", q->sender);
	msg_add_str(m, "to", q->to ? q->to : "");
	msg_add_str(m, "envid", q->envelope_id);
	msg_add_u64(m, "ret", q->ret);
	msg_add_u64(m, "sendopts", q->sendopts);
	msg_add_str(m, "encoding", q->encoding);
	msg_add_i64(m, "arrival", q->arrival_us);
	msg_add_u64(m, "size", (uint64_t)q->size);
	msg_add_u64(m, "data_offset", (uint64_t)q->data_offset);
	msg_add_u64(m, "expired", q->expired);
	for (size_t i = 0; i < q->recipient_count; i++) {
		const struct notice_recipient *r = &q->recipients[i];

		msg_add_str(m, "rcpt", r->address);
		msg_add_str(m, "action", r->action);
		msg_add_str(m, "original", r->original);
		msg_add_str(m, "orcpt", r->orcpt);
		msg_add_u64(m, "notify", r->notify);
		msg_add_str(m, "mta", r->remote_mta);
		msg_add_str(m, "diagnostic", r->diagnostic);
		msg_add_str(m, "dsn", r->why.dsn);
		msg_add_str(m, "text", r->why.text);
	}
}

static bool take_text(const struct msg_attr *a, struct arena *arena, const char **out)
{
	*out = arena_slicedup(arena, a->value);
	return !slice_has_nul(a->value);
}

/* An attribute of the recipient that began last. */
static bool take_recipient_attribute(
    const struct msg_attr *a, struct arena *arena, struct notice_recipient *r)
{
	const char *text;
	uint64_t n;

	if (slice_eq_str(a->name, "action"))
		return take_text(a, arena, &r->action);
	if (slice_eq_str(a->name, "original"))
		return take_text(a, arena, &r->original);
	if (slice_eq_str(a->name, "orcpt"))
		return take_text(a, arena, &r->orcpt);
	if (slice_eq_str(a->name, "mta"))
		return take_text(a, arena, &r->remote_mta);
	if (slice_eq_str(a->name, "diagnostic"))
		return take_text(a, arena, &r->diagnostic);
	if (slice_eq_str(a->name, "notify")) {
		bool good = slice_uint(a->value, 15, &n);

		r->notify = good ? (unsigned)n : 0;
		return good;
	}
	if (slice_eq_str(a->name, "dsn")) {
		if (!take_text(a, arena, &text) || !dsn_is_valid(text))
			return false;
		strcpy(r->why.dsn, text);
		return true;
	}
	if (slice_eq_str(a->name, "text")) {
		if (!r->why.dsn[0] || !take_text(a, arena, &text))
			return false;
		reason_set(&r->why, r->why.dsn, "%s", text);
	}
	return true;
}

static bool parse_recipients(const struct msg *m, struct arena *arena, struct notice_request *q)
{
	struct notice_recipient *r = NULL;
	struct slice value;
	size_t index = 0, count = 0;

	while (msg_each(m, "rcpt", &index, &value))
		count++;
	if (count == 0 || count > NOTICE_MAX_RECIPIENTS)
		return false;
	q->recipients = arena_alloc(arena, count * sizeof(*r));
	for (size_t i = 0; i < m->attr_count; i++) {
		const struct msg_attr *a = &m->attrs[i];

		if (slice_eq_str(a->name, "rcpt")) {
			r = &q->recipients[q->recipient_count++];
			*r = (struct notice_recipient){
				.action = "",
				.original = "",
				.orcpt = "",
				.remote_mta = "",
				.diagnostic = "",
			};
			if (!take_text(a, arena, &r->address))
				return false;
		} else if (r && !take_recipient_attribute(a, arena, r)) {
			return false;
		}
	}
	for (size_t i = 0; i < count; i++)
		if (!q->recipients[i].why.dsn[0] || !q->recipients[i].action[0])
			return false;
	return true;
}

static bool take_id(
    const struct msg *m, const char *name, bool may_be_empty, char id[QUEUE_ID_SIZE])
{
	struct slice value;

	id[0] = '\0';
	if (!msg_get(m, name, &value))
		return may_be_empty;
	if (value.len == 0 && may_be_empty)
		return true;
	if (!queue_id_is_valid(value))
		return false;
	memcpy(id, value.ptr, value.len);
	id[value.len] = '\0';
	return true;
}

bool notice_request_parse(const struct msg *m, struct arena *arena, struct notice_request *q)
{
	uint64_t kind, ret, sendopts, size, data_offset, expired;

	*q = (struct notice_request){ .number = 0 };
	if (!msg_is(m, "NOTICE") || !msg_get_u64(m, "number", &q->number) ||
	    !msg_get_u64(m, "kind", &kind) || kind > NOTICE_TRACE ||
	    !take_id(m, "id", false, q->id) || !msg_get_u64(m, "ret", &ret) || ret > 3 ||
	    !msg_get_u64(m, "sendopts", &sendopts) || sendopts > UINT32_MAX ||
	    !msg_get_u64(m, "size", &size) || size > INT64_MAX ||
	    !msg_get_u64(m, "data_offset", &data_offset) || data_offset > INT64_MAX ||
	    !msg_get_i64(m, "arrival", &q->arrival_us) || !msg_get_u64(m, "expired", &expired) ||
	    expired > 1 || !msg_get_str(m, "sender", arena, &q->sender) ||
	    (!*q->sender && kind != NOTICE_FAILED) ||
	    !msg_get_str(m, "envid", arena, &q->envelope_id) ||
	    !msg_get_str(m, "encoding", arena, &q->encoding))
		return false;
	q->kind = (enum notice_kind)kind;
	q->ret = (unsigned)ret;
	q->sendopts = (unsigned)sendopts;
	q->size = (off_t)size;
	q->data_offset = (off_t)data_offset;
	q->expired = expired != 0;
	/* A qmgr of before an upgrade says nothing of it. */
	if (!msg_get_str(m, "to", arena, &q->to))
		q->to = "";
	return parse_recipients(m, arena, q);
}

void notice_answer_write(struct msg_out *m, const struct notice_answer *answer)
{
	msg_begin(m, "NOTED");
	msg_add_u64(m, "number", answer->number);
	msg_add_u64(m, "ok", answer->ok);
	msg_add_str(m, "notice_id", answer->notice_id);
	msg_add_str(m, "dsn", answer->why.dsn);
	msg_add_str(m, "text", answer->why.text);
}

bool notice_answer_parse(const struct msg *m, struct notice_answer *answer)
{
	struct arena arena = ARENA_INIT;
	const char *dsn, *text;
	uint64_t ok;
	bool good;

	*answer = (struct notice_answer){ .number = 0 };
	good = msg_is(m, "NOTED") && msg_get_u64(m, "number", &answer->number) &&
	       msg_get_u64(m, "ok", &ok) && ok <= 1 &&
	       take_id(m, "notice_id", true, answer->notice_id) &&
	       msg_get_str(m, "dsn", &arena, &dsn) && msg_get_str(m, "text", &arena, &text);
	if (good) {
		answer->ok = ok != 0;
		if (dsn_is_valid(dsn))
			reason_set(&answer->why, dsn, "%s", text);
		good = answer->ok || answer->why.dsn[0] == '4';
	}
	arena_release(&arena);
	return good;
}

/* ---- the service ---- */

struct serving {
	struct channel *channel;
	const struct notice_class *service;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned running;
};

struct job {
	struct serving *serving;
	struct arena arena;
	struct notice_request request;
	int fd;
};

static void answer_job(struct job *job)
{
	struct notice_answer answer = { .number = job->request.number };
	struct msg_out m = { 0 };

	answer.ok =
	    job->serving->service->serve(&job->request, job->fd, answer.notice_id, &answer.why);
	if (!answer.ok && answer.why.dsn[0] != '4')
		reason_set(&answer.why, "4.3.0", "bounce service failed: %s", answer.why.text);
	notice_answer_write(&m, &answer);
	/* A qmgr that does not hear this asks again: a notice more. */
	channel_send(job->serving->channel, &m, NULL, 0, deadline_in(SEND_LIMIT_MS));
	msg_release(&m);
}

static void run_job(void *arg)
{
	struct job *job = arg;
	struct serving *s = job->serving;

	answer_job(job);
	close(job->fd);
	arena_release(&job->arena);
	free(job);
	pthread_mutex_lock(&s->lock);
	if (--s->running == 0)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

static bool start_job(struct serving *s, struct msg_in *in)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->serving = s;
	job->arena = (struct arena)ARENA_INIT;
	if (in->fd_count != 1 || !file_is_regular(in->fds[0]) ||
	    !notice_request_parse(&in->msg, &job->arena, &job->request)) {
		arena_release(&job->arena);
		free(job);
		return false;
	}
	job->fd = in->fds[0];
	in->fds[0] = -1;
	pthread_mutex_lock(&s->lock);
	s->running++;
	pthread_mutex_unlock(&s->lock);
	s->service->run(run_job, job);
	return true;
}

void notice_serve(int fd, const struct notice_class *service)
{
	struct serving s = { .service = service };
	struct msg_in in;
	bool good = true;

	s.channel = channel_new(fd, service->name);
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.idle, NULL);
	while (good && channel_recv(s.channel, &in, DEADLINE_NEVER) == CHANNEL_RECORD) {
		good = start_job(&s, &in);
		msg_in_release(&in);
	}
	if (!good)
		log_warning("malformed notice request from %s", channel_peer(s.channel));
	pthread_mutex_lock(&s.lock);
	while (s.running > 0)
		pthread_cond_wait(&s.idle, &s.lock);
	pthread_mutex_unlock(&s.lock);
	pthread_cond_destroy(&s.idle);
	pthread_mutex_destroy(&s.lock);
	channel_free(s.channel);
}

// SPDX-License-Identifier: BSD-2-Clause
/* The texts of a subject go over by a table, so that both directions have the same ones. */
#include "authd/worker_proto.h"

#include <string.h>

#include "base/check.h"

#define SUBJECT_TEXT(name)                                                                         \
	{                                                                                          \
#name, offsetof(struct subject, name)                                              \
	}
static const struct {
	const char *name;
	size_t at;
} texts[] = {
	SUBJECT_TEXT(user),
	SUBJECT_TEXT(login_user),
	SUBJECT_TEXT(service),
	SUBJECT_TEXT(session),
	SUBJECT_TEXT(mechanism),
	SUBJECT_TEXT(local_ip),
	SUBJECT_TEXT(remote_ip),
	SUBJECT_TEXT(local_port),
	SUBJECT_TEXT(remote_port),
	SUBJECT_TEXT(local_name),
	SUBJECT_TEXT(requested_login_user),
	SUBJECT_TEXT(master_user),
	SUBJECT_TEXT(real_local_ip),
	SUBJECT_TEXT(real_remote_ip),
	SUBJECT_TEXT(real_local_port),
	SUBJECT_TEXT(real_remote_port),
	SUBJECT_TEXT(cert_username),
	SUBJECT_TEXT(client_id),
};

static const struct {
	const char *name;
	size_t at;
} flags[] = { SUBJECT_TEXT(secured), SUBJECT_TEXT(valid_client_cert), SUBJECT_TEXT(no_penalty),
	SUBJECT_TEXT(debug) };

static const struct {
	const char *name;
	size_t at;
} lists[] = { SUBJECT_TEXT(extra), SUBJECT_TEXT(userdb), SUBJECT_TEXT(answer) };

static const char **text_of(struct subject *subject, size_t i)
{
	return (const char **)(void *)((char *)subject + texts[i].at);
}

static bool *flag_of(struct subject *subject, size_t i)
{
	return (bool *)(void *)((char *)subject + flags[i].at);
}

static struct pairs *list_of(struct subject *subject, size_t i)
{
	return (struct pairs *)(void *)((char *)subject + lists[i].at);
}

/* "name=value", or a name alone. */
static void add_pairs(struct msg_out *m, const char *attribute, const struct pairs *pairs)
{
	struct strbuf text = STRBUF_INIT(WORKER_RECORD_MAX);

	for (const struct pair *p = pairs->first; p; p = p->next) {
		strbuf_reset(&text);
		strbuf_addstr(&text, p->name);
		if (p->value) {
			strbuf_addch(&text, '=');
			strbuf_addstr(&text, p->value);
		}
		msg_add(m, attribute, strbuf_slice(&text));
	}
	strbuf_release(&text);
}

static bool take_pairs(
    const struct msg *m, const char *attribute, struct arena *arena, struct pairs *pairs)
{
	struct slice text;
	size_t index = 0, count = 0;

	while (msg_each(m, attribute, &index, &text)) {
		if (!text.len || slice_starts(text, "=") || slice_has_nul(text) ||
		    ++count > WORKER_PAIRS_MAX)
			return false;
		pairs_set_text(pairs, arena, text);
	}
	return true;
}

static bool has_size(const struct msg *m)
{
	size_t total = 0;

	for (size_t i = 0; i < m->attr_count; i++)
		total += m->attrs[i].value.len;
	return total <= WORKER_RECORD_MAX;
}

/* A number below END. */
static bool take_number(const struct msg *m, const char *name, uint64_t end, unsigned *value)
{
	uint64_t number;

	if (!msg_get_u64(m, name, &number) || number >= end)
		return false;
	*value = (unsigned)number;
	return true;
}

static bool take_bool(const struct msg *m, const char *name, bool *value)
{
	unsigned number;

	if (!take_number(m, name, 2, &number))
		return false;
	*value = number != 0;
	return true;
}

/* Absent is NULL. */
static bool take_text(
    const struct msg *m, const char *name, struct arena *arena, const char **value)
{
	struct slice unused;

	*value = NULL;
	return !msg_get(m, name, &unused) || msg_get_str(m, name, arena, value);
}

/* --- requests --- */

static void add_subject(struct msg_out *m, const struct subject *subject)
{
	/* Only read; the accessors serve both directions. */
	struct subject *s = (struct subject *)(uintptr_t)subject;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		msg_add_str(m, texts[i].name, *text_of(s, i));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		add_pairs(m, lists[i].name, list_of(s, i));
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		msg_add_u64(m, flags[i].name, *flag_of(s, i));
}

/* NULL means something in these. */
static bool may_be_absent(const struct subject *subject, const char *const *text)
{
	return text == &subject->user || text == &subject->requested_login_user ||
	       text == &subject->master_user;
}

static bool take_subject(const struct msg *m, struct arena *arena, struct subject *subject)
{
	subject->arena = arena;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char **text = text_of(subject, i);

		if (!take_text(m, texts[i].name, arena, text))
			return false;
		if (!*text && !may_be_absent(subject, text))
			*text = "";
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!take_pairs(m, lists[i].name, arena, list_of(subject, i)))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (!take_bool(m, flags[i].name, flag_of(subject, i)))
			return false;
	return true;
}

void worker_request_write(struct msg_out *m, const struct worker_request *request)
{
	msg_begin(m, WORKER_ASK);
	msg_add_u64(m, "id", request->id);
	msg_add_u64(m, "op", request->op);
	msg_add_u64(m, "is_userdb", request->is_userdb);
	msg_add_u64(m, "place", request->place);
	msg_add_str(m, "driver", request->driver);
	msg_add_str(m, "args", request->args);
	if (request->op == WORKER_EACH)
		return;
	msg_add_u64(m, "logged_in", request->logged_in);
	add_subject(m, &request->subject);
	if (request->op == WORKER_VERIFY)
		msg_add(m, "password", request->password);
}

bool worker_request_read(const struct msg *m, struct arena *arena, struct worker_request *request)
{
	unsigned op;

	memset(request, 0, sizeof(*request));
	if (!msg_is(m, WORKER_ASK) || !has_size(m) || !msg_get_u64(m, "id", &request->id) ||
	    !take_number(m, "op", WORKER_OPS, &op) ||
	    !take_bool(m, "is_userdb", &request->is_userdb) ||
	    !take_number(m, "place", WORKER_PLACE_MAX, &request->place) ||
	    !msg_get_str(m, "driver", arena, &request->driver) ||
	    !msg_get_str(m, "args", arena, &request->args))
		return false;
	request->op = (enum worker_op)op;
	if (request->op == WORKER_EACH)
		return true;
	if (!take_bool(m, "logged_in", &request->logged_in) ||
	    !take_subject(m, arena, &request->subject) || !request->subject.user ||
	    !*request->subject.user)
		return false;
	if (request->op != WORKER_VERIFY)
		return true;
	if (!msg_get(m, "password", &request->password))
		return false;
	request->subject.password = request->password;
	return true;
}

/* --- answers --- */

void worker_answer_write(struct msg_out *m, const struct worker_answer *answer)
{
	msg_begin(m, WORKER_ANSWER);
	msg_add_u64(m, "id", answer->id);
	msg_add_u64(m, "result", answer->result);
	msg_add_u64(m, "last", answer->last);
	msg_add_str(m, "user", answer->user);
	msg_add_str(m, "password", answer->password);
	msg_add_str(m, "scheme", answer->scheme);
	add_pairs(m, "fields", &answer->fields);
	add_pairs(m, "answer", &answer->answer);
}

bool worker_answer_read(const struct msg *m, struct arena *arena, struct worker_answer *answer)
{
	unsigned result;

	memset(answer, 0, sizeof(*answer));
	if (!msg_is(m, WORKER_ANSWER) || !has_size(m) || !msg_get_u64(m, "id", &answer->id) ||
	    !take_number(m, "result", DB_FAILED + 1, &result) ||
	    !take_bool(m, "last", &answer->last) || !take_text(m, "user", arena, &answer->user) ||
	    !take_text(m, "password", arena, &answer->password) ||
	    !take_text(m, "scheme", arena, &answer->scheme))
		return false;
	answer->result = (enum db_result)result;
	return take_pairs(m, "fields", arena, &answer->fields) &&
	       take_pairs(m, "answer", arena, &answer->answer);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The master protocol: who is this user (USER), is there such a user (PASS), which are there
 * (LIST), and the end of a login (REQUEST).
 *
 * On a socket of kind master all may be asked: the kernel decides who can open it.  One of kind
 * userdb may be open to everybody (mode 0666), and then a stranger learns about itself only.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authd/auth_cache.h"
#include "authd/authd.h"
#include "authd/database.h"
#include "authd/logins.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "sys/socket.h"

struct master_session {
	struct session session;
	bool has_version;
	bool is_userdb;
	bool is_restricted; /* only answers about ONLY_UID */
	uid_t only_uid;
};

/* --- who may ask --- */

#define OPEN_MAX 64

static struct {
	const struct server_listener *listener;
	unsigned uid, gid;
	bool has_group;
} open_sockets[OPEN_MAX];
static size_t open_socket_count;

static const struct dovecot_block *listener_block(
    const struct server_context *ctx, const char *name)
{
	const struct dovecot_block *service =
	    dovecot_block_find(ctx->dovecot, "service", ctx->service);

	for (size_t i = 0; service && i < dovecot_subblock_count(service, "unix_listener"); i++) {
		const struct dovecot_block *block =
		    dovecot_subblock_at(service, "unix_listener", i);

		if (!strcmp(dovecot_block_label(block), name))
			return block;
	}
	return NULL;
}

void master_session_setup(const struct server_context *ctx)
{
	for (size_t i = 0; i < ctx->listener_count; i++) {
		const struct server_listener *listener = &ctx->listeners[i];
		const struct dovecot_block *block = listener_block(ctx, listener->name);
		const char *user, *group;

		if (strcmp(listener->kind, "userdb") != 0)
			continue;
		if (block && dovecot_block_uint(block, "mode") != 0666)
			continue;
		if (open_socket_count == OPEN_MAX)
			fatal("too many sockets of kind userdb");
		open_sockets[open_socket_count].listener = listener;
		user = block ? dovecot_block_get(block, "user") : "";
		group = block ? dovecot_block_get(block, "group") : "";
		if (!*user || !local_user_id(user, &open_sockets[open_socket_count].uid))
			open_sockets[open_socket_count].uid = 0;
		open_sockets[open_socket_count].has_group =
		    *group && local_group_id(group, &open_sockets[open_socket_count].gid);
		open_socket_count++;
	}
}

/* Root, the socket's owner, ourselves and members of its group are no strangers. */
static void restrict_stranger(struct master_session *m)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	pid_t pid;
	bool known = socket_peer(stream_fd(m->session.stream), &uid, &gid, &pid) == 0;

	for (size_t i = 0; i < open_socket_count; i++) {
		if (open_sockets[i].listener != m->session.listener)
			continue;
		m->is_restricted =
		    !known || !(uid == 0 || uid == open_sockets[i].uid || uid == geteuid() ||
				  (open_sockets[i].has_group && gid == open_sockets[i].gid));
		m->only_uid = uid;
	}
}

/* --- answers --- */

static void answer(struct master_session *m, const struct strbuf *line)
{
	stream_write(m->session.stream, strbuf_slice(line));
}

static void answer_plain(
    struct master_session *m, const char *word, uint32_t id, const char *reason)
{
	struct strbuf line = STRBUF_INIT(1000);

	strbuf_addf(&line, "%s\t%u", word, id);
	if (reason)
		auth_add_field(&line, "reason", slice_of(reason));
	strbuf_addch(&line, '\n');
	answer(m, &line);
	strbuf_release(&line);
}

static bool refuse_line(const char *what)
{
	log_error("master: %s", what);
	return false;
}

static bool is_own(const struct master_session *m, const struct subject *subject)
{
	const struct pair *uid = pairs_find(&subject->answer, "uid");
	unsigned number;

	return uid && uid->value && local_user_id(uid->value, &number) && number == m->only_uid;
}

/* What the mailbox half of a login is told beside the userdb's fields. */
static void add_login(const struct subject *s, struct strbuf *line)
{
	const char *anonymous = server_context()->settings->auth_anonymous_username;

	if (s->master_user && !pairs_find(&s->answer, "master_user"))
		auth_add_field(line, "master_user", slice_of(s->master_user));
	auth_add_field(line, "auth_mech", slice_of(s->mechanism));
	if (*anonymous && !strcmp(s->user, anonymous))
		auth_add_field(line, "anonymous", SLICE_NULL);
	if (s->master_user)
		auth_add_field(line, "auth_user", slice_of(s->master_user));
	else if (strcmp(s->login_user, s->user) != 0)
		auth_add_field(line, "auth_user", slice_of(s->login_user));
}

static void answer_user(
    struct master_session *m, uint32_t id, struct subject *subject, bool logged_in)
{
	enum db_result result = userdb_lookup(subject, logged_in);
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);

	strbuf_addf(&line, "USER\t%u\t", id);
	auth_escape(&line, slice_of(subject->user));
	if (!subject->answer.first)
		strbuf_addch(&line, '\t');
	pairs_write(&subject->answer, &line);
	if (logged_in)
		add_login(subject, &line);
	strbuf_addch(&line, '\n');
	if (result == DB_UNKNOWN) {
		answer_plain(m, "NOTFOUND", id, NULL);
	} else if (result != DB_OK || line.overflow) {
		answer_plain(m, "FAIL", id, NULL);
	} else if (m->is_restricted && !is_own(m, subject)) {
		subject_log(subject, LOG_LEVEL_WARNING, "userdb", "lookup by uid %lu was refused",
		    (unsigned long)m->only_uid);
		answer_plain(m, "FAIL", id, "Not allowed to look up this user");
	} else {
		answer(m, &line);
	}
	strbuf_release(&line);
}

/* --- commands --- */

struct command_input {
	uint32_t id;
	const struct auth_fields *fields;
	struct arena *arena;
};

/* "USER id name params" and PASS; false: the connection is dropped. */
static bool take_subject(const struct command_input *in, struct subject *subject, bool *has_name)
{
	const char *error;

	if (in->fields->count < 3 || !subject_from_fields(subject, in->arena, in->fields, 3))
		return refuse_line("request without a name or a service");
	*has_name = subject_set_lookup_name(
	    subject, server_context()->settings, in->fields->list[2], &error);
	return true;
}

static bool handle_user(struct master_session *m, const struct command_input *in)
{
	struct subject subject;
	bool has_name;

	if (!take_subject(in, &subject, &has_name))
		return false;
	/* Nobody can have a name that the rules forbid. */
	if (has_name)
		answer_user(m, in->id, &subject, false);
	else
		answer_plain(m, "NOTFOUND", in->id, NULL);
	return true;
}

static bool handle_pass(struct master_session *m, const struct command_input *in)
{
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);
	enum db_result result = DB_UNKNOWN;
	struct subject subject;
	bool has_name;

	if (!take_subject(in, &subject, &has_name))
		return false;
	if (m->is_restricted) {
		answer_plain(m, "FAIL", in->id, "Not allowed to look up passwords");
		return true;
	}
	if (has_name)
		result = passdb_lookup(&subject);
	strbuf_addf(&line, "PASS\t%u", in->id);
	auth_add_field(&line, "user", slice_of(subject.user ? subject.user : ""));
	pairs_write(&subject.extra, &line);
	strbuf_addch(&line, '\n');
	if (result == DB_OK && !line.overflow)
		answer(m, &line);
	else if (result == DB_NO_CREDENTIALS)
		answer_plain(
		    m, "FAIL", in->id, "Configured passdbs don't support credentials lookups");
	else if (result == DB_FAILED || result == DB_MISMATCH || line.overflow)
		answer_plain(m, "FAIL", in->id, NULL);
	else
		answer_plain(m, "NOTFOUND", in->id, NULL);
	strbuf_release(&line);
	return true;
}

struct listing {
	struct master_session *m;
	uint32_t id;
	const char *mask;
};

static void list_name(const char *name, void *arg)
{
	struct listing *listing = arg;
	struct strbuf line = STRBUF_INIT(AUTH_REPLY_MAX);

	if (!subject_name_matches(name, slice_of(listing->mask)))
		return;
	strbuf_addf(&line, "LIST\t%u\t", listing->id);
	auth_escape(&line, slice_of(name));
	strbuf_addch(&line, '\n');
	if (!line.overflow)
		answer(listing->m, &line);
	strbuf_release(&line);
}

static bool handle_list(struct master_session *m, const struct command_input *in)
{
	struct slice mask = SLICE_LIT("*");
	struct listing listing = { .m = m, .id = in->id };
	bool good = false;

	auth_field_get(in->fields, 2, "user", &mask);
	listing.mask = slice_has_nul(mask) ? "" : arena_slicedup(in->arena, mask);
	if (m->is_restricted)
		log_warning(
		    "master: listing of users by uid %lu was refused", (unsigned long)m->only_uid);
	else
		good = userdb_each(list_name, &listing);
	stream_printf(m->session.stream, "DONE\t%u\t%s\n", in->id, good ? "" : "fail");
	return true;
}

/* "REQUEST id client-pid auth-id cookie" */
static bool handle_request(struct master_session *m, const struct command_input *in)
{
	struct subject *subject;
	uint32_t client_pid, auth_id;

	if (m->is_userdb)
		return refuse_line("REQUEST on a socket of kind userdb");
	if (!auth_field_id(in->fields, 2, &client_pid) || !auth_field_id(in->fields, 3, &auth_id) ||
	    in->fields->count < 5)
		return refuse_line("malformed REQUEST");
	subject = login_take(client_pid, auth_id, in->fields->list[4], in->arena);
	if (subject) {
		answer_user(m, in->id, subject, true);
		return true;
	}
	log_error("master: REQUEST for a login that is not there: client %u, request %u",
	    client_pid, auth_id);
	answer_plain(m, "FAIL", in->id, NULL);
	return true;
}

/* "CACHE-FLUSH id [user...]" */
static bool handle_flush(struct master_session *m, const struct command_input *in)
{
	size_t count = 0;

	if (m->is_restricted) {
		answer_plain(m, "FAIL", in->id, NULL);
		return true;
	}
	if (in->fields->count < 3)
		count = auth_cache_flush(NULL);
	for (size_t i = 2; i < in->fields->count; i++)
		if (!slice_has_nul(in->fields->list[i]))
			count += auth_cache_flush(arena_slicedup(in->arena, in->fields->list[i]));
	stream_printf(m->session.stream, "OK\t%u\t%zu\n", in->id, count);
	return true;
}

static const struct {
	const char *word;
	bool (*handle)(struct master_session *m, const struct command_input *in);
} commands[] = {
	{ "USER", handle_user },
	{ "PASS", handle_pass },
	{ "LIST", handle_list },
	{ "REQUEST", handle_request },
	{ "CACHE-FLUSH", handle_flush },
};

static bool handle_fields(
    struct master_session *m, const struct auth_fields *fields, struct arena *arena)
{
	struct command_input in = { .fields = fields, .arena = arena };

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (!auth_field_is(fields, 0, commands[i].word))
			continue;
		if (!auth_field_id(fields, 1, &in.id))
			return refuse_line("request without a number");
		return commands[i].handle(m, &in);
	}
	/* Read where the line came in. */
	return auth_field_is(fields, 0, "VERSION") || refuse_line("unknown command");
}

static bool handle_line(struct master_session *m)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	bool good =
	    authd_read_line(m->session.stream, "master", &m->has_version, &arena, &fields) &&
	    handle_fields(m, &fields, &arena);

	arena_release(&arena);
	return good;
}

static enum session_next serve(struct session *session, enum session_wake why)
{
	struct master_session *m = (struct master_session *)session;

	switch (why) {
	case SESSION_OPENED:
		m->is_userdb = !strcmp(session->listener->kind, "userdb");
		restrict_stranger(m);
		stream_printf(session->stream, "VERSION\t%d\t%d\nSPID\t%ld\n", AUTH_PROTOCOL_MAJOR,
		    AUTH_MASTER_MINOR, (long)getpid());
		break;
	case SESSION_EXPIRED:
	case SESSION_DRAINING:
		return SESSION_CLOSE;
	case SESSION_HAS_INPUT:
		do {
			if (!handle_line(m))
				return SESSION_CLOSE;
		} while (stream_has_input(session->stream));
		break;
	case SESSION_WOKEN:
		break;
	}
	stream_set_deadline(session->stream, deadline_in(AUTHD_LINE_MS));
	session->deadline = clock_ms() + AUTHD_IDLE_MS;
	return SESSION_INPUT;
}

static void close_session(struct session *session)
{
	(void)session;
}

const struct session_class master_session_class = {
	.name = "auth master",
	.size = sizeof(struct master_session),
	.serve = serve,
	.close = close_session,
};

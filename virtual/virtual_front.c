// SPDX-License-Identifier: BSD-2-Clause
/*
 * A delivery in the front: every recipient is looked up; those of one user go in groups to that
 * user's worker; what the workers say is reported.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "rewrite/address_lookup.h"
#include "server/running.h"
#include "server/server.h"
#include "sys/socket.h"
#include "virtual/virtual.h"

#define VALUE_MAX 4096
/* Requests of one delivery that run at a time. */
#define GROUPS_AT_A_TIME 8
#define REQUEST_LIMIT_MS 60000
/* As Postfix's daemon_timeout: a worker that takes longer hangs. */
#define RESULT_LIMIT_MS (18000 * INT64_C(1000))

static struct {
	struct address_rules *rules;
	struct tables *mailboxes, *uids, *gids;
	bool original_recipient;
	long minimum_uid;
} front;

/* One recipient that is to be delivered. */
struct destination {
	struct strbuf path, head;
	uint64_t uid, gid;
	bool waits; /* for being given to a worker */
};

/* Recipients of one request, and the pipe on which their results come. */
struct group {
	size_t members[VIRTUAL_GROUP_MAX];
	bool reported[VIRTUAL_GROUP_MAX];
	size_t count;
	int results;
};

void virtual_front_prepare(struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params;

	front.rules = address_rules_new(p);
	front.mailboxes =
	    tables_open("virtual_mailbox_maps", p->virtual_mailbox_maps, TABLE_NO_SUBSTITUTION);
	front.uids = tables_open("virtual_uid_maps", p->virtual_uid_maps, TABLE_NO_SUBSTITUTION);
	front.gids = tables_open("virtual_gid_maps", p->virtual_gid_maps, TABLE_NO_SUBSTITUTION);
	front.original_recipient = p->enable_original_recipient;
	front.minimum_uid = p->virtual_minimum_uid;
}

void virtual_front_walls(const struct server_context *ctx, struct sandbox *walls)
{
	/* What the name service and libraries may open, and the tables. */
	static struct sandbox_path paths[64] = { { "/etc", SANDBOX_READ }, { "/lib", SANDBOX_READ },
		{ "/usr", SANDBOX_READ } };
	size_t count = 3;
	const char *dir;

	(void)ctx;
	for (size_t i = 0; (dir = table_directory(i)) != NULL && count < ARRAY_LEN(paths) - 1; i++)
		paths[count++] = (struct sandbox_path){ dir, SANDBOX_READ };
	/* With more directories than rules nothing may be forbidden. */
	walls->landlock = dir == NULL;
	walls->paths = paths;
	walls->calls = SANDBOX_CALLS_NO_NET;
}

/* ---- looking up ---- */

static enum delivery_status failed(
    struct delivery_outcome *o, enum delivery_status status, const char *dsn, const char *text)
{
	o->status = status;
	reason_set(&o->why, dsn, "%s", text);
	return status;
}

static bool look_up_id(struct tables *tables, struct slice user, long minimum, uint64_t *id,
    struct delivery_outcome *o)
{
	struct strbuf value = STRBUF_INIT(VALUE_MAX);
	enum table_result result =
	    address_lookup(front.rules, tables, user, ADDRESS_LOOKUP_MAILBOX, &value, NULL);
	bool good = false;

	if (result == TABLE_ERROR)
		log_warning("%s lookup failure for %.*s", tables_name(tables), SLICE_ARG(user));
	else if (result == TABLE_NOT_FOUND)
		log_warning(
		    "recipient %.*s: not found in %s", SLICE_ARG(user), tables_name(tables));
	else if (!slice_uint(strbuf_slice(&value), UINT32_MAX - 1, id) || *id == 0 ||
		 *id < (uint64_t)minimum)
		log_warning("recipient %.*s: bad %s %s in %s", SLICE_ARG(user),
		    tables == front.uids ? "uid" : "gid", value.ptr, tables_name(tables));
	else
		good = true;
	strbuf_release(&value);
	if (!good)
		failed(o, DELIVERY_DEFERRED, result == TABLE_ERROR ? "4.3.0" : "4.3.5",
		    "mail system configuration error");
	return good;
}

static bool look_up_mailbox(struct slice user, struct destination *to, struct delivery_outcome *o)
{
	char text[ADDRESS_MAX + 32];

	switch (address_lookup(
	    front.rules, front.mailboxes, user, ADDRESS_LOOKUP_MAILBOX, &to->path, NULL)) {
	case TABLE_FOUND:
		return true;
	case TABLE_NOT_FOUND:
		(void)snprintf(text, sizeof(text), "unknown user: \"%.*s\"", SLICE_ARG(user));
		failed(o, DELIVERY_BOUNCED, "5.1.1", text);
		return false;
	case TABLE_ERROR:
		break;
	}
	log_warning("%s lookup failure for %.*s", tables_name(front.mailboxes), SLICE_ARG(user));
	failed(o, DELIVERY_DEFERRED, "4.3.0", "mail system configuration error");
	return false;
}

static void add_header(struct strbuf *head, const char *name, struct slice value)
{
	strbuf_addstr(head, name);
	for (size_t i = 0; i < value.len; i++)
		strbuf_addch(head,
		    (unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 0x7f ? '?' : value.ptr[i]);
}

/* As mail_copy of the peer: Return-Path, X-Original-To, Delivered-To. */
static void make_head(
    struct strbuf *head, const char *sender, const struct delivery_recipient *rcpt)
{
	struct strbuf external = STRBUF_INIT(2 * ADDRESS_MAX + 4);

	add_header(head, "Return-Path: <", slice_of(sender));
	strbuf_addstr(head, ">\n");
	if (front.original_recipient) {
		address_external(
		    slice_of(rcpt->original[0] ? rcpt->original : rcpt->address), &external);
		add_header(head, "X-Original-To: ", strbuf_slice(&external));
		strbuf_addch(head, '\n');
		strbuf_reset(&external);
	}
	address_external(slice_of(rcpt->address), &external);
	add_header(head, "Delivered-To: ", strbuf_slice(&external));
	strbuf_addch(head, '\n');
	strbuf_release(&external);
}

static bool look_up(
    const struct delivery *d, size_t index, struct destination *to, struct delivery_outcome *o)
{
	const struct delivery_recipient *rcpt = &d->request->recipients[index];
	struct strbuf user = STRBUF_INIT(ADDRESS_MAX + 8);
	bool found;

	strbuf_init(&to->path, VALUE_MAX);
	strbuf_init(&to->head, 8 * ADDRESS_MAX);
	address_fold(slice_of(rcpt->address), &user);
	found = look_up_mailbox(strbuf_slice(&user), to, o) &&
		look_up_id(front.uids, strbuf_slice(&user), front.minimum_uid, &to->uid, o) &&
		look_up_id(front.gids, strbuf_slice(&user), 0, &to->gid, o);
	if (found)
		make_head(&to->head, d->request->sender, rcpt);
	strbuf_release(&user);
	return found;
}

/* ---- giving to workers ---- */

static void begin_request(
    struct msg_out *m, const struct delivery *d, const struct destination *first)
{
	msg_begin(m, "DELIVER");
	msg_add_str(m, VIRTUAL_ID, d->request->id);
	msg_add_u64(m, VIRTUAL_UID, first->uid);
	msg_add_u64(m, VIRTUAL_GID, first->gid);
	msg_add_i64(m, VIRTUAL_DATA, d->request->data_offset);
}

/* The first that wait and belong to one user. */
static bool fill_group(
    struct group *g, struct msg_out *m, const struct delivery *d, struct destination *list)
{
	const struct destination *first = NULL;

	*g = (struct group){ .results = -1 };
	for (size_t i = 0; i < d->request->recipient_count && g->count < VIRTUAL_GROUP_MAX; i++) {
		struct destination *to = &list[i];

		if (!to->waits || (first && (to->uid != first->uid || to->gid != first->gid)))
			continue;
		if (first == NULL)
			begin_request(m, d, first = to);
		msg_add(m, VIRTUAL_PATH, strbuf_slice(&to->path));
		msg_add(m, VIRTUAL_HEAD, strbuf_slice(&to->head));
		to->waits = false;
		g->members[g->count++] = i;
	}
	return first != NULL;
}

static void report_rest(struct group *g, struct delivery *d, const struct reason *why)
{
	struct delivery_outcome o = {
		.status = DELIVERY_DEFERRED, .why = *why, .relay = "virtual"
	};

	if (why->dsn[0] == '5')
		o.status = DELIVERY_BOUNCED;
	for (size_t i = 0; i < g->count; i++)
		if (!g->reported[i])
			delivery_result(d, g->members[i], &o);
}

static void send_group(struct group *g, struct msg_out *m, struct delivery *d)
{
	struct reason why = { "4.3.0", "" };
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		reason_set(&why, "4.3.0", "cannot make a pipe: %s", strerror(errno));
		report_rest(g, d, &why);
		return;
	}
	if (uid_workers_request(
		m, (int[]){ d->fd, pipe_fds[1] }, 2, deadline_in(REQUEST_LIMIT_MS), &why)) {
		g->results = pipe_fds[0];
	} else {
		report_rest(g, d, &why);
		close(pipe_fds[0]);
	}
	close(pipe_fds[1]);
}

/* The worker runs under a user's rights: what it says is checked, and concerns its group alone. */
static bool take_result(struct group *g, struct delivery *d, struct virtual_result *result)
{
	struct delivery_outcome o = { .status = DELIVERY_SENT, .relay = "virtual" };

	result->why.dsn[sizeof(result->why.dsn) - 1] = '\0';
	result->why.text[sizeof(result->why.text) - 1] = '\0';
	if (result->index >= g->count || g->reported[result->index] ||
	    !dsn_is_valid(result->why.dsn))
		return false;
	if (!result->sent)
		o.status = result->why.dsn[0] == '5' ? DELIVERY_BOUNCED : DELIVERY_DEFERRED;
	reason_set(&o.why, result->why.dsn, "%s", result->why.text);
	g->reported[result->index] = true;
	delivery_result(d, g->members[result->index], &o);
	return true;
}

static bool read_result(int fd, struct virtual_result *result, int64_t deadline)
{
	ssize_t n;

	do
		n = socket_wait(fd, POLLIN, deadline) == 1 ? read(fd, result, sizeof(*result)) : -1;
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*result);
}

static void collect(struct group *g, struct delivery *d, int64_t deadline)
{
	struct reason why = { "4.3.0", "" };
	struct virtual_result result;

	if (g->results < 0)
		return;
	for (size_t got = 0; got < g->count; got++)
		if (!read_result(g->results, &result, deadline) || !take_result(g, d, &result))
			break;
	close(g->results);
	reason_set(&why, "4.3.0", "the delivery process ended without a result");
	report_rest(g, d, &why);
}

static void deliver_all(struct delivery *d, struct destination *list)
{
	struct group groups[GROUPS_AT_A_TIME];
	struct msg_out m = { { 0 } };
	size_t count;

	do {
		for (count = 0; count < GROUPS_AT_A_TIME && !delivery_should_stop(d) &&
				fill_group(&groups[count], &m, d, list);
		     count++)
			send_group(&groups[count], &m, d);
		for (size_t i = 0; i < count; i++)
			collect(&groups[i], d, deadline_in(RESULT_LIMIT_MS));
	} while (count > 0);
	msg_release(&m);
}

/* A changed table that cannot be opened anew: master starts another process. */
static void refresh_tables(void)
{
	static atomic_bool told;

	if (!table_refresh_all() && !atomic_exchange(&told, true))
		(void)kill(getpid(), SIGTERM);
}

void virtual_front_deliver(struct delivery *d)
{
	size_t count = d->request->recipient_count;
	struct destination *list = xcalloc(count + 1, sizeof(*list));
	const struct running_who who = { .message = d->request->id };

	running_begin(&who);
	refresh_tables();
	for (size_t i = 0; i < count; i++) {
		struct delivery_outcome o = { .relay = "virtual" };

		list[i].waits = look_up(d, i, &list[i], &o);
		if (!list[i].waits)
			delivery_result(d, i, &o);
	}
	deliver_all(d, list);
	for (size_t i = 0; i < count; i++) {
		strbuf_release(&list[i].path);
		strbuf_release(&list[i].head);
	}
	free(list);
	running_end();
}

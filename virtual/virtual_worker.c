// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parent's check of who is delivered to, and the delivery in a worker.  Base and limit are the
 * parent's to say, so a front that was taken over cannot choose them, nor a uid below the minimum.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "queue/envelope.h"
#include "server/server.h"
#include "store/store.h"
#include "virtual/virtual.h"

static struct {
	const char *base;
	uint64_t limit;
	uint64_t minimum_uid;
} rules;

static void parent_start(const struct server_context *ctx)
{
	rules.base = ctx->params->virtual_mailbox_base;
	rules.limit = ctx->params->virtual_mailbox_limit > 0
			  ? (uint64_t)ctx->params->virtual_mailbox_limit
			  : 0;
	rules.minimum_uid = (uint64_t)ctx->params->virtual_minimum_uid;
}

static void copy_text(char *to, size_t size, const struct msg *m, const char *name)
{
	struct slice value = SLICE_NULL;

	(void)msg_get(m, name, &value);
	(void)snprintf(to, size, "%.*s", SLICE_ARG(value));
}

static bool resolve(
    const struct msg *request, struct uid_target *target, struct msg_out *out, struct reason *why)
{
	uint64_t uid, gid;

	if (!msg_get_u64(request, UID_LINK_UID, &uid) ||
	    !msg_get_u64(request, UID_LINK_GID, &gid) || uid < rules.minimum_uid || uid == 0 ||
	    gid == 0 || uid >= UINT32_MAX || gid >= UINT32_MAX) {
		reason_set(why, "4.3.5", "mail system configuration error");
		return false;
	}
	target->uid = (uid_t)uid;
	target->gid = (gid_t)gid;
	copy_text(target->user, sizeof(target->user), request, UID_LINK_USER);
	copy_text(target->message, sizeof(target->message), request, UID_LINK_MESSAGE);
	msg_add_str(out, VIRTUAL_BASE, rules.base);
	msg_add_u64(out, VIRTUAL_LIMIT, rules.limit);
	return true;
}

/* Mail only lies below virtual_mailbox_base; without one it may be anywhere. */
static void worker_walls(const struct uid_target *target, struct sandbox *walls)
{
	static struct sandbox_path paths[200];

	(void)target;
	walls->calls = SANDBOX_CALLS_NO_NET;
	if (rules.base[0] != '/' || strspn(rules.base, "/") == strlen(rules.base))
		return;
	walls->landlock = sandbox_mail_paths(rules.base, paths, ARRAY_LEN(paths));
	walls->paths = paths;
}

/* ---- a message from the queue file ---- */

struct content {
	struct content_reader reader;
	bool newline;  /* the line that was given last wants its end */
	bool open_end; /* the piece that was given last is no whole line */
	struct uid_work *work;
	uint32_t index; /* of the recipient */
};

static bool next_piece(void *arg, struct slice *piece, struct reason *why)
{
	struct content *c = arg;
	bool whole;

	if (c->newline) {
		c->newline = false;
		*piece = SLICE_LIT("\n");
		return true;
	}
	for (;;)
		switch (content_reader_next(&c->reader, piece, &whole)) {
		case CONTENT_LINE:
			c->newline = whole;
			c->open_end = !whole;
			if (piece->len > 0)
				return true;
			if (!whole)
				continue;
			return next_piece(c, piece, why);
		case CONTENT_END:
			/* A message that ends within a line gets its end, as with the peer. */
			c->newline = c->open_end;
			c->open_end = false;
			*piece = SLICE_NULL;
			return !c->newline || next_piece(c, piece, why);
		case CONTENT_DAMAGED:
			reason_set(why, "4.3.0",
			    "maildir delivery failed: error reading message: %s",
			    errno ? strerror(errno) : "damaged queue file");
			return false;
		}
}

static void say_stored(void *arg)
{
	const struct content *c = arg;
	struct virtual_result result;

	memset(&result, 0, sizeof(result));
	result.index = c->index;
	result.state = VIRTUAL_STORED;
	(void)uid_work_answer(c->work, &result, sizeof(result));
}

/* What is the same for the recipients of a call. */
struct work {
	struct uid_work *call;
	const char *base;
	uint64_t limit;
	int64_t data_offset;
	int fd;
};

static bool deliver(const struct store_location *location, const struct work *work, uint32_t index,
    struct slice head, struct reason *why)
{
	struct content content = { .work = work->call, .index = index };
	struct store_source source = { .next = next_piece,
		.stored = say_stored,
		.arg = &content,
		.head = head,
		.limit = work->limit,
		.proc_fd = server_context()->proc_fd };
	bool ok;

	content_reader_init(&content.reader, work->fd, (off_t)work->data_offset);
	ok = store_deliver(location, &source, why);
	content_reader_release(&content.reader);
	return ok;
}

static void warn_about_access(const struct reason *why)
{
	log_warning("maildir access problem for UID/GID=%lu/%lu: %s", (unsigned long)getuid(),
	    (unsigned long)getgid(), why->text);
	log_warning("perhaps you need to create the maildirs in advance");
}

static bool read_call(const struct msg *how, struct uid_work *w, struct work *work)
{
	*work = (struct work){ .call = w, .fd = w->fd_count == 1 ? w->fds[0] : -1 };
	return work->fd >= 0 && msg_get_str(how, VIRTUAL_BASE, &w->arena, &work->base) &&
	       msg_get_u64(how, VIRTUAL_LIMIT, &work->limit) &&
	       msg_get_i64(&w->msg, VIRTUAL_DATA, &work->data_offset);
}

static void serve_one(
    const struct work *work, struct slice path, struct slice head, struct virtual_result *result)
{
	struct store_location location;
	char path_text[sizeof(location.path)];

	reason_set(&result->why, "4.3.5", "mail system configuration error");
	if (slice_has_nul(path) || path.len >= sizeof(path_text))
		return;
	memcpy(path_text, path.ptr, path.len);
	path_text[path.len] = '\0';
	if (!store_location_virtual(&location, work->base, path_text, &result->why))
		return;
	if (deliver(&location, work, result->index, head, &result->why)) {
		reason_set(&result->why, "2.0.0", "delivered to maildir");
		result->state = VIRTUAL_SENT;
	} else if (errno == EACCES) {
		warn_about_access(&result->why);
	}
}

static void worker_call(const struct msg *how, struct uid_work *w)
{
	size_t at_path = 0, at_head = 0;
	struct virtual_result result;
	struct slice path, next, head;
	struct work work;
	bool good = read_call(how, w, &work);
	bool more = msg_each(&w->msg, VIRTUAL_PATH, &at_path, &next);

	for (uint32_t i = 0; more && msg_each(&w->msg, VIRTUAL_HEAD, &at_head, &head); i++) {
		path = next;
		more = msg_each(&w->msg, VIRTUAL_PATH, &at_path, &next);
		memset(&result, 0, sizeof(result)); /* padding, too: it goes to another process */
		result.index = i;
		if (good)
			serve_one(&work, path, head, &result);
		else
			reason_set(&result.why, "4.3.0", "the queue file did not come along");
		/* As delivery_end: it is not for us to close an unnamed file last. */
		if (!more)
			uid_work_close(w);
		if (!uid_work_answer(w, &result, sizeof(result)))
			return;
	}
}

const struct uid_workers_class virtual_workers = { .name = "virtual",
	.resolve = resolve,
	.parent_start = parent_start,
	.worker_walls = worker_walls,
	.worker_call = worker_call,
	.idle_ms = 100000 };

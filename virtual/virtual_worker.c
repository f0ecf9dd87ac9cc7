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

/* A user is known by the mailbox here. */
static void say_whose(struct uid_target *target, struct slice id, struct slice path)
{
	(void)snprintf(target->message, sizeof(target->message), "%.*s", SLICE_ARG(id));
	(void)snprintf(target->user, sizeof(target->user), "%.*s", SLICE_ARG(path));
}

static bool resolve(
    const struct msg *request, struct uid_target *target, struct msg_out *out, struct reason *why)
{
	uint64_t uid, gid;
	struct slice value, id = SLICE_NULL, path = SLICE_NULL;
	size_t paths = 0;
	int64_t data;

	if (!msg_get_u64(request, VIRTUAL_UID, &uid) || !msg_get_u64(request, VIRTUAL_GID, &gid) ||
	    !msg_get_i64(request, VIRTUAL_DATA, &data) || uid < rules.minimum_uid || uid == 0 ||
	    gid == 0 || uid >= UINT32_MAX || gid >= UINT32_MAX) {
		reason_set(why, "4.3.5", "mail system configuration error");
		return false;
	}
	target->uid = (uid_t)uid;
	target->gid = (gid_t)gid;
	msg_add_i64(out, VIRTUAL_DATA, data);
	msg_add_str(out, VIRTUAL_BASE, rules.base);
	msg_add_u64(out, VIRTUAL_LIMIT, rules.limit);
	for (size_t i = 0; msg_each(request, VIRTUAL_PATH, &i, &value); paths++) {
		msg_add(out, VIRTUAL_PATH, value);
		path = value;
	}
	for (size_t i = 0; msg_each(request, VIRTUAL_HEAD, &i, &value);)
		msg_add(out, VIRTUAL_HEAD, value);
	(void)msg_get(request, VIRTUAL_ID, &id);
	say_whose(target, id, paths == 1 ? path : SLICE_NULL);
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

static bool deliver(const struct store_location *location, int fd, off_t data_offset,
    struct slice head, uint64_t limit, struct reason *why)
{
	struct content content = { .newline = false };
	struct store_source source = { .next = next_piece,
		.arg = &content,
		.head = head,
		.limit = limit,
		.proc_fd = server_context()->proc_fd };
	bool ok;

	content_reader_init(&content.reader, fd, data_offset);
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

static void serve_one(struct msg_in *in, uint32_t index, struct slice path, struct slice head,
    struct virtual_result *result)
{
	struct store_location location;
	const char *base = "";
	char path_text[sizeof(location.path)];
	uint64_t limit = 0;
	int64_t data = 0;

	*result = (struct virtual_result){ .index = index };
	reason_set(&result->why, "4.3.5", "mail system configuration error");
	if (!msg_get_str(&in->msg, VIRTUAL_BASE, &in->arena, &base) ||
	    !msg_get_u64(&in->msg, VIRTUAL_LIMIT, &limit) ||
	    !msg_get_i64(&in->msg, VIRTUAL_DATA, &data) || slice_has_nul(path) ||
	    path.len >= sizeof(path_text))
		return;
	memcpy(path_text, path.ptr, path.len);
	path_text[path.len] = '\0';
	if (!store_location_virtual(&location, base, path_text, &result->why))
		return;
	if (deliver(&location, in->fds[0], (off_t)data, head, limit, &result->why)) {
		reason_set(&result->why, "2.0.0", "delivered to maildir");
		result->sent = 1;
	} else if (errno == EACCES) {
		warn_about_access(&result->why);
	}
}

static void worker_serve(struct msg_in *in)
{
	size_t at_path = 0, at_head = 0;
	struct virtual_result result;
	struct slice path, head;

	if (in->fd_count != 2)
		return;
	for (uint32_t i = 0; msg_each(&in->msg, VIRTUAL_PATH, &at_path, &path) &&
			     msg_each(&in->msg, VIRTUAL_HEAD, &at_head, &head);
	     i++) {
		memset(&result, 0, sizeof(result)); /* padding, too: it goes to another process */
		serve_one(in, i, path, head, &result);
		if (write(in->fds[1], &result, sizeof(result)) != (ssize_t)sizeof(result))
			return; /* the front is gone: nobody would know of further deliveries */
	}
}

const struct uid_workers_class virtual_workers = { .name = "virtual",
	.resolve = resolve,
	.parent_start = parent_start,
	.worker_walls = worker_walls,
	.worker_serve = worker_serve,
	.idle_ms = 100000 };

// SPDX-License-Identifier: BSD-2-Clause
#include "queue/showq.h"
#include "queue/maildrop.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "mail/address.h"
#include "queue/defer_log.h"
#include "queue/envelope.h"
#include "sys/file.h"

#define DEFER_LOG_MAX (16 * 1024 * 1024)
#define ADDRESS_SHOWN 4096

/* ---- writing ---- */

static void put(struct strbuf *out, const char *name, const char *value)
{
	/* With the NULs that separate. */
	strbuf_add(out, name, strlen(name) + 1);
	strbuf_add(out, value, strlen(value) + 1);
}

static void put_number(struct strbuf *out, const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	put(out, name, text);
}

void showq_begin(struct strbuf *out)
{
	put(out, "protocol", "showq_protocol");
	strbuf_addch(out, '\0');
}

void showq_add(struct strbuf *out, const struct showq_message *m)
{
	put(out, "queue_name", m->queue);
	put(out, "queue_id", m->id);
	put_number(out, "time", m->arrival_s);
	put_number(out, "size", m->size);
	put_number(out, "forced_expire", m->forced_expire);
	put(out, "sender", m->sender);
	for (size_t i = 0; i < m->count; i++) {
		const struct showq_recipient *r = &m->recipients[i];

		put(out, "original_recipient", r->original);
		put(out, "recipient", r->address);
		put(out, "log_class", r->failed ? "bounce" : *r->reason ? "defer" : "");
		put(out, "reason", r->reason);
	}
	strbuf_addch(out, '\0');
}

void showq_end(struct strbuf *out)
{
	strbuf_addch(out, '\0');
}

/* ---- from files ---- */

const char *showq_address(struct arena *arena, const char *internal)
{
	struct strbuf text = STRBUF_INIT(ADDRESS_SHOWN);
	const char *shown;

	address_external(slice_of(internal), &text);
	shown = arena_slicedup(arena, strbuf_slice(&text));
	strbuf_release(&text);
	return shown;
}

static size_t read_log(
    struct spool *spool, const char *id, struct arena *arena, struct defer_entry **entries)
{
	struct strbuf text = STRBUF_INIT(DEFER_LOG_MAX);
	int fd = spool_open_file(spool, SPOOL_DEFER, id, O_RDONLY);
	size_t count;

	if (fd == -1)
		return 0;
	file_read_fd(fd, &text);
	close(fd);
	count = defer_log_parse(strbuf_slice(&text), arena, entries);
	strbuf_release(&text);
	return count;
}

static const char *reason_for(
    const struct defer_entry *entries, size_t count, off_t offset, size_t *next)
{
	/* Both lists are in the file's order, as a rule. */
	for (size_t tries = 0; tries < count; tries++, *next = (*next + 1) % count)
		if (entries[*next].offset == offset)
			return entries[*next].why.text;
	return "";
}

static void take_recipients(
    struct spool *spool, const struct envelope *env, struct arena *arena, struct showq_message *m)
{
	struct defer_entry *entries = NULL;
	size_t count = read_log(spool, env->id, arena, &entries), next = 0;

	m->recipients = arena_alloc(arena, (env->recipient_count + 1) * sizeof(*m->recipients));
	for (size_t i = 0; i < env->recipient_count; i++) {
		const struct envelope_recipient *r = &env->recipients[i];

		if (r->done)
			continue;
		m->recipients[m->count++] =
		    (struct showq_recipient){ .address = showq_address(arena, r->address),
			    .original = showq_address(arena, r->original),
			    .reason = reason_for(entries, count, r->offset, &next) };
	}
}

/* A recipient as it was submitted: nothing is known of it yet. */
static void add_submitted(struct arena *arena, struct showq_message *m, struct slice address)
{
	/* 1, 2, 4, 8 ...: what is full is copied to twice the room. */
	if ((m->count & (m->count - 1)) == 0) {
		size_t room = m->count > 0 ? 2 * m->count : 1;
		struct showq_recipient *list = arena_alloc(arena, room * sizeof(*list));

		if (m->count > 0)
			memcpy(list, m->recipients, m->count * sizeof(*list));
		m->recipients = list;
	}
	m->recipients[m->count++] = (struct showq_recipient){
		.address = arena_slicedup(arena, address), .original = "", .reason = ""
	};
}

/* What postdrop left: no queue file yet.  Its addresses are in external form. */
static bool read_submission(int fd, const char *empty, struct arena *arena, struct showq_message *m)
{
	enum maildrop_section section = MAILDROP_ENVELOPE;
	struct queue_reader records;
	struct queue_record record;
	bool good = true;

	queue_reader_init(&records, fd, 0);
	records.raw = true;
	while (good && section != MAILDROP_END) {
		good = queue_reader_next(&records, &record) == QUEUE_READ_RECORD &&
		       maildrop_accept(&section, record.type, record.data);
		if (good && record.type == QR_SENDER)
			m->sender =
			    record.data.len > 0 ? arena_slicedup(arena, record.data) : empty;
		if (good && record.type == QR_RECIPIENT && m->count < ENVELOPE_MAX_RECIPIENTS)
			add_submitted(arena, m, record.data);
	}
	queue_reader_release(&records);
	return good && m->sender != NULL;
}

static bool show_submission(int fd, const struct stat *st, const char *id, const char *empty,
    struct arena *arena, struct showq_message *m)
{
	if (!S_ISREG(st->st_mode) || !(st->st_mode & S_IXUSR) || strlen(id) >= sizeof(m->id))
		return false;
	*m = (struct showq_message){ .arrival_s = st->st_mtim.tv_sec, .size = st->st_size };
	snprintf(m->queue, sizeof(m->queue), "%s", spool_queue_name(SPOOL_MAILDROP));
	strcpy(m->id, id);
	return read_submission(fd, empty, arena, m);
}

bool showq_read_file(struct spool *spool, enum spool_queue queue, const char *id, const char *empty,
    struct arena *arena, struct showq_message *m)
{
	struct reason why = { .dsn = "" };
	struct envelope *env = NULL;
	struct stat st;
	int fd = spool_open_file(spool, queue, id, O_RDONLY);

	if (fd == -1)
		return false;
	if (fstat(fd, &st) == -1) {
		close(fd);
		return false;
	}
	env = envelope_read(fd, id, ENVELOPE_TRUST, &why);
	bool submitted =
	    !env && queue == SPOOL_MAILDROP && show_submission(fd, &st, id, empty, arena, m);
	close(fd);
	if (!env)
		return submitted;
	*m = (struct showq_message){ .arrival_s = env->arrival_us / 1000000, .size = env->size };
	m->forced_expire = queue != SPOOL_MAILDROP && spool_is_expired(st.st_mode);
	snprintf(m->queue, sizeof(m->queue), "%s", spool_queue_name(queue));
	memcpy(m->id, env->id, sizeof(m->id));
	m->sender = showq_address(arena, *env->sender ? env->sender : empty);
	take_recipients(spool, env, arena, m);
	envelope_free(env);
	return true;
}

/* ---- reading ---- */

void showq_reader_init(struct showq_reader *r)
{
	*r = (struct showq_reader){ .greeted = false };
	strbuf_init(&r->buf, SHOWQ_MESSAGE_MAX);
}

void showq_reader_release(struct showq_reader *r)
{
	strbuf_release(&r->buf);
}

void showq_reader_feed(struct showq_reader *r, struct slice data)
{
	strbuf_addslice(&r->buf, data);
	r->failed |= r->buf.overflow;
}

/* Up to the next NUL; false when there is none. */
static bool take_string(struct cursor *c, struct slice *out)
{
	struct slice rest = cursor_rest(c);
	ptrdiff_t end = slice_find(rest, '\0');

	if (end < 0)
		return false;
	*out = cursor_take(c, (size_t)end);
	cursor_take(c, 1);
	return true;
}

struct attribute {
	struct slice name, value;
};

/* One name with its value, or the empty name. */
static bool take_attribute(struct cursor *c, struct attribute *a)
{
	a->value = SLICE_NULL;
	return take_string(c, &a->name) && (a->name.len == 0 || take_string(c, &a->value));
}

/* Is a whole record there?  How many recipients has it? */
static bool measure(struct slice text, size_t *attributes, size_t *recipients)
{
	struct cursor c = cursor_of(text);
	struct attribute a;

	*attributes = *recipients = 0;
	while (take_attribute(&c, &a)) {
		if (a.name.len == 0)
			return true;
		++*attributes;
		*recipients += slice_eq_str(a.name, "recipient");
	}
	return false;
}

static void take_member(
    const struct attribute *a, struct arena *arena, struct showq_message *m, const char **original)
{
	struct showq_recipient *r = m->count ? &m->recipients[m->count - 1] : NULL;
	const char *text = arena_slicedup(arena, a->value);
	uint64_t n = 0;

	slice_uint(a->value, INT64_MAX, &n);
	if (slice_eq_str(a->name, "queue_name")) {
		snprintf(m->queue, sizeof(m->queue), "%s", text);
	} else if (slice_eq_str(a->name, "queue_id")) {
		snprintf(m->id, sizeof(m->id), "%s", text);
	} else if (slice_eq_str(a->name, "time")) {
		m->arrival_s = (int64_t)n;
	} else if (slice_eq_str(a->name, "size")) {
		m->size = (int64_t)n;
	} else if (slice_eq_str(a->name, "forced_expire")) {
		m->forced_expire = n != 0;
	} else if (slice_eq_str(a->name, "sender")) {
		m->sender = text;
	} else if (slice_eq_str(a->name, "original_recipient")) {
		*original = text;
	} else if (slice_eq_str(a->name, "recipient")) {
		m->recipients[m->count++] = (struct showq_recipient){
			.address = text, .original = *original, .reason = ""
		};
		*original = "";
	} else if (r && slice_eq_str(a->name, "log_class")) {
		r->failed = slice_eq_str(a->value, "bounce");
	} else if (r && slice_eq_str(a->name, "reason")) {
		r->reason = text;
	}
}

static void take_record(
    struct showq_reader *r, struct arena *arena, size_t recipients, struct showq_message *m)
{
	struct cursor c = cursor_of(strbuf_slice(&r->buf));
	const char *original = "";
	struct attribute a;

	*m = (struct showq_message){ .sender = "" };
	m->recipients = arena_alloc(arena, (recipients + 1) * sizeof(*m->recipients));
	while (take_attribute(&c, &a) && a.name.len > 0)
		take_member(&a, arena, m, &original);
	strbuf_consume(&r->buf, c.at);
}

bool showq_reader_next(struct showq_reader *r, struct arena *arena, struct showq_message *m)
{
	size_t attributes, recipients;
	struct arena greeting = ARENA_INIT;

	while (
	    !r->ended && !r->failed && measure(strbuf_slice(&r->buf), &attributes, &recipients)) {
		if (r->greeted && attributes == 0) {
			r->ended = true;
			break;
		}
		if (!r->greeted) {
			r->failed = !slice_starts(strbuf_slice(&r->buf), "protocol");
			take_record(r, &greeting, recipients, m);
			arena_release(&greeting);
			r->greeted = true;
			continue;
		}
		take_record(r, arena, recipients, m);
		return true;
	}
	return false;
}

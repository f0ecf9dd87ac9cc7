// SPDX-License-Identifier: BSD-2-Clause
/*
 * An entry is an empty line, "<ADDR>: reason" for people, then name=value lines for programs, then
 * an empty line. The reader only takes name=value lines.
 */
#include "queue/defer_log.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "mail/address.h"

/* What a line of the log may hold: the readers of it split at line ends. */
static void add_clean(struct strbuf *out, const char *text)
{
	for (; *text; text++)
		strbuf_addch(out, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void add_line(struct strbuf *out, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	strbuf_addf(out, "%s=", name);
	add_clean(out, value);
	strbuf_addch(out, '\n');
}

static void add_address(
    struct strbuf *out, const char *before, const char *address, const char *after)
{
	strbuf_addstr(out, before);
	address_external(slice_of(address), out);
	strbuf_addstr(out, after);
}

void defer_log_add(struct strbuf *out, const struct defer_entry *e)
{
	if (!e->no_text) {
		add_address(out, "\n<", e->recipient, ">: ");
		add_clean(out, e->why.text);
		strbuf_addch(out, '\n');
	}
	add_address(out, "recipient=", e->recipient, "\n");
	if (e->original && *e->original)
		add_address(out, "original_recipient=", e->original, "\n");
	if (e->offset > 0)
		strbuf_addf(out, "offset=%lld\n", (long long)e->offset);
	add_line(out, "dsn_orig_rcpt", e->orcpt);
	if (e->notify)
		strbuf_addf(out, "notify_flags=%u\n", e->notify);
	add_line(out, "status", e->why.dsn);
	add_line(out, "action", e->action && *e->action ? e->action : "delayed");
	if (e->diagnostic && *e->diagnostic) {
		add_line(out, "diag_type", "smtp");
		add_line(out, "diag_text", e->diagnostic);
	}
	if (e->remote_mta && *e->remote_mta) {
		add_line(out, "mta_type", "dns");
		add_line(out, "mta_mname", e->remote_mta);
	}
	add_line(out, "reason", e->why.text);
	strbuf_addch(out, '\n');
}

static void take_value(
    struct arena *arena, struct defer_entry *e, struct slice name, struct slice value)
{
	const char *text = slice_has_nul(value) ? "" : arena_slicedup(arena, value);
	uint64_t n = 0;

	slice_uint(value, INT64_MAX / 2, &n);
	if (slice_eq_str(name, "recipient"))
		e->recipient = text;
	else if (slice_eq_str(name, "original_recipient"))
		e->original = text;
	else if (slice_eq_str(name, "offset"))
		e->offset = (off_t)n;
	else if (slice_eq_str(name, "dsn_orig_rcpt"))
		e->orcpt = text;
	else if (slice_eq_str(name, "notify_flags") && n < 16)
		e->notify = (unsigned)n;
	else if (slice_eq_str(name, "status") && dsn_is_valid(text))
		memcpy(e->why.dsn, text, strlen(text) + 1);
	else if (slice_eq_str(name, "action"))
		e->action = text;
	else if (slice_eq_str(name, "diag_text"))
		e->diagnostic = text;
	else if (slice_eq_str(name, "mta_mname"))
		e->remote_mta = text;
	else if (slice_eq_str(name, "reason")) {
		char dsn[sizeof(e->why.dsn)];

		memcpy(dsn, e->why.dsn, sizeof(dsn));
		reason_set(&e->why, "4.0.0", "%s", text);
		memcpy(e->why.dsn, dsn, sizeof(dsn));
	}
}

struct entry_list {
	struct arena *arena;
	struct defer_entry *entries;
	size_t count, alloc;
};

static const char *default_status(const struct defer_entry *e)
{
	if (strcmp(e->action, "failed") == 0)
		return "5.0.0";
	return strcmp(e->action, "delayed") == 0 || !*e->action ? "4.0.0" : "2.0.0";
}

static void finish_entry(struct entry_list *list, struct defer_entry *e)
{
	if (e->recipient && list->count < DEFER_LOG_MAX_ENTRIES) {
		if (!e->why.dsn[0])
			strcpy(e->why.dsn, default_status(e));
		if (list->count == list->alloc) {
			size_t alloc = list->alloc ? 2 * list->alloc : 8;
			struct defer_entry *bigger =
			    arena_alloc(list->arena, alloc * sizeof(*bigger));

			if (list->count)
				memcpy(bigger, list->entries, list->count * sizeof(*bigger));
			list->entries = bigger;
			list->alloc = alloc;
		}
		list->entries[list->count++] = *e;
	}
	*e = (struct defer_entry){
		.original = "", .orcpt = "", .remote_mta = "", .diagnostic = "", .action = ""
	};
}

size_t defer_log_parse(struct slice text, struct arena *arena, struct defer_entry **entries)
{
	struct entry_list list = { .arena = arena };
	struct cursor c = cursor_of(text);
	struct defer_entry entry = { 0 };

	finish_entry(&list, &entry);
	while (!cursor_at_end(&c)) {
		struct slice line = cursor_until(&c, "\n");
		ptrdiff_t eq = slice_find(line, '=');

		cursor_skip(&c, "\n");
		if (line.len == 0) {
			finish_entry(&list, &entry);
			continue;
		}
		/* The line for people comes first and begins with '<': it may hold a '='. */
		if (line.ptr[0] != '<' && eq > 0)
			take_value(arena, &entry, slice_first(line, (size_t)eq),
			    slice_from(line, (size_t)eq + 1));
	}
	finish_entry(&list, &entry);
	*entries = list.entries;
	return list.count;
}

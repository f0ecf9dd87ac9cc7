// SPDX-License-Identifier: BSD-2-Clause
/*
 * Dovecot's list of UIDs, as text:
 *
 *	3 V1795159663 N4 G9dc571336ff6ff6a7e7c000083ecc375
 *	1 :1795159672.M309648P32067.host,S=224,W=236
 *	2 W39 :1795159701.M261997P366.host
 *
 * and version 1, Courier's: "1 UIDVALIDITY UIDNEXT", then "UID NAME".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "store/maildir.h"

void uidlist_init(struct uidlist *list)
{
	*list = (struct uidlist){ .extra = "", .uidnext = 1 };
}

void uidlist_release(struct uidlist *list)
{
	arena_release(&list->arena);
	free(list->records);
	uidlist_init(list);
}

struct uidlist_record *uidlist_add(struct uidlist *list, uint32_t uid, struct slice name)
{
	struct uidlist_record *r;

	if (list->count == list->alloc) {
		list->alloc = list->alloc ? list->alloc * 2 : 64;
		list->records = xreallocarray(list->records, list->alloc, sizeof(list->records[0]));
	}
	r = &list->records[list->count++];
	*r = (struct uidlist_record){
		.uid = uid, .name = arena_slicedup(&list->arena, name), .extra = ""
	};
	if (uid >= list->uidnext)
		list->uidnext = uid + 1;
	return r;
}

static bool number_is(struct slice s, uint32_t *value)
{
	uint64_t n;

	/* The highest one is kept free, so that a next UID can always be written. */
	if (!slice_uint(s, UINT32_MAX - 1, &n))
		return false;
	*value = (uint32_t)n;
	return true;
}

/* Blank-separated words that begin with a letter: the ones of the header, of records. */
static bool parse_header_fields(struct uidlist *list, struct slice rest)
{
	struct strbuf extra = STRBUF_INIT(4096);
	bool good = true, have_next = false;
	struct slice word;

	while (good && slice_token(&rest, " ", &word)) {
		struct slice value = slice_from(word, 1);

		if (word.ptr[0] == 'V') {
			good = number_is(value, &list->uidvalidity);
		} else if (word.ptr[0] == 'N') {
			good = have_next = number_is(value, &list->uidnext);
		} else {
			good = ascii_isalpha(word.ptr[0]);
			strbuf_addf(&extra, "%s%.*s", extra.len > 0 ? " " : "", SLICE_ARG(word));
		}
	}
	good = good && !extra.overflow && list->uidvalidity != 0 && have_next && list->uidnext != 0;
	if (good)
		list->extra = arena_slicedup(&list->arena, strbuf_slice(&extra));
	strbuf_release(&extra);
	return good;
}

static bool parse_header(struct uidlist *list, struct slice line)
{
	struct slice word;

	if (!slice_token(&line, " ", &word))
		return false;
	if (slice_eq_str(word, "3"))
		return parse_header_fields(list, line);
	if (!slice_eq_str(word, "1"))
		return false;
	list->old_version = true;
	return slice_token(&line, " ", &word) && number_is(word, &list->uidvalidity) &&
	       list->uidvalidity != 0 && slice_token(&line, " ", &word) &&
	       number_is(word, &list->uidnext) && list->uidnext != 0 && line.len == 0;
}

/* "W39 Pabc :name"; an extension's letter is A-Z, and it ends at a blank. */
static bool parse_name(
    const struct uidlist *list, struct slice rest, struct slice *extra, struct slice *name)
{
	struct slice flags, all = rest;

	*extra = SLICE_NULL;
	if (list->old_version) {
		maildir_name_split(rest, name, &flags);
		return maildir_name_is_clean(*name);
	}
	while (rest.len > 0 && rest.ptr[0] != ':') {
		ptrdiff_t blank = slice_find(rest, ' ');

		if (blank < 0 || rest.ptr[0] < 'A' || rest.ptr[0] > 'Z')
			return false;
		rest = slice_from(rest, (size_t)blank + 1);
	}
	*extra = slice_trim(slice_first(all, all.len - rest.len), " ");
	maildir_name_split(slice_from(rest, 1), name, &flags);
	return maildir_name_is_clean(*name);
}

static bool parse_record(struct uidlist *list, struct slice line)
{
	struct slice extra, name;
	struct uidlist_record *r;
	ptrdiff_t blank = slice_find(line, ' ');
	uint32_t uid;

	if (blank < 0 || !number_is(slice_first(line, (size_t)blank), &uid) || uid == 0 ||
	    (list->count > 0 && uid <= list->records[list->count - 1].uid) ||
	    !parse_name(list, slice_from(line, (size_t)blank + 1), &extra, &name))
		return false;
	r = uidlist_add(list, uid, name);
	if (extra.len > 0)
		r->extra = arena_slicedup(&list->arena, extra);
	return true;
}

/* A line that was cut tells no name, but its UID may have been shown to somebody. */
static void skip_torn(struct uidlist *list, struct slice line)
{
	struct slice word;
	uint32_t uid;

	list->torn = true;
	if (slice_token(&line, " ", &word) && number_is(word, &uid) && uid >= list->uidnext)
		list->uidnext = uid + 1;
}

bool uidlist_parse(struct uidlist *list, struct slice text)
{
	struct cursor c = cursor_of(text);
	bool first = true;

	while (!cursor_at_end(&c)) {
		struct slice line = cursor_until(&c, "\n");

		if (!cursor_skip(&c, "\n")) {
			if (first)
				return false;
			skip_torn(list, line);
			break;
		}
		if (first ? !parse_header(list, line) : !parse_record(list, line))
			return false;
		first = false;
	}
	return !first;
}

void uidlist_format_record(const struct uidlist_record *record, struct strbuf *out)
{
	strbuf_addf(out, "%lu ", (unsigned long)record->uid);
	if (record->extra[0] != '\0')
		strbuf_addf(out, "%s ", record->extra);
	strbuf_addf(out, ":%s\n", record->name);
}

void uidlist_format(const struct uidlist *list, struct strbuf *out)
{
	strbuf_addf(
	    out, "3 V%lu N%lu", (unsigned long)list->uidvalidity, (unsigned long)list->uidnext);
	if (list->extra[0] != '\0')
		strbuf_addf(out, " %s", list->extra);
	strbuf_addch(out, '\n');
	for (size_t i = 0; i < list->count; i++)
		uidlist_format_record(&list->records[i], out);
}

bool uidlist_extra_get(const char *extra, char letter, struct slice *value)
{
	struct slice rest = slice_of(extra), word;

	while (slice_token(&rest, " ", &word))
		if (word.ptr[0] == letter) {
			*value = slice_from(word, 1);
			return true;
		}
	return false;
}

const char *uidlist_extra_set(
    struct uidlist *list, const char *extra, char letter, const char *value)
{
	struct slice rest = slice_of(extra), word;
	struct strbuf out = STRBUF_INIT(8192);
	const char *result;

	while (slice_token(&rest, " ", &word))
		if (word.ptr[0] != letter)
			strbuf_addf(&out, "%.*s ", SLICE_ARG(word));
	strbuf_addf(&out, "%c%s", letter, value);
	result = out.overflow ? extra : arena_slicedup(&list->arena, strbuf_slice(&out));
	strbuf_release(&out);
	return result;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * A struct msg_out holds the record from its first byte on: room for the five bytes in front, then
 * kind and attributes.  The channel writes those five when it knows the number of descriptors.
 */
#include "ipc/msg.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"

#define NAME_MAX_LEN 255

static bool is_name(struct slice name, bool kind)
{
	if (!name.len || name.len > NAME_MAX_LEN)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c != '_' && !ascii_isdigit(c) &&
		    !(kind ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z'))
			return false;
	}
	return true;
}

static void add_name(struct msg_out *m, const char *name, bool kind)
{
	struct slice s = slice_of(name);

	ASSERT(is_name(s, kind));
	strbuf_addch(&m->buf, (char)s.len);
	strbuf_addslice(&m->buf, s);
}

void msg_begin(struct msg_out *m, const char *kind)
{
	static const char front[MSG_FRONT];

	if (m->buf.ptr)
		strbuf_reset(&m->buf);
	else
		strbuf_init(&m->buf, MSG_MAX);
	strbuf_add(&m->buf, front, sizeof(front));
	add_name(m, kind, true);
}

void msg_release(struct msg_out *m)
{
	if (m->buf.ptr)
		strbuf_release(&m->buf);
}

void msg_add(struct msg_out *m, const char *name, struct slice value)
{
	char len[4] = { (char)(value.len >> 24), (char)(value.len >> 16), (char)(value.len >> 8),
		(char)value.len };

	add_name(m, name, false);
	/* Beyond this the length's upper bytes would be lost; the record overflows all the same. */
	if (value.len > MSG_MAX)
		m->buf.overflow = true;
	strbuf_add(&m->buf, len, sizeof(len));
	strbuf_addslice(&m->buf, value);
}

void msg_add_str(struct msg_out *m, const char *name, const char *value)
{
	if (value)
		msg_add(m, name, slice_of(value));
}

/* A record has a dozen numbers, and printf(3) takes its time. */
static void add_number(struct msg_out *m, const char *name, bool negative, uint64_t magnitude)
{
	char text[24];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + magnitude % 10);
	while ((magnitude /= 10) > 0);
	if (negative)
		text[--at] = '-';
	msg_add(m, name, slice_mem(text + at, sizeof(text) - at));
}

void msg_add_u64(struct msg_out *m, const char *name, uint64_t value)
{
	add_number(m, name, false, value);
}

void msg_add_i64(struct msg_out *m, const char *name, int64_t value)
{
	add_number(m, name, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static struct slice take_name(struct cursor *c, bool kind)
{
	struct slice name = cursor_take(c, cursor_u8(c));

	if (!is_name(name, kind))
		c->failed = true;
	return name;
}

static struct msg_attr take_attr(struct cursor *c)
{
	struct msg_attr attr;

	attr.name = take_name(c, false);
	attr.value = cursor_take(c, cursor_be32(c));
	return attr;
}

/* Counting first costs a second look at bytes in the cache and saves growing the array. */
static bool count_attrs(struct cursor c, size_t *count)
{
	for (*count = 0; !c.failed && !cursor_at_end(&c); (*count)++)
		take_attr(&c);
	return !c.failed;
}

bool msg_parse(struct msg *m, struct slice body, struct arena *arena)
{
	struct cursor c = cursor_of(body);

	m->kind = take_name(&c, true);
	m->attrs = NULL;
	m->attr_count = 0;
	if (c.failed || !count_attrs(c, &m->attr_count)) {
		m->attr_count = 0;
		return false;
	}
	m->attrs = arena_alloc(arena, m->attr_count * sizeof(m->attrs[0]));
	for (size_t i = 0; i < m->attr_count; i++)
		m->attrs[i] = take_attr(&c);
	return true;
}

bool msg_is(const struct msg *m, const char *kind)
{
	return slice_eq_str(m->kind, kind);
}

bool msg_each(const struct msg *m, const char *name, size_t *index, struct slice *value)
{
	const struct slice wanted = slice_of(name);

	while (*index < m->attr_count) {
		const struct msg_attr *attr = &m->attrs[(*index)++];

		if (slice_eq(attr->name, wanted)) {
			*value = attr->value;
			return true;
		}
	}
	return false;
}

bool msg_get(const struct msg *m, const char *name, struct slice *value)
{
	size_t index = 0;

	return msg_each(m, name, &index, value);
}

bool msg_get_str(const struct msg *m, const char *name, struct arena *arena, const char **value)
{
	struct slice s;

	if (!msg_get(m, name, &s) || slice_has_nul(s))
		return false;
	*value = arena_slicedup(arena, s);
	return true;
}

bool msg_get_u64(const struct msg *m, const char *name, uint64_t *value)
{
	struct slice s;

	return msg_get(m, name, &s) && slice_uint(s, UINT64_MAX, value);
}

bool msg_get_i64(const struct msg *m, const char *name, int64_t *value)
{
	struct slice s;
	uint64_t magnitude;
	bool negative;

	if (!msg_get(m, name, &s))
		return false;
	negative = slice_starts(s, "-");
	if (!slice_uint(slice_from(s, negative), (uint64_t)INT64_MAX + negative, &magnitude))
		return false;
	*value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

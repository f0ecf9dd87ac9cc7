// SPDX-License-Identifier: BSD-2-Clause
#include "auth/auth_proto.h"

#include <string.h>

#include "base/check.h"

static const struct {
	char byte, letter;
} escapes[] = { { '\0', '0' }, { '\001', '1' }, { '\t', 't' }, { '\r', 'r' }, { '\n', 'n' } };

static void escape_byte(struct strbuf *out, char byte)
{
	for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
		if (escapes[i].byte == byte) {
			char pair[2] = { '\001', escapes[i].letter };

			strbuf_add(out, pair, sizeof(pair));
			return;
		}
	}
	strbuf_addch(out, byte);
}

void auth_escape(struct strbuf *out, struct slice in)
{
	for (size_t i = 0; i < in.len; i++)
		escape_byte(out, in.ptr[i]);
}

static bool unescape_letter(struct strbuf *out, char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
		if (escapes[i].letter == letter) {
			strbuf_addch(out, escapes[i].byte);
			return true;
		}
	}
	return false;
}

bool auth_unescape(struct strbuf *out, struct slice in)
{
	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] != '\001')
			strbuf_addch(out, in.ptr[i]);
		else if (++i == in.len || !unescape_letter(out, in.ptr[i]))
			return false;
	}
	return true;
}

static bool add_unescaped(struct auth_fields *fields, struct slice raw, struct arena *arena)
{
	struct strbuf plain = STRBUF_INIT(AUTH_REPLY_MAX);
	struct slice field;
	bool good;

	if (fields->count == AUTH_FIELDS_MAX)
		return false;
	good = auth_unescape(&plain, raw) && !plain.overflow;
	if (good) {
		field.len = plain.len;
		field.ptr = arena_slicedup(arena, strbuf_slice(&plain));
		fields->list[fields->count++] = field;
	}
	strbuf_release(&plain);
	return good;
}

bool auth_fields_split(struct auth_fields *fields, struct slice line, struct arena *arena)
{
	ptrdiff_t tab = 0;

	fields->count = 0;
	if (slice_ends(line, "\r"))
		line = slice_first(line, line.len - 1);
	if (slice_ends(line, "\t"))
		line = slice_first(line, line.len - 1);
	while (tab >= 0) {
		tab = slice_find(line, '\t');
		if (!add_unescaped(fields, tab < 0 ? line : slice_first(line, (size_t)tab), arena))
			return false;
		line = slice_from(line, (size_t)tab + 1);
	}
	return true;
}

bool auth_field_is(const struct auth_fields *fields, size_t at, const char *name)
{
	return at < fields->count && slice_eq_str(fields->list[at], name);
}

bool auth_field_get(
    const struct auth_fields *fields, size_t from, const char *name, struct slice *value)
{
	size_t len = strlen(name);

	for (size_t i = from; i < fields->count; i++) {
		struct slice field = fields->list[i];

		if (!slice_starts(field, name))
			continue;
		if (field.len > len && field.ptr[len] != '=')
			continue;
		*value = slice_from(field, len + 1);
		return true;
	}
	return false;
}

bool auth_field_id(const struct auth_fields *fields, size_t at, uint32_t *id)
{
	uint64_t number;

	if (at >= fields->count || !slice_uint(fields->list[at], UINT32_MAX, &number) || !number)
		return false;
	*id = (uint32_t)number;
	return true;
}

void auth_add_field(struct strbuf *out, const char *name, struct slice value)
{
	strbuf_addch(out, '\t');
	auth_escape(out, slice_of(name));
	if (!value.ptr)
		return;
	strbuf_addch(out, '=');
	auth_escape(out, value);
}

static const struct {
	const char *word;
	unsigned flag;
} flag_words[] = {
	{ "anonymous", AUTH_MECH_ANONYMOUS },
	{ "plaintext", AUTH_MECH_PLAINTEXT },
	{ "dictionary", AUTH_MECH_DICTIONARY },
	{ "active", AUTH_MECH_ACTIVE },
	{ "forward-secrecy", AUTH_MECH_FORWARD_SECRECY },
	{ "mutual-auth", AUTH_MECH_MUTUAL_AUTH },
	{ "private", AUTH_MECH_PRIVATE },
	{ "channel-binding", AUTH_MECH_CHANNEL_BINDING },
};

const char *auth_mechanism_flag_word(unsigned flag)
{
	for (size_t i = 0; i < ARRAY_LEN(flag_words); i++)
		if (flag_words[i].flag == flag)
			return flag_words[i].word;
	return NULL;
}

unsigned auth_mechanism_flags(const struct auth_fields *fields, size_t from)
{
	unsigned flags = 0;

	for (size_t i = from; i < fields->count; i++)
		for (size_t k = 0; k < ARRAY_LEN(flag_words); k++)
			if (slice_eq_str(fields->list[i], flag_words[k].word))
				flags |= flag_words[k].flag;
	return flags;
}

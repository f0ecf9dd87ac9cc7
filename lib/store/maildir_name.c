// SPDX-License-Identifier: BSD-2-Clause
/* File names of a Maildir: "1795159672.M309648P32067.host,S=224,W=236:2,FS". */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "store/maildir.h"

static const struct {
	char letter;
	enum store_flag flag;
} letters[] = {
	/* in ASCII order, as they stand in names */
	{ 'D', STORE_DRAFT }, { 'F', STORE_FLAGGED }, { 'P', STORE_PASSED },
	{ 'R', STORE_ANSWERED }, { 'S', STORE_SEEN }, { 'T', STORE_DELETED }
};

void maildir_name_split(struct slice name, struct slice *base, struct slice *flags)
{
	ptrdiff_t colon = slice_find(name, ':');
	struct slice info;

	*flags = SLICE_NULL;
	*base = name;
	if (colon < 0)
		return;
	*base = slice_first(name, (size_t)colon);
	info = slice_from(name, (size_t)colon + 1);
	if (slice_starts(info, "2,"))
		*flags = slice_from(info, 2);
}

uint64_t maildir_name_size(struct slice base, char which)
{
	struct slice rest = base, field;
	uint64_t size;

	/* The first field is the unique part. */
	if (!slice_token(&rest, ",", &field))
		return STORE_SIZE_UNKNOWN;
	while (slice_token(&rest, ",", &field))
		if (field.len > 2 && field.ptr[0] == which && field.ptr[1] == '=')
			return slice_uint(slice_from(field, 2), INT64_MAX, &size)
				   ? size
				   : STORE_SIZE_UNKNOWN;
	return STORE_SIZE_UNKNOWN;
}

static unsigned flag_of(char letter)
{
	if (letter >= 'a' && letter <= 'z')
		return STORE_KEYWORD(letter - 'a');
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		if (letters[i].letter == letter)
			return letters[i].flag;
	return 0;
}

unsigned maildir_flags_parse(struct slice flags)
{
	unsigned set = 0;

	for (size_t i = 0; i < flags.len && flags.ptr[i] != ','; i++)
		set |= flag_of(flags.ptr[i]);
	return set;
}

void maildir_name_build(struct strbuf *out, struct slice base, struct slice flags, unsigned want)
{
	ptrdiff_t comma = slice_find(flags, ',');
	struct slice tail = comma < 0 ? SLICE_NULL : slice_from(flags, (size_t)comma);
	bool present[256] = { false };

	if (comma >= 0)
		flags = slice_first(flags, (size_t)comma);
	for (size_t i = 0; i < flags.len; i++)
		present[(unsigned char)flags.ptr[i]] = true;
	for (size_t i = 0; i < ARRAY_LEN(letters); i++)
		present[(unsigned char)letters[i].letter] = (want & letters[i].flag) != 0;
	for (int i = 0; i < STORE_KEYWORDS; i++)
		present['a' + i] = (want & STORE_KEYWORD(i)) != 0;
	strbuf_addslice(out, base);
	strbuf_addstr(out, ":2,");
	for (int c = 1; c < 256; c++)
		if (present[c])
			strbuf_addch(out, (char)c);
	strbuf_addslice(out, tail);
}

bool maildir_name_is_clean(struct slice name)
{
	if (name.len == 0 || name.len > MAILDIR_NAME_MAX || name.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] == '\n' || name.ptr[i] == '\r' || name.ptr[i] == '/' ||
		    name.ptr[i] == '\0')
			return false;
	return true;
}

static char host[256];

static void find_host(void)
{
	char name[64 + 1] = "", *out = host;

	(void)gethostname(name, sizeof(name) - 1);
	for (const char *c = name; *c != '\0'; c++)
		if (*c == '/')
			out = stpcpy(out, "\\057");
		else if (*c == ':')
			out = stpcpy(out, "\\072");
		else if (*c > ' ' && *c < 0x7f && *c != ',')
			*out++ = *c;
	if (out == host)
		strcpy(host, "localhost");
}

const char *maildir_host(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_host);
	return host;
}

// SPDX-License-Identifier: BSD-2-Clause
/* The lists of settings as tables, and values as their types read them. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/dovecot_tree.h"

#define WORKS_YES true
#define WORKS_NO  false

/* clang-format off */
static const struct dovecot_row rows[] = {
#define SETTING(type, field, name, def, works, text)                                               \
	{ name, def, text, DOVECOT_##type, WORKS_##works, offsetof(struct dovecot_settings, field) },
#include "conf/dovecot_settings.def"
#undef SETTING
};

static const struct block_row {
	enum dovecot_kind kind;
	struct dovecot_row row;
} block_rows[] = {
#define BLOCK_SETTING(kind, type, name, def, works, text)                                          \
	{ DOVECOT_##kind, { name, def, text, DOVECOT_##type, WORKS_##works, 0 } },
#include "conf/dovecot_blocks.def"
#undef BLOCK_SETTING
};
/* clang-format on */

size_t dovecot_row_count(void)
{
	return ARRAY_LEN(rows);
}

const struct dovecot_row *dovecot_row(size_t i)
{
	return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

static int compare_row(const void *name, const void *row)
{
	return strcmp(name, ((const struct dovecot_row *)row)->name);
}

const struct dovecot_row *dovecot_row_find(const char *name)
{
	return bsearch(name, rows, ARRAY_LEN(rows), sizeof(rows[0]), compare_row);
}

/* First words of the ENUMs, cut out once: defaults are handed out as texts that live for ever. */
#define ENUM_WORD_MAX 32
static char first_words[ARRAY_LEN(rows) + ARRAY_LEN(block_rows)][ENUM_WORD_MAX];
static pthread_once_t first_words_once = PTHREAD_ONCE_INIT;

static void cut_first_word(const struct dovecot_row *row, char out[ENUM_WORD_MAX])
{
	size_t len = strcspn(row->def, ":");

	if (row->type != DOVECOT_ENUM)
		return;
	ASSERT(len < ENUM_WORD_MAX);
	memcpy(out, row->def, len);
}

static void cut_first_words(void)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cut_first_word(&rows[i], first_words[i]);
	for (size_t i = 0; i < ARRAY_LEN(block_rows); i++)
		cut_first_word(&block_rows[i].row, first_words[ARRAY_LEN(rows) + i]);
}

static void fill_spec(const struct dovecot_row *row, size_t word, struct dovecot_spec *spec)
{
	pthread_once(&first_words_once, cut_first_words);
	spec->name = row->name;
	spec->words = row->def;
	spec->def = row->type == DOVECOT_ENUM ? first_words[word] : row->def;
	spec->type = row->type;
	spec->works = row->works;
}

void dovecot_spec_of(const struct dovecot_row *row, struct dovecot_spec *spec)
{
	fill_spec(row, (size_t)(row - rows), spec);
}

bool dovecot_spec_find(enum dovecot_kind kind, const char *name, struct dovecot_spec *spec)
{
	if (kind < DOVECOT_KIND_COUNT && dovecot_kinds[kind].is_filter) {
		const struct dovecot_row *row = dovecot_row_find(name);

		if (row)
			dovecot_spec_of(row, spec);
		return row != NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(block_rows); i++) {
		if (block_rows[i].kind == kind && !strcmp(block_rows[i].row.name, name)) {
			fill_spec(&block_rows[i].row, ARRAY_LEN(rows) + i, spec);
			return true;
		}
	}
	return false;
}

bool dovecot_spec_at(enum dovecot_kind kind, size_t n, struct dovecot_spec *spec)
{
	for (size_t i = 0; i < ARRAY_LEN(block_rows); i++) {
		if (block_rows[i].kind != kind || n-- > 0)
			continue;
		fill_spec(&block_rows[i].row, ARRAY_LEN(rows) + i, spec);
		return true;
	}
	return false;
}

static bool __attribute__((format(printf, 2, 3))) wrong(char error[160], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, 160, format, args);
	va_end(args);
	return false;
}

static bool parse_bool(const char *text, uint64_t *number, char error[160])
{
	struct slice s = slice_of(text);

	*number = slice_caseeq_str(s, "yes") || slice_caseeq_str(s, "y") || slice_eq_str(s, "1");
	if (*number || slice_caseeq_str(s, "no"))
		return true;
	return wrong(error, "Invalid boolean value: %.60s (use yes or no)", text);
}

/* The digits that TEXT begins with; REST is what follows them and blanks. */
static bool leading_number(const char *text, uint64_t max, uint64_t *number, struct slice *rest)
{
	struct slice all = slice_of(text);
	size_t digits = 0;

	while (digits < all.len && ascii_isdigit(all.ptr[digits]))
		digits++;
	*rest = slice_trim(slice_from(all, digits), " \t");
	return slice_uint(slice_first(all, digits), max, number);
}

static bool parse_uint(const char *text, uint64_t *number, char error[160])
{
	const char *digits = *text == '-' ? text + 1 : text;

	if (slice_uint(slice_of(text), UINT32_MAX, number))
		return true;
	if (!*digits || strspn(digits, "0123456789") != strlen(digits))
		return wrong(error, "Invalid number %.60s: Not a valid number", text);
	return wrong(
	    error, "Invalid number %.60s: Number too %s", text, *text == '-' ? "small" : "large");
}

/* Octal with a leading 0; the peer takes what has none for decimal. */
static bool parse_octal(const char *text, uint64_t *number, char error[160])
{
	char *end;

	if (*text != '0')
		return parse_uint(text, number, error);
	if (strspn(text, "01234567") == strlen(text) && strlen(text) <= 11) {
		*number = strtoul(text, &end, 8);
		return true;
	}
	return wrong(error, "Invalid number: %.60s", text);
}

static const struct {
	const char *unit;
	unsigned shift;
} size_units[] = { { "b", 0 }, { "k", 10 }, { "m", 20 }, { "g", 30 }, { "t", 40 } };

static bool parse_size(const char *text, uint64_t *number, char error[160])
{
	struct slice unit;

	if (!leading_number(text, UINT64_MAX, number, &unit))
		return wrong(error, "Invalid size: %.60s", text);
	if (!unit.len)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		struct slice tail = slice_from(unit, 1);

		if (!slice_casestarts(unit, size_units[i].unit))
			continue;
		if (tail.len &&
		    (i == 0 || !(slice_caseeq_str(tail, "b") || slice_caseeq_str(tail, "ib"))))
			continue;
		if (*number > UINT64_MAX >> size_units[i].shift)
			break;
		*number <<= size_units[i].shift;
		return true;
	}
	return wrong(error, "Invalid size: %.60s", text);
}

static bool is_prefix_of(struct slice s, const char *word)
{
	return s.len && s.len <= strlen(word) && slice_caseeq(s, slice_mem(word, s.len));
}

static const struct time_unit {
	const char *name, *other;
	uint64_t ms;
} time_units[] = {
	{ "weeks", "weeks", 7 * 86400 * (uint64_t)1000 },
	{ "days", "days", 86400 * 1000 },
	{ "hours", "hours", 3600 * 1000 },
	{ "mins", "minutes", 60 * 1000 },
	{ "secs", "seconds", 1000 },
	{ "msecs", "mseconds", 1 },
	{ "millisecs", "milliseconds", 1 },
};

/* Units may be cut anywhere: "h", "hour", "hours".  "m" alone means minutes. */
static const struct time_unit *find_time_unit(struct slice unit)
{
	for (size_t i = 0; i < ARRAY_LEN(time_units); i++)
		if (is_prefix_of(unit, time_units[i].name) ||
		    is_prefix_of(unit, time_units[i].other))
			return &time_units[i];
	return NULL;
}

static bool parse_time(const char *text, bool ms, uint64_t *number, char error[160])
{
	const struct time_unit *unit;
	struct slice word;

	if (!leading_number(text, UINT32_MAX, number, &word))
		return wrong(error, "Invalid time interval: %.60s", text);
	if (!word.len && *number == 0)
		return true;
	if (!word.len)
		return wrong(error,
		    "Time interval '%.60s' is missing units (add e.g. 's' for seconds)", text);
	unit = find_time_unit(word);
	if (!unit)
		return wrong(error, "Invalid time interval: %.60s", text);
	*number *= unit->ms;
	if (!ms && *number % 1000 != 0)
		return wrong(error, "Milliseconds not supported for this setting: %.60s", text);
	if (!ms)
		*number /= 1000;
	if (*number > UINT32_MAX)
		return wrong(error, "Time interval is too large: %.60s", text);
	return true;
}

static bool parse_enum(const char *text, const char *words, char error[160])
{
	struct slice rest = slice_of(words), word;

	while (slice_token(&rest, ":", &word))
		if (slice_eq_str(word, text))
			return true;
	return wrong(error, "Invalid value: %.100s", text);
}

static void format_size(uint64_t number, char text[64])
{
	size_t unit = 0;

	while (number && unit + 1 < ARRAY_LEN(size_units) && number % 1024 == 0) {
		number /= 1024;
		unit++;
	}
	snprintf(text, 64, number ? "%" PRIu64 " %c" : "%" PRIu64, number, "BkMGT"[unit]);
}

static void format_time(uint64_t ms, char text[64])
{
	size_t unit = 0;

	while (ms && ms % time_units[unit].ms != 0)
		unit++;
	if (!ms)
		snprintf(text, 64, "0");
	else
		snprintf(text, 64, "%" PRIu64 " %s", ms / time_units[unit].ms,
		    time_units[unit].ms == 1 ? "ms" : time_units[unit].name);
}

void dovecot_value_format(enum dovecot_type type, uint64_t number, char text[64])
{
	switch (type) {
	case DOVECOT_BOOL:
		snprintf(text, 64, "%s", number ? "yes" : "no");
		return;
	case DOVECOT_OCTAL:
		snprintf(text, 64, "0%" PRIo64, number);
		return;
	case DOVECOT_SIZE:
		format_size(number, text);
		return;
	case DOVECOT_TIME:
		format_time(number * 1000, text);
		return;
	case DOVECOT_TIME_MS:
		format_time(number, text);
		return;
	case DOVECOT_UINT:
	case DOVECOT_STR:
	case DOVECOT_ENUM:
		snprintf(text, 64, "%" PRIu64, number);
	}
}

bool dovecot_value_parse(
    const struct dovecot_spec *spec, const char *text, uint64_t *number, char error[160])
{
	*number = 0;
	switch (spec->type) {
	case DOVECOT_STR:
		return true;
	case DOVECOT_BOOL:
		return parse_bool(text, number, error);
	case DOVECOT_UINT:
		return parse_uint(text, number, error);
	case DOVECOT_OCTAL:
		return parse_octal(text, number, error);
	case DOVECOT_SIZE:
		return parse_size(text, number, error);
	case DOVECOT_TIME:
	case DOVECOT_TIME_MS:
		return parse_time(text, spec->type == DOVECOT_TIME_MS, number, error);
	case DOVECOT_ENUM:
		return parse_enum(text, spec->words, error);
	}
	return false;
}

bool dovecot_net_parse(const char *text, struct dovecot_net *net)
{
	struct slice whole = slice_of(text);
	ptrdiff_t slash = slice_find(whole, '/');
	struct slice host = slash < 0 ? whole : slice_first(whole, (size_t)slash);
	char literal[64];
	uint64_t prefix;

	if (host.len >= sizeof(literal))
		return false;
	memcpy(literal, host.ptr, host.len);
	literal[host.len] = '\0';
	net->family = memchr(literal, ':', host.len) ? AF_INET6 : AF_INET;
	if (inet_pton(net->family, literal, net->bytes) != 1)
		return false;
	net->prefix = net->family == AF_INET ? 32 : 128;
	if (slash < 0)
		return true;
	if (!slice_uint(slice_from(whole, (size_t)slash + 1), net->prefix, &prefix))
		return false;
	net->prefix = (unsigned)prefix;
	return true;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "rewrite/status_filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "table/table.h"

struct status_filter {
	struct tables *tables;
};

struct status_filter *status_filter_new(const char *name, const char *value)
{
	struct status_filter *f = xcalloc(1, sizeof(*f));

	f->tables = tables_open(name, value, 0);
	if (!tables_is_empty(f->tables))
		return f;
	status_filter_free(f);
	return NULL;
}

void status_filter_free(struct status_filter *f)
{
	if (f == NULL)
		return;
	tables_free(f->tables);
	free(f);
}

/* The code that RESULT begins with, which it loses; false when there is none. */
static bool take_code(struct slice *result, char code[12])
{
	struct slice rest = *result, word;

	if (!slice_token(&rest, " \t\r\n", &word) || word.len >= 12)
		return false;
	memcpy(code, word.ptr, word.len);
	code[word.len] = '\0';
	*result = slice_trim(rest, " \t\r\n");
	return dsn_is_valid(code);
}

static void replace(const struct status_filter *f, struct slice result, struct reason *why)
{
	struct slice text = result;
	char code[12];

	if (!take_code(&text, code) || (code[0] == '2') != (why->dsn[0] == '2'))
		log_warning("%s: bad status code: %.*s", tables_name(f->tables), SLICE_ARG(result));
	else if (text.len > 0)
		reason_set(why, code, "%.*s", SLICE_ARG(text));
	else
		memcpy(why->dsn, code, sizeof(code));
}

void status_filter_apply(void *filter, struct reason *why)
{
	struct strbuf key = STRBUF_INIT(sizeof(*why)), value = STRBUF_INIT(TABLE_VALUE_MAX);
	const struct status_filter *f = filter;

	strbuf_addf(&key, "%s %s", why->dsn, why->text);
	if (tables_get(f->tables, strbuf_slice(&key), TABLES_WHOLE_KEY, &value) == TABLE_FOUND &&
	    value.len > 0)
		replace(f, strbuf_slice(&value), why);
	strbuf_release(&key);
	strbuf_release(&value);
}

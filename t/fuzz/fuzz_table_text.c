// SPDX-License-Identifier: BSD-2-Clause
/*
 * Texts of tables: the source of postmap and of postalias, a regexp table, an inline one, and a
 * list of tables.  Regular expressions are the administrator's: glibc's regcomp takes all memory
 * for "a+++++++++++", and is not what is tested here.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "table/table_build.h"
#include "table/table_type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void *table_regexp_parse(const char *path, struct slice text, unsigned flags);

static void read_source(struct slice text, bool aliases)
{
	struct table_source source;
	struct slice key, value;
	unsigned line, last = 0;

	table_source_init(&source, text, aliases);
	while (table_source_next(&source, &key, &value, &line)) {
		ASSERT(line > last && value.len);
		last = line;
	}
	table_source_release(&source);
}

static void read_regexp(struct slice text)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	unsigned repeats = 0;
	void *table;

	for (size_t i = 0; i < text.len; i++)
		repeats += slice_find(SLICE_LIT("+*?{"), text.ptr[i]) >= 0;
	if (text.len > 300 || repeats > 6)
		return;
	table = table_regexp_parse("fuzz", text, 0);
	table_type_regexp.get(table, SLICE_LIT("user+ext@example.com"), &value);
	table_type_regexp.free(table);
	strbuf_release(&value);
}

static void read_inline(const char *text)
{
	char *error = NULL;
	void *table = table_type_inline.open(text, 0, &error);

	ASSERT(!table == (error != NULL));
	if (table)
		table_type_inline.free(table);
	free(error);
}

static void read_list(struct slice text)
{
	struct slice rest = text, word;

	while (table_list_next(&rest, &word)) {
		ASSERT(
		    word.len && word.ptr >= text.ptr && word.ptr + word.len <= text.ptr + text.len);
		table_unbrace(&word);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_mem((const char *)data, size);
	char *copy = xstrndup(size ? text.ptr : "", size);

	read_source(text, false);
	read_source(text, true);
	read_regexp(text);
	read_inline(copy);
	read_list(text);
	free(copy);
	return 0;
}

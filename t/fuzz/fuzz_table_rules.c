// SPDX-License-Identifier: BSD-2-Clause
/*
 * The texts of cidr and pcre tables: the first line is what is looked up, the rest is the table.
 * Regular expressions are the administrator's: what takes long to compile or to match is not what
 * is tested here.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "table/table_type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void *table_cidr_parse(const char *path, struct slice text, unsigned flags);
void *table_pcre_parse(const char *path, struct slice text, unsigned flags);

static void ask(const struct table_type *type, void *table, struct slice key)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result result = type->get(table, key, &value);

	ASSERT(result == TABLE_FOUND || !value.len);
	type->free(table);
	strbuf_release(&value);
}

static bool is_quick(struct slice text)
{
	unsigned repeats = 0;

	for (size_t i = 0; i < text.len; i++)
		repeats += slice_find(SLICE_LIT("+*?{"), text.ptr[i]) >= 0;
	return text.len <= 400 && repeats <= 6;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_mem((const char *)data, size), key = text;
	ptrdiff_t lf = slice_find(text, '\n');

	if (lf >= 0) {
		key = slice_first(text, (size_t)lf);
		text = slice_from(text, (size_t)lf + 1);
	}
	ask(&table_type_cidr, table_cidr_parse("fuzz", text, 0), key);
	if (is_quick(text))
		ask(&table_type_pcre, table_pcre_parse("fuzz", text, 0), key);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Any bytes are a master.cf that may be wrong.  An entry that can be read is the same when what
 * postconf prints of it is read again, folded or not; an edit is there when the edited text is
 * read, and a second time it changes nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/conf_lines.h"
#include "conf/postfix_master_edit.h"
#include "conf/postfix_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_LIMIT ((size_t)64 << 20)

static void check_same(const struct postfix_entry *a, const struct postfix_entry *b)
{
	for (size_t i = 0; i < POSTFIX_COLUMNS; i++)
		ASSERT(strcmp(a->columns[i], b->columns[i]) == 0);
	ASSERT(a->count == b->count);
	for (size_t i = 0; i < a->count; i++)
		ASSERT(strcmp(a->words[i], b->words[i]) == 0);
	ASSERT(a->option_count == b->option_count);
}

static void print_and_back(const struct postfix_entry *entry, bool fold)
{
	struct strbuf text = STRBUF_INIT(TEXT_LIMIT), line = STRBUF_INIT(TEXT_LIMIT),
		      problem = STRBUF_INIT(TEXT_LIMIT);
	struct postfix_entry again;
	struct conf_lines lines;
	postfix_entry_print(entry, fold, &text);
	conf_lines_init(&lines, strbuf_slice(&text));
	ASSERT(conf_lines_next(&lines, &line));
	ASSERT(postfix_entry_parse(&again, strbuf_slice(&line), &problem, NULL));
	check_same(entry, &again);
	ASSERT(!conf_lines_next(&lines, &line));
	postfix_entry_release(&again);
	strbuf_release(&text);
	strbuf_release(&line);
	strbuf_release(&problem);
}

/* Each entry of TEXT that can be read, to LOOK. */
static void each_entry(struct slice text, void (*look)(const struct postfix_entry *entry))
{
	struct strbuf line = STRBUF_INIT(TEXT_LIMIT), problem = STRBUF_INIT(TEXT_LIMIT);
	struct conf_lines lines;
	conf_lines_init(&lines, text);
	while (conf_lines_next(&lines, &line)) {
		struct postfix_entry entry = { .count = 0 };
		if (!ascii_isspace(line.ptr[0]) && !slice_has_nul(strbuf_slice(&line)) &&
		    postfix_entry_parse(&entry, strbuf_slice(&line), &problem, NULL))
			look(&entry);
		postfix_entry_release(&entry);
	}
	strbuf_release(&line);
	strbuf_release(&problem);
}

static void look_at_entry(const struct postfix_entry *entry)
{
	print_and_back(entry, false);
	print_and_back(entry, true);
}

static void need_override(const struct postfix_entry *entry)
{
	const char *value = postfix_entry_find(entry, SLICE_LIT("a"));
	ASSERT(value && strcmp(value, "{new value}") == 0);
}

static void need_column(const struct postfix_entry *entry)
{
	ASSERT(strcmp(entry->columns[5], "60?") == 0);
}

static void need_no_override(const struct postfix_entry *entry)
{
	ASSERT(!postfix_entry_find(entry, SLICE_LIT("a")));
}

static void edit_and_read(struct slice text, enum postfix_edit_action action,
    enum postfix_master_part part, struct postfix_master_edit *edit,
    void (*need)(const struct postfix_entry *entry))
{
	struct strbuf once = STRBUF_INIT(TEXT_LIMIT), twice = STRBUF_INIT(TEXT_LIMIT),
		      problem = STRBUF_INIT(TEXT_LIMIT);
	if (postfix_master_edit(&once, text, action, part, edit, 1, &problem)) {
		if (need)
			each_entry(strbuf_slice(&once), need);
		ASSERT(postfix_master_edit(
		    &twice, strbuf_slice(&once), action, part, edit, 1, &problem));
		ASSERT(edit->found > 0 || slice_eq(strbuf_slice(&once), strbuf_slice(&twice)));
	}
	strbuf_release(&once);
	strbuf_release(&twice);
	strbuf_release(&problem);
}

static void edit_all(struct slice text)
{
	char any[] = "*", name[] = "a", value[] = "{new value}", wakeup[] = "wakeup",
	     often[] = "60?";
	struct postfix_master_edit edit = { any, any, name, value, 0 };
	edit_and_read(text, POSTFIX_EDIT_SET, POSTFIX_MASTER_OVERRIDE, &edit, need_override);
	edit_and_read(text, POSTFIX_EDIT_REMOVE, POSTFIX_MASTER_OVERRIDE, &edit, need_no_override);
	edit = (struct postfix_master_edit){ any, any, wakeup, often, 0 };
	edit_and_read(text, POSTFIX_EDIT_SET, POSTFIX_MASTER_COLUMN, &edit, need_column);
	edit_and_read(text, POSTFIX_EDIT_REMOVE, POSTFIX_MASTER_ENTRY, &edit, NULL);
}

static void read_as_services(struct slice text)
{
	struct postfix_source *source = postfix_source_new("/x");
	struct conf_errors errors = CONF_ERRORS_INIT;
	strbuf_addslice(&source->master_text, text);
	postfix_main_parse(source, NULL);
	postfix_master_parse(source, &errors);
	for (size_t i = 0; i < postfix_service_count(source); i++)
		ASSERT(postfix_service_at(source, i)->program);
	conf_errors_release(&errors);
	postfix_source_free(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_mem(data, size);
	read_as_services(text);
	if (slice_has_nul(text))
		return 0;
	each_entry(text, look_at_entry);
	edit_all(text);
	return 0;
}

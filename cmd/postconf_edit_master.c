// SPDX-License-Identifier: BSD-2-Clause
/* postconf -M, -F and -P with -e, -# or -X. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/postfix_master_edit.h"
#include "conf/postfix_source.h"
#include "log/log.h"

#define BLANKS	  " \t\r\n\v\f"
#define PARTS_MAX 3

static _Noreturn void fail_pattern(const struct postconf *pc)
{
	switch (pc->subject) {
	case 'M':
		fatal("-Me, -MX or -M# requires service_name/type");
	case 'F':
		fatal("-Fe or -FX requires service_name/type/field_name");
	default:
		fatal("-Pe or -PX requires service_name/type/parameter");
	}
}

/* "service/type" or "service/type/member": exactly as many parts as the subject has. */
static void parse_pattern(
    const struct postconf *pc, struct slice pattern, struct postfix_master_edit *edit)
{
	char **part[PARTS_MAX] = { &edit->service, &edit->type, &edit->member };
	size_t want = pc->subject == 'M' ? 2 : 3, count = 0;
	struct slice word;
	while (slice_token(&pattern, "/", &word)) {
		if (count == want)
			fail_pattern(pc);
		*part[count++] = xstrndup(word.ptr, word.len);
	}
	if (count != want)
		fail_pattern(pc);
}

static void check_column(const struct postfix_master_edit *edit)
{
	bool known = false;
	if (strcmp(edit->member, "*") == 0)
		fatal("-Fe does not accept wild-card field name");
	for (size_t i = 0; i <= POSTFIX_COLUMNS; i++)
		known |= strcmp(edit->member, postfix_entry_columns[i]) == 0;
	if (!known)
		fatal("invalid service attribute name: \"%s\"", edit->member);
	if (strcmp(edit->member, "command") != 0 && strpbrk(edit->value, BLANKS))
		fatal("-Fe does not accept whitespace in non-command field");
	/* A line that begins with a blank is no entry any more. */
	if (strcmp(edit->member, "command") != 0 && edit->value[0] == '\0')
		fatal("-Fe does not accept an empty value of field \"%s\"", edit->member);
}

static void check_override(const struct postfix_master_edit *edit)
{
	if (strcmp(edit->member, "*") == 0)
		fatal("-Pe does not accept wild-card parameter name");
	if (!edit->value)
		return;
	if (strpbrk(edit->value, BLANKS))
		fatal("-Pe does not accept whitespace in parameter value");
	if (!postfix_entry_is_word(edit->value) || !postfix_entry_is_word(edit->member))
		fatal("-Pe does not accept an unbalanced \"{\"");
}

static void parse_edit(const struct postconf *pc, const char *arg, struct postfix_master_edit *edit)
{
	struct slice pattern = slice_trim(slice_of(arg), BLANKS), value;
	*edit = (struct postfix_master_edit){ 0 };
	if (strchr(arg, '\n'))
		fatal("-Me, -Fe, -Pe, -X, or -# accept no multi-line input");
	if (pattern.len > 0 && pattern.ptr[0] == '#')
		fatal("-Me, -Fe, -Pe, -X, or -# accept no comment input");
	if (pc->action == POSTCONF_EDIT) {
		const char *problem = postfix_split_assignment(slice_of(arg), &pattern, &value);
		if (problem)
			fatal("%s: \"%s\"", problem, arg);
		edit->value = xstrndup(value.ptr ? value.ptr : "", value.len);
	}
	parse_pattern(pc, pattern, edit);
	if (pc->subject == 'F')
		check_column(edit);
	else if (pc->subject == 'P')
		check_override(edit);
}

/* What is wrong with a new entry is told before anything is touched. */
static void check_entry(const char *arg, const struct postfix_master_edit *edit)
{
	struct postfix_entry entry;
	struct strbuf problem = STRBUF_INIT(2000);
	if (!postfix_entry_parse(&entry, slice_of(edit->value), &problem, NULL))
		fatal(strncmp(problem.ptr, "bad", 3) == 0 ? "%s: \"%s\"" : "%s", problem.ptr, arg);
	postfix_entry_release(&entry);
	strbuf_release(&problem);
}

static void release(struct postfix_master_edit *edits, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(edits[i].service);
		free(edits[i].type);
		free(edits[i].member);
		free(edits[i].value);
	}
	free(edits);
}

int postconf_edit_master(const struct postconf *pc, char **args)
{
	enum postfix_master_part part = pc->subject == 'M'   ? POSTFIX_MASTER_ENTRY
					: pc->subject == 'F' ? POSTFIX_MASTER_COLUMN
							     : POSTFIX_MASTER_OVERRIDE;
	struct postconf_file file;
	struct strbuf out = STRBUF_INIT(2 * POSTFIX_FILE_LIMIT), problem = STRBUF_INIT(4000);
	size_t count = 0;
	while (args[count])
		count++;
	struct postfix_master_edit *edits = xcalloc(count, sizeof(*edits));
	for (size_t i = 0; i < count; i++) {
		parse_edit(pc, args[i], &edits[i]);
		if (part == POSTFIX_MASTER_ENTRY && pc->action == POSTCONF_EDIT)
			check_entry(args[i], &edits[i]);
	}
	postconf_file_open(&file, pc->dir, "master.cf");
	if (!postfix_master_edit(&out, strbuf_slice(&file.text), postconf_edit_action(pc), part,
		edits, count, &problem)) {
		unlink(file.new_path);
		fatal("%s: %s", file.path, problem.ptr);
	}
	for (size_t i = 0; i < count && part != POSTFIX_MASTER_ENTRY; i++)
		if (edits[i].found == 0)
			log_warning("unmatched service_name/type: \"%s\"", args[i]);
	postconf_file_replace(&file, strbuf_slice(&out));
	release(edits, count);
	strbuf_release(&out);
	strbuf_release(&problem);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/* postconf -e, -# and -X of main.cf. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/postfix_source.h"
#include "log/log.h"

static void parse_name(struct postfix_edit *edit, const char *arg)
{
	if (arg[strspn(arg, " \t\r\n\v\f")] == '\0')
		fatal("-X or -# requires non-blank parameter names");
	edit->name = xstrdup(arg);
}

static void parse_assignment(struct postfix_edit *edit, const char *arg)
{
	struct slice name, value;
	const char *problem = postfix_split_assignment(slice_of(arg), &name, &value);
	if (problem)
		fatal("%s: \"%s\"", problem, arg + strspn(arg, " \t\r\n\v\f"));
	edit->name = xstrndup(name.ptr, name.len);
	edit->value = xstrndup(value.ptr ? value.ptr : "", value.len);
}

/* Of two edits of one name the later one counts. */
static size_t drop_earlier(struct postfix_edit *edits, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		bool again = false;
		for (size_t j = i + 1; j < count && !again; j++)
			again = strcmp(edits[i].name, edits[j].name) == 0;
		if (again && edits[i].value)
			log_warning(
			    "ignoring earlier request: '%s = %s'", edits[i].name, edits[i].value);
		if (again) {
			free(edits[i].name);
			free(edits[i].value);
		} else {
			edits[kept++] = edits[i];
		}
	}
	return kept;
}

static size_t parse_edits(const struct postconf *pc, char **args, struct postfix_edit **edits)
{
	size_t count = 0;
	for (; args[count]; count++) {
		const char *arg = args[count];
		*edits = xreallocarray(*edits, count + 1, sizeof(**edits));
		struct postfix_edit *edit = &(*edits)[count];
		*edit = (struct postfix_edit){ 0 };
		if (strchr(arg, '\n'))
			fatal("-e, -X, or -# accepts no multi-line input");
		if (arg[strspn(arg, " \t\r\v\f")] == '#')
			fatal("-e, -X, or -# accepts no comment input");
		if (pc->action == POSTCONF_EDIT)
			parse_assignment(edit, arg);
		else
			parse_name(edit, arg);
	}
	return drop_earlier(*edits, count);
}

enum postfix_edit_action postconf_edit_action(const struct postconf *pc)
{
	switch (pc->action) {
	case POSTCONF_COMMENT:
		return POSTFIX_EDIT_COMMENT;
	case POSTCONF_REMOVE:
		return POSTFIX_EDIT_REMOVE;
	default:
		return POSTFIX_EDIT_SET;
	}
}

int postconf_edit_main(const struct postconf *pc, char **args)
{
	struct postfix_edit *edits = NULL;
	struct postconf_file file;
	struct strbuf out = STRBUF_INIT(2 * POSTFIX_FILE_LIMIT);
	size_t count = parse_edits(pc, args, &edits);
	postconf_file_open(&file, pc->dir, "main.cf");
	postfix_edit(&out, strbuf_slice(&file.text), postconf_edit_action(pc), edits, count);
	for (size_t i = 0; i < count; i++) {
		if (edits[i].found > 1)
			log_warning("%s: multiple entries for \"%s\"", file.path, edits[i].name);
		free(edits[i].name);
		free(edits[i].value);
	}
	free(edits);
	postconf_file_replace(&file, strbuf_slice(&out));
	strbuf_release(&out);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/* postconf -e, -# and -X. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/postconf.h"
#include "conf/postfix_edit.h"
#include "log/log.h"
#include "sys/file.h"

#define BLANKS	   " \t\r\n\v\f"
#define FILE_LIMIT ((size_t)8 << 20)

static void parse_name(struct postfix_edit *edit, const char *arg)
{
	if (strchr(arg, '='))
		fatal("-X and -# want a name without a value: \"%s\"", arg);
	struct slice name = slice_trim(slice_of(arg), BLANKS);
	if (name.len == 0)
		fatal("missing attribute name: \"%s\"", arg);
	edit->name = xstrndup(name.ptr, name.len);
}

static void parse_assignment(struct postfix_edit *edit, const char *arg)
{
	const char *equal = strchr(arg, '=');
	if (!equal)
		fatal("missing '=' after attribute name: \"%s\"", arg);
	struct slice name = slice_trim(slice_mem(arg, (size_t)(equal - arg)), BLANKS);
	struct slice value = slice_trim(slice_of(equal + 1), BLANKS);
	if (name.len == 0)
		fatal("missing attribute name: \"%s\"", arg);
	/* A name with a blank, or one that makes the line a comment, could not be read again. */
	for (size_t i = 0; i < name.len; i++)
		if (ascii_isspace(name.ptr[i]) || name.ptr[0] == '#')
			fatal("bad attribute name: \"%s\"", arg);
	edit->name = xstrndup(name.ptr, name.len);
	edit->value = xstrndup(value.ptr ? value.ptr : "", value.len);
}

static size_t parse_edits(const struct postconf *pc, char **args, struct postfix_edit **edits)
{
	size_t count = 0;
	for (; args[count]; count++) {
		*edits = xreallocarray(*edits, count + 1, sizeof(**edits));
		struct postfix_edit *edit = &(*edits)[count];
		*edit = (struct postfix_edit){ 0 };
		if (strchr(args[count], '\n'))
			fatal("-e, -X, or -# accepts no multi-line input");
		if (pc->action == POSTCONF_EDIT)
			parse_assignment(edit, args[count]);
		else
			parse_name(edit, args[count]);
	}
	return count;
}

/* Of two edits of one name the later one counts. */
static size_t drop_earlier(struct postfix_edit *edits, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		bool again = false;
		for (size_t j = i + 1; j < count && !again; j++)
			again = strcmp(edits[i].name, edits[j].name) == 0;
		if (again) {
			free(edits[i].name);
			free(edits[i].value);
		} else {
			edits[kept++] = edits[i];
		}
	}
	return kept;
}

static enum postfix_edit_action edit_action(const struct postconf *pc)
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

static void replace_file(
    const struct postconf *pc, const char *path, struct postfix_edit *edits, size_t count)
{
	struct strbuf old = STRBUF_INIT(FILE_LIMIT), new = STRBUF_INIT(2 * FILE_LIMIT);
	struct stat st;
	if (stat(path, &st) < 0 || file_read(AT_FDCWD, path, &old) < 0)
		fatal("open %s: %s", path, strerror(errno));
	postfix_edit(&new, strbuf_slice(&old), edit_action(pc), edits, count);
	for (size_t i = 0; i < count; i++)
		if (edits[i].found > 1)
			log_warning("%s: multiple entries for \"%s\"", path, edits[i].name);
	if (new.overflow || file_replace(AT_FDCWD, path, strbuf_slice(&new), st.st_mode & 0777) < 0)
		fatal("write %s: %s", path, new.overflow ? "file too large" : strerror(errno));
	strbuf_release(&old);
	strbuf_release(&new);
}

int postconf_edit_main(const struct postconf *pc, char **args)
{
	struct postfix_edit *edits = NULL;
	if (pc->subject != POSTCONF_MAIN)
		fatal("editing anything but main.cf (-M, -F, -P, -m with -e, -X or -#) is not "
		      "supported");
	if (!*args)
		fatal(pc->action == POSTCONF_EDIT ? "-e requires name=value argument"
						  : "missing parameter name");
	size_t count = parse_edits(pc, args, &edits);
	count = drop_earlier(edits, count);
	char *path = xasprintf("%s/main.cf", pc->dir);
	replace_file(pc, path, edits, count);
	free(path);
	for (size_t i = 0; i < count; i++) {
		free(edits[i].name);
		free(edits[i].value);
	}
	free(edits);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_entry.h"

#include <stdlib.h>

#include "conf/postfix_master_edit.h"
#include "unit.h"

#define HEAD "smtp       inet  n       -       n       -       -       "
#define LINE "smtp inet n - n - - "

static const struct {
	const char *command, *printed;
	const char *value; /* of parameter "a" */
} lines[] = {
	{ "smtpd", "smtpd", NULL },
	{ "smtpd  -v   -o a=b", "smtpd -v -o a=b", "b" },
	{ "smtpd -oa=b -o { a = c  d }", "smtpd -o a=b -o {a=c  d}", "c  d" },
	{ "smtpd -o a={b}", "smtpd -o a={b}", "{b}" },
	{ "smtpd -o {a={b}}", "smtpd -o a={b}", "{b}" },
	{ "smtpd -o a", "smtpd -o a", NULL },
	{ "smtpd -o", "smtpd -o", NULL },
	{ "smtpd -o -o -o a=b", "smtpd -o -o -o a=b", "b" },
	{ "pipe argv=x -o a=b", "pipe argv=x -o a=b", NULL },
	{ "pipe {x y} {} {{z}}", "pipe {x y} {} {{z}}", NULL },
	{ "pipe x{y z}w", "pipe {x{y z}w}", NULL },
	{ "pipe x}y{z w}", "pipe x}y{z w}", NULL },
};

static void printing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct postfix_entry entry;
		struct strbuf out = STRBUF_INIT(1000), problem = STRBUF_INIT(1000);
		char *text = xasprintf(LINE "%s", lines[i].command);
		char *want = xasprintf(HEAD "%s", lines[i].printed);
		print_message("%s\n", text);
		assert_true(postfix_entry_parse(&entry, slice_of(text), &problem, NULL));
		postfix_entry_print(&entry, false, &out);
		assert_string_equal(out.ptr, want);
		const char *value = postfix_entry_find(&entry, SLICE_LIT("a"));
		if (lines[i].value)
			assert_string_equal(value, lines[i].value);
		else
			assert_null(value);
		postfix_entry_release(&entry);
		strbuf_release(&out);
		strbuf_release(&problem);
		free(text);
		free(want);
	}
}

static void refused(void **state)
{
	static const char *const bad[] = { "", "smtp inet n - n - -", "smtp bogus n - n - - smtpd",
		"smtp inet x - n - - smtpd", "smtp inet n - n -1 - smtpd",
		"smtp inet n - n 6?0 - smtpd", "smtp inet n - n - 5? smtpd", LINE "{}" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct postfix_entry entry;
		struct strbuf problem = STRBUF_INIT(1000);
		print_message("%s\n", bad[i]);
		assert_false(postfix_entry_parse(&entry, slice_of(bad[i]), &problem, NULL));
		assert_true(problem.len > 0);
		postfix_entry_release(&entry);
		strbuf_release(&problem);
	}
}

static const struct {
	const char *in;
	enum postfix_edit_action action;
	enum postfix_master_part part;
	struct postfix_master_edit edit;
	const char *out; /* NULL: refused */
} edits[] = {
#define P(text)                                                                                    \
	(char[])                                                                                   \
	{                                                                                          \
		text                                                                               \
	}
	{ LINE "a\n# c\nx unix - - n - - b\n", POSTFIX_EDIT_REMOVE, POSTFIX_MASTER_ENTRY,
	    { P("smtp"), P("inet"), NULL, NULL, 0 }, "# c\nx unix - - n - - b\n" },
	{ LINE "a\n # c\n -v\n", POSTFIX_EDIT_COMMENT, POSTFIX_MASTER_ENTRY,
	    { P("*"), P("*"), NULL, NULL, 0 }, "#" LINE "a\n # c\n# -v\n" },
	{ "x unix - - n - - b", POSTFIX_EDIT_SET, POSTFIX_MASTER_ENTRY,
	    { P("smtp"), P("inet"), NULL, P(LINE "a"), 0 }, "x unix - - n - - b\n" HEAD "a\n" },
	{ LINE "a\n\n", POSTFIX_EDIT_SET, POSTFIX_MASTER_COLUMN,
	    { P("smtp"), P("*"), P("private"), P("y"), 0 },
	    "\nsmtp       inet  y       -       n       -       -       a\n" },
	{ LINE "a\n", POSTFIX_EDIT_SET, POSTFIX_MASTER_COLUMN,
	    { P("smtp"), P("*"), P("command"), P(" "), 0 }, NULL },
	{ LINE "a -o\n", POSTFIX_EDIT_SET, POSTFIX_MASTER_OVERRIDE,
	    { P("*"), P("*"), P("n"), P("v"), 0 }, HEAD "a\n    -o n=v\n" },
	{ LINE "a -o n=1 -v -o n=2 x -o n=3\n", POSTFIX_EDIT_REMOVE, POSTFIX_MASTER_OVERRIDE,
	    { P("*"), P("*"), P("n"), NULL, 0 }, HEAD "a -v x -o n=3\n" },
};

static void editing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		struct postfix_master_edit edit = edits[i].edit;
		struct strbuf out = STRBUF_INIT(1000), problem = STRBUF_INIT(1000);
		print_message("%zu: %s\n", i, edits[i].in);
		bool ok = postfix_master_edit(&out, slice_of(edits[i].in), edits[i].action,
		    edits[i].part, &edit, 1, &problem);
		assert_int_equal(ok, edits[i].out != NULL);
		if (ok)
			assert_string_equal(out.ptr, edits[i].out);
		strbuf_release(&out);
		strbuf_release(&problem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printing),
		cmocka_unit_test(refused),
		cmocka_unit_test(editing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "mail/notice_template.h"

#include "unit.h"

static void count_warning(unsigned line, const char *text, void *arg)
{
	unsigned *warnings = arg;
	(void)line;
	(void)text;
	++*warnings;
}

static const struct {
	const char *text;
	unsigned warnings;
	const char *subject, *body; /* NULL: the default's */
} cases[] = {
	{ "", 0, NULL, NULL },
	{ "# comment\n\n  \n", 0, NULL, NULL },
	{ "failure_template = <<EOF\nSubject: a\n\nb\nEOF\n", 0, "a", "b\n" },
	{ "failure_template=<<X Y\nb\nX Y\n", 0, NULL, "b\n" },
	{ "failure_template = text\n", 0, NULL, "text\n" },
	{ "failure_template = <<EOF\nSUBJECT:   a  \n\n\n b\n\nEOF\n", 0, "a", "\n b\n\n" },
	{ "failure_template = <<EOF\nb\n", 1, NULL, "b\n" },
	{ "failure_template = <<EOF\nX-Other: a\n\nb\nEOF\n", 1, NULL, NULL },
	{ "failure_template = <<EOF\nSubject: a\n\nEOF\n", 1, NULL, NULL },
	{ "failure_template = <<EOF\nEOF\n", 1, NULL, NULL },
	{ "other_template = <<EOF\nb\nEOF\nfailure_template = <<EOF\nc\nEOF\n", 1, NULL, "c\n" },
	{ "failure_template\n= x\n", 2, NULL, NULL },
	{ "failure_template = <<EOF\nb\nEOF\nfailure_template = <<EOF\nc\nEOF\n", 0, NULL, "c\n" },
	{ "failure_template = <<EOF\nSubject:\n\nb\nEOF\n", 0, NULL, "b\n" },
};

static void templates(void **state)
{
	const struct notice_template *standard = notice_template_default(0);
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct notice_template_file file;
		unsigned warnings = 0;
		notice_template_parse(&file, slice_of(cases[i].text), count_warning, &warnings);
		const struct notice_template *got = &file.templates[0];
		print_message("%s\n", cases[i].text);
		assert_int_equal(warnings, cases[i].warnings);
		assert_string_equal(
		    got->subject, cases[i].subject ? cases[i].subject : standard->subject);
		assert_string_equal(got->body, cases[i].body ? cases[i].body : standard->body);
		assert_string_equal(file.templates[3].body, notice_template_default(3)->body);
		notice_template_release(&file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(templates) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

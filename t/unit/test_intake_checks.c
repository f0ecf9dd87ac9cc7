// SPDX-License-Identifier: BSD-2-Clause
/* header_checks and its sisters: what their actions do to content and envelope. */
#include "intake_fixture.h"

static void test_checks(void **state)
{
	static const struct {
		const char *name, *text, *want;
	} rows[] = {
		{ "reject", "Bad: x\n\n", "5.7.1 message content rejected" },
		{ "reject text", "Worse: x\n\n", "4.7.2 come later" },
		{ "replace", "Old: x\nA: b\n\n", "New: y\nA: b\n\n" },
		{ "a replacement that is none", "Odd: x\n\n", "Odd: x\n\n" },
		{ "prepend", "Pre: x\n y\n\n", "P: q\nPre: x\n y\n\n" },
		{ "ignore", "A: b\nGone: x\n y\nC: d\n\n", "A: b\nC: d\n\n" },
		{ "a replacement that is dropped", "Cut: x\n\n", "\n" },
		{ "pass", "Pass: x\nBad: x\n\n", "Pass: x\nBad: x\n\n" },
		{ "in the body", "A: b\n\nignore\nx\nreplace\npre\n\nBad: x\n",
		    "A: b\n\nx\nreplaced\nbefore\npre\n\nBad: x\n" },
		{ "a part of a line", "A: b\n\nx\\\nignore\\\ny\nz\n", "A: b\n\nxy\nz\n" },
		{ "the end of a line", "A: b\n\nx\\\nignore\nz\n", "A: b\n\nx\nz\n" },
		{ "nested", "Content-Type: message/rfc822\n\nGone: x\nNested: y\n\nx\n",
		    "Content-Type: message/rfc822\n\nNested: found\n\nx\n" },
		{ "a part",
		    "Content-Type: multipart/mixed; boundary=a\n\n--a\nPart: x\nNested: y\n\nz\n--a--\n",
		    "Content-Type: multipart/mixed; boundary=a\n\n--a\nNested: y\n\nz\n--a--\n" },
	};

	(void)state;
	config_dir(&config);
	config_write(&config, "h",
	    "/^Bad:/ REJECT\n/^Worse:/ REJECT 4.7.2 come later\n/^Old:/ REPLACE New: y\n"
	    "/^Odd:/ REPLACE no header\n/^Pre:/ PREPEND P: q\n/^Gone:/ IGNORE\n"
	    "/^Cut:/ REPLACE Bcc: x@y\n/^Pass:/ PASS\n");
	config_write(&config, "m", "/^Part:/ IGNORE\n");
	config_write(&config, "n", "/^Gone:/ STRIP\n/^Nested:/ REPLACE Nested: found\n");
	config_write(
	    &config, "b", "/^ignore/ IGNORE\n/^replace/ REPLACE replaced\n/^pre/ PREPEND before\n");
	char *main_cf = xasprintf("header_checks = regexp:%s/h\nmime_header_checks = regexp:%s/m\n"
				  "nested_header_checks = regexp:%s/n\nbody_checks = regexp:%s/b\n",
	    config.dir, config.dir, config.dir, config.dir);

	open_service(main_cf);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_content(rows[i].name, rows[i].text, rows[i].want);
	free(main_cf);
	close_service();
}

static void test_checks_envelope(void **state)
{
	static const struct {
		const char *text, *filter, *redirect, *bcc;
	} rows[] = {
		{ "F: x\n\n", "scan:x", "", NULL },
		{ "R: x\nF: x\n\n", "", "to@x.test", NULL },
		{ "B: x\nF: x\n\n", "scan:x", "", "copy@x.test" },
	};
	struct reason why;

	(void)state;
	config_dir(&config);
	config_write(&config, "h",
	    "/^F:/ FILTER scan:x\n/^R:/ REDIRECT to@x.test\n"
	    "/^B:/ BCC copy@x.test\n/^D:/ DISCARD\n");
	char *main_cf = xasprintf("header_checks = regexp:%s/h\n", config.dir);

	open_service(main_cf);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct intake *in = begin(&(struct intake_origin){ .origin = "local" });
		struct envelope *env;

		assert_true(feed(in, rows[i].text, &why));
		assert_true(intake_commit(in, &why));
		free(content_of(intake_id(in), &env));
		want_str(rows[i].text, env->filter, rows[i].filter);
		want_str(rows[i].text, env->redirect, rows[i].redirect);
		want_int(rows[i].text, env->recipient_count, rows[i].bcc != NULL ? 2 : 1);
		if (rows[i].bcc != NULL)
			want_str(rows[i].text, env->recipients[1].address, rows[i].bcc);
		envelope_free(env);
		intake_free(in);
	}
	unsigned before = incoming_count();
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });

	assert_true(feed(in, "D: x\n\nbody\n", &why));
	assert_true(intake_commit(in, &why));
	intake_free(in);
	assert_int_equal(incoming_count(), before);
	free(main_cf);
	close_service();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_checks_envelope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

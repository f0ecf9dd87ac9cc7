// SPDX-License-Identifier: BSD-2-Clause
/* What becomes of a message's header and body on their way in. */
#include <string.h>

#include "intake_fixture.h"

static void test_header(void **state)
{
	static const struct {
		const char *name, *text, *want;
	} rows[] = {
		{ "a message", "A: b\n\nbody\n", "A: b\n\nbody\n" },
		{ "no separator", "A: b\nbody here\nmore\n", "A: b\n\nbody here\nmore\n" },
		{ "nothing", "", "" },
		{ "an empty line", "\n", "\n" },
		{ "a body alone", "hello\n", "\nhello\n" },
		{ "a blank first", " x\nA: b\n", "\n x\nA: b\n" },
		{ "a fold", "A: b\n\tc\n d\nE: f\n\n", "A: b\n\tc\n d\nE: f\n\n" },
		{ "separators", "From a\n>From b\nA: c\n\n",
		    "X-Mailbox-Line: From a\nX-Mailbox-Line: >From b\nA: c\n\n" },
		{ "a fold behind a separator", "From a\n x\n", "X-Mailbox-Line: From a\n\n x\n" },
		{ "a separator too late", "A: b\nFrom c\n", "A: b\n\nFrom c\n" },
		{ "From in the body", "A: b\n\nFrom c\n", "A: b\n\nFrom c\n" },
		{ "dropped", "Bcc: x@y\n z\nA: b\nReturn-Path: <x>\nCONTENT-LENGTH: 5\n\n",
		    "A: b\n\n" },
		{ "stray CR", "A: b\rc\n\nd\re\r\n", "A: b c\n\nd e \n" },
		{ "pieces", "A: b\\\nc\n\nd\\\ne\\\nf\n", "A: bc\n\ndef\n" },
		{ "a piece that begins like a header", "A: b\\\nC: d\n\n", "A: bC: d\n\n" },
		{ "an unfinished last line", "A: b\n\nc\\\n", "A: b\n\nc\n" },
		{ "cut", "A: 0123456789012345678901234567890123456789\n 0123\nB: c\n\n",
		    "A: 012345678901234567890123456\nB: c\n\n" },
		{ "blanks before the colon", "Subject \t: x\n\n", "Subject: x\n\n" },
	};

	(void)state;
	open_service("header_size_limit = 30\nenable_long_queue_ids = yes\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct intake *in = begin(&(struct intake_origin){ .origin = "local" });
		struct envelope *env;
		struct reason why;

		assert_true(feed(in, rows[i].text, &why));
		assert_true(intake_commit(in, &why));
		char *got = content_of(intake_id(in), &env);

		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: got\n%s", rows[i].name, got);
		free(got);
		envelope_free(env);
		intake_free(in);
	}
	close_service();
}

static void test_missing(void **state)
{
	static const struct {
		const char *text;
		const char *have[4], *lack[4];
	} rows[] = {
		{ "\n", { "Message-Id: <2", "Date: ", "From: \"F. N\" <s@example.com>" },
		    { "Resent" } },
		{ "From: x@y\nDate: z\nMessage-Id: <1>\n\n", { "From: x@y" },
		    { "example.com", "Resent", "<2" } },
		{ "Resent-To: a@b\n\n",
		    { "Resent-Message-Id: <2", "Resent-Date: ", "Resent-From: \"F. N\"" },
		    { "\nMessage-Id", "\nDate" } },
	};
	struct intake_origin origin = { .origin = "local",
		.add_missing_headers = true,
		.full_name = "F. N",
		.arrival_us = INT64_C(2000000000000000) };

	(void)state;
	open_service("");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct intake *in = begin(&origin);
		struct envelope *env;
		struct reason why;

		assert_true(intake_prepend(in, SLICE_LIT("Received: x\n\ty"), &why));
		assert_true(feed(in, rows[i].text, &why));
		assert_true(intake_commit(in, &why));
		char *got = content_of(intake_id(in), &env);

		assert_int_equal(strncmp(got, "Received: x\n\ty\n", 15), 0);
		for (size_t k = 0; rows[i].have[k] != NULL; k++)
			if (strstr(got, rows[i].have[k]) == NULL)
				fail_msg("no %s in\n%s", rows[i].have[k], got);
		for (size_t k = 0; rows[i].lack[k] != NULL; k++)
			if (strstr(got, rows[i].lack[k]) != NULL)
				fail_msg("%s in\n%s", rows[i].lack[k], got);
		assert_int_equal(env->arrival_us, origin.arrival_us);
		free(got);
		envelope_free(env);
		intake_free(in);
	}
	close_service();
}

/* non_empty_end_of_header_action, header_address_token_limit */
static void test_odd_headers(void **state)
{
	(void)state;
	open_service("non_empty_end_of_header_action = add_header\n");
	check_content("told", "A: b\nno\n",
	    "A: b\nMIME-Error: message header was not terminated by empty line\n\nno\n");
	check_content("good", "A: b\n\nc\n", "A: b\n\nc\n");
	check_content("no body", "A: b\n", "A: b\n");
	close_service();
	open_service("non_empty_end_of_header_action = reject\n");
	check_content(
	    "refused", "A: b\nno\n", "5.6.0 primary header was terminated with non-empty line");
	check_content("good", "A: b\n\nc\n", "A: b\n\nc\n");
	close_service();
	open_service("header_address_token_limit = 10\nremote_header_rewrite_domain = x.test\n");
	check_content("as many as there may be",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\nTo: u0, u1, u2, u3, u4, u5\n\n",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\n"
	    "To: u0@x.test, u1@x.test, u2@x.test, u3@x.test, u4@x.test,\n\n");
	check_content("nothing to be changed",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\nTo: a@b.c, d@e.f, g@h.i\n\n",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\nTo: a@b.c, d@e.f, g@h.i\n\n");
	close_service();
}

static void test_bytes(void **state)
{
	(void)state;
	open_service(
	    "message_reject_characters = \\001\\002\nmessage_strip_characters = xy\\r\\\\\n");
	check_content("good", "Axy: b\n\nx\\y\r\nz\n", "A: b\n\n\nz\n");
	check_content("bad", "A: b\n\na\x02", "5.7.1 disallowed character");
	close_service();
	/* 51, 54: what NUL hides. */
	open_service("");
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });
	struct envelope *env;
	struct reason why;

	assert_true(intake_line(in, SLICE_LIT("From: a\0b"), true, &why));
	assert_true(intake_line(in, SLICE_LIT(" c\0d"), true, &why));
	assert_true(intake_line(in, SLICE_LIT(""), true, &why));
	assert_true(intake_commit(in, &why));
	char *got = content_of(intake_id(in), &env);

	assert_string_equal(got, "From: a\n c\n\n");
	free(got);
	envelope_free(env);
	intake_free(in);
	close_service();
}

/* What Postfix 3.11 makes of sendmail -F. */
static void test_full_names(void **state)
{
	static const struct {
		const char *name, *format, *want;
	} rows[] = {
		{ "J\xc3\xb6rg \xc3\x84 M", "standard",
		    "From: =?utf-8?Q?J=C3=B6rg_=C3=84_M?= <s@example.com>\n" },
		{ "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "standard",
		    "From: =?utf-8?B?5pel5pys6Kqe?= <s@example.com>\n" },
		{ "A (c) \"q\" B", "standard", "From: \"A (c) \\\"q\\\" B\" <s@example.com>\n" },
		{ "Plain Name", "standard", "From: Plain Name <s@example.com>\n" },
		{ "Plain (N)", "obsolete", "From: s@example.com (Plain \\(N\\))\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *main_cf = xasprintf("header_from_format = %s\n", rows[i].format);
		struct intake_origin origin = {
			.origin = "local", .add_missing_headers = true, .full_name = rows[i].name
		};
		struct envelope *env;
		struct reason why;

		open_service(main_cf);
		struct intake *in = begin(&origin);

		assert_true(intake_commit(in, &why));
		char *got = content_of(intake_id(in), &env);

		if (strstr(got, rows[i].want) == NULL)
			fail_msg("no %s in\n%s", rows[i].want, got);
		free(got);
		free(main_cf);
		envelope_free(env);
		intake_free(in);
		close_service();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_odd_headers),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_full_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

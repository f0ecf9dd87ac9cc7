// SPDX-License-Identifier: BSD-2-Clause
/* A message of a queue file as a server gets it, however its records are cut. */
#include "unit.h"

#include "content_fixture.h"

bool smtp_is_lmtp;
static struct postfix_params params;
const struct postfix_params *smtp_params = &params;

#define NO_LIMIT 0

static void want_sent(const char *name, const char *text, size_t cut, size_t want_bytes,
    const struct smtp_content_rules *rules, struct slice want)
{
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct smtp_failure failure;
	off_t data_offset;
	int fd = write_message(text, cut, &data_offset);

	want_int(name, send_file(fd, data_offset, rules, want_bytes, true, &out, &failure),
	    SMTP_CONTENT_SENT);
	want_slice(name, strbuf_slice(&out), want);
	strbuf_release(&out);
	close(fd);
}

static const struct {
	const char *name, *text;
	int limit;
	bool dots;
	const char *want;
} plain_cases[] = {
	{ "nothing", "", 998, true, "" },
	{ "lines", "a: b\n\nc\n", 998, true, "a: b\r\n\r\nc\r\n" },
	{ "no last end", "a: b\n\nc", 998, true, "a: b\r\n\r\nc\r\n" },
	{ "dots", ".\n..\n.a\na.\n", 998, true, "..\r\n...\r\n..a\r\na.\r\n" },
	{ "dots of BDAT", ".\n..\n.a\n", 998, false, ".\r\n..\r\n.a\r\n" },
	{ "CR", "a\rb\n\r\n.\r\n\r.\r\n", 998, true, "a b\r\n \r\n.. \r\n . \r\n" },
	{ "LF", "a\1b\n\1.\1\n.\1.\n", 998, true, "a b\r\n . \r\n.. .\r\n" },
	{ "smuggling", "a\r\1.\r\1b\1.\1c\r.\rd\n", 998, true, "a  .  b . c . d\r\n" },
	{ "at the limit", "abcdefgh\nabcdefghi\n", 8, true, "abcdefgh\r\nabcdefgh\r\n i\r\n" },
	{ "far over the limit", "abcdefghijklmnopqrs\n", 8, true,
	    "abcdefgh\r\n ijklmno\r\n pqrs\r\n" },
	{ "a dot behind a break", "abcdefgh.\nabcdefgh\n.\n", 8, true,
	    "abcdefgh\r\n .\r\nabcdefgh\r\n..\r\n" },
	{ "a dot counts once", ".bcdefgh\n.bcdefghi\n", 8, true,
	    "..bcdefgh\r\n..bcdefgh\r\n i\r\n" },
	{ "no limit", "abcdefghijklmnopqrs\n", NO_LIMIT, true, "abcdefghijklmnopqrs\r\n" },
	{ "8-bit", "\303\244\n\377\n", 998, true, "\303\244\r\n\377\r\n" },
};

static void plain_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain_cases); i++)
		for (size_t want = 0; want <= 100; want += 33) {
			const struct smtp_content_rules rules = { .dots = plain_cases[i].dots };

			params.smtp_line_length_limit = plain_cases[i].limit;
			want_sent(plain_cases[i].name, plain_cases[i].text, 0, want, &rules,
			    slice_of(plain_cases[i].want));
		}
}

/* A piece that fills its line exactly goes on in the next one, even with nothing. */
static void cut_records(void **state)
{
	static const struct smtp_content_rules rules = { .dots = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain_cases); i++)
		for (size_t cut = 1; cut < 20; cut++) {
			if (!plain_cases[i].dots || plain_cases[i].limit == 8)
				continue;
			params.smtp_line_length_limit = plain_cases[i].limit;
			want_sent(plain_cases[i].name, plain_cases[i].text, cut, 1, &rules,
			    slice_of(plain_cases[i].want));
		}
	params.smtp_line_length_limit = 8;
	want_sent("full piece", "abcdefghi\n", 8, 1, &rules, SLICE_LIT("abcdefgh\r\n i\r\n"));
	want_sent("pieces", "abcdefghi\n", 5, 1, &rules, SLICE_LIT("abcdefgh\r\n i\r\n"));
	want_sent("single", "abcdefghi\n", 1, 1, &rules, SLICE_LIT("abcdefgh\r\n i\r\n"));
}

/* A limit of which a broken line would take all. */
static void tiny_limit(void **state)
{
	static const struct smtp_content_rules rules = { .dots = true };

	(void)state;
	params.smtp_line_length_limit = 1;
	want_sent("limit of 1", "abcd\n", 0, 1, &rules, SLICE_LIT("ab\r\n c\r\n d\r\n"));
}

static void damaged_files(void **state)
{
	static const struct smtp_content_rules rules = { .dots = true };
	off_t data_offset;
	int fd = write_message("a: b\n\nsome text\n.\n", 5, &data_offset);
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct smtp_failure failure;
	off_t size = lseek(fd, 0, SEEK_END);
	bool sent = false;
	enum smtp_content_result result;

	(void)state;
	params.smtp_line_length_limit = 998;
	for (off_t at = size - 1; at >= data_offset; at--) {
		assert_int_equal(ftruncate(fd, at), 0);
		strbuf_reset(&out);
		memset(&failure, 0, sizeof(failure));
		result = send_file(fd, data_offset, &rules, 100, true, &out, &failure);
		if (result == SMTP_CONTENT_SENT) {
			/* The content is whole: what is missing stands behind it. */
			want_str("whole", out.ptr, "a: b\r\n\r\nsome text\r\n..\r\n");
			sent = true;
			continue;
		}
		want_int("damaged", result, SMTP_CONTENT_DAMAGED);
		want_str("dsn", failure.why.dsn, "4.3.0");
		want_str("text", failure.why.text, "queue file read error: damaged queue file");
	}
	assert_true(sent);
	close(fd);
	want_int("no file", send_file(fd, data_offset, &rules, 1, true, &out, &failure),
	    SMTP_CONTENT_DAMAGED);
	strbuf_release(&out);
}

/* A caller whose buffer has an end loses no line of the message silently. */
static void small_buffer(void **state)
{
	static const struct smtp_content_rules rules = { .dots = true };
	struct strbuf out = STRBUF_INIT(10);
	struct smtp_failure failure;
	off_t data_offset;
	int fd = write_message("a: b\n\nsome text\n", 0, &data_offset);

	(void)state;
	params.smtp_line_length_limit = 998;
	want_int("small", send_file(fd, data_offset, &rules, 100, true, &out, &failure),
	    SMTP_CONTENT_DAMAGED);
	strbuf_release(&out);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_messages),
		cmocka_unit_test(cut_records),
		cmocka_unit_test(tiny_limit),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(small_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include "base/codec.h"

typedef void encoder(struct strbuf *, struct slice);
typedef bool decoder(struct strbuf *, struct slice);

struct both_ways {
	const char *name;
	encoder *encode;
	decoder *decode;
	struct slice plain, coded;
};

static const struct both_ways both_ways[] = {
	/* RFC 4648 10 */
	{ "base64 of nothing", base64_encode, base64_decode, { NULL, 0 }, { NULL, 0 } },
	{ "base64 of 1", base64_encode, base64_decode, { "f", 1 }, { "Zg==", 4 } },
	{ "base64 of 2", base64_encode, base64_decode, { "fo", 2 }, { "Zm8=", 4 } },
	{ "base64 of 3", base64_encode, base64_decode, { "foo", 3 }, { "Zm9v", 4 } },
	{ "base64 of 6", base64_encode, base64_decode, { "foobar", 6 }, { "Zm9vYmFy", 8 } },
	{ "base64 + and /", base64_encode, base64_decode, { "\xfb\xff\xbf", 3 }, { "+/+/", 4 } },
	{ "base64 of NULs", base64_encode, base64_decode, { "\0a\0b", 4 }, { "AGEAYg==", 8 } },
	{ "hex", hex_encode, hex_decode, { "\x00\x7f\x80\xff", 4 }, { "007f80ff", 8 } },
	{ "hex of nothing", hex_encode, hex_decode, { NULL, 0 }, { NULL, 0 } },
	{ "xtext plain", xtext_encode, xtext_decode, { "a@b.c!~", 7 }, { "a@b.c!~", 7 } },
	{ "xtext of nothing", xtext_encode, xtext_decode, { NULL, 0 }, { NULL, 0 } },
	{ "xtext + and =", xtext_encode, xtext_decode, { "a+b=c", 5 }, { "a+2Bb+3Dc", 9 } },
	{ "xtext controls", xtext_encode, xtext_decode, { " \n\x7f\xff", 4 },
	    { "+20+0A+7F+FF", 12 } },
};

static void test_both_ways(void **state)
{
	struct strbuf buf = STRBUF_INIT(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both_ways); i++) {
		const struct both_ways *way = &both_ways[i];

		way->encode(&buf, way->plain);
		want_slice(way->name, strbuf_slice(&buf), way->coded);
		want_int(way->name, buf.ptr[buf.len], 0);
		strbuf_reset(&buf);
		want_int(way->name, way->decode(&buf, way->coded), true);
		want_slice(way->name, strbuf_slice(&buf), way->plain);
		want_int(way->name, buf.ptr[buf.len], 0);
		strbuf_reset(&buf);
	}
	strbuf_release(&buf);
}

static void test_every_length(void **state)
{
	struct strbuf coded = STRBUF_INIT(1000), plain = STRBUF_INIT(1000);
	char bytes[256];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)i;
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		for (size_t i = 0; i < ARRAY_LEN(both_ways); i++) {
			strbuf_reset(&coded);
			strbuf_reset(&plain);
			both_ways[i].encode(&coded, slice_mem(bytes, len));
			assert_true(both_ways[i].decode(&plain, strbuf_slice(&coded)));
			want_slice("back", strbuf_slice(&plain), slice_mem(bytes, len));
		}
	}
	strbuf_release(&coded);
	strbuf_release(&plain);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *name;
		decoder *decode;
		struct slice input;
	} cases[] = {
		{ "base64 length 1", base64_decode, { "Z", 1 } },
		{ "base64 without padding", base64_decode, { "Zg", 2 } },
		{ "base64 half padding", base64_decode, { "Zg=", 3 } },
		{ "base64 three paddings", base64_decode, { "Z===", 4 } },
		{ "base64 three paddings, no spare bits", base64_decode, { "A===", 4 } },
		{ "base64 only padding", base64_decode, { "====", 4 } },
		{ "base64 two paddings alone", base64_decode, { "==", 2 } },
		{ "base64 padding inside", base64_decode, { "Zg==Zm9v", 8 } },
		{ "base64 = within a group", base64_decode, { "Z=9v", 4 } },
		{ "base64 = before a character", base64_decode, { "Zg=v", 4 } },
		{ "base64 spare bits of 1", base64_decode, { "Zh==", 4 } },
		{ "base64 spare bits of 2", base64_decode, { "Zm9=", 4 } },
		{ "base64 line break", base64_decode, { "Zm9v\r\nZm", 8 } },
		{ "base64 URL alphabet", base64_decode, { "-_-_", 4 } },
		{ "base64 8-bit", base64_decode, { "Zm9\xf6", 4 } },
		{ "base64 NUL", base64_decode, { "Zm9\0", 4 } },
		{ "base64 late error", base64_decode, { "Zm9vZm9*", 8 } },
		{ "hex odd", hex_decode, { "abc", 3 } },
		{ "hex letter", hex_decode, { "0g", 2 } },
		{ "hex late error", hex_decode, { "00 0", 4 } },
		{ "hex prefix", hex_decode, { "0x12", 4 } },
		{ "xtext lower case", xtext_decode, { "+2b", 3 } },
		{ "xtext cut", xtext_decode, { "abc+2", 5 } },
		{ "xtext lone +", xtext_decode, { "+", 1 } },
		{ "xtext not hex", xtext_decode, { "+2G", 3 } },
		{ "xtext =", xtext_decode, { "a=b", 3 } },
		{ "xtext blank", xtext_decode, { "a b", 3 } },
		{ "xtext DEL", xtext_decode, { "a\x7f", 2 } },
		{ "xtext 8-bit", xtext_decode, { "\xe4", 1 } },
		{ "xtext NUL", xtext_decode, { "a\0", 2 } },
	};
	struct strbuf buf = STRBUF_INIT(1000);

	(void)state;
	strbuf_addstr(&buf, "before");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		want_int(cases[i].name, cases[i].decode(&buf, cases[i].input), false);
		want_str(cases[i].name, buf.ptr, "before");
		want_int(cases[i].name, buf.overflow, false);
	}
	strbuf_release(&buf);
}

static void test_upper_case_hex(void **state)
{
	struct strbuf buf = STRBUF_INIT(10);

	(void)state;
	assert_true(hex_decode(&buf, SLICE_LIT("aBCd")));
	want_slice("either case", strbuf_slice(&buf), SLICE_LIT("\xab\xcd"));
	strbuf_release(&buf);
}

/* A result that passes the maximum leaves the buffer as it was. */
static void test_maximum(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(both_ways); i++) {
		const struct both_ways *way = &both_ways[i];
		struct strbuf buf;

		if (!way->plain.len)
			continue;
		strbuf_init(&buf, way->plain.len - 1);
		want_int(way->name, way->decode(&buf, way->coded), false);
		want_int(way->name, buf.overflow && !buf.len, true);
		strbuf_release(&buf);
		strbuf_init(&buf, way->coded.len - 1);
		way->encode(&buf, way->plain);
		want_int(way->name, buf.overflow && !buf.len, true);
		strbuf_release(&buf);
	}
}

static void test_utf8(void **state)
{
	static const struct {
		const char *name;
		struct slice input;
		bool valid;
	} cases[] = {
		{ "nothing", { NULL, 0 }, true },
		{ "ASCII with NUL", { "a\0z", 3 }, true },
		{ "U+007F", { "\x7f", 1 }, true },
		{ "U+0080", { "\xc2\x80", 2 }, true },
		{ "U+07FF", { "\xdf\xbf", 2 }, true },
		{ "U+0800", { "\xe0\xa0\x80", 3 }, true },
		{ "U+D7FF", { "\xed\x9f\xbf", 3 }, true },
		{ "U+D800 surrogate", { "\xed\xa0\x80", 3 }, false },
		{ "U+DFFF surrogate", { "\xed\xbf\xbf", 3 }, false },
		{ "U+E000", { "\xee\x80\x80", 3 }, true },
		{ "U+FFFF", { "\xef\xbf\xbf", 3 }, true },
		{ "U+10000", { "\xf0\x90\x80\x80", 4 }, true },
		{ "U+10FFFF", { "\xf4\x8f\xbf\xbf", 4 }, true },
		{ "U+110000", { "\xf4\x90\x80\x80", 4 }, false },
		{ "lead byte F5", { "\xf5\x80\x80\x80", 4 }, false },
		{ "lead byte FF", { "\xff", 1 }, false },
		{ "overlong NUL", { "\xc0\x80", 2 }, false },
		{ "overlong slash", { "\xc1\xaf", 2 }, false },
		{ "overlong, 3 bytes", { "\xe0\x9f\xbf", 3 }, false },
		{ "overlong, 4 bytes", { "\xf0\x8f\xbf\xbf", 4 }, false },
		{ "continuation alone", { "\x80", 1 }, false },
		{ "cut after 1 of 2", { "\xc2", 1 }, false },
		{ "the rest lies behind the slice", { "\xc2\x80", 1 }, false },
		{ "cut after 2 of 3", { "\xe1\x80", 2 }, false },
		{ "cut after 3 of 4", { "\xf1\x80\x80", 3 }, false },
		{ "third byte bad",
		    { "\xe1\x80"
		      "a",
			3 },
		    false },
		{ "fourth byte bad", { "\xf1\x80\x80\xc0", 4 }, false },
		{ "bad after good", { "gr\xc3\xbc\xdf", 5 }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		want_int(cases[i].name, utf8_is_valid(cases[i].input), cases[i].valid);
}

static void test_ascii(void **state)
{
	(void)state;
	assert_true(ascii_is_valid(SLICE_NULL));
	assert_true(ascii_is_valid(slice_mem("\0\x7f", 2)));
	assert_false(ascii_is_valid(SLICE_LIT("a\x80")));
}

static void bytes_are_shown(void **state)
{
	struct strbuf out = STRBUF_INIT(200);

	(void)state;
	escape_encode(&out, SLICE_LIT("EHLO \"x\"\r\n\0\1\t\f\v\b\a\\\x7f\xff~"));
	want_slice("escaped", strbuf_slice(&out),
	    SLICE_LIT("EHLO \"x\"\\r\\n\\000\\001\\t\\f\\v\\b\\a\\\\\\177\\377~"));
	strbuf_release(&out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_shown),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_upper_case_hex),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_ascii),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}

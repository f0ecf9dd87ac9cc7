// SPDX-License-Identifier: BSD-2-Clause
#include "auth/auth_proto.h"
#include "unit.h"

static void test_every_byte(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		struct strbuf coded = STRBUF_INIT(100), plain = STRBUF_INIT(100);
		char c = (char)byte;

		auth_escape(&coded, slice_mem(&c, 1));
		want_int("no byte that the protocol uses",
		    strcspn(coded.ptr, "\t\r\n") == coded.len, true);
		want_int("both ways", auth_unescape(&plain, strbuf_slice(&coded)), true);
		want_slice("both ways", strbuf_slice(&plain), slice_mem(&c, 1));
		strbuf_release(&coded);
		strbuf_release(&plain);
	}
}

static const struct split_case {
	const char *name;
	struct slice line;
	bool good;
	const char *want[4];
} splits[] = {
	{ "empty", { "", 0 }, true, { "" } },
	{ "one", { "DONE", 4 }, true, { "DONE" } },
	{ "carriage return", { "DONE\r", 5 }, true, { "DONE" } },
	{ "three", { "AUTH\t1\tPLAIN", 12 }, true, { "AUTH", "1", "PLAIN" } },
	{ "empty one in the middle", { "A\t\tB", 4 }, true, { "A", "", "B" } },
	{ "trailing tab", { "OK\t1\t", 5 }, true, { "OK", "1" } },
	{ "escapes", { "a\001tb\t\0011", 7 }, true, { "a\tb", "\001" } },
	{ "cut escape", { "a\001", 2 }, false, { NULL } },
	{ "unknown escape", { "a\001x", 3 }, false, { NULL } },
	{ "escape over a tab", { "a\001\tb", 4 }, false, { NULL } },
};

static void test_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
		const struct split_case *c = &splits[i];
		struct arena arena = ARENA_INIT;
		struct auth_fields fields;
		size_t count = 0;

		want_int(c->name, auth_fields_split(&fields, c->line, &arena), c->good);
		while (c->good && count < ARRAY_LEN(c->want) && c->want[count]) {
			want_int(c->name, fields.count > count, true);
			want_slice(c->name, fields.list[count], slice_of(c->want[count]));
			count++;
		}
		if (c->good)
			want_int(c->name, fields.count, count);
		arena_release(&arena);
	}
}

static void test_too_many_fields(void **state)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	char line[AUTH_FIELDS_MAX + 1];

	(void)state;
	memset(line, '\t', sizeof(line));
	line[AUTH_FIELDS_MAX - 1] = 'x';
	want_int(
	    "limit", auth_fields_split(&fields, slice_mem(line, AUTH_FIELDS_MAX), &arena), true);
	line[AUTH_FIELDS_MAX - 1] = '\t';
	line[AUTH_FIELDS_MAX] = 'x';
	want_int("above", auth_fields_split(&fields, slice_mem(line, sizeof(line)), &arena), false);
	arena_release(&arena);
}

static void test_fields(void **state)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields f;
	struct slice value;
	uint32_t id;

	(void)state;
	assert_true(auth_fields_split(
	    &f, SLICE_LIT("FAIL\t7\tuserx=1\tuser=a\tuser=b\tnodelay\treason="), &arena));
	want_int("is", auth_field_is(&f, 0, "FAIL"), true);
	want_int("is not", auth_field_is(&f, 0, "FAI"), false);
	want_int("is not there", auth_field_is(&f, 9, "FAIL"), false);
	want_int("get", auth_field_get(&f, 2, "user", &value), true);
	want_slice("the first", value, SLICE_LIT("a"));
	want_int("word", auth_field_get(&f, 2, "nodelay", &value), true);
	want_slice("has no value", value, SLICE_NULL);
	want_int("empty", auth_field_get(&f, 2, "reason", &value), true);
	want_int("no such field", auth_field_get(&f, 2, "code", &value), false);
	want_int("before FROM", auth_field_get(&f, 5, "user", &value), false);
	want_int("id", auth_field_id(&f, 1, &id) && id == 7, true);
	want_int("no id", auth_field_id(&f, 0, &id), false);
	assert_true(
	    auth_fields_split(&f, SLICE_LIT("A\t0\t4294967295\t4294967296\t-1\t+1"), &arena));
	want_int("zero", auth_field_id(&f, 1, &id), false);
	want_int("largest", auth_field_id(&f, 2, &id) && id == UINT32_MAX, true);
	for (size_t i = 3; i <= 6; i++)
		want_int("bad id", auth_field_id(&f, i, &id), false);
	arena_release(&arena);
}

static void test_flags(void **state)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields f;

	(void)state;
	assert_true(
	    auth_fields_split(&f, SLICE_LIT("MECH\tPLAIN\tplaintext\tnew\tprivate"), &arena));
	want_int("flags", auth_mechanism_flags(&f, 2), AUTH_MECH_PLAINTEXT | AUTH_MECH_PRIVATE);
	want_str("word", auth_mechanism_flag_word(AUTH_MECH_FORWARD_SECRECY), "forward-secrecy");
	want_int("no word", auth_mechanism_flag_word(3) == NULL, true);
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_too_many_fields),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

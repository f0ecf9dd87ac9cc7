// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/suspects.h"

#define HOUR INT64_C(3600000)
#define T0   INT64_C(123456789)

static void the_second_death_counts(void **state)
{
	/* "d NAME NAME": a death at this time with these; WANT: who is in quarantine then. */
	static const struct {
		const char *what;
		int64_t at;
		const char *died[3];
		const char *want;
	} cases[] = {
		{ "one death", 0, { "a", "b" }, "" },
		{ "twice in one death", 1, { "c", "c" }, "" },
		{ "the second within the time", HOUR - 1, { "a" }, "a" },
		{ "one whose first is too old", HOUR + 1, { "b" }, "a" },
		{ "his second", HOUR + 2, { "b" }, "ab" },
		{ "nobody", 2 * HOUR - 2, { NULL }, "ab" },
		{ "the time is over for a", 2 * HOUR - 1, { NULL }, "b" },
		{ "and for b", 2 * HOUR + 2, { NULL }, "" },
		{ "a begins anew", 2 * HOUR + 3, { "a" }, "" },
		{ "again", 2 * HOUR + 4, { "a" }, "a" },
		{ "each death prolongs it", 3 * HOUR, { "a" }, "a" },
		{ "so it lasts", 4 * HOUR - 1, { NULL }, "a" },
		{ "but not for ever", 4 * HOUR, { NULL }, "" },
	};
	static const char *const all[] = { "a", "b", "c" };
	struct suspects *s;
	const struct suspect_list *list;
	int fd;

	(void)state;
	s = suspects_new(&fd);
	assert_non_null(s);
	list = suspect_list_attach(fd);
	assert_non_null(list);
	assert_false(suspect_list_any(list));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char got[10] = "";

		suspects_death(s);
		for (size_t j = 0; j < 3 && cases[i].died[j] != NULL; j++)
			suspects_note(s, cases[i].died[j], T0 + cases[i].at, HOUR);
		for (size_t j = 0; j < ARRAY_LEN(all); j++)
			if (suspect_list_has(list, all[j], T0 + cases[i].at))
				strcat(got, all[j]);
		want_str(cases[i].what, got, cases[i].want);
	}
	suspects_free(s);
	close(fd);
}

static void it_is_told_once(void **state)
{
	struct suspects *s = suspects_new(NULL);
	static const bool want[] = { false, true, false, false };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		suspects_death(s);
		want_int("told", suspects_note(s, "x", T0 + (int64_t)i, HOUR), want[i]);
	}
	suspects_death(s);
	want_int("and again after its end", suspects_note(s, "x", T0 + 2 * HOUR, HOUR), 0);
	suspects_death(s);
	want_int("at the second", suspects_note(s, "x", T0 + 2 * HOUR + 1, HOUR), 1);
	suspects_free(s);
}

static void full_tables_forget_the_oldest(void **state)
{
	struct suspects *s = suspects_new(NULL);
	const struct suspect_list *list = suspects_list(s);
	char name[32];

	(void)state;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i <= QUARANTINE_MAX; i++) {
			suspects_death(s);
			snprintf(name, sizeof(name), "q%d", i);
			suspects_note(s, name, T0 + round * 1000 + i, HOUR);
		}
	want_int("the oldest is out", suspect_list_has(list, "q0", T0 + 2000), 0);
	want_int("the next is in", suspect_list_has(list, "q1", T0 + 2000), 1);
	want_int("the newest is in", suspect_list_has(list, name, T0 + 2000), 1);
	for (int i = 0; i < 2 * SUSPECTS_MAX; i++) {
		suspects_death(s);
		snprintf(name, sizeof(name), "s%d", i);
		suspects_note(s, name, T0 + 2000 + i, HOUR);
	}
	suspects_death(s);
	want_int("forgotten", suspects_note(s, "s0", T0 + 20000, HOUR), 0);
	want_int("remembered", suspects_note(s, name, T0 + 20000, HOUR), 1);
	suspects_free(s);
}

static void readers_cannot_write(void **state)
{
	struct suspects *s;
	int fd;

	(void)state;
	s = suspects_new(&fd);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	want_int("write", pwrite(fd, "x", 1, 0), -1);
	want_int("cannot shrink", ftruncate(fd, 0), -1);
	suspects_free(s);
	close(fd);
	fd = memfd_create("short", 0);
	assert_null(suspect_list_attach(fd));
	assert_null(suspect_list_attach(-1));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_second_death_counts),
		cmocka_unit_test(it_is_told_once),
		cmocka_unit_test(full_tables_forget_the_oldest),
		cmocka_unit_test(readers_cannot_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

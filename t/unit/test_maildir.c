// SPDX-License-Identifier: BSD-2-Clause
/* Names of files and the list of UIDs: tables of cases. */
#include "unit.h"

#include "store/maildir.h"

static void names(void **state)
{
	static const struct {
		const char *name, *base;
		unsigned flags;
		uint64_t size, vsize;
	} cases[] = {
		{ "1.M2P3.h", "1.M2P3.h", 0, STORE_SIZE_UNKNOWN, STORE_SIZE_UNKNOWN },
		{ "1.M2P3.h,S=22,W=23:2,", "1.M2P3.h,S=22,W=23", 0, 22, 23 },
		{ "1.M2P3.h,S=22:2,DFPRST", "1.M2P3.h,S=22", 63, 22, STORE_SIZE_UNKNOWN },
		{ "1.h,W=7,S=8:2,Saz", "1.h,W=7,S=8",
		    STORE_SEEN | STORE_KEYWORD(0) | STORE_KEYWORD(25), 8, 7 },
		{ "1.h:2,S,T", "1.h", STORE_SEEN, STORE_SIZE_UNKNOWN, STORE_SIZE_UNKNOWN },
		{ "1.h:1,S", "1.h", 0, STORE_SIZE_UNKNOWN, STORE_SIZE_UNKNOWN },
		{ "S=9", "S=9", 0, STORE_SIZE_UNKNOWN, STORE_SIZE_UNKNOWN },
		{ "1.h,S=9x", "1.h,S=9x", 0, STORE_SIZE_UNKNOWN, STORE_SIZE_UNKNOWN },
		{ "1.h,S=-9", "1.h,S=-9", 0, STORE_SIZE_UNKNOWN, STORE_SIZE_UNKNOWN },
		{ "1.h,S=99999999999999999999", "1.h,S=99999999999999999999", 0, STORE_SIZE_UNKNOWN,
		    STORE_SIZE_UNKNOWN },
		{ ":2,S", "", STORE_SEEN, STORE_SIZE_UNKNOWN, STORE_SIZE_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice base, flags;

		maildir_name_split(slice_of(cases[i].name), &base, &flags);
		want_slice(cases[i].name, base, slice_of(cases[i].base));
		want_int(cases[i].name, maildir_flags_parse(flags), cases[i].flags);
		assert_true(maildir_name_size(base, 'S') == cases[i].size);
		assert_true(maildir_name_size(base, 'W') == cases[i].vsize);
	}
}

static void flags_change(void **state)
{
	static const struct {
		const char *flags;
		unsigned want;
		const char *name;
	} cases[] = {
		{ "", 0, "b:2," },
		{ "", STORE_SEEN, "b:2,S" },
		{ "T", STORE_SEEN | STORE_FLAGGED, "b:2,FS" },
		{ "Sab", STORE_SEEN | STORE_DRAFT | STORE_KEYWORD(0), "b:2,DSa" },
		{ "ba", STORE_ANSWERED | STORE_KEYWORD(1) | STORE_KEYWORD(25), "b:2,Rbz" },
		{ "XS", 0, "b:2,X" },
		{ "S,x=1", STORE_DELETED, "b:2,T,x=1" },
		{ "SS", STORE_SEEN | STORE_PASSED, "b:2,PS" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(100);

		maildir_name_build(&out, SLICE_LIT("b"), slice_of(cases[i].flags), cases[i].want);
		want_str(cases[i].flags, out.ptr, cases[i].name);
		strbuf_release(&out);
	}
}

static void clean_names(void **state)
{
	(void)state;
	assert_true(maildir_name_is_clean(SLICE_LIT("1.h")));
	assert_false(maildir_name_is_clean(SLICE_LIT("")));
	assert_false(maildir_name_is_clean(SLICE_LIT(".h")));
	assert_false(maildir_name_is_clean(SLICE_LIT("a/b")));
	assert_false(maildir_name_is_clean(SLICE_LIT("a\nb")));
	assert_false(maildir_name_is_clean(SLICE_LIT("a\0b")));
}

static void lists(void **state)
{
	static const struct {
		const char *name, *text;
		bool good;
		const char *written; /* NULL: as it was */
	} cases[] = {
		{ "dovecot's",
		    "3 V1795159663 N1 G9dc571336ff6ff6a7e7c000083ecc375\n"
		    "1 :1795159672.M309648P32067.vm,S=224,W=236\n"
		    "2 :1795159701.M261997P366.vm,S=35,W=39\n",
		    true,
		    "3 V1795159663 N3 G9dc571336ff6ff6a7e7c000083ecc375\n"
		    "1 :1795159672.M309648P32067.vm,S=224,W=236\n"
		    "2 :1795159701.M261997P366.vm,S=35,W=39\n" },
		{ "empty list", "3 V5 N9 Gab P1 Xfoo\n", true, NULL },
		{ "extensions are kept", "3 V5 N9\n7 W39 Pa:b Zq :1.h\n", true, NULL },
		{ "version 1", "1 77 9\n3 1.h,S=3:2,S\n8 2.h\n", true,
		    "3 V77 N9\n3 :1.h,S=3\n8 :2.h\n" },
		{ "a torn line keeps its uid", "3 V5 N2\n1 :a\n9 :b", true, "3 V5 N10\n1 :a\n" },
		{ "a blank in a name", "3 V5 N2\n1 :a b\n", true, NULL },
		{ "no text", "", false, NULL },
		{ "torn header", "3 V5 N2", false, NULL },
		{ "version 2", "2 V5 N2\n", false, NULL },
		{ "no uidvalidity", "3 N2\n", false, NULL },
		{ "uidvalidity 0", "3 V0 N2\n", false, NULL },
		{ "no uidnext", "3 V5\n", false, NULL },
		{ "uidnext of 0", "3 V5 N0\n", false, NULL },
		{ "uidvalidity too large", "3 V4294967296 N2\n", false, NULL },
		{ "uid 0", "3 V5 N2\n0 :a\n", false, NULL },
		{ "uid too large", "3 V5 N2\n4294967295 :a\n", false, NULL },
		{ "uids fall", "3 V5 N2\n2 :a\n1 :b\n", false, NULL },
		{ "uid twice", "3 V5 N2\n2 :a\n2 :b\n", false, NULL },
		{ "no name", "3 V5 N2\n1\n", false, NULL },
		{ "no colon", "3 V5 N2\n1 a\n", false, NULL },
		{ "empty name", "3 V5 N2\n1 :\n", false, NULL },
		{ "a path", "3 V5 N2\n1 :../../etc/passwd\n", false, NULL },
		{ "a slash in version 1", "1 5 2\n1 a/b\n", false, NULL },
		{ "lower case extension", "3 V5 N2\n1 w3 :a\n", false, NULL },
		{ "an empty line", "3 V5 N2\n\n", false, NULL },
		{ "signs", "3 V5 N2\n+1 :a\n", false, NULL },
		{ "junk behind version 1", "1 5 2 3\n", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(4096);
		struct uidlist list;

		uidlist_init(&list);
		want_int(
		    cases[i].name, uidlist_parse(&list, slice_of(cases[i].text)), cases[i].good);
		if (cases[i].good) {
			uidlist_format(&list, &out);
			want_str(cases[i].name, out.ptr,
			    cases[i].written ? cases[i].written : cases[i].text);
		}
		strbuf_release(&out);
		uidlist_release(&list);
	}
}

static void extras(void **state)
{
	struct slice value;
	struct uidlist list;

	(void)state;
	uidlist_init(&list);
	assert_true(uidlist_extra_get("W39 Pab", 'P', &value));
	want_slice("P", value, SLICE_LIT("ab"));
	assert_false(uidlist_extra_get("W39 Pab", 'O', &value));
	want_str("new", uidlist_extra_set(&list, "", 'W', "4"), "W4");
	want_str("changed", uidlist_extra_set(&list, "W39 Pab", 'W', "4"), "Pab W4");
	uidlist_release(&list);
}

static void virtual_sizes(void **state)
{
	static const struct {
		const char *a, *b;
		uint64_t size;
	} cases[] = {
		{ "", "", 0 },
		{ "a\n", "", 3 },
		{ "a\r\n", "", 3 },
		{ "a\r", "\nb", 4 },
		{ "a", "\n", 3 },
		{ "\n", "\n", 4 },
		{ "\r\n\n", "x\n", 7 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char last = '\0';
		uint64_t size = store_virtual_size(slice_of(cases[i].a), &last);

		size += store_virtual_size(slice_of(cases[i].b), &last);
		want_int(cases[i].a, size, cases[i].size);
	}
}

static void locations(void **state)
{
	static const struct {
		const char *text, *home, *path; /* NULL: refused */
	} cases[] = {
		{ "maildir:/var/mail/u", NULL, "/var/mail/u" },
		{ "maildir:/var/mail/u/", NULL, "/var/mail/u" },
		{ "maildir:~/Maildir", "/home/u", "/home/u/Maildir" },
		{ "maildir:~", "/home/u", "/home/u" },
		{ "maildir:~/Maildir:INDEX=/var/x", "/home/u", "/home/u/Maildir" },
		{ "maildir:~/Maildir", NULL, NULL },
		{ "maildir:~/Maildir", "", NULL },
		{ "maildir:mail", "/home/u", NULL },
		{ "maildir:", NULL, NULL },
		{ "maildir:/", NULL, NULL },
		{ "", NULL, NULL },
		{ "/var/mail/u", NULL, NULL },
		{ "mbox:~/mail", "/home/u", NULL },
		{ "maildir:~/Maildir:LAYOUT=fs", "/home/u", NULL },
		{ "maildir:~/Maildir:CONTROL=/c", "/home/u", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_location location;
		struct reason why;
		bool ok = store_location_parse(&location, cases[i].text, cases[i].home, &why);

		want_int(cases[i].text, ok, cases[i].path != NULL);
		if (ok)
			want_str(cases[i].text, location.path, cases[i].path);
	}
}

static void virtual_locations(void **state)
{
	static const struct {
		const char *base, *path, *want;
		size_t base_len;
	} cases[] = {
		{ "/var/mail", "d/u/", "/var/mail/d/u", 9 },
		{ "/var/mail/", "d/u/", "/var/mail/d/u", 9 },
		{ "/var/mail", "/d/u/", "/var/mail//d/u", 9 },
		{ "", "/d/u/", "/d/u", 0 },
		{ "/", "d/u/", "/d/u", 0 },
		{ "/var/mail", "d/u", NULL, 0 },
		{ "mail", "d/u/", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_location location;
		struct reason why;
		bool ok = store_location_virtual(&location, cases[i].base, cases[i].path, &why);

		want_int(cases[i].path, ok, cases[i].want != NULL);
		if (!ok)
			continue;
		want_str(cases[i].path, location.path, cases[i].want);
		want_int(cases[i].path, location.base_len, cases[i].base_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(flags_change),
		cmocka_unit_test(clean_names),
		cmocka_unit_test(lists),
		cmocka_unit_test(extras),
		cmocka_unit_test(virtual_sizes),
		cmocka_unit_test(locations),
		cmocka_unit_test(virtual_locations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

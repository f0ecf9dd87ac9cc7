// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "config.h"
#include "log/log.h"
#include "table/table.h"
#include "table/table_build.h"
#include "unit.h"

static struct config dir;

static char *spec_of(const char *type, const char *name)
{
	return xasprintf("%s:%s/%s", type, dir.dir, name);
}

static void want_lookup(struct table *t, const char *key, const char *want)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result got = table_get(t, slice_of(key), &value);

	want_int(key, got, want ? TABLE_FOUND : TABLE_NOT_FOUND);
	want_slice(key, strbuf_slice(&value), slice_of(want));
	strbuf_release(&value);
}

static void want_error(struct table *t, const char *key)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);

	want_int(key, table_get(t, slice_of(key), &value), TABLE_ERROR);
	strbuf_release(&value);
}

static const char source_text[] = "# comment\n"
				  "Alice@Example.com   one two  \n"
				  "  three\n"
				  "# mid\n"
				  "\n"
				  "\tfour\n"
				  "bob\tx\n"
				  "bob\ty\n"
				  "\"a b\"@c\tq\n"
				  "novalue\n"
				  "key: colon\n"
				  "@dom ok\r\n"
				  "x# y#z\n";

static void build(const char *name, const char *text, struct table_build *b)
{
	char *path = xasprintf("%s/%s", dir.dir, name), *error;

	config_write(&dir, name, text);
	b->path = path;
	b->type = "lmdb";
	if (!table_build_file(b, &error))
		fail_msg("%s", error);
	b->path = NULL;
	free(path);
}

static void check_entries(struct table *t)
{
	want_lookup(t, "alice@example.com", "one two    three	four");
	want_lookup(t, "ALICE@example.com", "one two    three	four");
	want_lookup(t, "bob", "x");
	want_lookup(t, "\"a b\"@c", "q");
	want_lookup(t, "novalue", NULL);
	want_lookup(t, "key:", "colon");
	want_lookup(t, "@dom", "ok");
	want_lookup(t, "x#", "y#z");
	want_lookup(t, "", NULL);
	want_lookup(t, "#", NULL);
}

static bool count_entry(struct slice key, struct slice value, void *arg)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return true;
}

static void test_lmdb(void **state)
{
	struct table_build b = { .with_nul = true };
	char *spec = spec_of("hash", "t1");
	unsigned count = 0;
	struct table *t;

	(void)state;
	build("t1", source_text, &b);
	want_int("entries", b.entries, 6);
	want_int("warnings", b.warnings, 3);
	t = table_open(spec, 0);
	want_int("trouble", table_trouble(t) == NULL, true);
	check_entries(t);
	want_int("each", table_each(t, count_entry, &count), true);
	want_int("each", count, 6);
	table_free(t);
	b.with_nul = false;
	build("t1", source_text, &b);
	t = table_open(spec, 0);
	check_entries(t);
	table_free(t);
	free(spec);
}

static void test_texthash(void **state)
{
	char *spec = spec_of("texthash", "t2");
	struct table *t;

	(void)state;
	config_write(&dir, "t2", source_text);
	t = table_open(spec, 0);
	check_entries(t);
	want_int("fresh", table_refresh_all(), true);
	config_write(&dir, "t2", "bob other\n");
	want_int("changed", table_refresh_all(), false);
	want_lookup(t, "bob", "x");
	table_free(t);
	want_int("gone", table_refresh_all(), true);
	free(spec);
}

/* A new file is used without a restart, also where there was none; a broken one is not. */
static void test_refresh(void **state)
{
	struct table_build b = { .with_nul = true };
	char *spec = spec_of("lmdb", "t3");
	struct table *t = table_open(spec, 0);

	(void)state;
	want_int("trouble", table_trouble(t) != NULL, true);
	want_error(t, "bob");
	want_str("directory", table_directory(0), dir.dir);
	want_int("directory", table_directory(1) == NULL, true);
	build("t3", "bob one\n", &b);
	want_int("refresh", table_refresh_all(), true);
	want_int("mended", table_trouble(t) == NULL, true);
	want_lookup(t, "bob", "one");
	build("t3", "bob two\n", &b);
	want_lookup(t, "bob", "one");
	want_int("refresh", table_refresh_all(), true);
	want_lookup(t, "bob", "two");
	config_write(&dir, "t3.new", "this is no database at all");
	assert_int_equal(chdir(dir.dir), 0);
	assert_int_equal(rename("t3.new", "t3.lmdb"), 0);
	want_int("broken", table_refresh_all(), true);
	want_lookup(t, "bob", "two");
	assert_int_equal(unlink("t3.lmdb"), 0);
	want_int("removed", table_refresh_all(), true);
	want_lookup(t, "bob", "two");
	table_free(t);
	free(spec);
}

/* One that is cut would kill the process that touches a page behind its end. */
static void test_cut_file(void **state)
{
	struct table_build b = { .with_nul = true };
	char *spec = spec_of("lmdb", "t4"), *path = xasprintf("%s/t4.lmdb", dir.dir);
	struct strbuf text = STRBUF_INIT(1 << 20);
	struct table *t;

	(void)state;
	for (int i = 0; i < 5000; i++)
		strbuf_addf(&text, "key%05d value%d\n", i, i);
	build("t4", text.ptr, &b);
	assert_int_equal(truncate(path, 8192), 0);
	t = table_open(spec, 0);
	want_error(t, "key00001");
	table_free(t);
	strbuf_release(&text);
	free(path);
	free(spec);
}

static void test_many(void **state)
{
	struct table_build b = { .with_nul = true };
	char *spec = spec_of("lmdb", "t5");
	struct strbuf text = STRBUF_INIT(4 << 20);
	unsigned count = 0;
	struct table *t;

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		strbuf_addf(&text, "User%u@Example.com %u\n", i * 7919 % 20011, i);
	build("t5", text.ptr, &b);
	t = table_open(spec, 0);
	table_each(t, count_entry, &count);
	want_int("entries", count, 20000);
	want_lookup(t, "user7919@example.com", "1");
	want_lookup(t, "user20011@example.com", NULL);
	table_free(t);
	strbuf_release(&text);
	free(spec);
}

#define ROUNDS 200

static void *look_up_again(void *arg)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	size_t bad = 0;

	for (int i = 0; i < 20 * ROUNDS; i++) {
		bad += table_get(arg, SLICE_LIT("bob"), &value) != TABLE_FOUND || value.len != 3;
		if (i % 50 == 0)
			bad += !table_refresh_all();
	}
	strbuf_release(&value);
	return (void *)bad;
}

/* Lookups go on while the file is replaced, and each sees the old or the new one. */
static void test_threads(void **state)
{
	struct table_build b = { .with_nul = true };
	char *spec = spec_of("lmdb", "t9");
	pthread_t threads[3];
	struct table *t;
	void *bad;

	(void)state;
	build("t9", "bob one\n", &b);
	t = table_open(spec, 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_up_again, t), 0);
	for (int i = 0; i < 10; i++)
		build("t9", i % 2 ? "bob one\n" : "bob two\n", &b);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		want_int("wrong answers", (size_t)bad, 0);
	}
	table_free(t);
	free(spec);
}

static void test_incremental(void **state)
{
	struct table_build b = { .with_nul = true };
	char *spec = spec_of("lmdb", "t6"), *path = xasprintf("%s/t6", dir.dir), *error;
	struct slice keys[] = { SLICE_LIT("BOB"), SLICE_LIT("nobody") };
	size_t removed;
	struct table *t;

	(void)state;
	build("t6", "bob one\ncarol two\n", &b);
	b.path = path;
	b.incremental = true;
	assert_true(table_build(&b, SLICE_LIT("bob three\ndave four\n"), &error));
	want_int("warned", b.warnings, 1);
	t = table_open(spec, 0);
	want_lookup(t, "bob", "one");
	want_lookup(t, "dave", "four");
	b.duplicates = TABLE_DUP_REPLACE;
	assert_true(table_build(&b, SLICE_LIT("bob three\n"), &error));
	want_int("quiet", b.warnings, 0);
	assert_true(table_refresh_all());
	want_lookup(t, "bob", "three");
	assert_true(table_remove(&b, keys, 2, &removed, &error));
	want_int("removed", removed, 1);
	assert_true(table_refresh_all());
	want_lookup(t, "bob", NULL);
	want_lookup(t, "carol", "two");
	table_free(t);
	free(path);
	free(spec);
}

/* Only what is not there, or is older than its text. */
static void test_missing(void **state)
{
	char *value =
	    xasprintf("static:x, proxy:hash:%s/m1 {lmdb:x} btree:%s/m2, hash:/nonexistent/x "
		      "hash:",
		dir.dir, dir.dir);
	char *path = xasprintf("%s/m1", dir.dir);
	const struct timespec times[] = { { 0, UTIME_OMIT }, { 4000000000, 0 } };

	(void)state;
	config_write(&dir, "m1", "a b\n");
	config_write(&dir, "m2", "a b\n");
	want_int("both", table_build_missing(value, false), 2);
	want_int("none", table_build_missing(value, false), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	want_int("the newer", table_build_missing(value, false), 1);
	free(path);
	free(value);
	config_write(&dir, "m3", "a b\n");
	value = xasprintf(
	    "x unionmap:{static:x, pipemap:{hash:%s/m3,inline:{b=c}}} unionmap:{", dir.dir);
	want_int("inside of others", table_build_missing(value, false), 1);
	free(value);
}

static void test_empty(void **state)
{
	struct table_build b = { .with_nul = true };
	char *spec = spec_of("lmdb", "t7");
	struct table *t;

	(void)state;
	build("t7", "# nothing\n", &b);
	t = table_open(spec, 0);
	want_lookup(t, "bob", NULL);
	table_free(t);
	free(spec);
}

static void test_build_errors(void **state)
{
	struct table_build b = { .path = "/nonexistent/x", .type = "lmdb" };
	char *error;

	(void)state;
	assert_false(table_build_file(&b, &error));
	want_str("no source", error, "open /nonexistent/x: No such file or directory");
	free(error);
	assert_false(table_build(&b, SLICE_LIT("a b\n"), &error));
	want_str(
	    "no directory", error, "open database /nonexistent/x.lmdb: No such file or directory");
	free(error);
}

static void test_mode(void **state)
{
	struct table_build b = { .with_nul = true };
	char *path = xasprintf("%s/t8", dir.dir), *db = xasprintf("%s/t8.lmdb", dir.dir), *error;
	struct stat st;

	(void)state;
	config_write(&dir, "t8", "a b\n");
	assert_int_equal(chmod(path, 0640), 0);
	b.path = path;
	b.type = "lmdb";
	assert_true(table_build_file(&b, &error));
	assert_int_equal(stat(db, &st), 0);
	want_int("mode", st.st_mode & 07777, 0640);
	b.default_mode = true;
	assert_true(table_build_file(&b, &error));
	assert_int_equal(stat(db, &st), 0);
	want_int("mode", st.st_mode & 07777, 0644);
	free(path);
	free(db);
}

static void test_inline(void **state)
{
	static const struct {
		const char *spec, *key, *want;
	} cases[] = {
		{ "inline:{a=b}", "A", "b" },
		{ "inline:{ {k = v with, commas} K2=v2 }", "k", "v with, commas" },
		{ "inline:{ {k = v with, commas}, K2=v2 }", "k2", "v2" },
		{ "inline:{a=b=c}", "a", "b=c" },
		{ "inline:{a=b}", "c", NULL },
		{ "static:OK", "x", "OK" },
		{ "static:{ 550 no, really }", "", "550 no, really" },
		{ "proxy:static:OK", "x", "OK" },
		{ "pipemap:{inline:{a=B},inline:{b=c}}", "A", "c" },
		{ "pipemap:{inline:{a=b} inline:{c=d}}", "a", NULL },
		{ "pipemap:{inline:{a=b},fail:x}", "z", NULL },
		{ "unionmap:{inline:{a=b},inline:{a=c},inline:{b=d}}", "A", "b,c" },
		{ "unionmap:{inline:{a=b},inline:{a=c}}", "z", NULL },
		{ "unionmap:{pipemap:{inline:{a=b} inline:{b=c}} static:d}", "a", "c,d" },
		{ "randmap:{x, x x}", "a", "x" },
		{ "environ:x", "PC_TEST", "value" },
		{ "environ:x", "pc_test", "value" },
		{ "environ:x", "pc_test=", NULL },
		{ "environ:x", "", NULL },
		{ "cidr:{{10.0.0.0/8 ten} {if ::/0} {::1 one} {endif} {!::/1 high}}", "10.1.2.3",
		    "ten" },
		{ "cidr:{{10.0.0.0/8 ten} {if ::/0} {::1 one} {endif} {!::/1 high}}", "::1",
		    "one" },
		{ "cidr:{{10.0.0.0/8 ten} {if ::/0} {::1 one} {endif} {!::/1 high}}", "ff00::1",
		    "high" },
		{ "cidr:{{10.0.0.0/8 ten} {if ::/0} {::1 one} {endif} {!::/1 high}}", "1.1.1.1",
		    NULL },
		{ "cidr:{{10.0.0.0/8 ten}}", "10.1.2", NULL },
		{ "cidr:{{10.0.0.0/8 ten}}", "host", NULL },
		{ "cidr:{{10.0.0.0/8 ten}}", "", NULL },
		{ "cidr:{{10.0.0.1/8 ten}}", "10.0.0.1", NULL },
		{ "cidr:{}", "10.0.0.1", NULL },
		{ "pcre:{{/^(a)(?:b|(c))$/ $1-${2}-$(1)$$}}", "AB", "A--A$" },
		{ "pcre:{{/^a/i A} {/^A/ B}}", "Ab", "B" },
		{ "pcre:{{/a.b/ x}}", "a\nb", "x" },
		{ "pcre:{{!/a/ no} {if /b/} {/c/ bc} {endif} {/./ any}}", "abc", "bc" },
		{ "pcre:{{!/a/ no} {if /b/} {/c/ bc} {endif} {/./ any}}", "ac", "any" },
		{ "pcre:{{!/a/ no}}", "", "no" },
		{ "regexp:{{/a/!/b/ a$$}}", "xa", "a$" },
		{ "regexp:{{/a/!/b/ a$$}}", "ab", NULL },
	};
	static const char *const broken[] = { "inline:{}", "inline:a=b", "inline:{a}",
		"inline:{=b}", "inline:{a=b", "nonsense:x", "nonsense", "fail:why",
		"hash:/nonexistent/x", "texthash:/nonexistent/x", "regexp:/nonexistent/x",
		"unix:shadow.byname", "static:{x", "", "static:", "pipemap:{}", "pipemap:static:x",
		"pipemap:{static:a,fail:x}", "pipemap:{static:a,nonsense:x}", "unionmap:{}",
		"unionmap:{static:a,fail:x}", "unionmap:{nonsense:x,static:a}", "randmap:{}",
		"randmap:x", "cidr:{1.1.1.1 x}", "cidr:{{1.1.1.1 x}", "cidr:/nonexistent/x",
		"pcre:/nonexistent/x", "pcre:{{/a/ x}{/b/ y}}" };

	(void)state;
	assert_int_equal(setenv("pc_test", "value", 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct table *t = table_open(cases[i].spec, 0);

		want_lookup(t, cases[i].key, cases[i].want);
		table_free(t);
	}
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		struct table *t = table_open(broken[i], 0);

		want_error(t, "x");
		table_free(t);
	}
}

static const char regexp_text[] = "/^(a)(b*)$/	[$1] ${2} $(2) $$\n"
				  "!/^x/	not x\n"
				  "/^xY/i	case\n"
				  "if /^xa/\n"
				  "/b/	in if\n"
				  "if !/c/\n"
				  "/d/	in second\n"
				  "endif\n"
				  "endif\n"
				  "|^xp\\|$|	pipe\n"
				  "/^xo(/	broken\n"
				  "/^xz/	after\n";

static void test_regexp(void **state)
{
	char *spec = spec_of("regexp", "r1");
	struct table *t;

	(void)state;
	config_write(&dir, "r1", regexp_text);
	t = table_open(spec, 0);
	want_int("pattern", table_is_pattern(t), true);
	want_lookup(t, "abb", "[a] bb bb $");
	want_lookup(t, "ABB", "[A] BB BB $");
	want_lookup(t, "hello", "not x");
	want_lookup(t, "xY", "case");
	want_lookup(t, "xab", "in if");
	want_lookup(t, "xad", "in second");
	want_lookup(t, "xp|", "pipe");
	/* The broken rule is left out, with a warning. */
	want_lookup(t, "xz", "after");
	want_lookup(t, "xacd", NULL);
	table_free(t);
	config_write(&dir, "r2", "/(a)/ $1\n/b/ plain\n");
	free(spec);
	spec = spec_of("regexp", "r2");
	t = table_open(spec, TABLE_NO_SUBSTITUTION);
	want_lookup(t, "a", NULL);
	want_lookup(t, "b", "plain");
	table_free(t);
	free(spec);
}

static void test_inline_regexp(void **state)
{
	struct table *t = table_open("regexp:{{/^[^A-Z]/ Bogus}, { /^x/ an x }}", 0);

	(void)state;
	want_lookup(t, "<html>", "Bogus");
	want_lookup(t, "xyz", "an x");
	want_int("refresh", table_refresh_all(), true);
	table_free(t);
}

/* Backtracking without end is no "not found". */
static void test_pcre_limit(void **state)
{
	struct table *t = table_open("pcre:{{/^(a+)+$/ x} {/b/ never}}", 0);
	char key[60];

	(void)state;
	memset(key, 'a', sizeof(key));
	key[sizeof(key) - 2] = 'b';
	key[sizeof(key) - 1] = '\0';
	want_error(t, key);
	table_free(t);
}

static void test_partial_keys(void **state)
{
	static const struct {
		const char *spec;
		bool is_pattern;
	} cases[] = {
		{ "pcre:{}", true },
		{ "cidr:{}", true },
		{ "inline:{a=b}", false },
		{ "environ:x", false },
		{ "randmap:{x}", false },
		{ "pipemap:{cidr:{},pcre:{}}", true },
		{ "pipemap:{cidr:{},inline:{a=b}}", false },
		{ "unionmap:{regexp:{}}", true },
		{ "unionmap:{static:x,regexp:{}}", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct table *t = table_open(cases[i].spec, 0);

		want_int(cases[i].spec, table_is_pattern(t), cases[i].is_pattern);
		table_free(t);
	}
}

/* A new text needs a new process, also behind another table. */
static void test_changed_rules(void **state)
{
	static const char *const types[] = { "cidr", "pcre", "regexp" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		char *spec = spec_of(types[i], "rules"), *piped = xasprintf("pipemap:{%s}", spec);
		struct table *t;

		config_write(&dir, "rules", "#\n");
		t = table_open(piped, 0);
		want_int(types[i], table_refresh_all(), true);
		config_write(&dir, "rules", "1.1.1.1 x\n");
		want_int(types[i], table_refresh_all(), false);
		table_free(t);
		want_int(types[i], table_refresh_all(), true);
		free(piped);
		free(spec);
	}
}

static void test_list(void **state)
{
	struct tables *list = tables_open(
	    "some_maps", "inline:{ {a = 1}, {e =} } inline:{b=2, a=3}, fail:x static:last", 0);
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);

	(void)state;
	want_int("a", tables_get(list, SLICE_LIT("a"), TABLES_WHOLE_KEY, &value), TABLE_FOUND);
	want_slice("a", strbuf_slice(&value), SLICE_LIT("1"));
	want_int("b", tables_get(list, SLICE_LIT("B"), TABLES_WHOLE_KEY, &value), TABLE_FOUND);
	want_slice("b", strbuf_slice(&value), SLICE_LIT("2"));
	want_str("last", tables_last(), "inline:{b=2, a=3}");
	want_int("c", tables_get(list, SLICE_LIT("c"), TABLES_WHOLE_KEY, &value), TABLE_ERROR);
	want_int("e", tables_get(list, SLICE_LIT("e"), TABLES_WHOLE_KEY, &value), TABLE_ERROR);
	tables_free(list);
	list = tables_open("none", "", 0);
	want_int("empty", tables_is_empty(list), true);
	want_int(
	    "none", tables_get(list, SLICE_LIT("c"), TABLES_WHOLE_KEY, &value), TABLE_NOT_FOUND);
	tables_free(list);
	strbuf_release(&value);
}

static void test_unix(void **state)
{
	struct table *t = table_open("proxy:unix:passwd.byname", 0);
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);

	(void)state;
	want_int("root", table_get(t, SLICE_LIT("root"), &value), TABLE_FOUND);
	want_int("root", slice_starts(strbuf_slice(&value), "root:x:0:0:"), true);
	want_lookup(t, "no such user", NULL);
	want_lookup(t, "root:x", NULL);
	table_free(t);
	strbuf_release(&value);
}

static void test_aliases(void **state)
{
	struct table_source s;
	struct slice key, value;
	unsigned line;

	(void)state;
	table_source_init(&s, SLICE_LIT("# c\nroot: joe,\n  jane\n\"a b\" : x\nbad\n: y\n"), true);
	assert_true(table_source_next(&s, &key, &value, &line));
	want_slice("key", key, SLICE_LIT("root"));
	want_slice("value", value, SLICE_LIT("joe,  jane"));
	want_int("line", line, 2);
	assert_true(table_source_next(&s, &key, &value, &line));
	want_slice("key", key, SLICE_LIT("a b"));
	assert_false(table_source_next(&s, &key, &value, &line));
	table_source_release(&s);
}

static int make_dir(void **state)
{
	(void)state;
	config_dir(&dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	config_close(&dir);
	return 0;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lmdb),
		cmocka_unit_test(test_texthash),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_cut_file),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_incremental),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_build_errors),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_inline),
		cmocka_unit_test(test_regexp),
		cmocka_unit_test(test_inline_regexp),
		cmocka_unit_test(test_pcre_limit),
		cmocka_unit_test(test_partial_keys),
		cmocka_unit_test(test_changed_rules),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_aliases),
	};

	return cmocka_run_group_tests_name("table", tests, make_dir, remove_dir);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * postmap and postalias: build, change and ask lookup tables.  Which of the two it is tells the
 * name; they differ in the format of the source and of what is listed.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "cmd/command_log.h"
#include "cmd/postmap_message.h"
#include "conf/postfix_conf.h"
#include "log/log.h"
#include "sys/file.h"
#include "table/table.h"
#include "table/table_build.h"

#define USAGE	      "[-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."
#define ALIASES_USAGE "[-fijnNoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file..."

struct options {
	const char *program, *conf_dir;
	const char *query, *remove; /* "-": from standard input */
	bool list, incremental, keep_root, verbose;
	bool no_fold, no_utf8_check, without_nul, default_mode, values_are_files, json;
	bool force_utf8_check; /* of a message's lines */
	struct postmap_message message;
	enum table_duplicate duplicates;
	bool aliases;
	/* from main.cf */
	struct postfix_source *source;
	struct postfix_params *params;
};

static _Noreturn void usage(const struct options *o)
{
	fatal("usage: %s %s", o->program, o->aliases ? ALIASES_USAGE : USAGE);
}

/* -s may be repeated. */
static void choose(struct options *o, int option)
{
	if (o->query || o->remove || (o->list && option != 's'))
		fatal("specify only one of -s -q or -d");
	if (option == 'd')
		o->remove = optarg;
	else if (option == 'q')
		o->query = optarg;
	else
		o->list = true;
}

/* An option without an argument; false when it is none. */
static bool take_flag(struct options *o, int option)
{
	const struct {
		char letter;
		bool *flag, value;
	} flags[] = {
		{ 'b', &o->message.body, true },
		{ 'f', &o->no_fold, true },
		{ 'F', &o->values_are_files, true },
		{ 'h', &o->message.headers, true },
		{ 'i', &o->incremental, true },
		{ 'j', &o->json, true },
		{ 'm', &o->message.mime, true },
		{ 'n', &o->without_nul, true },
		{ 'N', &o->without_nul, false },
		{ 'o', &o->keep_root, true },
		{ 'p', &o->default_mode, true },
		{ 'u', &o->no_utf8_check, true },
		{ 'U', &o->force_utf8_check, true },
		{ 'v', &o->verbose, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (flags[i].letter == option) {
			*flags[i].flag = flags[i].value;
			return true;
		}
	}
	return false;
}

static void parse_options(struct options *o, int argc, char **argv)
{
	const char *options = o->aliases ? "c:d:fijnNopq:rsuvw" : "bc:d:fFhijmnNopq:rsuUvw";
	bool reads_message;
	int c;

	opterr = 0;
	while ((c = getopt(argc, argv, options)) != -1) {
		if (c == 'c')
			o->conf_dir = optarg;
		else if (c == 'd' || c == 'q' || c == 's')
			choose(o, c);
		else if (c == 'r' || c == 'w')
			o->duplicates = c == 'r' ? TABLE_DUP_REPLACE : TABLE_DUP_KEEP;
		else if (c == '?' || !take_flag(o, c))
			usage(o);
	}
	reads_message = o->message.headers || o->message.body || o->message.mime;
	if (reads_message && (!o->query || strcmp(o->query, "-") != 0))
		fatal("specify -b -h or -m only with \"-q -\"");
	if (o->message.mime && !o->message.headers && !o->message.body)
		log_warning("ignoring -m option without -b or -h");
	if (o->json && !o->query && !o->list)
		fatal("option -j requires -q or -s");
	if (o->incremental && (o->list || o->query || o->remove))
		fatal("specify only one of -i -s -q or -d");
	if (optind >= argc)
		usage(o);
}

/* Without a main.cf the defaults of a new installation stand in. */
static void read_config(struct options *o)
{
	const char *dir = postfix_conf_dir(o->conf_dir);
	struct conf_errors errors = CONF_ERRORS_INIT;

	o->source = postfix_source_read(dir, &errors);
	if (!o->source)
		fatal("open %s/main.cf: %s", dir, strerror(errno));
	o->params = postfix_params_new(o->source, NULL, &errors);
	(void)command_log_open(
	    o->params, &(struct command_log){ .stderr_name = o->program, .to_stderr = true });
	if (!o->params->smtputf8_enable)
		o->no_utf8_check = true;
	/* Mail may be in any character set. */
	if ((o->message.headers || o->message.body) && !o->force_utf8_check)
		o->no_utf8_check = true;
	conf_errors_release(&errors);
}

/* "type:file", the type being the default where there is none. */
static char *spec_of(const struct options *o, const char *argument)
{
	if (strchr(argument, ':'))
		return xstrdup(argument);
	return xasprintf("%s:%s", o->params->default_database_type, argument);
}

/*
 * The file's name if the type is one that is built.  Fatal otherwise, in words that depend on the
 * type and on what was to be done: "update", "delete", or NULL for building.
 */
static const char *built_path(const char *spec, const char *change)
{
	static const char *const plain[] = { "static", "environ", "fail" };
	size_t len = strcspn(spec, ":");
	struct slice type = slice_mem(spec, len);
	const char *path = spec + len + 1;

	if (!table_type_is_known(type))
		fatal("unsupported dictionary type: %.*s", SLICE_ARG(type));
	if (table_type_is_built(type))
		return path;
	for (size_t i = 0; change && i < ARRAY_LEN(plain); i++)
		if (slice_eq_str(type, plain[i]))
			fatal("table %s: %s operation is not supported", spec, change);
	if (change)
		fatal("%s map requires O_RDONLY access mode", spec);
	if (access(path, R_OK) < 0)
		fatal("open %s: %s", path, strerror(errno));
	fatal("no 'map create' support for this type: %.*s", SLICE_ARG(type));
}

static struct table_build build_of(
    const struct options *o, const char *spec, char *type, const char *change)
{
	struct table_build b = {
		.path = built_path(spec, change),
		.duplicates = o->duplicates,
		.no_fold = o->no_fold,
		.aliases = o->aliases,
		.with_nul = !o->without_nul,
		.default_mode = o->default_mode,
		.incremental = o->incremental,
		.values_are_files = o->values_are_files,
		.allow_8bit = o->no_utf8_check,
		.map_size = (size_t)o->params->lmdb_map_size,
	};

	type[strcspn(type, ":")] = '\0';
	b.type = type;
	return b;
}

/*
 * A file of somebody else's is built with that user's rights, so that nobody can make root write
 * where that user cannot.
 */
static void become_owner(const struct options *o, const char *path)
{
	struct stat st;

	if (geteuid() != 0 || o->keep_root || stat(path, &st) < 0 || st.st_uid == 0)
		return;
	if (setgroups(1, &st.st_gid) < 0 || setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0)
		fatal("set rights of the owner of %s: %s", path, strerror(errno));
}

static void become_root_again(uid_t uid, gid_t gid)
{
	static const gid_t none = 0;

	if (geteuid() == uid)
		return;
	if (seteuid(uid) < 0 || setegid(gid) < 0 || setgroups(uid == 0 ? 1 : 0, &none) < 0)
		fatal("set rights: %s", strerror(errno));
}

static void read_input(struct strbuf *text)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		strbuf_add(text, buf, (size_t)n);
	if (n < 0)
		fatal("read standard input: %s", strerror(errno));
	if (text->overflow)
		fatal("read standard input: too much data");
}

static void build(const struct options *o, const char *spec)
{
	struct strbuf input = STRBUF_INIT((size_t)1 << 30);
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char *type = xstrdup(spec), *error;
	struct table_build b = build_of(o, spec, type, o->incremental ? "update" : NULL);
	bool ok;

	become_owner(o, b.path);
	if (o->incremental) {
		read_input(&input);
		ok = table_build(&b, strbuf_slice(&input), &error);
	} else {
		ok = table_build_file(&b, &error);
	}
	if (!ok)
		fatal("%s", error);
	if (o->verbose)
		log_info("%s: %zu entries, %zu warnings", spec, b.entries, b.warnings);
	become_root_again(uid, gid);
	strbuf_release(&input);
	free(type);
}

/* ---- asking ---- */

static struct table *open_table(const struct options *o, const char *spec)
{
	struct table *t = table_open(spec, TABLE_QUIET | (o->no_fold ? TABLE_NO_FOLD : 0));

	if (table_trouble(t))
		fatal("%s", table_trouble(t));
	return t;
}

static void print_bytes(struct slice text)
{
	fwrite_unlocked(text.ptr ? text.ptr : "", 1, text.len, stdout);
}

static void print_json(struct slice key, struct slice value)
{
	static struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);

	strbuf_reset(&text);
	strbuf_addch(&text, '{');
	json_add_text(&text, key);
	strbuf_addstr(&text, ": ");
	json_add_text(&text, value);
	strbuf_addstr(&text, "}\n");
	print_bytes(strbuf_slice(&text));
}

/* postmap -F shows the files' content.  JSON never goes without its key. */
static void print_entry(
    const struct options *o, struct slice key, struct slice value, bool with_key)
{
	struct strbuf plain = STRBUF_INIT(STRBUF_NO_LIMIT);

	if (o->values_are_files && base64_decode(&plain, value))
		value = strbuf_slice(&plain);
	if (o->json) {
		print_json(key, value);
	} else {
		if (with_key) {
			print_bytes(key);
			fputs_unlocked(o->aliases ? ":\t" : "\t", stdout);
		}
		print_bytes(value);
		putchar_unlocked('\n');
	}
	strbuf_release(&plain);
}

#define NOT_UTF8 "malformed UTF-8 or invalid codepoint"

static bool is_key_for(const struct options *o, const struct table *t, struct slice key)
{
	if (o->no_utf8_check || utf8_is_valid(key))
		return true;
	log_warning("%s: non-UTF-8 key \"%.*s\": " NOT_UTF8, table_spec(t), SLICE_ARG(key));
	return false;
}

static void check_value(
    const struct options *o, const struct table *t, struct slice key, struct slice value)
{
	if (o->no_utf8_check || utf8_is_valid(value))
		return;
	log_warning("%s: key \"%.*s\": non-UTF-8 value \"%.*s\": " NOT_UTF8, table_spec(t),
	    SLICE_ARG(key), SLICE_ARG(value));
	fatal("table %s: query error", table_spec(t));
}

/* True when one of the tables has it. */
static bool ask(
    const struct options *o, struct table **tables, size_t count, struct slice key, bool with_key)
{
	static struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX); /* for all keys */
	bool found = false;
	size_t i;

	for (i = 0; !found && i < count; i++) {
		enum table_result result = is_key_for(o, tables[i], key)
					       ? table_get(tables[i], key, &value)
					       : TABLE_NOT_FOUND;

		if (result == TABLE_ERROR)
			fatal("table %s: query error: Application error", table_spec(tables[i]));
		found = result == TABLE_FOUND;
	}
	if (found && !value.len) {
		log_warning("table %s: key %.*s: empty string result is not allowed",
		    table_spec(tables[i - 1]), SLICE_ARG(key));
		log_warning("table %s should return NO RESULT in case of NOT FOUND",
		    table_spec(tables[i - 1]));
	}
	if (found) {
		check_value(o, tables[i - 1], key, strbuf_slice(&value));
		print_entry(o, key, strbuf_slice(&value), with_key);
	}
	return found;
}

struct question {
	const struct options *o;
	struct table **tables;
	size_t count;
	bool found;
};

static void ask_line(struct slice key, void *arg)
{
	struct question *q = arg;

	q->found |= ask(q->o, q->tables, q->count, key, true);
}

static void ask_input(struct question *q)
{
	const struct postmap_message *message = &q->o->message;
	struct strbuf input = STRBUF_INIT((size_t)1 << 30);
	struct slice rest, line;

	read_input(&input);
	rest = strbuf_slice(&input);
	if (message->headers || message->body)
		postmap_message_keys(message, q->o->params, rest, ask_line, q);
	else
		while (slice_token(&rest, "\n", &line))
			ask_line(line, q);
	strbuf_release(&input);
}

static bool query(const struct options *o, char **specs, size_t count)
{
	struct question q = { .o = o, .count = count };

	q.tables = xcalloc(count, sizeof(struct table *));
	for (size_t i = 0; i < count; i++)
		q.tables[i] = open_table(o, specs[i]);
	if (strcmp(o->query, "-") == 0)
		ask_input(&q);
	else
		q.found = ask(o, q.tables, count, slice_of(o->query), false);
	for (size_t i = 0; i < count; i++)
		table_free(q.tables[i]);
	free(q.tables);
	return q.found;
}

static bool print_each(struct slice key, struct slice value, void *arg)
{
	print_entry(arg, key, value, true);
	return true;
}

static void list(struct options *o, const char *spec)
{
	struct table *t = open_table(o, spec);

	if (!table_each(t, print_each, o))
		fatal("table %s: sequence operation is not supported", spec);
	table_free(t);
}

static bool remove_keys(const struct options *o, char **specs, size_t count)
{
	struct strbuf input = STRBUF_INIT((size_t)1 << 30);
	struct slice *keys = NULL, rest, line;
	size_t key_count = 0, removed, sum = 0;

	strbuf_addstr(&input, strcmp(o->remove, "-") == 0 ? "" : o->remove);
	if (strcmp(o->remove, "-") == 0)
		read_input(&input);
	rest = strbuf_slice(&input);
	while (slice_token(&rest, "\n", &line)) {
		keys = xreallocarray(keys, key_count + 1, sizeof(*keys));
		keys[key_count++] = line;
	}
	for (size_t i = 0; i < count; i++) {
		char *type = xstrdup(specs[i]), *error;
		struct table_build b = build_of(o, specs[i], type, "delete");

		table_free(open_table(o, specs[i]));
		if (!table_remove(&b, keys, key_count, &removed, &error))
			fatal("%s", error);
		sum += removed;
		free(type);
	}
	free(keys);
	strbuf_release(&input);
	return sum > 0;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	struct options o = { .program = slash ? slash + 1 : argv[0] };
	char **specs;
	size_t count;
	bool ok = true;

	o.aliases = strcmp(o.program, "postalias") == 0;
	log_command(o.program);
	umask(022);
	parse_options(&o, argc, argv);
	read_config(&o);
	count = (size_t)(argc - optind);
	specs = xcalloc(count, sizeof(char *));
	for (size_t i = 0; i < count; i++)
		specs[i] = spec_of(&o, argv[optind + (int)i]);
	if (o.query)
		ok = query(&o, specs, count);
	else if (o.remove)
		ok = remove_keys(&o, specs, count);
	for (size_t i = 0; i < count && !o.query && !o.remove; i++) {
		if (o.list)
			list(&o, specs[i]);
		else
			build(&o, specs[i]);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		fatal("write standard output: %s", strerror(errno));
	for (size_t i = 0; i < count; i++)
		free(specs[i]);
	free(specs);
	postfix_params_free(o.params);
	postfix_source_free(o.source);
	return ok ? 0 : 1;
}

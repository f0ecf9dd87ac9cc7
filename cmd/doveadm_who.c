// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveadm who and kick.  Each mailbox service tells its own sessions on its socket "who-SERVICE":
 *
 *	C: VERSION 1 0			S: VERSION 1 0
 *	C: WHO				S: SESSION user service pid address session  ...  DONE
 *	C: KICK session			S: OK count
 *
 * with TABs between words, escaped as in the auth protocol.
 */
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "auth/auth_proto.h"
#include "base/check.h"
#include "base/clock.h"
#include "cmd/doveadm.h"
#include "cmd/doveadm_print.h"
#include "conf/dovecot_tree.h"
#include "net/stream.h"
#include "sys/socket.h"

#define ANSWER_MS    (10 * 1000)
#define LINE_MAX_LEN 8192

const char doveadm_who_usage[] = "[-a <anvil socket path>] [-1] [<user mask>] [<ip/bits>]";
const char doveadm_kick_usage[] = "[-a <anvil socket path>] <user mask>[|]<ip/bits>";

struct entry {
	char *user, *service, *pid, *ip, *id;
	const char *socket;
};

struct sessions {
	struct entry *list;
	size_t count, alloc;
	glob_t sockets;
	/* What is asked for; NULL: all. */
	const char *mask;
	const char *net_text;
	struct dovecot_net net;
	struct dovecot_settings *settings;
};

static bool is_wanted(const struct sessions *s, const struct entry *e)
{
	return (!s->mask || fnmatch(s->mask, e->user, 0) == 0) &&
	       (!s->net_text || dovecot_net_contains(&s->net, e->ip));
}

static char *text_of(struct slice s)
{
	return xstrndup(s.ptr, s.len);
}

static void release_entry(struct entry *e)
{
	free(e->user);
	free(e->service);
	free(e->pid);
	free(e->ip);
	free(e->id);
}

static void add_session(struct sessions *s, const struct auth_fields *fields, const char *socket)
{
	struct entry e;

	if (fields->count < 6)
		return;
	e = (struct entry){ text_of(fields->list[1]), text_of(fields->list[2]),
		text_of(fields->list[3]), text_of(fields->list[4]), text_of(fields->list[5]),
		socket };
	if (!is_wanted(s, &e)) {
		release_entry(&e);
		return;
	}
	if (s->count == s->alloc) {
		s->alloc = s->alloc ? 2 * s->alloc : 64;
		s->list = xreallocarray(s->list, s->alloc, sizeof(*s->list));
	}
	s->list[s->count++] = e;
}

static struct stream *open_socket(const char *path)
{
	int fd = socket_unix_connect(path, deadline_in(ANSWER_MS));
	struct stream *stream;

	if (fd < 0) {
		fprintf(stderr, "Error: connect(%s) failed: %s\n", path, strerror(errno));
		return NULL;
	}
	stream = stream_new(fd);
	stream_set_deadline(stream, deadline_in(ANSWER_MS));
	stream_printf(stream, "VERSION\t1\t0\n");
	return stream;
}

/* The next line that is no greeting; false at an error. */
static bool read_answer(struct stream *stream, struct auth_fields *fields, struct arena *arena)
{
	struct slice line;

	do {
		if (stream_read_line(stream, LINE_MAX_LEN, &line) != STREAM_READ_LINE ||
		    !auth_fields_split(fields, slice_first(line, line.len - 1), arena))
			return false;
	} while (auth_field_is(fields, 0, "VERSION"));
	return true;
}

static bool ask_sessions(struct sessions *s, const char *path)
{
	struct stream *stream = open_socket(path);
	struct auth_fields fields;
	bool good, done = false;

	if (!stream)
		return false;
	stream_printf(stream, "WHO\n");
	do {
		struct arena arena = ARENA_INIT;

		good = read_answer(stream, &fields, &arena);
		done = good && auth_field_is(&fields, 0, "DONE");
		if (good && auth_field_is(&fields, 0, "SESSION"))
			add_session(s, &fields, path);
		arena_release(&arena);
	} while (good && !done);
	if (!good)
		fprintf(stderr, "Error: read(%s) failed: %s\n", path, stream_error_text(stream));
	stream_free(stream);
	return good;
}

static int by_user(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = strcmp(x->user, y->user);

	if (!order)
		order = strcmp(x->service, y->service);
	return order ? order : strcmp(x->pid, y->pid);
}

static bool gather(struct sessions *s, const char *socket)
{
	char *pattern;
	bool good = true;

	s->settings = doveadm_settings("doveadm");
	pattern = socket ? xstrdup(socket) : doveadm_socket_path(s->settings, "who-*");
	if (glob(pattern, 0, NULL, &s->sockets) != 0 && socket) {
		fprintf(stderr, "Error: connect(%s) failed: %s\n", socket, strerror(ENOENT));
		good = false;
	}
	for (size_t i = 0; i < s->sockets.gl_pathc; i++)
		good &= ask_sessions(s, s->sockets.gl_pathv[i]);
	if (s->count > 1)
		qsort(s->list, s->count, sizeof(*s->list), by_user);
	free(pattern);
	return good;
}

static void release(struct sessions *s)
{
	for (size_t i = 0; i < s->count; i++)
		release_entry(&s->list[i]);
	free(s->list);
	globfree(&s->sockets);
	dovecot_settings_free(s->settings);
}

/* Words that look like a network are one. */
static void take_words(struct sessions *s, int argc, char **argv)
{
	for (; optind < argc; optind++) {
		if (!s->net_text && dovecot_net_parse(argv[optind], &s->net))
			s->net_text = argv[optind];
		else if (!s->mask)
			s->mask = argv[optind];
		else
			doveadm_usage();
	}
}

static void print_one_by_one(const struct sessions *s)
{
	static const struct doveadm_column columns[] = { { "username", "username", true, false },
		{ "service", "proto", false, false }, { "pid", "pid", false, false },
		{ "ip", "ip", false, false } };

	doveadm_print_begin("table", columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < s->count; i++) {
		doveadm_print(s->list[i].user);
		doveadm_print(s->list[i].service);
		doveadm_print(s->list[i].pid);
		doveadm_print(s->list[i].ip);
	}
	doveadm_print_end();
}

static void add_once(struct strbuf *list, const char *word)
{
	struct slice rest = strbuf_slice(list), one;

	while (slice_token(&rest, " ()", &one))
		if (slice_eq_str(one, word))
			return;
	strbuf_addf(list, "%s%s", list->len > 1 ? " " : "", word);
}

static void print_group(const struct entry *first, size_t count)
{
	struct strbuf pids = STRBUF_INIT(1024 * 1024), ips = STRBUF_INIT(1024 * 1024);

	strbuf_addch(&pids, '(');
	strbuf_addch(&ips, '(');
	for (size_t i = 0; i < count; i++) {
		add_once(&pids, first[i].pid);
		add_once(&ips, first[i].ip);
	}
	strbuf_addch(&pids, ')');
	strbuf_addch(&ips, ')');
	doveadm_print(first->user);
	doveadm_print_number((long long)count);
	doveadm_print(first->service);
	doveadm_print(pids.ptr);
	doveadm_print(ips.ptr);
	strbuf_release(&pids);
	strbuf_release(&ips);
}

static void print_grouped(const struct sessions *s)
{
	static const struct doveadm_column columns[] = { { "username", "username", false, false },
		{ "connections", "#", false, true }, { "service", "proto", false, false },
		{ "pids", "(pids)", false, false }, { "ips", "(ips)", true, false } };
	size_t end;

	doveadm_print_begin("table", columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < s->count; i = end) {
		for (end = i + 1; end < s->count &&
				  strcmp(s->list[end].user, s->list[i].user) == 0 &&
				  strcmp(s->list[end].service, s->list[i].service) == 0;)
			end++;
		print_group(&s->list[i], end - i);
	}
	doveadm_print_end();
}

int doveadm_who(int argc, char **argv)
{
	struct sessions s = { .list = NULL };
	const char *socket = NULL;
	bool one_by_one = false, good;
	int option;

	while ((option = getopt(argc, argv, "+1a:")) != -1) {
		if (option == '1')
			one_by_one = true;
		else if (option == 'a')
			socket = optarg;
		else
			exit(EX_USAGE);
	}
	take_words(&s, argc, argv);
	good = gather(&s, socket);
	if (one_by_one)
		print_one_by_one(&s);
	else
		print_grouped(&s);
	release(&s);
	return good ? 0 : EX_TEMPFAIL;
}

static uint64_t kick(const struct entry *e)
{
	struct stream *stream = open_socket(e->socket);
	struct strbuf line = STRBUF_INIT(LINE_MAX_LEN);
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	uint64_t count = 0;

	if (!stream)
		return 0;
	strbuf_addstr(&line, "KICK\t");
	auth_escape(&line, slice_of(e->id));
	strbuf_addch(&line, '\n');
	stream_write(stream, strbuf_slice(&line));
	if (!read_answer(stream, &fields, &arena) || !auth_field_is(&fields, 0, "OK") ||
	    fields.count < 2 || !slice_uint(fields.list[1], UINT32_MAX, &count))
		fprintf(stderr, "Error: kick(%s) failed\n", e->user);
	strbuf_release(&line);
	arena_release(&arena);
	stream_free(stream);
	return count;
}

int doveadm_kick(int argc, char **argv)
{
	struct sessions s = { .list = NULL };
	struct strbuf kicked = STRBUF_INIT(1024 * 1024);
	const char *socket = NULL, *last = NULL;
	int option, code = 0;

	while ((option = getopt(argc, argv, "+a:")) != -1) {
		if (option != 'a')
			exit(EX_USAGE);
		socket = optarg;
	}
	if (optind == argc) {
		fputs("Error: user and/or ip[/bits] must be specified.\n", stderr);
		return EX_USAGE;
	}
	take_words(&s, argc, argv);
	if (!gather(&s, socket))
		code = EX_TEMPFAIL;
	for (size_t i = 0; i < s.count; i++) {
		if (!kick(&s.list[i]) || (last && strcmp(last, s.list[i].user) == 0))
			continue;
		last = s.list[i].user;
		strbuf_addf(&kicked, "%s%s", kicked.len ? " " : "", last);
	}
	if (kicked.len) {
		printf("kicked connections from the following users:\n%s\n", kicked.ptr);
	} else if (!code) {
		puts("no users kicked");
		code = 68; /* the peer's "not found" */
	}
	strbuf_release(&kicked);
	release(&s);
	return code;
}

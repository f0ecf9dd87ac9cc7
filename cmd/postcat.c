// SPDX-License-Identifier: BSD-2-Clause
/*
 * postcat: show queue files, of the peer's and ours.  Without a choice all of it; -e, -h and -b
 * choose; with only -h or -b there are no headings.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/queue_client.h"
#include "log/log.h"
#include "mail/header.h"
#include "queue/queue_record.h"

enum part { PART_ENVELOPE, PART_HEADER, PART_BODY, PART_EXTRACTED };

struct view {
	bool envelope, header, body; /* what is asked for */
	bool offsets, types, symbols, raw;
	off_t start;
};

struct showing {
	const struct view *view;
	const char *name;
	enum part part;
	bool in_line; /* the record before was a piece of a line */
};

static void print_prefix(const struct showing *s, const struct queue_record *record)
{
	if (s->view->offsets)
		printf("%9lld ", (long long)record->offset);
	if (s->view->types)
		printf("%3d ", record->type);
	if (s->view->symbols)
		printf("%22s ", queue_record_name(record->type));
}

static void print_text(struct slice text)
{
	fwrite(text.ptr ? text.ptr : "", 1, text.len, stdout);
}

static void print_heading(
    const struct showing *s, const struct queue_record *record, const char *what)
{
	if (!s->view->envelope)
		return;
	print_prefix(s, record);
	printf("*** %s %s ***\n", what, s->name);
}

/* Seconds, perhaps with more behind them, as a date. */
static void print_time(const char *name, struct slice text)
{
	uint64_t seconds;
	ptrdiff_t blank = slice_find(text, ' ');
	time_t when;
	char date[32];

	if (blank >= 0)
		text = slice_first(text, (size_t)blank);
	if (!slice_uint(text, INT32_MAX * 1000LL, &seconds)) {
		printf("%s: %.*s\n", name, SLICE_ARG(text));
		return;
	}
	when = (time_t)seconds;
	/* ctime's own line end does for ours. */
	printf("%s: %s", name, ctime_r(&when, date) ? date : "?\n");
}

static void show_envelope(const struct showing *s, const struct queue_record *record)
{
	static const char create_time[] = "create_time=";

	if (!s->view->envelope)
		return;
	print_prefix(s, record);
	if (record->type == QR_TIME) {
		print_time("message_arrival_time", record->data);
	} else if (record->type == QR_ATTRIBUTE && slice_starts(record->data, create_time)) {
		print_time("create_time", slice_from(record->data, strlen(create_time)));
	} else {
		printf("%s: ", queue_record_name(record->type));
		print_text(record->data);
		putchar('\n');
	}
}

/* The empty line between header and body belongs to both, and to neither alone. */
static bool begins_body(const struct showing *s, const struct queue_record *record)
{
	return !s->in_line && (record->data.len == 0 || !(header_is_header(record->data) ||
							    header_is_continuation(record->data)));
}

static void show_content(struct showing *s, const struct queue_record *record)
{
	const struct view *v = s->view;
	bool separator = false;

	if (s->part == PART_HEADER && begins_body(s, record)) {
		s->part = PART_BODY;
		separator = record->data.len == 0;
	}
	s->in_line = record->type == QR_PARTIAL;
	if (separator ? !(v->header && v->body) : !(s->part == PART_HEADER ? v->header : v->body))
		return;
	print_prefix(s, record);
	print_text(record->data);
	if (record->type == QR_LINE || v->offsets || v->types || v->symbols)
		putchar('\n');
}

static void show_record(struct showing *s, const struct queue_record *record)
{
	bool in_content = s->part == PART_HEADER || s->part == PART_BODY;

	if (record->type == QR_MESSAGE) {
		print_heading(s, record, "MESSAGE CONTENTS");
		s->part = PART_HEADER;
	} else if (record->type == QR_EXTRACTED) {
		print_heading(s, record, "HEADER EXTRACTED");
		s->part = PART_EXTRACTED;
	} else if (record->type == QR_END) {
		print_heading(s, record, "MESSAGE FILE END");
	} else if (in_content && (record->type == QR_LINE || record->type == QR_PARTIAL)) {
		show_content(s, record);
	} else if (!in_content || record->type != QR_PADDING) {
		show_envelope(s, record);
	}
}

static bool show_file(int fd, const char *name, const struct view *view)
{
	struct showing s = { .view = view, .name = name };
	struct queue_reader reader;
	struct queue_record record;
	enum queue_read result;

	if (view->envelope)
		printf("*** ENVELOPE RECORDS %s ***\n", name);
	queue_reader_init(&reader, fd, view->start);
	reader.raw = view->raw;
	do {
		result = queue_reader_next(&reader, &record);
		if (result == QUEUE_READ_RECORD)
			show_record(&s, &record);
	} while (result == QUEUE_READ_RECORD && (view->raw || record.type != QR_END));
	queue_reader_release(&reader);
	fflush(stdout);
	if (result == QUEUE_READ_IO)
		log_warning("%s: %s", name, strerror(errno));
	else if (result == QUEUE_READ_DAMAGED || (result == QUEUE_READ_EOF && !view->raw))
		log_warning("%s: message is corrupted or incomplete", name);
	return result == QUEUE_READ_RECORD || (result == QUEUE_READ_EOF && view->raw);
}

/* "deferred/2/ID", as the file lies below the queue directory. */
static bool show_id(struct spool *spool, const char *id, const struct view *view)
{
	char place[SPOOL_PATH_SIZE], name[SPOOL_PATH_SIZE + 32];
	enum spool_queue queue;
	bool good;
	int fd;

	if (!queue_id_is_valid(slice_of(id)))
		queue_client_fatal("bad mail queue id: %s", id);
	if (!spool_find(spool, id, &queue))
		queue_client_fatal("open queue file %s: %s", id, strerror(ENOENT));
	fd = spool_open_file(spool, queue, id, O_RDONLY);
	if (fd == -1)
		queue_client_fatal("open queue file %s: %s", id, strerror(errno));
	spool_place(spool, queue, id, place);
	snprintf(name, sizeof(name), "%s/%s", spool_queue_name(queue), place);
	good = show_file(fd, name, view);
	close(fd);
	return good;
}

static bool show_path(const char *path, const struct view *view)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool good;

	if (fd == -1)
		queue_client_fatal("open %s: %s", path, strerror(errno));
	good = show_file(fd, path, view);
	close(fd);
	return good;
}

static _Noreturn void usage(void)
{
	queue_client_fatal(
	    "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] "
	    "[-e (envelope records)] [-h (header text)] [-o (record offsets)] "
	    "[-q (access queue)] [-r (raw file order)] [-s offset] [-v] [file(s)...]");
}

static void take_offset(struct view *view, const char *text)
{
	uint64_t offset;

	if (!slice_uint(slice_of(text), INT64_MAX, &offset))
		queue_client_fatal("bad offset: %s", text);
	view->start = (off_t)offset;
}

/* False for an option that is none. */
static bool take_option(struct view *view, int opt)
{
	switch (opt) {
	case 'b':
		view->body = true;
		return true;
	case 'd':
		view->types = true;
		return true;
	case 'e':
		view->envelope = true;
		return true;
	case 'h':
		view->header = true;
		return true;
	case 'o':
		view->offsets = true;
		return true;
	case 'r':
		view->raw = true;
		return true;
	case 's':
		take_offset(view, optarg);
		return true;
	case 'v':
		view->symbols = true;
		return true;
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	struct view view = { .start = 0 };
	struct spool *spool = NULL;
	const char *dir = NULL;
	bool by_id = false, good = true;
	int opt;

	log_command("postcat");
	while ((opt = getopt(argc, argv, "bc:dehoqrs:v")) != -1) {
		if (opt == 'c')
			dir = optarg;
		else if (opt == 'q')
			by_id = true;
		else if (!take_option(&view, opt))
			usage();
	}
	if (!view.envelope && !view.header && !view.body)
		view.envelope = view.header = view.body = true;
	if (by_id)
		spool = queue_client_spool(queue_client_params(dir));
	if (optind == argc && by_id)
		usage();
	if (optind == argc)
		good = show_file(STDIN_FILENO, "stdin", &view);
	for (; optind < argc; optind++)
		good &=
		    by_id ? show_id(spool, argv[optind], &view) : show_path(argv[optind], &view);
	spool_free(spool);
	queue_client_end();
	return good ? 0 : 1;
}

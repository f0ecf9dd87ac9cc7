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
#include "base/cursor.h"
#include "cmd/queue_client.h"
#include "log/log.h"
#include "mail/header.h"
#include "queue/queue_record.h"

enum part { PART_ENVELOPE, PART_HEADER, PART_BODY, PART_EXTRACTED };

struct view {
	bool envelope, header, body; /* what is asked for */
	bool offsets, types, symbols, raw;
	bool names; /* of the file before each line */
	off_t start;
};

struct showing {
	const struct view *view;
	const char *name;
	enum part part;
	off_t size, data_offset; /* of the content; 0: not known */
	bool in_line;		 /* the record before was a piece of a line */
};

static void print_prefix(const struct showing *s, const struct queue_record *record)
{
	if (s->view->names)
		printf("%s: ", s->name);
	if (s->view->offsets)
		printf("%9lld ", (long long)record->offset);
	if (s->view->types)
		printf("%3d ", record->type);
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

/* The empty line between header and body belongs to the body. */
static bool begins_body(const struct showing *s, const struct queue_record *record)
{
	return !s->in_line && (record->data.len == 0 || !(header_is_header(record->data) ||
							    header_is_continuation(record->data)));
}

static void show_content(struct showing *s, const struct queue_record *record)
{
	const struct view *v = s->view;

	if (s->part == PART_HEADER && begins_body(s, record))
		s->part = PART_BODY;
	s->in_line = record->type == QR_PARTIAL;
	if (!(s->part == PART_HEADER ? v->header : v->body))
		return;
	print_prefix(s, record);
	if (v->symbols)
		printf("%s: ", record->type == QR_PARTIAL ? "unterminated_text"
							  : queue_record_name(record->type));
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

static bool take_number(struct cursor *c, off_t *value)
{
	uint64_t n;

	cursor_span(c, " ");
	if (!slice_uint(cursor_span(c, "0123456789"), INT64_MAX / 2, &n))
		return false;
	*value = (off_t)n;
	return true;
}

/* Over what nobody asked for, in whatever state that is. */
static void skip(struct showing *s, struct queue_reader *reader, const struct queue_record *record)
{
	const struct view *v = s->view;
	struct cursor c = cursor_of(record->data);

	if (v->raw)
		return;
	if (record->type == QR_SIZE &&
	    (!take_number(&c, &s->size) || !take_number(&c, &s->data_offset)))
		s->data_offset = 0;
	if (s->data_offset == 0)
		return;
	if (record->type == QR_SIZE && !v->envelope) {
		queue_reader_seek(reader, s->data_offset);
		s->part = PART_HEADER;
	} else if (record->type == QR_MESSAGE && !v->header && !v->body) {
		queue_reader_seek(reader, s->data_offset + s->size);
	}
}

/* Only a submission begins with its time.  A pipe is read later. */
static bool begins_well(int fd)
{
	char type;

	return pread(fd, &type, 1, 0) != 1 || type == QR_SIZE || type == QR_TIME;
}

static void show_file(int fd, const char *name, const struct view *view)
{
	struct showing s = { .view = view, .name = name };
	struct queue_reader reader;
	struct queue_record record;
	enum queue_read result;

	if (view->start == 0 && !begins_well(fd)) {
		log_warning("%s: input is not a valid queue file", name);
		return;
	}
	if (view->envelope && view->start == 0)
		printf("*** ENVELOPE RECORDS %s ***\n", name);
	queue_reader_init(&reader, fd, view->start);
	reader.raw = view->raw;
	do {
		result = queue_reader_next(&reader, &record);
		if (result == QUEUE_READ_RECORD)
			show_record(&s, &record);
		if (result == QUEUE_READ_RECORD)
			skip(&s, &reader, &record);
	} while (result == QUEUE_READ_RECORD && (view->raw || record.type != QR_END));
	queue_reader_release(&reader);
	fflush(stdout);
	if (result == QUEUE_READ_IO)
		queue_client_fatal("%s: %s", name, strerror(errno));
	if (result == QUEUE_READ_DAMAGED) {
		log_warning("%s: message is corrupted or incomplete", name);
		queue_client_fatal("record read error");
	}
}

/* "deferred/2/ID", as the file lies below the queue directory. */
static void show_id(struct spool *spool, const char *id, const struct view *view)
{
	char place[SPOOL_PATH_SIZE], name[SPOOL_PATH_SIZE + 32];
	enum spool_queue queue;
	int fd;

	if (!queue_id_may_be(slice_of(id)))
		queue_client_fatal("bad mail queue ID: %s", id);
	if (!queue_id_is_valid(slice_of(id)) || !spool_find(spool, id, &queue))
		queue_client_fatal("open queue file %s: %s", id, strerror(ENOENT));
	fd = spool_open_file(spool, queue, id, O_RDONLY);
	if (fd == -1)
		queue_client_fatal("open queue file %s: %s", id, strerror(errno));
	spool_place(spool, queue, id, place);
	snprintf(name, sizeof(name), "%s/%s", spool_queue_name(queue), place);
	show_file(fd, name, view);
	close(fd);
}

static void show_path(const char *path, const struct view *view)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		queue_client_fatal("open %s: %s", path, strerror(errno));
	show_file(fd, path, view);
	close(fd);
}

static _Noreturn void usage(void)
{
	queue_client_fatal(
	    "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] "
	    "[-e (envelope records)] [-h (header text)] [-q (access queue)] [-v] [file(s)...]");
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
	case 'f':
		view->names = true;
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
	bool by_id = false;
	int opt;

	log_command("postcat");
	while ((opt = getopt(argc, argv, "+bc:defhoqrs:v")) != -1) {
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
		show_file(STDIN_FILENO, "stdin", &view);
	for (; optind < argc; optind++)
		if (by_id)
			show_id(spool, argv[optind], &view);
		else
			show_path(argv[optind], &view);
	spool_free(spool);
	queue_client_end();
	return 0;
}

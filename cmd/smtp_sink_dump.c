// SPDX-License-Identifier: BSD-2-Clause
/*
 * One file per message (-d), or messages one after the other in one file (-D), which are gathered
 * elsewhere first, since several may come at a time.  A message that does not come to its end
 * leaves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/digest.h"
#include "cmd/smtp_sink.h"
#include "log/log.h"
#include "mail/date.h"
#include "sys/file.h"

#define NAME_MAX_LENGTH 4096
#define TRIES		1000

struct sink_dump {
	FILE *file;
	char *path; /* of -d: to be removed unless the message is whole */
	uint32_t id;
	struct strbuf mail, recipients;
	bool line_begins, has_cr;
};

/* The format is the user's; strftime(3) writes no more than it may, whatever it says. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static bool format_now(char *out, size_t size, const char *format)
{
	time_t now = time(NULL);
	struct tm tm;

	return strftime(out, size, format, localtime_r(&now, &tm)) > 0;
}
#pragma GCC diagnostic pop

/* TEMPLATE for now, on the heap; its directories are made. */
static char *expand(const char *template)
{
	char name[NAME_MAX_LENGTH];
	char *slash;

	if (!format_now(name, sizeof(name), template))
		fatal("bad dump template: %s", template);
	slash = strrchr(name, '/');
	if (slash && slash != name) {
		*slash = '\0';
		if (dir_make(AT_FDCWD, name, 0755) == -1)
			fatal("mkdir %s: %m", name);
		*slash = '/';
	}
	return xstrdup(name);
}

static FILE *open_single(struct sink_dump *d)
{
	char *prefix = expand(sink.dump_single);
	int fd = -1;

	for (int i = 0; i < TRIES && fd == -1; i++) {
		random_bytes(&d->id, sizeof(d->id));
		free(d->path);
		d->path = xasprintf("%s%08x", prefix, d->id);
		fd = open(d->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd == -1 && errno != EEXIST)
			fatal("open %s: %m", d->path);
	}
	if (fd == -1)
		fatal("%s: something is looping", prefix);
	free(prefix);
	return fdopen(fd, "w");
}

void sink_dump_mail(struct sink_session *s, struct slice args)
{
	struct sink_dump *d;

	if (!sink.dump_single && !sink.dump_multi)
		return;
	d = s->dump = xcalloc(1, sizeof(*d));
	random_bytes(&d->id, sizeof(d->id));
	strbuf_init(&d->mail, STRBUF_NO_LIMIT);
	strbuf_init(&d->recipients, STRBUF_NO_LIMIT);
	strbuf_addslice(&d->mail, args);
	d->file = sink.dump_single ? open_single(d) : tmpfile();
	if (!d->file)
		fatal("open a dump file: %m");
}

void sink_dump_rcpt(struct sink_session *s, struct slice args)
{
	if (s->dump)
		strbuf_addf(&s->dump->recipients, "X-Rcpt-Args: %.*s\n", SLICE_ARG(args));
}

void sink_dump_data(struct sink_session *s)
{
	struct sink_dump *d = s->dump;
	char date[DATE_TEXT];

	if (!d)
		return;
	fprintf(d->file, "%sX-Client-Addr: %s\nX-Client-Proto: %s\n",
	    sink.dump_start ? sink.dump_start : "", s->client, s->protocol);
	if (s->helo)
		fprintf(d->file, "X-Helo-Args: %s\n", s->helo);
	fprintf(d->file, "X-Mail-Args: %s\n%s", d->mail.ptr, d->recipients.ptr);
	if (s->helo)
		fprintf(d->file, "Received: from %s ([%s])\n", s->helo, s->client);
	else
		fprintf(d->file, "Received: from [%s] ([%s])\n", s->client, s->client);
	fprintf(d->file, "\tby %s (smtp-sink) with %s id %08x;\n\t%s\n", sink.hostname, s->protocol,
	    d->id, date_rfc5322(time(NULL), date));
	d->line_begins = true;
}

/* The dot at the end becomes the empty line that a dump ends with. */
void sink_dump_bytes(struct sink_session *s, struct slice bytes)
{
	struct sink_dump *d = s->dump;

	for (size_t i = 0; i < bytes.len; i++) {
		char c = bytes.ptr[i];

		if (d->has_cr && c != '\n')
			putc('\r', d->file);
		d->has_cr = c == '\r';
		if (!d->has_cr && !(d->line_begins && c == '.'))
			putc(c, d->file);
		d->line_begins = c == '\n';
	}
}

static void append(FILE *from, const char *path)
{
	char buffer[65536];
	size_t got;
	FILE *to = fopen(path, "ae");

	if (!to)
		fatal("append file %s: %m", path);
	rewind(from);
	while ((got = fread(buffer, 1, sizeof(buffer), from)) > 0)
		fwrite(buffer, 1, got, to);
	if (ferror(from) || ferror(to) || fclose(to) == EOF)
		fatal("append file %s: %m", path);
}

void sink_dump_end(struct sink_session *s, bool keep)
{
	struct sink_dump *d = s->dump;
	char *multi;

	if (!d)
		return;
	if (keep && (fflush(d->file) == EOF || ferror(d->file)))
		fatal("write a dump file: %m");
	if (keep && sink.dump_multi) {
		multi = expand(sink.dump_multi);
		append(d->file, multi);
		free(multi);
	} else if (!keep && d->path && unlink(d->path) == -1) {
		log_warning("unlink %s: %m", d->path);
	}
	fclose(d->file);
	free(d->path);
	strbuf_release(&d->mail);
	strbuf_release(&d->recipients);
	free(d);
	s->dump = NULL;
}

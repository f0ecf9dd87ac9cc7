// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/smtp_source.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "mail/hostname.h"
#include "sys/file.h"

#define NAME	     "smtp-source"
#define LINE_LENGTH  80 /* with its CRLF */
#define HOSTNAME_MAX 256

struct source_options source = {
	.body = STRBUF_INIT(STRBUF_NO_LIMIT),
	.recipients = 1,
	.sessions = 1,
	.messages = 1,
	.connect_tries = 1,
	.fixed_s = -1,
	.random_s = -1,
};

static struct {
	int family;
	const char *file, *from, *to;
	long length;
} start;

static _Noreturn void usage(void)
{
	fatal("usage: " NAME " -46AcdLNov -s sess -l msglen -m msgs -C count -F file -M myhostname "
	      "-f from -t to -r rcptcount -R delay -S subject -T window -w delay host[:port]");
}

static void check_hostname(const char *name)
{
	struct slice address;

	if (name[0] == '[' && !address_literal_parse(slice_of(name), &address))
		fatal("bad address literal: %s", name);
	if (name[0] != '[' && !hostname_is_valid(slice_of(name)))
		fatal("bad hostname: %s", name);
	source.hostname = name;
}

static bool take_switch(int option)
{
	switch (option) {
	case 'A':
		source.goes_on = true;
		return true;
	case 'c':
		source.counts = true;
		return true;
	case 'd':
		source.stays = true;
		return true;
	case 'L':
		source.lmtp = true;
		return true;
	case 'N':
		source.numbered = true;
		return true;
	case 'o':
		source.old = true;
		return true;
	case 'v':
		source.verbose = true;
		return true;
	default:
		return false;
	}
}

static bool take_number(int option, const char *text)
{
	switch (option) {
	case 'C':
		source.connect_tries = smtp_tool_number(text, 1, "connection count");
		return true;
	case 'l':
		start.length = smtp_tool_number(text, 1, "message length");
		return true;
	case 'm':
		source.messages = smtp_tool_number(text, 1, "message count");
		return true;
	case 'r':
		source.recipients = (unsigned)smtp_tool_number(text, 1, "recipient count");
		return true;
	case 'R':
		source.random_s = smtp_tool_number(text, 1, "random delay");
		return true;
	case 's':
		source.sessions = smtp_tool_number(text, 1, "session count");
		return true;
	case 'T':
		source.window = (int)smtp_tool_number(text, 1, "TCP window size");
		return true;
	case 'w':
		source.fixed_s = smtp_tool_number(text, 1, "fixed delay");
		return true;
	default:
		return false;
	}
}

static void take_text(int option, const char *text)
{
	switch (option) {
	case '4':
		start.family = AF_INET;
		break;
	case '6':
		start.family = AF_INET6;
		break;
	case 'f':
		start.from = text;
		break;
	case 'F':
		start.file = text;
		break;
	case 'M':
		check_hostname(text);
		break;
	case 'S':
		source.subject = text;
		break;
	case 't':
		start.to = text;
		break;
	default:
		usage();
	}
}

static void take_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "46AcC:df:F:l:Lm:M:Nor:R:s:S:t:T:vw:")) != -1) {
		if (!take_switch(option) && !take_number(option, optarg))
			take_text(option, optarg);
	}
	if (source.fixed_s >= 0 && source.random_s >= 0)
		fatal("do not use -w and -R options at the same time");
	if (start.file && start.length)
		fatal("-l option cannot be used with -F");
	if (argc - optind != 1)
		usage();
}

/* Lines of 80 bytes that are numbered as far as a digit goes; the last one is as long as is left.
 */
static void make_lines(size_t length)
{
	char line[LINE_LENGTH + 1];

	memset(line, 'X', sizeof(line));
	memcpy(line + LINE_LENGTH - 2, "\r\n", 2);
	for (unsigned i = 1; length >= LINE_LENGTH; i++, length -= LINE_LENGTH) {
		line[0] = (char)('0' + i % 10);
		strbuf_add(&source.body, line, LINE_LENGTH);
	}
	memset(line, 'X', LINE_LENGTH);
	if (length > 2)
		strbuf_add(&source.body, line, length - 2);
	if (length)
		strbuf_addstr(&source.body, "\r\n");
}

static void read_lines(const char *path)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct slice rest;

	if (file_read(AT_FDCWD, path, &text) == -1)
		fatal("open %s: %m", path);
	rest = strbuf_slice(&text);
	while (rest.len) {
		ptrdiff_t end = slice_find(rest, '\n');
		struct slice line = end < 0 ? rest : slice_first(rest, (size_t)end);

		if (slice_starts(line, "."))
			strbuf_addch(&source.body, '.');
		strbuf_addslice(&source.body, line);
		strbuf_addstr(&source.body, "\r\n");
		rest = slice_from(rest, line.len + 1);
	}
	strbuf_release(&text);
	source.has_header = true;
}

static void make_body(void)
{
	if (start.file) {
		read_lines(start.file);
	} else if (start.length) {
		make_lines((size_t)start.length);
	} else {
		for (int i = 1; i <= 4; i++)
			strbuf_addf(&source.body, "La de da de da %d.\r\n", i);
	}
	strbuf_addstr(&source.body, ".\r\n");
}

static void make_addresses(void)
{
	static char name[HOSTNAME_MAX];
	const char *at;

	if (!source.hostname) {
		if (gethostname(name, sizeof(name) - 1) == -1)
			fatal("gethostname: %m");
		source.hostname = name;
	}
	source.sender = start.from ? start.from : xasprintf("foo@%s", source.hostname);
	if (!start.to)
		start.to = xasprintf("foo@%s", source.hostname);
	at = strrchr(start.to, '@');
	source.to_local = xstrndup(start.to, at ? (size_t)(at - start.to) : strlen(start.to));
	source.to_domain = xstrdup(at ? at : "");
}

/* As many descriptors as sessions need. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	static struct smtp_tool_address list[SMTP_TOOL_ADDRESSES];

	log_command(NAME);
	signal(SIGPIPE, SIG_IGN);
	take_options(argc, argv);
	make_body();
	make_addresses();
	raise_limit();
	source_run(list, smtp_tool_addresses(argv[optind], start.family, false, list));
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message from standard input becomes the records of queue/maildrop.h on postdrop's.  Recipients
 * of the command line stand before the content; those of -t are known when the header was read, and
 * stand behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/programs.h"
#include "cmd/sendmail.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/header.h"
#include "queue/envelope.h"
#include "queue/queue_record.h"

#define PIECE	       2048
#define RECIPIENTS_MAX 100000
#define HEADER_MAX     (10 * 1024 * 1024) /* of one, for its addresses */

struct submission {
	const struct sendmail *sm;
	FILE *out;
	/* R records, with the n in front, of the command line or the header */
	struct strbuf recipients, resent;
	size_t recipient_count, resent_count;
	bool seen_resent; /* a Resent- header for recipients: the others do not count */
	bool in_header, mid_line, began, first_crlf;
	char *sender;	      /* external form */
	struct strbuf header; /* the one being read, for -t */
};

static void put(struct submission *sub, int type, struct slice data)
{
	struct strbuf record = STRBUF_INIT(QUEUE_RECORD_MAX + 16);

	queue_record_add(&record, type, data);
	/* What postdrop has to say about a broken pipe is on standard error already. */
	fwrite(record.ptr, 1, record.len, sub->out);
	strbuf_release(&record);
}

static void put_attribute(struct submission *sub, const char *name, const char *value)
{
	char *text = xasprintf("%s=%s", name, value);

	put(sub, QR_ATTRIBUTE, slice_of(text));
	free(text);
}

/* ---- addresses ---- */

struct adding {
	struct submission *sub;
	struct strbuf *out;
	size_t *count;
};

static bool add_address(const struct header_address *address, void *arg)
{
	struct adding *adding = arg;
	struct strbuf external = STRBUF_INIT(4 * ADDRESS_MAX);
	char notify[16];

	if (*adding->count == RECIPIENTS_MAX)
		sendmail_die("more than %d recipients", RECIPIENTS_MAX);
	if (adding->sub->sm->notify != 0) {
		snprintf(notify, sizeof(notify), "%u", adding->sub->sm->notify);
		queue_record_add(adding->out, QR_DSN_NOTIFY, slice_of(notify));
	}
	address_external(address->internal, &external);
	queue_record_add(adding->out, QR_RECIPIENT, strbuf_slice(&external));
	strbuf_release(&external);
	++*adding->count;
	return true;
}

static void add_arguments(struct submission *sub)
{
	struct adding adding = { sub, &sub->recipients, &sub->recipient_count };

	for (char **p = sub->sm->recipients; *p != NULL; p++)
		if (!header_each_address(slice_of(*p), add_address, &adding))
			sendmail_die("bad recipient address syntax: %s", *p);
}

static void end_header(struct submission *sub)
{
	struct adding adding = { sub, &sub->recipients, &sub->recipient_count };
	struct slice name, value;
	bool resent;

	if (sub->header.len > 0 && header_split(strbuf_slice(&sub->header), &name, &value) &&
	    header_address_class(name, &resent) == HEADER_RECIPIENT &&
	    !slice_caseeq_str(name, "Apparently-To")) {
		if (resent) {
			adding.out = &sub->resent;
			adding.count = &sub->resent_count;
			sub->seen_resent = true;
		}
		if (!header_each_address(value, add_address, &adding))
			log_warning(
			    "%.*s: header has something that is no address", SLICE_ARG(name));
	}
	strbuf_reset(&sub->header);
}

static bool take_first(const struct header_address *address, void *arg)
{
	address_external(address->internal, arg);
	return false;
}

static const char *user_name(void)
{
	const struct passwd *pw = getpwuid(getuid());

	if (pw == NULL)
		sendmail_die(
		    "unable to find local user name for user ID %lu", (unsigned long)getuid());
	return pw->pw_name;
}

static void put_sender(struct submission *sub)
{
	const char *given = sub->sm->sender != NULL ? sub->sm->sender : user_name();
	struct strbuf external = STRBUF_INIT(4 * ADDRESS_MAX);
	struct slice text = slice_trim(slice_of(given), " \t");

	if (text.len > 0 && !slice_eq_str(text, "<>")) {
		header_each_address(text, take_first, &external);
		if (external.len == 0) {
			strbuf_release(&external);
			sendmail_die("bad sender address syntax: %s", given);
		}
	}
	if (sub->sm->verp != NULL && external.len == 0)
		sendmail_die("%s(%lu): -V option requires non-null sender address", user_name(),
		    (unsigned long)getuid());
	put(sub, QR_SENDER, strbuf_slice(&external));
	sub->sender = strbuf_detach(&external);
}

/* -F, $NAME, or what the accounts say; "&" there is the user's name with a capital. */
static void put_full_name(struct submission *sub)
{
	const char *given = sub->sm->full_name != NULL ? sub->sm->full_name : getenv("NAME");
	const struct passwd *pw = given != NULL ? NULL : getpwuid(getuid());
	struct strbuf name = STRBUF_INIT(1000);

	if (pw != NULL) {
		for (const char *p = pw->pw_gecos; *p != '\0' && *p != ','; p++)
			if (*p == '&' && pw->pw_name[0] != '\0')
				strbuf_addf(
				    &name, "%c%s", ascii_upper(pw->pw_name[0]), pw->pw_name + 1);
			else
				strbuf_addch(&name, *p);
	} else if (given != NULL) {
		strbuf_addslice(&name, slice_first(slice_of(given), 900));
	}
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
			name.ptr[i] = ' ';
	if (name.len > 0)
		put(sub, QR_FULL_NAME, strbuf_slice(&name));
	strbuf_release(&name);
}

static void put_envelope(struct submission *sub)
{
	char ret[16], sizes[128];

	/* What is asked for stands behind sizes that nobody knows yet. */
	if (sub->sm->sendopts != 0) {
		snprintf(sizes, sizeof(sizes), "%15d %15d %15d %15d %15d %15u", -1, -1, -1, -1, -1,
		    sub->sm->sendopts);
		put(sub, QR_SIZE, slice_of(sizes));
	}
	put_full_name(sub);
	put_sender(sub);
	if (sub->sm->encoding != NULL)
		put_attribute(sub, "encoding", sub->sm->encoding);
	if (sub->sm->remote)
		put_attribute(sub, "rewrite_context", "remote");
	if (sub->sm->ret != 0) {
		snprintf(ret, sizeof(ret), "%u", sub->sm->ret);
		put_attribute(sub, "ret_flags", ret);
	}
	if (sub->sm->envelope_id != NULL)
		put(sub, QR_DSN_ENVID, slice_of(sub->sm->envelope_id));
	if (sub->sm->trace != 0) {
		snprintf(sizes, sizeof(sizes), "%u", sub->sm->trace);
		put_attribute(sub, "trace_flags", sizes);
	}
	if (sub->sm->verp != NULL)
		put(sub, QR_VERP, slice_of(sub->sm->verp));
	fwrite(sub->recipients.ptr, 1, sub->recipients.len, sub->out);
	put(sub, QR_MESSAGE, SLICE_NULL);
}

/* ---- content ---- */

/* A whole header is gathered for its addresses; the content goes on as it comes. */
static void look_at_header(struct submission *sub, struct slice piece, bool new_line)
{
	if (new_line && !(header_is_continuation(piece) && sub->header.len > 0)) {
		end_header(sub);
		if (!header_is_header(piece)) {
			sub->in_header = false;
			return;
		}
	} else if (new_line) {
		strbuf_addch(&sub->header, '\n');
	}
	strbuf_addslice(&sub->header, piece);
	if (sub->header.overflow)
		sendmail_die("message header too big");
}

/* A mailbox's separators, which stand before the header when a program got them from a file. */
static bool is_separator(const struct submission *sub, struct slice piece)
{
	size_t quotes = 0;

	while (quotes < piece.len && piece.ptr[quotes] == '>')
		quotes++;
	return !sub->began && slice_starts(slice_from(piece, quotes), "From ");
}

static bool may_strip_cr(const struct submission *sub)
{
	const char *mode = sub->sm->params->sendmail_fix_line_endings;

	return strcmp(mode, "always") == 0 || (strcmp(mode, "strict") == 0 && sub->first_crlf);
}

/* A line, or a part of a long one; false: it was the lone dot. */
static bool take_piece(struct submission *sub, struct slice piece, bool complete)
{
	bool has_cr = complete && piece.len > 0 && piece.ptr[piece.len - 1] == '\r';

	if (!sub->began && !sub->mid_line)
		sub->first_crlf = has_cr;
	if (has_cr && may_strip_cr(sub))
		piece.len--;
	if (!sub->sm->ignore_dots && !sub->mid_line && complete && slice_eq_str(piece, "."))
		return false;
	if (!sub->mid_line && is_separator(sub, piece) && complete)
		return true;
	sub->began = true;
	if (sub->in_header)
		look_at_header(sub, piece, !sub->mid_line);
	sub->mid_line = !complete;
	put(sub, complete ? QR_LINE : QR_PARTIAL, piece);
	return true;
}

static void copy_content(struct submission *sub)
{
	static char buffer[PIECE];
	size_t len = 0;
	bool more = true;
	int c;

	while (more && (c = getc_unlocked(stdin)) != EOF) {
		if (c != '\n')
			buffer[len++] = (char)c;
		/* Never a piece that ends with a CR: its LF may come next. */
		if (c == '\n' || (len >= PIECE - 1 && (c != '\r' || len == PIECE))) {
			more = take_piece(sub, slice_mem(buffer, len), c == '\n');
			len = 0;
		}
	}
	if (ferror(stdin))
		sendmail_die("read message from standard input: %s", strerror(errno));
	if (more && (len > 0 || sub->mid_line))
		take_piece(sub, slice_mem(buffer, len), true);
	if (sub->in_header)
		end_header(sub);
}

/* A message for agents to look at: who it is for is all that counts. */
static void put_probe(struct submission *sub)
{
	struct strbuf text = STRBUF_INIT(QUEUE_RECORD_MAX);
	char **p = sub->sm->recipients;

	strbuf_addf(&text, "From: %s", sub->sender);
	put(sub, QR_LINE, strbuf_slice(&text));
	put(sub, QR_LINE, SLICE_LIT("Subject: probe"));
	for (const char *before = "To:\t"; *p != NULL; p++, before = "\t") {
		strbuf_reset(&text);
		strbuf_addf(&text, "%s%s%s", before, *p, p[1] != NULL ? "," : "");
		put(sub, QR_LINE, strbuf_slice(&text));
	}
	put(sub, QR_LINE, SLICE_NULL);
	strbuf_release(&text);
}

static void put_extracted(struct submission *sub)
{
	const struct strbuf *list = sub->seen_resent ? &sub->resent : &sub->recipients;

	put(sub, QR_EXTRACTED, SLICE_NULL);
	if (sub->sm->extract) {
		if ((sub->seen_resent ? sub->resent_count : sub->recipient_count) == 0)
			sendmail_die("No recipient addresses found in message header");
		fwrite(list->ptr, 1, list->len, sub->out);
	}
	put(sub, QR_END, SLICE_NULL);
}

/* ---- postdrop ---- */

static pid_t running;

/* A submission that we give up must not be taken for one, nor complained about twice. */
static void stop_postdrop(void)
{
	if (running > 0 && kill(running, SIGTERM) == 0)
		waitpid(running, NULL, 0);
}

static void start_postdrop(struct submission *sub)
{
	char *argv[] = { "postdrop", "-r", NULL }, *path = programs_command("postdrop");
	posix_spawn_file_actions_t actions;
	int in[2], rc;

	if (pipe2(in, O_CLOEXEC) < 0)
		sendmail_die("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	/* The id is for callers that ask postdrop themselves. */
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	rc = posix_spawn(&running, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0)
		sendmail_die("cannot run %s: %s", path, strerror(rc));
	atexit(stop_postdrop);
	close(in[0]);
	sub->out = fdopen(in[1], "w");
	if (sub->out == NULL)
		sendmail_die("fdopen: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	free(path);
}

static void end_postdrop(struct submission *sub)
{
	bool written = fclose(sub->out) == 0;
	int status;

	while (waitpid(running, &status, 0) < 0)
		if (errno != EINTR)
			sendmail_die("wait for postdrop: %s", strerror(errno));
	running = 0;
	if (!written || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		sendmail_die("%s(%lu): the message could not be submitted", user_name(),
		    (unsigned long)getuid());
}

void sendmail_submit(const struct sendmail *sm)
{
	static struct submission sub; /* until the end, which may be sendmail_die() */

	sub.sm = sm;
	sub.in_header = sm->extract;
	strbuf_init(&sub.recipients, STRBUF_NO_LIMIT);
	strbuf_init(&sub.resent, STRBUF_NO_LIMIT);
	strbuf_init(&sub.header, HEADER_MAX);
	if (sm->extract && sm->recipients[0] != NULL)
		sendmail_die("cannot handle command-line recipients with -t");
	add_arguments(&sub);
	if (!sm->extract && sub.recipient_count == 0)
		sendmail_die("Recipient addresses must be specified on the command line or via the "
			     "-t option");
	start_postdrop(&sub);
	put_envelope(&sub);
	if (sm->trace & ENVELOPE_TRACE_PROBE)
		put_probe(&sub);
	else
		copy_content(&sub);
	put_extracted(&sub);
	end_postdrop(&sub);
	if (sm->trace != 0)
		printf("Mail Delivery Status Report will be mailed to <%s>.\n", sub.sender);
	free(sub.sender);
	strbuf_release(&sub.recipients);
	strbuf_release(&sub.resent);
	strbuf_release(&sub.header);
}

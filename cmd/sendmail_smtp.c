// SPDX-License-Identifier: BSD-2-Clause
/*
 * sendmail -bs: SMTP on standard input and output, for programs that submit mail so.  A message is
 * gathered in memory, given to postdrop, and acknowledged when it is in maildrop.  Addresses are
 * judged when the mail system takes it from there, as with all submissions.
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
#include "mail/hostname.h"
#include "mail/smtp_reply.h"
#include "queue/queue_id.h"
#include "queue/queue_record.h"

#define LINE_SIZE	2048
#define RECIPIENTS_MAX	1000
#define MESSAGE_MAX	(1LL << 30) /* when message_size_limit is 0 */
#define RECORD_OVERHEAD 4

struct dialogue {
	const struct postfix_params *params;
	bool has_sender, over, eight_bit;
	size_t recipient_count;
	struct strbuf sender, recipients, content; /* the latter two are records */
	struct strbuf out;
};

/* ---- replies ---- */

static void reply(struct dialogue *d, unsigned code, const char *dsn, const char *text)
{
	smtp_reply_add(&d->out, code, dsn, slice_of(text));
}

static void flush(struct dialogue *d)
{
	fwrite(d->out.ptr ? d->out.ptr : "", 1, d->out.len, stdout);
	if (fflush(stdout) != 0)
		d->over = true;
	strbuf_reset(&d->out);
}

static void reset(struct dialogue *d)
{
	d->has_sender = d->eight_bit = false;
	d->recipient_count = 0;
	strbuf_reset(&d->sender);
	strbuf_reset(&d->recipients);
	strbuf_reset(&d->content);
}

/* ---- input ---- */

/*
 * A line without its end; a part of one when *COMPLETE is false.  False at the end of the input.
 * NULs stay: what they do is decided by who reads the records.
 */
static bool get_line(char *line, size_t size, size_t *len, bool *complete)
{
	int c;

	*len = 0;
	*complete = true;
	while ((c = getc_unlocked(stdin)) != EOF && c != '\n') {
		line[(*len)++] = (char)c;
		if (*len == size) {
			*complete = false;
			return true;
		}
	}
	if (c == EOF)
		return false;
	if (*len > 0 && line[*len - 1] == '\r')
		--*len;
	return true;
}

/* ---- MAIL and RCPT ---- */

static bool begins(struct slice s, const char *word)
{
	return s.len >= strlen(word) && slice_caseeq_str(slice_first(s, strlen(word)), word);
}

static bool take_parameter(struct dialogue *d, struct slice word)
{
	uint64_t size;

	if (begins(word, "SIZE=") && slice_uint(slice_from(word, 5), INT64_MAX, &size)) {
		if (d->params->message_size_limit == 0 ||
		    size <= (uint64_t)d->params->message_size_limit)
			return true;
		reply(d, 552, "5.3.4", "Message size exceeds fixed limit");
		return false;
	}
	if (slice_caseeq_str(word, "BODY=8BITMIME") || slice_caseeq_str(word, "BODY=7BIT")) {
		d->eight_bit = slice_caseeq_str(word, "BODY=8BITMIME");
		return true;
	}
	char *text = xasprintf("Unsupported option: %.*s", SLICE_ARG(word));

	reply(d, 555, "5.5.4", text);
	free(text);
	return false;
}

/* "FROM:<a@b> ..." or "TO:<a@b>"; the address goes to OUT in external form. */
static bool take_path(struct dialogue *d, struct slice args, const char *word, unsigned flags,
    const char *syntax, struct strbuf *out)
{
	struct strbuf internal = STRBUF_INIT(4 * ADDRESS_MAX);
	struct slice rest = begins(args, word) ? slice_from(args, strlen(word)) : SLICE_NULL;
	bool ok = begins(args, word) &&
		  address_take_path(&rest, flags | ADDRESS_UTF8, &internal) == ADDRESS_OK;

	if (ok && internal.len > 0)
		address_external(strbuf_slice(&internal), out);
	strbuf_release(&internal);
	if (!ok)
		reply(d, 501, "5.5.4", syntax);
	while (ok && (rest = slice_trim(rest, " ")).len > 0) {
		ptrdiff_t end = slice_find(rest, ' ');
		size_t len = end < 0 ? rest.len : (size_t)end;

		ok = take_parameter(d, slice_first(rest, len));
		rest = slice_from(rest, len);
	}
	return ok;
}

static void on_mail(struct dialogue *d, struct slice args)
{
	if (d->has_sender) {
		reply(d, 503, "5.5.1", "Error: nested MAIL command");
		return;
	}
	strbuf_reset(&d->sender);
	if (!take_path(
		d, args, "FROM:", ADDRESS_ALLOW_EMPTY, "Syntax: MAIL FROM:<address>", &d->sender))
		return;
	d->has_sender = true;
	reply(d, 250, "2.1.0", "Ok");
}

static void on_rcpt(struct dialogue *d, struct slice args)
{
	struct strbuf address = STRBUF_INIT(4 * ADDRESS_MAX);

	if (!d->has_sender) {
		reply(d, 503, "5.5.1", "Error: need MAIL command");
	} else if (d->recipient_count == RECIPIENTS_MAX) {
		reply(d, 452, "4.5.3", "Error: too many recipients");
	} else if (take_path(d, args, "TO:", 0, "Syntax: RCPT TO:<address>", &address)) {
		queue_record_add(&d->recipients, QR_RECIPIENT, strbuf_slice(&address));
		d->recipient_count++;
		reply(d, 250, "2.1.5", "Ok");
	}
	strbuf_release(&address);
}

/* ---- DATA ---- */

/* True when the content ended with its dot, and fits. */
static bool gather(struct dialogue *d)
{
	char line[LINE_SIZE];
	size_t len;
	bool complete, mid = false, fits = true;

	while (get_line(line, sizeof(line), &len, &complete)) {
		struct slice text = slice_mem(line, len);

		if (!mid && complete && slice_eq_str(text, "."))
			return fits;
		if (!mid && len > 0 && line[0] == '.')
			text = slice_from(text, 1);
		fits = fits && d->content.len + text.len + RECORD_OVERHEAD < d->content.max;
		if (fits)
			queue_record_add(&d->content, complete ? QR_LINE : QR_PARTIAL, text);
		mid = !complete;
	}
	d->over = true;
	return false;
}

static pid_t start_postdrop(int in[2], int out[2])
{
	char *argv[] = { "postdrop", "-r", NULL }, *path = programs_command("postdrop");
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int rc;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		sendmail_die("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	rc = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0)
		sendmail_die("cannot run %s: %s", path, strerror(rc));
	free(path);
	close(in[0]);
	close(out[1]);
	return pid;
}

static void put(FILE *to, int type, struct slice data)
{
	struct strbuf record = STRBUF_INIT(QUEUE_RECORD_MAX + 16);

	queue_record_add(&record, type, data);
	fwrite(record.ptr, 1, record.len, to);
	strbuf_release(&record);
}

static void put_message(const struct dialogue *d, FILE *to)
{
	put(to, QR_SENDER, strbuf_slice(&d->sender));
	if (d->eight_bit)
		put(to, QR_ATTRIBUTE, SLICE_LIT("encoding=8bit"));
	fwrite(d->recipients.ptr, 1, d->recipients.len, to);
	put(to, QR_MESSAGE, SLICE_NULL);
	fwrite(d->content.ptr ? d->content.ptr : "", 1, d->content.len, to);
	put(to, QR_EXTRACTED, SLICE_NULL);
	put(to, QR_END, SLICE_NULL);
}

/* postdrop says the id, and ends with 0: it is safe. */
static bool submit(const struct dialogue *d, char id[QUEUE_ID_SIZE])
{
	int in[2], out[2], status;
	pid_t pid = start_postdrop(in, out);
	FILE *to = fdopen(in[1], "w"), *from = fdopen(out[0], "r");
	bool good;

	if (!to || !from)
		sendmail_die("fdopen: %s", strerror(errno));
	put_message(d, to);
	good = fclose(to) == 0;
	good = fgets(id, QUEUE_ID_SIZE, from) != NULL && good;
	fclose(from);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	id[good ? strcspn(id, "\n") : 0] = '\0';
	return good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void on_data(struct dialogue *d, struct slice args)
{
	char id[QUEUE_ID_SIZE], text[QUEUE_ID_SIZE + 32];

	(void)args;
	if (d->recipient_count == 0) {
		reply(d, d->has_sender ? 554 : 503, "5.5.1",
		    d->has_sender ? "Error: no valid recipients" : "Error: need RCPT command");
		return;
	}
	reply(d, 354, NULL, "End data with <CR><LF>.<CR><LF>");
	flush(d);
	if (gather(d)) {
		if (submit(d, id)) {
			snprintf(text, sizeof(text), "Ok: queued as %s", id);
			reply(d, 250, "2.0.0", text);
		} else {
			reply(d, 451, "4.3.0", "Error: queue file write error");
		}
	} else if (!d->over) {
		reply(d, 552, "5.3.4", "Error: message file too big");
	}
	reset(d);
}

/* ---- the other commands ---- */

static void on_helo(struct dialogue *d, struct slice args)
{
	if (args.len == 0) {
		reply(d, 501, NULL, "Syntax: HELO hostname");
		return;
	}
	reset(d);
	reply(d, 250, NULL, d->params->myhostname);
}

static void on_ehlo(struct dialogue *d, struct slice args)
{
	char *text;

	if (args.len == 0) {
		reply(d, 501, NULL, "Syntax: EHLO hostname");
		return;
	}
	reset(d);
	text = xasprintf("%s\nPIPELINING\nSIZE %lld\nVRFY\nENHANCEDSTATUSCODES\n8BITMIME",
	    d->params->myhostname, (long long)d->params->message_size_limit);
	reply(d, 250, NULL, text);
	free(text);
}

static void on_rset(struct dialogue *d, struct slice args)
{
	(void)args;
	reset(d);
	reply(d, 250, "2.0.0", "Ok");
}

static void on_noop(struct dialogue *d, struct slice args)
{
	(void)args;
	reply(d, 250, "2.0.0", "Ok");
}

static void on_vrfy(struct dialogue *d, struct slice args)
{
	char *text = xasprintf("%.*s", SLICE_ARG(args));

	if (args.len == 0)
		reply(d, 501, "5.5.4", "Syntax: VRFY address");
	else
		reply(d, 252, "2.0.0", text);
	free(text);
}

static void on_quit(struct dialogue *d, struct slice args)
{
	(void)args;
	reply(d, 221, "2.0.0", "Bye");
	d->over = true;
}

static const struct verb {
	const char *name;
	void (*handle)(struct dialogue *d, struct slice args);
} verbs[] = {
	{ "HELO", on_helo },
	{ "EHLO", on_ehlo },
	{ "MAIL", on_mail },
	{ "RCPT", on_rcpt },
	{ "DATA", on_data },
	{ "RSET", on_rset },
	{ "NOOP", on_noop },
	{ "VRFY", on_vrfy },
	{ "QUIT", on_quit },
};

static void obey(struct dialogue *d, struct slice line)
{
	ptrdiff_t blank = slice_find(line, ' ');
	struct slice name = blank < 0 ? line : slice_first(line, (size_t)blank);
	struct slice args =
	    blank < 0 ? SLICE_NULL : slice_trim(slice_from(line, (size_t)blank), " ");

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!slice_caseeq_str(name, verbs[i].name))
			continue;
		verbs[i].handle(d, args);
		return;
	}
	reply(d, 500, "5.5.2", "Error: command not recognized");
}

/* The rest of a line that no command has. */
static bool skip_line(void)
{
	int c;

	while ((c = getc_unlocked(stdin)) != EOF && c != '\n')
		;
	return c != EOF;
}

void sendmail_smtp(const struct postfix_params *params)
{
	struct dialogue d = { .params = params };
	long long max = params->message_size_limit > 0 ? params->message_size_limit : MESSAGE_MAX;
	char line[LINE_SIZE];
	size_t len;
	bool complete;

	strbuf_init(&d.sender, 4 * ADDRESS_MAX);
	strbuf_init(&d.recipients, STRBUF_NO_LIMIT);
	strbuf_init(&d.content, (size_t)(max + max / 2 + LINE_SIZE));
	strbuf_init(&d.out, STRBUF_NO_LIMIT);
	signal(SIGPIPE, SIG_IGN);
	reply(&d, 220, NULL, params->smtpd_banner);
	flush(&d);
	while (!d.over && get_line(line, sizeof(line), &len, &complete)) {
		if (complete)
			obey(&d, slice_mem(line, len));
		else if (skip_line())
			reply(&d, 500, "5.5.2", "Error: line too long");
		flush(&d);
	}
	strbuf_release(&d.sender);
	strbuf_release(&d.recipients);
	strbuf_release(&d.content);
	strbuf_release(&d.out);
}

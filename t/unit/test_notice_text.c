// SPDX-License-Identifier: BSD-2-Clause
/* The text of notices, read back line by line. */
#include "unit.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bounce/bounce.h"
#include "mail/dsn.h"
#include "queue/queue_file.h"

#define PIECE_MAX 8

static const struct notice_original no_original = { .message_id = STRBUF_INIT(1) };

/* In the place of the intake: the text gathers, and the nth line may be refused. */
struct intake {
	struct strbuf text;
	unsigned lines, refuse_at;
};

bool intake_line(struct intake *in, struct slice line, bool complete, struct reason *why)
{
	if (++in->lines == in->refuse_at) {
		reason_set(why, "5.3.4", "message file too big");
		return false;
	}
	assert_true(slice_find(line, '\n') < 0);
	strbuf_addslice(&in->text, line);
	if (complete)
		strbuf_addch(&in->text, '\n');
	return true;
}

static const struct postfix_params params = {
	.myhostname = "mail.example.com",
	.myorigin = "example.com",
	.header_from_format = "standard",
	.mail_name = "Postfix",
	.requiretls_redact_dsn = true,
	.bounce_size_limit = 1000,
	.maximal_queue_lifetime = 5 * 86400,
};

/* TEXT's lines; one that ends with '\\' has its next piece behind it. */
static int original(const char *text, off_t *data_offset)
{
	struct queue_writer w;
	struct slice rest = slice_of(text);
	int fd = memfd_create("original", MFD_CLOEXEC);

	assert_true(fd >= 0);
	queue_writer_init(&w, fd);
	queue_writer_begin(&w, 1000000, SLICE_LIT("s@example.com"));
	queue_writer_recipient(&w, SLICE_LIT("r@example.com"), SLICE_NULL, SLICE_NULL, 0);
	queue_writer_content(&w);
	while (rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		struct slice line = slice_first(rest, lf < 0 ? rest.len : (size_t)lf);
		bool whole = !slice_ends(line, "\\");

		if (!whole)
			line.len--;
		queue_writer_line(&w, line, whole);
		rest = slice_from(rest, line.len + 1 + !whole);
	}
	queue_writer_extracted(&w);
	assert_int_equal(queue_writer_finish(&w, 0), 0);
	*data_offset = w.data_offset;
	queue_writer_release(&w);
	return fd;
}

#define SIXTY	       "abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi "
#define FIFTY_UNBROKEN "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
#define MESSAGE	       "Subject: x\nFrom: s\n\nbody\n"

/* What is not said is as complete() says. */
struct row {
	const char *name;
	struct notice_request request;
	struct notice_recipient recipients[2];
	const char *message;
	const char *want[PIECE_MAX];   /* each behind the one before it */
	const char *absent[PIECE_MAX]; /* nowhere */
};

static const char *or_else(const char *text, const char *otherwise)
{
	return text != NULL ? text : otherwise;
}

static void complete_recipient(struct notice_recipient *r, enum notice_kind kind)
{
	static const char *const actions[] = { [NOTICE_FAILED] = "failed",
		[NOTICE_DELAYED] = "delayed",
		[NOTICE_SENT] = "delivered",
		[NOTICE_TRACE] = "deliverable" };

	r->action = or_else(r->action, actions[kind]);
	r->address = or_else(r->address, "r@example.com");
	r->original = or_else(r->original, "");
	r->orcpt = or_else(r->orcpt, "");
	r->remote_mta = or_else(r->remote_mta, "");
	r->diagnostic = or_else(r->diagnostic, "");
	if (r->why.text[0] == '\0')
		reason_set(&r->why, "5.1.1", "unknown user");
}

/* One recipient, or two if the second has an address. */
static void complete(struct notice_request *r, struct notice_recipient *recipients)
{
	strcpy(r->id, "4Original");
	r->sender = or_else(r->sender, "s@example.com");
	r->envelope_id = or_else(r->envelope_id, "");
	r->encoding = or_else(r->encoding, "");
	r->arrival_us = 1000000;
	r->size = r->size != 0 ? r->size : 100;
	r->recipients = recipients;
	r->recipient_count = recipients[1].address != NULL ? 2 : 1;
	for (size_t i = 0; i < r->recipient_count; i++)
		complete_recipient(&recipients[i], r->kind);
}

static const struct row rows[] = {
	{ "header", { 0 }, { { 0 } }, MESSAGE,
	    { "Date: ", "From: Mail Delivery System <MAILER-DAEMON>\n",
		"Subject: Undelivered Mail Returned to Sender\n", "To: s@example.com\n",
		"Auto-Submitted: auto-replied\n", "MIME-Version: 1.0\n",
		"multipart/report; report-type=delivery-status;\n\tboundary=\"4Original.",
		"\n\nThis is a MIME-encapsulated message.\n\n--4Original." },
	    { "8bit", "utf-8" } },
	{ "parts", { 0 }, { { 0 } }, MESSAGE,
	    { "Content-Description: Notification\nContent-Type: text/plain; charset=us-ascii\n\n",
		"host mail.example.com.\n", "\n<r@example.com>: unknown user\n",
		"Content-Description: Delivery report\n"
		"Content-Type: message/delivery-status\n\n",
		"Content-Description: Undelivered Message\nContent-Type: message/rfc822\n\n",
		"Return-Path: <s@example.com>\nSubject: x\nFrom: s\n\nbody\n\n--4Original." },
	    { NULL } },
	{ "report of the message", { .envelope_id = "env+1" }, { { 0 } }, MESSAGE,
	    { "\n\nReporting-MTA: dns; mail.example.com\nOriginal-Envelope-Id: env+1\n"
	      "X-Postfix-Queue-ID: 4Original\nX-Postfix-Sender: rfc822; s@example.com\n"
	      "Arrival-Date: Thu, 01 Jan 1970 ",
		"\n\nFinal-Recipient: rfc822; r@example.com\nAction: failed\n"
		"Status: 5.1.1\nDiagnostic-Code: X-Postfix; unknown user\n\n--" },
	    { "Original-Recipient", "Remote-MTA", "Will-Retry" } },
	{ "report of recipients", { 0 },
	    { { .original = "o@example.com" }, { .address = "q@example.net",
						   .orcpt = "rfc822;p@example.net",
						   .remote_mta = "mx.example.net",
						   .diagnostic = "550 no such user" } },
	    MESSAGE,
	    { "<r@example.com> (expanded from <o@example.com>): unknown user\n",
		"\n<q@example.net>: unknown user\n",
		"Final-Recipient: rfc822; r@example.com\n"
		"Original-Recipient: rfc822;o@example.com\n",
		"\n\nFinal-Recipient: rfc822; q@example.net\n"
		"Original-Recipient: rfc822;p@example.net\n",
		"Remote-MTA: dns; mx.example.net\nDiagnostic-Code: smtp; 550 no such user\n" },
	    { NULL } },
	{ "no status", { 0 }, { { .why = { "", "why" } } }, MESSAGE, { "Status: 5.0.0\n" },
	    { NULL } },
	{ "wrapped at blanks", { 0 }, { { .why = { "5.0.0", SIXTY SIXTY "end" } } }, MESSAGE,
	    { "\n<r@example.com>: abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi\n"
	      "    abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi end\n",
		"Diagnostic-Code: X-Postfix; abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi\n"
		"    abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi abcdefghi end\n" },
	    { NULL } },
	{ "wrapped without blanks", { 0 },
	    { { .why = { "5.0.0", FIFTY_UNBROKEN FIFTY_UNBROKEN FIFTY_UNBROKEN } } }, MESSAGE,
	    { "\n<r@example.com>:\n    " FIFTY_UNBROKEN FIFTY_UNBROKEN FIFTY_UNBROKEN "\n" },
	    { NULL } },
	{ "foreign words end no line", { 0 },
	    { { .why = { "5.0.0", "a\r\n\r\nb" },
		.diagnostic = "x\nAction: delivered\n\nSubject: y" } },
	    MESSAGE, { "a????b\n", "smtp; x?Action: delivered??Subject: y\n" },
	    { "\nAction: delivered", "\nSubject: y" } },
	{ "8-bit message", { .encoding = "8bit" }, { { 0 } }, "Subject: x\n\n\303\244\n",
	    { "boundary=", "\nContent-Transfer-Encoding: 8bit\n\nThis is",
		"text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n",
		"message/rfc822\nContent-Transfer-Encoding: 8bit\n\n", "\n\303\244\n" },
	    { "us-ascii" } },
	{ "7-bit message", { .encoding = "7bit" }, { { 0 } }, MESSAGE,
	    { "\nContent-Transfer-Encoding: 7bit\n\nThis is", "charset=us-ascii\n\n",
		"message/rfc822\n\n" },
	    { "8bit" } },
	{ "8-bit reason", { 0 }, { { .why = { "5.0.0", "b\303\266se" } } }, MESSAGE,
	    { "us-ascii", "b??se\n" }, { "8bit" } },
	{ "not UTF-8", { .sendopts = 1 }, { { .why = { "5.0.0", "b\366se" } } }, MESSAGE,
	    { "b?se\n" }, { NULL } },
	{ "SMTPUTF8", { .sendopts = 1 },
	    { { .address = "\303\244@example.com", .why = { "5.0.0", "b\303\266se" } } }, MESSAGE,
	    { "text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n", "b\303\266se\n",
		"message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n\n",
		"Final-Recipient: utf-8; \303\244@example.com\n",
		"Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\n" },
	    { "us-ascii", "message/rfc822" } },
	{ "the header of SMTPUTF8", { .sendopts = 1, .ret = DSN_RET_HDRS }, { { 0 } }, MESSAGE,
	    { "Content-Type: message/global-headers\n" }, { "body" } },
	{ "REQUIRETLS", { .sendopts = 32 }, { { 0 } }, MESSAGE,
	    { "Undelivered Message Headers\nContent-Type: text/rfc822-headers\n" }, { "body" } },
	{ "not to be told", { 0 },
	    { { .notify = DSN_NOTIFY_NEVER }, { .address = "q@example.net" } }, MESSAGE,
	    { "\n<q@example.net>: unknown user\n", "\nFinal-Recipient: rfc822; q@example.net\n" },
	    { "r@example.com" } },
	{ "from nobody", { .sender = "" }, { { 0 } }, MESSAGE,
	    { "X-Postfix-Sender: rfc822; MAILER-DAEMON@mail.example.com\n",
		"Return-Path: <MAILER-DAEMON@mail.example.com>\n" },
	    { NULL } },
	{ "headers asked for", { .ret = DSN_RET_HDRS }, { { 0 } }, MESSAGE,
	    { "Content-Description: Undelivered Message Headers\n"
	      "Content-Type: text/rfc822-headers\n\n"
	      "Return-Path: <s@example.com>\nSubject: x\nFrom: s\n\n--4Original." },
	    { "message/rfc822", "body" } },
	{ "as large as may be", { .size = 1000 }, { { 0 } }, MESSAGE,
	    { "message/rfc822\n", "\nbody\n" }, { "rfc822-headers" } },
	{ "too large", { .size = 1001 }, { { 0 } }, MESSAGE,
	    { "text/rfc822-headers\n\nReturn-Path: <s@example.com>\nSubject: x\nFrom: s\n\n--" },
	    { "body" } },
	{ "a header without a body", { .ret = DSN_RET_HDRS }, { { 0 } }, "Subject: x\n",
	    { "text/rfc822-headers\n\nReturn-Path: <s@example.com>\nSubject: x\n\n--4Original." },
	    { NULL } },
	{ "nothing", { 0 }, { { 0 } }, "",
	    { "message/rfc822\n\nReturn-Path: <s@example.com>\n\n--4Original." }, { NULL } },
	{ "long lines stay", { 0 }, { { 0 } }, "Subject: x\n\nlong\\\n and\\\n longer\nlast\n",
	    { "\n\nlong and longer\nlast\n\n--" }, { NULL } },
	{ "a last line without end", { 0 }, { { 0 } }, "Subject: x\n\nopen\\\n",
	    { "\n\nopen\n\n--4Original." }, { NULL } },
	{ "a long header line", { .ret = DSN_RET_HDRS }, { { 0 } },
	    "Subject: x\\\n\\\ny\nTo: z\n\nbody\n", { "Subject: xy\nTo: z\n\n--" }, { "body" } },
	{ "delayed", { .kind = NOTICE_DELAYED }, { { 0 } }, MESSAGE,
	    { "Subject: Delayed Mail (still being retried)\n", "Action: delayed\n",
		"Diagnostic-Code: X-Postfix; unknown user\n", "Will-Retry-Until: Tue, 06 Jan 1970 ",
		"Content-Description: Undelivered Message Headers\nContent-Type: text/rfc822-headers\n" },
	    { "body" } },
	{ "sent", { .kind = NOTICE_SENT }, { { .why = { "2.0.0", "done" } } }, MESSAGE,
	    { "Subject: Successful Mail Delivery Report\n", "Action: delivered\nStatus: 2.0.0\n",
		"Diagnostic-Code: X-Postfix; done\n",
		"Content-Description: Message Headers\nContent-Type: text/rfc822-headers\n" },
	    { "Undelivered", "body" } },
	{ "trace", { .kind = NOTICE_TRACE },
	    { { .action = "undeliverable", .why = { "5.1.1", "delivery via virtual: no" } } },
	    MESSAGE,
	    { "Subject: Mail Delivery Status Report\n", "Action: undeliverable\nStatus: 5.1.1\n",
		"Content-Description: Message Headers\n" },
	    { "Undelivered", "body" } },
	{ "expanded", { .kind = NOTICE_SENT },
	    { { .action = "expanded", .why = { "2.0.0", "alias expanded" } } }, MESSAGE,
	    { "Action: expanded\nStatus: 2.0.0\n" }, { "delivered\n" } },
};

/* "--BOUNDARY" before each of the three parts, "--BOUNDARY--" at the end, and nowhere else. */
static void check_boundaries(const char *name, struct slice text)
{
	static const char param[] = "boundary=\"";
	struct slice boundary = slice_from(text, (size_t)slice_find_str(text, param)), line;
	unsigned begins = 0;
	bool ended = false;

	boundary = slice_from(boundary, strlen(param));
	boundary = slice_first(boundary, (size_t)slice_find(boundary, '"'));
	want_int(name, slice_ends(boundary, "/mail.example.com"), true);
	while (slice_token(&text, "\n", &line)) {
		want_int(name, ended, false);
		if (!slice_starts(line, "--") || slice_find_str(line, "4Original.") != 2)
			continue;
		line = slice_from(line, 2);
		want_slice(name, slice_first(line, boundary.len), boundary);
		line = slice_from(line, boundary.len);
		ended = slice_eq_str(line, "--");
		begins += line.len == 0;
	}
	want_int(name, begins, 3);
	want_int(name, ended, true);
}

static void check_width(const char *name, struct slice text)
{
	struct slice line;

	text = slice_first(text, (size_t)slice_find_str(text, "Content-Description: Delivery"));
	while (slice_token(&text, "\n", &line))
		if (line.len > 80)
			fail_msg("%s: a line of %zu: %.*s", name, line.len, SLICE_ARG(line));
}

static void check_row(const struct row *row, struct slice text)
{
	struct slice rest = text;

	for (size_t i = 0; i < PIECE_MAX && row->want[i] != NULL; i++) {
		ptrdiff_t at = slice_find_str(rest, row->want[i]);

		if (at < 0)
			fail_msg("%s: no \"%s\" in its place in:\n%.*s", row->name, row->want[i],
			    SLICE_ARG(text));
		rest = slice_from(rest, (size_t)at + strlen(row->want[i]));
	}
	for (size_t i = 0; i < PIECE_MAX && row->absent[i] != NULL; i++)
		if (slice_find_str(text, row->absent[i]) >= 0)
			fail_msg(
			    "%s: \"%s\" in:\n%.*s", row->name, row->absent[i], SLICE_ARG(text));
	check_boundaries(row->name, text);
	if (strcmp(row->name, "wrapped without blanks") != 0)
		check_width(row->name, text);
}

static bool write_letter(
    struct intake *in, const struct notice_request *request, int fd, struct reason *why)
{
	const struct notice_letter letter = {
		.params = &params,
		.request = request,
		.original = &no_original,
		.template = notice_template_default(request->kind),
		.text = "This is the mail system at host mail.example.com.\n",
		.to = request->sender,
		.ret = request->kind != NOTICE_FAILED ? DSN_RET_HDRS : request->ret,
	};

	return notice_write(in, &letter, fd, why);
}

static void texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct row row = rows[i];
		struct intake in = { .text = STRBUF_INIT(1 << 20) };
		struct reason why = { .dsn = "" };
		int fd = original(row.message, &row.request.data_offset);

		complete(&row.request, row.recipients);
		want_int(row.name, write_letter(&in, &row.request, fd, &why), true);
		check_row(&row, strbuf_slice(&in.text));
		strbuf_release(&in.text);
		close(fd);
	}
}

/* Foreign words may be as long as a request. */
static void long_words(void **state)
{
	char words[20000];
	struct notice_request request = { 0 };
	struct notice_recipient recipients[2] = { { .diagnostic = words } };
	struct intake in = { .text = STRBUF_INIT(1 << 20) };
	struct reason why;
	struct slice text, line;
	int fd = original(MESSAGE, &request.data_offset);

	(void)state;
	complete(&request, recipients);
	memset(words, 'x', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	assert_true(write_letter(&in, &request, fd, &why));
	text = strbuf_slice(&in.text);
	while (slice_token(&text, "\n", &line))
		assert_true(line.len <= 4000);
	strbuf_release(&in.text);
	close(fd);
}

/* Whichever line the intake refuses, the notice fails with its reason and writes no more. */
static void refused(void **state)
{
	struct notice_request request = { 0 };
	struct notice_recipient recipients[2] = { { 0 } };
	int fd = original(MESSAGE, &request.data_offset);
	unsigned lines = 0;

	(void)state;
	complete(&request, recipients);
	for (unsigned at = 1;; at++) {
		struct intake in = { .text = STRBUF_INIT(1 << 20), .refuse_at = at };
		struct reason why = { .dsn = "" };
		bool ok = write_letter(&in, &request, fd, &why);

		lines = in.lines;
		strbuf_release(&in.text);
		if (ok)
			break;
		assert_int_equal(lines, at);
		assert_string_equal(why.dsn, "5.3.4");
	}
	assert_true(lines > 30);
	close(fd);
}

/* Of an original that cannot be read to its end nothing is sent. */
static void damaged(void **state)
{
	struct notice_request request = { 0 };
	struct notice_recipient recipients[2] = { { 0 } };
	struct intake in = { .text = STRBUF_INIT(1 << 20) };
	struct reason why = { .dsn = "" };
	int fd = original(MESSAGE, &request.data_offset);

	(void)state;
	complete(&request, recipients);
	assert_int_equal(ftruncate(fd, request.data_offset + 5), 0);
	assert_false(write_letter(&in, &request, fd, &why));
	assert_string_equal(why.dsn, "4.3.0");
	strbuf_release(&in.text);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(long_words),
		cmocka_unit_test(refused),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

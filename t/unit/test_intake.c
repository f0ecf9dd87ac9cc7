// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message's way in: what becomes of its header and body, what is refused, and the commit with no
 * qmgr and with one of our own that says DONE, SPOOL, or nothing.
 */
#include "intake/intake.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "config.h"
#include "ipc/channel.h"
#include "mail/dsn.h"
#include "queue/envelope.h"
#include "queue/maildrop.h"
#include "queue/offer.h"
#include "sys/socket.h"

static struct config config;
static struct intake_service *service;
static int proc_fd;

static uint64_t next_number(void *arg)
{
	static uint64_t number;

	(void)arg;
	return ++number;
}

static void open_service(const char *main_cf)
{
	char path[160];
	struct reason why;

	if (config.dir[0] == '\0')
		config_dir(&config);
	char *text = xasprintf("queue_directory = %s\n%s", config.dir, main_cf);

	config_open(&config, text);
	free(text);
	config_path(&config, "incoming", path, sizeof(path));
	assert_int_equal(mkdir(path, 0700), 0);
	config_path(&config, "public", path, sizeof(path));
	assert_int_equal(mkdir(path, 0700), 0);
	proc_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	service = intake_service_new(
	    &(struct intake_service_config){
		.params = config.params,
		.log_name = "postfix/cleanup",
		.program = "test",
		.proc_fd = proc_fd,
		.next_number = next_number,
	    },
	    &why);
	assert_non_null(service);
}

static void close_service(void)
{
	intake_service_free(service);
	close(proc_fd);
	config_close(&config);
}

static struct intake *begin(const struct intake_origin *origin)
{
	struct reason why;
	struct intake *in = intake_begin(service, origin, SLICE_LIT("s@example.com"), &why);
	struct intake_recipient rcpt = { .address = SLICE_LIT("r@example.com") };

	assert_non_null(in);
	assert_true(intake_recipient(in, &rcpt, &why));
	return in;
}

/* The lines of TEXT, each a whole one; a line that ends with '\\' has its next piece behind it. */
static bool feed(struct intake *in, const char *text, struct reason *why)
{
	struct slice rest = slice_of(text);
	bool ok = true;

	while (ok && rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		struct slice line = slice_first(rest, (size_t)lf);
		bool whole = !slice_ends(line, "\\");

		if (!whole)
			line.len--;
		ok = intake_line(in, line, whole, why);
		rest = slice_from(rest, (size_t)lf + 1);
	}
	return ok;
}

/* The content of the named file in incoming. */
static char *content_of(const char *id, struct envelope **envelope)
{
	char name[100], path[200];
	struct strbuf text = STRBUF_INIT(1000000);
	struct content_reader reader;
	struct slice line;
	struct reason why;
	bool whole;

	snprintf(name, sizeof(name), "incoming/%s", id);
	config_path(&config, name, path, sizeof(path));
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	*envelope = envelope_read(fd, id, ENVELOPE_VERIFY, &why);
	if (*envelope == NULL)
		fail_msg("%s", why.text);
	content_reader_init(&reader, fd, (*envelope)->data_offset);
	while (content_reader_next(&reader, &line, &whole) == CONTENT_LINE) {
		strbuf_addslice(&text, line);
		if (whole)
			strbuf_addch(&text, '\n');
	}
	content_reader_release(&reader);
	close(fd);
	return strbuf_detach(&text);
}

static unsigned incoming_count(void)
{
	char path[200];
	struct dirent *entry;
	unsigned count = 0;

	config_path(&config, "incoming", path, sizeof(path));
	DIR *dir = opendir(path);

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void test_header(void **state)
{
	static const struct {
		const char *name, *text, *want;
	} rows[] = {
		{ "a message", "A: b\n\nbody\n", "A: b\n\nbody\n" },
		{ "no separator", "A: b\nbody here\nmore\n", "A: b\n\nbody here\nmore\n" },
		{ "nothing", "", "" },
		{ "an empty line", "\n", "\n" },
		{ "a body alone", "hello\n", "\nhello\n" },
		{ "a blank first", " x\nA: b\n", "\n x\nA: b\n" },
		{ "a fold", "A: b\n\tc\n d\nE: f\n\n", "A: b\n\tc\n d\nE: f\n\n" },
		{ "separators", "From a\n>From b\nA: c\n\n",
		    "X-Mailbox-Line: From a\nX-Mailbox-Line: >From b\nA: c\n\n" },
		{ "a fold behind a separator", "From a\n x\n", "X-Mailbox-Line: From a\n\n x\n" },
		{ "a separator too late", "A: b\nFrom c\n", "A: b\n\nFrom c\n" },
		{ "From in the body", "A: b\n\nFrom c\n", "A: b\n\nFrom c\n" },
		{ "dropped", "Bcc: x@y\n z\nA: b\nReturn-Path: <x>\nCONTENT-LENGTH: 5\n\n",
		    "A: b\n\n" },
		{ "stray CR", "A: b\rc\n\nd\re\r\n", "A: b c\n\nd e \n" },
		{ "pieces", "A: b\\\nc\n\nd\\\ne\\\nf\n", "A: bc\n\ndef\n" },
		{ "a piece that begins like a header", "A: b\\\nC: d\n\n", "A: bC: d\n\n" },
		{ "an unfinished last line", "A: b\n\nc\\\n", "A: b\n\nc\n" },
		{ "cut", "A: 0123456789012345678901234567890123456789\n 0123\nB: c\n\n",
		    "A: 012345678901234567890123456\nB: c\n\n" },
		{ "blanks before the colon", "Subject \t: x\n\n", "Subject: x\n\n" },
	};

	(void)state;
	open_service("header_size_limit = 30\nenable_long_queue_ids = yes\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct intake *in = begin(&(struct intake_origin){ .origin = "local" });
		struct envelope *env;
		struct reason why;

		assert_true(feed(in, rows[i].text, &why));
		assert_true(intake_commit(in, &why));
		char *got = content_of(intake_id(in), &env);

		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: got\n%s", rows[i].name, got);
		free(got);
		envelope_free(env);
		intake_free(in);
	}
	close_service();
}

static void test_missing(void **state)
{
	static const struct {
		const char *text;
		const char *have[4], *lack[4];
	} rows[] = {
		{ "\n", { "Message-Id: <2", "Date: ", "From: \"F. N\" <s@example.com>" },
		    { "Resent" } },
		{ "From: x@y\nDate: z\nMessage-Id: <1>\n\n", { "From: x@y" },
		    { "example.com", "Resent", "<2" } },
		{ "Resent-To: a@b\n\n",
		    { "Resent-Message-Id: <2", "Resent-Date: ", "Resent-From: \"F. N\"" },
		    { "\nMessage-Id", "\nDate" } },
	};
	struct intake_origin origin = { .origin = "local",
		.add_missing_headers = true,
		.full_name = "F. N",
		.arrival_us = INT64_C(2000000000000000) };

	(void)state;
	open_service("");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct intake *in = begin(&origin);
		struct envelope *env;
		struct reason why;

		assert_true(intake_prepend(in, SLICE_LIT("Received: x\n\ty"), &why));
		assert_true(feed(in, rows[i].text, &why));
		assert_true(intake_commit(in, &why));
		char *got = content_of(intake_id(in), &env);

		assert_int_equal(strncmp(got, "Received: x\n\ty\n", 15), 0);
		for (size_t k = 0; rows[i].have[k] != NULL; k++)
			if (strstr(got, rows[i].have[k]) == NULL)
				fail_msg("no %s in\n%s", rows[i].have[k], got);
		for (size_t k = 0; rows[i].lack[k] != NULL; k++)
			if (strstr(got, rows[i].lack[k]) != NULL)
				fail_msg("%s in\n%s", rows[i].lack[k], got);
		assert_int_equal(env->arrival_us, origin.arrival_us);
		free(got);
		envelope_free(env);
		intake_free(in);
	}
	close_service();
}

static void test_envelope(void **state)
{
	struct intake_origin origin = { .client_name = "a\rb\nc",
		.client_address = "192.0.2.1",
		.helo = "x\ry",
		.sasl_username = "u\x7f" };
	struct reason why;
	struct envelope *env;

	(void)state;
	open_service("");
	struct intake *in = begin(&origin);
	struct intake_recipient again = { .address = SLICE_LIT("R@Example.com") };
	struct intake_recipient other = { .address = SLICE_LIT("t@example.com"),
		.original = SLICE_LIT("o@example.com"),
		.notify = DSN_NOTIFY_DELAY };

	assert_true(intake_recipient(in, &again, &why));
	assert_true(intake_recipient(in, &other, &why));
	assert_int_equal(intake_recipient_count(in), 2);
	intake_set_envelope_id(in, SLICE_LIT("env"));
	intake_set_ret(in, DSN_RET_HDRS);
	intake_set_encoding(in, "8bit");
	assert_true(feed(in, "Message-Id: <a\rb\x01>\n\n", &why));
	assert_true(intake_commit(in, &why));
	free(content_of(intake_id(in), &env));
	assert_int_equal(env->recipient_count, 2);
	assert_string_equal(env->recipients[1].original, "o@example.com");
	assert_string_equal(env->recipients[1].orcpt, "rfc822;o@example.com");
	assert_int_equal(env->recipients[1].notify, DSN_NOTIFY_DELAY);
	assert_string_equal(env->envelope_id, "env");
	assert_int_equal(env->ret, DSN_RET_HDRS);
	assert_string_equal(envelope_attribute(env, "client_name"), "a?b?c");
	assert_string_equal(envelope_attribute(env, "helo_name"), "x?y");
	assert_string_equal(envelope_attribute(env, "sasl_username"), "u?");
	assert_string_equal(envelope_attribute(env, "message_id"), "<a b?>");
	assert_string_equal(envelope_attribute(env, "encoding"), "8bit");
	envelope_free(env);
	intake_free(in);
	close_service();
}

static void test_overrides(void **state)
{
	struct reason why;
	struct envelope *env;

	(void)state;
	open_service("virtual_alias_maps = inline:{ {bcc@example.com=to@example.com} }\n");
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });

	intake_set_filter(in, "first:x");
	intake_set_filter(in, "scan:[127.0.0.1]:10025");
	intake_set_redirect(in, SLICE_LIT("else@example.com"));
	assert_true(intake_add_bcc(in, SLICE_LIT("early@example.com"), &why));
	assert_true(feed(in, "A: b\n\nc\n", &why));
	assert_true(intake_add_bcc(in, SLICE_LIT("bcc@example.com"), &why));
	assert_true(intake_commit(in, &why));
	free(content_of(intake_id(in), &env));
	assert_string_equal(env->filter, "scan:[127.0.0.1]:10025");
	assert_string_equal(env->redirect, "else@example.com");
	assert_int_equal(env->recipient_count, 3);
	assert_string_equal(env->recipients[1].address, "early@example.com");
	assert_int_equal(env->recipients[1].notify, DSN_NOTIFY_NEVER);
	assert_string_equal(env->recipients[1].orcpt, "");
	assert_string_equal(env->recipients[2].address, "to@example.com");
	assert_string_equal(env->recipients[2].original, "bcc@example.com");
	assert_int_equal(env->recipients[2].notify, DSN_NOTIFY_NEVER);
	envelope_free(env);
	intake_free(in);

	in = begin(&(struct intake_origin){ .origin = "local", .overrides = INTAKE_NO_MAPPINGS });
	assert_true(intake_add_bcc(in, SLICE_LIT("bcc@example.com"), &why));
	assert_true(intake_commit(in, &why));
	free(content_of(intake_id(in), &env));
	assert_string_equal(env->filter, "");
	assert_string_equal(env->recipients[1].address, "bcc@example.com");
	envelope_free(env);
	intake_free(in);
	assert_int_equal(intake_overrides(""), 0);
	assert_int_equal(intake_overrides("no_milters, NO_ADDRESS_MAPPINGS no_header_body_checks"),
	    INTAKE_NO_MAPPINGS | INTAKE_NO_CHECKS);
	close_service();
}

static void test_mapped(void **state)
{
	struct reason why;
	struct envelope *env;
	struct intake_origin origin = { .origin = "local", .local_rewrite = true };

	(void)state;
	open_service("canonical_maps = inline:{s@example.com=sender@example.com, "
		     "r@example.com=rcpt@example.com, t@example.com=rcpt@example.com}\n"
		     "sender_bcc_maps = inline:{sender@example.com=sb}\n"
		     "recipient_bcc_maps = inline:{rcpt@example.com=t@example.com}\n"
		     "always_bcc = \"a b\"@example.com\n"
		     "virtual_alias_maps = inline:{sb@mail.example.com=final@example.com}\n");
	struct intake *in = begin(&origin);

	assert_true(
	    feed(in, "To: \"A\" <r@example.com> (x), y@z.test\nFrom: s@example.com\n\n", &why));
	assert_true(intake_commit(in, &why));
	char *got = content_of(intake_id(in), &env);

	assert_string_equal(
	    got, "To: \"A\" <rcpt@example.com> (x), y@z.test\nFrom: sender@example.com\n\n");
	free(got);
	assert_string_equal(env->sender, "sender@example.com");
	assert_int_equal(env->recipient_count, 4);
	assert_string_equal(env->recipients[0].address, "final@example.com");
	assert_string_equal(env->recipients[0].original, "sb@mail.example.com");
	assert_string_equal(env->recipients[1].address, "rcpt@example.com");
	assert_string_equal(env->recipients[1].original, "r@example.com");
	assert_string_equal(env->recipients[1].orcpt, "rfc822;r@example.com");
	assert_string_equal(env->recipients[2].address, "rcpt@example.com");
	assert_string_equal(env->recipients[2].original, "t@example.com");
	assert_string_equal(env->recipients[3].address, "a b@example.com");
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(env->recipients[i].notify, i == 1 ? 0 : DSN_NOTIFY_NEVER);
	envelope_free(env);
	intake_free(in);

	origin.overrides = INTAKE_INTERNAL;
	in = begin(&origin);
	assert_true(intake_commit(in, &why));
	free(content_of(intake_id(in), &env));
	assert_int_equal(env->recipient_count, 1);
	assert_string_equal(env->recipients[0].address, "rcpt@example.com");
	envelope_free(env);
	intake_free(in);

	origin.overrides = INTAKE_NO_MAPPINGS;
	in = begin(&origin);
	assert_true(feed(in, "To: r@example.com\n\n", &why));
	assert_true(intake_commit(in, &why));
	got = content_of(intake_id(in), &env);
	assert_string_equal(got, "To: r@example.com\n\n");
	free(got);
	assert_int_equal(env->recipient_count, 1);
	assert_string_equal(env->recipients[0].address, "r@example.com");
	envelope_free(env);
	intake_free(in);
	close_service();
}

/* enable_original_recipient = no: only the final address counts. */
static void test_duplicates(void **state)
{
	struct intake_recipient rows[] = { { .address = SLICE_LIT("R@example.com") },
		{ .address = SLICE_LIT("t@example.com") } };
	struct reason why;

	(void)state;
	for (int original = 0; original < 2; original++) {
		char *main_cf = xasprintf("canonical_maps = inline:{t@example.com=r@example.com}\n"
					  "enable_original_recipient = %s\n",
		    original ? "yes" : "no");

		open_service(main_cf);
		struct intake *in = begin(&(struct intake_origin){ .origin = "local" });

		assert_true(intake_recipient(in, &rows[0], &why));
		assert_int_equal(intake_recipient_count(in), 1);
		assert_true(intake_recipient(in, &rows[1], &why));
		assert_int_equal(intake_recipient_count(in), original ? 2 : 1);
		intake_free(in);
		close_service();
		free(main_cf);
	}
}

static void test_failing_maps(void **state)
{
	static const char *const rows[] = {
		"canonical_maps = fail:x\n", "sender_canonical_maps = fail:x\n",
		"sender_bcc_maps = fail:x\n",
		"sender_bcc_maps = inline:{s@example.com=x@y}\nrecipient_canonical_maps = fail:x\n"
	};
	struct reason why;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		open_service(rows[i]);
		assert_null(intake_begin(service, &(struct intake_origin){ .origin = "local" },
		    SLICE_LIT("s@example.com"), &why));
		assert_string_equal(why.dsn, "4.3.0");
		assert_int_equal(incoming_count(), 0);
		close_service();
	}
}

/* A message that is committed, or refused with "DSN text". */
static void check_content(const char *name, const char *text, const char *want)
{
	struct intake *in =
	    begin(&(struct intake_origin){ .origin = "local", .protocol = "ESMTP" });
	struct envelope *env;
	struct reason why;

	if (!feed(in, text, &why) || !intake_commit(in, &why)) {
		char *got = xasprintf("%s %s", why.dsn, why.text);

		want_str(name, got, want);
		free(got);
		intake_free(in);
		return;
	}
	char *got = content_of(intake_id(in), &env);

	want_str(name, got, want);
	free(got);
	envelope_free(env);
	intake_free(in);
}

static void test_checks(void **state)
{
	static const struct {
		const char *name, *text, *want;
	} rows[] = {
		{ "reject", "Bad: x\n\n", "5.7.1 message content rejected" },
		{ "reject text", "Worse: x\n\n", "4.7.2 come later" },
		{ "replace", "Old: x\nA: b\n\n", "New: y\nA: b\n\n" },
		{ "a replacement that is none", "Odd: x\n\n", "Odd: x\n\n" },
		{ "prepend", "Pre: x\n y\n\n", "P: q\nPre: x\n y\n\n" },
		{ "ignore", "A: b\nGone: x\n y\nC: d\n\n", "A: b\nC: d\n\n" },
		{ "a replacement that is dropped", "Cut: x\n\n", "\n" },
		{ "pass", "Pass: x\nBad: x\n\n", "Pass: x\nBad: x\n\n" },
		{ "in the body", "A: b\n\nignore\nx\nreplace\npre\n\nBad: x\n",
		    "A: b\n\nx\nreplaced\nbefore\npre\n\nBad: x\n" },
		{ "a part of a line", "A: b\n\nx\\\nignore\\\ny\nz\n", "A: b\n\nxy\nz\n" },
		{ "the end of a line", "A: b\n\nx\\\nignore\nz\n", "A: b\n\nx\nz\n" },
		{ "nested", "Content-Type: message/rfc822\n\nGone: x\nNested: y\n\nx\n",
		    "Content-Type: message/rfc822\n\nNested: found\n\nx\n" },
		{ "a part",
		    "Content-Type: multipart/mixed; boundary=a\n\n--a\nPart: x\nNested: y\n\nz\n--a--\n",
		    "Content-Type: multipart/mixed; boundary=a\n\n--a\nNested: y\n\nz\n--a--\n" },
	};

	(void)state;
	config_dir(&config);
	config_write(&config, "h",
	    "/^Bad:/ REJECT\n/^Worse:/ REJECT 4.7.2 come later\n/^Old:/ REPLACE New: y\n"
	    "/^Odd:/ REPLACE no header\n/^Pre:/ PREPEND P: q\n/^Gone:/ IGNORE\n"
	    "/^Cut:/ REPLACE Bcc: x@y\n/^Pass:/ PASS\n");
	config_write(&config, "m", "/^Part:/ IGNORE\n");
	config_write(&config, "n", "/^Gone:/ STRIP\n/^Nested:/ REPLACE Nested: found\n");
	config_write(
	    &config, "b", "/^ignore/ IGNORE\n/^replace/ REPLACE replaced\n/^pre/ PREPEND before\n");
	char *main_cf = xasprintf("header_checks = regexp:%s/h\nmime_header_checks = regexp:%s/m\n"
				  "nested_header_checks = regexp:%s/n\nbody_checks = regexp:%s/b\n",
	    config.dir, config.dir, config.dir, config.dir);

	open_service(main_cf);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_content(rows[i].name, rows[i].text, rows[i].want);
	free(main_cf);
	close_service();
}

static void test_checks_envelope(void **state)
{
	static const struct {
		const char *text, *filter, *redirect, *bcc;
	} rows[] = {
		{ "F: x\n\n", "scan:x", "", NULL },
		{ "R: x\nF: x\n\n", "", "to@x.test", NULL },
		{ "B: x\nF: x\n\n", "scan:x", "", "copy@x.test" },
	};
	struct reason why;

	(void)state;
	config_dir(&config);
	config_write(&config, "h",
	    "/^F:/ FILTER scan:x\n/^R:/ REDIRECT to@x.test\n"
	    "/^B:/ BCC copy@x.test\n/^D:/ DISCARD\n");
	char *main_cf = xasprintf("header_checks = regexp:%s/h\n", config.dir);

	open_service(main_cf);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct intake *in = begin(&(struct intake_origin){ .origin = "local" });
		struct envelope *env;

		assert_true(feed(in, rows[i].text, &why));
		assert_true(intake_commit(in, &why));
		free(content_of(intake_id(in), &env));
		want_str(rows[i].text, env->filter, rows[i].filter);
		want_str(rows[i].text, env->redirect, rows[i].redirect);
		want_int(rows[i].text, env->recipient_count, rows[i].bcc != NULL ? 2 : 1);
		if (rows[i].bcc != NULL)
			want_str(rows[i].text, env->recipients[1].address, rows[i].bcc);
		envelope_free(env);
		intake_free(in);
	}
	unsigned before = incoming_count();
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });

	assert_true(feed(in, "D: x\n\nbody\n", &why));
	assert_true(intake_commit(in, &why));
	intake_free(in);
	assert_int_equal(incoming_count(), before);
	free(main_cf);
	close_service();
}

/* non_empty_end_of_header_action, header_address_token_limit */
static void test_odd_headers(void **state)
{
	(void)state;
	open_service("non_empty_end_of_header_action = add_header\n");
	check_content("told", "A: b\nno\n",
	    "A: b\nMIME-Error: message header was not terminated by empty line\n\nno\n");
	check_content("good", "A: b\n\nc\n", "A: b\n\nc\n");
	check_content("no body", "A: b\n", "A: b\n");
	close_service();
	open_service("non_empty_end_of_header_action = reject\n");
	check_content(
	    "refused", "A: b\nno\n", "5.6.0 primary header was terminated with non-empty line");
	check_content("good", "A: b\n\nc\n", "A: b\n\nc\n");
	close_service();
	open_service("header_address_token_limit = 10\nremote_header_rewrite_domain = x.test\n");
	check_content("as many as there may be",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\nTo: u0, u1, u2, u3, u4, u5\n\n",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\n"
	    "To: u0@x.test, u1@x.test, u2@x.test, u3@x.test, u4@x.test,\n\n");
	check_content("nothing to be changed",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\nTo: a@b.c, d@e.f, g@h.i\n\n",
	    "Message-Id: <1>\nDate: x\nFrom: a@b.c\nTo: a@b.c, d@e.f, g@h.i\n\n");
	close_service();
}

static void test_bytes(void **state)
{
	(void)state;
	open_service(
	    "message_reject_characters = \\001\\002\nmessage_strip_characters = xy\\r\\\\\n");
	check_content("good", "Axy: b\n\nx\\y\r\nz\n", "A: b\n\n\nz\n");
	check_content("bad", "A: b\n\na\x02", "5.7.1 disallowed character");
	close_service();
	/* 51, 54: what NUL hides. */
	open_service("");
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });
	struct envelope *env;
	struct reason why;

	assert_true(intake_line(in, SLICE_LIT("From: a\0b"), true, &why));
	assert_true(intake_line(in, SLICE_LIT(" c\0d"), true, &why));
	assert_true(intake_line(in, SLICE_LIT(""), true, &why));
	assert_true(intake_commit(in, &why));
	char *got = content_of(intake_id(in), &env);

	assert_string_equal(got, "From: a\n c\n\n");
	free(got);
	envelope_free(env);
	intake_free(in);
	close_service();
}

/* What Postfix 3.11 makes of sendmail -F. */
static void test_full_names(void **state)
{
	static const struct {
		const char *name, *format, *want;
	} rows[] = {
		{ "J\xc3\xb6rg \xc3\x84 M", "standard",
		    "From: =?utf-8?Q?J=C3=B6rg_=C3=84_M?= <s@example.com>\n" },
		{ "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "standard",
		    "From: =?utf-8?B?5pel5pys6Kqe?= <s@example.com>\n" },
		{ "A (c) \"q\" B", "standard", "From: \"A (c) \\\"q\\\" B\" <s@example.com>\n" },
		{ "Plain Name", "standard", "From: Plain Name <s@example.com>\n" },
		{ "Plain (N)", "obsolete", "From: s@example.com (Plain \\(N\\))\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *main_cf = xasprintf("header_from_format = %s\n", rows[i].format);
		struct intake_origin origin = {
			.origin = "local", .add_missing_headers = true, .full_name = rows[i].name
		};
		struct envelope *env;
		struct reason why;

		open_service(main_cf);
		struct intake *in = begin(&origin);

		assert_true(intake_commit(in, &why));
		char *got = content_of(intake_id(in), &env);

		if (strstr(got, rows[i].want) == NULL)
			fail_msg("no %s in\n%s", rows[i].want, got);
		free(got);
		free(main_cf);
		envelope_free(env);
		intake_free(in);
		close_service();
	}
}

static void test_reply(void **state)
{
	static const struct {
		const char *dsn, *text;
		unsigned code;
		const char *want;
	} rows[] = {
		{ "4.3.0", "queue file write error", 451, "Error: queue file write error" },
		{ "5.3.4", "message file too big", 552, "Error: message file too big" },
		{ "5.4.0", "too many hops", 554, "Error: too many hops" },
		{ "5.7.1", "no spam", 550, "no spam" },
		{ "4.7.2", "later", 451, "later" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct reason why;
		char text[600];

		reason_set(&why, rows[i].dsn, "%s", rows[i].text);
		assert_int_equal(intake_reply(&why, text), rows[i].code);
		assert_string_equal(text, rows[i].want);
	}
}

static void expect_refused(const char *text, const char *dsn, const char *want)
{
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });
	struct reason why = { .dsn = "" };
	bool ok = feed(in, text, &why);

	assert_false(ok && intake_commit(in, &why));
	assert_string_equal(why.dsn, dsn);
	assert_string_equal(why.text, want);
	/* It sticks. */
	assert_false(intake_line(in, SLICE_LIT("x"), true, &why));
	assert_string_equal(why.dsn, dsn);
	assert_false(intake_commit(in, &why));
	intake_free(in);
}

static void test_refused(void **state)
{
	struct reason why;
	char *line = xasprintf("A: b\n\n%0*d\n", 300, 0);

	(void)state;
	open_service("message_size_limit = 200\nhopcount_limit = 3\n");
	expect_refused(line, "5.3.4", "message file too big");
	expect_refused("Received: a\nReceived: b\nrECEIVED: c\n\n", "5.4.0", "too many hops");
	struct intake *in = intake_begin(
	    service, &(struct intake_origin){ .origin = "local" }, SLICE_LIT("s"), &why);

	assert_false(intake_commit(in, &why));
	assert_string_equal(why.dsn, "5.1.0");
	intake_free(in);
	/* One that is given up leaves nothing. */
	in = begin(&(struct intake_origin){ .origin = "local" });
	assert_true(feed(in, "A: b\n\nc\n", &why));
	intake_free(in);
	assert_int_equal(incoming_count(), 0);
	free(line);
	close_service();
}

/* ---- a qmgr of our own ---- */

struct peer {
	int listener;
	int answer; /* kind of offer_record, or -1: none */
	pthread_t thread;
	struct strbuf seen; /* kinds that came, a letter each */
};

static void answer(struct peer *peer, struct channel *ch, const struct offer_record *record)
{
	struct offer_record reply = { .kind = (unsigned)peer->answer };
	struct msg_out m = { 0 };

	memcpy(reply.id, record->id, sizeof(reply.id));
	offer_record_write(&m, &reply);
	channel_send(ch, &m, NULL, 0, deadline_in(5000));
	msg_release(&m);
}

static void *peer_run(void *arg)
{
	struct peer *peer = arg;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int fd;

	if (socket_wait(peer->listener, POLLIN, deadline_in(5000)) != 1)
		return NULL;
	fd = socket_accept(peer->listener, &from, &len, true);
	struct channel *ch = channel_new(fd, "qmgr");
	struct offer_record record;
	struct msg_in in;

	while (channel_recv(ch, &in, deadline_in(5000)) == CHANNEL_RECORD) {
		if (offer_record_parse(&in.msg, &record)) {
			strbuf_addch(&peer->seen, "OGDFds"[record.kind]);
			if (record.kind == OFFER_R_OFFER && peer->answer >= 0)
				answer(peer, ch, &record);
		}
		msg_in_release(&in);
	}
	channel_free(ch);
	return NULL;
}

static void commit_with(const char *main_cf, int kind, const char *want, unsigned named)
{
	struct peer peer = { .answer = kind };
	char path[200];
	struct reason why;

	open_service(main_cf);
	config_path(&config, "public/qmgr", path, sizeof(path));
	peer.listener = socket_unix_listen(path, 0600, (uid_t)-1, (gid_t)-1, 5);
	assert_true(peer.listener >= 0);
	strbuf_init(&peer.seen, 100);
	assert_int_equal(pthread_create(&peer.thread, NULL, peer_run, &peer), 0);
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });

	assert_true(feed(in, "A: b\n\nc\n", &why));
	assert_true(intake_commit(in, &why));
	assert_int_equal(incoming_count(), named);
	intake_free(in);
	intake_service_free(service);
	service = NULL;
	assert_int_equal(pthread_join(peer.thread, NULL), 0);
	assert_string_equal(peer.seen.ptr, want);
	strbuf_release(&peer.seen);
	close(peer.listener);
	close_service();
}

static void test_done(void **state)
{
	(void)state;
	commit_with("", OFFER_R_DONE, "O", 0);
}

static void test_spool(void **state)
{
	(void)state;
	commit_with("", OFFER_R_SPOOL, "OGD", 1);
}

static void test_silence(void **state)
{
	(void)state;
	commit_with("postcote_deliver_time_limit_ms = 50\n", -1, "OGD", 1);
}

/* doc/QUEUE.md 2.4 */
static void test_who_waits(void **state)
{
	(void)state;
	commit_with("postcote_deliver_recipient_limit = 0\n", -1, "OD", 1);
	commit_with("postcote_deliver_size_limit = 3\n", -1, "OD", 1);
}

/* ---- the records of a submission ---- */

static void test_maildrop(void **state)
{
	static const struct {
		const char *types;
		bool good;
	} rows[] = {
		{ "SRMNXE", true },
		{ "FSAiRRMNLNXARE", true },
		{ "SnRMXE", false },
		{ "SMXRE", true },
		{ "SRMXE ", false },
		{ "SRMNX", false },
		{ "RMXE", false },
		{ "SMXE", false },
		{ "SRNMXE", false },
		{ "SRMXNE", false },
		{ "SRDMXE", false },
		{ "SRMpXE", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct strbuf file = STRBUF_INIT(10000);
		struct reason why = { .dsn = "" };
		FILE *f = tmpfile();

		for (const char *p = rows[i].types; *p != '\0'; p++)
			queue_record_add(
			    &file, *p, *p == 'S' || *p == 'R' ? SLICE_LIT("a@b.c") : SLICE_NULL);
		fwrite(file.ptr, 1, file.len, f);
		fflush(f);
		if (maildrop_check(fileno(f), 0, &why) != rows[i].good)
			fail_msg("%s: %s", rows[i].types, why.text);
		fclose(f);
		strbuf_release(&file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_failing_maps),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_checks_envelope),
		cmocka_unit_test(test_odd_headers),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_full_names),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_who_waits),
		cmocka_unit_test(test_maildrop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
/* The envelope of a message on its way in, and what is refused. */
#include "intake/intake.h"

#include <string.h>

#include "intake_fixture.h"
#include "mail/dsn.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_failing_maps),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Each case is a configuration, what is known of the session, and the reply: "CODE DSN TEXT", or
 * "ok".  A last part behind '|' is what else was found, or what the log has to say.
 */
#include "conf/postfix_restrictions.h"
#include "config.h"
#include "smtpd/restrict.h"
#include "smtpd/restrict_eval.h"

/* A host with one class of each kind; the relay list is the peer's at level 1. */
static const char base_cf[] = "compatibility_level = 3.11\n"
			      "mydestination = mail.example.com, localhost\n"
			      "local_recipient_maps = inline:{root=x}\n"
			      "virtual_mailbox_domains = box.example\n"
			      "virtual_mailbox_maps = inline:{bob@box.example=b/}\n"
			      "relay_domains = relay.example\n"
			      "recipient_delimiter = +\n"
			      "smtpd_restriction_classes = strict, loop, missing\n"
			      "strict = reject_non_fqdn_sender, permit_mynetworks, reject\n"
			      "loop = loop\n";

struct session {
	enum restrict_stage stage;
	const char *client, *helo, *sender, *recipient, *sasl;
	unsigned recipients;
	bool tls, pipelined;
};

#define FAR "203.0.113.9"

struct restrict_case {
	const char *main_cf;
	struct session s;
	const char *want;
};

struct seen {
	struct strbuf log;
};

static void take_line(const char *line, void *arg)
{
	struct seen *seen = arg;

	strbuf_addf(&seen->log, "%s\n", line);
}

static void describe(const struct restrict_findings *f, struct strbuf *out)
{
	if (f->hold)
		strbuf_addf(out, "|hold %s", f->hold_reason);
	if (f->discard)
		strbuf_addf(out, "|discard %s", f->discard_reason);
	if (f->filter)
		strbuf_addf(out, "|filter %s", f->filter);
	if (f->redirect)
		strbuf_addf(out, "|redirect %s", f->redirect);
	for (struct restrict_line *l = f->prepend; l; l = l->next)
		strbuf_addf(out, "|prepend %s", l->text);
	for (struct restrict_line *l = f->bcc; l; l = l->next)
		strbuf_addf(out, "|bcc %s", l->text);
}

static void run(const char *main_cf, const struct session *s, size_t steps, struct strbuf *out,
    struct seen *seen)
{
	struct arena arena = ARENA_INIT;
	struct restrict_findings session = { .arena = &arena }, transaction = { .arena = &arena };
	struct config c = { .dir = "" };
	char *text = xasprintf("%s%s", base_cf, main_cf);
	struct resolver *resolver;
	struct rewriter *rewriter;
	struct restrictions *r;

	config_open(&c, text);
	resolver = resolver_new(c.params);
	rewriter = rewriter_new(c.params);
	r = restrictions_new(c.params, resolver, rewriter);
	if (restrictions_trouble(r))
		strbuf_addf(out, "fatal: %s", restrictions_trouble(r));
	for (size_t i = 0; i < steps && !out->len; i++, s++) {
		struct net_addr addr = { .len = 0 };
		struct restrict_verdict v;
		struct restrict_facts facts = {
			.client_name =
			    s->client && !strcmp(s->client, FAR) ? "far.test" : "unknown",
			.client_address = s->client ? s->client : FAR,
			.client_addr = &addr,
			.protocol = "ESMTP",
			.helo = s->helo,
			.sender = slice_of(s->sender),
			.recipient = slice_of(s->recipient),
			.recipient_count = s->recipients,
			.etrn_domain = s->stage == RESTRICT_ETRN ? "etrn.test" : NULL,
			.sasl_method = s->sasl ? "PLAIN" : NULL,
			.sasl_username = s->sasl,
			.tls = s->tls,
			.pipelined = s->pipelined,
			.log = take_line,
			.log_arg = seen,
		};

		assert_true(net_addr_parse(slice_of(facts.client_address), 0, &addr));
		if (!restrict_check(r, s->stage, &facts, &session,
			s->stage >= RESTRICT_MAIL ? &transaction : NULL, &v))
			strbuf_addf(
			    out, "%u %s %s%s", v.code, v.dsn, v.text, v.disconnect ? " (bye)" : "");
		else
			want_int("code of an acceptance", v.code, 0);
	}
	if (!out->len)
		strbuf_addstr(out, "ok");
	describe(&session, out);
	describe(&transaction, out);
	restrictions_free(r);
	rewriter_free(rewriter);
	resolver_free(resolver);
	arena_release(&arena);
	config_close(&c);
	free(text);
}

static void run_cases(const struct restrict_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct strbuf got = STRBUF_INIT(65536);
		struct seen seen = { STRBUF_INIT(65536) };

		run(cases[i].main_cf, &cases[i].s, 1, &got, &seen);
		want_slice(cases[i].main_cf, strbuf_slice(&got), slice_of(cases[i].want));
		strbuf_release(&seen.log);
		strbuf_release(&got);
	}
}

#define RCPT_FROM(from, to)                                                                        \
	{                                                                                          \
		.stage = RESTRICT_RCPT, .client = FAR, .helo = "far.test", .sender = (from),       \
		.recipient = (to)                                                                  \
	}
#define RCPT_TO(to) RCPT_FROM("al@far.test", to)
#define MINE(to)                                                                                   \
	{                                                                                          \
		.stage = RESTRICT_RCPT, .client = "127.0.0.1", .helo = "me",                       \
		.sender = "al@x.test", .recipient = (to)                                           \
	}
#define LOGGED_IN(to)                                                                              \
	{                                                                                          \
		.stage = RESTRICT_RCPT, .client = FAR, .helo = "x", .sender = "al@box.example",    \
		.recipient = (to), .sasl = "al"                                                    \
	}

static void test_relay(void **state)
{
	static const struct restrict_case cases[] = {
		{ "", RCPT_TO("x@other.test"), "454 4.7.1 <x@other.test>: Relay access denied" },
		{ "", MINE("x@other.test"), "ok" },
		{ "", LOGGED_IN("x@other.test"), "ok" },
		{ "", RCPT_TO("bob@box.example"), "ok" },
		{ "", RCPT_TO("x@relay.example"), "ok" },
		{ "", RCPT_TO("root"), "ok" },
		{ "", RCPT_TO("postmaster"), "ok" },
		/* Routed through a domain of ours. */
		{ "", RCPT_TO("x%other.test@localhost"),
		    "454 4.7.1 <x%other.test@localhost>: Relay access denied" },
		{ "", RCPT_TO("x@other.test@box.example"),
		    "454 4.7.1 <x@other.test@box.example>: Relay access denied" },
		{ "", RCPT_TO("x@other.test@[192.0.2.25]"),
		    "454 4.7.1 <x@other.test@[192.0.2.25]>: Relay access denied" },
		{ "", RCPT_TO("other.test!x@relay.example"),
		    "454 4.7.1 <other.test!x@relay.example>: Relay access denied" },
		{ "", RCPT_TO("x@bad..test"), "501 5.1.3 Bad recipient address syntax" },
		{ "smtpd_relay_restrictions = reject_unauth_destination\n", RCPT_TO("x@other.test"),
		    "554 5.7.1 <x@other.test>: Relay access denied" },
		{ "smtpd_relay_restrictions = reject_unauth_destination\nsoft_bounce = yes\n",
		    RCPT_TO("x@other.test"), "454 4.7.1 <x@other.test>: Relay access denied" },
		/* The class cannot be told. */
		{ "relay_domains = fail:x\n", RCPT_TO("x@other.test"),
		    "451 4.3.0 <x@other.test>: Temporary lookup failure" },
		{ "mynetworks = 10.0.0.1/8\n", RCPT_TO("x@other.test"),
		    "451 4.3.0 <203.0.113.9>: Temporary lookup failure" },
		/* Nothing refuses strangers. */
		{ "compatibility_level = 0\nsmtpd_recipient_restrictions = permit_mynetworks\n",
		    RCPT_TO("x@other.test"),
		    "fatal: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, "
		    "specify at least one working instance of: reject_unauth_destination, "
		    "defer_unauth_destination, reject, defer or defer_if_permit" },
		{ "smtpd_relay_restrictions = permit, reject\n", RCPT_TO("x@other.test"),
		    "fatal: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, "
		    "specify at least one working instance of: reject_unauth_destination, "
		    "defer_unauth_destination, reject, defer or defer_if_permit" },
		{ "smtpd_relay_restrictions = warn_if_reject reject\n", RCPT_TO("x@other.test"),
		    "fatal: in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, "
		    "specify at least one working instance of: reject_unauth_destination, "
		    "defer_unauth_destination, reject, defer or defer_if_permit" },
		{ "smtpd_relay_restrictions = strict\n", RCPT_TO("x@other.test"),
		    "554 5.7.1 <x@other.test>: Recipient address rejected: Access denied" },
		{ "compatibility_level = 0\nsmtpd_recipient_restrictions = permit_mynetworks, "
		  "reject_unauth_destination\n",
		    RCPT_TO("x@other.test"), "554 5.7.1 <x@other.test>: Relay access denied" },
	};

	(void)state;
	run_cases(cases, ARRAY_LEN(cases));
}

/* Deployment 000: a host whose lists stand as they stand there. */
static void test_deployment(void **state)
{
	static const char cf[] =
	    "compatibility_level = 0\n"
	    "smtpd_sender_restrictions = permit_auth_destination, permit_sasl_authenticated, "
	    "reject\n"
	    "smtpd_recipient_restrictions = permit_auth_destination, permit_sasl_authenticated, "
	    "reject\n";
	static const struct restrict_case cases[] = {
		{ cf, RCPT_TO("x@other.test"),
		    "554 5.7.1 <al@far.test>: Sender address rejected: Access denied" },
		{ cf, MINE("x@other.test"),
		    "554 5.7.1 <al@x.test>: Sender address rejected: Access denied" },
		{ cf, LOGGED_IN("x@other.test"), "ok" },
		{ cf, RCPT_TO("bob@box.example"), "ok" },
		{ cf, RCPT_FROM("bob@box.example", "bob@box.example"), "ok" },
		{ "smtpd_relay_restrictions = permit_auth_destination, reject\n",
		    MINE("x@other.test"),
		    "554 5.7.1 <x@other.test>: Recipient address rejected: Access denied" },
	};

	(void)state;
	run_cases(cases, ARRAY_LEN(cases));
}

static void test_unlisted(void **state)
{
	static const struct restrict_case cases[] = {
		{ "", RCPT_TO("nobody@localhost"),
		    "550 5.1.1 <nobody@localhost>: Recipient address rejected: User unknown in "
		    "local recipient table" },
		{ "", RCPT_TO("al@box.example"),
		    "550 5.1.1 <al@box.example>: Recipient address rejected: User unknown in "
		    "virtual mailbox table" },
		{ "", RCPT_TO("bob+x@box.example"), "ok" },
		{ "show_user_unknown_table_name = no\n", RCPT_TO("al@box.example"),
		    "550 5.1.1 <al@box.example>: Recipient address rejected: User unknown" },
		{ "unknown_virtual_mailbox_reject_code = 450\n", RCPT_TO("al@box.example"),
		    "450 4.1.1 <al@box.example>: Recipient address rejected: User unknown in "
		    "virtual mailbox table" },
		{ "smtpd_reject_unlisted_recipient = no\n", RCPT_TO("al@box.example"), "ok" },
		/* Also for whom a list permits. */
		{ "smtpd_recipient_restrictions = permit\n", MINE("al@box.example"),
		    "550 5.1.1 <al@box.example>: Recipient address rejected: User unknown in "
		    "virtual mailbox table" },
		{ "virtual_mailbox_maps = fail:x\n", RCPT_TO("al@box.example"),
		    "451 4.3.0 <al@box.example>: Temporary lookup failure" },
		{ "", MINE("x@bad..test"), "501 5.1.3 Bad recipient address syntax" },
		{ "smtpd_reject_unlisted_sender = yes\n",
		    RCPT_FROM("al@box.example", "bob@box.example"),
		    "550 5.1.0 <al@box.example>: Sender address rejected: User unknown in virtual "
		    "mailbox table" },
		{ "smtpd_sender_restrictions = reject_unlisted_sender\n",
		    RCPT_FROM("", "bob@box.example"), "ok" },
	};

	(void)state;
	run_cases(cases, ARRAY_LEN(cases));
}

#define SENDER_ACCESS(result)                                                                      \
	"smtpd_sender_restrictions = check_sender_access inline:{ {al@far.test = " result "} }\n"

static void test_actions(void **state)
{
	static const struct restrict_case cases[] = {
		{ SENDER_ACCESS("OK"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("1234567"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("RELAY"), RCPT_TO("x@other.test"),
		    "454 4.7.1 <x@other.test>: Relay access denied" },
		{ SENDER_ACCESS("DUNNO"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("reject"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <al@far.test>: Sender address rejected: Access denied" },
		{ SENDER_ACCESS("REJECT go away"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <al@far.test>: Sender address rejected: go away" },
		{ SENDER_ACCESS("REJECT 5.1.1 go away"), RCPT_TO("bob@box.example"),
		    "554 5.1.7 <al@far.test>: Sender address rejected: go away" },
		{ SENDER_ACCESS("DEFER later"), RCPT_TO("bob@box.example"),
		    "450 4.7.1 <al@far.test>: Sender address rejected: later" },
		{ SENDER_ACCESS("550 5.7.9 go away"), RCPT_TO("bob@box.example"),
		    "550 5.7.9 <al@far.test>: Sender address rejected: go away" },
		{ SENDER_ACCESS("450 later"), RCPT_TO("bob@box.example"),
		    "450 4.7.1 <al@far.test>: Sender address rejected: later" },
		{ SENDER_ACCESS("521 never"), RCPT_TO("bob@box.example"),
		    "521 5.7.1 <al@far.test>: Sender address rejected: never (bye)" },
		{ SENDER_ACCESS("250 fine"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ SENDER_ACCESS("HANGUP"), RCPT_TO("bob@box.example"), "0   (bye)" },
		{ SENDER_ACCESS("HOLD why not"), RCPT_TO("bob@box.example"), "ok|hold why not" },
		{ SENDER_ACCESS("DISCARD spam"), RCPT_TO("x@other.test"), "ok|discard spam" },
		{ SENDER_ACCESS("FILTER smtp:[1.2.3.4]"), RCPT_TO("bob@box.example"),
		    "ok|filter smtp:[1.2.3.4]" },
		{ SENDER_ACCESS("FILTER nothing"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("REDIRECT r@far.test"), RCPT_TO("bob@box.example"),
		    "ok|redirect r@far.test" },
		{ SENDER_ACCESS("REDIRECT nobody"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("BCC b@far.test"), RCPT_TO("bob@box.example"),
		    "ok|bcc b@far.test" },
		{ SENDER_ACCESS("PREPEND X-A: b"), RCPT_TO("bob@box.example"),
		    "ok|prepend X-A: b" },
		{ SENDER_ACCESS("PREPEND nonsense"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("WARN hm"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("INFO hm"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("DEFER_IF_PERMIT try"), RCPT_TO("bob@box.example"),
		    "450 4.7.1 <al@far.test>: Sender address rejected: try" },
		{ SENDER_ACCESS("DEFER_IF_PERMIT try"), RCPT_TO("x@other.test"),
		    "454 4.7.1 <x@other.test>: Relay access denied" },
		/* It ends with its list. */
		{ SENDER_ACCESS("DEFER_IF_REJECT try") "smtpd_relay_restrictions = reject\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.7.1 <bob@box.example>: Recipient address rejected: Access denied" },
		{ "smtpd_sender_restrictions = check_sender_access inline:{ {al@far.test = "
		  "DEFER_IF_REJECT try} }, reject\n",
		    RCPT_TO("bob@box.example"),
		    "450 4.7.1 <al@far.test>: Sender address rejected: try" },
		{ SENDER_ACCESS("DEFER_IF_PERMIT 4.1.2 try"), RCPT_TO("bob@box.example"),
		    "450 4.1.8 <al@far.test>: Sender address rejected: try" },
		{ SENDER_ACCESS("FILTER"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("BCC x"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("DEFER_IF_REJECT try"), RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("strict"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <al@far.test>: Sender address rejected: Access denied" },
		{ SENDER_ACCESS("permit_mynetworks, reject"), MINE("bob@box.example"), "ok" },
		{ SENDER_ACCESS("nonsense"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ SENDER_ACCESS("check_client_access static:OK"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ SENDER_ACCESS("REJECT 5.1.9 x"), RCPT_TO("bob@box.example"),
		    "554 5.1.0 <al@far.test>: Sender address rejected: x" },
		{ "smtpd_recipient_restrictions = check_recipient_access inline:{ {bob@ = REJECT 5.1.8 "
		  "x} }\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.1.2 <bob@box.example>: Recipient address rejected: x" },
		{ "smtpd_helo_restrictions = check_helo_access inline:{ {far.test = REJECT 5.1.1 x} }\n",
		    RCPT_TO("bob@box.example"), "554 5.0.0 <far.test>: Helo command rejected: x" },
		/* In the words of the table, not of the list that it stands in. */
		{ "smtpd_recipient_restrictions = check_client_access inline:{far.test=strict}\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ "smtpd_client_restrictions = warn_if_reject check_client_access fail:x\n",
		    RCPT_TO("bob@box.example"), "ok" },
		{ SENDER_ACCESS("loop"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ SENDER_ACCESS("missing"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
	};

	(void)state;
	run_cases(cases, ARRAY_LEN(cases));
}

static void test_access(void **state)
{
	static const struct restrict_case cases[] = {
		{ "smtpd_client_restrictions = check_client_access inline:{far.test=REJECT}\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ "smtpd_client_restrictions = inline:{203.0.113=REJECT}\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ "smtpd_client_restrictions = check_client_access inline:{test=REJECT}\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ "smtpd_helo_restrictions = check_helo_access inline:{far.test=REJECT}\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test>: Helo command rejected: Access denied" },
		{ "smtpd_recipient_restrictions = check_recipient_access "
		  "inline:{box.example=REJECT}\n",
		    RCPT_TO("bob@Box.Example"),
		    "554 5.7.1 <bob@Box.Example>: Recipient address rejected: Access denied" },
		{ "smtpd_recipient_restrictions = check_recipient_access inline:{bob@=REJECT}\n",
		    RCPT_TO("bob+x@box.example"),
		    "554 5.7.1 <bob+x@box.example>: Recipient address rejected: Access denied" },
		{ "smtpd_sender_restrictions = check_sender_access inline:{<>=REJECT}\n",
		    RCPT_FROM("", "bob@box.example"),
		    "554 5.7.1 <>: Sender address rejected: Access denied" },
		{ "smtpd_recipient_restrictions = check_client_access fail:x\n",
		    RCPT_TO("bob@box.example"),
		    "451 4.3.5 <far.test[203.0.113.9]>: Client host rejected: Server configuration "
		    "error" },
		{ "smtpd_recipient_restrictions = check_client_access\n",
		    RCPT_TO("bob@box.example"), "451 4.3.5 Server configuration error" },
		{ "smtpd_recipient_restrictions = check_sender_access nosuch:x\n",
		    RCPT_TO("bob@box.example"),
		    "451 4.3.5 <al@far.test>: Sender address rejected: Server configuration error" },
	};

	(void)state;
	run_cases(cases, ARRAY_LEN(cases));
}

#define CLIENT(list) "smtpd_client_restrictions = " list "\n"

static void test_rows(void **state)
{
	static const struct restrict_case cases[] = {
		{ CLIENT("reject"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ CLIENT("defer"), RCPT_TO("bob@box.example"),
		    "450 4.3.2 <far.test[203.0.113.9]>: Client host rejected: Try again later" },
		{ CLIENT("permit, reject"), RCPT_TO("bob@box.example"), "ok" },
		{ CLIENT("defer_if_permit"), RCPT_TO("bob@box.example"),
		    "450 4.7.0 <far.test[203.0.113.9]>: Client host rejected: defer_if_permit "
		    "requested" },
		{ CLIENT("permit_inet_interfaces, reject"), MINE("bob@box.example"), "ok" },
		{ CLIENT("permit_inet_interfaces, reject"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ CLIENT("warn_if_reject reject"), RCPT_TO("bob@box.example"), "ok" },
		{ CLIENT("warn_if_reject permit_mynetworks, reject"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ CLIENT("warn_if_reject strict, defer"), RCPT_TO("bob@box.example"),
		    "450 4.3.2 <far.test[203.0.113.9]>: Client host rejected: Try again later" },
		{ CLIENT("warn_if_reject nonsense"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ CLIENT("permit_tls_clientcerts"), RCPT_TO("bob@box.example"), "ok" },
		{ CLIENT("sleep 0, reject"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ CLIENT("sleep forever"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ CLIENT("check_relay_domains"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ CLIENT("check_sasl_access static:REJECT"), LOGGED_IN("bob@box.example"), "ok" },
		{ "smtpd_sasl_auth_enable = yes\n" CLIENT("check_sasl_access static:REJECT"),
		    LOGGED_IN("bob@box.example"),
		    "554 5.7.1 <al>: SASL login name rejected: Access denied" },
		{ "smtpd_sasl_auth_enable = yes\n" CLIENT("check_sasl_access static:REJECT"),
		    RCPT_TO("bob@box.example"), "ok" },
		/* A table without a name in front is about what its list is about. */
		{ CLIENT("inline:{far.test=REJECT}"), RCPT_TO("bob@box.example"),
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ "smtpd_restriction_classes = bare\nbare = static:REJECT\n"
		  "smtpd_sender_restrictions = bare\n",
		    RCPT_TO("bob@box.example"),
		    "554 5.7.1 <al@far.test>: Sender address rejected: Access denied" },
		{ "smtpd_data_restrictions = static:REJECT\n",
		    { .stage = RESTRICT_DATA, .client = FAR, .sender = "a@b.test" },
		    "451 4.3.5 Server configuration error" },
		{ "smtpd_etrn_restrictions = check_etrn_access static:HOLD, reject\n",
		    { .stage = RESTRICT_ETRN, .client = FAR },
		    "554 5.7.1 <etrn.test>: Etrn command rejected: Access denied" },
		{ "smtpd_delay_reject = no\n" CLIENT("check_client_access static:HOLD"),
		    { .stage = RESTRICT_CONNECT, .client = FAR }, "ok" },
		{ CLIENT("check_policy_service x"), RCPT_TO("bob@box.example"),
		    "451 4.3.5 Server configuration error" },
		{ CLIENT("reject_unknown_client_hostname"), RCPT_TO("bob@box.example"), "ok" },
		{ CLIENT("reject_unknown_client_hostname"), MINE("bob@box.example"),
		    "450 4.7.25 Client host rejected: cannot find your "
		    "hostname, [127.0.0.1]" },
		{ CLIENT("reject_plaintext_session"), RCPT_TO("bob@box.example"),
		    "450 4.7.1 Session encryption is required" },
		{ "smtpd_sender_restrictions = reject_non_fqdn_sender\n",
		    RCPT_FROM("al@host", "bob@box.example"),
		    "504 5.5.2 <al@host>: Sender address rejected: need fully-qualified address" },
		{ "smtpd_sender_restrictions = reject_non_fqdn_sender\n",
		    RCPT_FROM("", "bob@box.example"), "ok" },
		{ "smtpd_sender_restrictions = reject_non_fqdn_sender\n",
		    RCPT_FROM("al@[1.2.3.4]", "bob@box.example"), "ok" },
		{ "smtpd_recipient_restrictions = reject_non_fqdn_recipient\n", RCPT_TO("root"),
		    "504 5.5.2 <root>: Recipient address rejected: need fully-qualified address" },
		{ "smtpd_helo_restrictions = reject_invalid_helo_hostname\n",
		    { .stage = RESTRICT_RCPT,
			.client = FAR,
			.helo = "a b",
			.sender = "a@b.test",
			.recipient = "bob@box.example" },
		    "501 5.5.2 <a b>: Helo command rejected: Invalid name" },
		{ "smtpd_helo_restrictions = reject_invalid_hostname\n",
		    { .stage = RESTRICT_RCPT,
			.client = FAR,
			.helo = "[1.2.3]",
			.sender = "a@b.test",
			.recipient = "bob@box.example" },
		    "501 5.5.2 <[1.2.3]>: Helo command rejected: invalid ip address" },
		{ "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname\n",
		    MINE("bob@box.example"),
		    "504 5.5.2 <me>: Helo command rejected: need fully-qualified hostname" },
		{ "smtpd_helo_restrictions = reject\n",
		    { .stage = RESTRICT_RCPT,
			.client = FAR,
			.sender = "a@b.test",
			.recipient = "bob@box.example" },
		    "ok" },
		{ "smtpd_data_restrictions = reject_unauth_pipelining\n",
		    { .stage = RESTRICT_DATA,
			.client = FAR,
			.sender = "a@b.test",
			.recipients = 1,
			.pipelined = true },
		    "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command "
		    "pipelining" },
		{ "smtpd_data_restrictions = reject_multi_recipient_bounce\n",
		    { .stage = RESTRICT_DATA, .client = FAR, .sender = "", .recipients = 2 },
		    "550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce" },
		{ "smtpd_end_of_data_restrictions = reject\n",
		    { .stage = RESTRICT_END_OF_DATA, .client = FAR, .sender = "", .recipients = 2 },
		    "554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: Access denied" },
		{ "smtpd_etrn_restrictions = check_etrn_access inline:{etrn.test=REJECT}\n",
		    { .stage = RESTRICT_ETRN, .client = FAR },
		    "554 5.7.1 <etrn.test>: Etrn command rejected: Access denied" },
		{ "smtpd_sasl_auth_enable = yes\nsmtpd_sender_login_maps = inline:{al@box.example=bob}\n"
		  "smtpd_sender_restrictions = reject_sender_login_mismatch\n",
		    LOGGED_IN("bob@box.example"),
		    "553 5.7.1 <al@box.example>: Sender address rejected: not owned by user al" },
		{ "smtpd_sasl_auth_enable = yes\nsmtpd_sender_login_maps = inline:{ {al@box.example=bob, AL} }\n"
		  "smtpd_sender_restrictions = reject_sender_login_mismatch\n",
		    LOGGED_IN("bob@box.example"), "ok" },
		{ "smtpd_sasl_auth_enable = yes\nsmtpd_sender_login_maps = inline:{al@far.test=bob}\n"
		  "smtpd_sender_restrictions = reject_sender_login_mismatch\n",
		    RCPT_TO("bob@box.example"),
		    "553 5.7.1 <al@far.test>: Sender address rejected: not logged in" },
	};

	(void)state;
	run_cases(cases, ARRAY_LEN(cases));
}

/* Without smtpd_delay_reject each stage speaks for itself, and a deferral is carried along. */
static void test_not_delayed(void **state)
{
	static const struct session steps[] = {
		{ .stage = RESTRICT_CONNECT, .client = FAR },
		{ .stage = RESTRICT_HELO, .client = FAR, .helo = "far.test" },
		{ .stage = RESTRICT_MAIL, .client = FAR, .helo = "far.test", .sender = "a@b.test" },
		{ .stage = RESTRICT_RCPT,
		    .client = FAR,
		    .helo = "far.test",
		    .sender = "a@b.test",
		    .recipient = "bob@box.example" },
		{ .stage = RESTRICT_MAIL,
		    .client = FAR,
		    .helo = "far.test",
		    .sender = "a@b..test" },
	};
	static const struct {
		const char *main_cf;
		size_t steps;
		const char *want;
	} cases[] = {
		{ "smtpd_client_restrictions = reject\n", 3, "ok" },
		{ "", 5, "501 5.1.7 Bad sender address syntax" },
		{ "smtpd_delay_reject = no\nsmtpd_client_restrictions = reject\n", 1,
		    "554 5.7.1 <far.test[203.0.113.9]>: Client host rejected: Access denied" },
		{ "smtpd_delay_reject = no\nsmtpd_helo_restrictions = reject\n", 2,
		    "554 5.7.1 <far.test>: Helo command rejected: Access denied" },
		{ "smtpd_delay_reject = no\nsmtpd_sender_restrictions = reject\n", 3,
		    "554 5.7.1 <a@b.test>: Sender address rejected: Access denied" },
		{ "smtpd_delay_reject = no\nsmtpd_client_restrictions = defer_if_permit\n", 3,
		    "ok" },
		{ "smtpd_delay_reject = no\nsmtpd_client_restrictions = defer_if_permit\n", 4,
		    "450 4.7.0 <far.test[203.0.113.9]>: Client host rejected: defer_if_permit "
		    "requested" },
		{ "smtpd_delay_reject = no\nsmtpd_sender_restrictions = permit_auth_destination, "
		  "reject\n",
		    3, "554 5.7.1 <a@b.test>: Sender address rejected: Access denied" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf got = STRBUF_INIT(65536);
		struct seen seen = { STRBUF_INIT(65536) };

		run(cases[i].main_cf, steps, cases[i].steps, &got, &seen);
		want_slice(cases[i].main_cf, strbuf_slice(&got), slice_of(cases[i].want));
		strbuf_release(&seen.log);
		strbuf_release(&got);
	}
}

static void test_log(void **state)
{
	static const struct restrict_case cases[] = {
		{ "smtpd_relay_restrictions = reject_unauth_destination\n", RCPT_TO("x@other.test"),
		    "NOQUEUE: reject: RCPT from far.test[203.0.113.9]: 554 5.7.1 <x@other.test>: "
		    "Relay access denied; from=<al@far.test> to=<x@other.test> proto=ESMTP "
		    "helo=<far.test>\n" },
		{ "smtpd_sender_restrictions = reject\n", LOGGED_IN("a b@box.example"),
		    "NOQUEUE: reject: RCPT from far.test[203.0.113.9]: 554 5.7.1 "
		    "<al@box.example>: Sender address rejected: Access denied; "
		    "from=<al@box.example> to=<\"a b\"@box.example> proto=ESMTP helo=<x> "
		    "sasl_method=PLAIN sasl_username=al\n" },
		{ CLIENT("warn_if_reject reject"), RCPT_FROM("", "bob@box.example"),
		    "NOQUEUE: reject_warning: RCPT from far.test[203.0.113.9]: 554 5.7.1 "
		    "<far.test[203.0.113.9]>: Client host rejected: Access denied; from=<> "
		    "to=<bob@box.example> proto=ESMTP helo=<far.test>\n" },
		{ SENDER_ACCESS("HOLD"), RCPT_TO("bob@box.example"),
		    "NOQUEUE: hold: RCPT from far.test[203.0.113.9]: <al@far.test>: Sender address "
		    "triggers HOLD action; from=<al@far.test> to=<bob@box.example> proto=ESMTP "
		    "helo=<far.test>\n" },
		{ SENDER_ACCESS("WARN look at this"), RCPT_TO("bob@box.example"),
		    "NOQUEUE: warn: RCPT from far.test[203.0.113.9]: look at this; "
		    "from=<al@far.test> to=<bob@box.example> proto=ESMTP helo=<far.test>\n" },
		{ "smtpd_delay_reject = no\n" CLIENT("reject"),
		    { .stage = RESTRICT_CONNECT, .client = FAR },
		    "NOQUEUE: reject: CONNECT from far.test[203.0.113.9]: 554 5.7.1 "
		    "<far.test[203.0.113.9]>: Client host rejected: Access denied; proto=ESMTP\n" },
		{ "smtpd_data_restrictions = reject\n",
		    { .stage = RESTRICT_DATA,
			.client = FAR,
			.sender = "a@b.test",
			.recipient = "bob@box.example",
			.recipients = 2 },
		    "NOQUEUE: reject: DATA from far.test[203.0.113.9]: 554 5.7.1 <DATA>: Data "
		    "command rejected: Access denied; from=<a@b.test> proto=ESMTP\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf got = STRBUF_INIT(65536);
		struct seen seen = { STRBUF_INIT(65536) };

		run(cases[i].main_cf, &cases[i].s, 1, &got, &seen);
		want_slice(cases[i].main_cf, strbuf_slice(&seen.log), slice_of(cases[i].want));
		strbuf_release(&seen.log);
		strbuf_release(&got);
	}
}

static void test_header_context(void **state)
{
	static const struct {
		const char *main_cf, *address, *sasl;
		enum rewrite_context want;
	} cases[] = {
		{ "", "127.0.0.1", NULL, REWRITE_LOCAL },
		{ "", FAR, NULL, REWRITE_REMOTE },
		{ "local_header_rewrite_clients = static:all\n", FAR, NULL, REWRITE_LOCAL },
		{ "local_header_rewrite_clients = permit_sasl_authenticated\n", FAR, "al",
		    REWRITE_LOCAL },
		{ "local_header_rewrite_clients = fail:x\n", FAR, NULL, REWRITE_REMOTE },
		{ "local_header_rewrite_clients =\n", "127.0.0.1", NULL, REWRITE_REMOTE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config c = { .dir = "" };
		struct net_addr addr;
		struct restrict_facts facts = { .client_name = "unknown",
			.client_address = cases[i].address,
			.client_addr = &addr,
			.sasl_username = cases[i].sasl };
		struct resolver *resolver;
		struct rewriter *rewriter;
		struct restrictions *r;

		config_open(&c, cases[i].main_cf);
		resolver = resolver_new(c.params);
		rewriter = rewriter_new(c.params);
		r = restrictions_new(c.params, resolver, rewriter);
		assert_true(net_addr_parse(slice_of(cases[i].address), 0, &addr));
		want_int(cases[i].main_cf, restrict_header_context(r, &facts), cases[i].want);
		restrictions_free(r);
		rewriter_free(rewriter);
		resolver_free(resolver);
		config_close(&c);
	}
}

/* "postfix check" says of the right ones that they work. */
static void test_known_names(void **state)
{
	const struct postfix_restriction *known;

	(void)state;
	for (size_t i = 0; i < restrict_row_count; i++) {
		known = postfix_restriction_find(slice_of(restrict_rows[i].name));
		assert_non_null(known);
		want_int(known->name, known->works, true);
		want_int(known->name, known->has_argument, restrict_rows[i].argument != ARG_NONE);
	}
	for (size_t i = 0; (known = postfix_restriction_at(i)) != NULL; i++) {
		bool has_row = strcmp(known->name, "warn_if_reject") == 0;

		for (size_t k = 0; k < restrict_row_count; k++)
			has_row |= strcmp(known->name, restrict_rows[k].name) == 0;
		want_int(known->name, has_row, known->works);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_deployment),
		cmocka_unit_test(test_unlisted),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_not_delayed),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_header_context),
		cmocka_unit_test(test_known_names),
	};

	return cmocka_run_group_tests_name("restrict", tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "config.h"
#include "rewrite/resolve.h"

static const char classes_cf[] =
    "mydestination = mail.example.com, localhost.$mydomain\n"
    "virtual_alias_domains = alias.example\n"
    "virtual_alias_maps = inline:{info@alias.example=bob@box.example, al@box.example=x@y}\n"
    "canonical_maps = inline:{old@box.example=bob@box.example}\n"
    "virtual_mailbox_domains = box.example, broken.example\n"
    "virtual_mailbox_maps = inline:{bob@box.example=b/} \n"
    "relay_domains = relay.example\n"
    "relay_recipient_maps = inline:{r@relay.example=x}\n"
    "local_recipient_maps = inline:{root=x}\n"
    "recipient_delimiter = +\n";

struct resolve_case {
	const char *address, *sender;
	const char *want; /* "CLASS TRANSPORT NEXTHOP RECIPIENT [routed]", or "! CODE" */
};

static void run_cases(const char *main_cf, const struct resolve_case *cases, size_t count)
{
	static const char *const names[] = { "local", "alias", "mailbox", "relay", "default" };
	struct config c = { .dir = "" };
	struct resolver *r;

	config_open(&c, main_cf);
	r = resolver_new(c.params);
	for (size_t i = 0; i < count; i++) {
		struct strbuf got = STRBUF_INIT(65536);
		struct reason why;
		struct resolved res;

		resolved_init(&res);
		if (resolve(r, slice_of(cases[i].address), slice_of(cases[i].sender), &res, &why))
			strbuf_addf(&got, "%s %s %s %s%s", names[res.class], res.transport.ptr,
			    res.nexthop.ptr, res.recipient.ptr, res.routed ? " routed" : "");
		else
			strbuf_addf(&got, "! %s", why.dsn);
		want_slice(cases[i].address, strbuf_slice(&got), slice_of(cases[i].want));
		resolved_release(&res);
		strbuf_release(&got);
	}
	resolver_free(r);
	config_close(&c);
}

static void test_classes(void **state)
{
	static const struct resolve_case cases[] = {
		{ "root@mail.example.com", "",
		    "local local mail.example.com root@mail.example.com" },
		{ "root", "", "local local mail.example.com root@mail.example.com" },
		{ "x@[192.0.2.25]", "", "local local mail.example.com x@[192.0.2.25]" },
		{ "x@[192.0.2.26]", "", "default smtp [192.0.2.26] x@[192.0.2.26]" },
		{ "x@alias.example", "",
		    "alias error 5.1.1 User unknown in virtual alias table x@alias.example" },
		{ "bob@Box.Example", "", "mailbox virtual Box.Example bob@Box.Example" },
		{ "r@relay.example", "", "relay relay relay.example r@relay.example" },
		{ "r@sub.relay.example", "", "relay relay sub.relay.example r@sub.relay.example" },
		{ "x@y.example", "", "default smtp y.example x@y.example" },
		{ "", "", "local local mail.example.com MAILER-DAEMON@mail.example.com" },
		{ "x%y.example@localhost", "", "default smtp y.example x@y.example" },
		{ "x%bob%y.example@localhost", "",
		    "default smtp y.example x%bob@y.example routed" },
		{ "y.example!x@localhost", "", "default smtp y.example x@y.example" },
		{ "x@y.example@localhost", "", "default smtp y.example x@y.example" },
		{ "x%y.example@box.example", "",
		    "mailbox virtual box.example x%y.example@box.example routed" },
		{ "x@z@y.example", "", "default smtp y.example x@z@y.example routed" },
		{ "-f@y.example", "", "! 5.1.3" },
		{ "x@y..example", "", "! 5.1.3" },
		{ "x@-y.example", "", "! 5.1.3" },
		{ "x@1.2.3.4", "", "! 5.1.3" },
		{ "x@[1.2.3]", "", "! 5.1.3" },
		{ "x@y z", "", "! 5.1.3" },
		{ "x\n@y.example", "", "! 5.1.3" },
	};

	(void)state;
	run_cases(classes_cf, cases, ARRAY_LEN(cases));
}

static void test_transport(void **state)
{
	static const struct resolve_case relayhost[] = {
		{ "x@y.example", "s@z", "default smtp [hub]:25 x@y.example" },
		{ "x@y.example", "a@z.example", "default smtp [ahub] x@y.example" },
		{ "x@y.example", "b@z.example", "default uucp bhub x@y.example" },
		{ "x@y.example", "", "default smtp nullhub x@y.example" },
		{ "x@y.example", "dunno@z.example", "default smtp [hub]:25 x@y.example" },
		{ "r@relay.example", "s@z", "relay relay [hub]:25 r@relay.example" },
		{ "bob@box.example", "s@z", "mailbox lmtp unix:x bob@box.example" },
		{ "root@localhost", "s@z", "local local here root@localhost.example.com" },
	};
	static const struct resolve_case maps[] = {
		{ "a@t.example", "", "default slow t.example a@t.example" },
		{ "b@t.example", "", "default smtp [mx]:26 b@t.example" },
		{ "c@t.example", "", "default smtp [hub] c@t.example" },
		{ "x@sub.d.example", "", "default dot sub.d.example x@sub.d.example" },
		{ "x@d.example", "", "default star everywhere x@d.example" },
		{ "e@t.example", "", "default error 5.1.2 no such host e@t.example" },
		{ "moved@t.example", "",
		    "default error 5.1.6 User has moved to new@t.example moved@t.example" },
		{ "a+ext@t.example", "", "default slow t.example a+ext@t.example" },
	};
	static const struct resolve_case odd[] = {
		{ "x@", "", "local local mail.example.com x@mail.example.com" },
		{ "x%", "", "local local mail.example.com x@mail.example.com" },
		{ "x@1.2.3.4", "", "default smtp [1.2.3.4] x@[1.2.3.4]" },
		{ "x@192.0.2.25", "", "local local mail.example.com x@[192.0.2.25]" },
		{ "@localhost", "",
		    "local local mail.example.com MAILER-DAEMON@localhost.example.com" },
		{ "x@a.example", "",
		    "alias error 5.1.1 User unknown in virtual alias table x@a.example" },
		{ "x@sub.t.example", "", "default slow sub.t.example x@sub.t.example" },
		{ "x%y.example@localhost", "", "default smtp y.example x@y.example" },
		{ "x@y.example@localhost", "",
		    "local local mail.example.com x@y.example@localhost.example.com routed" },
		{ "gone@y.example", "", "default error 5.2.1 gone gone@y.example" },
		{ "away@y.example", "",
		    "default error 5.2.0 Mailbox is unavailable away@y.example" },
		{ "x@y.example", "own@z", "default own y.example x@y.example" },
		{ "x@y.example", "null@z", "! 4.3.0" },
	};
	static const struct resolve_case errors[] = {
		{ "x@y.example", "", "! 4.3.0" },
		{ "root@localhost", "", "! 4.3.0" },
	};
	static const struct resolve_case class_error[] = {
		{ "x@y.example", "", "! 4.3.0" },
		{ "root@localhost", "", "local local mail.example.com root@localhost.example.com" },
	};

	(void)state;
	run_cases("relayhost = [hub]:25\nrelay_domains = relay.example\n"
		  "virtual_mailbox_domains = box.example\nvirtual_transport = lmtp:unix:x\n"
		  "mydestination = localhost.$mydomain\nlocal_transport = local:here\n"
		  "sender_dependent_relayhost_maps = inline:{a@z.example=[ahub], <>=nullhub, "
		  "dunno@z.example=DUNNO}\n"
		  "sender_dependent_default_transport_maps = inline:{b@z.example=uucp:bhub}\n",
	    relayhost, ARRAY_LEN(relayhost));
	run_cases("relayhost = [hub]\nrecipient_delimiter = +\n"
		  "relocated_maps = inline:{moved@t.example=new@t.example}\n"
		  "transport_maps = inline:{ {a@t.example = slow:} {b@t.example = :[mx]:26}\n"
		  " {c@t.example = :} {.d.example=dot:} {*=star:everywhere}\n"
		  " {e@t.example = error:5.1.2 no such host} }\n",
	    maps, ARRAY_LEN(maps));
	run_cases("resolve_null_domain = yes\nresolve_numeric_domain = yes\n"
		  "resolve_dequoted_address = no\nrelocated_prefix_enable = no\n"
		  "parent_domain_matches_subdomains = transport_maps\n"
		  "virtual_alias_domains = a.example\nvirtual_alias_maps =\n"
		  "mydestination = mail.example.com, localhost.$mydomain\n"
		  "transport_maps = inline:{ {t.example=slow:} {a.example=slow:} }\n"
		  "relocated_maps = inline:{ {gone@y.example=5.2.1 gone} {away@y.example=away} }\n"
		  "sender_dependent_default_transport_maps = inline:{ {own@z=own:} {null@z=:x} }\n",
	    odd, ARRAY_LEN(odd));
	run_cases("transport_maps = fail:x\nmydestination = localhost.$mydomain\n", errors,
	    ARRAY_LEN(errors));
	run_cases("virtual_mailbox_domains = fail:x\nmydestination = localhost.$mydomain\n",
	    class_error, ARRAY_LEN(class_error));
}

static void test_known(void **state)
{
	static const struct {
		const char *address;
		enum recipient_status want;
		const char *text;
	} cases[] = {
		{ "root@localhost", RECIPIENT_KNOWN, NULL },
		{ "root+x@mail.example.com", RECIPIENT_KNOWN, NULL },
		{ "nobody@localhost", RECIPIENT_UNKNOWN, "User unknown in local recipient table" },
		{ "Postmaster@localhost", RECIPIENT_KNOWN, NULL },
		{ "info@alias.example", RECIPIENT_KNOWN, NULL },
		{ "x@alias.example", RECIPIENT_UNKNOWN, "User unknown in virtual alias table" },
		{ "BOB@box.example", RECIPIENT_KNOWN, NULL },
		{ "al@box.example", RECIPIENT_KNOWN, NULL },
		{ "old@box.example", RECIPIENT_KNOWN, NULL },
		{ "x@box.example", RECIPIENT_UNKNOWN, "User unknown in virtual mailbox table" },
		{ "r@relay.example", RECIPIENT_KNOWN, NULL },
		{ "x@relay.example", RECIPIENT_UNKNOWN, "User unknown in relay recipient table" },
		{ "x@y.example", RECIPIENT_KNOWN, NULL },
	};
	struct config c = { .dir = "" };
	struct resolver *r;

	(void)state;
	config_open(&c, classes_cf);
	r = resolver_new(c.params);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct slice address = slice_of(cases[i].address);
		struct reason why = { "", "" };
		struct resolved res;

		resolved_init(&res);
		assert_true(resolve(r, address, SLICE_NULL, &res, &why));
		want_int(cases[i].address, resolver_recipient_known(r, address, &res, &why),
		    cases[i].want);
		if (cases[i].text)
			want_str(cases[i].address, why.text, cases[i].text);
		resolved_release(&res);
	}
	resolver_free(r);
	config_close(&c);
}

/* A table that fails makes nobody unknown, and a class without a table knows everybody. */
static void test_known_otherwise(void **state)
{
	struct config c = { .dir = "" };
	struct reason why = { "", "" };
	struct resolved res;
	struct resolver *r;

	(void)state;
	config_open(&c, "virtual_mailbox_domains = box.example\nvirtual_mailbox_maps = fail:x\n"
			"relay_domains = relay.example\n");
	r = resolver_new(c.params);
	resolved_init(&res);
	assert_true(resolve(r, SLICE_LIT("x@box.example"), SLICE_NULL, &res, &why));
	want_int("error", resolver_recipient_known(r, SLICE_LIT("x@box.example"), &res, &why),
	    RECIPIENT_ERROR);
	want_str("error", why.dsn, "4.3.0");
	assert_true(resolve(r, SLICE_LIT("x@relay.example"), SLICE_NULL, &res, &why));
	want_int("relay", resolver_recipient_known(r, SLICE_LIT("x@relay.example"), &res, &why),
	    RECIPIENT_KNOWN);
	want_int("auth", resolved_is_auth_destination(&res), true);
	resolved_release(&res);
	resolver_free(r);
	config_close(&c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_transport),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_known_otherwise),
	};

	return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}

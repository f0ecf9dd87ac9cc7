// SPDX-License-Identifier: BSD-2-Clause
/* Canonical maps and masquerading: which address of which class becomes what. */
#include "intake/canonical.h"

#include "config.h"

static struct config config;
static struct rewriter *rewriter;
static struct address_rules *rules;
static struct canonical *canonical;

static void open_canonical(const char *main_cf)
{
	config_open(&config, main_cf);
	rewriter = rewriter_new(config.params);
	rules = address_rules_new(config.params);
	canonical = canonical_new(config.params, rules, rewriter);
}

static void close_canonical(void)
{
	canonical_free(canonical);
	address_rules_free(rules);
	rewriter_free(rewriter);
	config_close(&config);
}

/* WANT NULL: the look-up fails. */
static void check(enum canonical_class class, const char *address, const char *want)
{
	struct strbuf out = STRBUF_INIT(10000);
	bool ok =
	    canonical_address(canonical, class, slice_of(address), "postfix/cleanup", "ID", &out);

	want_int(address, ok, want != NULL);
	if (want != NULL)
		want_str(address, out.ptr, want);
	strbuf_release(&out);
}

#define ES CANONICAL_ENVELOPE_SENDER
#define ER CANONICAL_ENVELOPE_RECIPIENT
#define HS CANONICAL_HEADER_SENDER
#define HR CANONICAL_HEADER_RECIPIENT

static void test_maps(void **state)
{
	(void)state;
	open_canonical("recipient_delimiter = +-\n"
		       "sender_canonical_maps = inline:{a@x.test=from@x.test}\n"
		       "recipient_canonical_maps = inline:{a@x.test=to@x.test}\n"
		       "canonical_maps = inline:{ {c@x.test=b@x.test} {b@x.test=d}"
		       " {@dom.test=@other.test} {l@x.test=m@x.test} {m@x.test=l@x.test}"
		       " {two@x.test=p@x.test, q@x.test} {from@x.test=both@x.test} }\n");
	check(ES, "a@x.test", "both@x.test");
	check(HS, "a@x.test", "both@x.test");
	check(ER, "a@x.test", "to@x.test");
	check(HR, "A@X.test", "to@x.test");
	check(ER, "c@x.test", "d@mail.example.com");
	check(ER, "c+ext@x.test", "d+ext@mail.example.com");
	check(ER, "c-ext@x.test", "d-ext@mail.example.com");
	check(ER, "u+e@dom.test", "u+e@other.test");
	check(ER, "two@x.test", "p@x.test");
	check(ES, "", "");
	check(ES, "else@x.test", "else@x.test");
	/* A circle has an end. */
	check(ES, "l@x.test", "l@x.test");
	close_canonical();
}

static void test_classes(void **state)
{
	(void)state;
	open_canonical("canonical_maps = inline:{a@x.test=b@x.test}\n"
		       "canonical_classes = header_sender, Envelope_Recipient\n"
		       "propagate_unmatched_extensions =\nrecipient_delimiter = +\n");
	assert_false(canonical_applies(canonical, ES));
	assert_true(canonical_applies(canonical, ER));
	assert_true(canonical_applies(canonical, HS));
	assert_false(canonical_applies(canonical, HR));
	check(ES, "a@x.test", "a@x.test");
	check(ER, "a+e@x.test", "b@x.test");
	check(HS, "a@x.test", "b@x.test");
	close_canonical();
	open_canonical("");
	assert_false(canonical_applies(canonical, ES | ER | HS | HR));
	close_canonical();
}

static void test_masquerade(void **state)
{
	(void)state;
	open_canonical("masquerade_domains = !a.b.test, b.test virt.test\n"
		       "masquerade_exceptions = root, inline:{admin=x}\n");
	check(ES, "h@x.b.test", "h@b.test");
	check(HS, "h@X.B.Test", "h@B.Test");
	check(HR, "v@deep.sub.virt.test", "v@virt.test");
	check(HS, "u@y.a.b.test", "u@y.a.b.test");
	check(HS, "u@a.b.test", "u@a.b.test");
	check(HS, "u@b.test", "u@b.test");
	check(HS, "u@xb.test", "u@xb.test");
	check(HS, "Root@x.b.test", "Root@x.b.test");
	check(HS, "admin@x.b.test", "admin@x.b.test");
	check(HS, "bare", "bare");
	check(ER, "h@x.b.test", "h@x.b.test");
	close_canonical();
}

static void test_failure(void **state)
{
	(void)state;
	open_canonical("canonical_maps = fail:x\n");
	check(ER, "a@x.test", NULL);
	check(ES, "", "");
	close_canonical();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_masquerade),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

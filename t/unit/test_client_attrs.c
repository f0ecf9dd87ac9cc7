// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdio.h>

#include "smtpd/client_attrs.h"

static const char *const letters[CLIENT_ATTRS] = { "N", "A", "P", "T", "H", "R", "L", "DA", "DP",
	"S", "I" };

/* "N=spike.example A=192.0.2.1 P- R~": values, unavailable, temporarily so. */
static void describe(const struct client_attrs *a, struct strbuf *out)
{
	char text[NET_ADDR_TEXT];

	for (unsigned i = 0; i < CLIENT_ATTRS; i++) {
		if (!(a->given & CLIENT_BIT(i)))
			continue;
		strbuf_addf(out, "%s%s", out->len > 0 ? " " : "", letters[i]);
		if (a->temporary & CLIENT_BIT(i))
			strbuf_addch(out, '~');
		else if (a->value[i] == NULL)
			strbuf_addch(out, '-');
		else if (i == CLIENT_ADDR)
			strbuf_addf(out, "=%s", net_addr_text(&a->addr, text));
		else if (i == CLIENT_DESTADDR)
			strbuf_addf(out, "=%s", net_addr_text(&a->dest_addr, text));
		else
			strbuf_addf(out, "=%s", a->value[i]);
	}
}

#define C ATTRS_XCLIENT
#define F ATTRS_XFORWARD

static const struct {
	enum client_attrs_command command;
	const char *args, *want;
} cases[] = {
	{ C, "", "" },
	{ C,
	    "NAME=spike.example ADDR=192.0.2.7 PORT=1234 PROTO=SMTP HELO=h.example "
	    "REVERSE_NAME=rev.example LOGIN=joe DESTADDR=192.0.2.99 DESTPORT=587",
	    "N=spike.example A=192.0.2.7 P=1234 T=SMTP H=h.example R=rev.example L=joe "
	    "DA=192.0.2.99 DP=587" },
	{ C,
	    "NAME=[UNAVAILABLE] ADDR=[unavailable] PORT=[UNAVAILABLE] HELO=[UNAVAILABLE] "
	    "REVERSE_NAME=[UNAVAILABLE] LOGIN=[UNAVAILABLE] DESTADDR=[UNAVAILABLE] "
	    "DESTPORT=[UNAVAILABLE]",
	    "N- A- P- H- R- L- DA- DP-" },
	{ C, "NAME=[TEMPUNAVAIL] REVERSE_NAME=[tempunavail]", "N~ R~" },
	{ C, "name=a.example  addr=IPv6:2001:db8::1", "N=a.example A=2001:db8::1" },
	{ C, "NAME=a.example NAME=b.example", "N=b.example" },
	{ C, "NAME=[TEMPUNAVAIL] NAME=b.example", "N=b.example" },
	{ C, "ADDR=192.0.2.7 ADDR=[UNAVAILABLE]", "A-" },
	{ C, "ADDR=IPV6:::ffff:192.0.2.1", "A=192.0.2.1" },
	{ C, "HELO=a+20<b>", "H=a??b?" },
	{ C, "HELO=[TEMPUNAVAIL]", "H=[TEMPUNAVAIL]" },
	{ C, "LOGIN=x+3Cy+20z", "L=x<y z" },
	{ C, "LOGIN=a+00b+0Ac", "L=a?b?c" },
	{ C, "PROTO=esmtp", "T=esmtp" },
	{ C, "NAME", "!Error: attribute=value expected" },
	{ C, "NAME=", "!Error: attribute=value expected" },
	{ C, "=", "!Error: attribute=value expected" },
	{ C, "=x", "!Error: attribute=value expected" },
	{ C, "foo=bar", "!Bad XCLIENT attribute name: FOO" },
	{ C, "SOURCE=LOCAL", "!Bad XCLIENT attribute name: SOURCE" },
	{ C, "NAME=a=b", "!Bad NAME syntax: a=b" },
	{ C, "NAME=a+20b", "!Bad NAME syntax: a b" },
	{ C, "NAME=foo+zz", "!Bad NAME syntax: foo+zz" },
	{ C, "NAME=-foo", "!Bad NAME syntax: -foo" },
	{ C, "NAME=[192.0.2.4]", "!Bad NAME syntax: [192.0.2.4]" },
	{ C, "ADDR=bad", "!Bad ADDR syntax: bad" },
	{ C, "ADDR=2001:db8::1", "!Bad ADDR syntax: 2001:db8::1" },
	{ C, "ADDR=IPV6:192.0.2.1", "!Bad ADDR syntax: IPV6:192.0.2.1" },
	{ C, "ADDR=[TEMPUNAVAIL]", "!Bad ADDR syntax: [TEMPUNAVAIL]" },
	{ C, "PORT=abc", "!Bad PORT syntax: abc" },
	{ C, "PORT=99999", "!Bad PORT syntax: 99999" },
	{ C, "PROTO=FOO", "!Bad PROTO syntax: FOO" },
	{ C, "PROTO=[UNAVAILABLE]", "!Bad PROTO syntax: [UNAVAILABLE]" },
	{ C, "DESTADDR=foo", "!Bad DESTADDR syntax: foo" },
	{ C, "NAME=a.example ADDR=192.0.2.1 X=y", "!Bad XCLIENT attribute name: X" },
	{ F,
	    "NAME=spike.example ADDR=192.0.2.7 PORT=1234 PROTO=ESMTP HELO=h.example "
	    "SOURCE=REMOTE IDENT=ABC",
	    "N=spike.example A=192.0.2.7 P=1234 T=ESMTP H=h.example S=REMOTE I=ABC" },
	{ F, "NAME=[UNAVAILABLE] SOURCE=[UNAVAILABLE] IDENT=[UNAVAILABLE] PROTO=[UNAVAILABLE]",
	    "N- T- S- I-" },
	{ F, "IDENT=+20a SOURCE=local", "S=local I=?a" },
	{ F, "PROTO=a<b>+01", "T=a?b??" },
	{ F, "SOURCE=foo", "!Bad SOURCE syntax: foo" },
	{ F, "NAME=a+20b", "!Bad NAME syntax: a?b" },
	{ F, "NAME=[TEMPUNAVAIL]", "!Bad NAME syntax: [TEMPUNAVAIL]" },
	{ F, "LOGIN=x", "!Bad XFORWARD attribute name: LOGIN" },
	{ F, "DESTADDR=192.0.2.1", "!Bad XFORWARD attribute name: DESTADDR" },
	{ F, "PROTO=0123456789012345678901234567890123456789012345678901234567890123x",
	    "!Bad PROTO syntax: 0123456789012345678901234567890123456789012345678901234567890123x" },
};

static void attributes_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf got = STRBUF_INIT(4096), error = STRBUF_INIT(4096);
		struct arena arena = ARENA_INIT;
		struct client_attrs attrs = { 0 };

		if (client_attrs_parse(
			cases[i].command, slice_of(cases[i].args), &arena, &attrs, &error))
			describe(&attrs, &got);
		else
			strbuf_addf(&got, "!%s", error.ptr);
		want_slice(cases[i].args, strbuf_slice(&got), slice_of(cases[i].want));
		strbuf_release(&got);
		strbuf_release(&error);
		arena_release(&arena);
	}
}

static void commands_add_up(void **state)
{
	struct strbuf got = STRBUF_INIT(4096), error = STRBUF_INIT(4096);
	struct arena arena = ARENA_INIT;
	struct client_attrs attrs = { 0 };

	(void)state;
	assert_true(
	    client_attrs_parse(F, SLICE_LIT("NAME=a.example PORT=1"), &arena, &attrs, &error));
	assert_true(
	    client_attrs_parse(F, SLICE_LIT("PORT=[UNAVAILABLE] IDENT=x"), &arena, &attrs, &error));
	describe(&attrs, &got);
	want_slice("both", strbuf_slice(&got), SLICE_LIT("N=a.example P- I=x"));
	strbuf_release(&got);
	strbuf_release(&error);
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_are_read),
		cmocka_unit_test(commands_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

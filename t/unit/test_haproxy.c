// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <stdio.h>

#include "net/haproxy.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define A4  "\xc0\0\2\x09\xc0\0\2\x0a\x04\xd2\0\x19"
#define N6  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define A6  N6 "\1" N6 "\2\x04\xd2\0\x19"

#define X(text)                                                                                    \
	{                                                                                          \
		"" text, sizeof(text) - 1                                                          \
	}

static const struct {
	struct slice in;
	const char *want; /* "CLIENT:PORT SERVER:PORT length", "local length", "more", "!error" */
} cases[] = {
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 1111 25\r\n"), "192.0.2.7:1111 192.0.2.8:25 40" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 1111 25\r\nEHLO x\r\n"),
	    "192.0.2.7:1111 192.0.2.8:25 40" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 1111 25\n"), "192.0.2.7:1111 192.0.2.8:25 39" },
	{ X("PROXY  TCP4  192.0.2.7 192.0.2.8 0 25\r\n"), "192.0.2.7:0 192.0.2.8:25 39" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 1 25 more\r\n"), "192.0.2.7:1 192.0.2.8:25 42" },
	{ X("PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n"), "2001:db8::1:1 2001:db8::2:25 41" },
	{ X("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 1 25\r\n"),
	    "192.0.2.7:1 192.0.2.8:25 51" },
	{ X(""), "more" },
	{ X("P"), "more" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 1111 25\r"), "more" },
	{ X("PROXY\r\n"), "!short protocol header" },
	{ X("PROXY \r\n"), "!short protocol header" },
	{ X("EHLO x\r\n"), "!short protocol header" },
	{ X("EHLO client.example.net\r\n"), "!unrecognized protocol header" },
	{ X("proxy TCP4 192.0.2.7 192.0.2.8 1 25\r\n"), "!unrecognized protocol header" },
	{ X("PROXY UNKNOWN\r\n"), "!bad or missing protocol type" },
	{ X("PROXY UNKNOWN 1 2 3 4\r\n"), "!bad or missing protocol type" },
	{ X("PROXY TCP5 192.0.2.7 192.0.2.8 1 25\r\n"), "!bad or missing protocol type" },
	{ X("PROXY TCP6 192.0.2.7 192.0.2.8 1 25\r\n"), "!bad or missing client address" },
	{ X("PROXY TCP4 2001:db8::1 192.0.2.8 1 25\r\n"), "!bad or missing client address" },
	{ X("PROXY TCP4 192.0.2.777 192.0.2.8 1 25\r\n"), "!bad or missing client address" },
	{ X("PROXY TCP4 192.0.2.7 x 1 25\r\n"), "!bad or missing server address" },
	{ X("PROXY TCP4 192.0.2.7\r\n"), "!bad or missing server address" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 99999 25\r\n"), "!bad or missing client port" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 01 25\r\n"), "!bad or missing client port" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 -1 25\r\n"), "!bad or missing client port" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 1111\r\n"), "!bad or missing server port" },
	{ X("PROXY TCP4 192.0.2.7 192.0.2.8 1\0 25\r\n"), "!missing protocol header terminator" },
	{ X("PROXY TCP4 192.0.2.7 19\0 1 25\r\n"), "!missing protocol header terminator" },

	{ X(SIG "\x21\x11\0\x0c" A4), "192.0.2.9:1234 192.0.2.10:25 28" },
	{ X(SIG "\x21\x11\0\x0c" A4 "EHLO x\r\n"), "192.0.2.9:1234 192.0.2.10:25 28" },
	{ X(SIG "\x21\x21\0\x24" A6), "2001:db8::1:1234 2001:db8::2:25 52" },
	{ X(SIG "\x21\x11\0\x13" A4 "\3\0\4abcd"), "192.0.2.9:1234 192.0.2.10:25 35" },
	{ X(SIG "\x20\x00\0\0"), "local 16" },
	{ X(SIG "\x20\x11\0\x0c" A4), "local 28" },
	{ X("\r"), "more" },
	{ X("\r\n\r\n\0\r\nQUIT"), "more" },
	{ X(SIG "\x21\x11\0"), "more" },
	{ X(SIG "\x21\x11\0\x0c\xc0\0\2"), "more" },
	{ X("\r\n\r\nx"), "!short protocol header" },
	{ X(SIG "\x11\x11\0\x0c" A4), "!unrecognized protocol version" },
	{ X(SIG "\x22\x11\0\x0c" A4), "!bad command in proxy header" },
	{ X(SIG "\x21\x12\0\x0c" A4), "!unsupported network protocol" },
	{ X(SIG "\x21\x31\0\x0c" A4), "!unsupported network protocol" },
	{ X(SIG "\x21\x00\0\0"), "!unsupported network protocol" },
	{ X(SIG "\x21\x11\0\x0b" A4), "!short address field" },
	{ X(SIG "\x21\x21\0\x0c" A4), "!short address field" },
	{ X(SIG "\x21\x11\xff\xff" A4), "!short version 2 protocol header" },
};

static void describe(enum haproxy_result result, const struct haproxy_header *h, char out[300])
{
	char client[NET_ADDR_TEXT], server[NET_ADDR_TEXT];

	if (result == HAPROXY_MORE)
		snprintf(out, 300, "more");
	else if (result == HAPROXY_BAD)
		snprintf(out, 300, "!%s", h->error);
	else if (h->local)
		snprintf(out, 300, "local %zu", h->length);
	else
		snprintf(out, 300, "%s:%u %s:%u %zu", net_addr_text(&h->client, client),
		    net_addr_port(&h->client), net_addr_text(&h->server, server),
		    net_addr_port(&h->server), h->length);
}

static void headers_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct haproxy_header h;
		char got[300];

		describe(haproxy_parse(cases[i].in, &h), &h, got);
		want_str(cases[i].in.ptr, got, cases[i].want);
	}
}

/* Byte by byte, the same comes out; nothing is said before it is there. */
static void beginnings_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct haproxy_header h;

		if (haproxy_parse(cases[i].in, &h) != HAPROXY_DONE)
			continue;
		for (size_t len = 0, length = h.length; len < length; len++)
			want_int(cases[i].want, haproxy_parse(slice_first(cases[i].in, len), &h),
			    HAPROXY_MORE);
	}
}

static void too_long_is_bad(void **state)
{
	static char text[HAPROXY_MAX];
	struct haproxy_header h;

	(void)state;
	memset(text, ' ', sizeof(text));
	memcpy(text, "PROXY", 5);
	want_int("not yet", haproxy_parse(slice_mem(text, sizeof(text) - 1), &h), HAPROXY_MORE);
	want_int("too long", haproxy_parse(slice_mem(text, sizeof(text)), &h), HAPROXY_BAD);
	want_str("why", h.error, "missing protocol header terminator");
	want_str(
	    "cut", haproxy_incomplete(SLICE_LIT("PROX")), "missing protocol header terminator");
	want_str(
	    "cut 2", haproxy_incomplete(SLICE_LIT("\r\n\r\n")), "short version 2 protocol header");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read),
		cmocka_unit_test(beginnings_wait),
		cmocka_unit_test(too_long_is_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

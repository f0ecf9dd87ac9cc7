// SPDX-License-Identifier: BSD-2-Clause
/* A message that is changed on its way: checks, generic maps, conversion, and their order. */
#include "unit.h"

#include <stdlib.h>

#include "config.h"
#include "content_fixture.h"

bool smtp_is_lmtp;
const struct postfix_params *smtp_params;

#define CHECKS                                                                                     \
	"smtp_header_checks = regexp:{ {/^X-Ignore:/ IGNORE} {/^X-Strip:/ STRIP it}"               \
	" {/^X-Info:/ INFO it} {/^X-Warn:/ WARN it} {/^X-Pre:/ PREPEND X-Pred: yes}"               \
	" {/^X-Prebad:/ PREPEND no header} {/^X-Pre0:/ PREPEND} {/^X-Rep:/ REPLACE X-Repd: yes}"   \
	" {/^X-Repto:/ replace To: bob@rem.test} {/^X-Repbad:/ REPLACE no header}"                 \
	" {/^X-Rep0:/ REPLACE} {/^X-Reject:/ REJECT} {/^X-Discard:/ DISCARD} {/^X-Hold:/ HOLD}"    \
	" {/^X-Fold: a(.*)$$/ REPLACE X-Folded: b$$1} {/^To: <?x@/ IGNORE}"                        \
	" {/^Content-Transfer-Encoding: (.*)/ PREPEND X-Own: $$1} }\n"                             \
	"smtp_mime_header_checks = regexp:{ {/^Content-Transfer-Encoding: (.*)/ PREPEND X-Mime:"   \
	" $$1} {/^X-In-Part/ IGNORE} }\n"                                                          \
	"smtp_nested_header_checks = regexp:{ {/^Content-Transfer-Encoding: (.*)/ PREPEND"         \
	" X-Nested: $$1} {/^X-In-Message/ REPLACE X-Was-In: message} }\n"                          \
	"smtp_body_checks = regexp:{ {/^ignore/ IGNORE} {/^strip/ STRIP it} {/^prep/ PREPEND"      \
	" .before} {/^rep/ REPLACE .instead} {/=C3/ INFO converted} {/^REJECT/ REJECT} {/^$$/"     \
	" IGNORE} }\n"
#define GENERIC                                                                                    \
	"recipient_delimiter = +\npropagate_unmatched_extensions = generic\n"                      \
	"smtp_generic_maps = inline:{ {a@virt.test=x@gen.test} {bob@rem.test=rob@gen.test}"        \
	" {@dom.test=@dom2.test} {loop1@x.test=loop2@x.test} {loop2@x.test=loop3@x.test}"          \
	" {multi@x.test = one@x.test, two@x.test} {nodom@x.test=nodom} {u@ext.test=v@ext2.test}"   \
	" {none@x.test=,} }\n"
#define CTE "Content-Transfer-Encoding: "

static const struct {
	const char *name, *config, *text;
	bool to_7bit;
	const char *want;
} cases[] = {
	{ "actions on headers", CHECKS,
	    "X-Ignore: v\n w\nX-Strip: v\nX-Info: v\nX-Warn: v\nX-Pre: v\nX-Prebad: v\nX-Pre0: v\n"
	    "X-Rep: v\n w\nX-Repbad: v\nX-Rep0: v\nX-Reject: v\nX-Discard: v\nX-Hold: v\n"
	    "X-Fold: a\n b\n\tc\n\nbody\n",
	    false,
	    "X-Info: v\r\nX-Warn: v\r\nX-Pred: yes\r\nX-Pre: v\r\nX-Prebad: v\r\nX-Pre0: v\r\n"
	    "X-Repd: yes\r\nX-Repbad: v\r\nX-Rep0: v\r\nX-Reject: v\r\nX-Discard: v\r\n"
	    "X-Hold: v\r\nX-Folded: b\r\n b\r\n\tc\r\n\r\nbody\r\n" },
	{ "actions on lines", CHECKS,
	    "a: b\n\nignore\n\nstrip\nprepare\nreplace\nREJECT\nX-Ignore: it\n.\n", false,
	    "a: b\r\n\r\n\r\n..before\r\nprepare\r\n..instead\r\nREJECT\r\nX-Ignore: it\r\n..\r\n" },
	{ "a last line without its end", CHECKS, "a: b\n\nlast", false, "a: b\r\n\r\nlast\r\n" },
	{ "an ignored last line", CHECKS, "a: b\n\nignore", false, "a: b\r\n\r\n\r\n" },
	{ "only a header", CHECKS, "a: b\nX-Pre: c", false, "a: b\r\nX-Pred: yes\r\nX-Pre: c\r\n" },
	{ "parts", CHECKS,
	    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=yy\n\nX-In-Part: pro\n--yy\n"
	    "X-In-Part: a\nContent-Type: message/rfc822\n\nX-In-Message: a\n" CTE
	    "7bit\n\nX-In-Message: b\n--yy--\nepi\n",
	    false,
	    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=yy\r\n\r\n"
	    "X-In-Part: pro\r\n--yy\r\nContent-Type: message/rfc822\r\n\r\nX-Was-In: "
	    "message\r\nX-Mime: 7bit\r\n" CTE "7bit\r\n\r\nX-In-Message: b\r\n--yy--\r\nepi\r\n" },
	{ "checks see what the conversion made", CHECKS,
	    "Content-Type: multipart/mixed; boundary=yy\n" CTE "8bit\n\n--yy\n" CTE
	    "8bit\nContent-Type: message/rfc822\n\n" CTE "8bit\n\n\303\244\n--yy--\n",
	    true,
	    "Content-Type: multipart/mixed; boundary=yy\r\nX-Own: 7bit\r\n" CTE
	    "7bit\r\n\r\n--yy\r\nContent-Type: message/rfc822\r\nX-Mime: 7bit\r\n" CTE
	    "7bit\r\n\r\nX-Nested: quoted-printable\r\n" CTE
	    "quoted-printable\r\n\r\n=C3=A4\r\n--yy--\r\n" },
	{ "maps", GENERIC,
	    "From: \"A, B\" <a@virt.test> (c)\nTo: bob@rem.test, other@x.test,\n\tBob <BOB@Rem.Test>\n"
	    "Cc: g: u+e@ext.test, n+e@dom.test;, loop1@x.test, <>\nSubject: bob@rem.test\nreply-to "
	    ":  nodom@x.test\nResent-To: multi@x.test\nX-To: bob@rem.test\n\nbob@rem.test\n",
	    false,
	    "From: \"A, B\" <x@gen.test> (c)\r\nTo: rob@gen.test, other@x.test,\r\n\tBob "
	    "<rob@gen.test>\r\nCc: g: v+e@ext2.test, n+e@dom2.test;, loop2@x.test, <>\r\n"
	    "Subject: bob@rem.test\r\nreply-to: nodom@mail.example.com\r\nResent-To: one@x.test\r\n"
	    "X-To: bob@rem.test\r\n\r\nbob@rem.test\r\n" },
	{ "maps are for the own header", GENERIC,
	    "Content-Type: multipart/mixed; boundary=yy\n\n--yy\nTo: bob@rem.test\n"
	    "Content-Type: message/rfc822\n\nTo: bob@rem.test\n\nx\n",
	    false,
	    "Content-Type: multipart/mixed; boundary=yy\r\n\r\n--yy\r\nTo: bob@rem.test\r\n"
	    "Content-Type: message/rfc822\r\n\r\nTo: bob@rem.test\r\n\r\nx\r\n" },
	{ "checks come before maps", CHECKS GENERIC,
	    "To: x@gen.test\nTo: bob@rem.test\nTo: a@virt.test\nX-Repto: a\n\nx\n", false,
	    "To: rob@gen.test\r\nTo: x@gen.test\r\nTo: rob@gen.test\r\n\r\nx\r\n" },
	{ "conversion alone", "", CTE "8bit\n\n.\303\244\n.\n", true,
	    CTE "quoted-printable\r\n\r\n..=C3=A4\r\n..\r\n" },
	{ "stray ends in a header", "smtp_header_checks = regexp:{ {/^X-Evil/ IGNORE} }\n",
	    "a: b\1X-Evil: c\r\1X-Evil: d\n\r\n\1\n.\1.\n", false,
	    "a: b X-Evil: c  X-Evil: d\r\n \r\n \r\n.. .\r\n" },
	{ "stray ends in what is converted", "", CTE "8bit\n\na\1.\rb\n", true,
	    CTE "quoted-printable\r\n\r\na . b\r\n" },
	{ "long lines", CHECKS "smtp_line_length_limit = 10\n",
	    "a: 4567890123\n\nreplaced\n.2345678901\n", false,
	    "a: 4567890\r\n 123\r\n\r\n..instead\r\n..234567890\r\n 1\r\n" },
};

static struct config config;

static void open_config(const char *text)
{
	config_open(&config, text);
	smtp_params = config.params;
	smtp_content_prepare(smtp_params);
}

static void want_result(size_t i, size_t cut, size_t want)
{
	const struct smtp_content_rules rules = { .dots = true, .to_7bit = cases[i].to_7bit };
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct smtp_failure failure;
	off_t data_offset;
	int fd = write_message(cases[i].text, cut, &data_offset);

	want_int(cases[i].name, send_file(fd, data_offset, &rules, want, false, &out, &failure),
	    SMTP_CONTENT_SENT);
	want_str(cases[i].name, out.ptr, cases[i].want);
	strbuf_release(&out);
	close(fd);
}

static void changed_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		open_config(cases[i].config);
		for (size_t want = 1; want < 200; want += 33)
			want_result(i, 0, want);
		config_close(&config);
	}
}

/* A header's line in several records. */
static void long_header(void **state)
{
	const struct smtp_content_rules rules = { .dots = true };
	struct strbuf text = STRBUF_INIT(20000), out = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct smtp_failure failure;
	off_t data_offset;
	int fd;

	(void)state;
	strbuf_addstr(&text, "To: ");
	for (int i = 0; i < 300; i++)
		strbuf_addf(&text, "%sbob@rem.test,%s", i > 0 ? " " : "", i % 50 == 49 ? "\n" : "");
	strbuf_addstr(&text, " bob@rem.test\nX-Ignore: b\n\nbody\n");
	open_config(GENERIC CHECKS);
	fd = write_message(text.ptr, 400, &data_offset);
	want_int("sent", send_file(fd, data_offset, &rules, 1, false, &out, &failure),
	    SMTP_CONTENT_SENT);
	want_int("nobody is left", slice_find_str(strbuf_slice(&out), "bob"), -1);
	want_int(
	    "the header's end", slice_ends(strbuf_slice(&out), " rob@gen.test\r\n\r\nbody\r\n"), 1);
	close(fd);
	config_close(&config);
	strbuf_release(&text);
	strbuf_release(&out);
}

static const struct {
	const char *name, *config, *text;
	bool to_7bit;
	const char *dsn, *why;
} failures[] = {
	{ "header checks", "smtp_header_checks = fail:x\n", "a: b\n\nc\n", false, "4.3.0",
	    "local data error while talking to mx.test[192.0.2.1]" },
	{ "MIME header checks", "smtp_mime_header_checks = fail:x\n", "Content-Type: b\n\nc\n",
	    false, "4.3.0", "local data error while talking to mx.test[192.0.2.1]" },
	{ "body checks", "smtp_body_checks = fail:x\n", "a: b\n\nc\n", false, "4.3.0",
	    "local data error while talking to mx.test[192.0.2.1]" },
	{ "maps", "smtp_generic_maps = fail:x\n", "To: b@x.test\n\nc\n", false, "4.3.0",
	    "local data error while talking to mx.test[192.0.2.1]" },
	{ "no address", GENERIC, "To: a@x.test, none@x.test\n\nc\n", false, "4.3.0",
	    "local data error while talking to mx.test[192.0.2.1]" },
	{ "nesting", "mime_nesting_limit = 1\n",
	    "Content-Type: multipart/mixed; boundary=a.\n\n--a.\nContent-Type: multipart/mixed; "
	    "boundary=b.\n\n--b.\nContent-Type: multipart/mixed; boundary=c.\n\n--c.\n"
	    "Content-Type: multipart/mixed; boundary=d.\n\nx\n",
	    true, "5.6.0", "MIME nesting exceeds safety limit" },
};

static void refused_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		const struct smtp_content_rules rules = {
			.to_7bit = failures[i].to_7bit,
			.server = "mx.test[192.0.2.1]",
		};
		struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
		struct smtp_failure failure;
		off_t data_offset;
		int fd = write_message(failures[i].text, 0, &data_offset);

		open_config(failures[i].config);
		want_int(failures[i].name,
		    send_file(fd, data_offset, &rules, 1, false, &out, &failure),
		    SMTP_CONTENT_REFUSED);
		want_str(failures[i].name, failure.why.dsn, failures[i].dsn);
		want_str(failures[i].name, failure.why.text, failures[i].why);
		config_close(&config);
		strbuf_release(&out);
		close(fd);
	}
}

static const struct {
	const char *address, *want; /* NULL: the table failed */
} addresses[] = {
	{ "", "" },
	{ "a@virt.test", "x@gen.test" },
	{ "A@VIRT.test", "x@gen.test" },
	{ "a+b@virt.test", "x+b@gen.test" },
	{ "no@where.test", "no@where.test" },
	{ "x y@dom.test", "x y@dom2.test" },
	{ "loop1@x.test", "loop2@x.test" },
	{ "multi@x.test", "one@x.test" },
	{ "nodom@x.test", "nodom@mail.example.com" },
	{ "none@x.test", NULL },
};

static void envelope_addresses(void **state)
{
	(void)state;
	for (int with_map = 0; with_map < 2; with_map++) {
		open_config(with_map ? GENERIC : "");
		for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
			const char *want = with_map ? addresses[i].want : addresses[i].address;
			struct strbuf out = STRBUF_INIT(1000);
			struct smtp_failure failure;

			want_int(addresses[i].address,
			    smtp_content_address(addresses[i].address, &out, &failure),
			    want != NULL);
			if (want != NULL)
				want_str(addresses[i].address, out.ptr, want);
			else
				want_str("why", failure.why.dsn, "4.3.0");
			strbuf_release(&out);
		}
		config_close(&config);
	}
}

/* lmtp has parameters of its own. */
static void lmtp(void **state)
{
	struct strbuf out = STRBUF_INIT(1000);
	struct smtp_failure failure;

	(void)state;
	smtp_is_lmtp = true;
	open_config(GENERIC CHECKS "lmtp_generic_maps = inline:{a@virt.test=lmtp@gen.test}\n");
	assert_true(smtp_content_address("a@virt.test", &out, &failure));
	want_str("lmtp", out.ptr, "lmtp@gen.test");
	strbuf_release(&out);
	config_close(&config);
	smtp_is_lmtp = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changed_messages),
		cmocka_unit_test(long_header),
		cmocka_unit_test(refused_messages),
		cmocka_unit_test(envelope_addresses),
		cmocka_unit_test(lmtp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include <stdlib.h>

#include "base/strbuf.h"
#include "conf/postfix_edit.h"
#include "conf/postfix_programs.h"
#include "conf/postfix_source.h"
#include "unit.h"

static void add_finding(enum conf_severity severity, const char *line, void *arg)
{
	strbuf_addf(arg, "%s %s\n", severity == CONF_ERROR ? "E" : "W", line);
}

/* The findings of postfix_conf_check alone: the texts themselves are read without. */
static void want_check(
    const char *name, const char *main_cf, const char *master_cf, const char *want)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct strbuf got = STRBUF_INIT(100000);
	struct postfix_source *source = postfix_source_new("/x");
	strbuf_addstr(&source->main_text, main_cf);
	strbuf_addstr(&source->master_text, master_cf);
	postfix_main_parse(source, NULL);
	postfix_environment_probe(&source->environment, "");
	postfix_master_parse(source, NULL);
	postfix_conf_check(source, &errors);
	conf_errors_each(&errors, add_finding, &got);
	want_str(name, got.ptr, want);
	strbuf_release(&got);
	conf_errors_release(&errors);
	postfix_source_free(source);
}

/* What the peer installs. */
static const char stock_master[] =
    "smtp      inet  n       -       y       -       -       smtpd\n"
    "pickup    unix  n       -       y       60      1       pickup\n"
    "cleanup   unix  n       -       y       -       0       cleanup\n"
    "qmgr      unix  n       -       n       300     1       qmgr\n"
    "tlsmgr    unix  -       -       y       1000?   1       tlsmgr\n"
    "rewrite   unix  -       -       y       -       -       trivial-rewrite\n"
    "bounce    unix  -       -       y       -       0       bounce\n"
    "defer     unix  -       -       y       -       0       bounce\n"
    "trace     unix  -       -       y       -       0       bounce\n"
    "verify    unix  -       -       y       -       1       verify\n"
    "flush     unix  n       -       y       1000?   0       flush\n"
    "proxymap  unix  -       -       n       -       -       proxymap\n"
    "proxywrite unix -       -       n       -       1       proxymap\n"
    "smtp      unix  -       -       y       -       -       smtp\n"
    "relay     unix  -       -       y       -       -       smtp\n"
    "        -o syslog_name=postfix/$service_name\n"
    "showq     unix  n       -       y       -       -       showq\n"
    "error     unix  -       -       y       -       -       error\n"
    "retry     unix  -       -       y       -       -       error\n"
    "discard   unix  -       -       y       -       -       discard\n"
    "local     unix  -       n       n       -       -       local\n"
    "virtual   unix  -       n       n       -       -       virtual\n"
    "lmtp      unix  -       -       y       -       -       lmtp\n"
    "anvil     unix  -       -       y       -       1       anvil\n"
    "scache    unix  -       -       y       -       1       scache\n"
    "postlog   unix-dgram n  -       n       -       1       postlogd\n"
    "maildrop  unix  -       n       n       -       -       pipe\n"
    "  flags=DRXhu user=vmail argv=/usr/bin/maildrop -d ${recipient}\n";

#define NO_SERVICE ""
#define SMTPD	   "smtp inet n - n - - smtpd\n"
#define OPEN(service, line)                                                                        \
	"service " service " (line " line " of master.cf) would be an open relay: in parameter "   \
	"smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working "  \
	"instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, "        \
	"defer_if_permit\n"

static void test_stock(void **state)
{
	(void)state;
	want_check("stock", "compatibility_level = 3.6\nsmtpd_banner = $myhostname ESMTP\n",
	    stock_master, "");
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *main_cf, *master_cf, *want;
	} cases[] = {
		{ "nothing", "", NO_SERVICE, "" },
		{ "typing error", "a = 1\nmydestinaton = x\n", NO_SERVICE,
		    "W /x/main.cf: line 1: a: unknown parameter, and nothing refers to it\n"
		    "W /x/main.cf: line 2: mydestinaton: unknown parameter (did you mean "
		    "mydestination?)\n" },
		{ "one's own", "mine = x\nmydestination = $mine\n", NO_SERVICE, "" },
		{ "restriction class",
		    "smtpd_relay_restrictions = c\nsmtpd_restriction_classes = c\nc = reject\n",
		    SMTPD, "" },
		{ "table", "transport_maps = ldap:tt\ntt_server_host = x\n", NO_SERVICE, "" },
		{ "transport",
		    "x_destination_recipient_limit = 1\ny_destination_recipient_limit = 1",
		    "x unix - n n - - pipe\n",
		    "W /x/main.cf: line 2: y_destination_recipient_limit: unknown parameter (did "
		    "you mean lmtp_destination_recipient_limit?)\n" },
		{ "not supported", "smtputf8_autodetect_classes = all\n", NO_SERVICE,
		    "W /x/main.cf: line 1: smtputf8_autodetect_classes: not supported yet; "
		    "Postcote goes on as with \"smtputf8_autodetect_classes = sendmail, "
		    "verify\"\n" },
		{ "not supported, but the default",
		    "smtputf8_autodetect_classes = sendmail  verify\n", NO_SERVICE, "" },
		{ "not supported, but used by what is",
		    "mailbox_size_limit = 1\nvirtual_mailbox_limit = $mailbox_size_limit\n",
		    NO_SERVICE, "" },
		{ "not supported in a role", "",
		    "pickup unix n - n 60 1 pickup -o smtputf8_autodetect_classes=\n",
		    "W /x/master.cf: line 1: smtputf8_autodetect_classes: not supported yet; "
		    "Postcote goes on as with \"smtputf8_autodetect_classes = sendmail, "
		    "verify\"\n" },
		{ "not supported, and used by what is not",
		    "smtpd_milters = inet:x:1\nnon_smtpd_milters = $smtpd_milters\n", NO_SERVICE,
		    "W /x/main.cf: line 1: smtpd_milters: not supported yet; Postcote goes on as "
		    "with \"smtpd_milters = \"\n"
		    "W /x/main.cf: line 2: non_smtpd_milters: not supported yet; Postcote goes on "
		    "as with \"non_smtpd_milters = \"\n" },
		{ "bad level", "compatibility_level = 3.6 x\n", NO_SERVICE,
		    "E /x/main.cf: line 1: compatibility_level: bad value: 3.6 x (want a release, "
		    "such as 3.6)\n" },
		{ "for what is absent", "forward_path = $home/x\n", NO_SERVICE,
		    "W /x/main.cf: line 1: forward_path: no effect yet: it is for local, which is not "
		    "supported yet\n" },
		{ "wrong in a role", "", "\n\npickup unix n - n 60 1 pickup -o queue_minfree=x\n",
		    "E /x/master.cf: line 3: queue_minfree: bad numerical value: x (want a number)\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		want_check(cases[i].name, cases[i].main_cf, cases[i].master_cf, cases[i].want);
}

static void test_restrictions(void **state)
{
	static const struct {
		const char *name, *main_cf, *master_cf, *want;
	} cases[] = {
		{ "all known",
		    "smtpd_sender_restrictions = permit_mynetworks, check_sender_access hash:/x\n"
		    "  warn_if_reject, REJECT_unlisted_sender sleep 5, inline:{ {a = b} }\n",
		    NO_SERVICE, "" },
		{ "not supported",
		    "smtpd_recipient_restrictions = reject_rbl_client rbl.test, permit,\n"
		    "  check_policy_service { inet:127.0.0.1:1, timeout = 2s }, permit_mx_backup\n",
		    NO_SERVICE,
		    "W /x/main.cf: line 1: smtpd_recipient_restrictions: reject_rbl_client is not "
		    "supported yet: who gets there is answered with 451\n"
		    "W /x/main.cf: line 1: smtpd_recipient_restrictions: \"check_policy_service\" is "
		    "never reached, it stands behind \"permit\"\n"
		    "W /x/main.cf: line 1: smtpd_recipient_restrictions: check_policy_service is "
		    "not supported yet: who gets there is answered with 451\n"
		    "W /x/main.cf: line 1: smtpd_recipient_restrictions: permit_mx_backup is not "
		    "supported yet: who gets there is answered with 451\n" },
		{ "unknown", "smtpd_helo_restrictions = rejct\n", NO_SERVICE,
		    "W /x/main.cf: line 1: smtpd_helo_restrictions: unknown restriction \"rejct\" "
		    "(did you mean reject?): who gets there is answered with 451\n" },
		{ "a class, nearly",
		    "smtpd_restriction_classes = own_class\nown_class = reject\n"
		    "smtpd_data_restrictions = own_clas\n",
		    NO_SERVICE,
		    "W /x/main.cf: line 3: smtpd_data_restrictions: unknown restriction "
		    "\"own_clas\" (did you mean own_class?): who gets there is answered with "
		    "451\n" },
		{ "like nothing", "smtpd_data_restrictions = xyz\n", NO_SERVICE,
		    "W /x/main.cf: line 1: smtpd_data_restrictions: unknown restriction \"xyz\": "
		    "who gets there is answered with 451\n" },
		{ "no argument",
		    "smtpd_data_restrictions = permit_mynetworks, check_sender_access\n",
		    NO_SERVICE,
		    "W /x/main.cf: line 1: smtpd_data_restrictions: check_sender_access lacks its "
		    "argument: who gets there is answered with 451\n" },
		{ "never reached",
		    "smtpd_data_restrictions = warn_if_reject reject, permit, reject, permit\n",
		    NO_SERVICE,
		    "W /x/main.cf: line 1: smtpd_data_restrictions: \"reject\" is never reached, it "
		    "stands behind \"permit\"\n" },
		{ "in a class",
		    "smtpd_restriction_classes = c\nc = reject_unverified_sender\n"
		    "smtpd_data_restrictions = c\n",
		    NO_SERVICE,
		    "W /x/main.cf: line 2: c: reject_unverified_sender is not supported yet: who "
		    "gets there is answered with 451\n" },
		{ "in a role", "compatibility_level = 3.6\n",
		    SMTPD " -o smtpd_client_restrictions=permit_dnswl_client,list.test\n",
		    "W /x/master.cf: line 1: smtpd_client_restrictions: permit_dnswl_client is not "
		    "supported yet: who gets there is answered with 451\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		want_check(cases[i].name, cases[i].main_cf, cases[i].master_cf, cases[i].want);
}

static void test_services(void **state)
{
	static const struct {
		const char *name, *main_cf, *master_cf, *want;
	} cases[] = {
		{ "absent, on a port", "", "smtp inet n - n - 1 postscreen\n",
		    "W /x/master.cf: line 1: service smtp: program postscreen is not supported yet: its "
		    "port is not served\n" },
		{ "unknown", "", "x unix - - n - - frobnicate\n",
		    "W /x/master.cf: line 1: service x: program frobnicate is unknown, the service is "
		    "not started\n" },
		{ "pointed to", "virtual_transport = local\n", stock_master,
		    "W /x/main.cf: line 1: virtual_transport: service local runs local, which is not "
		    "supported yet: mail for it is deferred\n" },
		{ "pointed to by relayhost", "relayhost = [192.0.2.1]\n", stock_master, "" },
		{ "pointed to nothing", "virtual_transport = dovecot:x\n", stock_master,
		    "W /x/main.cf: line 1: virtual_transport: there is no service dovecot in "
		    "master.cf: mail for it is deferred\n" },
		{ "pointed to what needs no entry", "local_transport = error:5.1.1 none\n", "",
		    "" },
		{ "pointed to what is there", "virtual_transport = virtual\nrelayhost =\n",
		    stock_master, "" },
	};
	struct strbuf main_cf = STRBUF_INIT(10000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		strbuf_reset(&main_cf);
		strbuf_addf(&main_cf, "%scompatibility_level = 3.6\n", cases[i].main_cf);
		want_check(cases[i].name, main_cf.ptr, cases[i].master_cf, cases[i].want);
	}
	strbuf_release(&main_cf);
}

static void test_relay(void **state)
{
	static const struct {
		const char *name, *main_cf;
		bool open;
	} cases[] = {
		{ "level 0 and nothing", "", true },
		{ "level 1 and nothing", "compatibility_level = 1\n", false },
		{ "emptied", "compatibility_level = 3\nsmtpd_relay_restrictions =\n", true },
		{ "recipients", "smtpd_recipient_restrictions = permit_mynetworks, reject\n",
		    false },
		{ "unauth",
		    "smtpd_recipient_restrictions=permit_mynetworks reject_unauth_destination\n",
		    false },
		{ "in capitals", "smtpd_relay_restrictions = REJECT\n", false },
		{ "permit before", "smtpd_relay_restrictions = permit, reject\n", true },
		{ "only a warning", "smtpd_relay_restrictions = warn_if_reject reject\n", true },
		{ "a warning and more",
		    "smtpd_relay_restrictions = warn_if_reject permit, defer_unauth_destination\n",
		    false },
		{ "other checks",
		    "smtpd_relay_restrictions = permit_mynetworks\n"
		    "smtpd_sender_restrictions = reject\n",
		    true },
		{ "a name that holds it", "smtpd_relay_restrictions = reject_unverified_sender\n",
		    true },
		{ "an expanded value",
		    "a = defer\nsmtpd_relay_restrictions = permit_mynetworks $a\n", false },
	};
	static const char want[] = "E /x/main.cf: ";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_errors errors = CONF_ERRORS_INIT;
		struct strbuf got = STRBUF_INIT(10000);
		struct postfix_source *source = postfix_source_new("/x");
		strbuf_addstr(&source->main_text, cases[i].main_cf);
		strbuf_addstr(&source->master_text, SMTPD);
		postfix_main_parse(source, NULL);
		postfix_master_parse(source, NULL);
		postfix_conf_check(source, &errors);
		conf_errors_each(&errors, add_finding, &got);
		want_int(
		    cases[i].name, slice_find_str(strbuf_slice(&got), want) >= 0, cases[i].open);
		want_int(cases[i].name, slice_find_str(strbuf_slice(&got), "open relay") >= 0,
		    cases[i].open);
		strbuf_release(&got);
		conf_errors_release(&errors);
		postfix_source_free(source);
	}
	want_check("per service", "compatibility_level = 3.6\n",
	    SMTPD "10025 inet n - n - - smtpd -o smtpd_relay_restrictions=permit_mynetworks\n",
	    "E /x/main.cf: " OPEN("10025", "2"));
}

/* What the peer makes of such interfaces. */
static void test_networks(void **state)
{
	static const struct {
		const char *style, *interfaces, *protocols, *want;
	} cases[] = {
		{ "host", "all", "all",
		    "127.0.0.1/32 10.1.2.3/32 192.0.2.2/32 [::1]/128 [fd00::2]/128 "
		    "[fe80::fc:ff:fe00:1]/128" },
		{ "subnet", "all", "all",
		    "127.0.0.0/8 10.1.0.0/22 192.0.2.0/24 [::1]/128 [fd00::]/64 [fe80::]/64" },
		{ "class", "all", "all",
		    "127.0.0.0/8 10.0.0.0/8 192.0.2.0/24 [::1]/128 [fd00::]/64 [fe80::]/64" },
		{ "subnet", "all", "ipv4", "127.0.0.0/8 10.1.0.0/22 192.0.2.0/24" },
		{ "subnet", "all", "ipv6", "[::1]/128 [fd00::]/64 [fe80::]/64" },
		{ "subnet", "loopback-only", "ipv4, ipv6", "127.0.0.0/8 [::1]/128" },
		{ "subnet", "192.0.2.2", "all", "192.0.2.0/24" },
		{ "subnet", "[::1]", "all", "[::1]/128" },
		{ "subnet", "127.0.0.1, ::1", "all", "127.0.0.0/8 [::1]/128" },
		{ "host", "mail.example.org", "all", "192.0.2.2/32 [fd00::2]/128" },
		{ "host", "unknown.example.org", "all", "" },
		{ "host", "", "all", "" },
		{ "network", "all", "all", NULL },
	};
	struct postfix_environment environment = { (char[]){ "h" }, STRBUF_INIT(10000) };

	(void)state;
	strbuf_addstr(&environment.addresses,
	    "i 127.0.0.1/8\ni 10.1.2.3/22\ni 192.0.2.2/24\ni 192.0.2.2/24\ni ::1/128\n"
	    "i fd00::2/64\ni fe80::fc:ff:fe00:1/64\nh mail.example.org 192.0.2.2\n"
	    "h mail.example.org fd00::2\nh other.example.org 10.1.2.3\n");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct strbuf out = STRBUF_INIT(10000);
		bool known = postfix_environment_networks(
		    &environment, cases[i].style, cases[i].interfaces, cases[i].protocols, &out);
		want_int(cases[i].style, known, cases[i].want != NULL);
		want_str(cases[i].interfaces, out.ptr, cases[i].want ? cases[i].want : "");
		strbuf_release(&out);
	}
	strbuf_release(&environment.addresses);
}

static void test_programs(void **state)
{
	(void)state;
	want_int("smtpd", postfix_program_find("smtpd")->kind, PROGRAM_RUNS);
	want_int("cleanup", postfix_program_find("cleanup")->kind, PROGRAM_FOLDED);
	assert_null(postfix_program_find("frobnicate"));
}

static void test_decode(void **state)
{
	static const char good[] = "PCPFXC01\0\0\0\002/x\0\0\0\001h\0\0\0\0\0\0\0\004a=b\n\0\0\0\0";
	char changed[sizeof(good) + 1];
	size_t len = sizeof(good) - 1;

	(void)state;
	struct postfix_source *source = postfix_source_decode(slice_mem(good, len));
	assert_non_null(source);
	want_str("value", postfix_source_raw(source, "a", NULL), "b");
	want_str("host", source->environment.hostname, "h");
	postfix_source_free(source);
	for (size_t cut = 0; cut < len; cut++)
		assert_null(postfix_source_decode(slice_mem(good, cut)));
	memcpy(changed, good, len);
	changed[len] = '\0';
	assert_null(postfix_source_decode(slice_mem(changed, len + 1)));
	changed[8] = '\x7f';
	assert_null(postfix_source_decode(slice_mem(changed, len)));
}

static void test_edit(void **state)
{
	static const struct {
		const char *name, *in, *set, *comment, *remove;
	} cases[] = {
		{ "empty", "", "a = 1\n", "", "" },
		{ "there", "a=0\n", "a = 1\n", "#a=0\n", "" },
		{ "no newline", "a=0", "a = 1\n", "#a=0\n", "" },
		{ "another, no newline", "b=0", "b=0\na = 1\n", "b=0\n", "b=0\n" },
		{ "continued", "a = x\n # c\n\n  y\nb = 2\n z\n", "a = 1\n # c\n\nb = 2\n z\n",
		    "#a = x\n # c\n\n#  y\nb = 2\n z\n", " # c\n\nb = 2\n z\n" },
		{ "a name that begins alike", "aa = 0\na1=2\n", "aa = 0\na1=2\na = 1\n",
		    "aa = 0\na1=2\n", "aa = 0\na1=2\n" },
		{ "commented out", "#a = 0\n", "#a = 0\na = 1\n", "#a = 0\n", "#a = 0\n" },
	};
	struct postfix_edit edit = { (char[]){ "a" }, (char[]){ "1" }, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *want[] = { cases[i].set, cases[i].comment, cases[i].remove };
		for (int action = 0; action < 3; action++) {
			struct strbuf out = STRBUF_INIT(1000);
			postfix_edit(&out, slice_of(cases[i].in), (enum postfix_edit_action)action,
			    &edit, 1);
			want_str(cases[i].name, out.ptr, want[action]);
			strbuf_release(&out);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_restrictions),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_edit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

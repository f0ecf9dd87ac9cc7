// SPDX-License-Identifier: BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "conf/conf_lines.h"
#include "conf/postfix_conf.h"
#include "conf/postfix_param_list.h"
#include "conf/postfix_value.h"
#include "sys/file.h"
#include "unit.h"

/* A directory with these two files, read. */
static struct postfix_source *read_texts(
    const char *main_cf, const char *master_cf, struct conf_errors *errors)
{
	char dir[] = "/tmp/test_postfix_conf.XXXXXX", path[100];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	assert_int_equal(file_replace(AT_FDCWD, path, slice_of(main_cf), 0644), 0);
	if (master_cf) {
		snprintf(path, sizeof(path), "%s/master.cf", dir);
		assert_int_equal(file_replace(AT_FDCWD, path, slice_of(master_cf), 0644), 0);
	}
	struct postfix_source *source = postfix_source_read(dir, errors);
	assert_non_null(source);
	want_str("dir", postfix_source_dir(source), dir);
	snprintf(path, sizeof(path), "%s/master.cf", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/main.cf", dir);
	unlink(path);
	rmdir(dir);
	return source;
}

static void add_finding(enum conf_severity severity, const char *line, void *arg)
{
	/* Without the name of the temporary directory. */
	const char *base = strncmp(line, "/tmp/", 5) == 0 ? strrchr(line, '/') : NULL;
	while (base && strncmp(base, "/main.cf", 8) != 0 && strncmp(base, "/master.cf", 10) != 0)
		base = base > line ? memrchr(line, '/', (size_t)(base - line)) : NULL;
	strbuf_addf(arg, "%s%s\n", severity == CONF_ERROR ? "E " : "W ", base ? base + 1 : line);
}

static void want_findings(const char *name, struct conf_errors *errors, const char *want)
{
	struct strbuf got = STRBUF_INIT(100000);
	conf_errors_each(errors, add_finding, &got);
	want_str(name, got.ptr, want);
	strbuf_release(&got);
	conf_errors_release(errors);
}

static void test_lines(void **state)
{
	static const struct {
		const char *text, *want; /* "NUMBER:TEXT|" for each */
	} cases[] = {
		{ "", "" },
		{ "\n  \n\t\n", "" },
		{ "a = b", "1:a = b|" },
		{ "# c\n  # c2\na = b  \n", "3:a = b  |" },
		{ "a = b\n c\n\td\ne", "1:a = b c\td|4:e|" },
		{ "a = b,\n# in the middle\n   c\nd", "1:a = b,   c|4:d|" },
		{ "a = b,\n\n   # in the middle\n\n   c\n\n\nd\n", "1:a = b,   c|8:d|" },
		{ "a = b # c\n", "1:a = b # c|" },
		{ " a = b\nc", "1: a = b|2:c|" },
		{ "a\n#", "1:a|" },
		{ "a\r\n b\r\n", "1:a\r b\r|" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_lines lines;
		struct strbuf line = STRBUF_INIT(1000), got = STRBUF_INIT(1000);
		conf_lines_init(&lines, slice_of(cases[i].text));
		while (conf_lines_next(&lines, &line))
			strbuf_addf(&got, "%u:%s|", lines.first, line.ptr);
		want_str(cases[i].text, got.ptr, cases[i].want);
		strbuf_release(&line);
		strbuf_release(&got);
	}
}

static void test_main_cf(void **state)
{
	static const char text[] = "# comment\n"
				   "    # comment\n"
				   "a=b\n"
				   "trailing = static:5000  \n"
				   "list = permit_mynetworks,\n"
				   "  # not an end\n"
				   "\treject  \n"
				   "empty =\n"
				   "not_a_comment = x # y\n"
				   "equal = a=b\n"
				   "twice = 1\n"
				   "twice = 1\n"
				   "twice = 2\n";
	static const struct {
		const char *name, *value;
		unsigned line;
	} want[] = {
		{ "a", "b", 3 },
		{ "trailing", "static:5000", 4 },
		{ "list", "permit_mynetworks,\treject", 5 },
		{ "empty", "", 8 },
		{ "not_a_comment", "x # y", 9 },
		{ "equal", "a=b", 10 },
		{ "twice", "2", 13 },
	};
	struct conf_errors errors = CONF_ERRORS_INIT;

	(void)state;
	struct postfix_source *source = read_texts(text, "", &errors);
	want_findings("main.cf", &errors,
	    "W main.cf: line 13: overriding earlier entry: twice=1 (line 12)\n");
	want_int("count", postfix_source_set_count(source), ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		unsigned line = 0;
		want_str("name", postfix_source_set_name(source, i), want[i].name);
		want_str(
		    want[i].name, postfix_source_raw(source, want[i].name, &line), want[i].value);
		want_int(want[i].name, line, want[i].line);
	}
	assert_null(postfix_source_raw(source, "other", NULL));
	postfix_source_free(source);
}

static void test_all_errors_at_once(void **state)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	(void)state;
	struct postfix_source *source = read_texts(" leading = 1\n"
						   "no equal sign\n"
						   "= no name\n"
						   "smtpd_timeout = 3x\n"
						   "smtpd_helo_required = maybe\n"
						   "smtpd_recipient_limit = 0\n"
						   "in_flow_delay = 11\n"
						   "message_size_limit = 1M\n"
						   "mynetworks_style = host,subnet\n"
						   "smtpd_banner = ${myhostname\n"
						   "loop = $loop2\n"
						   "loop2 = a $loop\n"
						   "myhostname = -bad-\n"
						   "maximal_queue_lifetime = 200d\n"
						   "queue_minfree = -1\n"
						   "inet_protocols = ipv4 ipv5\n"
						   "two\tlines = $x\n",
	    NULL, &errors);
	struct postfix_params *params = postfix_params_new(source, NULL, &errors);
	want_int("smtpd_timeout", params->smtpd_timeout, 300);
	want_int("smtpd_helo_required", params->smtpd_helo_required, false);
	want_int("smtpd_recipient_limit", params->smtpd_recipient_limit, 1000);
	want_int("in_flow_delay", params->in_flow_delay, 1);
	want_int("message_size_limit", params->message_size_limit, 10240000);
	want_str("its text", postfix_param_lookup(params, "message_size_limit"), "10240000");
	want_int("maximal_queue_lifetime", params->maximal_queue_lifetime, 432000);
	want_int("queue_minfree", params->queue_minfree, 0);
	postfix_params_free(params);
	postfix_source_free(source);
	want_findings("everything", &errors,
	    "E master.cf: cannot be read: No such file or directory\n"
	    "W main.cf: line 1: logical line must not start with whitespace, ignored: "
	    "\" leading = 1\"\n"
	    "E main.cf: line 2: missing '=' after attribute name: \"no equal sign\"\n"
	    "E main.cf: line 3: missing attribute name: \"= no name\"\n"
	    "E main.cf: line 17: missing '=' after attribute name: \"two?lines = $x\"\n"
	    "E main.cf: line 10: smtpd_banner: truncated reference at \"{myhostname\"\n"
	    "E main.cf: line 11: loop: the value refers to itself\n"
	    "E main.cf: line 7: in_flow_delay: bad value: 11 (the most is 10)\n"
	    "E main.cf: line 14: maximal_queue_lifetime: bad value: 200d (the most is 8640000)\n"
	    "E main.cf: line 8: message_size_limit: bad numerical value: 1M (want a number)\n"
	    "E main.cf: line 9: mynetworks_style: bad value: host,subnet (want host, subnet or "
	    "class)\n"
	    "W main.cf: line 15: queue_minfree: negative value -1 counts as 0\n"
	    "E main.cf: line 5: smtpd_helo_required: bad boolean value: maybe (want yes or no)\n"
	    "E main.cf: line 6: smtpd_recipient_limit: bad value: 0 (the least is 1)\n"
	    "E main.cf: line 4: smtpd_timeout: bad time value: 3x (want a number and s, m, h, d or "
	    "w)\n"
	    "E main.cf: line 13: myhostname: bad host name: \"-bad-\"\n"
	    "E main.cf: line 16: inet_protocols: bad value: ipv4 ipv5 (want all, ipv4 or ipv6)\n");
}

/* The default's text is one of its type and bounds. */
static void want_typed(const struct postfix_params *params, const struct postfix_param_row *row)
{
	const char *text = row->is_old ? "" : postfix_param_lookup(params, row->name);
	long long number = 0;
	int64_t seconds;
	bool yes, good = true;

	if (row->is_old || row->type == PARAM_STR || row->type == PARAM_RAW)
		return;
	if (row->type == PARAM_BOOL) {
		good = postfix_value_bool(text, &yes);
	} else if (row->type == PARAM_TIME) {
		good = postfix_value_time(text, 0, &seconds);
		number = seconds;
	} else {
		good = postfix_value_number(text, &number);
	}
	want_int(row->name, good, true);
	want_int(row->name, number >= row->min && (row->max == 0 || number <= row->max), true);
}

static void test_defaults(void **state)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	(void)state;
	struct postfix_source *source = read_texts("", "", &errors);
	struct postfix_params *params = postfix_params_new(source, NULL, &errors);
	want_findings("defaults", &errors, "");
	want_str("compatibility_level", params->compatibility_level, "0");
	want_str("mynetworks_style", params->mynetworks_style, "subnet");
	want_str("smtpd_relay_restrictions", params->smtpd_relay_restrictions, "");
	want_int("smtpd_forbid_unauth_pipelining", params->smtpd_forbid_unauth_pipelining, false);
	want_int("append_dot_mydomain", params->append_dot_mydomain, true);
	want_int("maximal_queue_lifetime", params->maximal_queue_lifetime, 432000);
	want_int("smtpd_hard_error_limit", params->smtpd_hard_error_limit, 20);
	want_int("smtpd_timeout", params->smtpd_timeout, 300);
	want_str("syslog_name", params->syslog_name, "postfix");
	want_str("2bounce", params->two_bounce_notice_recipient, "postmaster");
	want_str("raw", params->forward_path,
	    "$home/.forward${recipient_delimiter}${extension}, $home/.forward");
	want_str("alias_maps", params->alias_maps, "lmdb:/etc/aliases");
	want_str("filter", postfix_param_lookup(params, "smtpd_discard_ehlo_keywords"), "");
	want_str("mail_version", params->mail_version, "3.11.6");
	want_str("command_directory", params->command_directory, PC_SBINDIR);
	want_str("config_directory", params->config_directory, postfix_source_dir(source));
	assert_non_null(strchr(params->myhostname, '.'));
	want_str("mydomain", params->mydomain, strchr(params->myhostname, '.') + 1);
	assert_null(postfix_param_lookup(params, "no_such_thing"));
	/* An old name is nothing until somebody sets it. */
	assert_null(postfix_param_lookup(params, "virtual_maps"));
	assert_null(postfix_param_lookup(params, "postscreen_dnsbl_ttl"));
	want_int("postscreen_dnsbl_ttl", params->postscreen_dnsbl_ttl, 3600);
	for (size_t i = 0; i < postfix_param_count(); i++)
		want_typed(params, postfix_param_row(i));
	postfix_params_free(params);
	postfix_source_free(source);
}

static void test_values(void **state)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	(void)state;
	struct postfix_source *source =
	    read_texts("compatibility_level = 3.11\n"
		       "mydomain = vm1.vm\n"
		       "mine = $mydomain, ${other?{set}:{unset}}\n"
		       "virtual_mailbox_domains = $mine\n"
		       "virtual_mailbox_limit = $mailbox_size_limit\n"
		       "mailbox_size_limit = 1073741824\n"
		       "virtual_maps = hash:/etc/v\n"
		       "maximal_queue_lifetime = 3\n"
		       "smtpd_tls_session_cache_database = btree:${data_directory}/smtpd_scache\n"
		       "forward_path = $home/x\n"
		       "maildrop_destination_recipient_limit = 1\n"
		       "default_destination_concurrency_limit = 7\n",
		"maildrop unix - n n - - pipe\n  flags=D argv=/bin/x -o y=z\n"
		"smtps inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -v\n"
		"  -o { mine = own ${mydomain} } -omail_name=Other\n",
		&errors);
	const struct postfix_service *smtps = postfix_service_find(source, "smtps", "inet");
	struct postfix_params *params = postfix_params_new(source, NULL, &errors);
	struct postfix_params *role = postfix_params_new(source, smtps, &errors);
	want_findings("values", &errors, "");
	want_str("mynetworks_style", params->mynetworks_style, "host");
	want_int("smtpd_forbid_unauth_pipelining", params->smtpd_forbid_unauth_pipelining, true);
	want_str("domains", params->virtual_mailbox_domains, "vm1.vm, unset");
	want_int("limit", params->virtual_mailbox_limit, 1073741824);
	want_str("old name", params->virtual_alias_maps, "hash:/etc/v");
	want_int("days", params->maximal_queue_lifetime, 3 * 86400);
	want_str("braces", params->smtpd_tls_session_cache_database,
	    "btree:" PC_LOCALSTATEDIR "/lib/postfix/smtpd_scache");
	want_str("raw", params->forward_path, "$home/x");
	want_str("transport, set",
	    postfix_param_lookup(params, "maildrop_destination_recipient_limit"), "1");
	want_str("transport, default",
	    postfix_param_lookup(params, "maildrop_destination_concurrency_limit"), "7");
	want_str("listed transport", postfix_param_lookup(params, "smtp_time_limit"), "1000s");
	want_int("listed transport", params->relay_destination_concurrency_limit, 7);
	want_int("main.cf", params->smtpd_tls_wrappermode, false);
	want_int("-o", role->smtpd_tls_wrappermode, true);
	want_str("-o { }", role->virtual_mailbox_domains, "own vm1.vm");
	want_str("-oname", role->mail_name, "Other");
	want_str("banner", role->smtpd_banner, params->myhostname[0] ? role->smtpd_banner : "");
	want_str("service_name", role->service_name, "smtps");
	want_str("process_name", role->process_name, "smtpd");
	char *text = postfix_param_expand(params, "<$mine> $$");
	want_str("expand", text, "<vm1.vm, unset> $");
	free(text);
	assert_null(postfix_param_expand(params, "${"));
	postfix_params_free(params);
	postfix_params_free(role);
	postfix_source_free(source);
}

static void test_master_cf(void **state)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	(void)state;
	struct postfix_source *source = read_texts("compatibility_level = 2\n",
	    "# comment\n"
	    "smtp      inet  n       -       n       -       -       smtpd\n"
	    "submission inet n - y - 10 smtpd\n"
	    "  # comment\n"
	    "\n"
	    "  -o { a = b c } -o d=e -v {-x y}\n"
	    "qmgr unix n - - 300 1 qmgr\n"
	    "tlsmgr unix - - n 1000? 1 tlsmgr\n"
	    "local unix - n n - 0 local\n"
	    "qmgr fifo n n n - 1 oqmgr\n"
	    "smtp unix - - n - - smtp\n"
	    "local unix - n n - 2 local\n"
	    "post unix-dgram n - n - 1 postlogd\n"
	    "x pass - - n - - pipe flags=D {argv=/bin/a -o b} -o q=r\n",
	    &errors);
	want_findings("master.cf", &errors,
	    "W master.cf: line 12: duplicate entry for service \"local\" (unix), replaces that of "
	    "line 9\n");
	want_int("count", postfix_service_count(source), 9);
	const struct postfix_service *s = postfix_service_at(source, 0);
	want_str("name", s->name, "smtp");
	want_int("private", s->is_private, false);
	want_int("unprivileged", s->unprivileged, true);
	want_int("chroot", s->chroot, false);
	want_int("wakeup", s->wakeup_s, 0);
	want_int("maxproc", s->max_processes, -1);
	want_int("line", s->line, 2);
	assert_null(s->args[0]);
	s = postfix_service_at(source, 1);
	want_int("chroot", s->chroot, true);
	want_int("maxproc", s->max_processes, 10);
	want_int("overrides", s->override_count, 2);
	want_str("name", s->overrides[0].name, "a");
	want_str("value", s->overrides[0].value, "b c");
	want_str("value", s->overrides[1].value, "e");
	want_str("arg", s->args[0], "-v");
	want_str("arg", s->args[1], "-x y");
	assert_null(s->args[2]);
	want_int("line", s->line, 3);
	s = postfix_service_find(source, "qmgr", "unix");
	want_int("wakeup", s->wakeup_s, 300);
	want_int("level 2: no chroot", s->chroot, false);
	s = postfix_service_find(source, "tlsmgr", NULL);
	want_int("wakeup", s->wakeup_s, 1000);
	want_int("wakeup?", s->wakeup_if_used, true);
	want_int("private", s->is_private, true);
	s = postfix_service_find(source, "local", "unix");
	want_int("last wins", s->max_processes, 2);
	want_str("type", postfix_service_find(source, "smtp", "unix")->program, "smtp");
	s = postfix_service_find(source, "x", "pass");
	want_int("an argument of pipe's", s->override_count, 0);
	want_str("braces", s->args[1], "argv=/bin/a -o b");
	want_str("args", s->args[2], "-o");
	assert_null(postfix_service_find(source, "smtp", "pass"));
	postfix_source_free(source);

	source = read_texts("", "qmgr unix n - - 300 1 qmgr\n", &errors);
	want_int("level 0: chroot", postfix_service_at(source, 0)->chroot, true);
	postfix_source_free(source);
	want_findings("level 0", &errors, "");
}

static void test_master_cf_errors(void **state)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	(void)state;
	struct postfix_source *source = read_texts("",
	    "  x\n"
	    "a inet n - n - - smtpd\n"
	    "b inet - - n - - smtpd\n"
	    "c inet n - n -\n"
	    "d tcp n - n - - smtpd\n"
	    "e unix Y - n 5s many smtpd\n"
	    "f unix - - n - - smtpd -o nothing\n"
	    "g unix - - n - - smtpd -o\n"
	    "h unix - - n - - smtpd {-o\n"
	    "i unix - - n - -\n"
	    "j unix - - n - - smtpd -o { =x }\n",
	    &errors);
	want_int("count", postfix_service_count(source), 1);
	postfix_source_free(source);
	want_findings("master.cf", &errors,
	    "E master.cf: line 1: continues a line, but there is none before it\n"
	    "E master.cf: line 3: service b: an inet service cannot be private (want n in column "
	    "\"private\")\n"
	    "E master.cf: line 4: 6 of 8 columns: \"c inet n - n -\"\n"
	    "E master.cf: line 5: service type \"tcp\" is unknown (want inet, unix, unix-dgram, fifo "
	    "or pass)\n"
	    "E master.cf: line 6: column \"private\" is \"Y\" (want y, n or -)\n"
	    "E master.cf: line 6: column \"wakeup\" is \"5s\" (want seconds, seconds? or -)\n"
	    "E master.cf: line 6: column \"maxproc\" is \"many\" (want a number or -)\n"
	    "E master.cf: line 7: -o: missing '=' after attribute name: \"nothing\"\n"
	    "E master.cf: line 8: -o without name=value\n"
	    "E master.cf: line 9: syntax after \"{\" in argument: \"{-o\"\n"
	    "E master.cf: line 10: 7 of 8 columns: \"i unix - - n - -\"\n"
	    "E master.cf: line 11: -o: missing attribute name: \"=x\"\n");
}

static void test_seal(void **state)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	(void)state;
	struct postfix_source *source = read_texts("a = b\n c\nmynetworks_style = subnet\n",
	    "smtp inet n - n - - smtpd -o x=y\n", &errors);
	want_findings("seal", &errors, "");
	int fd = postfix_source_seal(source);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EPERM);
	struct postfix_source *copy = postfix_source_load(fd);
	assert_non_null(copy);
	want_str("dir", postfix_source_dir(copy), postfix_source_dir(source));
	want_str("raw", postfix_source_raw(copy, "a", NULL), "b c");
	want_str("service", postfix_service_at(copy, 0)->overrides[0].value, "y");
	struct postfix_params *a = postfix_params_new(source, NULL, NULL);
	struct postfix_params *b = postfix_params_new(copy, NULL, NULL);
	want_str("computed", b->mynetworks, a->mynetworks);
	want_str("computed", b->myhostname, a->myhostname);
	postfix_params_free(a);
	postfix_params_free(b);
	postfix_source_free(source);
	postfix_source_free(copy);
	close(fd);

	fd = memfd_create("not sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_null(postfix_source_load(fd));
	close(fd);
	assert_null(postfix_source_load(-1));
}

static void test_list(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ " , ,", "" },
		{ "a", "a|" },
		{ "a, b\tc,,d\n", "a|b|c|d|" },
		{ "{a b, c} d", "a b, c|d|" },
		{ "{ a {b c} }", "a {b c}|" },
		{ "inline:{ {k = v, w} k2=v2 } x", "inline:{ {k = v, w} k2=v2 }|x|" },
		{ "regexp:{{/a b/ c}}", "regexp:{{/a b/ c}}|" },
		{ "{a}{b}", "{a}{b}|" },
		{ "{a b", "{a|b|" },
		{ "a} b", "a}|b|" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *rest = cases[i].text;
		struct strbuf word = STRBUF_INIT(1000), got = STRBUF_INIT(1000);
		while (postfix_list_next(&rest, &word))
			strbuf_addf(&got, "%s|", word.ptr);
		want_str(cases[i].text, got.ptr, cases[i].want);
		strbuf_release(&word);
		strbuf_release(&got);
	}
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < postfix_param_count(); i++) {
		const struct postfix_param_row *row = postfix_param_row(i);
		if (i > 0 && strcmp(postfix_param_row(i - 1)->name, row->name) >= 0)
			fail_msg("%s is out of order", row->name);
		if (row->works && row->text[0] == '\0')
			fail_msg("%s works but has no description", row->name);
		if (row->max != 0 && row->max < row->min)
			fail_msg("%s: maximum below minimum", row->name);
		assert_ptr_equal(postfix_param_find(row->name), row);
	}
	assert_true(postfix_param_count() > 1060);
	assert_null(postfix_param_find("no_such_thing"));
}

static void test_nearest(void **state)
{
	static const struct {
		const char *name, *want; /* "": none */
	} cases[] = {
		{ "mydestinaton", "mydestination" },
		{ "smtpd_relay_restriction", "smtpd_relay_restrictions" },
		{ "smtpd_recipients_restrictions", "smtpd_recipient_restrictions" },
		{ "my_network", "mynetworks" },
		{ "foo", "" },
		{ "spamassassin_socket", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *nearest = postfix_param_nearest(cases[i].name);
		want_str(cases[i].name, nearest ? nearest : "", cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_main_cf),
		cmocka_unit_test(test_all_errors_at_once),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_master_cf),
		cmocka_unit_test(test_master_cf_errors),
		cmocka_unit_test(test_seal),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/dovecot_tree.h"
#include "sys/file.h"
#include "unit.h"

static void add_line(enum conf_severity severity, const char *line, void *arg)
{
	strbuf_addf(arg, "%s %s\n", severity == CONF_ERROR ? "E" : "W", line);
}

static struct dovecot_source *parse(const char *text, struct strbuf *findings)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct dovecot_source *source = dovecot_source_parse(slice_of(text), &errors);

	dovecot_conf_check(source, &errors);
	strbuf_reset(findings);
	conf_errors_each(&errors, add_line, findings);
	conf_errors_release(&errors);
	return source;
}

static const struct value_case {
	const char *name, *text, *setting, *want;
} values[] = {
	{ "default", "", "auth_failure_delay", "2 secs" },
	{ "default of an enum", "", "ssl", "yes" },
	{ "assignment", "log_path=/a", "log_path", "/a" },
	{ "last one wins", "log_path = /a\nlog_path = /b\n", "log_path", "/b" },
	{ "blanks go", "\t log_path \t=  /a b \t\r\n", "log_path", "/a b" },
	{ "comment after a blank", "log_path = /a # b", "log_path", "/a" },
	{ "comment without a blank", "log_path = /a#b", "log_path", "/a" },
	{ "no comment in quotes", "log_path = \"/a # b\"", "log_path", "/a # b" },
	{ "double quotes", "log_path = \"a\\\"b\\\\c \"", "log_path", "a\"b\\c " },
	{ "single quotes", "log_path = 'a\\b '", "log_path", "ab " },
	{ "quotes inside stay", "log_path = a \"b\" c", "log_path", "a \"b\" c" },
	{ "continuation", "log_path = a \\\n   b", "log_path", "a b" },
	{ "a comment does not go on", "# x \\\nlog_path = a", "log_path", "a" },
	{ "variable", "protocols = pop3\nprotocols = $protocols lmtp", "protocols", "pop3 lmtp" },
	{ "variable has its value of here", "log_path = a\ninfo_log_path = $log_path\nlog_path = b",
	    "info_log_path", "a" },
	{ "variable of a default", "info_log_path = x $log_path", "info_log_path", "x syslog" },
	{ "no variable in a word", "log_path = a$protocols", "log_path", "a$protocols" },
	{ "no variable in quotes", "log_path = \"$protocols\"", "log_path", "$protocols" },
	{ "key file stays a path", "ssl_key = </k/e.y", "ssl_key", "</k/e.y" },
	{ "other service's filter", "protocol imap {\nlog_path = x\n}", "log_path", "syslog" },
	{ "filter", "protocol pop3 {\nlog_path = x\n}\nlog_path = y", "log_path", "x" },
	{ "not that protocol", "protocol !imap {\nlog_path = x\n}", "log_path", "x" },
	{ "local before protocol",
	    "local 192.0.2.0/24 {\nlog_path = x\n}\nprotocol pop3 {\nlog_path = y\n}", "log_path",
	    "x" },
	{ "longer prefix first",
	    "remote 2001:db8::/64 {\nlog_path = x\n}\nremote 2001:db8::/32 {\nlog_path = y\n}",
	    "log_path", "x" },
	{ "later of two that are equal",
	    "protocol pop3 {\nlog_path = x\n}\nprotocol pop3 {\nlog_path = y\n}", "log_path", "y" },
	{ "nested, both match",
	    "local 192.0.2.1 {\nprotocol pop3 {\nlog_path = x\n}\nlog_path = y\n}", "log_path",
	    "x" },
	{ "nested, outer does not match", "local 192.0.2.9 {\nprotocol pop3 {\nlog_path = x\n}\n}",
	    "log_path", "syslog" },
	{ "server name", "local_name *.example.org {\nlog_path = x\n}", "log_path", "x" },
	{ "server name, exact before pattern",
	    "local_name mail.example.org {\nlog_path = x\n}\nlocal_name *.example.org {\nlog_path = "
	    "y\n}",
	    "log_path", "x" },
	{ "other server name", "local_name *.example.com {\nlog_path = x\n}", "log_path",
	    "syslog" },
	{ "variable in a filter means the outer one",
	    "mail_plugins = a\nprotocol pop3 {\nmail_plugins = $mail_plugins b\n}", "mail_plugins",
	    "a b" },
};

static void test_values(void **state)
{
	static const struct dovecot_filter filter = { "pop3", "mail.example.org", "192.0.2.1",
		"2001:db8::1" };
	struct strbuf findings = STRBUF_INIT(10000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		const struct value_case *c = &values[i];
		struct dovecot_source *source = parse(c->text, &findings);
		struct dovecot_settings *settings = dovecot_settings_new(source, &filter, NULL);

		want_int(c->name, strstr(findings.ptr, "E ") != NULL, false);
		want_str(c->name, dovecot_setting_text(settings, c->setting), c->want);
		dovecot_settings_free(settings);
		dovecot_source_free(source);
	}
	strbuf_release(&findings);
}

static const struct finding_case {
	const char *text, *want;
} findings_of[] = {
	{ "", "" },
	{ "nonsense = 1\nlog_pathh = x", "E (text): line 1: Unknown setting: nonsense\n"
					 "E (text): line 2: Unknown setting: log_pathh\n" },
	{ "mail_path = x",
	    "E (text): line 1: Unknown setting: mail_path (it is of Dovecot 2.4; this file is in "
	    "the syntax of 2.3)\n" },
	{ "dovecot_config_version = 2.4.1\nx\ny",
	    "E (text): line 1: this file is in the syntax of "
	    "Dovecot 2.4, which is not understood yet; write it "
	    "in that of 2.3\n" },
	{ "ssl = YES", "E (text): line 1: ssl: Invalid value: YES\n" },
	{ "auth_verbose = true",
	    "E (text): line 1: auth_verbose: Invalid boolean value: true (use yes or no)\n" },
	{ "auth_failure_delay = 2",
	    "E (text): line 1: auth_failure_delay: Time interval '2' is missing units (add e.g. 's' for "
	    "seconds)\n" },
	{ "first_valid_uid = -1",
	    "E (text): line 1: first_valid_uid: Invalid number -1: Number too small\n" },
	{ "service x {\nx = 1\n}",
	    "E (text): line 2: Unknown setting: service { x\n"
	    "W (text): line 2: service x is not there yet; its settings have no effect\n" },
	{ "passdb { driver = x }", "E (text): line 1: Garbage after '{'\n" },
	{ "passdb\n{\n", "E (text): line 1: Expecting '{'\n"
			 "E (text): line 2: Garbage after '{'\n" },
	{ "}", "E (text): line 1: Unexpected '}'\n" },
	{ "service auth {\n", "E (text): Missing '}' (section started at (text):1)\n" },
	{ "wrong {\na = b\n}", "E (text): line 1: Unknown setting: wrong { wrong\n"
			       "W (text): line 2: settings in plugin have no effect yet\n" },
	{ "log_path = $nothing", "E (text): line 1: Unknown variable: $nothing\n" },
	{ "passdb {\ndriver = pam\n}", "" },
	{ "passdb {\ndriver = ldap\n}",
	    "W (text): line 1: passdb driver ldap is not there yet: asking it "
	    "is a temporary failure\n" },
	{ "protocol pop3 {\npassdb {\ndriver = static\n}\n}",
	    "E (text): line 2: passdb inside of protocol is not supported\n" },
	{ "remote example.org {\n}", "E (text): line 1: remote example.org: want an address or a "
				     "network, such as 192.0.2.0/24\n" },
	{ "protocols = pop3 imap", "" },
	{ "protocols = pop4", "E (text): line 1: protocols: Unknown protocol: pop4\n" },
	{ "mail_fsync = always", "W (text): line 1: mail_fsync has no effect yet\n" },
	{ "mail_fsync = optimized", "" },
};

static void test_findings(void **state)
{
	struct strbuf findings = STRBUF_INIT(10000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(findings_of); i++) {
		dovecot_source_free(parse(findings_of[i].text, &findings));
		want_str(findings_of[i].text, findings.ptr, findings_of[i].want);
	}
	strbuf_release(&findings);
}

static void test_blocks(void **state)
{
	struct strbuf findings = STRBUF_INIT(10000);
	struct dovecot_source *source = parse("default_internal_user = me\n"
					      "passdb {\ndriver = static\n}\n"
					      "passdb {\ndriver = passwd-file\nargs = /x\n}\n"
					      "service auth {\nunix_listener auth-userdb {\nmode = "
					      "0600\n}\n}\nservice auth {\nclient_limit = 7\n}\n"
					      "service pop3-login {\ninet_listener pop3 {\nport = "
					      "0\n}\n}\n",
	    &findings);
	const struct dovecot_block *auth = dovecot_block_find(source, "service", "auth"), *b;

	(void)state;
	want_str("no findings", findings.ptr, "");
	want_int("passdbs do not merge", dovecot_block_count(source, "passdb"), 2);
	want_str(
	    "order", dovecot_block_get(dovecot_block_at(source, "passdb", 0), "driver"), "static");
	want_str("enum default",
	    dovecot_block_get(dovecot_block_at(source, "passdb", 1), "result_success"),
	    "return-ok");
	want_int("services merge", dovecot_block_uint(auth, "client_limit"), 7);
	want_int("built-in value", dovecot_block_uint(auth, "process_limit"), 1);
	want_int("built-in is not set", dovecot_block_is_set(auth, "process_limit"), false);
	want_int("set", dovecot_block_is_set(auth, "client_limit"), true);
	want_str("built-in refers to what the file sets", dovecot_block_get(auth, "user"), "me");
	want_int("built-in listeners", dovecot_subblock_count(auth, "unix_listener"), 6);
	b = dovecot_subblock_at(auth, "unix_listener", 4);
	want_str("listener", dovecot_block_label(b), "auth-userdb");
	want_int("its mode", dovecot_block_uint(b, "mode"), 0600);
	b = dovecot_subblock_at(
	    dovecot_block_find(source, "service", "pop3-login"), "inet_listener", 1);
	want_int("port", dovecot_block_uint(b, "port"), 995);
	want_int("ssl", dovecot_block_bool(b, "ssl"), true);
	want_int("unknown name", dovecot_block_get(b, "nonsense") == NULL, true);
	want_int("a service that runs", dovecot_service_runs("pop3"), true);
	want_int("one that does not", dovecot_service_runs("imap"), false);
	dovecot_source_free(source);
	strbuf_release(&findings);
}

static void test_listener_kinds(void **state)
{
	(void)state;
	want_str("login/login", dovecot_auth_listener_kind("login/login"), "login");
	want_str("auth-login", dovecot_auth_listener_kind("auth-login"), "login");
	want_str("auth-master", dovecot_auth_listener_kind("auth-master"), "master");
	want_str("auth-userdb", dovecot_auth_listener_kind("auth-userdb"), "userdb");
	want_str("auth-client", dovecot_auth_listener_kind("auth-client"), "auth");
	want_str("a path", dovecot_auth_listener_kind("/var/spool/postfix/private/auth"), "auth");
	want_str(
	    "a directory's name says nothing", dovecot_auth_listener_kind("/x-login/auth"), "auth");
}

static const struct typed_case {
	const char *text;
	enum dovecot_type type;
	bool good;
	uint64_t want;
} typed[] = {
	{ "yes", DOVECOT_BOOL, true, 1 },
	{ "Y", DOVECOT_BOOL, true, 1 },
	{ "1", DOVECOT_BOOL, true, 1 },
	{ "NO", DOVECOT_BOOL, true, 0 },
	{ "n", DOVECOT_BOOL, false, 0 },
	{ "0", DOVECOT_BOOL, false, 0 },
	{ "on", DOVECOT_BOOL, false, 0 },
	{ "", DOVECOT_BOOL, false, 0 },
	{ "0", DOVECOT_UINT, true, 0 },
	{ "4294967295", DOVECOT_UINT, true, 4294967295 },
	{ "4294967296", DOVECOT_UINT, false, 0 },
	{ "unlimited", DOVECOT_UINT, false, 0 },
	{ " 1", DOVECOT_UINT, false, 0 },
	{ "25\n", DOVECOT_UINT, false, 0 },
	{ "0660", DOVECOT_OCTAL, true, 0660 },
	{ "660", DOVECOT_OCTAL, true, 660 }, /* the peer's trap */
	{ "0680", DOVECOT_OCTAL, false, 0 },
	{ "10", DOVECOT_SIZE, true, 10 },
	{ "10 M", DOVECOT_SIZE, true, 10 << 20 },
	{ "10MiB", DOVECOT_SIZE, true, 10 << 20 },
	{ "10kb", DOVECOT_SIZE, true, 10240 },
	{ "10B", DOVECOT_SIZE, true, 10 },
	{ "10BB", DOVECOT_SIZE, false, 0 },
	{ "10X", DOVECOT_SIZE, false, 0 },
	{ "-1", DOVECOT_SIZE, false, 0 },
	{ "18446744073709551615 B", DOVECOT_SIZE, true, UINT64_MAX },
	{ "18446744073709551615 K", DOVECOT_SIZE, false, 0 },
	{ "30 secs", DOVECOT_TIME, true, 30 },
	{ "30s", DOVECOT_TIME, true, 30 },
	{ "2 mins", DOVECOT_TIME, true, 120 },
	{ "2m", DOVECOT_TIME, true, 120 },
	{ "1 hour", DOVECOT_TIME, true, 3600 },
	{ "1 days", DOVECOT_TIME, true, 86400 },
	{ "1w", DOVECOT_TIME, true, 7 * 86400 },
	{ "0", DOVECOT_TIME, true, 0 },
	{ "5", DOVECOT_TIME, false, 0 },
	{ "5 msecs", DOVECOT_TIME, false, 0 },
	{ "5 msecs", DOVECOT_TIME_MS, true, 5 },
	{ "5 secs", DOVECOT_TIME_MS, true, 5000 },
	{ "5 x", DOVECOT_TIME, false, 0 },
};

static void test_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
		struct dovecot_spec spec = { .name = "x", .type = typed[i].type };
		char error[160];
		uint64_t number;
		bool good = dovecot_value_parse(&spec, typed[i].text, &number, error);

		want_int(typed[i].text, good, typed[i].good);
		if (good)
			want_int(typed[i].text, number == typed[i].want, true);
	}
}

static const struct var_case {
	const char *text, *want; /* NULL: an error */
} vars[] = {
	{ "plain", "plain" },
	{ "%u", "Alice@Vm1.Vm" },
	{ "%n/%d", "Alice/Vm1.Vm" },
	{ "%{user}", "Alice@Vm1.Vm" },
	{ "%Lu %Un", "alice@vm1.vm ALICE" },
	{ "%L{user}", "alice@vm1.vm" },
	{ "%%u", "%u" },
	{ "%1n", "A" },
	{ "%2n", "Al" },
	{ "%1.2n", "li" },
	{ "%2.1n", "i" },
	{ "%-2.2n", "ce" },
	{ "%0.-2n", "Ali" },
	{ "%9.1n", "" },
	{ "%08Xi", "000000ff" },
	{ "%04i", "0255" },
	{ "%02i", "255" },
	{ "%Xi", "ff" },
	{ "%Rn", "ecilA" },
	{ "%Dd", "Vm1,dc=Vm" },
	{ "%1Ln", "a" },
	{ "%", "" },
	{ "%{user", NULL },
	{ "%{}", NULL },
	{ "%{nothing}", NULL },
	{ "%{md5;rounds=x:user}", NULL },
	{ "%{if;a;==;b;yes;no}", NULL },
	{ "%LLLLLLLLLu", "alice@vm1.vm" },
	{ "%999999u", NULL },
};

static struct slice lookup(const char *name, void *arg)
{
	(void)arg;
	if (!strcmp(name, "user"))
		return SLICE_LIT("Alice@Vm1.Vm");
	if (!strcmp(name, "username"))
		return SLICE_LIT("Alice");
	if (!strcmp(name, "domain"))
		return SLICE_LIT("Vm1.Vm");
	if (!strcmp(name, "uid"))
		return SLICE_LIT("255");
	return SLICE_NULL;
}

static void test_variables(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vars); i++) {
		struct strbuf out = STRBUF_INIT(1000);
		char *error = NULL;
		bool good = dovecot_var_expand(&out, vars[i].text, lookup, NULL, &error);

		want_int(vars[i].text, good, vars[i].want != NULL);
		want_int(vars[i].text, error == NULL, good);
		if (good)
			want_str(vars[i].text, out.ptr, vars[i].want);
		free(error);
		strbuf_release(&out);
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_files(void **state)
{
	char dir[] = "/tmp/postcote-conf-XXXXXX", main_file[64], *value, *error = NULL;
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct strbuf findings = STRBUF_INIT(10000);
	struct dovecot_source *source, *loaded;
	struct dovecot_settings *settings;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	snprintf(main_file, sizeof(main_file), "%s/dovecot.conf", dir);
	assert_int_equal(mkdir("d", 0700), 0);
	write_file("d/2.conf", "log_path = two\nservice auth {\n!include ../in\n}\n");
	write_file("d/1.conf", "log_path = one\n");
	write_file("in", "client_limit = 9\n");
	write_file("plugins", "a b\n");
	write_file("key", "secret\n");
	write_file("loop", "!include loop\n");
	write_file(main_file, "!include d/*.conf\n!include d/*.none\n!include_try gone\n"
			      "!include gone\nmail_plugins = <plugins\nssl_key = <key\n"
			      "info_log_path = <nowhere\n!include loop\n");
	source = dovecot_source_read(main_file, &errors);
	conf_errors_each(&errors, add_line, &findings);
	settings = dovecot_settings_new(source, NULL, NULL);
	want_int("errors", errors.error_count, 4);
	want_int("no match", strstr(findings.ptr, "line 2: No matches") != NULL, true);
	want_int("gone", strstr(findings.ptr, "line 4: No matches") != NULL, true);
	want_int("nowhere", strstr(findings.ptr, "line 7: info_log_path: Can't open file ") != NULL,
	    true);
	want_int(
	    "loop", strstr(findings.ptr, "loop: line 1: Recursive include file") != NULL, true);
	want_str("sorted", settings->log_path, "two");
	want_str("content", settings->mail_plugins, "a b");
	want_int("key is a path", *settings->ssl_key, '<');
	value = dovecot_read_file_value(settings->ssl_key, &error);
	want_str("key", value, "secret\n");
	free(value);
	want_int("no file", dovecot_read_file_value("</nowhere", &error) == NULL, true);
	free(error);
	fd = dovecot_source_seal(source, DOVECOT_SEAL_AUTH);
	want_int("sealed", fd >= 0 && write(fd, "x", 1) < 0, true);
	loaded = dovecot_source_load(fd);
	want_str("path", dovecot_source_path(loaded), main_file);
	want_int("an include inside of a block",
	    dovecot_block_uint(dovecot_block_find(loaded, "service", "auth"), "client_limit"), 9);
	close(fd);
	dovecot_source_free(loaded);
	dovecot_settings_free(settings);
	dovecot_source_free(source);
	conf_errors_release(&errors);
	want_int("no such file", dovecot_source_read("/nowhere/x", &errors) == NULL, true);
	conf_errors_release(&errors);
	strbuf_release(&findings);
	assert_int_equal(unlink("d/1.conf") | unlink("d/2.conf") | unlink("in") |
			     unlink("plugins") | unlink("key") | unlink("loop") |
			     unlink(main_file) | rmdir("d") | chdir("/") | rmdir(dir),
	    0);
}

static bool seal_holds(
    const struct dovecot_source *source, enum dovecot_seal what, const char *text)
{
	struct strbuf bytes = STRBUF_INIT(1 << 20);
	int fd = dovecot_source_seal(source, what);
	bool found;

	assert_true(fd >= 0 && file_read_fd(fd, &bytes) == 0);
	found = slice_find_str(strbuf_slice(&bytes), text) >= 0;
	strbuf_release(&bytes);
	close(fd);
	return found;
}

/* A process gets no password that it has no use for. */
static void test_seal_keeps_secrets(void **state)
{
	struct strbuf findings = STRBUF_INIT(10000);
	struct dovecot_source *source = parse(
	    "passdb {\ndriver = static\nargs = password=hidden1\n}\n"
	    "userdb {\ndriver = static\nargs = uid=5 x=hidden2\n}\n"
	    "ssl_key_password = hidden3\ndoveadm_password = hidden4\n"
	    "plugin {\n  some_key = hidden5\n}\ndict {\n  a = hidden6\n}\n"
	    "protocol pop3 {\n  imapc_password = hidden7\n}\nmail_location = maildir:/shown\n",
	    &findings);
	static const struct {
		const char *text;
		bool plain, auth;
	} cases[] = {
		{ "hidden1", false, true },
		{ "hidden2", false, true },
		{ "hidden3", false, false },
		{ "hidden4", false, false },
		{ "hidden5", false, false },
		{ "hidden6", false, false },
		{ "hidden7", false, false },
		{ "/shown", true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		want_int(cases[i].text, seal_holds(source, DOVECOT_SEAL_PLAIN, cases[i].text),
		    cases[i].plain);
		want_int(cases[i].text, seal_holds(source, DOVECOT_SEAL_AUTH, cases[i].text),
		    cases[i].auth);
	}
	dovecot_source_free(source);
	strbuf_release(&findings);
}

/* A memory file that somebody can still write to is no configuration. */
static void test_load_wants_seals(void **state)
{
	struct strbuf findings = STRBUF_INIT(10000), bytes = STRBUF_INIT(1 << 20);
	struct dovecot_source *source = parse("mail_location = maildir:/x\n", &findings);
	int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	dovecot_source_encode(source, &bytes);
	assert_int_equal(file_write_all(fd, strbuf_slice(&bytes)), 0);
	want_int("not sealed", dovecot_source_load(fd) == NULL, true);
	close(fd);
	dovecot_source_free(source);
	strbuf_release(&bytes);
	strbuf_release(&findings);
}

/* Every cut of a sealed file is refused, and so is a byte too many. */
static void test_seal_is_strict(void **state)
{
	struct strbuf findings = STRBUF_INIT(10000), sealed = STRBUF_INIT(1 << 20);
	struct dovecot_source *source = parse("passdb {\ndriver = static\n}\n", &findings);

	(void)state;
	dovecot_source_encode(source, &sealed);
	dovecot_source_free(source);
	for (size_t len = 0; len < sealed.len; len++)
		want_int("cut", dovecot_source_decode(slice_mem(sealed.ptr, len)) == NULL, true);
	strbuf_addch(&sealed, '\0');
	want_int("trailing byte", dovecot_source_decode(strbuf_slice(&sealed)) == NULL, true);
	strbuf_release(&sealed);
	strbuf_release(&findings);
}

static void test_list(void **state)
{
	(void)state;
	for (size_t i = 0; i < dovecot_row_count(); i++) {
		const struct dovecot_row *row = dovecot_row(i);

		if (i > 0)
			want_int(row->name, strcmp(dovecot_row(i - 1)->name, row->name) < 0, true);
		want_int(row->name, dovecot_row_find(row->name) == row, true);
		want_int(row->name, row->works, *row->text != '\0');
	}
	want_int("no row", dovecot_row(dovecot_row_count()) == NULL, true);
	want_int("no name", dovecot_row_find("nonsense") == NULL, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_listener_kinds),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_seal_is_strict),
		cmocka_unit_test(test_seal_keeps_secrets),
		cmocka_unit_test(test_load_wants_seals),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

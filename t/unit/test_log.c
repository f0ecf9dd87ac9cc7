// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log/log.h"
#include "scratch.h"
#include "sys/file.h"
#include "sys/socket.h"

/* Its text from FROM on, with digits as 'N' so that times and pids compare. */
static char *masked(const char *text)
{
	char *copy = xstrdup(text);

	for (char *c = copy; *c; c++)
		if (*c >= '0' && *c <= '9')
			*c = 'N';
	return copy;
}

/* "Nov 20 07:31:48 " at AT becomes "TIME ", and runs of digits between brackets one N. */
static void want_line(const char *name, const char *got, size_t time_at, const char *want)
{
	char pid[16], *mask = masked(got), *line;
	const char *after = got + time_at + 16;

	if (strlen(got) < time_at + 16)
		fail_msg("%s: short: %s", name, got);
	want_str(name, mask + time_at + 6, strstr(mask + time_at, " NN:NN:NN "));
	snprintf(pid, sizeof(pid), "[%ld]", (long)getpid());
	line = xasprintf("%.*sTIME %s", (int)time_at, got, after);
	want_str(name, line, want);
	free(line);
	free(mask);
}

static int log_fd = -1;

static void open_file(enum log_style style, const char *name)
{
	const struct log_config config = {
		.style = style, .name = name, .fd = log_fd, .hostname = "mx.example.net"
	};

	assert_int_equal(ftruncate(log_fd, 0), 0);
	log_open(&config);
}

static void want_file(const char *name, const char *want)
{
	struct strbuf text = STRBUF_INIT(100000);

	assert_int_equal(file_read_fd(log_fd, &text), 0);
	want_line(name, text.ptr, 0, want);
	assert_int_equal(ftruncate(log_fd, 0), 0);
	strbuf_release(&text);
}

static void test_postfix_file(void **state)
{
	char *want =
	    xasprintf("TIME mx postfix/smtpd[%ld]: connect from a[192.0.2.1]\n", (long)getpid());
	char *warning = xasprintf("TIME mx postfix/cleanup[%ld]: warning: x\n", (long)getpid());

	(void)state;
	open_file(LOG_STYLE_POSTFIX, "postfix/smtpd");
	log_info("connect from %s[%s]", "a", "192.0.2.1");
	want_file("info", want);
	log_as("postfix/cleanup", LOG_LEVEL_WARNING, "x");
	want_file("other name", warning);
	free(want);
	free(warning);
}

static void test_dovecot_file(void **state)
{
	(void)state;
	open_file(LOG_STYLE_DOVECOT, "pop3-login");
	log_info("Login: user=<%s>", "u");
	want_file("info", "TIME pop3-login: Info: Login: user=<u>\n");
	log_error("x");
	want_file("error", "TIME pop3-login: Error: x\n");
	log_debug("not written");
	log_warning("y");
	want_file("warning", "TIME pop3-login: Warning: y\n");
}

static void test_control_characters(void **state)
{
	char *want = xasprintf(
	    "TIME mx x[%ld]: ? \xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xac ? ?? ????\n", (long)getpid());

	(void)state;
	open_file(LOG_STYLE_DOVECOT, "x");
	log_info("a\nb\r\x7f\x1b[0m \xc3\xa9 %c", '\t');
	want_file("cleaned", "TIME x: Info: a?b???[0m \xc3\xa9 ?\n");
	open_file(LOG_STYLE_POSTFIX, "x");
	log_info("\xff \xc3\xa9\xe2\x82\xac\xf0\x9f\x93\xac \xc3 \xe2\x82 \xed\xa0\x80\xc3");
	want_file("not UTF-8", want);
	free(want);
}

static void test_long(void **state)
{
	struct strbuf text = STRBUF_INIT(100000);
	char *big = xmalloc(5001);

	(void)state;
	open_file(LOG_STYLE_DOVECOT, "x");
	/* Characters of two bytes: the cut is not within one. */
	for (int i = 0; i < 5000; i++)
		big[i] = i % 2 ? '\xa9' : '\xc3';
	big[5000] = '\0';
	for (int shift = 0; shift < 2; shift++) {
		log_info("%s%s", shift ? "." : "", big);
		strbuf_reset(&text);
		assert_int_equal(file_read_fd(log_fd, &text), 0);
		assert_in_range(text.len, 1990, 2001);
		want_int("LF", text.ptr[text.len - 1], '\n');
		want_int("whole", (unsigned char)text.ptr[text.len - 2], 0xa9);
		assert_int_equal(ftruncate(log_fd, 0), 0);
	}
	free(big);
	strbuf_release(&text);
}

static int syslogd = -1;

static void open_syslog(enum log_style style, const char *name, const char *facility)
{
	const struct log_config config = {
		.style = style, .name = name, .facility = facility, .fd = -1, .debug = true
	};

	log_syslog_path(scratch_path("log"));
	log_open(&config);
}

static void start_syslogd(void)
{
	syslogd = socket_unix_dgram(scratch_path("log"), 0666, (uid_t)-1, (gid_t)-1);
	assert_true(syslogd != -1);
}

static void want_syslog(const char *name, size_t time_at, const char *want)
{
	char text[3000];
	ssize_t n = recv(syslogd, text, sizeof(text) - 1, 0);

	if (n < 0)
		fail_msg("%s: nothing came", name);
	text[n] = '\0';
	want_line(name, text, time_at, want);
}

static void test_syslog(void **state)
{
	char *want = xasprintf("<22>TIME postfix/smtpd[%ld]: hello", (long)getpid());

	(void)state;
	start_syslogd();
	open_syslog(LOG_STYLE_POSTFIX, "postfix/smtpd", NULL);
	log_info("hello");
	want_syslog("postfix", 4, want);
	open_syslog(LOG_STYLE_DOVECOT, "pop3-login", "local0");
	log_info("hello");
	want_syslog("dovecot", 5, "<134>TIME dovecot: pop3-login: hello");
	log_error("hello");
	want_syslog("dovecot error", 5, "<131>TIME dovecot: pop3-login: Error: hello");
	log_debug("hello");
	want_syslog("dovecot debug", 5, "<135>TIME dovecot: pop3-login: Debug: hello");
	log_forward("Nov  2 07:31:48 host postfix/postlog[7]: a\nb", 44);
	want_syslog("forwarded", 5, "<134>TIME postfix/postlog[7]: a?b");
	log_forward("no origin", 9);
	want_syslog("forwarded as it is", 5, "<134>TIME no origin");
	free(want);
}

static void log_without_syslogd(void)
{
	log_info("not lost");
	_exit(0);
}

/* To the pipe that leads to master, who may find the new syslogd where a jailed process cannot. */
static void test_syslog_is_gone(void **state)
{
	char text[200];

	(void)state;
	close(syslogd);
	want_int("exit status", unit_run_apart(log_without_syslogd, text, sizeof(text)), 0);
	want_int("the line", strstr(text, " dovecot: pop3-login: not lost\n") != NULL, true);
}

static void test_syslog_comes_back(void **state)
{
	(void)state;
	start_syslogd();
	log_info("heard");
	want_syslog("after a restart", 5, "<134>TIME dovecot: pop3-login: heard");
	close(syslogd);
	unlinkat(scratch_fd(), "log", 0);
	open_syslog(LOG_STYLE_DOVECOT, "x", NULL);
	start_syslogd();
	log_info("late");
	want_syslog("started after us", 4, "<22>TIME dovecot: x: late");
	close(syslogd);
}

static void log_on_stderr(void)
{
	log_command("postmap");
	log_info("one");
	log_warning("two");
	fatal("three %d", 3);
}

static void test_command(void **state)
{
	char text[200];

	(void)state;
	want_int("exit status", unit_run_apart(log_on_stderr, text, sizeof(text)), 1);
	want_str("lines", text, "postmap: one\npostmap: warning: two\npostmap: fatal: three 3\n");
}

#define THREADS 8
#define LINES	200

static void *log_much(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("%0100d", *(int *)arg);
	return NULL;
}

static void test_lines_stay_whole(void **state)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);
	int numbers[THREADS];
	pthread_t threads[THREADS];
	struct slice rest, line;
	int count = 0;

	(void)state;
	open_file(LOG_STYLE_DOVECOT, "x");
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, log_much, &numbers[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(file_read_fd(log_fd, &text), 0);
	rest = strbuf_slice(&text);
	for (; slice_token(&rest, "\n", &line); count++)
		want_int("length", line.len, 16 + strlen("x: Info: ") + 100);
	want_int("lines", count, THREADS * LINES);
	strbuf_release(&text);
}

static int set_up(void **state)
{
	(void)state;
	log_fd = openat(scratch_fd(), "file", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return log_fd == -1 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postfix_file),
		cmocka_unit_test(test_dovecot_file),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_lines_stay_whole),
		cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_syslog_is_gone),
		cmocka_unit_test(test_syslog_comes_back),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "log/log.h"
#include "log/log_ring.h"
#include "unit.h"

static void add_line(const struct log_ring_line *line, void *arg)
{
	strbuf_addf(
	    arg, "%lld %d %s|%s\n", (long long)line->time, line->level, line->name, line->text);
}

static void test_order(void **state)
{
	int fd = log_ring_create();
	struct log_ring *ring = log_ring_attach(fd), *other = log_ring_attach(fd);
	struct strbuf out = STRBUF_INIT(1000000);
	char text[32];

	(void)state;
	assert_non_null(ring);
	assert_non_null(other);
	log_ring_put(ring, 1, LOG_LEVEL_WARNING, "auth", "first");
	log_ring_put(other, 2, LOG_LEVEL_ERROR, "pop3", "a\nb\x7f");
	log_ring_each(ring, add_line, &out);
	want_str("both processes' lines", out.ptr, "1 2 auth|first\n2 3 pop3|a?b?\n");
	for (int i = 0; i < LOG_RING_LINES; i++) {
		snprintf(text, sizeof(text), "%d", i);
		log_ring_put(ring, i, LOG_LEVEL_ERROR, "x", text);
	}
	strbuf_reset(&out);
	log_ring_each(other, add_line, &out);
	want_int("the oldest went", strncmp(out.ptr, "0 3 x|0\n1 3 x|1\n", 16), 0);
	want_int("the newest is there", strstr(out.ptr, "\n999 3 x|999\n") != NULL, true);
	log_ring_detach(ring);
	log_ring_detach(other);
	close(fd);
	strbuf_release(&out);
}

static void test_lengths(void **state)
{
	int fd = log_ring_create();
	struct log_ring *ring = log_ring_attach(fd);
	struct strbuf out = STRBUF_INIT(10000);
	char text[1000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_ring_put(ring, 1, LOG_LEVEL_ERROR, text, text);
	log_ring_each(ring, add_line, &out);
	want_int("cut", (long)out.len, (long)(strlen("1 3 |\n") + 63 + 423));
	want_int("nobody shrinks it", ftruncate(fd, 10), -1);
	log_ring_detach(ring);
	close(fd);
	fd = memfd_create("small", 0);
	want_int("no ring", log_ring_attach(fd) == NULL, true);
	close(fd);
	strbuf_release(&out);
}

/* What log.h's functions say comes in, of warnings and worse. */
static void test_log(void **state)
{
	int fd = log_ring_create(), null = memfd_create("log", 0);
	struct log_ring *ring = log_ring_attach(fd);
	struct strbuf out = STRBUF_INIT(10000);
	const struct log_config config = { .style = LOG_STYLE_DOVECOT, .name = "auth", .fd = null };

	(void)state;
	log_open(&config);
	log_keep(ring);
	log_info("no error");
	log_warning("w %d", 1);
	log_as("pop3", LOG_LEVEL_ERROR, "e\n%s", "x");
	log_keep(NULL);
	log_error("not kept");
	log_ring_each(ring, add_line, &out);
	want_int("two",
	    strstr(out.ptr, " 2 auth|w 1\n") != NULL && strstr(out.ptr, " 3 pop3|e?x\n") != NULL &&
		strstr(out.ptr, "no") == NULL,
	    true);
	log_command("test");
	log_ring_detach(ring);
	close(fd);
	close(null);
	strbuf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_log) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

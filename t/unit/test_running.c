// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/pool.h"
#include "server/running.h"

static char all[1000];

static void collect(const char *name, void *arg)
{
	(void)arg;
	snprintf(all + strlen(all), sizeof(all) - strlen(all), "[%s]", name);
}

static const char *read_all(int fd)
{
	all[0] = '\0';
	running_read(fd, collect, NULL);
	return all;
}

static struct net_addr addr(const char *text)
{
	struct net_addr a;

	assert_true(net_addr_parse(slice_of(text), 25, &a));
	return a;
}

static void work_and_die(void *arg)
{
	running_begin(arg);
	raise(SIGKILL);
}

static void work_and_end(void *arg)
{
	running_begin(arg);
	running_end();
}

/* In a process of its own: FIRST ends, WHO dies. */
static const char *after_death(int fd, struct running_who *who)
{
	static struct net_addr other;
	static struct running_who first;
	int status;
	pid_t pid;

	other = addr("198.51.100.1");
	first = (struct running_who){ .client = &other, .user = "first", .message = "first" };
	pid = fork();
	if (pid == 0) {
		if (!running_attach(fd))
			_exit(1);
		pool_run(work_and_end, &first);
		if (!pool_drain(deadline_in(60000)))
			_exit(2);
		pool_run(work_and_die, who);
		(void)pool_drain(deadline_in(60000));
		_exit(3);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	return read_all(fd);
}

static void who_died_is_read(void **state)
{
	static const char long_text[] =
	    "0123456789012345678901234567890123456789012345678901234567890123456789";
	static const struct {
		const char *client, *user, *message, *want;
	} cases[] = {
		{ "192.0.2.1", NULL, NULL, "[client 192.0.2.1]" },
		{ "2001:db8:1:2:3:4:5:6", NULL, NULL, "[client 2001:db8:1:2::/64]" },
		{ NULL, "alice@example.com", NULL, "[user alice@example.com]" },
		{ NULL, NULL, "3F2504E0", "[message 3F2504E0]" },
		{ "192.0.2.1", "a b\n", "x", "[client 192.0.2.1][user a?b?][message x]" },
		{ NULL, long_text, long_text,
		    "[user 012345678901234567890123456789012345678901234567890123456789012]"
		    "[message 012345678901234567890123456789012345678]" },
		{ NULL, NULL, NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_addr client;
		struct running_who who = { .user = cases[i].user, .message = cases[i].message };
		int fd = running_new();

		if (cases[i].client != NULL) {
			client = addr(cases[i].client);
			who.client = &client;
		}
		assert_true(fd >= 0);
		want_str("nobody yet", read_all(fd), "");
		want_str(cases[i].want, after_death(fd, &who), cases[i].want);
		close(fd);
	}
}

/* A process that was taken over writes what it likes. */
static void nonsense_is_read(void **state)
{
	int fd = running_new();
	char block[4096];
	size_t names, size = 0;

	(void)state;
	memset(block, 0xff, sizeof(block));
	while (pwrite(fd, block, sizeof(block), (off_t)size) == (ssize_t)sizeof(block))
		size += sizeof(block);
	names = running_read(fd, collect, NULL);
	want_int("no more names than there is room for", names <= 3 * RUNNING_SLOTS, 1);
	for (const char *c = all; *c != '\0'; c++)
		assert_true(*c >= ' ' && *c < 0x7f);
	want_int("cannot shrink", ftruncate(fd, 0), -1);
	close(fd);
	want_int("no table", running_read(-1, collect, NULL), 0);
	fd = memfd_create("short", 0);
	assert_false(running_attach(fd));
	close(fd);
}

static void names(void **state)
{
	struct net_addr none = { .len = 0 }, v6 = addr("2001:db8:1:2::5"), v4 = addr("192.0.2.7");
	char out[RUNNING_NAME];

	(void)state;
	want_str("v4", running_client_name(&v4, out), "client 192.0.2.7");
	want_str("v6", running_client_name(&v6, out), "client 2001:db8:1:2::/64");
	want_str("none", running_client_name(&none, out), "client unknown");
	want_str("user", running_user_name("caf\xc3\xa9", out), "user caf??");
	want_str("message", running_message_name("4ABC", out), "message 4ABC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_died_is_read),
		cmocka_unit_test(nonsense_is_read),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

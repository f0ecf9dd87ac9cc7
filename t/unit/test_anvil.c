// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "server/anvil.h"
#include "server/anvil_segment.h"
#include "server/loop.h"
#include "server/shared.h"

static struct shared *segment(void)
{
	struct shared *shared;
	int fd;

	shared = shared_new(&fd);
	assert_non_null(shared);
	close(fd);
	return shared;
}

static struct anvil *anvil(struct shared *shared, const char *service)
{
	return anvil_new(&(struct anvil_config){
	    .shared = shared,
	    .service = service,
	    .time_unit_s = 60,
	    .ipv4_prefix = 32,
	    .ipv6_prefix = 84,
	    .status_update_ms = 600000,
	    .max_idle_ms = 100000,
	    .log_name = "postfix/anvil",
	});
}

static struct net_addr addr(const char *text)
{
	struct net_addr a = { .len = 0 };

	if (text[0] != '\0')
		assert_true(net_addr_parse(slice_of(text), 4711, &a));
	return a;
}

static unsigned connected(struct anvil *a, const char *from, struct anvil_client *client)
{
	struct net_addr peer = addr(from);
	unsigned count, rate;

	anvil_connect(a, &peer, client, &count, &rate);
	return count;
}

static unsigned add(struct anvil *a, const char *from, enum anvil_event event)
{
	struct net_addr peer = addr(from);

	return anvil_add(a, &peer, event);
}

static void connections_are_counted(void **state)
{
	struct shared *shared = segment();
	struct anvil *a = anvil(shared, "smtp"), *b = anvil(shared, "smtp"),
		     *other = anvil(shared, "submission");
	struct anvil_client c[6] = { { 0 } };
	struct net_addr peer = addr("192.0.2.1");
	unsigned count, rate;

	(void)state;
	want_int("first", connected(a, "192.0.2.1", &c[0]), 1);
	want_int("second", connected(a, "192.0.2.1", &c[1]), 2);
	want_int("of another process", connected(b, "192.0.2.1", &c[2]), 3);
	want_int("of another client", connected(b, "192.0.2.2", &c[3]), 1);
	want_int("of another service", connected(other, "192.0.2.1", &c[4]), 1);
	anvil_disconnect(a, &c[0]);
	anvil_disconnect(a, &c[0]);
	anvil_connect(b, &peer, &c[0], &count, &rate);
	want_int("one had gone", count, 3);
	want_int("the rate knows all", rate, 4);
	anvil_free(a);
	want_int("a process has gone", connected(b, "192.0.2.1", &c[1]), 3);
	want_int("no address", connected(b, "", &c[5]), 1);
	anvil_free(b);
	anvil_free(other);
	shared_detach(shared);
}

#define MANY 1000

static void chunks_come_and_go(void **state)
{
	static struct anvil_client c[MANY], again;
	struct shared *shared = segment();
	struct anvil *a = anvil(shared, "smtp");

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		want_int("one more", connected(a, "192.0.2.1", &c[i]), i + 1);
	for (unsigned i = 0; i < MANY; i++)
		anvil_disconnect(a, &c[i]);
	want_int("all are gone", connected(a, "192.0.2.1", &again), 1);
	unsigned owned = 0;

	for (unsigned i = 0; i < ANVIL_CHUNKS; i++)
		owned += atomic_load(&shared_anvil(shared)->chunks[i].owner) != 0;
	want_int("chunks are given back", owned, 1);
	anvil_free(a);
	shared_detach(shared);
}

/* A process that is killed gives back what it had when master says so, and nothing else. */
static void the_dead_give_back(void **state)
{
	struct shared *shared = segment();
	struct anvil *a = anvil(shared, "smtp");
	struct anvil_client c[3] = { { 0 } };
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	want_int("pipe", pipe(ready), 0);
	connected(a, "192.0.2.1", &c[0]);
	pid = fork();
	if (pid == 0) {
		static struct anvil_client mine[200];
		struct anvil *own = anvil(shared, "smtp");

		for (unsigned i = 0; i < 200; i++)
			connected(own, "192.0.2.1", &mine[i]);
		(void)!write(ready[1], "", 1);
		for (;;) {
			anvil_disconnect(own, &mine[7]);
			connected(own, "192.0.2.1", &mine[7]);
		}
	}
	want_int("ready", read(ready[0], &byte, 1), 1);
	assert_in_range(connected(a, "192.0.2.1", &c[1]), 201, 202);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	anvil_process_gone(shared, pid);
	want_int("as if it had never been", connected(a, "192.0.2.1", &c[2]), 3);
	anvil_process_gone(shared, pid);
	anvil_free(a);
	close(ready[0]);
	close(ready[1]);
	shared_detach(shared);
}

static void too_many_cannot_be_counted(void **state)
{
	struct shared *shared = segment();
	struct anvil *a = anvil(shared, "smtp");
	struct anvil_client c = { 0 };

	(void)state;
	for (unsigned i = 0; i < ANVIL_CHUNKS; i++)
		atomic_store(&shared_anvil(shared)->chunks[i].owner, 1);
	want_int("count", connected(a, "192.0.2.1", &c), ANVIL_UNCOUNTABLE);
	anvil_disconnect(a, &c);
	anvil_free(a);
	shared_detach(shared);
}

static void rates_are_counted(void **state)
{
	struct shared *shared = segment();
	struct anvil *a = anvil(shared, "smtp"), *b = anvil(shared, "smtp");
	struct net_addr peer = addr("192.0.2.1");

	(void)state;
	want_int("first", add(a, "192.0.2.1", ANVIL_MESSAGE), 1);
	want_int("second, elsewhere", add(b, "192.0.2.1", ANVIL_MESSAGE), 2);
	want_int("other event", add(a, "192.0.2.1", ANVIL_RECIPIENT), 1);
	want_int("other client", add(a, "192.0.2.3", ANVIL_MESSAGE), 1);
	want_int("asked", anvil_rate(a, &peer, ANVIL_MESSAGE), 2);
	want_int("asked, nothing there", anvil_rate(a, &peer, ANVIL_AUTH), 0);
	want_int("asking does not count", add(a, "192.0.2.1", ANVIL_MESSAGE), 3);
	anvil_free(a);
	anvil_free(b);
	shared_detach(shared);
}

/* Moves all windows into the past, or the future. */
static void shift(struct shared *shared, int32_t seconds)
{
	for (unsigned i = 0; i < ANVIL_BUCKETS; i++)
		for (unsigned j = 0; j < ANVIL_WAYS; j++) {
			struct anvil_counter *c = &shared_anvil(shared)->buckets[i][j];
			uint64_t window = atomic_load(&c->window);

			if (atomic_load(&c->key) != 0)
				atomic_store(&c->window,
				    (uint64_t)((uint32_t)(window >> 32) - (uint32_t)seconds) << 32 |
					(uint32_t)window);
		}
}

static void windows_end(void **state)
{
	struct shared *shared = segment();
	struct anvil *a = anvil(shared, "smtp");
	struct net_addr peer = addr("192.0.2.1");

	(void)state;
	add(a, "192.0.2.1", ANVIL_AUTH);
	shift(shared, 30);
	want_int("in the window", add(a, "192.0.2.1", ANVIL_AUTH), 2);
	shift(shared, 32);
	want_int("asked after it", anvil_rate(a, &peer, ANVIL_AUTH), 0);
	want_int("a new one", add(a, "192.0.2.1", ANVIL_AUTH), 1);
	shift(shared, -1000);
	want_int("a window that lies in the future is none", add(a, "192.0.2.1", ANVIL_AUTH), 1);
	anvil_free(a);
	shared_detach(shared);
}

/* Three times as many clients as the table has places do not make it forget who floods. */
static void a_flooder_stays(void **state)
{
	struct shared *shared = segment();
	struct anvil *a = anvil(shared, "smtp");
	struct net_addr flooder = addr("192.0.2.1");
	char text[64];
	unsigned highest = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		add(a, "192.0.2.1", ANVIL_MESSAGE);
	for (unsigned i = 0; i < 3 * ANVIL_BUCKETS * ANVIL_WAYS; i++) {
		snprintf(text, sizeof(text), "2001:db8:%x:%x::1", i >> 16, i & 0xffff);
		unsigned rate = add(a, text, ANVIL_MESSAGE);

		highest = rate > highest ? rate : highest;
	}
	want_int("the flooder is known", anvil_rate(a, &flooder, ANVIL_MESSAGE), 100);
	assert_in_range(highest, 2, 20); /* inherited from neighbours, which are few */
	anvil_free(a);
	shared_detach(shared);
}

static void prefixes_group(void **state)
{
	static const struct {
		unsigned v4, v6;
		const char *a, *b;
		bool same;
	} cases[] = {
		{ 32, 84, "192.0.2.1", "192.0.2.2", false },
		{ 24, 84, "192.0.2.1", "192.0.2.2", true },
		{ 24, 84, "192.0.2.1", "192.0.3.1", false },
		{ 31, 84, "192.0.2.2", "192.0.2.3", true },
		{ 0, 84, "192.0.2.1", "203.0.113.9", true },
		{ 32, 84, "2001:db8::1", "2001:db8::2:0:1", true },
		{ 32, 84, "2001:db8::1", "2001:db8:0:0:0:1000::1", false },
		{ 32, 128, "2001:db8::1", "2001:db8::2", false },
		{ 99, 999, "2001:db8::1", "2001:db8::2", false },
		{ 0, 0, "192.0.2.1", "2001:db8::2", false },
		{ 32, 84, "192.0.2.1", "::ffff:192.0.2.1", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct shared *shared = segment();
		struct anvil *a = anvil_new(&(struct anvil_config){
		    .shared = shared,
		    .service = "smtp",
		    .time_unit_s = 60,
		    .ipv4_prefix = cases[i].v4,
		    .ipv6_prefix = cases[i].v6,
		    .log_name = "postfix/anvil",
		});

		add(a, cases[i].a, ANVIL_AUTH);
		want_int(cases[i].b, add(a, cases[i].b, ANVIL_AUTH), cases[i].same ? 2 : 1);
		anvil_free(a);
		shared_detach(shared);
	}
}

/* What a process that was taken over may leave there does not lead anybody out of the segment. */
static void garbage_is_harmless(void **state)
{
	struct shared *shared = segment();
	struct anvil_segment *s = shared_anvil(shared);
	struct anvil *a = anvil(shared, "smtp");
	struct anvil_client c[4] = { { 0 } };

	(void)state;
	connected(a, "192.0.2.1", &c[0]);
	memset((char *)s + sizeof(s->seed), 0xff, sizeof(*s) - sizeof(s->seed));
	connected(a, "192.0.2.1", &c[1]);
	add(a, "192.0.2.1", ANVIL_MESSAGE);
	anvil_disconnect(a, &c[0]);
	anvil_disconnect(a, &c[1]);
	anvil_process_gone(shared, getpid());
	anvil_process_gone(shared, -1);
	anvil_free(a);
	a = anvil(shared, "smtp");
	want_int("and heals", connected(a, "192.0.2.1", &c[2]), 1);
	anvil_free(a);
	shared_detach(shared);
}

#define THREADS 4
#define ROUNDS	2000

static void *come_and_go(void *arg)
{
	struct anvil_client c[8] = { { 0 } };

	for (unsigned i = 0; i < ROUNDS; i++) {
		connected(arg, i % 3 == 0 ? "192.0.2.1" : "192.0.2.2", &c[i % 8]);
		add(arg, "192.0.2.1", ANVIL_MESSAGE);
		anvil_disconnect(arg, &c[(i + 1) % 8]);
	}
	for (unsigned i = 0; i < 8; i++)
		anvil_disconnect(arg, &c[i]);
	return NULL;
}

/* Two processes, as far as the segment knows, with two threads each: nothing is lost. */
static void threads_agree(void **state)
{
	struct shared *shared = segment();
	struct anvil *a[2] = { anvil(shared, "smtp"), anvil(shared, "smtp") };
	struct anvil_client c = { 0 };
	struct net_addr peer = addr("192.0.2.1");
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		want_int("thread", pthread_create(&threads[i], NULL, come_and_go, a[i % 2]), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	want_int("messages", anvil_rate(a[0], &peer, ANVIL_MESSAGE), THREADS * ROUNDS);
	want_int("nobody is left", connected(a[0], "192.0.2.1", &c), 1);
	want_int("nobody at all", connected(a[1], "192.0.2.2", &c), 1);
	anvil_free(a[0]);
	anvil_free(a[1]);
	shared_detach(shared);
}

/* ---- statistics ---- */

static struct loop *loop;
static char log_path[] = "/tmp/postcote-anvil-XXXXXX";

static char *log_text(void)
{
	static char text[8192];
	int fd = open(log_path, O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	text[len < 0 ? 0 : len] = '\0';
	close(fd);
	return text;
}

static void stop_when_logged(struct loop_timer *timer)
{
	if (strstr(log_text(), "max cache size") != NULL)
		loop_stop(loop);
	else
		loop_timer_set(loop, timer, deadline_in(20));
}

static void statistics_are_logged_once(void **state)
{
	struct shared *shared = segment();
	struct loop_timer timer = { .expired = stop_when_logged };
	struct anvil_client c = { 0 };
	int fd = mkstemp(log_path);

	(void)state;
	log_open(&(struct log_config){ .name = "postfix/smtpd", .fd = fd, .hostname = "host" });
	loop = loop_new();
	struct anvil_config config = {
		.shared = shared,
		.service = "smtp",
		.time_unit_s = 60,
		.ipv4_prefix = 24,
		.ipv6_prefix = 84,
		.status_update_ms = 10,
		.max_idle_ms = 100000,
		.log_name = "postfix/anvil",
		.loop = loop,
	};
	struct anvil *a = anvil_new(&config), *b = anvil_new(&config);

	connected(a, "192.0.2.1", &c);
	anvil_disconnect(a, &c);
	connected(b, "2001:db8::1:2:3", &c);
	add(a, "192.0.2.1", ANVIL_MESSAGE);
	add(a, "192.0.2.1", ANVIL_MESSAGE);
	add(b, "192.0.2.1", ANVIL_AUTH);
	loop_timer_set(loop, &timer, deadline_in(1));
	loop_run(loop);
	static const char *const want[] = {
		"postfix/anvil[",
		": statistics: max connection rate 1/60s for (smtp:192.0.2.0/24) at ",
		": statistics: max connection count 1 for (smtp:192.0.2.0/24) at ",
		": statistics: max message rate 2/60s for (smtp:192.0.2.0/24) at ",
		": statistics: max auth rate 1/60s for (smtp:192.0.2.0/24) at ",
		": statistics: max cache size 2 at ",
	};
	const char *rest = log_text();

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const char *found = strstr(rest, want[i]);

		if (found == NULL)
			fail_msg("no '%s' in %s", want[i], rest);
		rest = found;
	}
	assert_null(strstr(rest + 3, "statistics"));
	anvil_free(a);
	anvil_free(b);
	loop_free(loop);
	unlink(log_path);
	shared_detach(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_counted),
		cmocka_unit_test(chunks_come_and_go),
		cmocka_unit_test(the_dead_give_back),
		cmocka_unit_test(too_many_cannot_be_counted),
		cmocka_unit_test(rates_are_counted),
		cmocka_unit_test(windows_end),
		cmocka_unit_test(a_flooder_stays),
		cmocka_unit_test(prefixes_group),
		cmocka_unit_test(garbage_is_harmless),
		cmocka_unit_test(threads_agree),
		cmocka_unit_test(statistics_are_logged_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

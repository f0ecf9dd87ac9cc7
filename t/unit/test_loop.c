// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/loop.h"
#include "sys/socket.h"

static struct loop *loop;
static char events[64];

static void note(char c)
{
	size_t len = strlen(events);

	if (len + 1 < sizeof(events))
		events[len] = c;
}

static int setup(void **state)
{
	(void)state;
	memset(events, 0, sizeof(events));
	loop = loop_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void note_timer(struct loop_timer *timer)
{
	note(*(const char *)timer->arg);
	if (*(const char *)timer->arg == 'z')
		loop_stop(loop);
}

static void timers_fire_in_order(void **state)
{
	struct loop_timer a = { .expired = note_timer, .arg = "a" };
	struct loop_timer b = { .expired = note_timer, .arg = "b" };
	struct loop_timer c = { .expired = note_timer, .arg = "c" };
	struct loop_timer z = { .expired = note_timer, .arg = "z" };
	int64_t now = clock_ms();

	(void)state;
	loop_timer_set(loop, &z, now + 30);
	loop_timer_set(loop, &b, now + 20);
	loop_timer_set(loop, &a, now + 5);
	loop_timer_set(loop, &c, now + 1);
	loop_timer_set(loop, &a, now + 25); /* moved behind b */
	loop_timer_cancel(loop, &c);
	loop_run(loop);
	want_str("order", events, "baz");
}

static void note_post(void *arg)
{
	note(*(const char *)arg);
	if (*(const char *)arg == 'z')
		loop_stop(loop);
}

static void *post_from_thread(void *arg)
{
	(void)arg;
	loop_post(loop, note_post, "1");
	loop_post(loop, note_post, "2");
	loop_post(loop, note_post, "3");
	loop_post(loop, note_post, "z");
	return NULL;
}

static void posts_run_in_order(void **state)
{
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, post_from_thread, NULL);
	loop_run(loop);
	pthread_join(thread, NULL);
	want_str("order", events, "123z");
}

struct pair {
	int fds[2];
	struct loop_watch watch;
	struct pair *other;
};

/* Both are readable at once; whoever comes first takes the other one out. */
static void ready_unwatches_other(struct loop_watch *watch, uint32_t ready)
{
	struct pair *pair = watch->arg;

	assert_true(ready & EPOLLIN);
	note('r');
	loop_unwatch(loop, &pair->other->watch);
	loop_unwatch(loop, watch);
	loop_post(loop, note_post, "z");
}

static void unwatch_strikes_fetched_events_out(void **state)
{
	struct pair a, b;

	(void)state;
	want_int("pair", socket_pair(a.fds), 0);
	want_int("pair", socket_pair(b.fds), 0);
	a.watch = (struct loop_watch){ .fd = a.fds[0], .ready = ready_unwatches_other, .arg = &a };
	b.watch = (struct loop_watch){ .fd = b.fds[0], .ready = ready_unwatches_other, .arg = &b };
	a.other = &b;
	b.other = &a;
	want_int("write", write(a.fds[1], "x", 1), 1);
	want_int("write", write(b.fds[1], "x", 1), 1);
	want_int("watch", loop_watch(loop, &a.watch, EPOLLIN), 0);
	want_int("watch", loop_watch(loop, &b.watch, EPOLLIN), 0);
	loop_run(loop);
	want_str("one only", events, "rz");
	for (int i = 0; i < 2; i++) {
		close(a.fds[i]);
		close(b.fds[i]);
	}
}

static void on_signal(int signo, void *arg)
{
	(void)arg;
	want_int("signal", signo, SIGUSR2);
	want_int("from us", loop_siginfo(loop)->ssi_pid, getpid());
	note('s');
	loop_stop(loop);
}

static void signals_come_to_the_loop(void **state)
{
	(void)state;
	loop_signal(loop, SIGUSR2, on_signal, NULL);
	kill(getpid(), SIGUSR2);
	loop_run(loop);
	want_str("once", events, "s");
	assert_null(loop_siginfo(loop));
}

static void tagged(uint64_t tag, void *arg)
{
	(void)arg;
	want_int("tag", tag, 77);
	note('t');
	loop_stop(loop);
}

static void tags_go_to_their_function(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data = { .u64 = 77 } };
	int fds[2];

	(void)state;
	loop_on_tagged(loop, tagged, NULL);
	want_int("pair", socket_pair(fds), 0);
	want_int("add", epoll_ctl(loop_epoll_fd(loop), EPOLL_CTL_ADD, fds[0], &ev), 0);
	close(fds[1]);
	loop_run(loop);
	want_str("once", events, "t");
	close(fds[0]);
}

int main(void)
{
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		LOOP_TEST(timers_fire_in_order),
		LOOP_TEST(posts_run_in_order),
		LOOP_TEST(unwatch_strikes_fetched_events_out),
		LOOP_TEST(signals_come_to_the_loop),
		LOOP_TEST(tags_go_to_their_function),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "authd/gate.h"
#include "base/clock.h"

#include <pthread.h>
#include <sched.h>

#include "unit.h"

#define THREADS 24

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char order[100];
static unsigned inside, most;

struct visitor {
	pthread_t thread;
	const char *client;
	char mark;
};

static void *visit(void *arg)
{
	const struct visitor *v = arg;
	size_t len;

	(void)gate_enter(v->client, deadline_in(60000));
	pthread_mutex_lock(&mutex);
	len = strlen(order);
	order[len] = v->mark;
	order[len + 1] = '\0';
	pthread_mutex_unlock(&mutex);
	gate_leave();
	return NULL;
}

/* Takes all places, lets visitors queue up one after the other, and gives one place back. */
static void queue_up(struct visitor *visitors, size_t count)
{
	unsigned width = gate_width();

	order[0] = '\0';
	for (unsigned i = 0; i < width; i++)
		assert_true(gate_enter("keeper", 0));
	for (size_t i = 0; i < count; i++) {
		want_int(
		    "thread", pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]), 0);
		while (gate_waiting() != i + 1)
			sched_yield();
	}
	gate_leave();
	for (size_t i = 0; i < count; i++)
		pthread_join(visitors[i].thread, NULL);
	for (unsigned i = 1; i < width; i++)
		gate_leave();
	want_int("nobody is left", gate_waiting(), 0);
}

/* CLIENTS are letters, one for each who comes; WANT how they are let in. */
static const struct order_case {
	const char *clients, *want;
} order_cases[] = {
	{ "a", "a" },
	{ "abc", "abc" },
	{ "aaab", "abaa" },
	{ "aaaaaabbc", "abcabaaaa" },
	{ "abab", "abab" },
	{ "aabbcc", "abcabc" },
	{ "aaaaaaaaaaaaaaaaaaaaaaab", "abaaaaaaaaaaaaaaaaaaaaaa" },
};

static void test_order(void **state)
{
	static const char *const names[] = { "10.0.0.1", "10.0.0.2", "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order_cases); i++) {
		const struct order_case *c = &order_cases[i];
		struct visitor visitors[THREADS];
		size_t count = strlen(c->clients);

		for (size_t k = 0; k < count; k++)
			visitors[k] = (struct visitor){ .client = names[c->clients[k] - 'a'],
				.mark = c->clients[k] };
		queue_up(visitors, count);
		want_str(c->clients, order, c->want);
	}
}

static void *work(void *arg)
{
	for (int i = 0; i < 200; i++) {
		(void)gate_enter(arg, deadline_in(60000));
		pthread_mutex_lock(&mutex);
		inside++;
		most = inside > most ? inside : most;
		pthread_mutex_unlock(&mutex);
		sched_yield();
		pthread_mutex_lock(&mutex);
		inside--;
		pthread_mutex_unlock(&mutex);
		gate_leave();
	}
	return NULL;
}

static void test_width(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		want_int("thread",
		    pthread_create(&threads[i], NULL, work, i % 2 ? "10.0.0.1" : "10.0.0.2"), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	want_int("never more", most <= gate_width(), true);
	want_int("nobody is left", gate_waiting(), 0);
}

/* Who waited too long is out of the queue, and the others' turns come. */
static void test_deadline(void **state)
{
	const unsigned width = gate_width();

	(void)state;
	for (unsigned i = 0; i < width; i++)
		assert_true(gate_enter("a", 0));
	assert_false(gate_enter("b", clock_ms() - 1));
	assert_false(gate_enter("b", deadline_in(20)));
	want_int("nobody waits", (int)gate_waiting(), 0);
	gate_leave();
	assert_true(gate_enter("b", clock_ms() - 1));
	for (unsigned i = 0; i < width; i++)
		gate_leave();
}

static void leave_twice(void)
{
	(void)gate_enter("", 0);
	gate_leave();
	gate_leave();
}

static void test_misuse(void **state)
{
	(void)state;
	want_abort("leaves without having come in", leave_twice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

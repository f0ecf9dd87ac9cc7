// SPDX-License-Identifier: BSD-2-Clause
/*
 * The order of deliveries: sequences like those of the peer's SCHEDULER_README, and simulations
 * that are compared with a scan of everything.
 */
#include "unit.h"

#include <stdlib.h>

#include "qmgr/schedule.h"

struct world;

struct site {
	struct schedule_destination d;
	unsigned running, window;
};

struct item {
	struct schedule_entry e;
	struct site *site;
	unsigned message;
};

#define SITES 8

struct world {
	struct schedule s;
	struct site sites[SITES];
	int64_t now;
};

static const struct schedule_config usual = { 5, 3, 50, 3 };

static void update(struct site *site)
{
	schedule_open(&site->d, site->running < site->window);
}

static struct world *world_new(const struct schedule_config *config, unsigned window)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	schedule_init(&w->s, config);
	for (size_t i = 0; i < SITES; i++) {
		schedule_destination_init(&w->sites[i].d, &w->s);
		w->sites[i].window = window;
		update(&w->sites[i]);
	}
	return w;
}

static void world_free(struct world *w)
{
	want_int("waiting", w->s.waiting, 0);
	for (size_t i = 0; i < SITES; i++)
		schedule_destination_release(&w->sites[i].d);
	schedule_release(&w->s);
	free(w);
}

/* COUNT entries, spread over the sites FROM to TO. */
static struct schedule_job *message(
    struct world *w, unsigned id, unsigned count, unsigned from, unsigned to)
{
	struct schedule_job *job = schedule_job_begin(&w->s, w->now);

	for (unsigned i = 0; i < count; i++) {
		struct item *item = calloc(1, sizeof(*item));

		assert_non_null(item);
		list_init(&item->e.node);
		item->message = id;
		item->site = &w->sites[from + i % (to - from + 1)];
		schedule_add(job, &item->site->d, &item->e);
	}
	schedule_job_end(job);
	return job;
}

static struct item *of(struct schedule_entry *e)
{
	return (struct item *)(void *)((char *)e - offsetof(struct item, e));
}

static struct item *next(struct world *w)
{
	struct schedule_entry *e = schedule_next(&w->s, w->now);

	return e ? of(e) : NULL;
}

/* All that waits, one delivery at a time: the messages' letters. */
static void play(struct world *w, char *out, size_t size)
{
	struct item *item;
	size_t n = 0;

	while ((item = next(w)) != NULL) {
		schedule_take(&item->e);
		assert_true(n + 1 < size);
		out[n++] = (char)('a' + item->message);
		w->now++;
		free(item);
	}
	out[n] = '\0';
}

/* ---- sequences ---- */

static const struct {
	const char *name;
	struct schedule_config config;
	unsigned counts[8]; /* entries of the messages a, b, c, ... all waiting from the start */
	const char *want;
} sequences[] = {
	{ "first come, first served", { 5, 3, 50, 3 }, { 2, 1, 3 }, "aabccc" },
	/* At a cost of 2, without loans, slots come with every second one. */
	{ "four, then four of one", { 2, 0, 0, 1 }, { 4, 1, 1, 1, 1 }, "aabaacde" },
	{ "ten, then two of two", { 2, 0, 0, 1 }, { 10, 2, 2 }, "aaaabbaaaaccaa" },
	{ "ten, then two of two, half in advance", { 2, 0, 50, 1 }, { 10, 2, 2 },
	    "aabbaaaaccaaaa" },
	{ "never", { 0, 3, 50, 3 }, { 30, 1, 1 }, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaabc" },
	{ "too small to be preempted", { 5, 3, 50, 3 }, { 14, 1 }, "aaaaaaaaaaaaaab" },
	/* 15 entries are worth three slots, and a loan of three lends one soon. */
	{ "just large enough", { 5, 3, 50, 3 }, { 15, 1 }, "abaaaaaaaaaaaaaa" },
	/* What was lent is earned before the next time: as the peer does it (t/peer_schedule.t). */
	{ "debts", { 5, 3, 50, 3 }, { 20, 1, 1, 1, 1, 1 }, "abaaaaacaaaaadaaaaaeaaaaf" },
	{ "too large to preempt", { 5, 3, 50, 3 }, { 15, 4 }, "aaaaaaaaaaaaaaabbbb" },
	{ "not the whole credit at once", { 5, 0, 0, 1 }, { 10, 1, 1, 1 }, "aaaaabaaaaacd" },
	/* In the end what is left of a preempts b, which had preempted a. */
	{ "twice", { 2, 0, 0, 1 }, { 20, 8, 1 }, "aacaaaaaaaaaaaaaaaabbbbaabbbb" },
};

static void test_sequences(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
		struct world *w = world_new(&sequences[i].config, 1000);
		char got[256];

		for (unsigned j = 0; j < 8 && sequences[i].counts[j]; j++)
			message(w, j, sequences[i].counts[j], 0, 0);
		play(w, got, sizeof(got));
		want_str(sequences[i].name, got, sequences[i].want);
		world_free(w);
	}
}

static void test_round_of_destinations(void **state)
{
	struct world *w = world_new(&usual, 100);
	char got[16];
	size_t n = 0;
	struct item *item;

	(void)state;
	message(w, 0, 9, 0, 2);
	while ((item = next(w)) != NULL) {
		schedule_take(&item->e);
		got[n++] = (char)('0' + (item->site - w->sites));
		free(item);
	}
	got[n] = '\0';
	want_str("destinations", got, "012012012");
	world_free(w);
}

/* A full destination holds up nobody else, and goes on in order when there is room. */
static void test_blocked(void **state)
{
	struct world *w = world_new(&usual, 1);
	struct item *held, *item;

	(void)state;
	message(w, 0, 2, 0, 0);
	message(w, 1, 1, 0, 0);
	message(w, 2, 1, 1, 1);
	held = next(w);
	schedule_take(&held->e);
	held->site->running++;
	update(held->site);
	item = next(w);
	want_int("the other destination's", item->message, 2);
	schedule_take(&item->e);
	free(item);
	assert_null(next(w));
	held->site->running--;
	update(held->site);
	free(held);
	item = next(w);
	want_int("the same message's", item->message, 0);
	/* It may also leave without its turn. */
	schedule_remove(&item->e);
	free(item);
	item = next(w);
	want_int("the next one's", item->message, 1);
	schedule_take(&item->e);
	free(item);
	world_free(w);
}

/* ---- a large mailing and a stream of small mail ---- */

/*
 * SMALL messages of one entry come before every delivery, more than can be served: how many
 * deliveries the large one of N takes.
 */
static unsigned inflation(const struct schedule_config *config, unsigned n, unsigned entries)
{
	struct world *w = world_new(config, 1000);
	unsigned left = n, total = 0;
	char rest[8192];

	message(w, 0, n, 0, 3);
	while (left > 0) {
		struct item *item;

		if (w->s.waiting < n + 2000)
			message(w, 1, entries, 0, 3);
		item = next(w);
		schedule_take(&item->e);
		left -= item->message == 0;
		total++;
		w->now++;
		free(item);
	}
	play(w, rest, sizeof(rest));
	world_free(w);
	return total;
}

static void test_bound(void **state)
{
	static const unsigned costs[] = { 2, 3, 5, 10, 50 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(costs); i++)
		for (unsigned entries = 1; entries < 40; entries = entries * 2 + 1) {
			struct schedule_config config = { costs[i], 3, 50, 3 };
			unsigned n = 1000, total = inflation(&config, n, entries);
			unsigned bound = n + n / (costs[i] - 1) + 1;

			if (total > bound)
				fail_msg("cost %u, %u entries: %u deliveries, bound %u", costs[i],
				    entries, total, bound);
			/* And it gives what it has to give. */
			if (entries == 1 && total < n + n / costs[i] - config.minimum_slots)
				fail_msg("cost %u: only %u deliveries", costs[i], total);
		}
}

/* Of what could preempt, the one that waited longest for its size comes first. */
static void test_age_decides(void **state)
{
	struct world *w = world_new(&usual, 1000);
	struct item *item;
	char rest[512];

	(void)state;
	message(w, 0, 200, 0, 0);
	w->now += 10;
	message(w, 1, 2, 0, 0);
	w->now += 30000;
	message(w, 2, 1, 0, 0);
	w->now += 10;
	item = next(w);
	schedule_take(&item->e);
	free(item);
	item = next(w);
	want_int("the older one of two entries", item->message, 1);
	play(w, rest, sizeof(rest));
	assert_non_null(strchr(rest, 'c'));
	world_free(w);
}

#define MOVERS 100

static void add_at(struct world *w, struct site *site, unsigned id)
{
	struct schedule_job *job = schedule_job_begin(&w->s, w->now);
	struct item *item = calloc(1, sizeof(*item));

	assert_non_null(item);
	list_init(&item->e.node);
	item->site = site;
	item->message = id;
	schedule_add(job, &site->d, &item->e);
	schedule_job_end(job);
}

/* Moving in front again and again uses the gaps up. */
static void test_places(void **state)
{
	struct schedule_config config = { 2, 100, 100, 1 };
	struct world *w = world_new(&config, 1000);
	struct site sites[MOVERS];
	struct item *item;
	char rest[8192];

	(void)state;
	/* At a closed site, so that it stays in front of all. */
	w->sites[1].window = 0;
	update(&w->sites[1]);
	message(w, MOVERS + 1, 1, 1, 1);
	message(w, MOVERS, 1000, 0, 0);
	for (unsigned i = 0; i < MOVERS; i++) {
		schedule_destination_init(&sites[i].d, &w->s);
		schedule_open(&sites[i].d, true);
		add_at(w, &sites[i], i);
		while ((item = next(w))->message == MOVERS) {
			schedule_take(&item->e);
			free(item);
		}
		want_int("it passes", item->message, i);
		/* But it cannot run after all, and stays in front. */
		schedule_open(&sites[i].d, false);
	}
	w->sites[1].window = 1;
	update(&w->sites[1]);
	for (unsigned i = 0; i < MOVERS; i++)
		schedule_open(&sites[i].d, true);
	for (unsigned i = 0; i <= MOVERS; i++) {
		item = next(w);
		want_int("in their order", item->message, i == 0 ? MOVERS + 1 : i - 1);
		schedule_take(&item->e);
		free(item);
	}
	play(w, rest, sizeof(rest));
	for (unsigned i = 0; i < MOVERS; i++)
		schedule_destination_release(&sites[i].d);
	world_free(w);
}

/* ---- simulation ---- */

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(*seed >> 8) * below >> 24);
}

#define RUNNING_MAX 40

struct simulation {
	struct world *w;
	uint32_t seed;
	struct item *running[RUNNING_MAX];
	unsigned running_count, taken, added;
};

/* By a scan: is E of the first job that could go on?  The order among jobs is the list's. */
static void check_turn(struct simulation *sim, struct schedule_entry *e)
{
	struct schedule *s = &sim->w->s;
	struct schedule_destination *d = &of(e)->site->d;

	assert_true(d->open);
	for (size_t i = 0; i < SITES; i++) {
		struct schedule_entry *first = schedule_first(&sim->w->sites[i].d);

		if (!first || !sim->w->sites[i].d.open)
			continue;
		/* What is first there stands behind E's job, or is of it. */
		assert_true(sim->w->sites[i].d.waiting.nodes[1]->key >= d->waiting.nodes[1]->key);
	}
	assert_true(schedule_first(d) == e);
	(void)s;
}

static void step(struct simulation *sim)
{
	struct world *w = sim->w;
	unsigned what = draw(&sim->seed, 100);
	struct item *item;

	w->now += draw(&sim->seed, 20);
	if (what < 8) {
		unsigned from = draw(&sim->seed, SITES), count = 1 + draw(&sim->seed, 4);

		if (draw(&sim->seed, 10) == 0)
			count = 20 + draw(&sim->seed, 200);
		message(w, 0, count, from, from + draw(&sim->seed, SITES - from));
		sim->added += count;
	} else if (what < 60) {
		if (sim->running_count == RUNNING_MAX || !(item = next(w)))
			return;
		check_turn(sim, &item->e);
		schedule_take(&item->e);
		item->site->running++;
		update(item->site);
		sim->running[sim->running_count++] = item;
		sim->taken++;
	} else if (what < 97) {
		unsigned at;

		if (sim->running_count == 0)
			return;
		at = draw(&sim->seed, sim->running_count);
		item = sim->running[at];
		sim->running[at] = sim->running[--sim->running_count];
		item->site->running--;
		update(item->site);
		free(item);
	} else {
		struct site *site = &w->sites[draw(&sim->seed, SITES)];
		struct schedule_entry *e;

		/* A destination dies, or gets another window. */
		site->window = draw(&sim->seed, 10);
		update(site);
		while (draw(&sim->seed, 4) == 0 && (e = schedule_first(&site->d)) != NULL) {
			schedule_remove(e);
			free(of(e));
			sim->taken++;
		}
	}
}

static void test_simulation(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 20; seed++) {
		struct schedule_config config = { seed % 7, seed % 5, seed * 13 % 101, seed % 4 };
		struct simulation sim = { .seed = seed, .w = world_new(&config, 2) };
		struct item *item;

		for (unsigned i = 0; i < 5000; i++) {
			step(&sim);
			want_int("conserved", sim.w->s.waiting, sim.added - sim.taken);
		}
		while (sim.running_count > 0)
			free(sim.running[--sim.running_count]);
		for (size_t i = 0; i < SITES; i++) {
			sim.w->sites[i].window = 1000000;
			update(&sim.w->sites[i]);
		}
		/* Everything that waits gets its turn. */
		while ((item = next(sim.w)) != NULL) {
			check_turn(&sim, &item->e);
			schedule_take(&item->e);
			sim.taken++;
			free(item);
		}
		want_int("all", sim.taken, sim.added);
		world_free(sim.w);
	}
}

/* Candidates that cannot run are out of the way, however many, and come back. */
static void test_parked(void **state)
{
	struct world *w = world_new(&usual, 1000);
	struct item *item;
	char rest[8192];

	(void)state;
	w->sites[7].window = 0;
	update(&w->sites[7]);
	message(w, 0, 3000, 0, 0);
	for (unsigned i = 0; i < 500; i++)
		message(w, 1, 1, 7, 7);
	message(w, 2, 1, 1, 1);
	/* The blocked ones, older, are met first, and then never again. */
	for (unsigned i = 0;; i++) {
		item = next(w);
		schedule_take(&item->e);
		if (item->message == 2)
			break;
		want_int("meanwhile", item->message, 0);
		free(item);
		assert_true(i < 100);
	}
	free(item);
	message(w, 2, 1, 1, 1);
	item = next(w);
	want_int("the next one at once", item->message, 2);
	w->sites[7].window = 1000;
	update(&w->sites[7]);
	play(w, rest, sizeof(rest));
	assert_true(strchr(rest, 'b') - rest < 20);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_round_of_destinations),
		cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_age_decides),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_parked),
		cmocka_unit_test(test_simulation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a turn of the scheduler costs (qmgr/schedule.h), in ns of CPU: how long 20,000 messages take
 * to be added, and for each of their deliveries to get its turn and end.
 *
 *   schedule_cost [MESSAGES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "qmgr/schedule.h"

struct site {
	struct schedule_destination d;
	unsigned running, window;
};

struct item {
	struct schedule_entry e;
	struct site *site;
};

struct shape {
	const char *name;
	unsigned sites, window, process_limit;
	unsigned entries;   /* of an ordinary message */
	unsigned big, each; /* entries of a mailing; every how many messages one comes */
};

static const struct shape shapes[] = {
	{ "1 destination", 1, 20, 100, 1, 0, 0 },
	{ "1,000 destinations", 1000, 20, 100, 1, 0, 0 },
	{ "1,000 destinations, 3 recipients each", 1000, 20, 100, 3, 0, 0 },
	{ "1,000 destinations, mailings of 5,000", 1000, 20, 100, 1, 5000, 4000 },
	{ "1 destination, mailings of 5,000", 1, 20, 100, 1, 5000, 4000 },
	{ "1,000 destinations, 2 at a time each, mailings", 1000, 2, 10000, 2, 2000, 1000 },
};

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(*seed >> 8) * below >> 24);
}

static void update(struct site *site)
{
	schedule_open(&site->d, site->running < site->window);
}

static size_t add_all(struct schedule *s, const struct shape *shape, struct site *sites,
    struct item *items, unsigned messages)
{
	uint32_t seed = 1;
	size_t n = 0;

	for (unsigned m = 0; m < messages; m++) {
		struct schedule_job *job = schedule_job_begin(s, m);
		unsigned count = shape->each && m % shape->each == 0 ? shape->big : shape->entries;

		for (unsigned i = 0; i < count; i++) {
			struct item *item = &items[n++];

			list_init(&item->e.node);
			item->site = &sites[draw(&seed, shape->sites)];
			schedule_add(job, &item->site->d, &item->e);
		}
		schedule_job_end(job);
	}
	return n;
}

/* As many as may run at a time do, and end in their order. */
static size_t run_all(struct schedule *s, const struct shape *shape, size_t total)
{
	struct item **running = xcalloc(shape->process_limit, sizeof(*running));
	size_t begun = 0, ended = 0;

	while (ended < total) {
		struct schedule_entry *e = NULL;

		if (begun - ended < shape->process_limit)
			e = schedule_next(s, (int64_t)(begun + total));
		if (e) {
			struct item *item = (struct item *)(void *)e;

			schedule_take(e);
			item->site->running++;
			update(item->site);
			running[begun++ % shape->process_limit] = item;
		} else {
			struct item *item = running[ended++ % shape->process_limit];

			item->site->running--;
			update(item->site);
		}
	}
	free(running);
	return begun;
}

static void measure(const struct shape *shape, unsigned messages)
{
	static const struct schedule_config config = { 5, 3, 50, 3 };
	struct site *sites = xcalloc(shape->sites, sizeof(*sites));
	size_t most = (size_t)messages * shape->entries +
		      (shape->each ? (size_t)(messages / shape->each + 1) * shape->big : 0);
	struct item *items = xcalloc(most, sizeof(*items));
	struct schedule s;
	double t0, t1, t2;
	size_t n;

	schedule_init(&s, &config);
	for (unsigned i = 0; i < shape->sites; i++) {
		schedule_destination_init(&sites[i].d, &s);
		sites[i].window = shape->window;
		update(&sites[i]);
	}
	t0 = now_ns();
	n = add_all(&s, shape, sites, items, messages);
	t1 = now_ns();
	n = run_all(&s, shape, n);
	t2 = now_ns();
	printf("%-48s %7zu deliveries: %5.0f ns to add one, %5.0f ns for a turn and its end\n",
	    shape->name, n, (t1 - t0) / (double)n, (t2 - t1) / (double)n);
	for (unsigned i = 0; i < shape->sites; i++)
		schedule_destination_release(&sites[i].d);
	schedule_release(&s);
	free(items);
	free(sites);
}

int main(int argc, char **argv)
{
	unsigned messages = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		measure(&shapes[i], messages);
	return 0;
}

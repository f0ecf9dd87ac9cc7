// SPDX-License-Identifier: BSD-2-Clause
/*
 * A job's place in the list is a number with gaps, so that one can move in front of another; when a
 * gap is used up all get new ones.  Every open destination offers its first peer to that peer's
 * job, and the jobs that have an offer are in a heap by place: its first one is the first job of
 * the list that can go on, since whoever stands in front of it and waits for an open destination
 * would be offered there.
 */
#include "qmgr/schedule.h"

#include <stdlib.h>

#include "base/check.h"

#define PLACE_GAP     (INT64_C(1) << 24)
#define SEARCH_PARKS  8
#define UNPARKS	      4
#define EXACT_CLASSES 16

struct schedule_job {
	struct schedule *schedule;
	struct list node;	/* of the job list */
	struct list peers;	/* all that have entries waiting */
	struct list offers;	/* peers whose destinations offer them, the next one first */
	struct heap_node ready; /* by place */
	struct heap_node candidate;
	unsigned class;
	int64_t place;
	uint64_t number; /* older ones are smaller */
	int64_t arrival_ms;
	size_t waiting, selected, slots_used;
	bool filling; /* schedule_job_end has not been called */
	bool parked;
};

struct schedule_peer {
	struct schedule_job *job;
	struct schedule_destination *destination;
	struct list node;  /* of the job's peers */
	struct list offer; /* of the job's offers */
	struct list entries;
	struct heap_node waiting, parked; /* of the destination's heaps */
};

static struct schedule_job *job_of(struct heap_node *node, size_t offset)
{
	return (struct schedule_job *)(void *)((char *)node - offset);
}

static struct schedule_peer *peer_of(struct heap_node *node, size_t offset)
{
	return (struct schedule_peer *)(void *)((char *)node - offset);
}

/* ---- candidates ---- */

/* Exact below 16; above, of the highest four bits. */
static unsigned class_of(size_t count)
{
	unsigned bits;

	if (count < EXACT_CLASSES)
		return (unsigned)count;
	if (count > UINT32_MAX)
		count = UINT32_MAX;
	bits = 63 - (unsigned)__builtin_clzll((unsigned long long)count);
	return EXACT_CLASSES + (bits - 4) * 8 + (unsigned)(count >> (bits - 3) & 7);
}

static void class_drop(struct schedule_job *job)
{
	struct schedule *s = job->schedule;

	if (!heap_contains(&job->candidate))
		return;
	heap_remove(&s->classes[job->class], &job->candidate);
	if (s->classes[job->class].count == 0)
		s->used[job->class / 64] &= ~(UINT64_C(1) << (job->class % 64));
}

static void class_join(struct schedule_job *job)
{
	struct schedule *s = job->schedule;
	unsigned class = class_of(job->waiting);

	if (job->parked || job->filling || (heap_contains(&job->candidate) && job->class == class))
		return;
	class_drop(job);
	if (job->waiting == 0)
		return;
	job->class = class;
	heap_set(&s->classes[class], &job->candidate, (int64_t)job->number);
	s->used[class / 64] |= UINT64_C(1) << (class % 64);
}

static bool is_blocked(const struct schedule_job *job)
{
	list_for_each(pos, &job->peers)
		if (list_entry(pos, struct schedule_peer, node)->destination->open)
			return false;
	return true;
}

static void park(struct schedule_job *job)
{
	class_drop(job);
	job->parked = true;
	list_for_each(pos, &job->peers) {
		struct schedule_peer *p = list_entry(pos, struct schedule_peer, node);

		heap_set(&p->destination->parked, &p->parked, (int64_t)job->number);
	}
}

static void unpark(struct schedule_job *job)
{
	if (!job->parked)
		return;
	job->parked = false;
	list_for_each(pos, &job->peers) {
		struct schedule_peer *p = list_entry(pos, struct schedule_peer, node);

		heap_remove(&p->destination->parked, &p->parked);
	}
	class_join(job);
}

/* ---- offers ---- */

static void ready_update(struct schedule_job *job)
{
	struct schedule *s = job->schedule;

	if (list_is_empty(&job->offers))
		heap_remove(&s->ready, &job->ready);
	else
		heap_set(&s->ready, &job->ready, job->place);
}

static void withdraw(struct schedule_peer *p)
{
	list_del(&p->offer);
	ready_update(p->job);
}

static void offer(struct schedule_peer *p)
{
	list_add_tail(&p->job->offers, &p->offer);
	ready_update(p->job);
}

static struct schedule_peer *first_peer(const struct schedule_destination *d)
{
	struct heap_node *node = heap_min(&d->waiting);

	return node ? peer_of(node, offsetof(struct schedule_peer, waiting)) : NULL;
}

static void destination_update(struct schedule_destination *d)
{
	struct schedule_peer *first = d->open ? first_peer(d) : NULL;

	if (d->offered != first) {
		if (d->offered)
			withdraw(d->offered);
		d->offered = first;
		if (first)
			offer(first);
	}
	for (unsigned i = 0; d->open && i < UNPARKS && d->parked.count > 0; i++)
		unpark(peer_of(heap_min(&d->parked), offsetof(struct schedule_peer, parked))->job);
}

void schedule_destination_init(struct schedule_destination *d, struct schedule *s)
{
	*d = (struct schedule_destination){ .schedule = s };
}

void schedule_destination_release(struct schedule_destination *d)
{
	ASSERT(d->waiting.count == 0 && d->parked.count == 0);
	heap_release(&d->waiting);
	heap_release(&d->parked);
}

void schedule_open(struct schedule_destination *d, bool open)
{
	d->open = open;
	destination_update(d);
}

bool schedule_is_waiting(const struct schedule_destination *d)
{
	return d->waiting.count > 0;
}

/* ---- jobs ---- */

void schedule_init(struct schedule *s, const struct schedule_config *config)
{
	*s = (struct schedule){ .config = *config };
	list_init(&s->jobs);
}

void schedule_release(struct schedule *s)
{
	ASSERT(list_is_empty(&s->jobs));
	heap_release(&s->ready);
	for (size_t i = 0; i < SCHEDULE_CLASSES; i++)
		heap_release(&s->classes[i]);
}

static struct schedule_job *at(struct list *node)
{
	return list_entry(node, struct schedule_job, node);
}

struct schedule_job *schedule_job_begin(struct schedule *s, int64_t now_ms)
{
	struct schedule_job *job = xcalloc(1, sizeof(*job));

	job->schedule = s;
	job->place = list_is_empty(&s->jobs) ? 0 : at(s->jobs.prev)->place + PLACE_GAP;
	job->number = ++s->next_number;
	job->arrival_ms = now_ms;
	job->filling = true;
	list_init(&job->peers);
	list_init(&job->offers);
	list_add_tail(&s->jobs, &job->node);
	return job;
}

static void job_free_if_done(struct schedule_job *job)
{
	if (job->waiting > 0 || job->filling)
		return;
	ASSERT(!heap_contains(&job->candidate) && !heap_contains(&job->ready));
	list_del(&job->node);
	free(job);
}

void schedule_job_end(struct schedule_job *job)
{
	job->filling = false;
	class_join(job);
	job_free_if_done(job);
}

static struct schedule_peer *peer_get(struct schedule_job *job, struct schedule_destination *d)
{
	struct schedule_peer *p = d->latest;

	if (p && p->job == job)
		return p;
	p = xcalloc(1, sizeof(*p));
	p->job = job;
	p->destination = d;
	d->latest = p;
	list_init(&p->offer);
	list_init(&p->entries);
	list_add_tail(&job->peers, &p->node);
	heap_set(&d->waiting, &p->waiting, job->place);
	return p;
}

static void peer_free(struct schedule_peer *p)
{
	struct schedule_destination *d = p->destination;

	if (d->latest == p)
		d->latest = NULL;
	list_del(&p->node);
	heap_remove(&d->waiting, &p->waiting);
	heap_remove(&d->parked, &p->parked);
	if (d->offered == p) {
		d->offered = NULL;
		withdraw(p);
	}
	free(p);
	destination_update(d);
}

void schedule_add(
    struct schedule_job *job, struct schedule_destination *d, struct schedule_entry *e)
{
	ASSERT(job->filling);
	e->peer = peer_get(job, d);
	list_add_tail(&e->peer->entries, &e->node);
	job->waiting++;
	job->schedule->waiting++;
	destination_update(d);
}

struct schedule_entry *schedule_last(
    const struct schedule_job *job, const struct schedule_destination *d)
{
	const struct schedule_peer *p = d->latest;

	if (!p || p->job != job)
		return NULL;
	return list_entry(p->entries.prev, struct schedule_entry, node);
}

struct schedule_entry *schedule_first(const struct schedule_destination *d)
{
	const struct schedule_peer *p = first_peer(d);

	return p ? list_entry(p->entries.next, struct schedule_entry, node) : NULL;
}

/* ---- preemption ---- */

static void renumber(struct schedule *s)
{
	int64_t place = 0;

	/* The order is as before, so every heap stays one. */
	list_for_each(pos, &s->jobs) {
		struct schedule_job *job = at(pos);

		job->place = place += PLACE_GAP;
		job->ready.key = job->place;
		list_for_each(p, &job->peers)
			list_entry(p, struct schedule_peer, node)->waiting.key = job->place;
	}
}

static int64_t place_before(struct schedule *s, struct schedule_job *job)
{
	if (job->node.prev == &s->jobs)
		return job->place - PLACE_GAP;
	if (job->place - at(job->node.prev)->place < 2)
		renumber(s);
	return job->place - (job->place - at(job->node.prev)->place) / 2;
}

static void move_before(struct schedule_job *mover, struct schedule_job *job)
{
	struct schedule *s = job->schedule;

	list_del(&mover->node);
	mover->place = place_before(s, job);
	list_add_tail(&job->node, &mover->node);
	list_for_each(pos, &mover->peers) {
		struct schedule_peer *p = list_entry(pos, struct schedule_peer, node);

		heap_set(&p->destination->waiting, &p->waiting, mover->place);
		destination_update(p->destination);
	}
	ready_update(mover);
}

/* Is A the better candidate, by age / entries? */
static bool is_better(const struct schedule_job *a, const struct schedule_job *b, int64_t now_ms)
{
	return (double)(now_ms - a->arrival_ms + 1) * (double)b->waiting >
	       (double)(now_ms - b->arrival_ms + 1) * (double)a->waiting;
}

/* The oldest of a class that is not blocked. */
static struct schedule_job *class_best(struct schedule *s, unsigned class, unsigned *parks)
{
	struct heap_node *node;

	while ((node = heap_min(&s->classes[class])) != NULL) {
		struct schedule_job *job = job_of(node, offsetof(struct schedule_job, candidate));

		if (!is_blocked(job))
			return job;
		if (*parks == 0)
			return NULL;
		(*parks)--;
		park(job);
	}
	return NULL;
}

static struct schedule_job *find_candidate(struct schedule *s, size_t max_slots, int64_t now_ms)
{
	unsigned last = class_of(max_slots), parks = SEARCH_PARKS;
	struct schedule_job *best = NULL;

	for (unsigned word = 0; word <= last / 64; word++) {
		uint64_t left = s->used[word];

		for (; left != 0; left &= left - 1) {
			unsigned class = word * 64 + (unsigned)__builtin_ctzll(left);
			struct schedule_job *job;

			if (class > last)
				return best;
			job = class_best(s, class, &parks);
			if (job && job->waiting <= max_slots &&
			    (!best || is_better(job, best, now_ms)))
				best = job;
		}
	}
	return best;
}

/* In advance of what it owns, but only when what it lent before has been earned, and one more. */
static bool has_slots(const struct schedule_job *job, size_t needed)
{
	const struct schedule_config *c = &job->schedule->config;
	size_t lent = job->slots_used * c->slot_cost;
	size_t in_advance = needed * c->slot_discount / 100 + c->slot_loan;

	return job->selected > lent && (job->selected - lent) / c->slot_cost + in_advance >= needed;
}

/* How many slots it may still lend in its life, if it is one to be preempted at all. */
static size_t slots_left(const struct schedule_job *job)
{
	const struct schedule_config *c = &job->schedule->config;
	size_t all = (job->selected + job->waiting) / c->slot_cost;

	return all >= c->minimum_slots && all > job->slots_used ? all - job->slots_used : 0;
}

static void try_preemption(struct schedule_job *job, int64_t now_ms)
{
	struct schedule *s = job->schedule;
	struct schedule_job *candidate;
	size_t max_slots;

	if (s->config.slot_cost < 2 || s->jobs.next == s->jobs.prev)
		return;
	max_slots = slots_left(job);
	/* The smallest of all candidates needs one. */
	if (max_slots == 0 || !has_slots(job, 1))
		return;
	class_drop(job);
	candidate = find_candidate(s, max_slots, now_ms);
	class_join(job);
	if (!candidate || !has_slots(job, candidate->waiting))
		return;
	job->slots_used += candidate->waiting;
	move_before(candidate, job);
}

/* ---- turns ---- */

static struct schedule_job *first_job(const struct schedule *s)
{
	struct heap_node *node = heap_min(&s->ready);

	return node ? job_of(node, offsetof(struct schedule_job, ready)) : NULL;
}

struct schedule_entry *schedule_next(struct schedule *s, int64_t now_ms)
{
	struct schedule_job *job = first_job(s);
	struct schedule_peer *p;

	if (!job)
		return NULL;
	try_preemption(job, now_ms);
	job = first_job(s);
	p = list_entry(job->offers.next, struct schedule_peer, offer);
	return list_entry(p->entries.next, struct schedule_entry, node);
}

static void leave(struct schedule_entry *e)
{
	struct schedule_peer *p = e->peer;
	struct schedule_job *job = p->job;

	list_del(&e->node);
	e->peer = NULL;
	job->waiting--;
	job->schedule->waiting--;
	if (list_is_empty(&p->entries)) {
		peer_free(p);
	} else if (!list_is_empty(&p->offer)) {
		/* The next one is another destination's. */
		list_del(&p->offer);
		list_add_tail(&job->offers, &p->offer);
	}
	class_join(job);
	job_free_if_done(job);
}

void schedule_take(struct schedule_entry *e)
{
	e->peer->job->selected++;
	leave(e);
}

void schedule_remove(struct schedule_entry *e)
{
	leave(e);
}

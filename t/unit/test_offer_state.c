// SPDX-License-Identifier: BSD-2-Clause
/*
 * The product of doc/QUEUE.md 2.3: every reachable state of intake, qmgr, the records under way
 * between them and the name on disk, with the loss of the connection and a crash of either side at
 * any moment.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "queue/offer_state.h"

#define QUEUE_MAX 4

enum record { R_NONE, R_SPOOLING, R_SPOOLED, R_FAILED, R_SEEN, R_DONE, R_SPOOL };
enum name { NAME_NONE, NAME_LINKED, NAME_SYNCED, NAME_REMOVED };

struct world {
	unsigned char intake, owner, name;
	unsigned char up[QUEUE_MAX], down[QUEUE_MAX]; /* records under way, oldest first */
	unsigned char connected, intake_dead, owner_dead;
	unsigned char durable; /* every delivery is */
	unsigned char seen;    /* a DONE was processed, and an OFFER can say so */
	unsigned char adopted; /* qmgr knows the name as its own */
	unsigned char gone_told;
};

static struct map visited = MAP_INIT;
static struct world *todo;
static size_t todo_count, todo_alloc;
static bool owner_reached[OWNER_STATES][OWNER_EVENTS];

static const char *describe(const struct world *w)
{
	static char text[200];

	snprintf(text, sizeof(text), "intake %s%s, qmgr %s%s, name %d, durable %d, connected %d",
	    intake_state_name(w->intake), w->intake_dead ? " (dead)" : "",
	    owner_state_name(w->owner), w->owner_dead ? " (dead)" : "", w->name, w->durable,
	    w->connected);
	return text;
}

static void check(const struct world *w)
{
	if (w->intake == INTAKE_ACCEPTED && !w->durable && w->name != NAME_SYNCED)
		fail_msg("acknowledged, and neither durable nor spooled: %s", describe(w));
}

static void visit(struct world w)
{
	struct slice key = slice_mem(&w, sizeof(w));

	check(&w);
	if (map_get(&visited, key))
		return;
	map_put(&visited, key, &visited);
	if (todo_count == todo_alloc) {
		todo_alloc = todo_alloc ? 2 * todo_alloc : 64;
		todo = xreallocarray(todo, todo_alloc, sizeof(*todo));
	}
	todo[todo_count++] = w;
}

static void push(unsigned char queue[QUEUE_MAX], enum record record)
{
	int i = 0;

	while (i < QUEUE_MAX && queue[i])
		i++;
	assert_true(i < QUEUE_MAX);
	queue[i] = (unsigned char)record;
}

static enum record pop(unsigned char queue[QUEUE_MAX])
{
	enum record record = queue[0];

	memmove(queue, queue + 1, QUEUE_MAX - 1);
	queue[QUEUE_MAX - 1] = R_NONE;
	return record;
}

static void remove_name(struct world *w)
{
	if (w->name != NAME_LINKED && w->name != NAME_SYNCED)
		return;
	if (!w->durable && w->intake != INTAKE_REFUSED)
		fail_msg("a name is removed too early: %s", describe(w));
	w->name = NAME_REMOVED;
}

static void owner_event(struct world *w, enum owner_event event)
{
	struct owner_step s = owner_step(w->owner, event);

	owner_reached[w->owner][event] = true;
	if (s.action == OWNER_VIOLATION)
		fail_msg("violation by event %d: %s", event, describe(w));
	w->owner = s.next;
	switch (s.action) {
	case OWNER_SEND_DONE:
		push(w->down, R_DONE);
		break;
	case OWNER_SEND_SPOOL:
		push(w->down, R_SPOOL);
		break;
	case OWNER_ADOPT:
		w->adopted = 1;
		break;
	case OWNER_STOP_AND_REMOVE:
	case OWNER_REMOVE_NAME:
		remove_name(w);
		break;
	default:
		break;
	}
}

static void intake_event(struct world *w, enum intake_event event)
{
	static const enum record records[] = { R_NONE, R_SPOOLING, R_SPOOLED, R_FAILED };
	struct intake_step s = intake_step(w->intake, event);

	if (!s.legal)
		fail_msg("illegal event %d: %s", event, describe(w));
	w->intake = s.next;
	if (s.action != INTAKE_NOTHING && w->connected)
		push(w->up, records[s.action]);
}

static void intake_moves(struct world w)
{
	struct world n = w;

	if (w.intake_dead)
		return;
	if (w.intake == INTAKE_OFFERED) {
		intake_event(&n, INTAKE_TIMEOUT);
		visit(n);
		n = w;
		intake_event(&n, INTAKE_BROKEN);
		visit(n);
		n = w;
	}
	if (w.intake == INTAKE_SPOOLING || w.intake == INTAKE_DETACHED) {
		if (w.name == NAME_NONE) {
			n.name = NAME_LINKED;
			visit(n);
			n = w;
		}
		/* The sync works on the file, whoever has unlinked it meanwhile. */
		if (w.name != NAME_NONE) {
			if (w.name == NAME_LINKED)
				n.name = NAME_SYNCED;
			intake_event(&n, INTAKE_SYNCED);
			visit(n);
			n = w;
		}
		intake_event(&n, INTAKE_BROKEN);
		visit(n);
		n = w;
	}
	if (w.down[0] && w.connected) {
		enum record record = pop(n.down);

		n.seen |= record == R_DONE;
		intake_event(&n, record == R_DONE ? INTAKE_DONE : INTAKE_SPOOL);
		visit(n);
		n = w;
	}
	/* Another message's OFFER: only for a DONE that was taken do we look further. */
	if (w.seen == 1 && w.connected) {
		n.seen = 2;
		push(n.up, R_SEEN);
		visit(n);
		n = w;
	}
	n.intake_dead = 1;
	n.connected = 0;
	visit(n);
}

static void owner_moves(struct world w)
{
	static const enum owner_event events[] = { [R_SPOOLING] = OWNER_R_SPOOLING,
		[R_SPOOLED] = OWNER_R_SPOOLED,
		[R_FAILED] = OWNER_R_FAILED };
	struct world n = w;

	if (w.owner_dead) {
		/* The next qmgr finds the name. */
		if (w.name == NAME_LINKED || w.name == NAME_SYNCED) {
			n.owner_dead = 0;
			n.owner = OWNER_OVER;
			n.adopted = 1;
			visit(n);
		}
		return;
	}
	if (!w.durable) {
		n.durable = 1;
		owner_event(&n, OWNER_DURABLE);
		visit(n);
		n = w;
	}
	owner_event(&n, OWNER_WAIT);
	visit(n);
	n = w;
	if (w.up[0]) {
		enum record record = pop(n.up);

		/* `seen` concerns the message only when it was given DONE (it names a number). */
		if (record != R_SEEN)
			owner_event(&n, events[record]);
		else if (w.owner == OWNER_GIVEN)
			owner_event(&n, OWNER_SEEN);
		visit(n);
		n = w;
	}
	if (!w.connected && !w.up[0] && !w.gone_told) {
		n.gone_told = 1;
		owner_event(&n, OWNER_GONE);
		visit(n);
		n = w;
	}
	/* A scan, or the look after "leave". */
	if (w.owner == OWNER_OVER && (w.name == NAME_LINKED || w.name == NAME_SYNCED)) {
		n.adopted = 1;
		visit(n);
		n = w;
	}
	if (w.adopted && w.durable) {
		remove_name(&n);
		visit(n);
		n = w;
	}
	n.owner_dead = 1;
	n.connected = 0;
	memset(n.up, 0, sizeof(n.up));
	visit(n);
}

static void connection_moves(struct world w)
{
	struct world n = w;

	if (w.connected) {
		n.connected = 0;
		visit(n);
		return;
	}
	/* What was under way may be lost with it. */
	memset(n.down, 0, sizeof(n.down));
	visit(n);
	memset(n.up, 0, sizeof(n.up));
	visit(n);
	n = w;
	if (!w.intake_dead && w.intake != INTAKE_DETACHED) {
		intake_event(&n, INTAKE_GONE);
		visit(n);
	}
}

static void explore(struct world first)
{
	visit(first);
	while (todo_count > 0) {
		struct world w = todo[--todo_count];

		intake_moves(w);
		owner_moves(w);
		connection_moves(w);
	}
}

static void test_product(void **state)
{
	(void)state;
	explore((struct world){ .intake = INTAKE_OFFERED, .owner = OWNER_OPEN, .connected = 1 });
	/* An offer that never waits. */
	explore(
	    (struct world){ .intake = INTAKE_SPOOLING, .owner = OWNER_SPOOLING, .connected = 1 });
	/* No qmgr. */
	explore((struct world){ .intake = INTAKE_DETACHED, .owner_dead = 1 });
	assert_true(visited.count > 500);
	map_release(&visited, NULL);
	free(todo);
}

/* No row of the table is there for nothing. */
static void test_all_reached(void **state)
{
	static const struct {
		enum owner_state state;
		enum owner_event event;
	} must[] = {
		{ OWNER_OPEN, OWNER_DURABLE },
		{ OWNER_OPEN, OWNER_WAIT },
		{ OWNER_OPEN, OWNER_R_SPOOLING },
		{ OWNER_OPEN, OWNER_R_FAILED },
		{ OWNER_OPEN, OWNER_GONE },
		{ OWNER_TOLD, OWNER_DURABLE },
		{ OWNER_TOLD, OWNER_R_SPOOLING },
		{ OWNER_TOLD, OWNER_R_FAILED },
		{ OWNER_TOLD, OWNER_GONE },
		{ OWNER_SPOOLING, OWNER_DURABLE },
		{ OWNER_SPOOLING, OWNER_R_SPOOLED },
		{ OWNER_SPOOLING, OWNER_R_FAILED },
		{ OWNER_SPOOLING, OWNER_GONE },
		{ OWNER_GIVEN, OWNER_R_SPOOLING },
		{ OWNER_GIVEN, OWNER_R_FAILED },
		{ OWNER_GIVEN, OWNER_SEEN },
		{ OWNER_GIVEN, OWNER_GONE },
		{ OWNER_GIVEN_SPOOLING, OWNER_R_SPOOLED },
		{ OWNER_GIVEN_SPOOLING, OWNER_R_FAILED },
		{ OWNER_GIVEN_SPOOLING, OWNER_GONE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(must); i++)
		if (!owner_reached[must[i].state][must[i].event])
			fail_msg("%s never meets event %d", owner_state_name(must[i].state),
			    must[i].event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_product),
		cmocka_unit_test(test_all_reached),
	};

	return cmocka_run_group_tests_name("offer_state", tests, NULL, NULL);
}

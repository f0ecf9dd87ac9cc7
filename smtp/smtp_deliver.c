// SPDX-License-Identifier: BSD-2-Clause
/*
 * A delivery: the destinations of its next hop in turn, then those of smtp_fallback_relay; of each
 * its hosts in turn.  What one host leaves undone goes to the next one; what the last one leaves
 * is deferred, or returned where nothing else can come of it.
 */
#include <string.h>

#include "log/log.h"
#include "smtp/smtp_transaction.h"

struct hunt {
	struct delivery *d;
	struct arena arena;
	const char **destinations;
	size_t count, fallback_from; /* the index of the first fallback */
	size_t tried;		     /* destinations */
	struct smtp_todo todo;
	struct smtp_failure failure; /* of the last attempt */
	bool has_failure, stopped;
};

static void add_destinations(struct hunt *h, const char *list)
{
	const char *item;

	for (size_t i = 0; smtp_nexthop_item(list, i, &h->arena, &item); i++) {
		const char **more =
		    arena_alloc(&h->arena, (h->count + 1) * sizeof(*h->destinations));

		if (h->count > 0)
			memcpy(more, h->destinations, h->count * sizeof(*more));
		more[h->count++] = item;
		h->destinations = more;
	}
}

/* What is final for one host counts only when it is final for all. */
static void note_failure(struct hunt *h, const struct smtp_failure *failure)
{
	if (!failure->stop && h->has_failure && reason_is_permanent(&failure->why) &&
	    !reason_is_permanent(&h->failure.why))
		return;
	h->failure = *failure;
	h->has_failure = true;
}

static struct smtp_session *open_session(
    struct hunt *h, const struct smtp_target *target, struct smtp_failure *failure)
{
	struct smtp_session *session = smtp_reuse_take(h->d, target);

	return session ? session : smtp_session_open(h->d, target, failure);
}

static bool is_over(const struct hunt *h)
{
	return h->stopped || h->todo.count == 0 || delivery_should_stop(h->d);
}

/* The hosts of one destination; at most so many sessions. */
static void try_targets(struct hunt *h, const struct smtp_targets *targets, bool last_destination)
{
	size_t limit = (size_t)SMTP_PARAM(mx_session_limit), sessions = 0;

	for (size_t i = 0; i < targets->count && !is_over(h); i++) {
		struct smtp_failure failure = { .host = false };
		struct smtp_session *session = open_session(h, &targets->list[i], &failure);
		bool last, opened = session || failure.relay[0] != '\0';

		sessions += opened;
		last = last_destination && (i + 1 == targets->count || sessions == limit);
		if (!session) {
			note_failure(h, &failure);
			h->stopped = failure.stop;
			if (!failure.logged && !failure.stop && !last)
				log_info("%s: %s", h->d->request->id, failure.why.text);
			if (opened && sessions == limit)
				return;
			continue;
		}
		if (smtp_transaction(session, &h->todo, last, &failure) ==
		    SMTP_TRANSACTION_NEXT_HOST) {
			note_failure(h, &failure);
			log_info("%s: %s", h->d->request->id, failure.why.text);
		}
		smtp_reuse_give(h->d, session);
		if (sessions == limit)
			return;
	}
}

static void try_destination(struct hunt *h, size_t index)
{
	struct smtp_failure failure = { .host = false };
	struct smtp_targets targets;

	smtp_targets_init(&targets);
	switch (smtp_targets_find(
	    &targets, h->destinations[index], index >= h->fallback_from, &failure)) {
	case SMTP_TARGETS_FOUND:
		try_targets(h, &targets, targets.own || index + 1 == h->count);
		/* Nor must one of the worse MX hosts. */
		h->stopped |= targets.own;
		break;
	case SMTP_TARGETS_OWN:
		/* Whoever is the best MX itself must not hand the mail to a relay that sends it
		 * back. */
		h->stopped = true;
		note_failure(h, &failure);
		break;
	case SMTP_TARGETS_NONE:
		note_failure(h, &failure);
		break;
	}
	smtp_targets_release(&targets);
}

/*
 * A relay that is not found, or is this host, is a mistake in main.cf: mail waits until it is
 * mended.  A host that has answered meant this mail.
 */
static void blame_configuration(struct hunt *h)
{
	const char *name;

	if (!reason_is_permanent(&h->failure.why) || h->failure.relay[0] != '\0')
		return;
	if (h->tried > h->fallback_from)
		name = SMTP_PARAM_NAME("fallback_relay");
	else if (h->count > 0 && strcmp(h->destinations[0], smtp_params->relayhost) == 0)
		name = "relayhost";
	else
		return;
	log_warning("%s configuration problem", name);
	reason_set(&h->failure.why, "4.3.5", "%s", h->failure.why.text);
}

/* Those that no host took. */
static void give_up(struct hunt *h)
{
	struct delivery_outcome outcome;

	if (!h->has_failure)
		smtp_fail(&h->failure, false, "4.4.1", "no host of %s could be tried",
		    h->d->request->nexthop);
	blame_configuration(h);
	outcome = smtp_outcome(NULL, &h->failure, &h->arena);
	for (size_t i = 0; i < h->todo.count; i++)
		delivery_result(h->d, h->todo.indices[i], &outcome);
	if (h->failure.host && outcome.status == DELIVERY_DEFERRED)
		delivery_site_failed(h->d, &h->failure.why);
}

void smtp_deliver(struct delivery *d)
{
	struct hunt h = { .d = d, .arena = ARENA_INIT, .todo = { .delivery = d } };

	h.todo.count = d->request->recipient_count;
	h.todo.indices = arena_alloc(&h.arena, h.todo.count * sizeof(*h.todo.indices));
	for (size_t i = 0; i < h.todo.count; i++)
		h.todo.indices[i] = i;
	add_destinations(&h, d->request->nexthop);
	h.fallback_from = h.count;
	add_destinations(&h, SMTP_PARAM(fallback_relay));
	for (; h.tried < h.count && !is_over(&h); h.tried++)
		try_destination(&h, h.tried);
	if (h.todo.count > 0 && !delivery_should_stop(d))
		give_up(&h);
	arena_release(&h.arena);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The statistics, in anvil(8)'s words.  The highest values lie in the segment.  Every process that
 * counted something looks at the clock now and then; the one that first sees that statistics are
 * due takes that time out of the segment, and logs them.
 *
 * A peak has several members, so who writes it says so first.  Who died over that is passed over
 * after a while; who finds it busy comes again with the next value.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "server/anvil_internal.h"

#define BUSY_MAX_MS   2000
#define LOOK_EVERY_MS 15000
#define IDENT_SIZE    (ANVIL_IDENT_WORDS * sizeof(uint64_t))

static const char *const peak_names[ANVIL_PEAKS] = { "connection rate", "message rate",
	"recipient rate", "newtls rate", "auth rate", "connection count" };
/* anvil(8)'s order. */
static const unsigned peak_order[ANVIL_PEAKS] = { ANVIL_CONNECTION, ANVIL_PEAK_COUNT, ANVIL_MESSAGE,
	ANVIL_RECIPIENT, ANVIL_NEW_TLS, ANVIL_AUTH };

static bool peak_begin(struct anvil_peak *peak)
{
	uint64_t now = (uint64_t)clock_ms() + 1, since = atomic_load(&peak->busy_since);

	if (since != 0 && now - since < BUSY_MAX_MS)
		return false;
	return atomic_compare_exchange_strong(&peak->busy_since, &since, now);
}

static void peak_end(struct anvil_peak *peak)
{
	atomic_store(&peak->busy_since, 0);
}

static void ident_of(const struct anvil *a, const struct net_addr *addr, char out[IDENT_SIZE])
{
	char text[NET_ADDR_TEXT];
	struct net_addr masked;
	int prefix = anvil_mask(a, addr, &masked);

	memset(out, 0, IDENT_SIZE);
	net_addr_text(&masked, text);
	if (prefix < 0)
		snprintf(out, IDENT_SIZE, "%.40s:%s", a->service, text);
	else
		snprintf(out, IDENT_SIZE, "%.40s:%s/%d", a->service, text, prefix);
}

void anvil_status_peak(struct anvil *a, unsigned kind, unsigned value, const struct net_addr *addr)
{
	struct anvil_peak *peak = &a->segment->status.peaks[kind];
	uint64_t words[ANVIL_IDENT_WORDS];
	char ident[IDENT_SIZE];

	if (value <= atomic_load_explicit(&peak->value, memory_order_relaxed) || !peak_begin(peak))
		return;
	if (value > atomic_load(&peak->value)) {
		ident_of(a, addr, ident);
		memcpy(words, ident, sizeof(words));
		for (unsigned i = 0; i < ANVIL_IDENT_WORDS; i++)
			atomic_store(&peak->ident[i], words[i]);
		atomic_store(&peak->when, (uint64_t)clock_wall_us() / 1000000);
		atomic_store(&peak->value, value);
	}
	peak_end(peak);
}

/* "Nov 20 07:31:48" */
static void date_text(uint64_t when, char out[32])
{
	time_t seconds = (time_t)when;
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL || strftime(out, 32, "%b %e %H:%M:%S", &tm) == 0)
		out[0] = '\0';
}

static void log_peak(const struct anvil *a, unsigned kind)
{
	struct anvil_peak *peak = &a->segment->status.peaks[kind];
	uint64_t value, when, words[ANVIL_IDENT_WORDS];
	char ident[IDENT_SIZE + 1] = "", date[32], unit[32] = "";

	if (!peak_begin(peak))
		return;
	value = atomic_exchange(&peak->value, 0);
	when = atomic_load(&peak->when);
	for (unsigned i = 0; i < ANVIL_IDENT_WORDS; i++)
		words[i] = atomic_load(&peak->ident[i]);
	peak_end(peak);
	if (value == 0)
		return;
	memcpy(ident, words, IDENT_SIZE);
	date_text(when, date);
	if (kind != ANVIL_PEAK_COUNT)
		snprintf(unit, sizeof(unit), "/%" PRIu32 "s", a->unit_s);
	log_as(a->log_name, LOG_LEVEL_INFO, "statistics: max %s %" PRIu64 "%s for (%s) at %s",
	    peak_names[kind], value, unit, ident, date);
}

static void log_statistics(struct anvil *a)
{
	uint64_t clients = atomic_exchange(&a->segment->status.clients, 0);
	char date[32];

	for (unsigned i = 0; i < ANVIL_PEAKS; i++)
		log_peak(a, peak_order[i]);
	if (clients == 0)
		return;
	date_text(atomic_load(&a->segment->status.clients_when), date);
	log_as(a->log_name, LOG_LEVEL_INFO, "statistics: max cache size %" PRIu64 " at %s", clients,
	    date);
}

/* How many clients connected in the last unit of time; one process at a time looks. */
static void count_clients(struct anvil *a, int64_t now)
{
	struct anvil_segment *segment = a->segment;
	int64_t counted = atomic_load(&segment->status.counted);
	uint64_t clients = 0, most = atomic_load(&segment->status.clients);

	if (now - counted < 500 ||
	    !atomic_compare_exchange_strong(&segment->status.counted, &counted, now))
		return;
	for (unsigned i = 0; i < ANVIL_BUCKETS; i++)
		for (unsigned j = 0; j < ANVIL_WAYS; j++) {
			struct anvil_counter *c = &segment->buckets[i][j];

			clients += (atomic_load_explicit(&c->key, memory_order_relaxed) &
				       ANVIL_EVENT_BITS) == ANVIL_CONNECTION + 1 &&
				   anvil_is_live(
				       atomic_load(&c->window), (uint32_t)(now / 1000), a->unit_s);
		}
	if (clients <= most)
		return;
	atomic_store(&segment->status.clients, clients);
	atomic_store(&segment->status.clients_when, (uint64_t)clock_wall_us() / 1000000);
}

static bool somebody_is_connected(const struct anvil *a)
{
	uint32_t used = atomic_load(&a->segment->chunks_used);

	for (uint32_t i = 0; i < used && i < ANVIL_CHUNKS; i++)
		for (unsigned j = 0; j < ANVIL_CELLS; j++)
			if (atomic_load_explicit(
				&a->segment->chunks[i].cells[j], memory_order_relaxed) != 0)
				return true;
	return false;
}

static bool is_due(const struct anvil *a, int64_t due, int64_t now)
{
	return due != 0 && (now >= due || (now - atomic_load(&a->segment->status.last_event) >=
						  a->max_idle_ms &&
					      !somebody_is_connected(a)));
}

static int64_t next_look(const struct anvil *a, int64_t now)
{
	int64_t due = atomic_load(&a->segment->status.due);
	int64_t wait = a->unit_s * (int64_t)250;

	if (wait > LOOK_EVERY_MS)
		wait = LOOK_EVERY_MS;
	if (wait > a->max_idle_ms)
		wait = a->max_idle_ms;
	if (due - now < wait)
		wait = due - now;
	return now + (wait < 200 ? 200 : wait);
}

/* Soon where there is something to say; now and then in any case, since others may have died. */
static void look_again(struct anvil *a, int64_t now)
{
	int64_t seldom = a->status_update_ms < 1000 ? 1000 : a->status_update_ms;

	if (atomic_load(&a->segment->status.due) == 0)
		loop_timer_set(a->loop, &a->timer, now + seldom);
	else if (!atomic_exchange(&a->timer_is_set, true))
		loop_timer_set(a->loop, &a->timer, next_look(a, now));
}

static void look(struct loop_timer *timer)
{
	struct anvil *a = timer->arg;
	int64_t now = clock_ms(), due = atomic_load(&a->segment->status.due);

	count_clients(a, now);
	if (is_due(a, due, now) && atomic_compare_exchange_strong(&a->segment->status.due, &due, 0))
		log_statistics(a);
	atomic_store(&a->timer_is_set, false);
	look_again(a, now);
}

static void set_timer(void *arg)
{
	struct anvil *a = arg;
	int64_t now = clock_ms();

	count_clients(a, now);
	loop_timer_set(a->loop, &a->timer, next_look(a, now));
}

void anvil_status_event(struct anvil *a)
{
	int64_t now = clock_ms(), nothing = 0;

	atomic_store_explicit(&a->segment->status.last_event, now, memory_order_relaxed);
	if (atomic_load_explicit(&a->segment->status.due, memory_order_relaxed) == 0)
		(void)atomic_compare_exchange_strong(
		    &a->segment->status.due, &nothing, now + a->status_update_ms);
	if (a->loop != NULL && !atomic_load_explicit(&a->timer_is_set, memory_order_relaxed) &&
	    !atomic_exchange(&a->timer_is_set, true))
		loop_post(a->loop, set_timer, a);
}

void anvil_status_init(struct anvil *a)
{
	a->timer = (struct loop_timer){ .expired = look, .arg = a };
	if (a->loop != NULL)
		look_again(a, clock_ms());
}

void anvil_status_release(struct anvil *a)
{
	if (a->loop != NULL)
		loop_timer_cancel(a->loop, &a->timer);
}

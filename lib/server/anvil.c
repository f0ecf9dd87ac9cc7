// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connections.  A process claims chunks of cells, keeps to itself which of them are free, and
 * writes a client's hash into one when it connects and zero when it is gone.  Counting reads all
 * cells: they are few kilobytes, in a row, and nothing can get out of step with anything.
 *
 * Rates.  A client's counter is in one of the eight places of its bucket.  Taking a place is one
 * exchange of its key; the window that is found there is then treated as one's own: an old one
 * begins anew, a live one is inherited.  So there is no moment at which a death could leave
 * something half done, and what races can cost is an event that is counted twice or not at all.
 */
#include "server/anvil.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "server/anvil_internal.h"

#define CELLS_FREE  ((1ull << ANVIL_CELLS) - 1)
#define TAKE_TRIES  32
#define SERVICE_MAX 100

struct anvil *anvil_new(const struct anvil_config *config)
{
	struct anvil *a = xcalloc(1, sizeof(*a));

	a->segment = shared_anvil(config->shared);
	memcpy(a->seed, a->segment->seed, sizeof(a->seed));
	a->service = xstrndup(config->service, SERVICE_MAX);
	a->log_name = xstrdup(config->log_name);
	a->unit_s =
	    config->time_unit_s < UINT32_MAX / 2 ? (uint32_t)config->time_unit_s : UINT32_MAX / 2;
	a->ipv4_prefix = config->ipv4_prefix < 32 ? config->ipv4_prefix : 32;
	a->ipv6_prefix = config->ipv6_prefix < 128 ? config->ipv6_prefix : 128;
	a->status_update_ms = config->status_update_ms;
	a->max_idle_ms = config->max_idle_ms;
	a->loop = config->loop;
	a->pid = (uint32_t)getpid();
	pthread_mutex_init(&a->lock, NULL);
	anvil_status_init(a);
	return a;
}

static void chunk_clear(struct anvil_chunk *chunk)
{
	for (unsigned i = 0; i < ANVIL_CELLS; i++)
		atomic_store_explicit(&chunk->cells[i], 0, memory_order_relaxed);
	atomic_store_explicit(&chunk->owner, 0, memory_order_release);
}

void anvil_free(struct anvil *a)
{
	if (a == NULL)
		return;
	anvil_status_release(a);
	for (size_t i = 0; i < a->chunk_count; i++)
		chunk_clear(&a->segment->chunks[a->chunks[i].number]);
	pthread_mutex_destroy(&a->lock);
	free(a->chunks);
	free(a->service);
	free(a->log_name);
	free(a);
}

void anvil_process_gone(struct shared *shared, pid_t pid)
{
	struct anvil_segment *segment = shared_anvil(shared);

	for (unsigned i = 0; i < ANVIL_CHUNKS; i++)
		if (atomic_load_explicit(&segment->chunks[i].owner, memory_order_relaxed) ==
		    (uint32_t)pid)
			chunk_clear(&segment->chunks[i]);
}

/* ---- who ---- */

static unsigned char *address_bytes(struct net_addr *addr, unsigned *bits)
{
	*bits = 0;
	if (addr->len > 0 && addr->ss.ss_family == AF_INET) {
		*bits = 32;
		return (unsigned char *)&((struct sockaddr_in *)&addr->ss)->sin_addr;
	}
	if (addr->len > 0 && addr->ss.ss_family == AF_INET6) {
		*bits = 128;
		return (unsigned char *)&((struct sockaddr_in6 *)&addr->ss)->sin6_addr;
	}
	return NULL;
}

int anvil_mask(const struct anvil *a, const struct net_addr *addr, struct net_addr *masked)
{
	unsigned bits, prefix;
	unsigned char *bytes;

	*masked = *addr;
	bytes = address_bytes(masked, &bits);
	prefix = bits == 32 ? a->ipv4_prefix : a->ipv6_prefix;
	if (bytes == NULL || prefix >= bits)
		return -1;
	for (unsigned i = prefix; i < bits; i++)
		bytes[i / 8] &= (unsigned char)~(0x80u >> i % 8);
	return (int)prefix;
}

/* The lowest bits are left for an event's number. */
static uint64_t client_hash(const struct anvil *a, const struct net_addr *addr, unsigned event)
{
	struct {
		unsigned char event, bits, address[16];
		char service[SERVICE_MAX];
	} key = { 0 };
	size_t length = strlen(a->service);
	struct net_addr masked;
	unsigned char *bytes;
	unsigned bits;

	(void)anvil_mask(a, addr, &masked);
	bytes = address_bytes(&masked, &bits);
	if (bytes != NULL)
		memcpy(key.address, bytes, bits / 8);
	key.bits = (unsigned char)bits;
	key.event = (unsigned char)event;
	memcpy(key.service, a->service, length);
	return map_hash_keyed(
		   a->seed, slice_mem(&key, sizeof(key) - sizeof(key.service) + length)) &
	       ~(uint64_t)ANVIL_EVENT_BITS;
}

/* ---- connections ---- */

/* With the lock.  A chunk that nobody has; false when all are taken. */
static bool claim_chunk(struct anvil *a)
{
	struct anvil_segment *segment = a->segment;

	for (uint32_t i = 0; i < ANVIL_CHUNKS; i++) {
		uint32_t nobody = 0, used;

		if (!atomic_compare_exchange_strong(&segment->chunks[i].owner, &nobody, a->pid))
			continue;
		used = atomic_load(&segment->chunks_used);
		while (
		    used <= i && !atomic_compare_exchange_weak(&segment->chunks_used, &used, i + 1))
			;
		if (a->chunk_count == a->chunk_room) {
			a->chunk_room = a->chunk_room == 0 ? 8 : 2 * a->chunk_room;
			a->chunks = xreallocarray(a->chunks, a->chunk_room, sizeof(*a->chunks));
		}
		a->chunks[a->chunk_count++] =
		    (struct anvil_own_chunk){ .number = i, .free = CELLS_FREE };
		return true;
	}
	return false;
}

/* With the lock. */
static struct anvil_own_chunk *chunk_with_room(struct anvil *a)
{
	for (size_t i = 0; i < a->chunk_count; i++)
		if (a->chunks[i].free != 0)
			return &a->chunks[i];
	return claim_chunk(a) ? &a->chunks[a->chunk_count - 1] : NULL;
}

static uint32_t cell_take(struct anvil *a, uint64_t hash)
{
	struct anvil_own_chunk *own;
	uint32_t cell = 0;

	pthread_mutex_lock(&a->lock);
	own = chunk_with_room(a);
	if (own != NULL) {
		unsigned bit = (unsigned)__builtin_ctzll(own->free);

		own->free &= own->free - 1;
		atomic_store_explicit(
		    &a->segment->chunks[own->number].cells[bit], hash, memory_order_release);
		cell = own->number * ANVIL_CELLS + bit + 1;
	}
	pthread_mutex_unlock(&a->lock);
	return cell;
}

/* With the lock.  An empty chunk is another process's to take, but one we keep. */
static void chunk_put_back(struct anvil *a, struct anvil_own_chunk *own)
{
	if (own->free != CELLS_FREE || a->chunk_count == 1)
		return;
	atomic_store_explicit(&a->segment->chunks[own->number].owner, 0, memory_order_release);
	*own = a->chunks[--a->chunk_count];
}

static void cell_give_back(struct anvil *a, uint32_t cell)
{
	uint32_t number = (cell - 1) / ANVIL_CELLS, bit = (cell - 1) % ANVIL_CELLS;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->chunk_count; i++) {
		struct anvil_own_chunk *own = &a->chunks[i];

		if (own->number != number)
			continue;
		atomic_store_explicit(
		    &a->segment->chunks[number].cells[bit], 0, memory_order_release);
		own->free |= 1ull << bit;
		chunk_put_back(a, own);
		break;
	}
	pthread_mutex_unlock(&a->lock);
}

static unsigned count_cells(const struct anvil *a, uint64_t hash)
{
	const struct anvil_segment *segment = a->segment;
	uint32_t used = atomic_load_explicit(&segment->chunks_used, memory_order_acquire);
	unsigned count = 0;

	if (used > ANVIL_CHUNKS)
		used = ANVIL_CHUNKS;
	for (uint32_t i = 0; i < used; i++) {
		const struct anvil_chunk *chunk = &segment->chunks[i];

		if (atomic_load_explicit(&chunk->owner, memory_order_acquire) == 0)
			continue;
		for (unsigned j = 0; j < ANVIL_CELLS; j++)
			count +=
			    atomic_load_explicit(&chunk->cells[j], memory_order_relaxed) == hash;
	}
	return count;
}

void anvil_connect(struct anvil *a, const struct net_addr *addr, struct anvil_client *client,
    unsigned *count, unsigned *rate)
{
	client->hash = client_hash(a, addr, ANVIL_EVENTS) | 1; /* never 0 */
	client->cell = cell_take(a, client->hash);
	*count = client->cell == 0 ? ANVIL_UNCOUNTABLE : count_cells(a, client->hash);
	*rate = anvil_add(a, addr, ANVIL_CONNECTION);
	if (client->cell != 0)
		anvil_status_peak(a, ANVIL_PEAK_COUNT, *count, addr);
}

void anvil_disconnect(struct anvil *a, struct anvil_client *client)
{
	if (client->cell != 0)
		cell_give_back(a, client->cell);
	client->cell = 0;
}

/* ---- rates ---- */

static struct anvil_counter *find(struct anvil_counter bucket[ANVIL_WAYS], uint64_t key)
{
	for (unsigned i = 0; i < ANVIL_WAYS; i++)
		if (atomic_load_explicit(&bucket[i].key, memory_order_acquire) == key)
			return &bucket[i];
	return NULL;
}

/* How much is lost if the counter becomes another's: 0 is nothing. */
static uint64_t worth(uint64_t key, uint64_t window, uint32_t now, uint32_t unit_s)
{
	return key == 0 || !anvil_is_live(window, now, unit_s) ? 0 : 1 + (uint32_t)window;
}

/* The place of who did least, made KEY's; NULL when others are quicker all the time. */
static struct anvil_counter *take(
    struct anvil *a, struct anvil_counter bucket[ANVIL_WAYS], uint64_t key, uint32_t now)
{
	for (unsigned tries = 0; tries < TAKE_TRIES; tries++) {
		struct anvil_counter *found = find(bucket, key), *least = NULL;
		uint64_t least_key = 0, least_worth = UINT64_MAX;

		if (found != NULL)
			return found;
		for (unsigned i = 0; i < ANVIL_WAYS; i++) {
			uint64_t other = atomic_load(&bucket[i].key);
			uint64_t value =
			    worth(other, atomic_load(&bucket[i].window), now, a->unit_s);

			if (value < least_worth) {
				least = &bucket[i];
				least_key = other;
				least_worth = value;
			}
		}
		if (least != NULL)
			(void)atomic_compare_exchange_strong(&least->key, &least_key, key);
	}
	return NULL;
}

static unsigned count_up(struct anvil_counter *counter, uint32_t now, uint32_t unit_s)
{
	uint64_t window = atomic_load(&counter->window), next;

	do {
		if (!anvil_is_live(window, now, unit_s))
			next = (uint64_t)now << 32 | 1;
		else if ((uint32_t)window < ANVIL_UNCOUNTABLE)
			next = window + 1;
		else
			next = window;
	} while (!atomic_compare_exchange_weak(&counter->window, &window, next));
	return (uint32_t)next < ANVIL_UNCOUNTABLE ? (uint32_t)next : ANVIL_UNCOUNTABLE;
}

static uint32_t now_s(void)
{
	return (uint32_t)(clock_ms() / 1000);
}

/* The lowest bits of a hash are the event's; those of the bucket are above. */
static uint64_t counter_key(const struct anvil *a, const struct net_addr *addr,
    enum anvil_event event, struct anvil_counter **bucket)
{
	uint64_t key = client_hash(a, addr, event);

	*bucket = a->segment->buckets[(key >> 3) % ANVIL_BUCKETS];
	return key | ((uint64_t)event + 1);
}

unsigned anvil_add(struct anvil *a, const struct net_addr *addr, enum anvil_event event)
{
	struct anvil_counter *bucket, *counter;
	uint64_t key = counter_key(a, addr, event, &bucket);
	uint32_t now = now_s();
	unsigned rate;

	counter = take(a, bucket, key, now);
	rate = counter == NULL ? 1 : count_up(counter, now, a->unit_s);
	anvil_status_peak(a, event, rate, addr);
	anvil_status_event(a);
	return rate;
}

unsigned anvil_rate(struct anvil *a, const struct net_addr *addr, enum anvil_event event)
{
	struct anvil_counter *bucket, *counter;
	uint64_t key = counter_key(a, addr, event, &bucket), window;

	counter = find(bucket, key);
	if (counter == NULL)
		return 0;
	window = atomic_load(&counter->window);
	if (!anvil_is_live(window, now_s(), a->unit_s))
		return 0;
	return (uint32_t)window < ANVIL_UNCOUNTABLE ? (uint32_t)window : ANVIL_UNCOUNTABLE;
}

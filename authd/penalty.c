// SPDX-License-Identifier: BSD-2-Clause
#include "authd/penalty.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "net/addr.h"

#define CHECKSUMS     10
#define WAIT_FIRST_MS (2 * 1000) /* doubled at each level */
#define WAIT_MAX_MS   (15 * 1000)
#define IPV6_BYTES    6 /* of an address that count */

/* The address, masked, in its family's bytes. */
struct client_key {
	unsigned char bytes[16];
	size_t len;
};

struct offender {
	struct list node; /* oldest failure first */
	struct client_key key;
	unsigned level;
	int64_t failed_at;
	uint32_t checksums[CHECKSUMS]; /* newest first; 0: none */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct map offenders = MAP_INIT;
static struct list oldest_first = LIST_INIT(oldest_first);
static size_t offender_count;

static struct client_key key_of(const char *address)
{
	struct client_key key = { .len = 0 };
	struct net_addr addr;

	if (!net_addr_parse(slice_of(address), 0, &addr))
		return key;
	if (addr.ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr.ss;

		key.len = IPV6_BYTES;
		memcpy(key.bytes, &in6->sin6_addr, key.len);
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&addr.ss;

		key.len = sizeof(in->sin_addr);
		memcpy(key.bytes, &in->sin_addr, key.len);
	}
	return key;
}

static struct slice key_slice(const struct client_key *key)
{
	return slice_mem(key->bytes, key->len);
}

static void drop(struct offender *o)
{
	map_remove(&offenders, key_slice(&o->key));
	list_del(&o->node);
	offender_count--;
	free(o);
}

/* The client's entry, which is made when there is none. */
static struct offender *take(const struct client_key *key)
{
	struct offender *o = map_get(&offenders, key_slice(key));

	if (o)
		return o;
	if (offender_count == PENALTY_CLIENTS_MAX)
		drop(list_entry(oldest_first.next, struct offender, node));
	o = xcalloc(1, sizeof(*o));
	o->key = *key;
	map_put(&offenders, key_slice(&o->key), o);
	list_add_tail(&oldest_first, &o->node);
	offender_count++;
	return o;
}

/* Puts CHECKSUM in front; false when it was not there. */
static bool bump_checksum(struct offender *o, uint32_t checksum)
{
	size_t at = 0;
	bool known;

	while (at < CHECKSUMS - 1 && o->checksums[at] != checksum)
		at++;
	known = o->checksums[at] == checksum;
	memmove(o->checksums + 1, o->checksums, at * sizeof(o->checksums[0]));
	o->checksums[0] = checksum;
	return known;
}

unsigned penalty_level(const char *address, int64_t now)
{
	struct client_key key = key_of(address);
	const struct offender *o;
	unsigned level;

	pthread_mutex_lock(&mutex);
	o = map_get(&offenders, key_slice(&key));
	level = o && now - o->failed_at < PENALTY_FRESH_MS ? o->level : 0;
	pthread_mutex_unlock(&mutex);
	return level;
}

int64_t penalty_wait_ms(unsigned level)
{
	int64_t wait = WAIT_FIRST_MS;

	if (level == 0)
		return 0;
	while (level-- > 0 && wait < WAIT_MAX_MS)
		wait *= 2;
	return wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS;
}

void penalty_add(const char *address, unsigned level, uint32_t checksum, int64_t now)
{
	struct client_key key = key_of(address);
	struct offender *o;

	pthread_mutex_lock(&mutex);
	o = take(&key);
	if (checksum && bump_checksum(o, checksum)) {
		o->level = level;
	} else {
		o->level = level < PENALTY_LEVEL_MAX ? level + 1 : level;
		o->failed_at = now;
		list_del(&o->node);
		list_add_tail(&oldest_first, &o->node);
	}
	pthread_mutex_unlock(&mutex);
}

void penalty_forgive(const char *address)
{
	struct client_key key = key_of(address);
	struct offender *o;

	pthread_mutex_lock(&mutex);
	o = map_get(&offenders, key_slice(&key));
	if (o)
		o->level = 0;
	pthread_mutex_unlock(&mutex);
}

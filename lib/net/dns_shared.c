// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file is told from its former self by device, inode, size and times.  One that is not there
 * (in a jail) stays what it was: absent.
 */
#include "net/dns_shared.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"

#define LOOK_EVERY_MS 1000
#define IDLE_MAX      2 /* of a kind; each some 70 KiB */
#define KNOWN_MAX     1000

struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

struct known {
	size_t size;
	unsigned char bytes[];
};

static const char *const files[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
	"/etc/host.conf" };

static struct {
	pthread_mutex_t lock;
	struct stamp stamps[ARRAY_LEN(files)];
	int64_t next_look;
	unsigned state;
	ares_channel idle[DNS_CHANNELS][IDLE_MAX];
	size_t idle_count[DNS_CHANNELS];
	struct map known;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct stamp stamp_of(const char *path)
{
	struct stamp stamp;
	struct stat st;

	memset(&stamp, 0, sizeof(stamp));
	if (stat(path, &st) == -1)
		return stamp;
	stamp.dev = st.st_dev;
	stamp.ino = st.st_ino;
	stamp.size = st.st_size;
	stamp.modified = st.st_mtim;
	stamp.changed = st.st_ctim;
	return stamp;
}

/* Under the lock. */
static void forget_all(void)
{
	for (int kind = 0; kind < DNS_CHANNELS; kind++)
		while (shared.idle_count[kind] > 0)
			ares_destroy(shared.idle[kind][--shared.idle_count[kind]]);
	map_release(&shared.known, free);
	shared.state++;
}

/* Under the lock. */
static void look(void)
{
	bool changed = false;

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct stamp now = stamp_of(files[i]);

		changed |= memcmp(&now, &shared.stamps[i], sizeof(now)) != 0;
		shared.stamps[i] = now;
	}
	if (changed)
		forget_all();
}

unsigned dns_files_state(void)
{
	int64_t now = clock_ms();
	unsigned state;

	pthread_mutex_lock(&shared.lock);
	if (now >= shared.next_look) {
		shared.next_look = now + LOOK_EVERY_MS;
		look();
	}
	state = shared.state;
	pthread_mutex_unlock(&shared.lock);
	return state;
}

void dns_files_changed(void)
{
	pthread_mutex_lock(&shared.lock);
	forget_all();
	pthread_mutex_unlock(&shared.lock);
}

bool dns_channel_take(enum dns_channel kind, unsigned state, ares_channel *channel)
{
	bool taken;

	pthread_mutex_lock(&shared.lock);
	taken = state == shared.state && shared.idle_count[kind] > 0;
	if (taken)
		*channel = shared.idle[kind][--shared.idle_count[kind]];
	pthread_mutex_unlock(&shared.lock);
	return taken;
}

void dns_channel_give(enum dns_channel kind, unsigned state, ares_channel channel)
{
	bool kept;

	pthread_mutex_lock(&shared.lock);
	kept = state == shared.state && shared.idle_count[kind] < IDLE_MAX;
	if (kept)
		shared.idle[kind][shared.idle_count[kind]++] = channel;
	pthread_mutex_unlock(&shared.lock);
	if (!kept)
		ares_destroy(channel);
}

bool dns_recall(struct slice key, unsigned state, void *value, size_t *size)
{
	const struct known *known;

	pthread_mutex_lock(&shared.lock);
	known = state == shared.state ? map_get(&shared.known, key) : NULL;
	if (known != NULL) {
		*size = known->size < *size ? known->size : *size;
		memcpy(value, known->bytes, *size);
	}
	pthread_mutex_unlock(&shared.lock);
	return known != NULL;
}

void dns_remember(struct slice key, unsigned state, const void *value, size_t size)
{
	struct known *known = xmalloc(sizeof(*known) + size);

	known->size = size;
	memcpy(known->bytes, value, size);
	pthread_mutex_lock(&shared.lock);
	if (shared.known.count >= KNOWN_MAX)
		map_release(&shared.known, free);
	if (state == shared.state)
		known = map_put(&shared.known, key, known);
	pthread_mutex_unlock(&shared.lock);
	free(known);
}

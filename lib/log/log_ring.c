// SPDX-License-Identifier: BSD-2-Clause
/*
 * Each line takes the next number; its slot is that number modulo the size.  A slot's number is 0
 * while it is written and the line's number plus one afterwards, so that a reader who finds the
 * number that he looks for before and after copying has a whole line.
 */
#include "log/log_ring.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct slot {
	atomic_uint_fast64_t number;
	struct log_ring_line line;
};

struct log_ring {
	atomic_uint_fast64_t next;
	struct slot slots[LOG_RING_LINES];
};

int log_ring_create(void)
{
	int fd = memfd_create("log errors", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	/* Nobody may shrink it under the others. */
	if (ftruncate(fd, sizeof(struct log_ring)) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	close(fd);
	return -1;
}

struct log_ring *log_ring_attach(int fd)
{
	struct stat st;
	void *at;

	if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(struct log_ring))
		return NULL;
	at = mmap(NULL, sizeof(struct log_ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

void log_ring_detach(struct log_ring *ring)
{
	if (ring)
		munmap(ring, sizeof(*ring));
}

void log_ring_put(
    struct log_ring *ring, int64_t time, int level, const char *name, const char *text)
{
	uint64_t number = atomic_fetch_add(&ring->next, 1);
	struct slot *slot = &ring->slots[number % LOG_RING_LINES];

	atomic_store(&slot->number, 0);
	slot->line.time = time;
	slot->line.level = level;
	snprintf(slot->line.name, sizeof(slot->line.name), "%s", name);
	snprintf(slot->line.text, sizeof(slot->line.text), "%s", text);
	atomic_store(&slot->number, number + 1);
}

static void clean(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void log_ring_each(const struct log_ring *ring,
    void (*each)(const struct log_ring_line *line, void *arg), void *arg)
{
	uint64_t end = atomic_load(&ring->next);
	uint64_t number = end > LOG_RING_LINES ? end - LOG_RING_LINES : 0;

	for (; number < end; number++) {
		const struct slot *slot = &ring->slots[number % LOG_RING_LINES];
		struct log_ring_line line;

		if (atomic_load(&slot->number) != number + 1)
			continue;
		memcpy(&line, &slot->line, sizeof(line));
		if (atomic_load(&slot->number) != number + 1)
			continue;
		clean(line.name, sizeof(line.name));
		clean(line.text, sizeof(line.text));
		each(&line, arg);
	}
}

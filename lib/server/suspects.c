// SPDX-License-Identifier: BSD-2-Clause
/*
 * The list is a memory file that was mapped for writing before it was sealed against all later
 * writing.  An entry is a hash and the time (clock_ms, the same for all processes of the machine)
 * until which it counts; its reader may meet half of a change, which is the old state or a name
 * that is in quarantine a moment later or longer.
 */
#include "server/suspects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

struct suspect_list {
	atomic_bool any;
	struct {
		_Atomic uint64_t key; /* 0: none */
		_Atomic int64_t until;
	} entries[QUARANTINE_MAX];
};

struct suspect {
	uint64_t key; /* 0: none */
	uint64_t death;
	int64_t last;
	unsigned deaths;
};

struct suspects {
	struct suspect_list *list;
	uint64_t death;
	struct suspect table[SUSPECTS_MAX];
};

/* FNV-1a: nobody gains by two names of one key. */
uint64_t suspect_key(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
	return hash == 0 ? 1 : hash;
}

static int make_list(struct suspect_list **list)
{
	int fd = memfd_create("postcote-suspects", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int saved;

	if (fd < 0)
		return -1;
	*list = MAP_FAILED;
	if (ftruncate(fd, sizeof(**list)) == 0)
		*list = mmap(NULL, sizeof(**list), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*list != MAP_FAILED &&
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0)
		return fd;
	saved = errno;
	if (*list != MAP_FAILED)
		munmap(*list, sizeof(**list));
	close(fd);
	errno = saved;
	return -1;
}

struct suspects *suspects_new(int *fd)
{
	struct suspect_list *list;
	struct suspects *s;
	int memory = make_list(&list);

	if (memory < 0)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->list = list;
	if (fd != NULL)
		*fd = memory;
	else
		close(memory);
	return s;
}

void suspects_free(struct suspects *s)
{
	if (s == NULL)
		return;
	munmap(s->list, sizeof(*s->list));
	free(s);
}

const struct suspect_list *suspects_list(const struct suspects *s)
{
	return s->list;
}

void suspects_death(struct suspects *s)
{
	s->death++;
}

/* The one with KEY; else a free one, or the one that was not seen for longest. */
static struct suspect *find_suspect(struct suspects *s, uint64_t key)
{
	struct suspect *oldest = &s->table[0];

	for (size_t i = 0; i < SUSPECTS_MAX; i++) {
		struct suspect *x = &s->table[i];

		if (x->key == key)
			return x;
		if (oldest->key != 0 && (x->key == 0 || x->last < oldest->last))
			oldest = x;
	}
	*oldest = (struct suspect){ .key = key };
	return oldest;
}

/* True when it was not there. */
static bool put_into_list(struct suspect_list *list, uint64_t key, int64_t now, int64_t until)
{
	size_t place = 0;
	bool there = false;

	for (size_t i = 0; i < QUARANTINE_MAX && !there; i++) {
		there = atomic_load(&list->entries[i].key) == key;
		if (there ||
		    atomic_load(&list->entries[i].until) < atomic_load(&list->entries[place].until))
			place = i;
	}
	there = there && atomic_load(&list->entries[place].until) > now;
	atomic_store(&list->entries[place].until, until);
	atomic_store(&list->entries[place].key, key);
	atomic_store(&list->any, true);
	return !there;
}

bool suspects_note(struct suspects *s, const char *name, int64_t now_ms, int64_t quarantine_ms)
{
	struct suspect *x = find_suspect(s, suspect_key(name));

	if (x->deaths > 0 && x->death == s->death)
		return false;
	if (now_ms - x->last >= quarantine_ms)
		x->deaths = 0;
	x->deaths++;
	x->death = s->death;
	x->last = now_ms;
	return x->deaths > 1 && put_into_list(s->list, x->key, now_ms, now_ms + quarantine_ms);
}

const struct suspect_list *suspect_list_attach(int fd)
{
	struct suspect_list *list;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (st.st_size < (off_t)sizeof(*list)) {
		errno = EINVAL;
		return NULL;
	}
	list = mmap(NULL, sizeof(*list), PROT_READ, MAP_SHARED, fd, 0);
	return list == MAP_FAILED ? NULL : list;
}

bool suspect_list_any(const struct suspect_list *list)
{
	return atomic_load_explicit(&list->any, memory_order_relaxed);
}

bool suspect_list_has(const struct suspect_list *list, const char *name, int64_t now_ms)
{
	const uint64_t key = suspect_key(name);

	if (!suspect_list_any(list))
		return false;
	for (size_t i = 0; i < QUARANTINE_MAX; i++)
		if (atomic_load(&list->entries[i].key) == key)
			return atomic_load(&list->entries[i].until) > now_ms;
	return false;
}

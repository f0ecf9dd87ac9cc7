// SPDX-License-Identifier: BSD-2-Clause
/*
 * A sealed-size memory file.  Its members are atomics, since processes of all kinds share it; a
 * process that attaches believes nothing but its own mapping's size.
 */
#include "server/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "server/anvil_segment.h"

#define SHARED_MAGIC 0x70635f7368617265u

struct shared {
	uint64_t magic;
	atomic_uint_fast64_t next_number;
	struct anvil_segment anvil;
};

struct shared *shared_attach(int fd)
{
	struct shared *shared;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (st.st_size < (off_t)sizeof(*shared)) {
		errno = EINVAL;
		return NULL;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return NULL;
	if (shared->magic != SHARED_MAGIC) {
		munmap(shared, sizeof(*shared));
		errno = EINVAL;
		return NULL;
	}
	return shared;
}

void shared_detach(struct shared *shared)
{
	munmap(shared, sizeof(*shared));
}

/* The rest is zeroes, which take no memory until they are touched. */
static bool write_start(int memory)
{
	const uint64_t magic = SHARED_MAGIC;
	uint64_t seed[2];

	random_bytes(seed, sizeof(seed));
	return ftruncate(memory, sizeof(struct shared)) == 0 &&
	       pwrite(memory, seed, sizeof(seed),
		   offsetof(struct shared, anvil) + offsetof(struct anvil_segment, seed)) ==
		   (ssize_t)sizeof(seed) &&
	       pwrite(memory, &magic, sizeof(magic), offsetof(struct shared, magic)) ==
		   (ssize_t)sizeof(magic);
}

struct shared *shared_new(int *fd)
{
	int memory = memfd_create("postcote-shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct shared *shared;

	if (memory < 0)
		return NULL;
	if (!write_start(memory) ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
	    (shared = shared_attach(memory)) == NULL) {
		close(memory);
		return NULL;
	}
	*fd = memory;
	return shared;
}

struct anvil_segment *shared_anvil(struct shared *shared)
{
	return &shared->anvil;
}

uint64_t shared_next_number(struct shared *shared)
{
	return atomic_fetch_add_explicit(&shared->next_number, 1, memory_order_relaxed) + 1;
}

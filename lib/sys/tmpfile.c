// SPDX-License-Identifier: BSD-2-Clause
/*
 * A file with no name cannot be left over by a crash, so that is what we ask for first.  File
 * systems without O_TMPFILE (NFS, some overlays) get a file "tmp.PID.RANDOM", which a crash does
 * leave behind and whose name tells the cleaner what it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "sys/file.h"

static atomic_bool fallback_forced;

void tmpfile_force_fallback(bool on)
{
	atomic_store(&fallback_forced, on);
}

static int open_unnamed(int dirfd, mode_t mode)
{
	if (atomic_load_explicit(&fallback_forced, memory_order_relaxed)) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
}

static int open_named(struct tmpfile *tmp, mode_t mode)
{
	uint64_t number;

	random_bytes(&number, sizeof(number));
	snprintf(tmp->name, sizeof(tmp->name), "tmp.%ld.%016llx", (long)getpid(),
	    (unsigned long long)number);
	tmp->fd = openat(tmp->dirfd, tmp->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (tmp->fd == -1)
		tmp->name[0] = '\0';
	return tmp->fd;
}

int tmpfile_open(struct tmpfile *tmp, int dirfd, mode_t mode)
{
	*tmp = (struct tmpfile){ .dirfd = dirfd, .mode = mode };
	tmp->fd = open_unnamed(dirfd, mode);
	/* EISDIR is what kernels without O_TMPFILE make of the flags. */
	if (tmp->fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR))
		open_named(tmp, mode);
	return tmp->fd == -1 ? -1 : 0;
}

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

/* Kernels that know the flag want to hear that nobody will execute it. */
static int open_memory(void)
{
	static const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	static atomic_bool refused;
	int fd = -1;

	if (!atomic_load_explicit(&refused, memory_order_relaxed)) {
		fd = memfd_create("tmpfile", flags | MFD_NOEXEC_SEAL);
		if (fd != -1 || errno != EINVAL)
			return fd;
		atomic_store_explicit(&refused, true, memory_order_relaxed);
	}
	return memfd_create("tmpfile", flags);
}

int tmpfile_open_memory(struct tmpfile *tmp, int dirfd, mode_t mode)
{
	*tmp = (struct tmpfile){ .dirfd = dirfd, .mode = mode, .memory = true };
	tmp->fd = open_memory();
	return tmp->fd == -1 ? tmpfile_open(tmp, dirfd, mode) : 0;
}

int tmpfile_seal(struct tmpfile *tmp)
{
	if (!tmp->memory)
		return 0;
	return fcntl(
	    tmp->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
}

static int copy_all(int from, int to)
{
	off_t at = 0;
	struct stat st;

	if (fstat(from, &st) == -1)
		return -1;
	while (at < st.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));

		if (n == 0)
			errno = EIO;
		if (n <= 0 && errno != EINTR)
			return -1;
	}
	return 0;
}

static int move_to_disk(struct tmpfile *tmp)
{
	struct tmpfile disk;

	if (tmpfile_open(&disk, tmp->dirfd, tmp->mode) == -1)
		return -1;
	if (copy_all(tmp->fd, disk.fd) == -1) {
		int saved = errno;

		tmpfile_close(&disk);
		errno = saved;
		return -1;
	}
	close(tmp->fd);
	*tmp = disk;
	return 0;
}

/*
 * One step where the file system can do it.  With link and unlink a crash in between leaves both
 * names, of which the temporary one is known by its form.
 */
static int rename_no_replace(struct tmpfile *tmp, int dirfd, const char *name)
{
	if (renameat2(tmp->dirfd, tmp->name, dirfd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(tmp->dirfd, tmp->name, dirfd, name, 0) == -1)
		return -1;
	unlinkat(tmp->dirfd, tmp->name, 0);
	return 0;
}

/*
 * Linux 6.10 links what a descriptor of the caller's own means; kernels before want a capability
 * for that (and say ENOENT), and the way through /proc, which costs more.
 */
static int link_unnamed(int fd, int proc_fd, int dirfd, const char *name)
{
	static atomic_bool refused;
	char number[16];
	int result;

	if (!atomic_load_explicit(&refused, memory_order_relaxed)) {
		result = linkat(fd, "", dirfd, name, AT_EMPTY_PATH);
		if (result == 0 || errno != ENOENT)
			return result;
	}
	snprintf(number, sizeof(number), "%d", fd);
	result = linkat(proc_fd, number, dirfd, name, AT_SYMLINK_FOLLOW);
	if (result == 0)
		atomic_store_explicit(&refused, true, memory_order_relaxed);
	return result;
}

int tmpfile_link(struct tmpfile *tmp, int proc_fd, int dirfd, const char *name)
{
	if (tmp->memory && move_to_disk(tmp) == -1)
		return -1;
	if (tmp->name[0]) {
		if (rename_no_replace(tmp, dirfd, name) == -1)
			return -1;
		tmp->name[0] = '\0';
		return 0;
	}
	return link_unnamed(tmp->fd, proc_fd, dirfd, name);
}

void tmpfile_close(struct tmpfile *tmp)
{
	if (tmp->name[0])
		unlinkat(tmp->dirfd, tmp->name, 0);
	tmp->name[0] = '\0';
	if (tmp->fd != -1)
		close(tmp->fd);
	tmp->fd = -1;
}

/* Who reads it is nobody's concern, and would be a change to write down; only its owner may say so.
 */
int file_reopen_readonly(int proc_fd, int fd)
{
	char number[16];
	int again;

	snprintf(number, sizeof(number), "%d", fd);
	again = openat(proc_fd, number, O_RDONLY | O_NOATIME | O_CLOEXEC);
	if (again == -1 && errno == EPERM)
		again = openat(proc_fd, number, O_RDONLY | O_CLOEXEC);
	return again;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_table.c - the system calls that the recorder stops at.
 *
 * sync_file_range and msync are not here: they make nothing durable that the model would believe.
 */
#include <stddef.h>
#include <sys/syscall.h>

#include "rec_calls.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* clang-format off */
#define ROW(name, kind, ...) { SYS_##name, #name, CALL_##kind, __VA_ARGS__ }

const struct call_desc call_table[] = {
	/*				fd path fd2 path2 flags */
	ROW(write, DATA,		0, -1, 0, MEM_BUF, -1),
	ROW(sendto, SEND,		0, -1, 0, MEM_BUF, -1),
	ROW(sendmsg, SEND,		0, -1, 0, MEM_MSG, -1),
	ROW(sendmmsg, SEND,		0, -1, 0, MEM_MSG, -1),
	ROW(writev, DATA,		0, -1, 0, MEM_IOV, -1),
	ROW(pwrite64, DATA,		0, 3, 0, MEM_BUF, -1),
	ROW(pwritev, DATA,		0, 3, 0, MEM_IOV, -1),
	ROW(pwritev2, DATA,		0, 3, 0, MEM_IOV, 5),
	ROW(sendfile, DATA,		0, -1, 0, MEM_NONE, -1),
	ROW(copy_file_range, DATA,	2, 3, 1, MEM_NONE, -1),
	ROW(splice, DATA,		2, 3, 1, MEM_NONE, -1),
	ROW(openat, OPEN,		0, 1, -1, -1, 2),
	ROW(openat2, OPEN,		0, 1, -1, -1, -1),
	ROW(ftruncate, TRUNC,		0, -1, -1, -1, -1),
	ROW(truncate, TRUNC,		-1, 0, -1, -1, -1),
	ROW(fallocate, ALLOC,		0, -1, -1, -1, -1),
	ROW(fsync, SYNC,		0, -1, -1, -1, -1),
	ROW(fdatasync, SYNC,		0, -1, -1, -1, -1),
	ROW(sync, SYNC_ALL,		-1, -1, -1, -1, -1),
	ROW(syncfs, SYNC_ALL,		0, -1, -1, -1, -1),
	ROW(renameat2, RENAME,		0, 1, 2, 3, 4),
	ROW(linkat, LINK,		2, 3, -1, -1, -1),
	ROW(unlinkat, UNLINK,		0, 1, -1, -1, -1),
	ROW(mkdirat, MAKE,		0, 1, -1, -1, -1),
	ROW(mknodat, MAKE,		0, 1, -1, -1, -1),
	ROW(symlinkat, MAKE,		1, 2, -1, -1, -1),
	ROW(bind, BIND,			0, -1, -1, -1, -1),
	ROW(fchmod, META,		0, -1, -1, -1, -1),
	ROW(fchown, META,		0, -1, -1, -1, -1),
	ROW(fchmodat, META,		0, 1, -1, -1, -1),
	ROW(fchmodat2, META,		0, 1, -1, -1, 3),
	ROW(fchownat, META,		0, 1, -1, -1, 4),
	ROW(utimensat, META,		0, 1, -1, -1, 3),
	ROW(mmap, MMAP,			4, -1, -1, -1, -1),
	ROW(ioctl, CLONE_RANGE,		0, -1, -1, -1, -1),
	ROW(io_uring_setup, URING,	-1, -1, -1, -1, -1),
#ifdef SYS_renameat
	ROW(renameat, RENAME,		0, 1, 2, 3, -1),
#endif
#ifdef SYS_open /* the calls without a directory, which newer architectures do not have */
	ROW(open, OPEN,			-1, 0, -1, -1, 1),
	ROW(creat, OPEN,		-1, 0, -1, -1, -1),
	ROW(rename, RENAME,		-1, 0, -1, 1, -1),
	ROW(link, LINK,			-1, 1, -1, -1, -1),
	ROW(unlink, UNLINK,		-1, 0, -1, -1, -1),
	ROW(rmdir, UNLINK,		-1, 0, -1, -1, -1),
	ROW(mkdir, MAKE,		-1, 0, -1, -1, -1),
	ROW(mknod, MAKE,		-1, 0, -1, -1, -1),
	ROW(symlink, MAKE,		-1, 1, -1, -1, -1),
	ROW(chmod, META,		-1, 0, -1, -1, -1),
	ROW(chown, META,		-1, 0, -1, -1, -1),
	ROW(lchown, META,		-1, 0, -1, -1, -1),
	ROW(utime, META,		-1, 0, -1, -1, -1),
	ROW(utimes, META,		-1, 0, -1, -1, -1),
	ROW(futimesat, META,		0, 1, -1, -1, -1),
#endif
	{ 0, NULL, CALL_OPEN, -1, -1, -1, -1, -1 }
};
/* clang-format on */

const struct call_desc *calls_find(uint64_t nr)
{
	for (const struct call_desc *d = call_table; d->name; d++) {
		if ((uint64_t)d->nr == nr)
			return d;
	}
	return NULL;
}

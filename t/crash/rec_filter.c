// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_filter.c - builds the BPF program out of the table of calls.
 *
 * Filters of the tracees stack on top of ours and the strictest answer wins: a call that they
 * refuse never happens and is never seen, one that they allow is still traced.
 *
 * Without privileges, a process that makes itself undumpable closes its memory and its
 * /proc/PID/fd even to the tracer that it already has. So where the recorder is not root, the
 * request is answered with success and not carried out (SECCOMP_RET_ERRNO with errno 0).
 */
#include "rec_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rec_calls.h"

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "unknown architecture"
#endif

#define MAX_INSNS 512
#define ARG(i)	  ((unsigned)(offsetof(struct seccomp_data, args) + 8 * (i)))
#define ALLOW	  SECCOMP_RET_ALLOW
#define TRACE	  SECCOMP_RET_TRACE

static struct sock_filter prog[MAX_INSNS];
static unsigned short used;

static void emit(unsigned code, unsigned k, unsigned char jt, unsigned char jf)
{
	if (used < MAX_INSNS)
		prog[used++] = (struct sock_filter){ (unsigned short)code, jt, jf, k };
}

static void load(unsigned offset)
{
	emit(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void ret(unsigned action)
{
	emit(BPF_RET | BPF_K, action, 0, 0);
}

/* Unless the call is @nr, skips the next @count instructions. */
static void only_for(int nr, unsigned char count)
{
	emit(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, count);
}

static void rule_flags(int nr, int arg)
{
	only_for(nr, 4);
	load(ARG(arg));
	emit(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | O_TRUNC | CALL_TMPFILE_BIT, 0, 1);
	ret(TRACE);
	ret(ALLOW);
}

static void rule_mmap(int nr)
{
	only_for(nr, 7);
	load(ARG(2));
	emit(BPF_JMP | BPF_JSET | BPF_K, PROT_WRITE, 0, 4);
	load(ARG(3));
	emit(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 2, 0);
	emit(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 0, 1);
	ret(TRACE);
	ret(ALLOW);
}

static void rule_ioctl(int nr)
{
	only_for(nr, 5);
	load(ARG(1));
	emit(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)FICLONE, 1, 0);
	emit(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)FICLONERANGE, 0, 1);
	ret(TRACE);
	ret(ALLOW);
}

static void rule_dumpable(void)
{
	only_for(SYS_prctl, 5);
	load(ARG(0));
	emit(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_DUMPABLE, 1, 0);
	emit(BPF_JMP | BPF_JEQ | BPF_K, PR_GET_DUMPABLE, 0, 1);
	ret(SECCOMP_RET_ERRNO);
	ret(ALLOW);
}

static void rule_arch(void)
{
	load(offsetof(struct seccomp_data, arch));
	emit(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 1, 0);
	ret(TRACE | FILTER_FOREIGN);
	load(offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
	emit(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1); /* x32 */
	ret(TRACE | FILTER_FOREIGN);
#endif
}

static void rule(const struct call_desc *d)
{
	if (d->kind == CALL_OPEN && d->flags >= 0) {
		rule_flags(d->nr, d->flags);
	} else if (d->kind == CALL_MMAP) {
		rule_mmap(d->nr);
	} else if (d->kind == CALL_CLONE_RANGE) {
		rule_ioctl(d->nr);
	} else {
		only_for(d->nr, 1);
		ret(TRACE);
	}
}

int filter_install(void)
{
	struct sock_fprog fprog = { .filter = prog };

	rule_arch();
	for (const struct call_desc *d = call_table; d->name; d++)
		rule(d);
	if (geteuid() != 0)
		rule_dumpable();
	ret(ALLOW);
	if (used == MAX_INSNS) {
		errno = E2BIG;
		return -1;
	}
	fprog.len = used;
	/* root needs no such promise, and with it set-gid programs would lose their group */
	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog, 0, 0);
}

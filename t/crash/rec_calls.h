// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_calls.h - what each system call means for the disk.
 *
 * A call goes through calls_enter when its thread stops before it. What that returns says how to go
 * on: let it run unseen; see its end; or see its end and keep every other CALL_TURN call of the
 * tree out of the kernel meanwhile. For CALL_TURN calls_prepare follows when the turn has come.
 */
#ifndef REC_CALLS_H
#define REC_CALLS_H

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct file;

/* O_TMPFILE without O_DIRECTORY, which it contains. */
#define CALL_TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

enum call_kind {
	CALL_OPEN,
	CALL_DATA,
	CALL_SEND,
	CALL_TRUNC,
	CALL_ALLOC,
	CALL_RENAME,
	CALL_LINK,
	CALL_UNLINK,
	CALL_MAKE,
	CALL_BIND,
	CALL_META,
	CALL_SYNC,
	CALL_SYNC_ALL,
	CALL_MMAP,
	CALL_CLONE_RANGE,
	CALL_URING,
};

/* Where a CALL_DATA or CALL_SEND call has its bytes. */
enum call_memory { MEM_NONE, MEM_BUF, MEM_IOV, MEM_MSG };

/* Columns are indices of arguments, -1 where there is none. */
struct call_desc {
	int nr;
	const char *name;
	enum call_kind kind;
	signed char fd;	   /* descriptor, or directory of path */
	signed char path;  /* CALL_DATA: the offset */
	signed char fd2;   /* CALL_DATA: 1 if the offset is given by a pointer */
	signed char path2; /* CALL_DATA, CALL_SEND: an enum call_memory */
	signed char flags;
};

extern const struct call_desc call_table[];

enum call_verdict { CALL_PASS, CALL_FOLLOW, CALL_TURN };

struct call {
	const struct call_desc *desc;
	pid_t tid;
	const char *who;
	uint64_t args[6];
	struct file *file; /* what is changed; for a rename what gets the new name */
	struct file *dir, *dir2;
	struct file *victim; /* what a rename replaces */
	char name[NAME_MAX + 1], name2[NAME_MAX + 1];
	long long off;
	unsigned flags;
	unsigned long sync; /* number of a sync */
	bool durable;
	bool is_symlink;
	bool unresolved; /* we could not find what it is about: it must not succeed */
};

/* Finds the row of @nr, NULL if the call is none of ours. */
const struct call_desc *calls_find(uint64_t nr);

enum call_verdict calls_enter(struct call *c);

/* False if the call is not about a watched directory after all. */
bool calls_prepare(struct call *c);

/* Writes into the trace what the call did; @rval as the kernel returned it. */
void calls_done(struct call *c, long long rval, bool failed);

/* The same for a thread that died during the call: the disk is asked whether it took place. */
void calls_dead(struct call *c);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The spool's directories (postfix.md 6.1) and what may be done with names in them (doc/QUEUE.md
 * 3).  Opened once before the jail; afterwards everything goes through its descriptors, from any
 * thread.  Only qmgr (and the commands, when qmgr is down) moves and removes.
 */
#ifndef PC_QUEUE_SPOOL_H
#define PC_QUEUE_SPOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/reason.h"
#include "base/slice.h"
#include "queue/queue_id.h"
#include "sys/file.h"

enum spool_queue {
	SPOOL_MAILDROP,
	SPOOL_INCOMING,
	SPOOL_ACTIVE,
	SPOOL_DEFERRED,
	SPOOL_HOLD,
	SPOOL_CORRUPT,
	SPOOL_BOUNCE, /* logs, not messages */
	SPOOL_DEFER,
	SPOOL_TRACE,
	SPOOL_QUEUES /* how many */
};
const char *spool_queue_name(enum spool_queue queue); /* "incoming" */
bool spool_queue_by_name(const char *name, enum spool_queue *queue);

struct spool_config {
	const char *directory;	/* queue_directory */
	const char *hash_names; /* hash_queue_names: "deferred, defer" */
	int hash_depth;		/* hash_queue_depth, at most SPOOL_MAX_DEPTH */
};

struct spool;
/* Makes nothing.  NULL with WHY when a directory is missing or not a directory. */
struct spool *spool_open(const struct spool_config *config, struct reason *why);
void spool_free(struct spool *spool);
int spool_queue_fd(const struct spool *spool, enum spool_queue queue);

/* Levels of hashing, as the peer allows. */
#define SPOOL_MAX_DEPTH 16
/* Longest "deferred/X/Y/.../ID". */
#define SPOOL_PATH_SIZE (QUEUE_ID_SIZE + 2 * SPOOL_MAX_DEPTH + 16)
/* Where the name belongs, relative to the queue's directory: "ID", "X/ID", "X/Y/ID" ... */
void spool_place(
    const struct spool *spool, enum spool_queue queue, const char *id, char path[SPOOL_PATH_SIZE]);

/*
 * All of these look at the place that the hashing asks for first, then at the other ones an
 * administrator's change may have left (postfix.md 6.1).  -1 with errno (ENOENT: not in there).
 */
int spool_open_file(struct spool *spool, enum spool_queue queue, const char *id, int flags);
int spool_unlink(struct spool *spool, enum spool_queue queue, const char *id);
int spool_stat(struct spool *spool, enum spool_queue queue, const char *id, struct stat *st);
/* In which of the message queues is it?  The one that counts (doc/QUEUE.md 3, D3). */
bool spool_find(struct spool *spool, const char *id, enum spool_queue *queue);

/*
 * The same move within QUEUE, to the place that the hashing asks for; 0 when it is there already.
 * A log that has a newer one there is removed.
 */
int spool_replace(struct spool *spool, enum spool_queue queue, const char *id);
/*
 * link, sync of the new directory, unlink.  An existing name that is the same file counts as
 * linked; another file there is EEXIST.  MTIME_S (when not -1) is set before.  FROM and TO the
 * same: as spool_replace.  -1: the message is where it was.
 */
int spool_move(struct spool *spool, const char *id, enum spool_queue from, enum spool_queue to,
    int64_t mtime_s);
/* Waits for a sync of incoming that begins after the call. */
int spool_sync_incoming(struct spool *spool);
/*
 * Marks a message as expired by force: qmgr returns it to its sender when it would deliver it the
 * next time.  1, or 0 when it was marked already.  Not synced.
 */
int spool_expire(struct spool *spool, enum spool_queue queue, const char *id);
bool spool_is_expired(mode_t mode);
/* R (or /) to D at OFFSET, when one is there (EINVAL otherwise). */
int spool_mark_done(int fd, off_t offset);
/* The sender knows of the delay: -1 over the time at OFFSET (envelope.warn_offset). */
int spool_mark_warned(int fd, off_t offset);

/* The sender has his report: A to K at OFFSET (envelope.trace_offset); EINVAL where neither is. */
int spool_mark_traced(int fd, off_t offset);

/*
 * Creates or replaces the log of ID (SPOOL_DEFER, SPOOL_TRACE); not synced, and not written when it
 * says TEXT already.
 */
int spool_write_log(struct spool *spool, enum spool_queue queue, const char *id, struct slice text);

/*
 * Every file with the name of a queue id in QUEUE, hashed or not.  EACH returns false to stop.
 * Returns -1 when a directory could not be read.  One getdents per some hundred names, no stat.
 */
int spool_scan(struct spool *spool, enum spool_queue queue,
    bool (*each)(const char *id, int dirfd, void *arg), void *arg);

/* The same for every entry that is not a sub-directory of hashing, whatever its name. */
int spool_scan_all(struct spool *spool, enum spool_queue queue,
    bool (*each)(const char *name, int dirfd, void *arg), void *arg);
/* Does the entry ID of DIRFD, as a scan of QUEUE found it, lie where hashing does not want it? */
bool spool_is_misplaced(
    const struct spool *spool, enum spool_queue queue, const char *id, int dirfd);

#endif

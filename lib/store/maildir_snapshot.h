// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a look into a Maildir found, kept for the next session of this process: a mailbox whose
 * directories and list of UIDs have not changed holds what it held.  For maildir_box.c and
 * maildir_sync.c alone.  Any thread.
 *
 * Whether they have changed the kernel tells (maildir_watch.h), and then the session's own renames
 * are made in the snapshot, too.  Where it cannot tell, their times do, the one of the last change
 * among them, which nobody can set.  Two changes may have the same time: so a look counts only when
 * all times were old when it began, and whatever comes later shows.
 */
#ifndef PC_STORE_MAILDIR_SNAPSHOT_H
#define PC_STORE_MAILDIR_SNAPSHOT_H

#include "store/maildir_box.h"

struct maildir_stamp {
	uint64_t changes; /* counted by the watch; 0: there is none, and times count */
	struct {
		uint64_t device, inode, size;
		int64_t changed_s, modified_s;
		uint32_t changed_ns, modified_ns;
	} parts[3]; /* cur, new, the list */
};

struct maildir_snapshot;

/* False when something is missing, or too young to be relied on. */
bool maildir_stamp(const struct maildir_box *m, struct maildir_stamp *stamp);
/* Fills in M from a look that had this stamp; false when there was none. */
bool maildir_snapshot_show(struct maildir_box *m, const struct maildir_stamp *stamp);
/* M shows what was found after STAMP was taken.  It belongs to the snapshot from then on. */
void maildir_snapshot_keep(struct maildir_box *m, const struct maildir_stamp *stamp);
/*
 * Message I of M has just been renamed in cur/, from FROM, as it was announced to the watch.  A
 * snapshot in which it has another name than FROM is let go: two sessions rename at a time.
 */
void maildir_snapshot_renamed(const struct maildir_box *m, size_t i, const char *from);
/* At the end of a box whose texts are a snapshot's. */
void maildir_snapshot_put(struct maildir_snapshot *s);
/* For tests: times of SECONDS ago are old. */
void maildir_snapshot_set_age(int64_t seconds);

#endif

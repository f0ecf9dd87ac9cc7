// SPDX-License-Identifier: BSD-2-Clause
/*
 * Whether a Maildir has changed, by inotify(7): every change of cur/, new/ and the list of UIDs is
 * counted, except renames that were announced.  For maildir_snapshot.c and maildir_box.c alone.
 * Any thread.
 *
 * The kernel queues an event before the call that caused it returns.  So who reads a count, then
 * looks into the directories, and finds the count unchanged when somebody else asks, knows that the
 * look still holds.  Directories of file systems that others change behind this kernel's back
 * (NFS and its like) are not watched.
 */
#ifndef PC_STORE_MAILDIR_WATCH_H
#define PC_STORE_MAILDIR_WATCH_H

#include "base/list.h"
#include "store/maildir_box.h"

/* Watches the mailbox from now on, if it was not; how many changes there were so far.  False: it
 * cannot be watched. */
bool maildir_watch(const struct maildir_box *m, uint64_t *changes);

/* For tests: nothing can be watched from now on. */
void maildir_watch_forbid(bool on);

/*
 * A rename in cur/ by the caller, which shall not count, as the caller takes care of what was kept.
 * Lives on its stack.
 */
struct maildir_own_rename {
	struct list link;
	const char *path, *from, *to; /* the caller's */
	unsigned seen;
	bool announced;
};
void maildir_watch_announce(
    const struct maildir_box *m, const char *from, const char *to, struct maildir_own_rename *own);
/* After the rename, or its failure.  One that did not come as announced counts after all. */
void maildir_watch_done(struct maildir_own_rename *own);

#endif

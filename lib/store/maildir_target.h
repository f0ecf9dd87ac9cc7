// SPDX-License-Identifier: BSD-2-Clause
/*
 * A mailbox that is delivered into: its directories, open, and the sync of new/ that all who
 * deliver into it share.  For maildir_deliver.c alone.  Any thread.
 *
 * Who gets one has the directory that its name meant at some time during the call; what another
 * program does with the name later is as if it had come after the delivery.
 */
#ifndef PC_STORE_MAILDIR_TARGET_H
#define PC_STORE_MAILDIR_TARGET_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "sys/file.h"

struct maildir_target {
	char *path;
	int tmp_fd;
	struct dirsync *new_dir;
	/* maildir_target.c's */
	struct list link;
	unsigned users;
	bool is_forgotten;
	atomic_bool is_durable;
	dev_t device; /* of new/ */
	ino_t inode;
	int64_t last_use;
};

/* Makes directories that are missing (0700).  NULL with errno.  Give it back with _put. */
struct maildir_target *maildir_target_get(const char *path);
void maildir_target_put(struct maildir_target *t);
/* The next _get opens the mailbox anew; those who have this one go on. */
void maildir_target_forget(struct maildir_target *t);
/*
 * After a sync of new/: sees to it that the names of the directories above it are durable, up to
 * the first BASE_LEN bytes of the path.  -1 with errno.
 */
int maildir_target_durable(struct maildir_target *t, size_t base_len);

#endif

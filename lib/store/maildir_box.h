// SPDX-License-Identifier: BSD-2-Clause
/* A Maildir that is open, for maildir_box.c, maildir_scan.c and maildir_sync.c alone. */
#ifndef PC_STORE_MAILDIR_BOX_H
#define PC_STORE_MAILDIR_BOX_H

#include "base/map.h"
#include "store/maildir.h"

struct maildir_file {
	const char *name; /* with its flags */
	size_t base_len;
	bool in_new;
	bool used; /* a record of the list has it */
};

/* What the two directories hold. */
struct maildir_scan {
	struct arena arena;
	struct maildir_file **files;
	size_t count, alloc;
	struct map by_base; /* base name to file */
	size_t new_count;   /* files in new/ */
	/* Names that stand for nothing: a second file with the same base, or bytes that no list of
	 * UIDs can hold.  They are given names of their own when we may write. */
	struct maildir_file **odd;
	size_t odd_count, odd_alloc;
};

struct maildir_box {
	struct store_box box; /* first */
	char path[1024];
	int root_fd, dir_fd[2]; /* [0] cur, [1] new */
	bool read_only;
	bool session_lock; /* store_lock */
	bool touched;	   /* something to sync */
	struct arena arena;
	struct maildir_snapshot *snapshot; /* which some texts belong to, or NULL */
	struct maildir_file *files;	   /* of box.messages, in its order */
};

#define MAILDIR_LOCK	   MAILDIR_UIDLIST ".lock"
#define MAILDIR_LOCK_STALE 120

/* maildir_scan.c.  False with errno. */
bool maildir_scan(const struct maildir_box *m, struct maildir_scan *scan);
void maildir_scan_release(struct maildir_scan *scan);
struct maildir_file *maildir_scan_find(const struct maildir_scan *scan, struct slice base);
/* Renames what is odd and moves all of new/ to cur/.  True when something was done or went wrong,
 * so that one has to look again. */
bool maildir_tidy(const struct maildir_box *m, const struct maildir_scan *scan);

/* maildir_sync.c: fills in box.messages and files.  Failures as store_open's. */
bool maildir_load(struct maildir_box *m, int64_t deadline, struct reason *why);
/* Records virtual sizes (those of messages whose index is in WHICH) in the list. */
bool maildir_record_sizes(
    struct maildir_box *m, const size_t *which, size_t count, int64_t deadline, struct reason *why);
/* Records POP3 UIDLs in the list. */
bool maildir_record_uidls(struct store_box *box, const struct store_uidl *uidls, size_t count,
    int64_t deadline, struct reason *why);
/* maildir_keywords.c */
bool maildir_keyword(struct store_box *box, const char *name, bool create, int64_t deadline,
    unsigned *flag, struct reason *why);
bool maildir_lock(const struct maildir_box *m, int64_t deadline, struct reason *why);
void maildir_unlock(const struct maildir_box *m);
void maildir_reason(struct reason *why, const struct maildir_box *m, const char *what);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Mailboxes behind one header: delivery agents, pop3d (and whoever reads mail later) know no file
 * format.  One driver per format, one row per driver in store.c.
 *
 * Everything runs with the rights of the process, which is the mail's owner.  Names come from the
 * administrator's configuration and tables, never from a message.  Below a mailbox no symbolic link
 * is followed.
 *
 * A struct store_box is one session's view of one mailbox: the messages that were there when it was
 * opened, with numbers 0 to store_count() - 1 that do not move until it is closed, whatever other
 * programs do meanwhile.  One thread at a time has a box.  Any number of boxes, of processes and of
 * other programs (Dovecot, Courier) may use the same mailbox at the same time.
 *
 * Failures are false, NULL or -1 with a struct reason: 4.x.y may go away, 5.x.y will not by itself.
 */
#ifndef PC_STORE_STORE_H
#define PC_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "base/slice.h"

struct store_driver;

/* Where a mailbox is. */
struct store_location {
	const struct store_driver *driver;
	char path[1024]; /* absolute, without a slash at the end */
	/*
	 * So many bytes of PATH are a directory that the administrator made and whose own name is
	 * durable; what is missing below it is created.  0: nothing is known.
	 */
	size_t base_len;
};

/*
 * Dovecot's mail_location, its variables expanded: "maildir:/var/mail/u", "maildir:~/Maildir" with
 * HOME.  False for a format or an option that is not supported, a relative path, a path that is too
 * long, an empty text, and "~" without HOME.
 */
bool store_location_parse(
    struct store_location *location, const char *text, const char *home, struct reason *why);
/*
 * Postfix's virtual: PATH ("example.com/user/") below BASE ("" or "/": PATH is all).  The slash at
 * the end means a Maildir; without it the format is mbox, which is not supported: false.
 */
bool store_location_virtual(
    struct store_location *location, const char *base, const char *path, struct reason *why);

/* ---- delivery ---- */

/* A message, pulled piece by piece; line ends are LF. */
struct store_source {
	/*
	 * The next piece, valid until the next call; an empty one is the end.  False with WHY:
	 * the message cannot be read, and the delivery fails with that.
	 */
	bool (*next)(void *arg, struct slice *piece, struct reason *why);
	/*
	 * The message has its name, and a slow disk's sync of the directory is waited for, which
	 * deliveries share.  Not called where that takes no time.  May be NULL.
	 */
	void (*stored)(void *arg);
	void *arg;
	struct slice head; /* lines in front of the message */
	uint64_t limit;	   /* bytes that the stored message may have, its head included; 0: any */
	int proc_fd;	   /* /proc/self/fd of this very process (sys/file.h) */
};
/*
 * Stores one message, making directories (0700) that are missing.  True: it would survive a power
 * cut.  False: nothing is stored (a failed sync apart, when a copy may be).  WHY has the texts of
 * Postfix's virtual, "maildir delivery failed: ..."; 5.2.2 past LIMIT or a disk quota; errno
 * tells what the system said.  Any thread.
 */
bool store_deliver(
    const struct store_location *location, const struct store_source *source, struct reason *why);

/* ---- reading ---- */

enum store_flag {
	STORE_DRAFT = 1,
	STORE_FLAGGED = 2,
	STORE_PASSED = 4,
	STORE_ANSWERED = 8,
	STORE_SEEN = 16,
	STORE_DELETED = 32
};
/* Keywords are flags, too: each mailbox gives so many names (store_keyword). */
#define STORE_KEYWORDS	 26
#define STORE_KEYWORD(i) (64u << (i))

#define STORE_SIZE_UNKNOWN UINT64_MAX

struct store_message {
	uint32_t uid;	     /* grows with the message's number */
	unsigned flags;	     /* enum store_flag, and keywords */
	uint64_t size;	     /* in bytes, as it is stored; STORE_SIZE_UNKNOWN: ask store_measure */
	uint64_t vsize;	     /* with CRLF line ends; likewise */
	const char *name;    /* of the file, without flags; Maildir's unique name */
	const char *guid;    /* NULL: the name stands for it */
	const char *uidl;    /* a POP3 UIDL that was recorded for it, or NULL */
	uint32_t pop3_order; /* 0: none was recorded */
};

struct store_box;

enum store_open_flags {
	STORE_READ_ONLY = 1, /* changes nothing at all in the mailbox, so UIDs may be missing: fails
				then */
	STORE_CREATE = 2     /* makes a mailbox that is not there */
};
/* Waits for locks until DEADLINE (clock_ms).  O(messages). */
struct store_box *store_open(
    const struct store_location *location, unsigned flags, int64_t deadline, struct reason *why);
void store_close(struct store_box *box); /* NULL is fine */

uint32_t store_uidvalidity(const struct store_box *box);
size_t store_count(const struct store_box *box);
const struct store_message *store_message(const struct store_box *box, size_t i);

/*
 * Finds out the sizes that no name and no list tells, by reading those messages, and records them.
 * A message that has vanished gets size 0.  ROUGHLY: one size or the other is enough.
 */
bool store_measure(struct store_box *box, bool roughly, int64_t deadline, struct reason *why);
/* Its file, to be read with read(2) from the start and closed; -1 with WHY when it is gone. */
int store_message_open(struct store_box *box, size_t i, struct reason *why);
/* Seconds since the epoch; false when it is gone. */
bool store_received(struct store_box *box, size_t i, int64_t *received);
/* Adds and takes away flags and keywords; the others stay. */
bool store_change_flags(
    struct store_box *box, size_t i, unsigned add, unsigned remove, struct reason *why);
/*
 * The flag that the keyword NAME (in any case) has in this mailbox; 0 when it has none and CREATE
 * is false.  5.2.0: NAME is no keyword, or all are used up.
 */
bool store_keyword(struct store_box *box, const char *name, bool create, int64_t deadline,
    unsigned *flag, struct reason *why);
/* POP3 UIDLs (printable, without blanks) that are recorded for messages from now on. */
struct store_uidl {
	size_t message;
	const char *uidl;
};
bool store_record_uidls(struct store_box *box, const struct store_uidl *uidls, size_t count,
    int64_t deadline, struct reason *why);
/*
 * Removes the message.  One that is gone already is no failure.  What was removed may come back
 * after a power cut until store_sync.
 */
bool store_expunge(struct store_box *box, size_t i, struct reason *why);
/* Makes expunges and changed flags durable. */
bool store_sync(struct store_box *box, struct reason *why);

/*
 * The mailbox's own lock, which other writers wait for, for the session's length
 * (pop3_lock_session). False with 4.2.0 when somebody else has it at DEADLINE.  store_lock_touch at
 * least once a minute keeps it from being taken for stale; store_close gives it back.
 */
bool store_lock(struct store_box *box, int64_t deadline, struct reason *why);
void store_lock_touch(struct store_box *box);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Maildir++ as Dovecot keeps it, for the files of lib/store/maildir*.c: names of files, and the
 * list of UIDs.  All of this file but the uidlist's read and write is pure.
 */
#ifndef PC_STORE_MAILDIR_H
#define PC_STORE_MAILDIR_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "store/store_driver.h"

#define MAILDIR_NAME_MAX 255
#define MAILDIR_UIDLIST	 "dovecot-uidlist"

/* ---- names ---- */

/* "base:2,flags": BASE is all up to the ':'; FLAGS what follows "2,", if that is there. */
void maildir_name_split(struct slice name, struct slice *base, struct slice *flags);
/* ",S=123" and ",W=130" in a base name; STORE_SIZE_UNKNOWN when absent or malformed. */
uint64_t maildir_name_size(struct slice base, char which);
unsigned maildir_flags_parse(struct slice flags);
/*
 * Appends "BASE:2,FLAGS" with the flags of FLAGS changed: those of the enum and keywords set as in
 * WANT, other letters and what follows a ',' kept, in ASCII order.
 */
void maildir_name_build(struct strbuf *out, struct slice base, struct slice flags, unsigned want);
/* What may be in a directory that we look at, and may be written to a list of UIDs. */
bool maildir_name_is_clean(struct slice name);
/* This host's name as it stands in file names; not empty. */
const char *maildir_host(void);

/* ---- dovecot-uidlist ---- */

struct uidlist_record {
	uint32_t uid;
	const char *name;  /* base name, never with a '/' or a line end */
	const char *extra; /* "W39 Pabc": its extensions as they stand; "" */
};
struct uidlist {
	struct arena arena;
	uint32_t uidvalidity, uidnext;	/* uidnext is above every record's */
	const char *extra;		/* header fields but V and N: "Gabc... P1", in order */
	struct uidlist_record *records; /* uids strictly grow */
	size_t count, alloc;
	bool old_version; /* 1: to be written anew */
	bool torn;	  /* the last line has no end: to be written anew */
};

/* False when the text is no list (its mailbox then gets a new UIDVALIDITY). */
bool uidlist_parse(struct uidlist *list, struct slice text);
void uidlist_init(struct uidlist *list);
void uidlist_release(struct uidlist *list);
struct uidlist_record *uidlist_add(struct uidlist *list, uint32_t uid, struct slice name);
void uidlist_format(const struct uidlist *list, struct strbuf *out);
void uidlist_format_record(const struct uidlist_record *record, struct strbuf *out);
/* The value of an extension, "W" of a record or "G" of the header; false when it is not there. */
bool uidlist_extra_get(const char *extra, char letter, struct slice *value);
/* EXTRA with that extension set to VALUE, in LIST's arena. */
const char *uidlist_extra_set(
    struct uidlist *list, const char *extra, char letter, const char *value);

#define UIDLIST_MAX_BYTES ((size_t)256 * 1024 * 1024)

/* Directories of the format, made with MODE 0700 when they are missing. */
int maildir_make(const char *path);

bool maildir_deliver(
    const struct store_location *location, const struct store_source *source, struct reason *why);

#endif

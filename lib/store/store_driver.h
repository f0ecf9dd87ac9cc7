// SPDX-License-Identifier: BSD-2-Clause
/* What a mailbox format provides, for the files of lib/store alone.  Contracts as in store.h. */
#ifndef PC_STORE_STORE_DRIVER_H
#define PC_STORE_STORE_DRIVER_H

#include "store/store.h"

/* Embedded by the driver's own struct as its first member. */
struct store_box {
	const struct store_driver *driver;
	uint32_t uidvalidity;
	struct store_message *messages;
	size_t count;
};

struct store_driver {
	const char *name; /* as in mail_location */
	bool (*deliver)(const struct store_location *location, const struct store_source *source,
	    struct reason *why);
	struct store_box *(*open)(const struct store_location *location, unsigned flags,
	    int64_t deadline, struct reason *why);
	void (*close)(struct store_box *box);
	bool (*measure)(struct store_box *box, bool roughly, int64_t deadline, struct reason *why);
	int (*message_open)(struct store_box *box, size_t i, struct reason *why);
	bool (*received)(struct store_box *box, size_t i, int64_t *received);
	bool (*change_flags)(
	    struct store_box *box, size_t i, unsigned add, unsigned remove, struct reason *why);
	bool (*keyword)(struct store_box *box, const char *name, bool create, int64_t deadline,
	    unsigned *flag, struct reason *why);
	bool (*record_uidls)(struct store_box *box, const struct store_uidl *uidls, size_t count,
	    int64_t deadline, struct reason *why);
	bool (*expunge)(struct store_box *box, size_t i, struct reason *why);
	bool (*sync)(struct store_box *box, struct reason *why);
	bool (*lock)(struct store_box *box, int64_t deadline, struct reason *why);
	void (*lock_touch)(struct store_box *box);
};

extern const struct store_driver maildir_driver;

/* How many bytes DATA has with CRLF line ends; *LAST is the byte before it (0 at the start). */
uint64_t store_virtual_size(struct slice data, char *last);

#endif

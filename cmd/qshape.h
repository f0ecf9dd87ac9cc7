// SPDX-License-Identifier: BSD-2-Clause
/*
 * qshape: how old the mail in the queue is, by domain.
 *
 *   qshape.c         options, directories
 *   qshape_file.c    a queue file: time and addresses
 *   qshape_table.c   counts by domain and age, and how they are shown
 */
#ifndef PC_CMD_QSHAPE_H
#define PC_CMD_QSHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/slice.h"

struct qshape_options {
	bool senders, parents, linear;
	long min_subdomains, buckets, minutes, width;
	long show_every, show_top; /* 0: at the end, everything */
};
extern struct qshape_options qshape;

typedef void qshape_address(time_t arrived, struct slice address);
/* The file NAME in DIRFD; EACH is called once it was read to its end.  False: it is none. */
bool qshape_file(int dirfd, const char *name, qshape_address *each);

void qshape_count(time_t arrived, struct slice address);
void qshape_show(void);
void qshape_release(void);

#endif

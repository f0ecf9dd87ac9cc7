// SPDX-License-Identifier: BSD-2-Clause
/*
 * The segment of fixed size that master makes and every process of the suite maps.  It outlives
 * single processes and is gone with master.
 */
#ifndef PC_SERVER_SHARED_H
#define PC_SERVER_SHARED_H

#include <stdint.h>

struct shared;
struct shared *shared_new(int *fd);   /* master: makes it; *FD for the others */
struct shared *shared_attach(int fd); /* NULL with errno */
void shared_detach(struct shared *shared);
/* 1, 2, 3, ... each number once in the life of the segment. */
uint64_t shared_next_number(struct shared *shared);

#endif

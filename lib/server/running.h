// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who runs in a process, in memory that survives it: when the process dies, whoever started it
 * (master; the root parent of uid workers) reads there whose command, delivery or login was being
 * worked on.  What is parked is not there: nothing of it runs.
 *
 * The table is a file in memory of fixed size, one per process, with a slot for each thread of the
 * pool (server/pool.h).  A thread writes into its own slot when it begins and clears a flag when it
 * ends: no system call, no lock.  The reader takes it for bytes of a process that may have been
 * taken over: bounded, and every name is made printable.
 */
#ifndef PC_SERVER_RUNNING_H
#define PC_SERVER_RUNNING_H

#include <stdbool.h>
#include <stddef.h>

#include "net/addr.h"

/* Threads with a higher number are not listed. */
#define RUNNING_SLOTS 4096
/* Longer texts are cut; with their NUL. */
#define RUNNING_USER	64
#define RUNNING_MESSAGE 40
/* "client 192.0.2.1", "client 2001:db8::/64", "user alice@example.com", "message 3F2504E0" */
#define RUNNING_NAME 96

/* Each may be NULL. */
struct running_who {
	const struct net_addr *client;
	const char *user, *message;
};

/* For whoever starts a process: makes its table; the descriptor, or -1 with errno. */
int running_new(void);
/*
 * Calls EACH with the names in the table at FD, some perhaps twice; returns how many.  Of those
 * that were there while the process died, not one is missing.
 */
size_t running_read(int fd, void (*each)(const char *name, void *arg), void *arg);

/* For the process: from now on this is its table (FD stays the caller's).  False with errno. */
bool running_attach(int fd);
/* Without a table the next two do nothing.  Before threads. */
void running_detach(void);
/* By a thread of the pool, for itself: it works for WHO. */
void running_begin(const struct running_who *who);
void running_end(void);
/* For whom it worked last it works again. */
void running_again(void);

/* The names as they are read from a table.  An IPv6 client is its network of 64 bits. */
const char *running_client_name(const struct net_addr *client, char out[RUNNING_NAME]);
const char *running_user_name(const char *user, char out[RUNNING_NAME]);
const char *running_message_name(const char *message, char out[RUNNING_NAME]);

#endif

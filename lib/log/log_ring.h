// SPDX-License-Identifier: BSD-2-Clause
/*
 * The latest warnings and errors of all processes of a suite, for "doveadm log errors": a segment
 * of shared memory that master makes and every process writes into.  Writers never wait; a line
 * that is being overwritten is not read.  What is read was perhaps written by somebody who has been
 * taken over: it is text to be shown, nothing else.
 */
#ifndef PC_LOG_LOG_RING_H
#define PC_LOG_LOG_RING_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_RING_LINES 1000

struct log_ring;

/* A memory file of the ring's size; -1 with errno. */
int log_ring_create(void);
/* Maps it; NULL when it is no ring. The descriptor may be closed afterwards. */
struct log_ring *log_ring_attach(int fd);
void log_ring_detach(struct log_ring *ring);

/* LEVEL as in log.h. */
void log_ring_put(
    struct log_ring *ring, int64_t time, int level, const char *name, const char *text);

struct log_ring_line {
	int64_t time;
	int level;
	char name[64], text[424]; /* without control characters */
};
/* The oldest first. */
void log_ring_each(const struct log_ring *ring,
    void (*each)(const struct log_ring_line *line, void *arg), void *arg);

#endif

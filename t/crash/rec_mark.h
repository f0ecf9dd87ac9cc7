// SPDX-License-Identifier: BSD-2-Clause
/* rec_mark.h - finds the replies that promise a message's safety. */
#ifndef REC_MARK_H
#define REC_MARK_H

struct call;

/* Sets the extended regular expression (matched at the start of each line); \1 is the mark's id. */
void mark_pattern(const char *regex);

/* Looks at the bytes that the call is about to send, and writes a mark for each match. */
void mark_check(const struct call *c);

#endif

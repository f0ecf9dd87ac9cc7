// SPDX-License-Identifier: BSD-2-Clause
/* Command lines of POP3 (RFC 1939 3) and the numbers in them, with the peer's words for what is
 * wrong. */
#ifndef PC_POP3D_POP3_ARGS_H
#define PC_POP3D_POP3_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Bytes of a command line with its line end (RFC 2449 4 asks for 255), as with the peer. */
#define POP3_LINE_MAX	    2048
#define POP3_LOGIN_LINE_MAX 1024 /* before login */

/* Takes CRLF or LF off LINE and the verb off its start; ARGS is the rest behind one blank. */
void pop3_split(struct slice line, struct slice *verb, struct slice *args);

/*
 * Takes a message number off *ARGS, 1 to COUNT, and gives its index (number - 1).  False with the
 * text behind "-ERR " in ERROR.
 */
bool pop3_take_message(struct slice *args, size_t count, size_t *index, char error[160]);
/* Takes a number of lines off *ARGS. */
bool pop3_take_size(struct slice *args, uint64_t *size, char error[160]);
/* Nothing may follow. */
bool pop3_no_more(struct slice args, const char *behind_what, char error[160]);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* Encoded words (RFC 2047): how text that is not ASCII stands in a header. */
#ifndef PC_MAIL_ENCODED_WORD_H
#define PC_MAIL_ENCODED_WORD_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

/* Does TEXT hold bytes that a header may not have: 8-bit ones, or control characters? */
bool encoded_word_is_needed(struct slice text);
/*
 * Appends TEXT, which is in CHARSET, as a phrase of encoded words, each of at most 75 bytes, with
 * LF and a blank between them.  COLUMN: where the first one begins in its line.  A character of
 * UTF-8 is never cut in two (RFC 2047 5).
 */
void encoded_word_phrase(struct slice text, const char *charset, size_t column, struct strbuf *out);

#endif

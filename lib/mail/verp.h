// SPDX-License-Identifier: BSD-2-Clause
/*
 * Variable envelope return paths: each recipient's copy has a sender of its own, with that
 * recipient in it, so that a list manager learns from the address of a notice who it is about.
 */
#ifndef PC_MAIL_VERP_H
#define PC_MAIL_VERP_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

/* Two characters, each of them in ALLOWED (verp_delimiter_filter). */
bool verp_is_valid(struct slice delimiters, const char *allowed);

/*
 * "list@here" for "user@there" with the delimiters "+=" is "list+user=there@here".  All addresses
 * in internal form; DELIMITERS are two characters.  What has no domain gets none.
 */
void verp_sender(
    const char *delimiters, struct slice sender, struct slice recipient, struct strbuf *out);

#endif

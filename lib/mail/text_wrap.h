// SPDX-License-Identifier: BSD-2-Clause
/* Lines for people. */
#ifndef PC_MAIL_TEXT_WRAP_H
#define PC_MAIL_TEXT_WRAP_H

#include "base/slice.h"

/* What further lines of something wrapped begin with. */
#define TEXT_WRAP_INDENT "    "

/*
 * How many bytes of TEXT, which does not begin with a blank, stand on a line of ROOM columns: up to
 * a blank, or all.  A word that is longer stays whole.
 */
size_t text_wrap(struct slice text, size_t room);

#endif

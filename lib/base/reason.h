// SPDX-License-Identifier: BSD-2-Clause
/*
 * Why something could not be done: an enhanced status code (RFC 3463) and a text.  The first digit
 * of the code decides: 4 is worth another try, 5 is final, 2 is success.  A struct reason belongs
 * to the caller, who hands it down; functions fill it in when they return failure.
 */
#ifndef PC_BASE_REASON_H
#define PC_BASE_REASON_H

#include <stdarg.h>
#include <stdbool.h>

struct reason {
	char dsn[12]; /* "4.3.0"; empty: no reason was given */
	char text[512];
};

/*
 * DSN must be valid (a foreign one is checked first).  Control characters in the text are replaced
 * by '?'; what does not fit is cut.  Arguments may be WHY's own code and text.
 */
void reason_set(struct reason *why, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void reason_vset(struct reason *why, const char *dsn, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static inline bool reason_is_permanent(const struct reason *why)
{
	return why->dsn[0] == '5';
}
/* "d.ddd.ddd" with a first digit of 2, 4 or 5 (RFC 3463 2). */
bool dsn_is_valid(const char *dsn);

#endif

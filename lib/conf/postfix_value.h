// SPDX-License-Identifier: BSD-2-Clause
/* The values of parameters that are no text: yes/no, numbers, times, compatibility levels. */
#ifndef PC_CONF_POSTFIX_VALUE_H
#define PC_CONF_POSTFIX_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* "yes" or "no" in any case. */
bool postfix_value_bool(const char *text, bool *value);
/* Decimal, possibly negative, that fits a long long. */
bool postfix_value_number(const char *text, long long *value);
/*
 * A number with s, m, h, d or w behind it; without, in UNIT.  Never negative; seconds in the
 * result.
 */
bool postfix_value_time(const char *text, char unit, int64_t *seconds);
/* "3.6", "2", "3.6.1": ordered numbers.  False when malformed. */
bool postfix_value_level(struct slice text, uint64_t *level);

#endif

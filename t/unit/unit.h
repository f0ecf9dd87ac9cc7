// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a unit test includes: cmocka with what it needs before it, and comparisons that name the
 * case of the table that failed.
 */
#ifndef PC_UNIT_H
#define PC_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/slice.h"

#define want_int(name, got, want)                                                                  \
	do {                                                                                       \
		intmax_t got_ = (intmax_t)(got), want_ = (intmax_t)(want);                         \
		if (got_ != want_)                                                                 \
			fail_msg("%s: got %jd, want %jd", (name), got_, want_);                    \
	} while (0)

#define want_slice(name, got, want)                                                                \
	do {                                                                                       \
		struct slice got_ = (got), want_ = (want);                                         \
		if (!slice_eq(got_, want_))                                                        \
			fail_msg("%s: got \"%.*s\" (%zu bytes), want \"%.*s\" (%zu bytes)",        \
			    (name), SLICE_ARG(got_), got_.len, SLICE_ARG(want_), want_.len);       \
	} while (0)

#define want_str(name, got, want) want_slice(name, slice_of(got), slice_of(want))

/*
 * How F ended in a process of its own: its exit status, or 128 and the signal.  What it wrote to
 * standard error is in TEXT, NUL-terminated and cut to SIZE.
 */
int unit_run_apart(void (*f)(void), char *text, size_t size);
#define want_abort(name, f) want_int(name, unit_run_apart((f), NULL, 0), 128 + 6 /* SIGABRT */)

#endif

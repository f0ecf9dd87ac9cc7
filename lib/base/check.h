// SPDX-License-Identifier: BSD-2-Clause
/*
 * Assertions that stay in every build.  ASSERT is for bugs in our own code only: what a peer, a
 * user or the disk can cause is never an ASSERT.
 */
#ifndef PC_BASE_CHECK_H
#define PC_BASE_CHECK_H

#include <stddef.h>

/* Writes the place and the expression to standard error (and nothing else) and aborts. */
_Noreturn void check_failed(const char *file, int line, const char *expression);

#define ASSERT(expr)                                                                               \
	do {                                                                                       \
		if (!(expr))                                                                       \
			check_failed(__FILE__, __LINE__, #expr);                                   \
	} while (0)

/*
 * Allocation that cannot return NULL: when memory is gone the process says so and exits (the
 * limits of sessions are far below what a process may have, so this is the last resort).
 */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
/* COUNT * SIZE, checked for overflow. */
void *xreallocarray(void *old, size_t count, size_t size);
char *xstrdup(const char *text);
/* TEXT may be NULL, as an empty slice's may, when LEN is 0. */
char *xstrndup(const char *text, size_t len);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif

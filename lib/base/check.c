// SPDX-License-Identifier: BSD-2-Clause
/*
 * Both ends of a process here write with dprintf(3) on the descriptor: standard error's own buffer
 * may be the thing that is broken, and glibc's dprintf needs no heap for a line of this size.
 */
#include "base/check.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *expression)
{
	dprintf(STDERR_FILENO, "%s:%d: assertion failed: %s\n", file, line, expression);
	abort();
}

/* EX_TEMPFAIL: whoever runs us for a delivery or a submission is to try again. */
static _Noreturn void out_of_memory(void)
{
	dprintf(STDERR_FILENO, "out of memory\n");
	_exit(EX_TEMPFAIL);
}

/* malloc(0) may be NULL without being a failure, hence the 1 in each of these. */
void *xmalloc(size_t size)
{
	void *ptr = malloc(size ? size : 1);

	if (!ptr)
		out_of_memory();
	return ptr;
}

void *xcalloc(size_t count, size_t size)
{
	void *ptr = count && size ? calloc(count, size) : calloc(1, 1);

	if (!ptr)
		out_of_memory();
	return ptr;
}

void *xrealloc(void *old, size_t size)
{
	void *ptr = realloc(old, size ? size : 1);

	if (!ptr)
		out_of_memory();
	return ptr;
}

void *xreallocarray(void *old, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		out_of_memory();
	return xrealloc(old, total);
}

char *xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
	size_t have = len ? strnlen(text, len) : 0;
	char *copy = xmalloc(have + 1);

	if (have)
		memcpy(copy, text, have);
	copy[have] = '\0';
	return copy;
}

char *xasprintf(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		out_of_memory();
	return text;
}

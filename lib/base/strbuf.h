// SPDX-License-Identifier: BSD-2-Clause
/*
 * A growing buffer with a hard maximum.
 *
 * Invariants: buf->len <= buf->max; buf->ptr[buf->len] is '\0', also when empty (ptr is then a
 * static empty string, so ptr is never NULL and is never to be freed by hand).  An append that
 * would pass the maximum appends nothing and sets buf->overflow, which sticks until
 * strbuf_reset(): callers append a whole thing and look once.
 */
#ifndef PC_BASE_STRBUF_H
#define PC_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

struct strbuf {
	char *ptr;
	size_t len;
	size_t alloc; /* 0: ptr is not on the heap */
	size_t max;
	bool overflow;
};

#define STRBUF_NO_LIMIT ((size_t)1 << 40)

/* STRBUF_INIT(max) for a definition, strbuf_init() elsewhere. */
extern char strbuf_empty[];
#define STRBUF_INIT(maximum)                                                                       \
	{                                                                                          \
		strbuf_empty, 0, 0, (maximum), false                                               \
	}
void strbuf_init(struct strbuf *buf, size_t max);
/* Gives the memory back; the buffer is empty and usable afterwards. */
void strbuf_release(struct strbuf *buf);
/* Empty, memory kept. */
void strbuf_reset(struct strbuf *buf);
/* The text, on the heap; the caller frees it.  The buffer is empty afterwards. */
char *strbuf_detach(struct strbuf *buf);

void strbuf_add(struct strbuf *buf, const void *data, size_t len);
void strbuf_addstr(struct strbuf *buf, const char *text);
void strbuf_addslice(struct strbuf *buf, struct slice s);
void strbuf_addch(struct strbuf *buf, char c);
void strbuf_addf(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* Room for LEN more bytes at ptr + len (and a NUL); false when that passes the maximum. */
bool strbuf_reserve(struct strbuf *buf, size_t len);
/* Shortens to LEN, which must be at most buf->len. */
void strbuf_truncate(struct strbuf *buf, size_t len);
/* Drops the first LEN bytes. */
void strbuf_consume(struct strbuf *buf, size_t len);
static inline struct slice strbuf_slice(const struct strbuf *buf)
{
	return slice_mem(buf->ptr, buf->len);
}

#endif

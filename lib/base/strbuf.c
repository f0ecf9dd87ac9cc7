// SPDX-License-Identifier: BSD-2-Clause
/*
 * strbuf_empty is shared by all threads: it is pointed at and never written, so every store to
 * ptr[] here is behind alloc > 0.
 */
#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

char strbuf_empty[1] = "";

void strbuf_init(struct strbuf *buf, size_t max)
{
	ASSERT(max <= STRBUF_NO_LIMIT);
	*buf = (struct strbuf)STRBUF_INIT(max);
}

void strbuf_release(struct strbuf *buf)
{
	if (buf->alloc)
		free(buf->ptr);
	strbuf_init(buf, buf->max);
}

void strbuf_reset(struct strbuf *buf)
{
	strbuf_truncate(buf, 0);
	buf->overflow = false;
}

char *strbuf_detach(struct strbuf *buf)
{
	char *text = buf->alloc ? buf->ptr : xstrdup("");
	bool overflow = buf->overflow;

	strbuf_init(buf, buf->max);
	buf->overflow = overflow;
	return text;
}

/* Doubling keeps a sequence of small appends linear; the maximum caps the last step. */
static void grow(struct strbuf *buf, size_t need)
{
	size_t size = buf->alloc ? buf->alloc : 64;

	while (size < need)
		size *= 2;
	if (size > buf->max + 1)
		size = buf->max + 1;
	buf->ptr = xrealloc(buf->alloc ? buf->ptr : NULL, size);
	buf->ptr[buf->len] = '\0';
	buf->alloc = size;
}

bool strbuf_reserve(struct strbuf *buf, size_t len)
{
	if (len > buf->max - buf->len)
		return false;
	if (buf->alloc < buf->len + len + 1)
		grow(buf, buf->len + len + 1);
	return true;
}

void strbuf_add(struct strbuf *buf, const void *data, size_t len)
{
	if (!len)
		return;
	if (!strbuf_reserve(buf, len)) {
		buf->overflow = true;
		return;
	}
	memcpy(buf->ptr + buf->len, data, len);
	buf->len += len;
	buf->ptr[buf->len] = '\0';
}

void strbuf_addstr(struct strbuf *buf, const char *text)
{
	strbuf_add(buf, text, strlen(text));
}

void strbuf_addslice(struct strbuf *buf, struct slice s)
{
	strbuf_add(buf, s.ptr, s.len);
}

void strbuf_addch(struct strbuf *buf, char c)
{
	strbuf_add(buf, &c, 1);
}

void strbuf_addf(struct strbuf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	strbuf_vaddf(buf, format, args);
	va_end(args);
}

void strbuf_vaddf(struct strbuf *buf, const char *format, va_list args)
{
	va_list again;
	int len;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (len < 0 || !strbuf_reserve(buf, (size_t)len)) {
		buf->overflow = true;
		return;
	}
	vsnprintf(buf->ptr + buf->len, (size_t)len + 1, format, args);
	buf->len += (size_t)len;
}

void strbuf_truncate(struct strbuf *buf, size_t len)
{
	ASSERT(len <= buf->len);
	buf->len = len;
	if (buf->alloc)
		buf->ptr[len] = '\0';
}

void strbuf_consume(struct strbuf *buf, size_t len)
{
	ASSERT(len <= buf->len);
	if (!len)
		return;
	memmove(buf->ptr, buf->ptr + len, buf->len - len);
	strbuf_truncate(buf, buf->len - len);
}

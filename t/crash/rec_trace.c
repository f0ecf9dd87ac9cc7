// SPDX-License-Identifier: BSD-2-Clause
/* rec_trace.c - a buffered stdio file; the format is in the header. */
#include "rec_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *out;
static unsigned long number;

void trace_flush(void)
{
	if (out)
		fflush(out);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("recorder: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	trace_flush();
	_exit(125);
}

void trace_open(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || !(out = fdopen(fd, "w")))
		die("%s: %s", path, strerror(errno));
	setvbuf(out, NULL, _IOFBF, 1 << 20);
	fputs("postcote-trace 1\n", out);
}

void trace_close(int status)
{
	trace_op("exit", "-", "-");
	trace_num("status", status);
	trace_end();
	if (fflush(out) || ferror(out) || fclose(out))
		die("writing the trace failed: %s", strerror(errno));
	out = NULL;
}

void trace_plain(const char *verb)
{
	fputs(verb, out);
}

void trace_op(const char *verb, const char *who, const char *call)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(out, "%s n=%lu t=%lld.%09ld", verb, ++number, (long long)now.tv_sec, now.tv_nsec);
	trace_str("who", who);
	trace_str("call", call);
}

void trace_num(const char *key, long long value)
{
	fprintf(out, " %s=%lld", key, value);
}

void trace_str(const char *key, const char *value)
{
	fprintf(out, " %s=", key);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || *p == '%' || *p == '=')
			fprintf(out, "%%%02X", *p);
		else
			fputc(*p, out);
	}
}

void trace_stat(const struct stat *st)
{
	fprintf(out, " mode=%o uid=%u gid=%u mtime=%lld.%09ld", (unsigned)st->st_mode & 07777,
	    (unsigned)st->st_uid, (unsigned)st->st_gid, (long long)st->st_mtim.tv_sec,
	    st->st_mtim.tv_nsec);
}

void trace_end(void)
{
	fputc('\n', out);
}

void trace_data(const void *data, size_t len)
{
	fprintf(out, " len=%zu\n", len);
	fwrite(data, 1, len, out);
	fputc('\n', out);
	if (ferror(out))
		die("writing the trace failed");
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_mark.c - only the first 4 KiB of a call are looked at; replies are short, and what comes
 * later in a buffer is pipelined behind 4 KiB of other replies.
 */
#include "rec_mark.h"

#include <regex.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "rec_calls.h"
#include "rec_proc.h"
#include "rec_trace.h"

#define LOOK	     4096
#define IOV_MAX_LOOK 64

static regex_t pattern;

void mark_pattern(const char *regex)
{
	if (regcomp(&pattern, regex, REG_EXTENDED) != 0)
		die("bad regular expression: %s", regex);
}

static size_t gather(pid_t tid, uint64_t addr, size_t count, char *buf)
{
	struct iovec iov[IOV_MAX_LOOK];
	size_t used = 0;

	if (count > IOV_MAX_LOOK)
		count = IOV_MAX_LOOK;
	if (proc_read(tid, addr, iov, count * sizeof(*iov)) != count * sizeof(*iov))
		return 0;
	for (size_t i = 0; i < count && used < LOOK; i++) {
		size_t n = iov[i].iov_len < LOOK - used ? iov[i].iov_len : LOOK - used;

		used += proc_read(tid, (uint64_t)(uintptr_t)iov[i].iov_base, buf + used, n);
	}
	return used;
}

/* Of sendmmsg only the first message: nobody answers a stream client with several. */
static size_t fetch(const struct call *c, char *buf)
{
	struct msghdr msg;

	switch (c->desc->path2) {
	case MEM_BUF:
		return proc_read(c->tid, c->args[1], buf, c->args[2] < LOOK ? c->args[2] : LOOK);
	case MEM_IOV:
		return gather(c->tid, c->args[1], c->args[2], buf);
	case MEM_MSG:
		if (proc_read(c->tid, c->args[1], &msg, sizeof(msg)) != sizeof(msg))
			return 0;
		return gather(c->tid, (uint64_t)(uintptr_t)msg.msg_iov, msg.msg_iovlen, buf);
	default:
		return 0;
	}
}

static void check_line(const struct call *c, char *line)
{
	regmatch_t m[2];

	if (regexec(&pattern, line, 2, m, 0) != 0)
		return;
	trace_op("mark", c->who, c->desc->name);
	trace_str("text", line);
	if (m[1].rm_so >= 0) {
		line[m[1].rm_eo] = '\0';
		trace_str("id", line + m[1].rm_so);
	}
	trace_end();
}

void mark_check(const struct call *c)
{
	char buf[LOOK + 1];
	size_t len = fetch(c, buf);
	char *line = buf;

	buf[len] = '\0';
	while (line < buf + len) {
		char *next = line + strcspn(line, "\r\n");

		*next = '\0';
		if (*line)
			check_line(c, line);
		line = next + 1;
	}
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * One connection per question: user, password, service and realm, each behind its length in two
 * bytes, most significant first; the answer is one such string that begins with OK or NO.
 */
#include "auth/saslauthd_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/strbuf.h"
#include "net/stream.h"
#include "sys/socket.h"

/* saslauthd's own limit of each string. */
#define PART_MAX   1024
#define ANSWER_MAX 1024

static bool add_part(struct strbuf *out, struct slice part)
{
	if (part.len > PART_MAX)
		return false;
	strbuf_addch(out, (char)(part.len >> 8));
	strbuf_addch(out, (char)(part.len & 0xff));
	strbuf_addslice(out, part);
	return true;
}

static bool write_question(struct strbuf *out, const struct saslauthd_question *question)
{
	ptrdiff_t at = slice_rfind(question->user, '@');
	struct slice user = question->user, realm = question->realm;

	if (at >= 0) {
		realm = slice_from(user, (size_t)at + 1);
		user = slice_first(user, (size_t)at);
	}
	return add_part(out, user) && add_part(out, question->password) &&
	       add_part(out, question->service) && add_part(out, realm);
}

static bool read_exactly(struct stream *stream, struct strbuf *in, size_t len)
{
	struct slice some;

	strbuf_reset(in);
	while (in->len < len && stream_read_some(stream, len - in->len, &some))
		strbuf_addslice(in, some);
	return in->len == len;
}

static enum saslauthd_answer read_answer(struct stream *stream, struct reason *why)
{
	struct strbuf in = STRBUF_INIT(ANSWER_MAX);
	enum saslauthd_answer answer = SASLAUTHD_UNAVAILABLE;
	size_t len = 0;

	if (read_exactly(stream, &in, 2))
		len = (size_t)(unsigned char)in.ptr[0] << 8 | (unsigned char)in.ptr[1];
	if (len < 2 || len > ANSWER_MAX || !read_exactly(stream, &in, len))
		reason_set(why, "4.7.0", "no answer from saslauthd: %s",
		    stream_error(stream) ? stream_error_text(stream) : "nonsense");
	else if (slice_starts(strbuf_slice(&in), "OK"))
		answer = SASLAUTHD_YES;
	else
		answer = SASLAUTHD_NO;
	strbuf_release(&in);
	return answer;
}

enum saslauthd_answer saslauthd_ask(const char *path, const struct saslauthd_question *question,
    int64_t deadline, struct reason *why)
{
	struct strbuf out = STRBUF_INIT(4 * (PART_MAX + 2));
	enum saslauthd_answer answer = SASLAUTHD_NO;
	struct stream *stream;
	int fd;

	/* What cannot be asked is nobody's password. */
	if (!write_question(&out, question))
		goto release;
	answer = SASLAUTHD_UNAVAILABLE;
	fd = socket_unix_connect(path, deadline);
	if (fd < 0) {
		reason_set(why, "4.7.0", "cannot connect to saslauthd server: %s", strerror(errno));
		goto release;
	}
	stream = stream_new(fd);
	stream_set_deadline(stream, deadline);
	stream_write(stream, strbuf_slice(&out));
	answer = read_answer(stream, why);
	stream_free(stream);
release:
	secret_release(&out);
	return answer;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message, line by line, into its header fields and the lines of its bodies, and, for a server
 * that takes only 7-bit ones (RFC 6152 3), with each body that its header calls "8bit" or "binary"
 * made quoted-printable (RFC 2045 6.7), parts of parts and messages within the message, too.
 *
 * What is done, and what is not, is what the peer does:
 *
 * - A field Content-Transfer-Encoding of such a header is dropped, and a new one is its last:
 *   "quoted-printable", or "7bit" of a multipart and a message, for which RFC 2045 6.4 allows no
 *   other.
 * - What an epilogue or prologue of a multipart holds, a boundary or a header stays as it is; so
 *   does a body whose header says "7bit", or nothing, or what nobody knows.
 * - A message/partial and its like (but not a message/rfc822) that calls itself "8bit" is a body
 *   that is encoded although its new header says "7bit".
 * - Nothing is said of MIME-Version.
 *
 * At most one field, and one line of 76 bytes, is in memory.  Pure; belongs to one thread.
 */
#ifndef PC_MAIL_MIME_CONVERT_H
#define PC_MAIL_MIME_CONVERT_H

#include "mail/mime_walk.h"

struct mime_convert_rules {
	struct mime_walk_rules walk; /* opaque: only the own header is taken apart */
	bool to_7bit;
};

struct mime_convert_events {
	/* Name, colon, value, lines separated by LF.  IS_NEW: it was made here. */
	void (*field)(void *arg, enum mime_part_class class, struct slice field, bool is_new);
	/*
	 * A line of a body, a boundary line, or the empty line behind a header.  COMPLETE is false
	 * for a piece whose line goes on.
	 */
	void (*body)(void *arg, struct slice piece, bool complete);
	/* As in struct mime_walk_events; NULL: nobody is told. */
	void (*error)(void *arg, enum mime_error error, struct slice text);
};

struct mime_convert;
/* Both are copied. */
struct mime_convert *mime_convert_new(
    const struct mime_convert_rules *rules, const struct mime_convert_events *events, void *arg);
void mime_convert_free(struct mime_convert *c); /* NULL is fine */

/* From the first line of the message on. */
void mime_convert_line(struct mime_convert *c, struct slice piece, bool complete);
/* The last line was complete. */
void mime_convert_end(struct mime_convert *c);

#endif

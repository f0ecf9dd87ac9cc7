// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message's MIME structure, line by line, as its bytes go by (RFC 2045, 2046): which lines are
 * headers of its parts and of messages in it, and which are their bodies.
 *
 * Nothing is decoded, and no more than one header field is in memory.  It never fails on foreign
 * bytes: what is no MIME is body.  Limits: nesting_max multiparts in each other (deeper ones are
 * body), boundary_max bytes of a boundary count, header_max bytes of a field are kept.
 *
 * The caller gives the message's own header first, field by field, then the lines behind it:
 *
 *	w = mime_walk_new(&rules, &events, arg);
 *	mime_walk_field(w, field) ...
 *	mime_walk_end_header(w);
 *	mime_walk_line(w, piece, complete) ...
 *	mime_walk_end(w);
 *
 * Pure; a walk belongs to one thread.
 */
#ifndef PC_MAIL_MIME_WALK_H
#define PC_MAIL_MIME_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum mime_part_class {
	MIME_PART_MULTIPART, /* a field of a multipart's part */
	MIME_PART_NESTED,    /* a field of a message within the message */
	MIME_PART_OWN	     /* of the message's own header */
};

/* What a header that has ended says of its body. */
struct mime_part {
	enum mime_part_class class;
	bool is_7bit;	   /* its bytes are 7-bit ones, encoded or not */
	bool is_multipart; /* whose parts say for themselves what they are */
	bool is_message;   /* message, but for message/global, which may be encoded (RFC 6532) */
};

/* What is against a rule; each is told once. */
enum mime_error {
	MIME_ERROR_NESTING = 1,
	MIME_ERROR_8BIT_HEADER = 2,
	MIME_ERROR_8BIT_BODY = 4, /* and the part's encoding is a 7-bit one */
	MIME_ERROR_ENCODING = 8	  /* base64 or quoted-printable of a multipart or a message */
};
/* "improper use of 8-bit data in message header" and so on, as the peer says it. */
const char *mime_error_text(enum mime_error error);

struct mime_walk_rules {
	unsigned nesting_max;
	size_t boundary_max, header_max;
	unsigned errors; /* enum mime_error bits that are told */
	bool opaque;	 /* all lines are one body */
	/* A message/global that is 8-bit is no message within the message, but a body. */
	bool global_is_body;
};

struct mime_walk_events {
	/* A field of a part: name, colon, value, its lines separated by LF. */
	void (*field)(void *arg, enum mime_part_class class, struct slice field);
	/*
	 * A line of a body, a boundary line, or the empty line behind a header.  COMPLETE is false
	 * for a piece whose line goes on.  OFFSET: bytes of this body before it; for a
	 * boundary line, of the body that it ends, and 0 for the last one of a multipart.
	 */
	void (*body)(void *arg, struct slice piece, bool complete, uint64_t offset);
	/* TEXT: what it was found in, as much as one would log.  NULL: nobody is told. */
	void (*error)(void *arg, enum mime_error error, struct slice text);
	/* A header has ended, before the line that ended it.  NULL: nobody is told. */
	void (*header_end)(void *arg, const struct mime_part *part);
	/* A boundary line.  NULL: BODY is told. */
	void (*boundary)(void *arg, struct slice piece, bool complete);
};

struct mime_walk;
/* RULES and EVENTS outlive it. */
struct mime_walk *mime_walk_new(
    const struct mime_walk_rules *rules, const struct mime_walk_events *events, void *arg);
void mime_walk_free(struct mime_walk *w); /* NULL is fine */

void mime_walk_field(struct mime_walk *w, struct slice field);
void mime_walk_end_header(struct mime_walk *w);
void mime_walk_line(struct mime_walk *w, struct slice piece, bool complete);
/* A field that no line came behind is told now. */
void mime_walk_end(struct mime_walk *w);
/* Within a header: does it say, so far, that its body's bytes are 7-bit ones? */
bool mime_walk_is_7bit(const struct mime_walk *w);

/* Is NAME one of the fields that say what a body is (Content-Type and its sisters, MIME-Version)?
 */
bool mime_is_mime_field(struct slice name);

/*
 * Content-Type's VALUE (RFC 2045 5.1), with comments and folds.  TYPE and SUBTYPE are slices of it,
 * empty when it is malformed.
 */
void mime_content_type(struct slice value, struct slice *type, struct slice *subtype);
/*
 * Appends the value of the parameter NAME of a field like Content-Type, without its quotes.  False
 * when there is none, or an empty one.  The first one counts.
 */
bool mime_parameter(struct slice value, const char *name, struct strbuf *out);

#endif

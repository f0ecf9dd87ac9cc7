// SPDX-License-Identifier: BSD-2-Clause
/*
 * Header lines and the addresses in them (RFC 5322 2.2, 3.2, 3.4).
 *
 * A *logical* header is one field with its continuation lines, line ends being LF or CRLF, the last
 * line end absent or present.  All of this is pure and never fails on foreign bytes: what is no
 * address is passed on as it was.
 */
#ifndef PC_MAIL_HEADER_H
#define PC_MAIL_HEADER_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

#define HEADER_NAME_MAX	     256
#define HEADER_ADDRESSES_MAX 10000 /* per header; the rest is left alone */
#define HEADER_COMMENT_DEPTH 100

/*
 * Splits "Name: value" into name and value (without the blanks after the colon and the last line
 * end; folds stay in).  Blanks between name and colon are allowed, as with the peer.  False when
 * this is no header: no colon, an empty name, bytes outside of 33-126 in it, or longer than
 * HEADER_NAME_MAX.
 */
bool header_split(struct slice line, struct slice *name, struct slice *value);
/* Does the first line of LINE start a header? */
bool header_is_header(struct slice line);
/* A continuation line: begins with a blank or a tab. */
bool header_is_continuation(struct slice line);

/* Appends VALUE with its line ends taken out (RFC 5322 2.2.3). */
void header_unfold(struct slice value, struct strbuf *out);
/*
 * Appends "Name: value" folded at blanks so that lines have at most 78 bytes where possible, with
 * LF between the lines and none at the end.
 */
void header_fold(struct slice name, struct slice value, struct strbuf *out);

enum header_address_class {
	HEADER_NO_ADDRESS,
	HEADER_SENDER, /* From, Sender, Reply-To, Resent-From, Errors-To, Return-Receipt-To, ... */
	HEADER_RECIPIENT /* To, Cc, Bcc, Resent-To, Resent-Cc, Resent-Bcc, Apparently-To */
};
/* Case is ignored.  *RESENT (may be NULL) tells a Resent- header. */
enum header_address_class header_address_class(struct slice name, bool *resent);

/*
 * One address of a list.  TEXT is the addr-spec as it stands in the value (a slice of it, without
 * <>, comments and blanks around it); INTERNAL is its internal form (mail/address.h), valid during
 * the call.  An address that cannot be taken apart, and the ones past the limits, are not reported.
 */
struct header_address {
	struct slice text;
	struct slice internal;
	bool in_angle; /* stood in <> */
	bool in_group; /* member of "name: a, b;" */
};
/* Return false to stop. */
typedef bool header_address_fn(const struct header_address *address, void *arg);

/*
 * Calls EACH for every address of an address list in order.  Commas in quoted strings, comments,
 * domain literals and display names do not separate; an old-style "addr (Full Name)" counts; so do
 * groups.  False when something was no address, or a limit was passed (the others were reported).
 */
bool header_each_address(struct slice value, header_address_fn *each, void *arg);

/*
 * How many bytes of VALUE the first TOKENS tokens take: words, quoted strings, domain literals,
 * special characters (comments do not count), without a part of an address behind the last comma;
 * all of it when there are no more.
 */
size_t header_address_extent(struct slice value, size_t tokens);

/*
 * Appends VALUE with each address replaced by what REWRITE appends to its OUT (internal form);
 * when REWRITE returns false the address stays as it is.  Everything else (names, comments, folds)
 * is left byte for byte.  An address that stays the same keeps its spelling.  True when something
 * was changed.
 */
typedef bool header_rewrite_fn(const struct header_address *address, struct strbuf *out, void *arg);
bool header_rewrite_addresses(
    struct slice value, header_rewrite_fn *rewrite, void *arg, struct strbuf *out);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Mail addresses in their two forms.
 *
 * The *external* form is RFC 5321's: a local part that is no dot-atom stands in quotes,
 * "joe smith"@example.com.  The *internal* form is what envelopes, tables and log lines hold: the
 * same without the quotes and backslashes, joe smith@example.com; its local part ends at the last
 * '@'.  The null sender is empty in both forms.
 *
 * Everything here is pure.  Output is appended to a buffer that the caller owns; on failure
 * nothing is appended.  No address that comes out of here holds a control character, so none can
 * end a line of a protocol, a queue file's record or a log.
 */
#ifndef PC_MAIL_ADDRESS_H
#define PC_MAIL_ADDRESS_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"

/*
 * RFC 5321 4.5.3.1 asks for 64 + 1 + 255 at least; the peer takes what fits into a line.  The
 * domain is held to its 255.
 */
#define ADDRESS_MAX	   1000
#define ADDRESS_DOMAIN_MAX 255

enum address_status {
	ADDRESS_OK,
	ADDRESS_SYNTAX,	  /* no address: unbalanced <> or quotes, blanks, two local parts, ... */
	ADDRESS_CONTROL,  /* holds a control character (NUL, CR, LF, DEL, ...) */
	ADDRESS_TOO_LONG, /* more than ADDRESS_MAX bytes, or a domain above ADDRESS_DOMAIN_MAX */
	ADDRESS_NON_ASCII /* 8-bit without ADDRESS_UTF8, or not valid UTF-8 with it */
};

enum address_flags {
	ADDRESS_STRICT = 1,	 /* <> are required, nothing but a path in them (RFC 5321 4.1.2) */
	ADDRESS_ALLOW_EMPTY = 2, /* "<>" is an address (MAIL FROM) */
	ADDRESS_UTF8 = 4,	 /* RFC 6531 */
	ADDRESS_NEED_DOMAIN = 8	 /* only "postmaster" may stand without a domain */
};

/*
 * Takes a reverse-path or forward-path off *REST and appends its internal form to OUT.  Blanks
 * before it are skipped; *REST goes on behind it (at a blank or the end).  Unless ADDRESS_STRICT an
 * address without <> is taken up to the next blank outside of quotes.  A source route (@a,@b:) is
 * dropped (RFC 5321 4.1.1.3).  On failure *REST is as it was.
 */
enum address_status address_take_path(struct slice *rest, unsigned flags, struct strbuf *out);

/* The whole of TEXT is one address in external form, without <>; appends the internal form. */
enum address_status address_internal(struct slice text, unsigned flags, struct strbuf *out);

/*
 * Appends the external form of an internal address: the local part is quoted where RFC 5321 needs
 * it (an empty one before a domain becomes "").  Control characters, which no parser of ours lets
 * through, become '?'.
 */
void address_external(struct slice internal, struct strbuf *out);

/*
 * info_log_address_format: appends the address as lines of the log have it, in external form, or in
 * internal form after address_log_internal(true).  That is said once, before there are threads.
 */
void address_logged(struct slice internal, struct strbuf *out);
void address_log_internal(bool internal);

/*
 * Splits an internal address at its last '@'.  Without one, all is local part and DOMAIN is
 * SLICE_NULL (ptr NULL); "user@" has an empty domain with ptr set.  False when there is no '@'.
 */
bool address_split(struct slice internal, struct slice *local, struct slice *domain);

/*
 * Splits the extension off a local part: "user+ext" with delimiters "+-" gives "user", "ext" and
 * '+'.  The first delimiter that is neither first nor last counts.  "owner-..." and "...-request"
 * are never split at '-', nor is "mailer-daemon", "double-bounce" or "postmaster" at all.
 * False: no extension, *USER is the whole.
 */
bool address_split_extension(struct slice local, const char *delimiters, struct slice *user,
    struct slice *extension, char *delimiter);

/* Equal addresses: the domain without regard to case, the local part with it. */
bool address_equal(struct slice a, struct slice b);

/* Same bytes, lower case (ASCII) throughout, as table keys have it. */
void address_fold(struct slice internal, struct strbuf *out);

#endif

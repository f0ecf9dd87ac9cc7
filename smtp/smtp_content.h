// SPDX-License-Identifier: BSD-2-Clause
/*
 * The message as one server gets it: header and body of the queue file with smtp_generic_maps,
 * smtp_header_checks and its sisters, long lines broken (smtp_line_length_limit), 8-bit text made
 * quoted-printable for a server without 8BITMIME; every line ends with CRLF and no other CR or LF
 * is left (what the queue file has of them inside a line was normalised at intake; here it is made
 * sure of again).
 */
#ifndef PC_SMTP_SMTP_CONTENT_H
#define PC_SMTP_SMTP_CONTENT_H

#include "smtp/smtp_session.h"

/* Before the jail: generic maps and checks. */
void smtp_content_prepare(const struct postfix_params *params);

/*
 * The envelope's address as this server gets it (smtp_generic_maps); INTERNAL form in and out.
 * False: a table failed (FAILURE: 4.3.0).
 */
bool smtp_content_address(const char *address, struct strbuf *out, struct smtp_failure *failure);

struct smtp_content_rules {
	bool to_7bit;	    /* 8-bit content is to be converted (RFC 6152) */
	bool dots;	    /* RFC 5321 4.5.2, for DATA: a leading dot is doubled; not for BDAT */
	const char *server; /* session->name, for failures; NULL: none is named */
};

enum smtp_content_result {
	SMTP_CONTENT_SENT,
	SMTP_CONTENT_LOST,    /* the stream has failed */
	SMTP_CONTENT_DAMAGED, /* the queue file: FAILURE (4.3.0); the transaction must be cut off */
	SMTP_CONTENT_REFUSED  /* by a table, or a check's action: FAILURE */
};

struct smtp_content;
/*
 * Opens the content of REQUEST in FD.  Never NULL.
 */
struct smtp_content *smtp_content_open(
    const struct delivery_request *request, int fd, const struct smtp_content_rules *rules);
void smtp_content_close(struct smtp_content *content);
/*
 * Appends about WANT bytes more of the message to OUT, whole lines (a line may be longer); *ENDED
 * after the last.  SENT or DAMAGED or REFUSED.  OUT's maximum is to be far above WANT: a line that
 * does not fit counts as damage.
 */
enum smtp_content_result smtp_content_next(struct smtp_content *content, size_t want,
    struct strbuf *out, bool *ended, struct smtp_failure *failure);
/* Is nothing changed on the way but line ends and dots (no map, no check, no conversion)? */
bool smtp_content_is_plain(const struct smtp_content *content);

#endif

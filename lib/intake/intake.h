// SPDX-License-Identifier: BSD-2-Clause
/*
 * The one way in for mail: smtpd, pickup and bounce bring every message through here.
 *
 * An intake takes an envelope and content lines, completes the header, writes a Postfix queue file
 * (queue/queue_file.h) into an unnamed file of the spool's file system, offers it to qmgr
 * (queue/offer.h), and returns success only when the message survives a power cut: every delivery
 * is durable, or the file is linked into incoming/ and both are synced (doc/QUEUE.md).
 *
 * It works for the role of $cleanup_service_name: its parameters count, and its lines are logged
 * under its name ("ID: message-id=<...>").
 *
 * Limits: header_size_limit per header line, 10 MiB for the whole header block, message_size_limit,
 * hopcount_limit, line_length_limit for lines in the queue file (longer ones become fragments).
 *
 * Errors: a function that returns false has filled in WHY and the intake has failed for good: all
 * further calls return false with the same reason.  The reasons, as Postfix's cleanup gives them:
 *
 *	4.3.0 queue file write error (a full disk as well)
 *	5.3.4 message file too big		5.4.0 too many hops
 *	5.3.4 message header too big		5.1.0 no recipients specified
 *	whatever REJECT in header_checks and its sisters says
 *
 * intake_reply() makes an SMTP reply of them.
 *
 * An intake belongs to one thread; a service is shared by all threads of a process.
 */
#ifndef PC_INTAKE_INTAKE_H
#define PC_INTAKE_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"
#include "base/slice.h"
#include "conf/postfix_conf.h"
#include "sys/sandbox.h"

struct intake_service;

/*
 * What is not done to a message (receive_override_options); bits.  Notices of our own are
 * INTAKE_INTERNAL: their addresses are mapped, and nothing else.
 */
enum intake_override {
	INTAKE_NO_MAPPINGS = 1, /* no canonical maps, masquerading, aliases, automatic BCC */
	INTAKE_NO_CHECKS = 2,	/* no header_checks, body_checks and the like */
	INTAKE_NO_BCC = 4,	/* no automatic BCC */
	INTAKE_INTERNAL = INTAKE_NO_CHECKS | INTAKE_NO_BCC
};

/* Of the words of receive_override_options; an unknown one is a warning. */
unsigned intake_overrides(const char *receive_override_options);

struct intake_service_config {
	const struct postfix_params *params; /* of the cleanup role; outlives the service */
	const char *log_name;		     /* "postfix/cleanup" */
	const char *program;		     /* who offers: "smtpd", for qmgr's log */
	int proc_fd;			     /* /proc/self/fd, taken before the jail */
	/* Numbers that are unique in the suite, for queue ids. */
	uint64_t (*next_number)(void *arg);
	void *next_number_arg;
};

/*
 * Before the jail: opens incoming/ and the tables.  NULL with WHY when the spool is not there.  The
 * connection to qmgr is made at the first offer.
 */
struct intake_service *intake_service_new(
    const struct intake_service_config *config, struct reason *why);
void intake_service_free(struct intake_service *service);
/*
 * What the walls of a process with this service must allow in the incoming directory: to leave
 * files there.  Only where unnamed files are not to be had it must be able to remove them, too.
 */
enum sandbox_access intake_spool_access(const struct intake_service *service);

/*
 * For daemons that look at tables only here, before a message: an edited table applies to it.  A
 * table that cannot be opened anew ends the process after its work (SIGTERM to itself, once).  The
 * walls have to allow reading in table_directory().
 */
void intake_refresh_tables(void);

/*
 * Where a message comes from.  Texts may be NULL; all are copied.  Control characters in them
 * become
 * '?': they may be a stranger's words.
 */
/*
 * What a filter said of where it had the message from (XFORWARD); NULL: not said.  Without
 * CLIENT_NAME nothing but IDENT counts.
 */
struct intake_logged {
	const char *client_name, *client_address, *client_port, *helo, *protocol;
	const char *origin; /* "NAME[ADDRESS]" */
	const char *ident;  /* the queue id that it had there */
};

struct intake_origin {
	const char *client_name, *client_address, *client_port, *reverse_client_name;
	const char *server_address, *server_port;
	const char *helo, *protocol; /* "mail.example.com", "ESMTP" */
	const char *sasl_method, *sasl_username, *sasl_sender;
	const char *origin; /* "local" or "smtp": log_message_origin */
	/* Takes the place of what it names in the log_* attributes; NULL: nothing. */
	const struct intake_logged *logged;
	/* Headers are rewritten as local mail's: local_header_rewrite_clients matched. */
	bool local_rewrite;
	/* Also fill in From: and Date: (mail submitted on this host, or
	 * always_add_missing_headers). */
	bool add_missing_headers;
	bool smtputf8;
	bool require_tls; /* REQUIRETLS (RFC 8689) */
	/* Delimiters of VERP, or NULL; without effect where the sender is empty. */
	const char *verp;
	/* Spooled at once: the submitter does not wait for a delivery anyway (commands). */
	bool never_wait;
	unsigned overrides;    /* enum intake_override */
	const char *full_name; /* for a missing From: */
	int64_t arrival_us;    /* wall clock; 0: now */
};

struct intake;

/*
 * A new message with a new queue id.  SENDER is in internal form, already rewritten
 * (rewrite/rewrite.h), empty for the null sender.  NULL with WHY.
 */
struct intake *intake_begin(struct intake_service *service, const struct intake_origin *origin,
    struct slice sender, struct reason *why);
/* Abandons a message that was not committed: "ID: removed (canceled)".  NULL is fine. */
void intake_free(struct intake *in);
const char *intake_id(const struct intake *in);

/* What MAIL and access actions say; each at most once, before the content. */
void intake_set_envelope_id(struct intake *in, struct slice envid); /* DSN ENVID, decoded */
void intake_set_ret(struct intake *in, unsigned ret);		    /* enum dsn_ret */
void intake_set_encoding(struct intake *in, const char *encoding);  /* "7bit", "8bit" */
void intake_set_hold(struct intake *in);    /* into hold/, never delivered at once */
void intake_set_discard(struct intake *in); /* committed, and forgotten (DISCARD) */
void intake_set_attribute(struct intake *in, const char *name, struct slice value);
/*
 * What access actions and header_checks ask for, at any time before the commit.  The last filter
 * ("transport:nexthop": content_filter, FILTER) and the last redirect (an address in internal form,
 * instead of all recipients) count.  An empty one takes back what was set.
 */
void intake_set_filter(struct intake *in, const char *transport_nexthop);
void intake_set_redirect(struct intake *in, struct slice address);
/*
 * One more recipient (internal form), of whose deliveries nobody is told.  Canonical and alias maps
 * apply.  intake_recipient_count counts it.
 */
bool intake_add_bcc(struct intake *in, struct slice address, struct reason *why);

struct intake_recipient {
	struct slice address;	/* internal form, rewritten */
	struct slice original;	/* as given, before rewriting; empty: same as ADDRESS */
	struct slice dsn_orcpt; /* "rfc822;user@example.com"; empty: made from ORIGINAL */
	unsigned notify;	/* enum dsn_notify bits; 0: the default */
};
/*
 * The same recipient (address without regard to case, original, ORCPT and NOTIFY) a second time is
 * a success that adds nothing, as far as duplicate_filter_limit looks back.
 */
bool intake_recipient(struct intake *in, const struct intake_recipient *rcpt, struct reason *why);
unsigned intake_recipient_count(const struct intake *in);

/* A whole header, without a line end, put before the content (Received:, PREPEND). */
bool intake_prepend(struct intake *in, struct slice header, struct reason *why);

/*
 * The next line of content without its line end; COMPLETE is false for a part of a long line whose
 * rest follows.  Dots are unstuffed already.  The first line that is no header ends the header.
 */
bool intake_line(struct intake *in, struct slice line, bool complete, struct reason *why);
/* Bytes of content so far, with CRLF line ends counted as in SIZE. */
int64_t intake_size(const struct intake *in);

/*
 * The end of the content.  True: the message is ours to deliver, whatever happens now.  False: it
 * is not, nothing of it is left, and nobody has seen it.  Waits for syncs and, at most
 * postcote_deliver_time_limit_ms, for delivery.
 */
bool intake_commit(struct intake *in, struct reason *why);

/*
 * "550 5.7.1 text" or "451 4.3.0 Error: queue file write error": how SMTP says WHY.  TEXT is what
 * comes behind code and enhanced code; the code is returned.
 */
unsigned intake_reply(const struct reason *why, char text[600]);

#endif

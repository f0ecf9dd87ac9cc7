// SPDX-License-Identifier: BSD-2-Clause
/*
 * How qmgr asks the bounce service for a notice to a message's sender (RFC 3464), and how the
 * service is asked.
 *
 * qmgr connects to private/bounce ($bounce_service_name) and keeps the connection:
 *
 *   qmgr -> bounce   NOTICE   number, the message, its failed recipients with reasons, and a
 *                             read-only descriptor of the original
 *   bounce -> qmgr   NOTED    number, ok and the id of the notice, or a reason
 *
 * ok means durable: the notice is acknowledged (offer.h), or none is due.  qmgr removes the
 * original, or marks the recipients done, only after that.  The service logs "ID: sender
 * non-delivery notification: ID2" before it answers.  qmgr asks for null senders when
 * notify_classes has 2bounce, as the postmaster is told then, and never about what was for him:
 * who is left to tell is nobody.  Recipients that asked for no notice of that kind are in a request
 * when the postmaster gets a copy; the service leaves them out of what the sender gets.
 */
#ifndef PC_DELIVER_NOTICE_H
#define PC_DELIVER_NOTICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"
#include "ipc/channel.h"
#include "queue/queue_id.h"

#define NOTICE_MAX_RECIPIENTS 1000

enum notice_kind {
	NOTICE_FAILED,	/* undeliverable; expired ones too */
	NOTICE_DELAYED, /* delay_warning_time */
	NOTICE_SENT,	/* requested success reports (DSN) */
	NOTICE_TRACE	/* what an attempt, or a probe, came to (sendmail -v, -bv) */
};

struct notice_recipient {
	const char *action;	/* RFC 3464 2.3.3: "failed", "delayed", "delivered", ... */
	const char *address;	/* external form */
	const char *original;	/* "" when the same */
	const char *orcpt;	/* "rfc822;...", or "" */
	unsigned notify;	/* enum dsn_notify */
	struct reason why;	/* 5.x.y (expired ones: 4.x.y of the last attempt), 4.x.y, 2.x.y */
	const char *remote_mta; /* "" */
	const char *diagnostic; /* the remote's words, for Diagnostic-Code: smtp; "" */
};

struct notice_request {
	uint64_t number;
	enum notice_kind kind;
	char id[QUEUE_ID_SIZE]; /* of the original */
	const char *sender;	/* external form; "" only of a failure */
	const char *to;		/* what VERP makes of it; "" or NULL: nothing */
	const char *envelope_id;
	unsigned ret; /* enum dsn_ret */
	unsigned sendopts;
	const char *encoding; /* "7bit", "8bit" or "" */
	int64_t arrival_us;
	off_t size, data_offset;
	bool expired; /* the recipients were still deferred when the lifetime was over */
	struct notice_recipient *recipients;
	size_t recipient_count;
};

struct notice_answer {
	uint64_t number;
	bool ok;
	char notice_id[QUEUE_ID_SIZE]; /* "" when none was due */
	struct reason why;	       /* when not ok: 4.x.y */
};

/* Where the notice goes, in external form. */
static inline const char *notice_address(const struct notice_request *request)
{
	return request->to && *request->to ? request->to : request->sender;
}

void notice_request_write(struct msg_out *m, const struct notice_request *request);
bool notice_request_parse(const struct msg *m, struct arena *arena, struct notice_request *request);
void notice_answer_write(struct msg_out *m, const struct notice_answer *answer);
bool notice_answer_parse(const struct msg *m, struct notice_answer *answer);

/*
 * The service's side: serves one connection of qmgr's until it ends (blocks the calling thread;
 * takes FD over).  SERVE runs in a thread of its own for each request, with a descriptor that the
 * caller closes afterwards; it fills in notice_id or WHY and returns ok.
 */
struct notice_class {
	const char *name; /* "bounce" */
	bool (*serve)(const struct notice_request *request, int fd, char notice_id[QUEUE_ID_SIZE],
	    struct reason *why);
	void (*run)(void (*fn)(void *), void *arg); /* pool_run */
};
void notice_serve(int fd, const struct notice_class *service);

#endif

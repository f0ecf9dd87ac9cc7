// SPDX-License-Identifier: BSD-2-Clause
/*
 * What authd and a worker process say to each other: records of ipc/msg.h over an ipc/channel.h,
 * one request at a time.
 *
 *	authd		ASK	id, op, which block, subject..., password
 *	worker		NAMES	name (repeated): any number of them before the answer to WORKER_EACH
 *	worker		ANSWER	id, result, last, what was found
 *
 * Neither side trusts the other: authd listens to strangers, and a worker runs modules that the
 * administrator chose and nobody here has read.  A record that breaks a rule of this header is
 * refused as a whole.  Record and answer have at most WORKER_RECORD_MAX bytes of values.
 */
#ifndef PC_AUTHD_WORKER_PROTO_H
#define PC_AUTHD_WORKER_PROTO_H

#include "authd/database.h"
#include "ipc/msg.h"

#define WORKER_ASK	  "ASK"
#define WORKER_NAMES	  "NAMES"
#define WORKER_ANSWER	  "ANSWER"
#define WORKER_RECORD_MAX (128 * 1024)
#define WORKER_PAIRS_MAX  200 /* of one kind */
#define WORKER_PLACE_MAX  1000

enum worker_op { WORKER_FIND_PASSWORD, WORKER_VERIFY, WORKER_FIND_USER, WORKER_EACH, WORKER_OPS };

struct worker_request {
	uint64_t id;
	enum worker_op op;
	bool is_userdb;
	unsigned place; /* of the block among its kind */
	/* What the block is: another generation's configuration may have another one there. */
	const char *driver, *args;
	bool logged_in;
	struct subject subject; /* empty for WORKER_EACH */
	struct slice password;	/* WORKER_VERIFY */
};

struct worker_answer {
	uint64_t id;
	enum db_result result;
	bool last; /* the worker ends: its connection is not to be used again */
	const char *user, *password, *scheme;
	struct pairs fields; /* of the entry */
	struct pairs answer; /* of the subject: WORKER_FIND_USER */
};

/* REQUEST->password stays in M's buffer until that is wiped. */
void worker_request_write(struct msg_out *m, const struct worker_request *request);
/* Texts go to ARENA, which becomes the subject's; the password stays in M's bytes. */
bool worker_request_read(const struct msg *m, struct arena *arena, struct worker_request *request);
void worker_answer_write(struct msg_out *m, const struct worker_answer *answer);
bool worker_answer_read(const struct msg *m, struct arena *arena, struct worker_answer *answer);

#endif

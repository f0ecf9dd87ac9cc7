// SPDX-License-Identifier: BSD-2-Clause
/*
 * The mailbox half.  Front: takes logins from the login half, and passes them on.  Parent: asks
 * authd who that is.  Worker: one per uid, runs the sessions; it has no network.
 */
#ifndef PC_POP3D_POP3_H
#define PC_POP3D_POP3_H

#include "base/arena.h"
#include "server/server.h"
#include "server/uid_workers.h"
#include "store/store.h"

#define POP3_IDLE_MS (600 * INT64_C(1000))
#define POP3_MAX_BAD 20

/* From the worker to the front, over the session's control socket. */
struct pop3_answer {
	uint32_t ok; /* 1: the client is the worker's now */
	int32_t pid;
	char text[400];
};

/* The evaluated settings of protocol pop3; made before the parent is forked. */
extern const struct dovecot_settings *pop3_settings;

extern const struct session_class pop3_front_class;
extern const struct uid_workers_class pop3_workers;

/* ---- sessions in a worker ---- */

struct pop3_message {
	size_t index; /* in the box */
	bool deleted, seen;
};

struct pop3 {
	struct session session; /* first */
	struct arena arena;
	const char *user;
	const char *log_name; /* mail_log_prefix: "pop3(user)<pid><session>" */
	char session_id[64];
	char rip[NET_ADDR_TEXT], lip[NET_ADDR_TEXT];
	struct slice input; /* what came with the login and was not read yet */
	struct strbuf line; /* one that began there */
	struct store_box *box;
	struct pop3_message *messages;
	size_t count;
	const char **uidls;    /* by index in the box; NULL: not made */
	unsigned deleted_flag; /* the keyword of pop3_deleted_flag in this mailbox; 0: none yet */
	uint64_t total;	       /* virtual size at login */
	size_t last_seen;      /* message number, for LAST */
	unsigned bad_commands;
	int64_t idle_since; /* clock_ms */
	/* for pop3_logout_format */
	uint64_t top_bytes, retr_bytes, deleted_bytes;
	unsigned top_count, retr_count;
	size_t deleted_count;
	uint64_t bytes_in, bytes_out;
	bool quit, expunged, listed_uidls;
	bool kicked; /* set by the loop's thread before it wakes the session */
	struct pop3_control *control;
	const char *end; /* for the log */
};

extern const struct session_class pop3_session_class;

/* pop3_open.c: the location of the user's INBOX; false with a text for the log. */
bool pop3_location(struct store_location *location, const char *user, const char *home,
    const char *mail, struct reason *why);
/* What LIST says of the message at INDEX of the box. */
uint64_t pop3_size(const struct pop3 *p, size_t index);
/* Opens it, sizes and all; what goes wrong is told to the client and logged. */
bool pop3_open(struct pop3 *p, const struct store_location *location);

/* pop3_commands.c: runs one line.  False: the session is over. */
bool pop3_command(struct pop3 *p, struct slice line);
/* What is to happen at QUIT: removes what was marked.  False when something could not be removed.
 */
bool pop3_expunge(struct pop3 *p);
/* Marks retrieved messages as seen, whatever ended the session. */
void pop3_mark_seen(struct pop3 *p);

/* pop3_message.c: sends a message, its header and LINES lines of its body (UINT64_MAX: all).  The
 * bytes sent, without the final dot; 0 when it could not be opened (the client was told). */
uint64_t pop3_send_message(struct pop3 *p, size_t number, uint64_t lines, const char *reply);

/* pop3_control.c: the worker's end of the session's control socket; FD is taken. */
void pop3_control_begin(struct pop3 *p, int fd);
void pop3_control_end(struct pop3 *p);

/* pop3_uidl.c: false when there is none, which is logged. */
bool pop3_uidl(struct pop3 *p, size_t number, struct strbuf *out);

/* pop3_format.c: pop3_logout_format; mail_log_prefix as a name for log_as, in P's arena. */
void pop3_statistics(struct pop3 *p, struct strbuf *out);
const char *pop3_log_name(struct pop3 *p);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* What the files of lib/intake share: one message, and the completion of its header. */
#ifndef PC_INTAKE_INTAKE_PRIVATE_H
#define PC_INTAKE_INTAKE_PRIVATE_H

#include "base/map.h"
#include "base/strbuf.h"
#include "conf/postfix_conf.h"
#include "intake/alias.h"
#include "intake/canonical.h"
#include "intake/checks.h"
#include "intake/intake.h"
#include "queue/offer.h"
#include "queue/queue_file.h"
#include "queue/queue_id.h"
#include "rewrite/rewrite.h"
#include "sys/file.h"

/* All header lines of a message together; a field has header_size_limit. */
#define INTAKE_HEADER_BLOCK_MAX (10 * 1024 * 1024)
#define INTAKE_WRITE_ERROR	"queue file write error"

struct intake_service {
	struct intake_service_config config;
	char *log_name;
	struct queue_id_rules id_rules;
	struct dirsync *incoming;
	struct offer_client *offers;
	struct rewriter *rewriter;
	struct address_rules *rules;
	struct canonical *canonical;
	struct aliases *aliases;
	struct checks *checks;
	struct tables *sender_bcc, *recipient_bcc;
	/* Are addresses in headers of other clients completed, and so mapped, too? */
	bool rewrites_remote;
};

enum intake_stage { INTAKE_ENVELOPE, INTAKE_HEADER, INTAKE_BODY, INTAKE_FAILED };

/* Headers whose absence is mended. */
enum intake_seen {
	SEEN_FROM = 1,
	SEEN_DATE = 2,
	SEEN_MESSAGE_ID = 4,
	SEEN_RECIPIENT = 8,
	SEEN_RESENT = 16,
	SEEN_RESENT_FROM = 32,
	SEEN_RESENT_DATE = 64,
	SEEN_RESENT_MESSAGE_ID = 128,
	SEEN_ENCODING = 256
};

struct intake {
	struct intake_service *service;
	enum intake_stage state;
	struct reason failure; /* of INTAKE_FAILED */
	char id[QUEUE_ID_SIZE];
	struct tmpfile file;
	struct queue_writer writer;
	int64_t arrival_us;
	bool local_rewrite, add_missing, smtputf8, require_tls, never_wait, hold;
	unsigned overrides; /* enum intake_override */
	char *sender, *full_name;
	/* For the log; NULL where there is none. */
	char *last_recipient, *origin, *protocol, *helo;
	struct strbuf filter, redirect;
	struct strbuf bccs; /* to go behind the content, each with a NUL behind it */
	unsigned recipient_count;
	struct map recipients;	 /* those that were given, for duplicates */
	struct strbuf prepended; /* headers, each with its LF */
	struct strbuf header;	 /* the logical header being gathered, LF between its lines */
	struct mime_walk_rules mime_rules;
	struct mime_walk *walk;	   /* through the body, or NULL */
	bool checks_over;	   /* an action said so */
	bool given_out, committed; /* by intake_begin; for good */
	bool discard;		   /* accepted, and forgotten */
	bool is_8bit, is_7bit;	   /* as the client says, or Content-Transfer-Encoding */
	bool filter_late;	   /* the filter was set when the envelope was written */
	bool written_open;	   /* the line that the walk is writing */
	bool line_open;		   /* the last piece given was not the end of its line */
	bool began;		   /* a first line came that is no mailbox's separator */
	bool header_cut; /* more of this header than header_size_limit: the rest is dropped */
	unsigned seen;	 /* enum intake_seen */
	unsigned hops;
	size_t header_bytes;
	int64_t size;
	char *message_id;
};

/* Fills in WHY and the sticky failure; returns false. */
bool intake_fail(struct intake *in, struct reason *why, const char *dsn, const char *text);
/* Control characters become '?'. */
void intake_clean(struct strbuf *text);
/* The writer's errors stick; they are looked at once per line given. */
bool intake_check_writer(struct intake *in, struct reason *why);
/*
 * The sender's address in its canonical form goes to OUT; and the copy that sender_bcc_maps wants,
 * once the envelope has begun.
 */
bool intake_map_sender(
    struct intake *in, struct slice sender, struct strbuf *out, struct reason *why);
bool intake_copy_sender(struct intake *in, struct reason *why);
/* Blind copies that were asked for within the content. */
bool intake_put_late_bccs(struct intake *in, struct reason *why);
/* What the envelope's end has, and the mark of it. */
void intake_end_envelope(struct intake *in);
/* The envelope has ended; headers that were prepended go first. */
bool intake_begin_content(struct intake *in, struct reason *why);

/* intake_action.c: what a table says of HEADER (its lines separated by LF), or of a body's line. */
enum intake_context { INTAKE_HEADER_CONTEXT, INTAKE_BODY_CONTEXT, INTAKE_ANY_CONTEXT };
enum intake_found { INTAKE_KEEP, INTAKE_DROP, INTAKE_REPLACE };
/* A refusal makes the intake fail. */
enum intake_found intake_check(struct intake *in, struct tables *tables,
    enum intake_context context, struct slice content, struct strbuf *replacement);
/* True, and the intake has failed, when LINE has bytes of message_reject_characters. */
bool intake_refuse_bytes(struct intake *in, struct slice line);
/* "ID: ACTION: WHAT CONTENT from ORIGIN; from=<> to=<> ...: TEXT"; SESSION: with proto and helo. */
void intake_log_found(struct intake *in, const char *action, const char *what, struct slice content,
    bool session, struct slice text);

/* intake_body.c */
/* Logs and refuses TEXT for being against a rule of MIME. */
void intake_mime_error(struct intake *in, const char *error, struct slice text);
void intake_begin_walk(struct intake *in);
void intake_body_line(struct intake *in, struct slice line, bool complete);
/* The last line is ended, the last header looked at. */
void intake_end_body(struct intake *in);
/* A line of its own before the present one. */
void intake_put_text(struct intake *in, struct slice text);

/* The header in in->header is complete: counted, checked, rewritten, dropped or written. */
bool intake_header_complete(struct intake *in, struct reason *why);
/* No header follows: missing ones are added, the message id is logged. */
bool intake_header_end(struct intake *in, struct reason *why);
/* "ID: [resent-]message-id=..." */
void intake_log_message_id(struct intake *in, const char *prefix, const char *id);
/* Writes TEXT, lines separated by LF, into the content. */
void intake_write_lines(struct intake *in, struct slice text);

#endif

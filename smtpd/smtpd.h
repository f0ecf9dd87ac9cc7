// SPDX-License-Identifier: BSD-2-Clause
/*
 * The SMTP server: what its files share.
 *
 * One struct smtpd_server per process, made before the jail and immutable afterwards; one struct
 * smtpd per connection, touched by one thread at a time.  A mail transaction is one object that is
 * freed as a whole (RSET, EHLO, STARTTLS, a refusal, the end of DATA): what is not there cannot be
 * left over.
 */
#ifndef PC_SMTPD_SMTPD_H
#define PC_SMTPD_SMTPD_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/auth_service.h"
#include "base/arena.h"
#include "base/reason.h"
#include "base/strbuf.h"
#include "conf/postfix_conf.h"
#include "intake/intake.h"
#include "intake/transcript.h"
#include "net/addr.h"
#include "net/tls.h"
#include "rewrite/resolve.h"
#include "rewrite/rewrite.h"
#include "server/anvil.h"
#include "server/server.h"
#include "server/session.h"
#include "smtpd/chunk_lines.h"
#include "smtpd/restrict.h"
#include "table/match_list.h"
#include "table/table.h"

enum smtpd_keyword {
	KEYWORD_PIPELINING = 1,
	KEYWORD_SIZE = 2,
	KEYWORD_VRFY = 4,
	KEYWORD_STARTTLS = 8,
	KEYWORD_AUTH = 16,
	KEYWORD_ENHANCED = 32,
	KEYWORD_8BITMIME = 64,
	KEYWORD_ETRN = 128,
	KEYWORD_DSN = 256,
	KEYWORD_SMTPUTF8 = 512,
	KEYWORD_CHUNKING = 1024,
	KEYWORD_XVERP = 2048,
	KEYWORD_XCLIENT = 4096,
	KEYWORD_XFORWARD = 8192,
	KEYWORD_REQUIRETLS = 16384,
	KEYWORD_SILENT = 32768 /* "silent-discard": that is not logged */
};

struct smtpd_server {
	const struct server_context *ctx;
	const struct postfix_params *params;
	struct resolver *resolver;
	struct rewriter *rewriter;
	struct restrictions *restrictions;
	struct intake_service *intake;
	struct tls_context *tls;   /* NULL: no TLS here */
	struct auth_service *auth; /* NULL: no SASL here */
	struct match_list *forbidden_commands;
	struct match_list *bare_newline_exclusions;
	struct match_list *xclient_hosts, *xforward_hosts, *debug_peers, *verp_clients;
	struct match_list *sasl_filter;	    /* smtpd_sasl_mechanism_filter */
	struct match_list *sasl_exceptions; /* smtpd_sasl_exceptions_networks */
	struct tables *discard_maps;	    /* smtpd_discard_ehlo_keyword_address_maps */
	struct tables *command_filter;	    /* smtpd_command_filter */
	struct match_list *noop_commands;
	struct match_list *fast_flush_domains;
	bool tls_wanted;   /* STARTTLS exists, though TLS may have failed to open */
	bool tls_required; /* smtpd_tls_security_level = encrypt */
	bool tls_asks_clients, tls_requires_clients; /* for certificates */
	unsigned notified; /* enum transcript_class: what the postmaster hears of */
	size_t line_max;   /* line_length_limit, as far as a stream goes */
	int spool_fd;	   /* incoming/, for the free space */
	enum {
		BARE_NEWLINE_NO,
		BARE_NEWLINE_NORMALIZE,
		BARE_NEWLINE_NOTE,
		BARE_NEWLINE_REJECT
	} bare_newline;
};
extern struct smtpd_server smtpd_server;

struct smtpd_counter {
	unsigned ok, total;
};

#define SMTPD_COMMANDS_MAX 24 /* rows of smtpd_commands.c */

struct smtpd_transaction {
	struct arena arena;
	struct slice sender; /* as given, internal form; ptr is never NULL */
	struct slice sender_rewritten;
	const char *sasl_sender;	     /* AUTH=, or NULL */
	const char *encoding;		     /* "7bit", "8bit", or NULL */
	uint64_t size;			     /* SIZE=, or 0 */
	unsigned ret;			     /* RET=, enum dsn_ret; 0: none */
	const char *envid;		     /* ENVID=, decoded, or NULL */
	bool smtputf8;			     /* RFC 6531 */
	const char *verp;		     /* delimiters of XVERP, or NULL */
	unsigned recipient_count, overshoot; /* accepted; refused only for their number */
	struct slice only_recipient;	     /* of the first one, for Received: */
	struct intake *intake;		     /* from the first accepted recipient on */
	struct restrict_findings findings;
	int64_t arrival_us;
	bool refused; /* content could not be kept, see WHY: the rest is read and dropped */
	struct reason why;
	struct chunk_lines chunks; /* of BDAT */
};

/* See smtpd_bdat.c. */
enum smtpd_bdat { BDAT_NONE, BDAT_OPEN, BDAT_FAILED };

struct smtpd {
	struct session session; /* first */
	/* Limits and deadlines of this session: smtpd_server.params, or those under stress. */
	const struct postfix_params *params;
	struct arena arena;	   /* of the session: names, login */
	struct arena client_arena; /* who the client is, and what was found out at CONNECT */
	struct arena helo_arena;   /* what the last HELO said, and what was found out about it */
	char client_address[NET_ADDR_TEXT];
	char server_address[NET_ADDR_TEXT];
	const char *client_name, *reverse_name;
	char *name_addr; /* "NAME[ADDRESS]" as logs have it */
	/* The name is "unknown" because a name server did not answer. */
	bool client_name_failed, reverse_name_failed;
	bool may_xclient, may_xforward, may_xverp;
	bool debugged;			   /* debug_peer_list: its dialogue is logged */
	bool unlimited;			   /* no limits of smtpd_limits.h */
	struct anvil_client anvil;	   /* the connection, as it is counted */
	struct smtpd_forwarded *forwarded; /* what XFORWARD said of the next message, or NULL */
	const char *helo;
	bool esmtp, tls_wrapper, bare_lf_seen, closing, denied;
	bool pipelined;	     /* this command came with input that should have waited */
	bool pipelining_log; /* that was logged */
	bool in_tarpit;	     /* the next command is read when the deadline has passed */
	const char *sasl_method, *sasl_username;
	struct smtpd_transaction *transaction;
	/* Of CONNECT; with HELO's.  No action on mail is among them: only deferrals. */
	struct restrict_findings connect_findings, findings;
	unsigned errors, junk;
	const char *where;  /* last command, for "lost connection after ..."; NULL: tell nobody */
	int64_t data_bytes; /* of the content of an unfinished message; -1: none */
	enum smtpd_bdat bdat;
	uint64_t bdat_bytes;  /* of all its chunks, kept or not */
	unsigned hidden;      /* keywords, see smtpd_keywords.h */
	bool hidden_is_known; /* else the client's address is looked up when it is asked for */
	struct smtpd_counter counters[SMTPD_COMMANDS_MAX];
	struct transcript transcript; /* when somebody is to be told what was wrong */
};

static inline struct smtpd *smtpd_of(struct session *session)
{
	return (struct smtpd *)(void *)session;
}

enum session_next smtpd_serve(struct session *session, enum session_wake why);
void smtpd_close(struct session *session);
/* The client is known, or is another one (XCLIENT): limits, restrictions, and the greeting. */
void smtpd_welcome(struct smtpd *s);

/*
 * Reads and runs the next command, which has to be there in part at least; waits for its rest.
 * Afterwards the session may be closing, or its stream at an end.
 */
void smtpd_run_command(struct smtpd *s);
/* Has the client made too many errors?  Tells it, and the log, once. */
bool smtpd_is_over_limits(struct smtpd *s);

/* Says why the client is gone, unless the end was ours or it has all that it waited for. */
void smtpd_log_connection_end(struct smtpd *s);
void smtpd_log_disconnect(const struct smtpd *s);
/*
 * Logs TEXT, one or more lines that were read ('<') or written ('>'), if the client is in
 * debug_peer_list, and keeps them for the postmaster; never what may be a password.
 */
void smtpd_log_dialogue(struct smtpd *s, char direction, struct slice text);
/* "ID: reject: WHERE from NAME: TEXT; from=<...> to=<...> proto=..." */
void smtpd_log_reject(const struct smtpd *s, const char *where, const char *text);

/* ---- notify_classes: smtpd_notify.c ---- */

/* Marks the session for what a reply of ours, or a refusal of the restrictions', says of it. */
void smtpd_notify_of_reply(struct smtpd *s, unsigned code, const char *dsn, struct slice text);
void smtpd_notify_of_verdict(struct smtpd *s, const char *dsn);
/* Sends the transcript if it has to be, in another thread, and forgets it. */
void smtpd_notify_at_end(struct smtpd *s);

/* Is the client one of smtpd_forbid_bare_newline_exclusions? */
bool smtpd_may_send_bare_newline(const struct smtpd *s);
/* Log line and reply; the session goes on unless the reply's code says otherwise. */
void smtpd_refuse_bare_newline(struct smtpd *s, const char *where);

/* Until when the client's next line, or part of one, is waited for (smtpd_timeout). */
void smtpd_set_deadline(struct smtpd *s);
/* A reply; DSN may be NULL (none).  A code of 400 or more counts as an error of the client. */
void smtpd_reply(struct smtpd *s, unsigned code, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The reply of a refusal, already logged by the engine. */
void smtpd_reply_verdict(struct smtpd *s, const struct restrict_verdict *verdict);
/* A line of a multi-line reply that is not the last. */
void smtpd_reply_more(struct smtpd *s, unsigned code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Judges a stage with all facts known; ADDRESS is the recipient's (or VRFY's), or SLICE_NULL. */
bool smtpd_check(struct smtpd *s, enum restrict_stage stage, struct slice address,
    struct restrict_verdict *verdict);
/* ETRN for a site. */
bool smtpd_check_etrn(struct smtpd *s, const char *site, struct restrict_verdict *verdict);
/* The same for a stage that several commands have; COMMAND as the log calls it, or NULL. */
bool smtpd_check_command(struct smtpd *s, enum restrict_stage stage, const char *command,
    struct restrict_verdict *verdict);

/*
 * The rest of a line that is too long, read up to its end so that nothing of it is taken for a
 * command, and so that the client sees the refusal.  Who goes on for ever is left.  False when the
 * connection is gone.
 */
bool smtpd_skip_line(struct smtpd *s);

void smtpd_transaction_end(struct smtpd *s);
/* What was found at CONNECT holds for the whole session. */
void smtpd_keep_connect_findings(struct smtpd *s);
/* What is known before HELO stays, and the leave to pipeline, nothing else. */
void smtpd_session_reset(struct smtpd *s);
/* Forgets the last HELO with all that followed from it. */
void smtpd_helo_reset(struct smtpd *s);
/* Control characters of foreign text, and those of SET (may be ""), become '?'. */
void smtpd_neuter(char *text, const char *set);
const char *smtpd_queue_id(const struct smtpd *s); /* NULL: none yet */
const char *smtpd_protocol(const struct smtpd *s); /* "ESMTPSA" and its sisters */

/* Names of the client, by DNS as smtpd_peername_lookup says; never fails. */
void smtpd_peer_lookup(struct smtpd *s);
/* What whoever made the connection may do on behalf of others, whoever it then speaks for. */
void smtpd_peer_authorize(struct smtpd *s);
/* Texts of name and address, and what they may do. */
void smtpd_peer_describe(struct smtpd *s);
/* Handshake and its log lines; false: the connection is over. */
bool smtpd_tls_start(struct smtpd *s);
/* Sets the members of smtpd_server that are about TLS. */
void smtpd_tls_open(const struct server_context *ctx);
void smtpd_tls_facts(const struct smtpd *s, struct restrict_facts *facts);
/* What Received: says of the connection, each line with its LF in front. */
void smtpd_tls_received(const struct smtpd *s, struct strbuf *out);

/* Is AUTH to be offered and taken in this state of the session? */
bool smtpd_auth_allowed(const struct smtpd *s);
/* "PLAIN LOGIN": what smtpd_sasl_security_options leave of the server's mechanisms. */
void smtpd_auth_mechanisms(const struct smtpd *s, struct strbuf *out);

/* One command's handler.  ARGS: without the verb, blanks trimmed. */
typedef void smtpd_handler(struct smtpd *s, struct slice args);
smtpd_handler smtpd_helo, smtpd_ehlo, smtpd_starttls, smtpd_auth, smtpd_mail, smtpd_rcpt,
    smtpd_data, smtpd_bdat, smtpd_rset, smtpd_noop, smtpd_vrfy, smtpd_etrn, smtpd_quit, smtpd_help,
    smtpd_xclient, smtpd_xforward;

#endif

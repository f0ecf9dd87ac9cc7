// SPDX-License-Identifier: BSD-2-Clause
/*
 * Inside of the restriction engine: what one row of the table of restrictions gets and gives.
 */
#ifndef PC_SMTPD_RESTRICT_EVAL_H
#define PC_SMTPD_RESTRICT_EVAL_H

#include "smtpd/restrict.h"
#include "table/match_list.h"
#include "table/table.h"

/* Of classes in classes, and of lists that access tables give. */
#define RESTRICT_DEPTH_MAX 100

enum check { CHECK_DUNNO, CHECK_PERMIT, CHECK_REJECT };

/* Whose fault a refusal is: the words of the reply. */
enum subject {
	SUBJECT_CLIENT,
	SUBJECT_REVERSE_CLIENT,
	SUBJECT_HELO,
	SUBJECT_SENDER,
	SUBJECT_RECIPIENT,
	SUBJECT_DATA,
	SUBJECT_END_OF_DATA,
	SUBJECT_ETRN,
	SUBJECT_CLIENT_CERT,
	SUBJECT_SASL
};

struct rule;
struct eval;

enum restrict_argument { ARG_NONE, ARG_TABLE, ARG_NUMBER };

struct restriction {
	const char *name;
	enum restrict_argument argument;
	enum check (*check)(struct eval *e, const struct rule *rule);
	unsigned number; /* for the check, where several rows share one */
};

/* One element of a list, as parsed. */
struct rule {
	const struct restriction *row; /* NULL: see below */
	struct tables *tables;	       /* ARG_TABLE */
	const struct rule_list *class; /* a restriction class */
	char *text;		       /* the word itself */
	char *problem;		       /* not NULL: 451, and this in the log */
	bool warn_only;		       /* warn_if_reject stood before it */
	unsigned number;	       /* ARG_NUMBER */
};
struct rule_list {
	struct rule *rules;
	size_t count;
};

struct restrictions {
	const struct postfix_params *params;
	const struct resolver *resolver;
	const struct rewriter *rewriter;
	struct rule_list client, helo, sender, relay, recipient, data, end_of_data, etrn;
	struct rule_list local_rewrite;
	struct class_row {
		char *name;
		struct rule_list list;
		struct class_row *next;
	} * classes;
	struct match_list *mynetworks;
	struct match_list *log_permits; /* NULL: none is logged */
	struct tables *sender_login;
	struct tables *relay_certs;
	bool access_parents; /* smtpd_access_maps in parent_domain_matches_subdomains */
	char *trouble;
};

struct eval {
	const struct restrictions *r;
	const struct restrict_facts *facts;
	enum restrict_stage stage;
	struct restrict_findings *findings; /* where findings go */
	struct restrict_verdict *verdict;
	struct restrict_deferral if_permit, if_reject;
	enum subject list_subject; /* of the list under way */
	bool warn_only;
	unsigned depth; /* of classes and lists from access tables */
	bool quiet; /* nothing is logged, a refusal is only "no" (local_header_rewrite_clients) */
	bool recipient_checked, sender_checked;
	/* Resolved once per evaluation: [0] the recipient, [1] the sender. */
	struct resolved_once {
		enum { NOT_ASKED, RESOLVED, RESOLVE_BAD, RESOLVE_FAILED } state;
		struct resolved res;
		struct strbuf canonical;
	} resolved[2];
};

/* ---- restrict_reject.c ---- */

/* What stands in <> in a reply about SUBJECT, and its words ("Client host"). */
const char *restrict_subject_words(enum subject subject);
void restrict_subject_name(const struct eval *e, enum subject subject, struct strbuf *out);

/*
 * Refuses (or, behind warn_if_reject, warns and returns CHECK_DUNNO; or, where an earlier problem
 * asked for it, defers).  The text is the whole reply behind the codes.
 */
enum check restrict_reject(struct eval *e, unsigned code, const char *dsn, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "<NAME>: SUBJECT rejected: TEXT", with the DSN code fitting the subject. */
enum check restrict_reject_subject(
    struct eval *e, unsigned code, const char *dsn, enum subject subject, const char *text);
/* 451 4.3.5 Server configuration error, and WHY as a warning in the log; warn_if_reject does not
 * soften it. */
enum check restrict_server_error(struct eval *e, const char *why);
/* 451 4.3.0 <NAME>: Temporary lookup failure */
enum check restrict_lookup_error(struct eval *e, struct slice name);
/* DEFER_IF_PERMIT, DEFER_IF_REJECT: remembers the first reason. CHECK_DUNNO. */
enum check restrict_defer_if(struct eval *e, struct restrict_deferral *deferral, unsigned code,
    const char *dsn, enum subject subject, const char *text);
/* smtpd_log_access_permit_actions: "permit: ...: action=NAME for Client host=x[y] from TABLE". */
void restrict_log_permit(
    const struct eval *e, struct slice action, enum subject subject, const char *table);
/* "NOQUEUE: WHAT: RCPT from ...: TEXT; from=<> ..." */
void restrict_log(const struct eval *e, const char *what, const char *text);

/* ---- restrict_read.c ---- */

/* The list that an access table gave; no table may be opened for it.  To be released. */
void restrict_read_text(const struct restrictions *r, const char *text, struct rule_list *list);
void restrict_list_release(struct rule_list *list);

/* ---- restrict.c ---- */

enum check restrict_eval_list(struct eval *e, const struct rule_list *list);
/* A list that an access table gave: in the words of what was looked up there. */
enum check restrict_eval_text(struct eval *e, enum subject subject, const char *text);

/* ---- restrict_address.c ---- */

/* CHECK_DUNNO: look at resolved[...].state, which is RESOLVED or RESOLVE_BAD. */
enum { WHO_RECIPIENT, WHO_SENDER };
enum check restrict_resolve(struct eval *e, int who, struct resolved_once **once);

/* ---- rows ---- */

extern const struct restriction restrict_rows[];
extern const size_t restrict_row_count;
/* "type:table" without a name in front: what is looked up depends on the list. */
extern const struct restriction restrict_bare_row;
/* "restriction `NAME' ignored: no SASL support"; false when there is. */
bool restrict_lacks_sasl(const struct eval *e, const char *name);

enum check restrict_check_access(struct eval *e, const struct rule *rule);
enum check restrict_check_sasl_access(struct eval *e, const struct rule *rule);
enum check restrict_bare_access(struct eval *e, const struct rule *rule);
enum check restrict_sleep(struct eval *e, const struct rule *rule);
enum check restrict_address_map(struct eval *e, const struct rule *rule);
enum check restrict_access_result(
    struct eval *e, enum subject subject, const char *table, struct slice key, const char *value);
enum check restrict_permit(struct eval *e, const struct rule *rule);
enum check restrict_refuse(struct eval *e, const struct rule *rule);
enum check restrict_permit_mynetworks(struct eval *e, const struct rule *rule);
enum check restrict_permit_interfaces(struct eval *e, const struct rule *rule);
enum check restrict_permit_sasl(struct eval *e, const struct rule *rule);
enum check restrict_permit_cert(struct eval *e, const struct rule *rule);
enum check restrict_check_cert(struct eval *e, const struct rule *rule);
enum check restrict_plaintext(struct eval *e, const struct rule *rule);
enum check restrict_pipelining(struct eval *e, const struct rule *rule);
enum check restrict_unknown_client(struct eval *e, const struct rule *rule);
enum check restrict_invalid_helo(struct eval *e, const struct rule *rule);
enum check restrict_non_fqdn_helo(struct eval *e, const struct rule *rule);
enum check restrict_non_fqdn_sender(struct eval *e, const struct rule *rule);
enum check restrict_non_fqdn_recipient(struct eval *e, const struct rule *rule);
enum check restrict_permit_auth_destination(struct eval *e, const struct rule *rule);
enum check restrict_unauth_destination(struct eval *e, const struct rule *rule);
enum check restrict_unlisted_recipient(struct eval *e, const struct rule *rule);
enum check restrict_unlisted_sender(struct eval *e, const struct rule *rule);
enum check restrict_multi_recipient_bounce(struct eval *e, const struct rule *rule);
enum check restrict_sender_login(struct eval *e, const struct rule *rule);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* What a check says: to the client, to the log, and to the lists that come after it. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/smtp_reply.h"
#include "smtpd/restrict_eval.h"

static const char *const subject_words[] = {
	[SUBJECT_CLIENT] = "Client host",
	[SUBJECT_REVERSE_CLIENT] = "Unverified Client host",
	[SUBJECT_HELO] = "Helo command",
	[SUBJECT_SENDER] = "Sender address",
	[SUBJECT_RECIPIENT] = "Recipient address",
	[SUBJECT_DATA] = "Data command",
	[SUBJECT_END_OF_DATA] = "End-of-data",
	[SUBJECT_ETRN] = "Etrn command",
	[SUBJECT_CLIENT_CERT] = "Client certificate",
	[SUBJECT_SASL] = "SASL login name",
};

static const char *const stage_words[] = {
	[RESTRICT_CONNECT] = "CONNECT",
	[RESTRICT_HELO] = "HELO",
	[RESTRICT_MAIL] = "MAIL",
	[RESTRICT_RCPT] = "RCPT",
	[RESTRICT_DATA] = "DATA",
	[RESTRICT_END_OF_DATA] = "END-OF-MESSAGE",
	[RESTRICT_VRFY] = "VRFY",
	[RESTRICT_ETRN] = "ETRN",
};

const char *restrict_subject_words(enum subject subject)
{
	return subject_words[subject];
}

static const char *or_unknown(const char *text)
{
	return text ? text : "unknown";
}

void restrict_subject_name(const struct eval *e, enum subject subject, struct strbuf *out)
{
	const struct restrict_facts *f = e->facts;

	switch (subject) {
	case SUBJECT_CLIENT:
		strbuf_addf(
		    out, "%s[%s]", or_unknown(f->client_name), or_unknown(f->client_address));
		break;
	case SUBJECT_REVERSE_CLIENT:
		strbuf_addf(out, "%s", or_unknown(f->reverse_name));
		break;
	case SUBJECT_HELO:
		strbuf_addf(out, "%s", f->helo ? f->helo : "");
		break;
	case SUBJECT_SENDER:
		strbuf_addslice(out, f->sender);
		break;
	case SUBJECT_RECIPIENT:
		strbuf_addslice(out, f->recipient);
		break;
	case SUBJECT_DATA:
		strbuf_addstr(out, "DATA");
		break;
	case SUBJECT_END_OF_DATA:
		strbuf_addstr(out, "END-OF-MESSAGE");
		break;
	case SUBJECT_CLIENT_CERT:
		strbuf_addf(out, "%s", f->cert_name ? f->cert_name : "");
		break;
	case SUBJECT_ETRN:
		strbuf_addf(out, "%s", f->etrn_domain ? f->etrn_domain : "");
		break;
	case SUBJECT_SASL:
		strbuf_addf(out, "%s", f->sasl_username ? f->sasl_username : "");
		break;
	}
}

static void add_address(struct strbuf *line, const char *name, struct slice address)
{
	if (!address.ptr)
		return;
	strbuf_addf(line, " %s=<", name);
	address_logged(address, line);
	strbuf_addch(line, '>');
}

void restrict_log(const struct eval *e, const char *what, const char *text)
{
	const struct restrict_facts *f = e->facts;
	struct strbuf line = STRBUF_INIT(8192);

	if (e->quiet)
		return;
	strbuf_addf(&line, "%s: %s: %s from %s[%s]", f->queue_id ? f->queue_id : "NOQUEUE", what,
	    f->command ? f->command : stage_words[e->stage], or_unknown(f->client_name),
	    or_unknown(f->client_address));
	if (e->r->params->smtpd_client_port_logging)
		strbuf_addf(&line, ":%u", f->client_port);
	strbuf_addf(&line, ": %s;", text);
	add_address(&line, "from", f->sender);
	add_address(&line, "to", f->recipient);
	if (f->protocol)
		strbuf_addf(&line, " proto=%s", f->protocol);
	if (f->helo)
		strbuf_addf(&line, " helo=<%s>", f->helo);
	if (f->sasl_method)
		strbuf_addf(&line, " sasl_method=%s", f->sasl_method);
	if (f->sasl_username)
		strbuf_addf(&line, " sasl_username=%s", f->sasl_username);
	if (f->sasl_sender)
		strbuf_addf(&line, " sasl_sender=%s", f->sasl_sender);
	if (f->log)
		f->log(line.ptr, f->log_arg);
	else
		log_info("%s", line.ptr);
	strbuf_release(&line);
}

void restrict_log_permit(
    const struct eval *e, struct slice action, enum subject subject, const char *table)
{
	struct strbuf text = STRBUF_INIT(4096);

	if (!e->r->log_permits || e->quiet ||
	    match_list_string(e->r->log_permits, action) != MATCH_YES)
		return;
	strbuf_addf(&text, "action=%.*s for %s=", SLICE_ARG(action), subject_words[subject]);
	restrict_subject_name(e, subject, &text);
	strbuf_addf(&text, " %s%s", table ? "from " : "", table ? table : "");
	restrict_log(e, "permit", text.ptr);
	strbuf_release(&text);
}

static enum check reject_text(
    struct eval *e, unsigned code, const char *dsn, const char *text, bool may_warn)
{
	struct restrict_verdict *v = e->verdict;
	char line[1200];

	if (e->quiet)
		return CHECK_REJECT;
	/* An earlier check could not be made, and might have let this through. */
	if (!(e->warn_only && may_warn) && e->if_reject.active && code / 100 == 5) {
		code = e->if_reject.code;
		dsn = e->if_reject.dsn;
		text = e->if_reject.text;
	}
	v->code = code;
	memcpy(v->dsn, dsn, strlen(dsn) + 1);
	dsn_set_class(v->dsn, code);
	if (e->r->params->soft_bounce)
		smtp_reply_soften(&v->code, v->dsn);
	snprintf(v->text, sizeof(v->text), "%s", text);
	snprintf(line, sizeof(line), "%u %s %s", v->code, v->dsn, v->text);
	if (e->warn_only && may_warn) {
		restrict_log(e, "reject_warning", line);
		return CHECK_DUNNO;
	}
	restrict_log(e, "reject", line);
	v->disconnect = v->code == 421 || v->code == 521;
	return CHECK_REJECT;
}

enum check restrict_reject(struct eval *e, unsigned code, const char *dsn, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return reject_text(e, code, dsn, text, true);
}

/*
 * Codes about an address (x.1.N) differ for senders and recipients (RFC 3463 3.2), and mean nothing
 * for anything else.
 */
static void fit_dsn(char dsn[DSN_CODE_TEXT], enum subject subject)
{
	static const char sender[] = "0787707780", recipient[] = "0123456320";
	char was[DSN_CODE_TEXT];
	unsigned detail;

	if (strncmp(dsn + 1, ".1.", 3) != 0 || !ascii_isdigit(dsn[4]) || dsn[5])
		return;
	memcpy(was, dsn, sizeof(was));
	detail = (unsigned)(dsn[4] - '0');
	if (subject == SUBJECT_SENDER)
		dsn[4] = sender[detail];
	else if (subject == SUBJECT_RECIPIENT)
		dsn[4] = recipient[detail];
	else
		memcpy(dsn + 1, ".0.0", 5);
	if (strcmp(was, dsn) != 0)
		log_info(
		    "mapping DSN status %s into %s status %s", was, subject_words[subject], dsn);
}

/* "<NAME>: SUBJECT rejected: TEXT" */
static void subject_text(
    const struct eval *e, enum subject subject, const char *text, char *out, size_t size)
{
	struct strbuf name = STRBUF_INIT(4096);

	restrict_subject_name(e, subject, &name);
	snprintf(out, size, "<%.512s>: %s rejected: %s", name.ptr, subject_words[subject], text);
	strbuf_release(&name);
}

enum check restrict_reject_subject(
    struct eval *e, unsigned code, const char *dsn, enum subject subject, const char *text)
{
	char fitting[DSN_CODE_TEXT], whole[1024];

	ASSERT(strlen(dsn) < sizeof(fitting));
	memset(fitting, 0, sizeof(fitting));
	memcpy(fitting, dsn, strlen(dsn) + 1);
	fit_dsn(fitting, subject);
	subject_text(e, subject, text, whole, sizeof(whole));
	return reject_text(e, code, fitting, whole, true);
}

enum check restrict_server_error(struct eval *e, const char *why)
{
	log_warning("%s", why);
	return reject_text(e, 451, "4.3.5", "Server configuration error", false);
}

enum check restrict_lookup_error(struct eval *e, struct slice name)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "<%.*s>: Temporary lookup failure",
	    SLICE_ARG(slice_first(name, 512)));
	return reject_text(e, 451, "4.3.0", whole, false);
}

enum check restrict_defer_if(struct eval *e, struct restrict_deferral *deferral, unsigned code,
    const char *dsn, enum subject subject, const char *text)
{
	char whole[1024], fitting[DSN_CODE_TEXT];

	if (deferral->active || e->quiet || (e->warn_only && deferral == &e->if_reject))
		return CHECK_DUNNO;
	snprintf(fitting, sizeof(fitting), "%s", dsn);
	fit_dsn(fitting, subject);
	dsn_set_class(fitting, code);
	subject_text(e, subject, text, whole, sizeof(whole));
	if (e->warn_only) {
		char line[1200];

		snprintf(line, sizeof(line), "%u %s %s", code, fitting, whole);
		restrict_log(e, "reject_warning", line);
		return CHECK_DUNNO;
	}
	deferral->active = true;
	deferral->code = code;
	memcpy(deferral->dsn, fitting, sizeof(fitting));
	deferral->text = arena_strdup(e->findings->arena, whole);
	return CHECK_DUNNO;
}

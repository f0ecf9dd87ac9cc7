// SPDX-License-Identifier: BSD-2-Clause
/* MAIL and RCPT: the envelope. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/verp.h"
#include "smtpd/smtpd_args.h"
#include "smtpd/smtpd_keywords.h"
#include "smtpd/smtpd_limits.h"
#include "smtpd/smtpd_xclient.h"
#include "table/table.h"

#define SPACE_EVERY_MS	 1000
#define REFRESH_EVERY_MS 10

static bool refuse(struct smtpd *s, unsigned code, const char *dsn, const char *text)
{
	smtpd_reply(s, code, dsn, "%s", text);
	return false;
}

static bool refuse_unicode(struct smtpd *s)
{
	return refuse(s, 553, "5.6.7", "Must declare SMTPUTF8 to send unicode address");
}

/* RFC 6531 3.4; only strict_smtputf8 minds an address that was not announced. */
static bool has_declared_unicode(struct smtpd *s, struct slice address)
{
	return !smtpd_server.params->strict_smtputf8 || s->transaction->smtputf8 ||
	       ascii_is_valid(address) || refuse_unicode(s);
}

/* The path of MAIL or RCPT; false when the refusal was sent. */
static bool take_path(struct smtpd *s, struct slice *args, bool sender, struct strbuf *out)
{
	struct slice whole = *args;
	bool utf8 = !(smtpd_hidden_keywords(s) & KEYWORD_SMTPUTF8);
	unsigned flags = (smtpd_server.params->strict_rfc821_envelopes ? ADDRESS_STRICT : 0) |
			 (sender ? ADDRESS_ALLOW_EMPTY : 0) | (utf8 ? ADDRESS_UTF8 : 0);
	enum address_status status = smtpd_args_path(args, flags, out);

	if (status == ADDRESS_OK)
		return true;
	if (status == ADDRESS_NON_ASCII)
		return refuse_unicode(s);
	log_warning("Illegal address syntax from %s in %s command: %.*s", s->name_addr,
	    sender ? "MAIL" : "RCPT", SLICE_ARG(slice_first(whole, 1000)));
	if (sender)
		smtpd_reply(s, 501, "5.1.7", "Bad sender address syntax");
	else
		smtpd_reply(s, 501, "5.1.3", "Bad recipient address syntax");
	return false;
}

/* Looked at once a second while there is enough, and each time while there is not. */
static bool enough_space(void)
{
	static _Atomic int64_t good_until;
	const struct postfix_params *p = smtpd_server.params;
	int64_t now = clock_ms();
	struct statvfs fs;

	if (now < atomic_load(&good_until))
		return true;
	if (fstatvfs(smtpd_server.spool_fd, &fs) < 0)
		return true; /* the write will tell */
	long long available = (long long)fs.f_bavail * (long long)fs.f_frsize;

	if ((p->queue_minfree <= 0 || available >= (long long)p->queue_minfree) &&
	    (p->message_size_limit <= 0 || available / 3 * 2 >= p->message_size_limit)) {
		atomic_store(&good_until, now + SPACE_EVERY_MS);
		return true;
	}
	log_warning(
	    "not enough free space in mail queue: %lld bytes < 1.5*message size limit", available);
	return false;
}

/* A refusal of our own, logged like one of the restrictions'. */
static void refuse_sender(struct smtpd *s, unsigned code, const char *dsn, const char *text)
{
	struct strbuf why = STRBUF_INIT(500);

	strbuf_addf(&why, "%u %s %s", code, dsn, text);
	smtpd_log_reject(s, "MAIL", why.ptr);
	strbuf_release(&why);
	smtpd_reply(s, code, dsn, "%s", text);
}

static bool has_acceptable_size(struct smtpd *s)
{
	long long limit = smtpd_server.params->message_size_limit;

	if (limit <= 0 || s->transaction->size <= (uint64_t)limit)
		return true;
	refuse_sender(s, 552, "5.3.4", "Message size exceeds fixed limit");
	return false;
}

static bool has_dsn(struct smtpd *s)
{
	return !(smtpd_hidden_keywords(s) & KEYWORD_DSN) ||
	       refuse(s, 501, "5.7.1", "DSN support is disabled");
}

static bool refuse_unsupported(struct smtpd *s, struct slice option)
{
	smtpd_reply(
	    s, 555, "5.5.4", "Unsupported option: %.*s", SLICE_ARG(slice_first(option, 100)));
	return false;
}

/* RFC 3461 4.3, 4.4: at most once each; false when the refusal was sent. */
static bool take_ret(struct smtpd *s, struct smtpd_transaction *t, unsigned ret)
{
	if (!has_dsn(s))
		return false;
	if (t->ret != 0)
		return refuse(s, 501, "5.5.4", "Bad RET parameter syntax");
	t->ret = ret;
	return true;
}

static bool take_envid(struct smtpd *s, struct smtpd_transaction *t, struct slice envid)
{
	if (!has_dsn(s))
		return false;
	if (t->envid != NULL)
		return refuse(s, 501, "5.5.4", "Bad ENVID parameter syntax");
	t->envid = arena_slicedup(&t->arena, envid);
	return true;
}

/* RFC 4954 5: who first sent it, by the client's word; for the log, xtext as it came. */
static bool take_auth(struct smtpd *s, struct smtpd_transaction *t, struct slice sender)
{
	if (smtpd_server.auth == NULL)
		return true;
	if (t->sasl_sender != NULL)
		return refuse(s, 503, "5.5.4", "Error: multiple AUTH= options");
	if (slice_eq_str(sender, "<>"))
		return true;
	char *text = arena_slicedup(&t->arena, sender);

	smtpd_neuter(text, "");
	t->sasl_sender = text;
	return true;
}

/* XVERP of a client that may; without characters of its own the default ones, whatever they are. */
static bool take_verp(struct smtpd *s, struct smtpd_transaction *t, struct slice option,
    const struct smtpd_option_value *value)
{
	const struct postfix_params *p = smtpd_server.params;

	if (!s->may_xverp)
		return refuse_unsupported(s, option);
	if (value->number == 0) {
		t->verp = p->default_verp_delimiters;
		return true;
	}
	if (!verp_is_valid(strbuf_slice(&value->text), p->verp_delimiter_filter)) {
		smtpd_reply(s, 501, "5.5.4", "Error: XVERP needs two characters from %s",
		    p->verp_delimiter_filter);
		return false;
	}
	t->verp = arena_slicedup(&t->arena, strbuf_slice(&value->text));
	return true;
}

/* False when the refusal was sent. */
static bool take_mail_option(struct smtpd *s, struct smtpd_transaction *t, struct slice option,
    struct smtpd_option_value *value)
{
	switch (smtpd_args_mail_option(option, value)) {
	case OPTION_SIZE:
		t->size = value->number;
		return has_acceptable_size(s);
	case OPTION_AUTH:
		return take_auth(s, t, strbuf_slice(&value->text));
	case OPTION_BODY_8BIT:
		t->encoding = "8bit";
		return true;
	case OPTION_BODY_7BIT:
		t->encoding = "7bit";
		return true;
	case OPTION_RET:
		return take_ret(s, t, (unsigned)value->number);
	case OPTION_ENVID:
		return take_envid(s, t, strbuf_slice(&value->text));
	case OPTION_SMTPUTF8:
		if (smtpd_hidden_keywords(s) & KEYWORD_SMTPUTF8)
			return refuse_unsupported(s, option);
		t->smtputf8 = true;
		return true;
	case OPTION_XVERP:
		return take_verp(s, t, option, value);
	case OPTION_BAD_SIZE:
		return refuse(s, 501, "5.5.4", "Bad message size syntax");
	case OPTION_HUGE_SIZE:
		return refuse(s, 552, "5.3.4", "Message size exceeds file system imposed limit");
	case OPTION_BAD_RET:
		return has_dsn(s) && refuse(s, 501, "5.5.4", "Bad RET parameter syntax");
	case OPTION_BAD_ENVID:
		return has_dsn(s) && refuse(s, 501, "5.5.4", "Bad ENVID parameter syntax");
	default:
		return refuse_unsupported(s, option);
	}
}

static bool take_mail_options(struct smtpd *s, struct slice options)
{
	struct smtpd_option_value value = { .text = STRBUF_INIT(SMTPD_OPTION_TEXT_MAX) };
	struct slice option;
	bool ok = true;

	while (ok && slice_token(&options, " \t", &option))
		ok = take_mail_option(s, s->transaction, option, &value);
	strbuf_release(&value.text);
	if (ok && s->transaction->verp != NULL && s->transaction->sender.len == 0)
		return refuse(s, 503, "5.5.4", "Error: XVERP requires non-null sender");
	return ok;
}

static struct slice arena_slice(struct arena *arena, struct slice s)
{
	return slice_mem(arena_slicedup(arena, s), s.len);
}

static void set_sender(struct smtpd_transaction *t, struct slice sender)
{
	struct strbuf rewritten = STRBUF_INIT(2 * ADDRESS_MAX);

	t->sender = arena_slice(&t->arena, sender);
	rewrite_address(smtpd_server.rewriter, REWRITE_LOCAL, sender, &rewritten);
	t->sender_rewritten = arena_slice(&t->arena, strbuf_slice(&rewritten));
	strbuf_release(&rewritten);
}

static bool mail_is_acceptable(struct smtpd *s, struct slice sender, struct slice options)
{
	struct smtpd_transaction *t = s->transaction;
	struct restrict_verdict verdict;

	set_sender(t, sender);
	if (!take_mail_options(s, options) || !has_declared_unicode(s, sender))
		return false;
	if (!smtpd_check(s, RESTRICT_MAIL, SLICE_NULL, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
		return false;
	}
	if (!enough_space()) {
		refuse_sender(s, 452, "4.3.1", "Insufficient system storage");
		return false;
	}
	return true;
}

static void log_client(const struct smtpd *s)
{
	struct strbuf line = STRBUF_INIT(2000);

	strbuf_addf(&line, "%s: client=%s", smtpd_queue_id(s), s->name_addr);
	if (s->sasl_method != NULL)
		strbuf_addf(&line, ", sasl_method=%s", s->sasl_method);
	if (s->sasl_username != NULL)
		strbuf_addf(&line, ", sasl_username=%s", s->sasl_username);
	if (s->transaction->sasl_sender != NULL)
		strbuf_addf(&line, ", sasl_sender=%s", s->transaction->sasl_sender);
	smtpd_log_forwarded(s, &line);
	log_info("%s", line.ptr);
	strbuf_release(&line);
}

/* The message begins with its first accepted recipient. */
static bool open_intake(struct smtpd *s, struct reason *why)
{
	struct smtpd_transaction *t = s->transaction;
	char client_port[16], server_port[16];
	struct strbuf text = STRBUF_INIT(1000);
	struct intake_logged logged;
	struct restrict_facts facts = {
		.client_name = s->client_name,
		.client_address = s->client_address,
		.client_addr = &s->session.peer,
		.sasl_username = smtpd_server.auth != NULL ? s->sasl_username : NULL,
		.sasl_method = s->sasl_method,
	};

	smtpd_tls_facts(s, &facts);
	bool local = restrict_header_context(smtpd_server.restrictions, &facts) == REWRITE_LOCAL;

	snprintf(client_port, sizeof(client_port), "%u", net_addr_port(&s->session.peer));
	snprintf(server_port, sizeof(server_port), "%u", net_addr_port(&s->session.local));
	struct intake_origin origin = {
		.client_name = s->client_name,
		.client_address = s->client_address,
		.client_port = client_port,
		.reverse_client_name = s->reverse_name,
		.server_address = s->server_address,
		.server_port = server_port,
		.helo = s->helo != NULL ? s->helo : s->client_name,
		.protocol = s->esmtp ? "ESMTP" : "SMTP",
		.sasl_method = s->sasl_method,
		.sasl_username = s->sasl_username,
		.sasl_sender = t->sasl_sender,
		.origin = "smtp",
		.local_rewrite = local,
		.add_missing_headers = local,
		.smtputf8 = t->smtputf8,
		.verp = t->verp,
		.overrides = intake_overrides(smtpd_server.params->receive_override_options),
		.arrival_us = t->arrival_us,
	};
	smtpd_forwarded_origin(s, &origin, &logged, &text);
	t->intake = intake_begin(smtpd_server.intake, &origin, t->sender_rewritten, why);
	strbuf_release(&text);
	if (t->intake == NULL)
		return false;
	if (smtpd_server.params->content_filter[0] != '\0')
		intake_set_filter(t->intake, smtpd_server.params->content_filter);
	if (t->encoding != NULL)
		intake_set_encoding(t->intake, t->encoding);
	if (t->envid != NULL)
		intake_set_envelope_id(t->intake, slice_of(t->envid));
	if (t->ret != 0)
		intake_set_ret(t->intake, t->ret);
	log_client(s);
	return true;
}

/* smtpd_delay_open_until_valid_rcpt = no: the queue id is there at MAIL. */
static bool open_early(struct smtpd *s)
{
	struct reason why;

	if (smtpd_server.params->smtpd_delay_open_until_valid_rcpt || open_intake(s, &why))
		return true;
	smtpd_reply(s, 451, why.dsn, "Error: %s", why.text);
	return false;
}

void smtpd_mail(struct smtpd *s, struct slice args)
{
	struct strbuf sender = STRBUF_INIT(ADDRESS_MAX);

	intake_refresh_tables();

	if (!smtpd_args_keyword(&args, "FROM") || args.len == 0) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: MAIL FROM:<address>");
		return;
	}
	if (smtpd_limit_event(s, ANVIL_MESSAGE) && take_path(s, &args, true, &sender)) {
		s->transaction = xcalloc(1, sizeof(*s->transaction));
		s->transaction->findings.arena = &s->transaction->arena;
		s->transaction->arrival_us = clock_wall_us();
		if (mail_is_acceptable(s, strbuf_slice(&sender), args) && open_early(s))
			smtpd_reply(s, 250, "2.1.0", "Ok");
		else
			smtpd_transaction_end(s);
	}
	strbuf_release(&sender);
}

/* What RCPT says beside the address. */
struct recipient {
	struct slice address;
	unsigned notify;
	struct strbuf orcpt;
};

static void accept_recipient(struct smtpd *s, const struct recipient *r)
{
	struct smtpd_transaction *t = s->transaction;
	struct strbuf rewritten = STRBUF_INIT(2 * ADDRESS_MAX);
	struct reason why;

	if (t->intake == NULL && !open_intake(s, &why)) {
		smtpd_reply(s, 451, why.dsn, "Error: %s", why.text);
		return;
	}
	rewrite_address(smtpd_server.rewriter, REWRITE_LOCAL, r->address, &rewritten);
	struct intake_recipient rcpt = {
		.address = strbuf_slice(&rewritten),
		.original = r->address,
		.dsn_orcpt = strbuf_slice(&r->orcpt),
		.notify = r->notify,
	};
	if (!intake_recipient(t->intake, &rcpt, &why)) {
		smtpd_reply(s, 451, why.dsn, "Error: %s", why.text);
	} else {
		if (t->recipient_count++ == 0)
			t->only_recipient = arena_slice(&t->arena, r->address);
		smtpd_reply(s, 250, "2.1.5", "Ok");
	}
	strbuf_release(&rewritten);
}

/* RFC 5321 4.5.3.1.10: the client sends the rest in another transaction; no error of its for long.
 */
static bool is_one_too_many(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;
	struct smtpd_transaction *t = s->transaction;

	if (p->smtpd_recipient_limit <= 0 ||
	    t->recipient_count < (unsigned)p->smtpd_recipient_limit)
		return false;
	smtpd_reply(s, 452, "4.5.3", "Error: too many recipients");
	if (t->overshoot++ < (unsigned)p->smtpd_recipient_overshoot_limit)
		s->errors--;
	return true;
}

/* False when the refusal was sent. */
static bool take_rcpt_option(
    struct smtpd *s, struct recipient *r, struct slice option, struct smtpd_option_value *value)
{
	switch (smtpd_args_rcpt_option(option, value)) {
	case OPTION_NOTIFY:
		if (!has_dsn(s))
			return false;
		if (r->notify != 0)
			return refuse(s, 501, "5.5.4", "Error: Bad NOTIFY parameter syntax");
		r->notify = (unsigned)value->number;
		return true;
	case OPTION_ORCPT:
		if (!has_dsn(s))
			return false;
		if (r->orcpt.len > 0)
			return refuse(s, 501, "5.5.4", "Error: Bad ORCPT parameter syntax");
		strbuf_addslice(&r->orcpt, strbuf_slice(&value->text));
		return true;
	case OPTION_BAD_NOTIFY:
		return has_dsn(s) && refuse(s, 501, "5.5.4", "Error: Bad NOTIFY parameter syntax");
	case OPTION_BAD_ORCPT:
		return has_dsn(s) && refuse(s, 501, "5.5.4", "Error: Bad ORCPT parameter syntax");
	default:
		return refuse_unsupported(s, option);
	}
}

static bool take_rcpt_options(struct smtpd *s, struct recipient *r, struct slice options)
{
	struct smtpd_option_value value = { .text = STRBUF_INIT(SMTPD_OPTION_TEXT_MAX) };
	struct slice option;
	bool ok = true;

	while (ok && slice_token(&options, " \t", &option))
		ok = take_rcpt_option(s, r, option, &value);
	strbuf_release(&value.text);
	return ok;
}

void smtpd_rcpt(struct smtpd *s, struct slice args)
{
	struct strbuf address = STRBUF_INIT(ADDRESS_MAX);
	struct recipient r = { .orcpt = STRBUF_INIT(SMTPD_OPTION_TEXT_MAX) };
	struct restrict_verdict verdict;

	if (!smtpd_args_keyword(&args, "TO") || args.len == 0) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: RCPT TO:<address>");
		return;
	}
	if (!smtpd_limit_event(s, ANVIL_RECIPIENT) || is_one_too_many(s))
		return;
	if (take_path(s, &args, false, &address)) {
		r.address = strbuf_slice(&address);
		if (!has_declared_unicode(s, r.address) || !take_rcpt_options(s, &r, args))
			; /* said already */
		else if (!smtpd_check(s, RESTRICT_RCPT, r.address, &verdict))
			smtpd_reply_verdict(s, &verdict);
		else
			accept_recipient(s, &r);
	}
	strbuf_release(&r.orcpt);
	strbuf_release(&address);
}

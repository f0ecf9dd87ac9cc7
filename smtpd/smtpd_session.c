// SPDX-License-Identifier: BSD-2-Clause
/*
 * The life of a session: greeting, commands while input is there, parking, the last log line.
 *
 * The table below is the protocol: who handles a verb, what has to be before, what may follow in
 * the same packet (RFC 2920 3.1), and what a client must not do all day.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/header.h"
#include "mail/smtp_reply.h"
#include "smtpd/smtpd.h"

/* A line too long for a command is read to its end up to here. */
#define SKIP_MAX (1024 * 1024)
/* For what we say last to a client that may not listen any more. */
#define LAST_WORD_MS 10000

enum command_flags {
	CMD_NEED_HELO = 1,
	CMD_NEED_MAIL = 2,
	CMD_NEED_NO_MAIL = 4,
	CMD_NO_ARGS = 8,    /* else "501 5.5.4 Syntax: VERB" */
	CMD_JUNK = 16,	    /* counted by smtpd_junk_command_limit */
	CMD_LAST = 32,	    /* nothing may follow before its reply */
	CMD_BEFORE_TLS = 64 /* works where TLS is required and not there yet */
};

static smtpd_handler do_rset, do_noop, do_vrfy, do_etrn, do_quit, do_help;

struct command {
	const char *verb;
	smtpd_handler *run;
	unsigned flags;
};

/* RFC 5321 4.1, RFC 3207 4, RFC 4954 4. */
static const struct command commands[VERB_UNKNOWN] = {
	[VERB_HELO] = { "HELO", smtpd_helo, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS },
	[VERB_EHLO] = { "EHLO", smtpd_ehlo, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS },
	[VERB_STARTTLS] = { "STARTTLS", smtpd_starttls, CMD_NO_ARGS | CMD_LAST | CMD_BEFORE_TLS },
	[VERB_AUTH] = { "AUTH", smtpd_auth, CMD_NEED_HELO | CMD_NEED_NO_MAIL },
	[VERB_MAIL] = { "MAIL", smtpd_mail, CMD_NEED_HELO | CMD_NEED_NO_MAIL },
	[VERB_RCPT] = { "RCPT", smtpd_rcpt, CMD_NEED_MAIL },
	[VERB_DATA] = { "DATA", smtpd_data, CMD_LAST },
	[VERB_RSET] = { "RSET", do_rset, CMD_NO_ARGS | CMD_JUNK },
	[VERB_NOOP] = { "NOOP", do_noop, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS },
	[VERB_VRFY] = { "VRFY", do_vrfy, CMD_JUNK | CMD_LAST },
	[VERB_ETRN] = { "ETRN", do_etrn, CMD_JUNK },
	[VERB_QUIT] = { "QUIT", do_quit, CMD_BEFORE_TLS },
	[VERB_HELP] = { "HELP", do_help, CMD_BEFORE_TLS },
};

static const char *const verb_names[VERB_COUNT] = { "helo", "ehlo", "starttls", "auth", "mail",
	"rcpt", "data", "rset", "noop", "vrfy", "etrn", "quit", "help", "unknown" };

static void reply(struct smtpd *s, unsigned code, const char *dsn, struct slice text)
{
	struct strbuf out = STRBUF_INIT(16384);

	if (code >= 400)
		s->errors++;
	if (code == 421 || code == 521)
		s->closing = true;
	smtp_reply_add(&out, code, dsn, text);
	stream_write(s->session.stream, strbuf_slice(&out));
	strbuf_release(&out);
}

void smtpd_reply(struct smtpd *s, unsigned code, const char *dsn, const char *format, ...)
{
	struct strbuf text = STRBUF_INIT(8192);
	va_list args;

	va_start(args, format);
	strbuf_vaddf(&text, format, args);
	va_end(args);
	reply(s, code, dsn, strbuf_slice(&text));
	strbuf_release(&text);
}

void smtpd_reply_verdict(struct smtpd *s, const struct restrict_verdict *verdict)
{
	reply(s, verdict->code, verdict->dsn, slice_of(verdict->text));
	if (verdict->disconnect)
		s->closing = true;
}

void smtpd_reply_more(struct smtpd *s, unsigned code, const char *format, ...)
{
	struct strbuf line = STRBUF_INIT(SMTP_REPLY_LINE_MAX + 3);
	va_list args;

	strbuf_addf(&line, "%u-", code);
	va_start(args, format);
	strbuf_vaddf(&line, format, args);
	va_end(args);
	strbuf_addstr(&line, "\r\n");
	stream_write(s->session.stream, strbuf_slice(&line));
	strbuf_release(&line);
}

const char *smtpd_queue_id(const struct smtpd *s)
{
	if (s->transaction == NULL || s->transaction->intake == NULL)
		return NULL;
	return intake_id(s->transaction->intake);
}

/* RFC 3848, RFC 5321 4.4. */
const char *smtpd_protocol(const struct smtpd *s)
{
	static const char *const names[2][2][2] = {
		{ { "SMTP", "SMTP" }, { "SMTP", "SMTP" } },
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
	};
	return names[s->esmtp][stream_tls(s->session.stream) != NULL][s->sasl_username != NULL];
}

bool smtpd_check(struct smtpd *s, enum restrict_stage stage, struct slice address,
    struct restrict_verdict *verdict)
{
	struct smtpd_transaction *t = s->transaction;
	struct restrict_facts facts = {
		.command = stage == RESTRICT_HELO ? (s->esmtp ? "EHLO" : "HELO") : NULL,
		.queue_id = smtpd_queue_id(s),
		.client_name = s->client_name,
		.client_address = s->client_address,
		.client_addr = &s->session.peer,
		.client_port = net_addr_port(&s->session.peer),
		.reverse_name = s->reverse_name,
		.protocol = s->esmtp ? "ESMTP" : "SMTP",
		.helo = s->helo,
		.sender = t != NULL ? t->sender : SLICE_NULL,
		.recipient = address,
		.recipient_count = t != NULL ? t->recipient_count : 0,
		.size = t != NULL ? t->size : 0,
		.sasl_method = s->sasl_method,
		.sasl_username = s->sasl_username,
		.sasl_sender = t != NULL ? t->sasl_sender : NULL,
		.tls = stream_tls(s->session.stream) != NULL,
		.pipelined = s->pipelined,
	};
	if (stage == RESTRICT_END_OF_DATA && t != NULL && t->intake != NULL)
		facts.size = (uint64_t)intake_size(t->intake);
	return restrict_check(smtpd_server.restrictions, stage, &facts, &s->findings,
	    t != NULL ? &t->findings : NULL, verdict);
}

void smtpd_transaction_end(struct smtpd *s)
{
	struct smtpd_transaction *t = s->transaction;

	if (t == NULL)
		return;
	s->transaction = NULL;
	intake_free(t->intake);
	arena_release(&t->arena);
	free(t);
}

static void cut_after(struct restrict_line **list, size_t count)
{
	while (count-- > 0 && *list != NULL)
		list = &(*list)->next;
	*list = NULL;
}

static size_t length_of(const struct restrict_line *list)
{
	size_t count = 0;

	for (; list != NULL; list = list->next)
		count++;
	return count;
}

/* What HELO's checks appended to lists of CONNECT's goes with the memory that it lies in. */
void smtpd_helo_reset(struct smtpd *s)
{
	smtpd_transaction_end(s);
	s->helo = NULL;
	s->esmtp = false;
	s->findings = s->connect_findings;
	cut_after(&s->findings.prepend, s->connect_prepends);
	cut_after(&s->findings.bcc, s->connect_bccs);
	arena_release(&s->helo_arena);
	s->findings.arena = &s->helo_arena;
}

void smtpd_session_reset(struct smtpd *s)
{
	smtpd_helo_reset(s);
	s->sasl_method = s->sasl_username = NULL;
}

void smtpd_neuter(char *text, const char *set)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f || strchr(set, *text) != NULL)
			*text = '?';
}

static void do_rset(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_transaction_end(s);
	smtpd_reply(s, 250, "2.0.0", "Ok");
}

static void do_noop(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_reply(s, 250, "2.0.0", "Ok");
}

static void do_quit(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_reply(s, 221, "2.0.0", "Bye");
	s->closing = true;
}

static void do_help(struct smtpd *s, struct slice args)
{
	struct strbuf list = STRBUF_INIT(512);
	static const enum smtpd_verb order[] = { VERB_AUTH, VERB_DATA, VERB_EHLO, VERB_HELO,
		VERB_HELP, VERB_MAIL, VERB_NOOP, VERB_QUIT, VERB_RCPT, VERB_RSET, VERB_STARTTLS,
		VERB_VRFY };

	(void)args;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		if ((order[i] == VERB_AUTH && smtpd_server.auth == NULL) ||
		    (order[i] == VERB_STARTTLS && smtpd_server.tls == NULL) ||
		    (order[i] == VERB_VRFY && smtpd_server.params->disable_vrfy_command))
			continue;
		strbuf_addf(&list, " %s", commands[order[i]].verb);
	}
	smtpd_reply(s, 214, "2.0.0", "Commands:%s", list.ptr);
	strbuf_release(&list);
}

static void do_etrn(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_reply(s, 502, "5.5.1", "Error: command not implemented");
}

/* RFC 5321 3.5.3: never more than "252": who has a mailbox is told at RCPT. */
static void do_vrfy(struct smtpd *s, struct slice args)
{
	struct strbuf address = STRBUF_INIT(ADDRESS_MAX);
	struct restrict_verdict verdict;
	struct slice given = args;

	if (smtpd_server.params->disable_vrfy_command)
		smtpd_reply(s, 502, "5.5.1", "VRFY command is disabled");
	else if (args.len == 0)
		smtpd_reply(s, 501, "5.5.4", "Syntax: VRFY address");
	else if (address_take_path(&args, 0, &address) != ADDRESS_OK ||
		 slice_trim(args, " ").len > 0)
		smtpd_reply(s, 501, "5.1.3", "Bad recipient address syntax");
	else if (!smtpd_check(s, RESTRICT_VRFY, strbuf_slice(&address), &verdict))
		smtpd_reply_verdict(s, &verdict);
	else
		smtpd_reply(s, 252, "2.0.0", "%.*s", SLICE_ARG(given));
	strbuf_release(&address);
}

static enum smtpd_verb find_verb(struct slice verb)
{
	for (unsigned i = 0; i < VERB_UNKNOWN; i++)
		if (slice_caseeq_str(verb, commands[i].verb))
			return (enum smtpd_verb)i;
	return VERB_UNKNOWN;
}

/* Clients that speak another protocol: HTTP, or none at all, or a message in the wrong place. */
static bool refuse_forbidden(struct smtpd *s, struct slice line, struct slice verb)
{
	if (!header_is_header(verb) &&
	    match_list_string(smtpd_server.forbidden_commands, verb) != MATCH_YES)
		return false;
	log_warning("non-SMTP command from %s: %.*s", s->name_addr,
	    (int)(line.len > 100 ? 100 : line.len), line.ptr);
	smtpd_reply(s, 221, "2.7.0", "Error: I can break rules, too. Goodbye.");
	s->closing = true;
	return true;
}

/* The columns of the table; false: the refusal was sent. */
static bool is_legal(struct smtpd *s, enum smtpd_verb verb, struct slice args)
{
	const struct command *c = &commands[verb];
	unsigned flags = c->flags;

	if (s->denied && verb != VERB_QUIT) {
		smtpd_reply(s, 503, "5.7.0", "Error: access denied for %s", s->name_addr);
	} else if (smtpd_server.tls_required && stream_tls(s->session.stream) == NULL &&
		   !(flags & CMD_BEFORE_TLS)) {
		smtpd_reply(s, 530, "5.7.0", "Must issue a STARTTLS command first");
	} else if ((flags & CMD_NO_ARGS) && args.len > 0) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: %s", c->verb);
	} else if ((flags & CMD_NEED_HELO) && s->helo == NULL &&
		   (verb != VERB_MAIL || smtpd_server.params->smtpd_helo_required)) {
		smtpd_reply(s, 503, "5.5.1", "Error: send HELO/EHLO first");
	} else if ((flags & CMD_NEED_MAIL) && s->transaction == NULL) {
		smtpd_reply(s, 503, "5.5.1", "Error: need MAIL command");
	} else if ((flags & CMD_NEED_NO_MAIL) && s->transaction != NULL) {
		smtpd_reply(s, 503, "5.5.1",
		    verb == VERB_MAIL ? "Error: nested MAIL command"
				      : "Error: MAIL transaction in progress");
	} else {
		return true;
	}
	return false;
}

static bool over_limits(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;
	const char *id = smtpd_queue_id(s);

	if (s->errors < (unsigned)p->smtpd_hard_error_limit)
		return false;
	log_info("%s: too many errors after %s from %s", id != NULL ? id : "NOQUEUE", s->where,
	    s->name_addr);
	smtpd_reply(s, 421, "4.7.0", "%s Error: too many errors", p->myhostname);
	return true;
}

static void log_pipelining(const struct smtpd *s, const char *verb)
{
	struct slice next = slice_first(stream_peek(s->session.stream), 100);
	struct strbuf text = STRBUF_INIT(401);

	for (size_t i = 0; i < next.len; i++) {
		unsigned char c = (unsigned char)next.ptr[i];

		if (c == '\r' || c == '\n')
			strbuf_addstr(&text, c == '\r' ? "\\r" : "\\n");
		else if (ascii_isprint((char)c) && c != '\\')
			strbuf_addch(&text, (char)c);
		else
			strbuf_addf(&text, "\\%03o", c);
	}
	log_info("improper command pipelining after %s from %s: %s", verb, s->name_addr, text.ptr);
	strbuf_release(&text);
}

/*
 * Input behind a command whose reply the client has to see first (logged once a session).  Who did
 * not say EHLO has no leave to pipeline at all; restrictions may mind that.
 */
static bool refuse_pipelining(struct smtpd *s, enum smtpd_verb verb)
{
	s->pipelined =
	    stream_has_input(s->session.stream) && (!s->esmtp || (commands[verb].flags & CMD_LAST));
	if (!s->pipelined || !(commands[verb].flags & CMD_LAST))
		return false;
	if (!s->pipelining_log)
		log_pipelining(s, commands[verb].verb);
	s->pipelining_log = true;
	if (!smtpd_server.params->smtpd_forbid_unauth_pipelining)
		return false;
	smtpd_reply(s, 554, "5.5.0", "Error: SMTP protocol synchronization");
	s->closing = true;
	return true;
}

static void run_command(struct smtpd *s, struct slice line)
{
	struct slice args = line, verb = SLICE_NULL;
	unsigned errors = s->errors;

	slice_token(&args, " \t", &verb);
	args = slice_trim(args, " \t");
	enum smtpd_verb number = find_verb(verb);

	s->counters[number].total++;
	if (number == VERB_UNKNOWN) {
		s->where = "UNKNOWN";
		if (!refuse_forbidden(s, line, verb))
			smtpd_reply(s, 500, "5.5.2", "Error: command not recognized");
		return;
	}
	s->where = commands[number].verb;
	if (refuse_pipelining(s, number) || !is_legal(s, number, args))
		return;
	commands[number].run(s, args);
	bool good = s->errors <= errors; /* DATA forgives */

	if ((commands[number].flags & CMD_JUNK) &&
	    s->junk++ > (unsigned)smtpd_server.params->smtpd_junk_command_limit)
		s->errors++;
	if (good && stream_error(s->session.stream) == STREAM_OK)
		s->counters[number].ok++;
}

static bool is_good_line(struct smtpd *s, struct slice line)
{
	if (slice_has_nul(line) || (!ascii_is_valid(line) && !utf8_is_valid(line))) {
		s->counters[VERB_UNKNOWN].total++;
		smtpd_reply(s, 500, "5.5.2", "Error: bad UTF-8 syntax");
		return false;
	}
	if (line.len == 0) {
		s->counters[VERB_UNKNOWN].total++;
		smtpd_reply(s, 500, "5.5.2", "Error: bad syntax");
		return false;
	}
	return true;
}

void smtpd_set_deadline(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;

	stream_set_deadline(s->session.stream, deadline_in(p->smtpd_timeout * 1000));
	/* smtpd_per_request_deadline: time is earned by bytes, not given anew for each of them. */
	if (p->smtpd_per_request_deadline)
		stream_set_min_rate(
		    s->session.stream, (unsigned)p->smtpd_min_data_rate, p->smtpd_timeout * 1000);
}

/*
 * The rest of a line that is too long for a command, read up to its end so that nothing of it is
 * taken for one, and so that the client sees the refusal; who goes on for ever is left.
 */
static void skip_line(struct smtpd *s)
{
	struct stream *stream = s->session.stream;
	size_t skipped = 0;
	struct slice rest;
	enum stream_read result;

	do {
		result = stream_read_line(stream, smtpd_server.line_max, &rest);
		skipped += rest.len;
	} while (result == STREAM_READ_PARTIAL && skipped < SKIP_MAX);
	if (result == STREAM_READ_FAILED)
		return;
	if (result == STREAM_READ_PARTIAL)
		s->closing = true;
	s->counters[VERB_UNKNOWN].total++;
	smtpd_reply(s, 500, "5.5.2", "%s Error: command too long", smtpd_server.params->myhostname);
}

/* A line without its line end; false when there is none to run (*LINE is empty then). */
static bool read_command(struct smtpd *s, struct slice *line)
{
	struct stream *stream = s->session.stream;
	const struct postfix_params *p = smtpd_server.params;

	smtpd_set_deadline(s);
	switch (stream_read_line(stream, smtpd_server.line_max, line)) {
	case STREAM_READ_FAILED:
		return false;
	case STREAM_READ_PARTIAL:
		skip_line(s);
		return false;
	case STREAM_READ_LINE:
		break;
	}
	line->len--;
	if (line->len > 0 && line->ptr[line->len - 1] == '\r')
		line->len--;
	else
		s->bare_lf_seen = true;
	if (s->bare_lf_seen && smtpd_server.bare_newline == BARE_NEWLINE_REJECT &&
	    match_list_client(smtpd_server.bare_newline_exclusions, slice_of(s->client_name),
		&s->session.peer) != MATCH_YES) {
		smtpd_reply(s, (unsigned)p->smtpd_forbid_bare_newline_reject_code, "5.5.2",
		    "%s Error: bare <LF> received", p->myhostname);
		s->closing = true;
		return false;
	}
	*line = slice_trim(*line, " \t");
	return true;
}

/* Says why the client is gone, unless the end was ours or it has all that it waited for. */
static void log_connection_end(struct smtpd *s)
{
	const char *id = smtpd_queue_id(s);
	enum stream_error error = stream_error(s->session.stream);
	char bytes[64] = "";

	if (error == STREAM_OK || s->where == NULL ||
	    (error != STREAM_TIMEOUT && strcmp(s->where, "END-OF-MESSAGE") == 0))
		return;
	if (s->data_bytes >= 0)
		snprintf(bytes, sizeof(bytes), " (%lld bytes)", (long long)s->data_bytes);
	log_info("%s: %s after %s%s from %s", id != NULL ? id : "NOQUEUE",
	    error == STREAM_TIMEOUT ? "timeout" : "lost connection", s->where, bytes, s->name_addr);
}

static void log_disconnect(const struct smtpd *s)
{
	struct strbuf line = STRBUF_INIT(1024);
	unsigned ok = 0, total = 0;

	for (unsigned i = 0; i < VERB_COUNT; i++) {
		const struct smtpd_counter *c = &s->counters[i];

		ok += c->ok;
		total += c->total;
		if (c->total == 0)
			continue;
		strbuf_addf(&line, " %s=%u", verb_names[i], c->ok);
		if (c->ok != c->total)
			strbuf_addf(&line, "/%u", c->total);
	}
	strbuf_addf(&line, " commands=%u", ok);
	if (ok != total || total == 0)
		strbuf_addf(&line, "/%u", total);
	if (s->bare_lf_seen && smtpd_server.bare_newline != BARE_NEWLINE_NO)
		strbuf_addstr(&line, " notes=bare_lf");
	log_info("disconnect from %s%s", s->name_addr, line.ptr);
	strbuf_release(&line);
}

void smtpd_close(struct session *session)
{
	struct smtpd *s = smtpd_of(session);

	if (s->name_addr != NULL) {
		log_connection_end(s);
		log_disconnect(s);
	}
	smtpd_transaction_end(s);
	arena_release(&s->helo_arena);
	arena_release(&s->arena);
}

static bool greet(struct smtpd *s)
{
	struct restrict_verdict verdict;

	s->data_bytes = -1;
	s->findings.arena = &s->arena;
	net_addr_text(&s->session.peer, s->client_address);
	net_addr_text(&s->session.local, s->server_address);
	smtpd_peer_lookup(s);
	s->name_addr = arena_printf(&s->arena, "%s[%s]", s->client_name, s->client_address);
	if (smtpd_server.params->smtpd_client_port_logging)
		s->name_addr =
		    arena_printf(&s->arena, "%s:%u", s->name_addr, net_addr_port(&s->session.peer));
	log_info("connect from %s", s->name_addr);
	s->where = "CONNECT";
	s->tls_wrapper = smtpd_server.params->smtpd_tls_wrappermode;
	if (s->tls_wrapper && !smtpd_tls_start(s))
		return false;
	smtpd_set_deadline(s);
	if (smtpd_check(s, RESTRICT_CONNECT, SLICE_NULL, &verdict)) {
		smtpd_reply(s, 220, NULL, "%s", smtpd_server.params->smtpd_banner);
	} else {
		smtpd_reply_verdict(s, &verdict);
		s->denied = true;
	}
	s->connect_findings = s->findings;
	s->connect_prepends = length_of(s->findings.prepend);
	s->connect_bccs = length_of(s->findings.bcc);
	s->findings.arena = &s->helo_arena;
	return true;
}

/* A client that waited too long, while parked or in the middle of something, is told so. */
static void say_timeout(struct smtpd *s)
{
	const char *id = smtpd_queue_id(s);

	if (stream_error(s->session.stream) == STREAM_TIMEOUT) {
		log_connection_end(s);
		if (!stream_after_timeout(s->session.stream, deadline_in(LAST_WORD_MS)))
			return;
	} else {
		log_info("%s: timeout after %s from %s", id != NULL ? id : "NOQUEUE", s->where,
		    s->name_addr);
	}
	s->where = NULL;
	smtpd_reply(s, 421, "4.4.2", "%s Error: timeout exceeded", smtpd_server.params->myhostname);
}

/* The end that we make: what was said goes out, and in TLS a good-bye. */
static enum session_next finish(struct smtpd *s)
{
	if (stream_error(s->session.stream) == STREAM_TIMEOUT && s->where != NULL)
		say_timeout(s);
	stream_set_deadline(s->session.stream, deadline_in(LAST_WORD_MS));
	if (stream_flush(s->session.stream))
		s->where = NULL;
	stream_finish(s->session.stream);
	return SESSION_CLOSE;
}

/*
 * The tarpit: a client with many errors is heard again one smtpd_error_sleep_time after each reply.
 * (Keeping the reply back instead would keep "354" and "220 Ready to start TLS" from a client that
 * we then wait for.)
 */
static bool enter_tarpit(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;

	if (s->errors < (unsigned)p->smtpd_soft_error_limit || p->smtpd_error_sleep_time <= 0)
		return false;
	s->in_tarpit = true;
	s->session.deadline = deadline_in(p->smtpd_error_sleep_time * 1000);
	return true;
}

static enum session_next serve_commands(struct smtpd *s)
{
	struct slice line;

	while (!s->closing && !over_limits(s)) {
		/* Nobody answers what was not sent: the parking flushes, and looks then. */
		if (!stream_has_input(s->session.stream)) {
			if (stream_error(s->session.stream) != STREAM_OK)
				break;
			if (session_draining(&s->session) && s->transaction == NULL) {
				smtpd_reply(s, 421, "4.3.2", "%s Service shutting down",
				    smtpd_server.params->myhostname);
				break;
			}
			s->session.deadline =
			    deadline_in(smtpd_server.params->smtpd_timeout * 1000);
			return SESSION_INPUT;
		}
		if (read_command(s, &line) && is_good_line(s, line))
			run_command(s, line);
		if (stream_error(s->session.stream) != STREAM_OK)
			break;
		if (!s->closing && !over_limits(s) && enter_tarpit(s))
			return SESSION_EVENT;
	}
	return finish(s);
}

enum session_next smtpd_serve(struct session *session, enum session_wake why)
{
	struct smtpd *s = smtpd_of(session);

	switch (why) {
	case SESSION_OPENED:
		if (!greet(s))
			return SESSION_CLOSE;
		break;
	case SESSION_EXPIRED:
		if (!s->in_tarpit)
			say_timeout(s);
		s->in_tarpit = false;
		break;
	case SESSION_DRAINING:
		/* A reload cuts no transaction; serve_commands says goodbye behind it. */
		if (s->transaction != NULL && !server_is_stopping())
			break;
		smtpd_reply(
		    s, 421, "4.3.2", "%s Service shutting down", smtpd_server.params->myhostname);
		s->where = NULL;
		break;
	case SESSION_HAS_INPUT:
	case SESSION_WOKEN:
		break;
	}
	return serve_commands(s);
}

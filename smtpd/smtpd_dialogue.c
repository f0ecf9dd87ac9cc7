// SPDX-License-Identifier: BSD-2-Clause
/*
 * One command: its line is read, held against the columns of the table (smtpd_commands.c) and the
 * limits of the session, and run.
 */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "mail/header.h"
#include "smtpd/smtpd_commands.h"

/* A line too long for a command is read to its end up to here. */
#define SKIP_MAX (1024 * 1024)

void smtpd_set_deadline(struct smtpd *s)
{
	stream_set_deadline(s->session.stream, deadline_in(s->params->smtpd_timeout * 1000));
	/* smtpd_per_request_deadline: time is earned by bytes, not given anew for each of them. */
	if (s->params->smtpd_per_request_deadline)
		stream_set_min_rate(s->session.stream, (unsigned)s->params->smtpd_min_data_rate,
		    s->params->smtpd_timeout * 1000);
}

bool smtpd_may_send_bare_newline(const struct smtpd *s)
{
	return match_list_client(smtpd_server.bare_newline_exclusions, slice_of(s->client_name),
		   &s->session.peer) == MATCH_YES;
}

void smtpd_refuse_bare_newline(struct smtpd *s, const char *where)
{
	const struct postfix_params *p = smtpd_server.params;

	smtpd_log_reject(s, where, "bare <LF> received");
	smtpd_reply(s, (unsigned)p->smtpd_forbid_bare_newline_reject_code, "5.5.2",
	    "%s Error: bare <LF> received", p->myhostname);
}

/* Clients that speak another protocol: HTTP, or none at all, or a message in the wrong place. */
static bool refuse_forbidden(struct smtpd *s, struct slice line, struct slice verb)
{
	if (!header_is_header(verb) &&
	    match_list_string(smtpd_server.forbidden_commands, verb) != MATCH_YES)
		return false;
	struct strbuf text = STRBUF_INIT(401);

	escape_encode(&text, slice_first(line, 100));
	log_warning("non-SMTP command from %s: %s", s->name_addr, text.ptr);
	strbuf_release(&text);
	smtpd_reply(s, 221, "2.7.0", "Error: I can break rules, too. Goodbye.");
	s->closing = true;
	return true;
}

/* The columns of the table; false: the refusal was sent. */
static bool is_legal(struct smtpd *s, const struct smtpd_command *c, struct slice args)
{
	bool want_helo = (c->flags & CMD_NEED_HELO) && smtpd_server.params->smtpd_helo_required;

	if (s->denied && !(c->flags & CMD_END))
		smtpd_reply(s, 503, "5.7.0", "Error: access denied for %s", s->name_addr);
	else if (smtpd_server.tls_required && stream_tls(s->session.stream) == NULL &&
		 !(c->flags & CMD_BEFORE_TLS))
		smtpd_reply(s, 530, "5.7.0", "Must issue a STARTTLS command first");
	else if ((c->flags & CMD_NO_ARGS) && args.len > 0)
		smtpd_reply(s, 501, "5.5.4", "Syntax: %s", c->verb);
	else if (want_helo && s->helo == NULL)
		smtpd_reply(s, 503, "5.5.1", "Error: send HELO/EHLO first");
	else if ((c->flags & CMD_NEED_MAIL) && s->transaction == NULL)
		smtpd_reply(s, 503, "5.5.1", "Error: need MAIL command");
	else if (c->in_mail != NULL && s->transaction != NULL)
		smtpd_reply(s, 503, "5.5.1", "%s", c->in_mail);
	else if ((c->flags & CMD_NO_BDAT) && s->bdat != BDAT_NONE)
		smtpd_reply(s, 503, "5.5.1", "Error: %s after BDAT", c->verb);
	else
		return true;
	return false;
}

bool smtpd_is_over_limits(struct smtpd *s)
{
	const struct postfix_params *p = smtpd_server.params;
	const char *id = smtpd_queue_id(s);

	if (s->errors < (unsigned)s->params->smtpd_hard_error_limit)
		return false;
	log_info("%s: too many errors after %s from %s", id != NULL ? id : "NOQUEUE", s->where,
	    s->name_addr);
	smtpd_reply(s, 421, "4.7.0", "%s Error: too many errors", p->myhostname);
	return true;
}

static void log_pipelining(const struct smtpd *s, const char *verb)
{
	struct strbuf text = STRBUF_INIT(401);

	escape_encode(&text, slice_first(stream_peek(s->session.stream), 100));
	log_info("improper command pipelining after %s from %s: %s", verb, s->name_addr, text.ptr);
	strbuf_release(&text);
}

/*
 * Input behind a command whose reply the client has to see first (logged once a session).  Who did
 * not say EHLO has no leave to pipeline at all; restrictions may mind that.
 */
static bool refuse_pipelining(struct smtpd *s, const struct smtpd_command *c)
{
	s->pipelined = stream_has_input(s->session.stream) && (!s->esmtp || (c->flags & CMD_LAST));
	if (!s->pipelined)
		return false;
	if (!s->pipelining_log)
		log_pipelining(s, c->verb);
	s->pipelining_log = true;
	if (!smtpd_server.params->smtpd_forbid_unauth_pipelining)
		return false;
	smtpd_reply(s, 554, "5.5.0", "Error: SMTP protocol synchronization");
	s->closing = true;
	return true;
}

static void count_junk(struct smtpd *s)
{
	if (s->junk++ > (unsigned)s->params->smtpd_junk_command_limit)
		s->errors++;
}

/* smtpd_noop_commands: not even counted, but as junk. */
static bool is_noop(struct smtpd *s, struct slice verb)
{
	if (match_list_string(smtpd_server.noop_commands, verb) != MATCH_YES)
		return false;
	smtpd_reply(s, 250, "2.0.0", "Ok");
	count_junk(s);
	return true;
}

static void run(struct smtpd *s, struct slice line)
{
	struct slice args = line, verb = SLICE_NULL;
	unsigned errors = s->errors;

	slice_token(&args, " \t", &verb);
	args = slice_trim(args, " \t");
	if (is_noop(s, verb))
		return;
	size_t number = smtpd_command_find(verb);
	const struct smtpd_command *c = &smtpd_commands[number];

	s->counters[number].total++;
	s->where = c->verb;
	if (c->run == NULL) {
		if (!refuse_forbidden(s, line, verb))
			smtpd_reply(s, 500, "5.5.2", "Error: command not recognized");
		return;
	}
	if (refuse_pipelining(s, c) || !is_legal(s, c, args))
		return;
	c->run(s, args);
	bool good = s->errors <= errors; /* DATA forgives */

	if (c->flags & CMD_JUNK)
		count_junk(s);
	if (good && !(c->flags & CMD_RESTART) && stream_error(s->session.stream) == STREAM_OK)
		s->counters[number].ok++;
}

static bool refuse_line(struct smtpd *s, const char *text)
{
	s->counters[smtpd_command_unknown()].total++;
	smtpd_reply(s, 500, "5.5.2", "%s", text);
	return false;
}

/* A NUL would end the line for some and not for others. */
static bool has_good_bytes(struct smtpd *s, struct slice line)
{
	if (slice_has_nul(line) ||
	    (smtpd_server.params->smtputf8_enable && !ascii_is_valid(line) && !utf8_is_valid(line)))
		return refuse_line(s, "Error: bad UTF-8 syntax");
	return true;
}

/*
 * smtpd_command_filter: what the site wants to have read instead of *LINE, which is in FOUND then.
 * False: the session ends, for nobody knows what it means.
 */
static bool filter(struct smtpd *s, struct slice *line, struct strbuf *found)
{
	const char *myhostname = smtpd_server.params->myhostname;

	switch (tables_get(smtpd_server.command_filter, *line, TABLES_WHOLE_KEY, found)) {
	case TABLE_NOT_FOUND:
		break;
	case TABLE_FOUND:
		log_info("%s: replacing command \"%.*s\" with \"%.100s\"", s->name_addr,
		    SLICE_ARG(slice_first(*line, 100)), found->ptr);
		*line = slice_trim(strbuf_slice(found), " \t");
		break;
	case TABLE_ERROR:
		log_info("%s: reject: %s from %s: 421 4.3.0 %s Server local data error",
		    smtpd_queue_id(s) != NULL ? smtpd_queue_id(s) : "NOQUEUE", s->where,
		    s->name_addr, myhostname);
		smtpd_reply(s, 421, "4.3.0", "%s Server local data error", myhostname);
		return false;
	}
	return line->len > 0 || refuse_line(s, "Error: bad syntax");
}

bool smtpd_skip_line(struct smtpd *s)
{
	struct stream *stream = s->session.stream;
	size_t skipped = 0;
	struct slice rest;
	enum stream_read result;

	do {
		result = stream_read_line(stream, smtpd_server.line_max, &rest);
		skipped += rest.len;
	} while (result == STREAM_READ_PARTIAL && skipped < SKIP_MAX);
	if (result == STREAM_READ_PARTIAL)
		s->closing = true;
	return result != STREAM_READ_FAILED;
}

static void refuse_long_line(struct smtpd *s)
{
	if (!smtpd_skip_line(s))
		return;
	s->counters[smtpd_command_unknown()].total++;
	smtpd_reply(s, 500, "5.5.2", "%s Error: command too long", smtpd_server.params->myhostname);
}

/* A line without its line end; false when there is none to run (*LINE is empty then). */
static bool read_command(struct smtpd *s, struct slice *line)
{
	struct stream *stream = s->session.stream;

	smtpd_set_deadline(s);
	switch (stream_read_line(stream, smtpd_server.line_max + 2, line)) { /* CR LF */
	case STREAM_READ_FAILED:
		return false;
	case STREAM_READ_PARTIAL:
		refuse_long_line(s);
		return false;
	case STREAM_READ_LINE:
		break;
	}
	line->len--;
	if (line->len > 0 && line->ptr[line->len - 1] == '\r') {
		line->len--;
	} else {
		s->bare_lf_seen = true;
		if (smtpd_server.bare_newline == BARE_NEWLINE_REJECT &&
		    !smtpd_may_send_bare_newline(s)) {
			smtpd_refuse_bare_newline(s, s->where);
			s->closing = true;
			return false;
		}
	}
	*line = slice_trim(*line, " \t");
	smtpd_log_dialogue(s, '<', *line);
	return true;
}

void smtpd_run_command(struct smtpd *s)
{
	struct strbuf found = STRBUF_INIT(4096);
	struct slice line;

	if (read_command(s, &line) && has_good_bytes(s, line) && filter(s, &line, &found))
		run(s, line);
	strbuf_release(&found);
}

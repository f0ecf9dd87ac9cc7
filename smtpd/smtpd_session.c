// SPDX-License-Identifier: BSD-2-Clause
/* The life of a session: greeting, commands while input is there, parking, the end. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "smtpd/smtpd_commands.h"
#include "smtpd/smtpd_haproxy.h"
#include "smtpd/smtpd_limits.h"

/* For what we say last to a client that may not listen any more. */
#define LAST_WORD_MS 10000

void smtpd_close(struct session *session)
{
	struct smtpd *s = smtpd_of(session);

	if (s->name_addr != NULL) {
		smtpd_log_connection_end(s);
		smtpd_notify_at_end(s);
		smtpd_log_disconnect(s);
	}
	smtpd_limits_close(s);
	smtpd_transaction_end(s);
	arena_release(&s->client_arena);
	arena_release(&s->helo_arena);
	arena_release(&s->arena);
}

void smtpd_welcome(struct smtpd *s)
{
	struct restrict_verdict verdict;

	if (!smtpd_limit_connection(s))
		return;
	s->denied = false;
	s->findings = (struct restrict_findings){ .arena = &s->client_arena };
	if (smtpd_check(s, RESTRICT_CONNECT, SLICE_NULL, &verdict)) {
		smtpd_reply(s, 220, NULL, "%s", smtpd_server.params->smtpd_banner);
	} else {
		smtpd_reply_verdict(s, &verdict);
		s->denied = true;
	}
	smtpd_keep_connect_findings(s);
}

static bool greet(struct smtpd *s)
{
	bool known;

	s->params = server_is_stressed() ? server_stress_params() : smtpd_server.params;
	s->data_bytes = -1;
	known = smtpd_haproxy_begin(s);
	smtpd_peer_lookup(s);
	smtpd_peer_authorize(s);
	smtpd_peer_describe(s);
	log_info("connect from %s", s->name_addr);
	s->where = "CONNECT";
	if (!known) {
		smtpd_set_deadline(s);
		smtpd_reply(
		    s, 421, "4.3.0", "%s Server local error", smtpd_server.params->myhostname);
		return true;
	}
	s->tls_wrapper = smtpd_server.params->smtpd_tls_wrappermode;
	if (s->tls_wrapper && (!smtpd_limit_has_tls_left(s, "TLS service") || !smtpd_tls_start(s)))
		return false;
	smtpd_set_deadline(s);
	if (!s->tls_wrapper || smtpd_limit_new_tls(s))
		smtpd_welcome(s);
	return true;
}

/* A client that waited too long, while parked or in the middle of something, is told so. */
static void say_timeout(struct smtpd *s)
{
	const char *id = smtpd_queue_id(s);

	if (stream_error(s->session.stream) == STREAM_TIMEOUT) {
		smtpd_log_connection_end(s);
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
	if (stream_finish(s->session.stream))
		s->where = NULL;
	return SESSION_CLOSE;
}

/*
 * The tarpit: a client with many errors is heard again one smtpd_error_sleep_time after each reply.
 * (Keeping the reply back instead would keep "354" and "220 Ready to start TLS" from a client that
 * we then wait for.)
 */
static bool enter_tarpit(struct smtpd *s)
{
	if (s->errors < (unsigned)s->params->smtpd_soft_error_limit ||
	    s->params->smtpd_error_sleep_time <= 0)
		return false;
	s->in_tarpit = true;
	s->session.deadline = deadline_in(s->params->smtpd_error_sleep_time * 1000);
	return true;
}

static enum session_next serve_commands(struct smtpd *s)
{
	while (!s->closing && !smtpd_is_over_limits(s)) {
		/* Nobody answers what was not sent: the parking flushes, and looks then. */
		if (!stream_has_input(s->session.stream)) {
			if (stream_error(s->session.stream) != STREAM_OK)
				break;
			if (session_draining(&s->session) && s->transaction == NULL) {
				smtpd_reply(s, 421, "4.3.2", "%s Service shutting down",
				    smtpd_server.params->myhostname);
				break;
			}
			s->session.deadline = deadline_in(s->params->smtpd_timeout * 1000);
			return SESSION_INPUT;
		}
		smtpd_run_command(s);
		if (stream_error(s->session.stream) != STREAM_OK)
			break;
		if (!s->closing && !smtpd_is_over_limits(s) && enter_tarpit(s))
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
	s->in_tarpit = false;
	return serve_commands(s);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * A connection from connect(2) to the point where MAIL may follow, and its end.
 *
 *   connect - [TLS of the wrapper mode] - greeting - EHLO - [STARTTLS - TLS - EHLO] - [AUTH]
 *           - ready
 *
 * Which TLS is wanted and what to log in with is known before anything is connected, so that a
 * table that fails costs nobody a connection.  A step that fails ends the way; its failure is the
 * host's.  Where TLS was required no step leads to MAIL without it.
 */
#include "smtp/smtp_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "deliver/delivery.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "smtp/smtp_handshake.h"
#include "smtp/smtp_sasl.h"
#include "smtp/smtp_tls.h"

void smtp_handshake_fail(struct smtp_handshake *h, const char *dsn, const char *format, ...)
{
	va_list args;

	/* As with the peer no other host is asked for what is final. */
	*h->failure = (struct smtp_failure){ .host = true, .stop = dsn[0] == '5' };
	va_start(args, format);
	reason_vset(&h->failure->why, dsn, format, args);
	va_end(args);
}

void smtp_handshake_refused(
    struct smtp_handshake *h, const char *intro, const char *verb, bool soft)
{
	const struct smtp_session *session = h->session;
	unsigned class = h->reply.code / 100;
	/* What fits no greeting is a protocol error, as with the peer. */
	char dsn[DSN_CODE_TEXT] = "5.5.0";

	if (class == 4 || class == 5)
		strcpy(dsn, h->reply.dsn[0] ? h->reply.dsn : class == 4 ? "4.0.0" : "5.0.0");
	if (soft)
		dsn[0] = '4';
	smtp_reply_join(&h->reply);
	smtp_handshake_fail(
	    h, dsn, "%shost %s %s: %s", intro, session->name, verb, h->reply.text.ptr);
	snprintf(
	    h->failure->remote_mta, sizeof(h->failure->remote_mta), "%s", session->target.host);
	snprintf(h->failure->diagnostic, sizeof(h->failure->diagnostic), "%s", h->reply.text.ptr);
}

/* ---- a session's life ---- */

static void copy_target(struct arena *arena, struct smtp_target *target)
{
	target->destination = arena_strdup(arena, target->destination);
	target->nexthop = arena_strdup(arena, target->nexthop);
	target->host = arena_strdup(arena, target->host);
	target->path = arena_strdup(arena, target->path);
	target->canonical = arena_strdup(arena, target->canonical);
}

static struct smtp_session *session_new(
    const struct delivery *delivery, const struct smtp_target *target)
{
	struct smtp_session *session = xcalloc(1, sizeof(*session));
	char text[NET_ADDR_TEXT];

	session->target = *target;
	copy_target(&session->arena, &session->target);
	if (target->path) {
		session->name =
		    arena_printf(&session->arena, "%s[%s]", smtp_params->myhostname, target->path);
		session->relay = session->name;
	} else {
		session->name = arena_printf(
		    &session->arena, "%s[%s]", target->host, net_addr_text(&target->addr, text));
		session->relay =
		    arena_printf(&session->arena, "%s:%u", session->name, target->port);
	}
	session->mechanisms = session->tls_summary = session->login_key = "";
	session->opened_ms = clock_ms();
	session->transfer_ms = -1;
	memcpy(session->id, delivery->request->id, sizeof(session->id));
	return session;
}

static void session_free(struct smtp_session *session)
{
	stream_free(session->stream);
	arena_release(&session->arena);
	free(session);
}

/* Waits for the answer for SECONDS; 0: not at all, and not for room to write either. */
static void say_goodbye(struct smtp_session *session, int64_t seconds, bool answer)
{
	struct smtp_failure failure;
	struct smtp_reply reply;

	smtp_say(session, "QUIT");
	stream_set_deadline(session->stream, seconds > 0 ? smtp_deadline(seconds) : clock_ms());
	if (answer) {
		smtp_reply_init(&reply);
		(void)smtp_hear_lines(session, seconds, "sending QUIT", &reply, &failure);
		smtp_reply_release(&reply);
	}
	(void)stream_finish(session->stream);
}

static bool can_talk(const struct smtp_session *session)
{
	return session->stream && !session->broken && stream_error(session->stream) == STREAM_OK;
}

void smtp_session_close(struct smtp_session *session)
{
	if (can_talk(session))
		say_goodbye(session, SMTP_PARAM(quit_timeout), !SMTP_PARAM(skip_quit_response));
	session_free(session);
}

void smtp_session_drop(struct smtp_session *session)
{
	if (can_talk(session))
		say_goodbye(session, 0, false);
	session_free(session);
}

/* ---- TLS ---- */

/* "tls=" of the log line, where TLS itself has not said it (smtp_tls.c). */
static void sum_up_success(struct smtp_session *session)
{
	char text[64];

	smtp_tls_describe(
	    session->policy, session->has_tls ? SMTP_TLS_USED : SMTP_TLS_UNUSED, text);
	session->tls_summary = arena_strdup(&session->arena, text);
}

static void sum_up_failure(struct smtp_handshake *h)
{
	if (!*h->failure->tls && h->session->policy)
		smtp_tls_describe(h->session->policy,
		    h->violated ? SMTP_TLS_VIOLATED : SMTP_TLS_UNDECIDED, h->failure->tls);
}

/* Any of these may not be without it. */
static bool needs_tls(const struct smtp_session *session)
{
	return session->policy->wrapper || session->policy->level > SMTP_TLS_MAY;
}

/*
 * At level may a failed handshake is tried again without TLS only for mail that has waited for a
 * while, and where no login was meant to be protected.
 */
static bool may_be_plain(const struct smtp_handshake *h)
{
	const struct delivery_request *request = h->delivery->request;
	int64_t waited_us = request->ready_us - request->arrival_us;

	return !needs_tls(h->session) && !h->session->login_key[0] &&
	       waited_us >= smtp_params->minimal_backoff_time * 1000000;
}

static bool start_tls(struct smtp_handshake *h, bool *plain_next)
{
	bool plain_would_do = false;

	*plain_next = false;
	if (smtp_tls_start(h->session, &plain_would_do, h->failure))
		return true;
	*plain_next = plain_would_do && may_be_plain(h);
	return false;
}

/* RFC 3207 4.2: what the server says before TLS cannot be an answer to what we say in it. */
static bool injected(struct smtp_handshake *h)
{
	if (!stream_has_input(h->session->stream))
		return false;
	h->session->broken = true;
	log_warning("%s: host %s sent more than a reply to STARTTLS before TLS", h->session->id,
	    h->session->relay);
	smtp_handshake_fail(h, "4.7.5", "Cannot start TLS: handshake failure");
	return true;
}

/*
 * postconf(5) smtp_tls_block_early_mail_reply: a server that says more than we asked for answers
 * somebody else, who got his commands in before us (CVE-2009-3555).
 */
static bool spoke_early(struct smtp_handshake *h)
{
	struct smtp_session *session = h->session;

	if (!SMTP_PARAM(tls_block_early_mail_reply) || !stream_poll_input(session->stream) ||
	    !stream_has_input(session->stream))
		return false;
	session->broken = true;
	smtp_handshake_fail(
	    h, "4.7.5", "host %s replied to more commands than we sent in TLS", session->name);
	return true;
}

static bool starttls(struct smtp_handshake *h, bool *plain_next)
{
	struct smtp_session *session = h->session;

	smtp_say(session, "STARTTLS");
	if (!smtp_hear_lines(session, SMTP_PARAM(starttls_timeout),
		"receiving the STARTTLS response", &h->reply, h->failure))
		return false;
	if (h->reply.code / 100 == 2) {
		if (injected(h) || !start_tls(h, plain_next))
			return false;
		/* All that was offered before is forgotten. */
		session->features =
		    (session->features & SMTP_FEATURE_PIX_DOTCRLF) | SMTP_FEATURE_ESMTP;
		if (smtp_ehlo(h))
			return !spoke_early(h);
		*plain_next = session->broken && may_be_plain(h);
		return false;
	}
	session->features &= ~(unsigned)SMTP_FEATURE_STARTTLS;
	if (needs_tls(session)) {
		h->violated = true;
		smtp_handshake_refused(h, "TLS is required, but ", "refused to start TLS", false);
		return false;
	}
	return true;
}

static void note_offer(const struct smtp_session *session)
{
	if ((session->features & SMTP_FEATURE_STARTTLS) && SMTP_PARAM(tls_note_starttls_offer) &&
	    session->policy->level == SMTP_TLS_NONE)
		log_info("Host offered STARTTLS: [%s]", session->target.host);
}

static bool tls_as_policy_wants(struct smtp_handshake *h, bool *plain_next)
{
	struct smtp_session *session = h->session;

	if (session->has_tls)
		return true;
	note_offer(session);
	if (session->policy->level != SMTP_TLS_NONE &&
	    (session->features & SMTP_FEATURE_STARTTLS)) {
		if (needs_tls(session) && !smtp_tls_is_available()) {
			smtp_handshake_fail(
			    h, "4.7.5", "TLS is required, but our TLS engine is unavailable");
			return false;
		}
		if (smtp_tls_is_available() && !starttls(h, plain_next))
			return false;
	}
	if (session->has_tls || !needs_tls(session))
		return true;
	h->violated = true;
	smtp_handshake_fail(
	    h, "4.7.4", "TLS is required, but was not offered by host %s", session->name);
	return false;
}

/* ---- the way ---- */

static bool greeting(struct smtp_handshake *h)
{
	if (!smtp_hear_lines(h->session, smtp_helo_timeout(),
		"receiving the initial server greeting", &h->reply, h->failure))
		return false;
	if (h->reply.code / 100 != 2) {
		smtp_handshake_refused(h, "", "refused to talk to me",
		    h->reply.code / 100 == 5 && SMTP_PARAM(skip_5xx_greeting));
		return false;
	}
	smtp_ehlo_greeted(h);
	return true;
}

static bool walk(struct smtp_handshake *h, bool *plain_next)
{
	if (h->session->policy->wrapper && !start_tls(h, plain_next))
		return false;
	return greeting(h) && smtp_ehlo(h) && tls_as_policy_wants(h, plain_next) &&
	       smtp_sasl_login(h->session, h->delivery->request->sender, h->failure);
}

static const struct smtp_tls_policy no_tls = { .level = SMTP_TLS_NONE, .key = "after TLS failed" };

static bool prepare(struct smtp_handshake *h, bool plain)
{
	struct smtp_session *session = h->session;

	if (!smtp_tls_policy(&session->target, &session->arena, &session->policy, h->failure) ||
	    !smtp_sasl_key(&session->target, h->delivery->request->sender, &session->arena,
		&session->login_key, h->failure))
		return false;
	/* A table may say otherwise by now, or DANE records have come. */
	if (plain && !needs_tls(session) && !session->login_key[0])
		session->policy = &no_tls;
	return true;
}

static bool connect_to(struct smtp_handshake *h)
{
	int fd = smtp_target_connect(&h->session->target, h->failure);

	if (fd == -1) {
		log_info("%s", h->failure->why.text);
		h->failure->host = h->failure->logged = true;
		return false;
	}
	h->session->connected_us = clock_wall_us();
	h->session->stream = stream_new(fd);
	return true;
}

/* For the log lines of recipients, when there is no session any more. */
static void note_relay(const struct smtp_handshake *h)
{
	if (!h->session->stream)
		return;
	snprintf(h->failure->relay, sizeof(h->failure->relay), "%s", h->session->relay);
	h->failure->connected_us = h->session->connected_us;
}

static struct smtp_session *open_once(const struct delivery *delivery,
    const struct smtp_target *target, bool plain, bool *plain_next, struct smtp_failure *failure)
{
	struct smtp_handshake h = {
		.session = session_new(delivery, target), .delivery = delivery, .failure = failure
	};
	bool ready;

	*failure = (struct smtp_failure){ 0 };
	*plain_next = false;
	smtp_reply_init(&h.reply);
	ready = prepare(&h, plain) && connect_to(&h) && walk(&h, plain_next);
	smtp_reply_release(&h.reply);
	if (ready) {
		sum_up_success(h.session);
		/* No other delivery is to go without TLS for what happened to this one. */
		h.session->ending = plain;
		return h.session;
	}
	sum_up_failure(&h);
	note_relay(&h);
	smtp_session_close(h.session);
	return NULL;
}

struct smtp_session *smtp_session_open(
    const struct delivery *delivery, const struct smtp_target *target, struct smtp_failure *failure)
{
	bool plain_next;
	struct smtp_session *session;

	session = open_once(delivery, target, false, &plain_next, failure);
	if (!session && plain_next)
		session = open_once(delivery, target, true, &plain_next, failure);
	return session;
}

void smtp_session_prepare(const struct postfix_params *params)
{
	smtp_hear_prepare(params);
	smtp_ehlo_prepare(params);
}

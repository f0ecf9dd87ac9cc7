// SPDX-License-Identifier: BSD-2-Clause
/* Failures as the log and notices tell them (postfix.md 7.2). */
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "mail/dsn.h"
#include "smtp/smtp_session.h"

int64_t smtp_deadline(int64_t seconds)
{
	return seconds > 0 ? deadline_in(seconds * 1000) : DEADLINE_NEVER;
}

void smtp_fail(struct smtp_failure *failure, bool host, const char *dsn, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason_vset(&failure->why, dsn, format, args);
	va_end(args);
	failure->host = host;
	failure->stop = false;
	failure->remote_mta[0] = failure->diagnostic[0] = '\0';
}

void smtp_refused(const struct smtp_session *session, const struct smtp_reply *reply,
    const char *command, struct smtp_failure *failure)
{
	unsigned class = reply->code / 100;
	bool is_refusal = class == 4 || class == 5;
	char dsn[DSN_CODE_TEXT] = "5.0.0";

	/* An enhanced code of another class than the reply's says nothing. */
	if (reply->dsn[0] != '\0')
		strcpy(dsn, reply->dsn);
	else if (is_refusal)
		dsn[0] = (char)('0' + class);
	smtp_fail(failure, false, is_refusal ? dsn : "5.5.0",
	    "%shost %s said: %s (in reply to %s command)",
	    is_refusal ? "" : "Protocol error: ", session->name, reply->text.ptr, command);
	(void)snprintf(
	    failure->remote_mta, sizeof(failure->remote_mta), "%s", session->target.host);
	(void)snprintf(failure->diagnostic, sizeof(failure->diagnostic), "%s", reply->text.ptr);
}

/* "tls=may, " */
static const char *tls_text(
    const struct smtp_session *session, const struct smtp_failure *failure, struct arena *arena)
{
	const char *tls = session ? session->tls_summary : failure->tls;

	if (!tls || !*tls)
		return NULL;
	return arena_printf(arena, "tls=%s, ", tls);
}

struct delivery_outcome smtp_outcome(
    const struct smtp_session *session, const struct smtp_failure *failure, struct arena *arena)
{
	struct delivery_outcome o = {
		.status = reason_is_permanent(&failure->why) ? DELIVERY_BOUNCED : DELIVERY_DEFERRED,
		.why = failure->why,
		.remote_mta = failure->remote_mta,
		.diagnostic = failure->diagnostic,
		.extra = tls_text(session, failure, arena)
	};

	if (session) {
		o.relay = session->relay;
		o.conn_use = session->used;
		o.connected_us = session->connected_us;
	} else if (failure->relay[0] != '\0') {
		o.relay = failure->relay;
		o.connected_us = failure->connected_us;
	}
	return o;
}

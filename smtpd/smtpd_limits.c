// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/smtpd_limits.h"

#include "base/check.h"
#include "log/log.h"
#include "smtpd/smtpd.h"

static const struct {
	const char *name; /* in the log */
	unsigned code;
	const char *dsn, *text; /* of the refusal; before the client's name */
} events[ANVIL_EVENTS] = {
	[ANVIL_CONNECTION] = { "Connection rate", 421, "4.7.0", "too many connections" },
	[ANVIL_MESSAGE] = { "Message delivery request rate", 450, "4.7.1", "too much mail" },
	[ANVIL_RECIPIENT] = { "Recipient address rate", 450, "4.7.1", "too many recipients" },
	[ANVIL_NEW_TLS] = { "New TLS session rate", 421, "4.7.0", "too many new TLS sessions" },
	[ANVIL_AUTH] = { "AUTH command rate", 450, "4.7.1", "too many AUTH commands" },
};

static struct {
	struct anvil *anvil; /* NULL: nothing is limited, so nothing is counted */
	struct match_list *exceptions;
	unsigned connections; /* at a time; 0: no limit, like those that follow */
	unsigned rates[ANVIL_EVENTS];
} limits;

static unsigned limit_of(int value)
{
	return value > 0 ? (unsigned)value : 0;
}

static bool read_limits(const struct postfix_params *p)
{
	bool any;

	limits.connections = limit_of(p->smtpd_client_connection_count_limit);
	limits.rates[ANVIL_CONNECTION] = limit_of(p->smtpd_client_connection_rate_limit);
	limits.rates[ANVIL_MESSAGE] = limit_of(p->smtpd_client_message_rate_limit);
	limits.rates[ANVIL_RECIPIENT] = limit_of(p->smtpd_client_recipient_rate_limit);
	limits.rates[ANVIL_NEW_TLS] = limit_of(p->smtpd_client_new_tls_session_rate_limit);
	limits.rates[ANVIL_AUTH] = limit_of(p->smtpd_client_auth_rate_limit);
	any = limits.connections > 0;
	for (unsigned i = 0; i < ANVIL_EVENTS; i++)
		any = any || limits.rates[i] > 0;
	return any;
}

void smtpd_limits_open(const struct server_context *ctx)
{
	const struct postfix_params *p = ctx->params, *role = server_role("anvil", "unix");

	if (!read_limits(p))
		return;
	limits.exceptions = match_list_new(
	    p, "smtpd_client_event_limit_exceptions", p->smtpd_client_event_limit_exceptions);
	limits.anvil = anvil_new(&(struct anvil_config){
	    .shared = ctx->shared,
	    .service = ctx->service,
	    .time_unit_s = role->anvil_rate_time_unit,
	    .ipv4_prefix = limit_of(p->smtpd_client_ipv4_prefix_length),
	    .ipv6_prefix = limit_of(p->smtpd_client_ipv6_prefix_length),
	    .status_update_ms = role->anvil_status_update_time * 1000,
	    .max_idle_ms = role->max_idle * 1000,
	    .log_name = server_role_log_name("anvil", "unix", "anvil"),
	    .loop = ctx->loop,
	});
}

static bool is_exempt(const struct smtpd *s)
{
	return limits.anvil == NULL || s->may_xclient ||
	       match_list_client(limits.exceptions, slice_of(s->client_name), &s->session.peer) ==
		   MATCH_YES;
}

static void log_exceeded(const struct smtpd *s, const char *what, unsigned count)
{
	log_warning("%s limit exceeded: %u from %s for service %s", what, count, s->name_addr,
	    smtpd_server.ctx->service);
}

static bool refuse(struct smtpd *s, enum anvil_event event)
{
	if (events[event].code == 421)
		smtpd_reply(s, 421, events[event].dsn, "%s Error: %s from %s",
		    smtpd_server.params->myhostname, events[event].text,
		    event == ANVIL_NEW_TLS ? s->name_addr : s->client_address);
	else
		smtpd_reply(s, events[event].code, events[event].dsn, "Error: %s from %s",
		    events[event].text, s->client_address);
	return false;
}

bool smtpd_limit_connection(struct smtpd *s)
{
	unsigned count, rate;

	smtpd_limits_close(s);
	s->unlimited = is_exempt(s);
	if (s->unlimited)
		return true;
	anvil_connect(limits.anvil, &s->session.peer, &s->anvil, &count, &rate);
	if (limits.connections > 0 && count > limits.connections) {
		log_exceeded(s, "Connection concurrency", count);
		return refuse(s, ANVIL_CONNECTION);
	}
	if (limits.rates[ANVIL_CONNECTION] > 0 && rate > limits.rates[ANVIL_CONNECTION]) {
		log_exceeded(s, events[ANVIL_CONNECTION].name, rate);
		return refuse(s, ANVIL_CONNECTION);
	}
	return true;
}

void smtpd_limits_close(struct smtpd *s)
{
	if (limits.anvil != NULL)
		anvil_disconnect(limits.anvil, &s->anvil);
}

bool smtpd_limit_event(struct smtpd *s, enum anvil_event event)
{
	unsigned rate;

	if (limits.rates[event] == 0 || s->unlimited)
		return true;
	rate = anvil_add(limits.anvil, &s->session.peer, event);
	if (rate <= limits.rates[event])
		return true;
	log_exceeded(s, events[event].name, rate);
	return refuse(s, event);
}

bool smtpd_limit_has_tls_left(struct smtpd *s, const char *what)
{
	unsigned limit = limits.rates[ANVIL_NEW_TLS];

	if (limit == 0 || is_exempt(s) ||
	    anvil_rate(limits.anvil, &s->session.peer, ANVIL_NEW_TLS) <= limit)
		return true;
	log_warning("Refusing %s request from %s for service %s", what, s->name_addr,
	    smtpd_server.ctx->service);
	return false;
}

bool smtpd_limit_new_tls(struct smtpd *s)
{
	s->unlimited = is_exempt(s); /* in wrapper mode this is before all else */
	return smtpd_limit_event(s, ANVIL_NEW_TLS);
}

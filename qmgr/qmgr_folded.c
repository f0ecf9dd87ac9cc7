// SPDX-License-Identifier: BSD-2-Clause
/*
 * error(8), retry and discard(8) need no process: what they do is done here, under the names of
 * their master.cf entries.  What the peer hands to its retry service is deferred here, too.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "qmgr/qmgr_transport.h"

static void report(
    struct message *m, size_t index, const struct delivery_outcome *outcome, const char *log_name)
{
	struct delivery_request request = { .number = 0 };
	struct delivery_recipient recipient = { .address = m->recipients[index].address,
		.original = m->env->recipients[index].original };
	int64_t now = clock_wall_us();

	message_fill_request(m, &request);
	delivery_log(log_name, &request, &recipient, outcome, now, now,
	    (int)qm.params->delay_logging_resolution_limit);
	message_result(m, index, outcome);
}

void transport_defer(struct message *m, size_t index, const struct reason *why)
{
	struct delivery_outcome outcome = { .status = DELIVERY_DEFERRED, .why = *why };

	report(m, index, &outcome, server_role_log_name("retry", "unix", "error"));
}

static const struct {
	const char *program, *dsn, *who; /* that complains of a code of another class */
	enum delivery_status status;
} folded[] = {
	[TRANSPORT_ERROR] = { "error", "5.0.0", "bounce_append", DELIVERY_BOUNCED },
	[TRANSPORT_RETRY] = { "error", "4.0.0", "defer_append", DELIVERY_DEFERRED },
	[TRANSPORT_DISCARD] = { "discard", "2.0.0", "sent", DELIVERY_SENT },
};

enum transport_kind folded_kind(const char *name, const struct postfix_service *service)
{
	const char *program = service ? service->program : name;

	if (strcmp(program, "discard") == 0)
		return TRANSPORT_DISCARD;
	if (strcmp(program, "error") != 0 && (service || strcmp(name, "retry") != 0))
		return TRANSPORT_AGENT;
	return strcmp(name, "retry") == 0 ? TRANSPORT_RETRY : TRANSPORT_ERROR;
}

void folded_deliver(const struct transport *t, struct message *m, size_t index)
{
	const char *log_name = server_role_log_name(t->name, "unix", folded[t->kind].program);
	struct delivery_outcome outcome = { .status = folded[t->kind].status };
	struct slice text = slice_of(m->recipients[index].nexthop);
	const char *usual = folded[t->kind].dsn;
	char dsn[DSN_CODE_TEXT];

	if (!dsn_take(&text, dsn)) {
		strcpy(dsn, usual);
	} else if (dsn[0] != usual[0]) {
		log_as(log_name, LOG_LEVEL_WARNING, "%s: ignoring dsn code \"%s\"",
		    folded[t->kind].who, dsn);
		strcpy(dsn, usual);
	}
	if (outcome.status == DELIVERY_BOUNCED && qm.params->soft_bounce) {
		outcome.status = DELIVERY_DEFERRED;
		outcome.softened = true;
		dsn[0] = '4';
	}
	reason_set(&outcome.why, dsn, "%.*s", SLICE_ARG(text));
	report(m, index, &outcome, log_name);
}

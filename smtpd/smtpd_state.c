// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a session remembers between two commands, and how it forgets: a transaction, a HELO, a
 * login.  And the facts of all that for the restrictions.
 */
#include <stdlib.h>
#include <string.h>

#include "smtpd/smtpd.h"
#include "smtpd/smtpd_xclient.h"

const char *smtpd_queue_id(const struct smtpd *s)
{
	if (s->transaction == NULL || s->transaction->intake == NULL)
		return NULL;
	return intake_id(s->transaction->intake);
}

/* RFC 3848, RFC 5321 4.4, RFC 6531 3.7.3. */
const char *smtpd_protocol(const struct smtpd *s)
{
	static const char *const names[2][2][2] = {
		{ { "SMTP", "SMTP" }, { "SMTP", "SMTP" } },
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },
	};
	static const char *const utf8_names[2][2] = { { "UTF8SMTP", "UTF8SMTPA" },
		{ "UTF8SMTPS", "UTF8SMTPSA" } };

	if (s->transaction != NULL && s->transaction->smtputf8)
		return utf8_names[stream_tls(s->session.stream) != NULL][s->sasl_username != NULL];
	return names[s->esmtp][stream_tls(s->session.stream) != NULL][s->sasl_username != NULL];
}

static bool check(struct smtpd *s, enum restrict_stage stage, const char *command,
    struct slice address, const char *etrn_domain, struct restrict_verdict *verdict)
{
	struct smtpd_transaction *t = s->transaction;
	struct restrict_facts facts = {
		.command = command,
		.queue_id = smtpd_queue_id(s),
		.client_name = s->client_name,
		.client_address = s->client_address,
		.client_addr = &s->session.peer,
		.client_port = net_addr_port(&s->session.peer),
		.reverse_name = s->reverse_name,
		.client_name_failed = s->client_name_failed,
		.reverse_name_failed = s->reverse_name_failed,
		/* It is ESMTP once EHLO is accepted. */
		.protocol = s->esmtp ? "ESMTP" : "SMTP",
		.helo = s->helo,
		.sender = t != NULL ? t->sender : SLICE_NULL,
		.recipient = address,
		.recipient_count = t != NULL ? t->recipient_count : 0,
		.size = t != NULL ? t->size : 0,
		.etrn_domain = etrn_domain,
		/* A login that only XCLIENT speaks of is none where there is no SASL. */
		.sasl_method = smtpd_server.auth != NULL ? s->sasl_method : NULL,
		.sasl_username = smtpd_server.auth != NULL ? s->sasl_username : NULL,
		.sasl_sender = t != NULL ? t->sasl_sender : NULL,
		.pipelined = s->pipelined,
	};
	smtpd_tls_facts(s, &facts);
	if (stage == RESTRICT_END_OF_DATA && t != NULL && t->intake != NULL)
		facts.size = (uint64_t)intake_size(t->intake);
	return restrict_check(smtpd_server.restrictions, stage, &facts, &s->findings,
	    t != NULL ? &t->findings : NULL, verdict);
}

bool smtpd_check(struct smtpd *s, enum restrict_stage stage, struct slice address,
    struct restrict_verdict *verdict)
{
	const char *command = NULL;

	if (stage == RESTRICT_HELO ||
	    (stage == RESTRICT_CONNECT && strcmp(s->where, "XCLIENT") == 0))
		command = s->where;
	if (stage == RESTRICT_END_OF_DATA)
		return smtpd_check_command(s, stage, command, verdict);
	return check(s, stage, command, address, NULL, verdict);
}

bool smtpd_check_command(struct smtpd *s, enum restrict_stage stage, const char *command,
    struct restrict_verdict *verdict)
{
	const struct smtpd_transaction *t = s->transaction;

	/* With several of them it is about none of them (as with the peer). */
	return check(s, stage, command,
	    t != NULL && t->recipient_count == 1 ? t->only_recipient : SLICE_NULL, NULL, verdict);
}

bool smtpd_check_etrn(struct smtpd *s, const char *site, struct restrict_verdict *verdict)
{
	return check(s, RESTRICT_ETRN, NULL, SLICE_NULL, site, verdict);
}

void smtpd_transaction_end(struct smtpd *s)
{
	struct smtpd_transaction *t = s->transaction;

	s->bdat = BDAT_NONE;
	s->bdat_bytes = 0;
	s->data_bytes = -1;
	smtpd_forget_forwarded(s);
	if (t == NULL)
		return;
	s->transaction = NULL;
	chunk_lines_release(&t->chunks);
	intake_free(t->intake);
	arena_release(&t->arena);
	free(t);
}

void smtpd_keep_connect_findings(struct smtpd *s)
{
	s->connect_findings = s->findings;
	s->findings.arena = &s->helo_arena;
}

void smtpd_helo_reset(struct smtpd *s)
{
	smtpd_transaction_end(s);
	s->helo = NULL;
	s->findings = s->connect_findings;
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

// SPDX-License-Identifier: BSD-2-Clause
/* HELO and EHLO. */
#include "smtpd/smtpd.h"

/* Bytes that would end a comment, a word or an address in Received:. */
#define NEUTER " <>()\\\";@"

/* The name a client gives; false when the refusal was sent. */
static bool take_helo(struct smtpd *s, struct slice args, bool esmtp)
{
	struct restrict_verdict verdict;
	const char *verb = esmtp ? "EHLO" : "HELO";

	if (args.len == 0) {
		smtpd_reply(s, 501, NULL, "Syntax: %s hostname", verb);
		return false;
	}
	/* RFC 5321 4.1.4: like RSET; the login stays, RFC 4954 4. */
	smtpd_helo_reset(s);
	char *name = arena_slicedup(&s->helo_arena, slice_first(args, 255));

	s->helo = name;
	s->esmtp = esmtp;
	if (!smtpd_check(s, RESTRICT_HELO, SLICE_NULL, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
		smtpd_helo_reset(s);
		return false;
	}
	smtpd_neuter(name, NEUTER);
	return true;
}

void smtpd_helo(struct smtpd *s, struct slice args)
{
	if (take_helo(s, args, false))
		smtpd_reply(s, 250, NULL, "%s", smtpd_server.params->myhostname);
}

static void say_auth(struct smtpd *s)
{
	struct strbuf mechanisms = STRBUF_INIT(400);

	smtpd_auth_mechanisms(s, &mechanisms);
	if (mechanisms.len > 0) {
		smtpd_reply_more(s, 250, "AUTH %s", mechanisms.ptr);
		if (smtpd_server.params->broken_sasl_auth_clients)
			smtpd_reply_more(s, 250, "AUTH=%s", mechanisms.ptr);
	}
	strbuf_release(&mechanisms);
}

void smtpd_ehlo(struct smtpd *s, struct slice args)
{
	const struct postfix_params *p = smtpd_server.params;
	unsigned shown = ~smtpd_server.hidden_keywords;
	bool tls = stream_tls(s->session.stream) != NULL;

	if (!take_helo(s, args, true))
		return;
	smtpd_reply_more(s, 250, "%s", p->myhostname);
	if (shown & KEYWORD_PIPELINING)
		smtpd_reply_more(s, 250, "PIPELINING");
	if (shown & KEYWORD_SIZE)
		smtpd_reply_more(s, 250, p->message_size_limit > 0 ? "SIZE %lld" : "SIZE",
		    (long long)p->message_size_limit);
	if ((shown & KEYWORD_VRFY) && !p->disable_vrfy_command)
		smtpd_reply_more(s, 250, "VRFY");
	if ((shown & KEYWORD_STARTTLS) && smtpd_server.tls != NULL && !tls)
		smtpd_reply_more(s, 250, "STARTTLS");
	if ((shown & KEYWORD_AUTH) && smtpd_auth_allowed(s))
		say_auth(s);
	if (shown & KEYWORD_ENHANCED)
		smtpd_reply_more(s, 250, "ENHANCEDSTATUSCODES");
	if (shown & KEYWORD_8BITMIME) {
		smtpd_reply(s, 250, NULL, "8BITMIME");
		return;
	}
	smtpd_reply(s, 250, NULL, "OK");
}

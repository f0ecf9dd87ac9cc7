// SPDX-License-Identifier: BSD-2-Clause
/* HELO and EHLO. */
#include "log/log.h"
#include "smtpd/smtpd_keywords.h"

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
	char *name = arena_slicedup(&s->helo_arena, args);

	s->helo = name;
	if (!smtpd_check(s, RESTRICT_HELO, SLICE_NULL, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
		smtpd_helo_reset(s);
		return false;
	}
	/* Neither a later HELO nor STARTTLS takes that back: the client may have pipelined. */
	s->esmtp |= esmtp;
	smtpd_neuter(name, NEUTER);
	if (!smtpd_server.params->smtputf8_enable)
		for (char *at = name; *at != '\0'; at++)
			if ((unsigned char)*at >= 0x80)
				*at = '?';
	return true;
}

void smtpd_helo(struct smtpd *s, struct slice args)
{
	if (take_helo(s, args, false))
		smtpd_reply(s, 250, NULL, "%s", smtpd_server.params->myhostname);
}

void smtpd_ehlo(struct smtpd *s, struct slice args)
{
	const char *myhostname = smtpd_server.params->myhostname;
	struct strbuf text = STRBUF_INIT(8192);

	if (!take_helo(s, args, true))
		return;
	strbuf_addstr(&text, myhostname);
	if (smtpd_keywords_announce(s, &text)) {
		smtpd_reply(s, 250, NULL, "%s", text.ptr);
	} else {
		log_warning("don't know what EHLO features to announce to %s", s->name_addr);
		log_info("NOQUEUE: reject: EHLO from %s: 421 4.3.0 %s Server local data error",
		    s->name_addr, myhostname);
		smtpd_reply(s, 421, "4.3.0", "%s Server local data error", myhostname);
	}
	strbuf_release(&text);
}

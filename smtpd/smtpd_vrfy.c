// SPDX-License-Identifier: BSD-2-Clause
/* VRFY, which tells nobody anything. */
#include "mail/address.h"
#include "smtpd/smtpd.h"

/* RFC 5321 3.5.3: never more than "252": who has a mailbox is told at RCPT. */
void smtpd_vrfy(struct smtpd *s, struct slice args)
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

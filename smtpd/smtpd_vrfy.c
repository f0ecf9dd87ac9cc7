// SPDX-License-Identifier: BSD-2-Clause
/*
 * VRFY, which says no more than RCPT would: RFC 5321 3.5.3, never more than "252"; with SMTPUTF8
 * (RFC 6531 3.7.4.2) where that is announced.
 */
#include "base/codec.h"
#include "log/log.h"
#include "smtpd/smtpd_args.h"
#include "smtpd/smtpd_keywords.h"

/* Takes the word SMTPUTF8 off the end of *ARGS. */
static bool take_smtputf8(struct slice *args)
{
	static const char word[] = "SMTPUTF8";
	size_t len = sizeof(word) - 1;
	bool alone = args->len == len;

	if (args->len < len || !slice_caseeq_str(slice_from(*args, args->len - len), word) ||
	    (!alone && slice_find(SLICE_LIT(" \t"), args->ptr[args->len - len - 1]) < 0))
		return false;
	*args = slice_trim(slice_first(*args, args->len - len), " \t");
	return true;
}

static bool take_address(struct slice args, bool utf8, struct strbuf *address)
{
	return smtpd_args_path(&args, utf8 ? ADDRESS_UTF8 : 0, address) == ADDRESS_OK &&
	       slice_trim(args, " \t").len == 0;
}

void smtpd_vrfy(struct smtpd *s, struct slice args)
{
	const struct postfix_params *p = smtpd_server.params;
	bool utf8 = !(smtpd_hidden_keywords(s) & KEYWORD_SMTPUTF8);
	bool declared = utf8 && take_smtputf8(&args);
	struct strbuf address = STRBUF_INIT(ADDRESS_MAX);
	struct restrict_verdict verdict;

	if (p->disable_vrfy_command) {
		smtpd_reply(s, 502, "5.5.1", "VRFY command is disabled");
	} else if (args.len == 0) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: VRFY address%s", utf8 ? " [SMTPUTF8]" : "");
	} else if (!ascii_is_valid(args) && (!utf8 || (p->strict_smtputf8 && !declared))) {
		smtpd_reply(s, 553, "5.6.7", "Must declare SMTPUTF8 to send unicode address");
	} else if (!take_address(args, utf8, &address)) {
		log_warning("Illegal address syntax from %s in VRFY command: %.*s", s->name_addr,
		    SLICE_ARG(slice_first(args, 1000)));
		smtpd_reply(s, 501, "5.1.3", "Bad recipient address syntax");
	} else if (!smtpd_check(s, RESTRICT_VRFY, strbuf_slice(&address), &verdict)) {
		smtpd_reply_verdict(s, &verdict);
	} else {
		smtpd_reply(s, 252, "2.0.0", "%.*s", SLICE_ARG(args));
	}
	strbuf_release(&address);
}

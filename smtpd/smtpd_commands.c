// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/smtpd_commands.h"

#include "base/check.h"

#define IN_MAIL "Error: MAIL transaction in progress"

/*
 * What follows STARTTLS in clear is forgotten, as with the peer, not refused: smtpd_tls.c.
 * RFC 5321 4.1, RFC 3207 4, RFC 4954 4, RFC 3030 2, RFC 1985 5.
 */
const struct smtpd_command smtpd_commands[] = {
	{ "HELO", smtpd_helo, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS, NULL },
	{ "EHLO", smtpd_ehlo, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS, NULL },
	{ "XCLIENT", smtpd_xclient, CMD_BEFORE_TLS | CMD_RESTART, IN_MAIL },
	{ "XFORWARD", smtpd_xforward, CMD_BEFORE_TLS, IN_MAIL },
	{ "STARTTLS", smtpd_starttls, CMD_NO_ARGS | CMD_BEFORE_TLS, NULL },
	{ "AUTH", smtpd_auth, CMD_NEED_HELO, NULL },
	{ "MAIL", smtpd_mail, CMD_NEED_HELO | CMD_NO_BDAT, "Error: nested MAIL command" },
	{ "RCPT", smtpd_rcpt, CMD_NEED_MAIL | CMD_NO_BDAT, NULL },
	{ "DATA", smtpd_data, CMD_LAST | CMD_NO_BDAT, NULL },
	{ "BDAT", smtpd_bdat, 0, NULL },
	{ "RSET", smtpd_rset, CMD_NO_ARGS | CMD_JUNK, NULL },
	{ "NOOP", smtpd_noop, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS, NULL },
	{ "VRFY", smtpd_vrfy, CMD_JUNK | CMD_LAST, NULL },
	{ "ETRN", smtpd_etrn, CMD_NEED_HELO | CMD_JUNK, NULL },
	{ "QUIT", smtpd_quit, CMD_BEFORE_TLS | CMD_END, NULL },
	{ "HELP", smtpd_help, CMD_BEFORE_TLS, NULL },
	{ "UNKNOWN", NULL, 0, NULL },
};
const size_t smtpd_command_count = ARRAY_LEN(smtpd_commands);

_Static_assert(ARRAY_LEN(smtpd_commands) <= SMTPD_COMMANDS_MAX, "a counter for each command");

size_t smtpd_command_unknown(void)
{
	return ARRAY_LEN(smtpd_commands) - 1;
}

size_t smtpd_command_find(struct slice verb)
{
	for (size_t i = 0; i < smtpd_command_unknown(); i++)
		if (slice_caseeq_str(verb, smtpd_commands[i].verb))
			return i;
	return smtpd_command_unknown();
}

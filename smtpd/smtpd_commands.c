// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/smtpd_commands.h"

#include "base/check.h"

static bool has_auth(const struct smtpd *s)
{
	(void)s;
	return smtpd_server.auth != NULL;
}

static bool has_starttls(const struct smtpd *s)
{
	(void)s;
	return smtpd_server.tls != NULL;
}

static bool has_vrfy(const struct smtpd *s)
{
	(void)s;
	return !smtpd_server.params->disable_vrfy_command;
}

static bool has_no_help(const struct smtpd *s)
{
	(void)s;
	return false;
}

/* RFC 5321 4.1, RFC 3207 4, RFC 4954 4. */
const struct smtpd_command smtpd_commands[] = {
	{ "HELO", smtpd_helo, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS, NULL, NULL },
	{ "EHLO", smtpd_ehlo, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS, NULL, NULL },
	{ "STARTTLS", smtpd_starttls, CMD_NO_ARGS | CMD_LAST | CMD_BEFORE_TLS, NULL, has_starttls },
	{ "AUTH", smtpd_auth, CMD_NEED_HELO, "Error: MAIL transaction in progress", has_auth },
	{ "MAIL", smtpd_mail, CMD_NEED_HELO_IF_REQUIRED, "Error: nested MAIL command", NULL },
	{ "RCPT", smtpd_rcpt, CMD_NEED_MAIL, NULL, NULL },
	{ "DATA", smtpd_data, CMD_LAST, NULL, NULL },
	{ "RSET", smtpd_rset, CMD_NO_ARGS | CMD_JUNK, NULL, NULL },
	{ "NOOP", smtpd_noop, CMD_JUNK | CMD_LAST | CMD_BEFORE_TLS, NULL, NULL },
	{ "VRFY", smtpd_vrfy, CMD_JUNK | CMD_LAST, NULL, has_vrfy },
	{ "ETRN", smtpd_etrn, CMD_JUNK, NULL, has_no_help },
	{ "QUIT", smtpd_quit, CMD_BEFORE_TLS | CMD_END, NULL, NULL },
	{ "HELP", smtpd_help, CMD_BEFORE_TLS, NULL, NULL },
	{ "UNKNOWN", NULL, 0, NULL, has_no_help },
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

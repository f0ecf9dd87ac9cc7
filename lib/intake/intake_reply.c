// SPDX-License-Identifier: BSD-2-Clause
/* What smtpd and pickup need to know of the intake's parameters and answers. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "intake/intake.h"
#include "log/log.h"

unsigned intake_overrides(const char *receive_override_options)
{
	static const struct {
		const char *word;
		unsigned bits;
	} words[] = {
		{ "no_address_mappings", INTAKE_NO_MAPPINGS },
		{ "no_header_body_checks", INTAKE_NO_CHECKS },
		{ "no_milters", 0 },		      /* there are none */
		{ "no_unknown_recipient_checks", 0 }, /* the SMTP server's own affair */
	};
	struct slice rest = slice_of(receive_override_options), word;
	unsigned bits = 0;

	while (slice_token(&rest, " \t\r\n,", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(words) && !slice_caseeq_str(word, words[i].word))
			i++;
		if (i < ARRAY_LEN(words))
			bits |= words[i].bits;
		else
			log_warning(
			    "unknown receive_override_options value \"%.*s\"", SLICE_ARG(word));
	}
	return bits;
}

/* Reasons of our own; all others come from tables, and their words are their authors'. */
static const struct {
	unsigned code;
	const char *dsn, *text;
} rows[] = {
	{ 451, "4.3.0", "queue file write error" },
	{ 451, "4.3.0", "internal protocol error" },
	{ 552, "5.3.4", "message file too big" },
	{ 552, "5.3.4", "message header too big" },
	{ 554, "5.4.0", "too many hops" },
	{ 550, "5.1.0", "no recipients specified" },
};

unsigned intake_reply(const struct reason *why, char text[600])
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(why->dsn, rows[i].dsn) == 0 && strcmp(why->text, rows[i].text) == 0) {
			(void)snprintf(text, 600, "Error: %s", why->text);
			return rows[i].code;
		}
	(void)snprintf(text, 600, "%s", why->text);
	return reason_is_permanent(why) ? 550 : 451;
}

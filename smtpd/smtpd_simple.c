// SPDX-License-Identifier: BSD-2-Clause
/* The commands that need few words: RSET, NOOP, QUIT, HELP. */
#include <string.h>

#include "smtpd/smtpd_commands.h"

void smtpd_rset(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_transaction_end(s);
	smtpd_reply(s, 250, "2.0.0", "Ok");
}

void smtpd_noop(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_reply(s, 250, "2.0.0", "Ok");
}

void smtpd_quit(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_reply(s, 221, "2.0.0", "Bye");
	s->closing = true;
}

/* The next verb by alphabet after LAST; NULL: that was the last one. */
static const char *next_verb(const char *last)
{
	const char *next = NULL;

	for (size_t i = 0; i < smtpd_command_count; i++) {
		const struct smtpd_command *c = &smtpd_commands[i];

		if (c->run != NULL && strcmp(c->verb, last) > 0 &&
		    (next == NULL || strcmp(c->verb, next) < 0))
			next = c->verb;
	}
	return next;
}

void smtpd_help(struct smtpd *s, struct slice args)
{
	struct strbuf list = STRBUF_INIT(512);

	(void)args;
	for (const char *verb = next_verb(""); verb != NULL; verb = next_verb(verb))
		strbuf_addf(&list, " %s", verb);
	smtpd_reply(s, 214, "2.0.0", "Commands:%s", list.ptr);
	strbuf_release(&list);
}

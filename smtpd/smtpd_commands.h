// SPDX-License-Identifier: BSD-2-Clause
/*
 * The commands of SMTP, one row each in smtpd_commands.c: what runs them, what must be before, what
 * may follow in the same packet, whether HELP names them.  The dialogue enforces the columns; HELP
 * and the disconnect line print from them.  To add a command is to add a row and a handler.
 */
#ifndef PC_SMTPD_SMTPD_COMMANDS_H
#define PC_SMTPD_SMTPD_COMMANDS_H

#include "smtpd/smtpd.h"

enum smtpd_command_flags {
	CMD_NEED_HELO = 1, /* where smtpd_helo_required says so */
	CMD_NEED_MAIL = 2,
	CMD_NO_ARGS = 8,     /* else "501 5.5.4 Syntax: VERB" */
	CMD_JUNK = 16,	     /* counted by smtpd_junk_command_limit */
	CMD_LAST = 32,	     /* nothing may follow before its reply (RFC 2920 3.1) */
	CMD_BEFORE_TLS = 64, /* works where TLS is required and not there yet */
	CMD_END = 128,	     /* works for a client that was refused at its connection */
	CMD_NO_BDAT = 256,   /* not between two chunks of a message */
	CMD_RESTART = 512    /* the session begins anew: it never counts as done */
};

struct smtpd_command {
	const char *verb;
	smtpd_handler *run;
	unsigned flags;
	/* What is said when a transaction is open; NULL: that is no matter. */
	const char *in_mail;
};

/* In the order of the disconnect line; the last one stands for all that are unknown. */
extern const struct smtpd_command smtpd_commands[];
extern const size_t smtpd_command_count;

/* The row of a verb, the unknown's for none of ours. */
size_t smtpd_command_find(struct slice verb);
/* The row that stands for unknown commands. */
size_t smtpd_command_unknown(void);

#endif

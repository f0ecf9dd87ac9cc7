// SPDX-License-Identifier: BSD-2-Clause
/* What the files of sendmail share: the options of a submission, and how it ends. */
#ifndef PC_CMD_SENDMAIL_H
#define PC_CMD_SENDMAIL_H

#include <stdbool.h>

#include "conf/postfix_conf.h"

/* Every failure is one that is worth another try, as far as callers are told (sysexits.h). */
#define SENDMAIL_FAILED 75

struct sendmail {
	const struct postfix_params *params;
	const char *sender, *full_name; /* NULL: the user's */
	const char *encoding;		/* "7bit", "8bit", or NULL */
	const char *envelope_id;
	const char *verp;     /* delimiters of VERP, "" for the default ones, or NULL */
	unsigned notify, ret; /* enum dsn_notify, dsn_ret */
	unsigned sendopts;    /* enum queue_sendopts */
	unsigned trace;	      /* enum envelope_trace: -bv or -v; 0: no report */
	bool extract;	      /* -t */
	bool ignore_dots;     /* -i */
	bool remote;	      /* -G */
	char **recipients;    /* of the command line, NULL-terminated */
};

/* Logs and exits with SENDMAIL_FAILED. */
_Noreturn void sendmail_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* SMTP on standard input and output, until QUIT or the end. */
void sendmail_smtp(const struct postfix_params *params);
/* Gives the message on standard input to postdrop; returns when it is in maildrop. */
void sendmail_submit(const struct sendmail *sm);

#endif

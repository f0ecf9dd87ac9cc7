// SPDX-License-Identifier: BSD-2-Clause
/*
 * The mail log for commands: maillog_file, by whoever may write to it; for others the service
 * public/postlog, where they may enter public/ (the set-gid commands); without a maillog_file
 * syslog.
 */
#ifndef PC_CMD_COMMAND_LOG_H
#define PC_CMD_COMMAND_LOG_H

#include <stdbool.h>

#include "conf/postfix_conf.h"

struct command_log {
	const char *tag;	 /* "postfix/sendmail"; NULL: syslog_name and STDERR_NAME */
	const char *stderr_name; /* "sendmail" */
	bool to_stderr;		 /* to standard error, too */
};

/*
 * From now on lines go to the log.  False with errno: there is no place that we may write to, so
 * they go to standard error alone, under STDERR_NAME.
 */
bool command_log_open(const struct postfix_params *params, const struct command_log *to);
/* Lines go to standard error alone again, and the log is not held open. */
void command_log_close(const char *stderr_name);

#endif

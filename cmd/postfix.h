// SPDX-License-Identifier: BSD-2-Clause
/* The command "postfix" and its parts. */
#ifndef PC_CMD_POSTFIX_H
#define PC_CMD_POSTFIX_H

#include <stdbool.h>

#include "conf/postfix_conf.h"

struct postfix_command {
	const char *dir;
	bool verbose;
	char **rest; /* what follows the verb; ends with NULL */
	struct conf_errors errors;
	struct postfix_source *source;
	struct postfix_params *params;
	char *pid_file;
};

/*
 * postfix check: all that is wrong or of no effect in the configuration, and owners and modes of
 * its files and of the spool.  Silent when all is well.  1 when there is an error.
 */
int postfix_check(struct postfix_command *pf);
/* Its part about tables: adds to the errors of PF what cannot be opened. */
void postfix_check_tables(struct postfix_command *pf);

/*
 * postfix logrotate: gives maillog_file its name with a time, has master begin a new one, and
 * compresses the old one when nobody writes to it any more.
 */
int postfix_logrotate(struct postfix_command *pf);

/*
 * postfix set-permissions: owners and modes of the configuration, the spool and the set-gid
 * commands.  "name=value" in pf->rest goes to main.cf first.
 */
int postfix_set_permissions(struct postfix_command *pf);
/* postfix upgrade-configuration: adds to master.cf the services that it lacks. */
int postfix_upgrade_configuration(struct postfix_command *pf);

#endif

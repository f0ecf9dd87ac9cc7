// SPDX-License-Identifier: BSD-2-Clause
/* dovecot -n and -a: the configuration as it is in force, in its own syntax. */
#ifndef PC_CMD_DOVECOT_SHOW_H
#define PC_CMD_DOVECOT_SHOW_H

#include <stdbool.h>

#include "conf/dovecot_conf.h"

/* To standard output.  ALL: with defaults and built-in blocks; else only what differs from them. */
void dovecot_show(const struct dovecot_source *source, const char *version, bool all);

#endif

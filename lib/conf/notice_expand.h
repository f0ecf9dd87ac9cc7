// SPDX-License-Identifier: BSD-2-Clause
/*
 * $name in the texts of notices to senders (bounce(5)): parameters of main.cf, and times in a unit
 * (delay_warning_time_hours, maximal_queue_lifetime_days).
 */
#ifndef PC_CONF_NOTICE_EXPAND_H
#define PC_CONF_NOTICE_EXPAND_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "conf/postfix_conf.h"

/*
 * Appends BODY, expanded.  FILE and TEMPLATE ("failure") are for messages: warnings of times that a
 * unit does not suit are logged.  False with a message in ERROR for bad syntax or a name that is
 * not defined.
 */
bool notice_expand(struct strbuf *out, const char *body, const struct postfix_params *params,
    const char *file, const char *template, struct strbuf *error);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* The form that addresses have in the log. */
#ifndef PC_REWRITE_LOG_ADDRESS_H
#define PC_REWRITE_LOG_ADDRESS_H

#include "conf/postfix_conf.h"

/* Before the jail: info_log_address_format for address_logged; fatal for an unknown value. */
void log_address_prepare(const struct postfix_params *params);

#endif

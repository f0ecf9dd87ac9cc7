// SPDX-License-Identifier: BSD-2-Clause
#include "rewrite/log_address.h"

#include <string.h>

#include "log/log.h"
#include "mail/address.h"

void log_address_prepare(const struct postfix_params *params)
{
	const char *format = params->info_log_address_format;

	if (strcmp(format, "internal") != 0 && strcmp(format, "external") != 0)
		fatal("invalid parameter setting \"info_log_address_format = %s\"", format);
	address_log_internal(*format == 'i');
}

// SPDX-License-Identifier: BSD-2-Clause
/* The names alone, for programs that shall not load what is behind them. */
#include "auth/auth_service.h"
#include "base/check.h"

const char *auth_service_type(size_t i)
{
	static const char *const types[] = { "cyrus", "dovecot" };

	return i < ARRAY_LEN(types) ? types[i] : NULL;
}

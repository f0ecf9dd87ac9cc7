// SPDX-License-Identifier: BSD-2-Clause
#include "smtp/smtp_session.h"

struct smtp_session *smtp_reuse_take(
    const struct delivery *delivery, const struct smtp_target *target)
{
	(void)delivery;
	(void)target;
	return NULL;
}

void smtp_reuse_give(const struct delivery *delivery, struct smtp_session *session)
{
	(void)delivery;
	smtp_session_close(session);
}

void smtp_reuse_prepare(const struct postfix_params *params)
{
	(void)params;
}

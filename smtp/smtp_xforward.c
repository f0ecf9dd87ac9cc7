// SPDX-License-Identifier: BSD-2-Clause
#include "smtp/smtp_handshake.h"

bool smtp_xforward(
    struct smtp_session *session, const struct delivery *delivery, struct smtp_failure *failure)
{
	(void)session;
	(void)delivery;
	(void)failure;
	return true;
}

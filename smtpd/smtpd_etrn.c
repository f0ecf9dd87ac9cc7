// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/smtpd.h"

void smtpd_etrn(struct smtpd *s, struct slice args)
{
	(void)args;
	smtpd_reply(s, 502, "5.5.1", "Error: command not implemented");
}

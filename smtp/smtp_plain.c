// SPDX-License-Identifier: BSD-2-Clause
/* No TLS: where main.cf asks for it mail is deferred. */
#include <string.h>

#include "smtp/smtp_tls.h"

void smtp_tls_prepare(const struct postfix_params *params)
{
	(void)params;
}

bool smtp_tls_policy(const struct smtp_target *target, struct arena *arena,
    const struct smtp_tls_policy **policy, struct smtp_failure *failure)
{
	static const struct smtp_tls_policy none = { .level = SMTP_TLS_NONE, .key = "none" };
	const char *level =
	    postfix_param_lookup(smtp_params, SMTP_PARAM_NAME("tls_security_level"));

	(void)target, (void)arena;
	*policy = &none;
	if (level[0] == '\0' || strcmp(level, "none") == 0 || strcmp(level, "may") == 0)
		return true;
	smtp_fail(failure, false, "4.7.5", "TLS is not to be had");
	failure->stop = true;
	return false;
}

bool smtp_tls_start(struct smtp_session *session, bool *plain_next, struct smtp_failure *failure)
{
	(void)session;
	*plain_next = false;
	smtp_fail(failure, true, "4.7.5", "TLS is not to be had");
	return false;
}

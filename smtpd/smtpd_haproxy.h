// SPDX-License-Identifier: BSD-2-Clause
/* Behind a proxy that says first whom it speaks for (smtpd_upstream_proxy_protocol). */
#ifndef PC_SMTPD_SMTPD_HAPROXY_H
#define PC_SMTPD_SMTPD_HAPROXY_H

#include <stdbool.h>

#include "conf/postfix_conf.h"

struct smtpd;

/* Before serving; a protocol that we do not know is fatal. */
void smtpd_haproxy_open(const struct postfix_params *params);
/*
 * Before anything else is read from the connection, TLS too: takes the proxy's header and makes the
 * session its client's.  True as well where there is no proxy; false, logged, when the proxy spoke
 * nonsense, or too late (smtpd_upstream_proxy_timeout).
 */
bool smtpd_haproxy_begin(struct smtpd *s);

#endif

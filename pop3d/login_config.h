// SPDX-License-Identifier: BSD-2-Clause
/*
 * The settings of one connection: which local, remote and local_name blocks match it.  Keys and
 * certificates are read before the jail, for each of them; the rest is evaluated when the first
 * such client comes, and kept.
 */
#ifndef PC_POP3D_LOGIN_CONFIG_H
#define PC_POP3D_LOGIN_CONFIG_H

#include "conf/dovecot_conf.h"
#include "net/addr.h"
#include "net/tls.h"
#include "server/server.h"

struct login_config {
	const struct dovecot_settings *set;
	const struct tls_context *tls; /* NULL: there is none */
};

/* Before the jail. */
void login_config_open(const struct server_context *ctx);
/* Never NULL; lives as long as the process.  NAME: what TLS's client asked for, or NULL. */
const struct login_config *login_config_for(
    const struct net_addr *local, const struct net_addr *remote, const char *name);
/* Is ADDR in one of NETWORKS ("192.0.2.0/24 2001:db8::/32")? */
bool login_config_contains(const char *networks, const struct net_addr *addr);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* Between the files of the SMTP server's TLS. */
#ifndef PC_SMTPD_SMTPD_TLS_H
#define PC_SMTPD_SMTPD_TLS_H

#include "base/strbuf.h"
#include "net/tls.h"

struct sni_table;

/* The tables of tls_server_sni_maps, for the life of the process; NULL for none. */
struct sni_table *smtpd_sni_open(const char *value);
/* A tls_find_chain; ARG is a struct sni_table. */
enum tls_found smtpd_sni_find(const char *name, struct strbuf *pem, void *arg);

#endif

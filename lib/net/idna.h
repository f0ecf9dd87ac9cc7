// SPDX-License-Identifier: BSD-2-Clause
/* Domains that are not ASCII, as the DNS has them (IDNA2008, RFC 5891). */
#ifndef PC_NET_IDNA_H
#define PC_NET_IDNA_H

#include <stdbool.h>

#include "net/dns.h"

/*
 * DOMAIN (UTF-8) with A-labels; what is ASCII stays as it is.  False: it is no domain, or too long.
 */
bool idna_to_ascii(const char *domain, char out[DNS_NAME_SIZE]);

#endif

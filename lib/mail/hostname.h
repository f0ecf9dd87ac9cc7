// SPDX-License-Identifier: BSD-2-Clause
/* Is this text a host name, or an address literal, as SMTP and main.cf take them?  Pure. */
#ifndef PC_MAIL_HOSTNAME_H
#define PC_MAIL_HOSTNAME_H

#include <stdbool.h>

#include "base/slice.h"

/*
 * A DNS host name (RFC 1123 2.1; as with the peer also '_' and '-' in the middle, UTF-8 in IDNA
 * names): 1 to 255 bytes, labels of 1 to 63 that neither begin nor end with '-', no empty label
 * (a trailing dot is one), not all digits and dots.
 */
bool hostname_is_valid(struct slice name);
/* ... that has at least two labels. */
bool hostname_is_fqdn(struct slice name);
/* "192.0.2.1" or "2001:db8::1", without brackets. */
bool hostaddr_is_valid(struct slice text);
/*
 * "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3); *ADDRESS gets the address without
 * brackets and prefix.
 */
bool address_literal_parse(struct slice text, struct slice *address);

#endif

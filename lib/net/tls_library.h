// SPDX-License-Identifier: BSD-2-Clause
/* What TLS library there is, for commands that tell. */
#ifndef PC_NET_TLS_LIBRARY_H
#define PC_NET_TLS_LIBRARY_H

#include <stddef.h>

const char *tls_library_compiled(void); /* "OpenSSL 3.0.11 19 Sep 2023": what this was built with */
const char *tls_library_running(void);	/* what it runs with */
/* The I-th of the kinds of public keys that certificates may have, sorted; NULL behind the last. */
const char *tls_library_key_type(size_t i);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* Between tls.c and tls_context.c, the two files that see OpenSSL's types. */
#ifndef PC_NET_TLS_CONTEXT_H
#define PC_NET_TLS_CONTEXT_H

#include <stddef.h>

struct ssl_st; /* OpenSSL's SSL: its headers are for the two .c files alone */
struct tls_context;

/* A connection's state in this context; NULL when memory is short. */
struct ssl_st *tls_context_ssl(const struct tls_context *ctx);
/* The earliest error of the thread's queue, which says what began it; the queue is empty then. */
void tls_library_error(char *text, size_t size);

#endif

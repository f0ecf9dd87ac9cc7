// SPDX-License-Identifier: BSD-2-Clause
/* What everybody who uses Cyrus SASL's server side has to tell it. */
#ifndef PC_AUTH_SASL_LIBRARY_H
#define PC_AUTH_SASL_LIBRARY_H

/* A callback in the type that sasl_callback_t has for all. */
#define SASL_LIBRARY_CALLBACK(f) ((int (*)(void))(void (*)(void))(f))

/* What the library needs of threads.  Before sasl_server_init. */
void sasl_library_threads(void);

#endif

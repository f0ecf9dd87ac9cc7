// SPDX-License-Identifier: BSD-2-Clause
/* What OpenSSL has to say, in the shapes of Postfix's log lines. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "log/log.h"
#include "net/tls_context.h"

#define ERROR_TEXT 256

void tls_library_error(char *text, size_t size)
{
	unsigned long error = ERR_get_error();
	const char *reason = error ? ERR_reason_error_string(error) : NULL;

	if (reason)
		snprintf(text, size, "%s", reason);
	else if (ERR_SYSTEM_ERROR(error))
		snprintf(text, size, "%s", strerror(ERR_GET_REASON(error)));
	else
		snprintf(text, size, "error %08lX", error);
	ERR_clear_error();
}

void tls_log_library_errors(void)
{
	const char *file, *data;
	char text[ERROR_TEXT];
	unsigned long error;
	int line, flags;

	while ((error = ERR_get_error_all(&file, &line, NULL, &data, &flags)) != 0) {
		ERR_error_string_n(error, text, sizeof(text));
		if (flags & ERR_TXT_STRING)
			log_warning("TLS library problem: %s:%s:%d:%s:", text, file, line, data);
		else
			log_warning("TLS library problem: %s:%s:%d:", text, file, line);
	}
}

static void log_step(const SSL *ssl, int where, int ret)
{
	const char *call = SSL_is_server(ssl) ? "SSL_accept" : "SSL_connect";

	if (where & SSL_CB_LOOP) {
		log_info("%s:%s", call, SSL_state_string_long(ssl));
	} else if (where & SSL_CB_ALERT) {
		if ((ret & 0xff) != SSL3_AD_CLOSE_NOTIFY)
			log_info("SSL3 alert %s:%s:%s", where & SSL_CB_READ ? "read" : "write",
			    SSL_alert_type_string_long(ret), SSL_alert_desc_string_long(ret));
	} else if ((where & SSL_CB_EXIT) && ret == 0) {
		log_info("%s:failed in %s", call, SSL_state_string_long(ssl));
	} else if ((where & SSL_CB_EXIT) && ret < 0) {
		int error = SSL_get_error(ssl, ret);

		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			log_info("%s:error in %s", call, SSL_state_string_long(ssl));
	}
}

void tls_log_steps(SSL *ssl)
{
	SSL_set_info_callback(ssl, log_step);
}

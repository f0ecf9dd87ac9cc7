// SPDX-License-Identifier: BSD-2-Clause
/*
 * A login at a server that says anything, with each mechanism.  The first byte chooses the
 * mechanism and what is known of TLS, the rest is the server's.  What the client says are lines of
 * printable characters, not more of them than a login may have, and nowhere its password as it is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "conf/postfix_conf.h"
#include "smtp/smtp_sasl.h"
#include "sys/socket.h"

#define INPUT_MAX  65536
#define OUTPUT_MAX (1 << 20)
#define LINES_MAX  22 /* AUTH, 20 responses, "*" */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

bool smtp_is_lmtp;
const struct postfix_params *smtp_params;

static const char *const mechanisms[] = { "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1",
	"SCRAM-SHA-256", "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1", "" };

static void setup(void)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct postfix_source *source;
	struct postfix_params *params;

	if (smtp_params)
		return;
	source = postfix_source_defaults("/nonexistent");
	params = postfix_params_new(source, NULL, &errors);
	params->smtp_sasl_auth_enable = true;
	params->smtp_sasl_password_maps = "static:somebody:0aXk2rQ9";
	params->smtp_sasl_security_options = "noanonymous";
	params->smtp_sasl_tls_security_options = "noanonymous";
	params->smtp_sasl_tls_verified_security_options = "noanonymous, mutual_auth";
	params->smtp_helo_timeout = 10;
	smtp_params = params;
	smtp_sasl_prepare(params);
	conf_errors_release(&errors);
	postfix_source_free(source);
}

static void check_output(int fd)
{
	static char said[OUTPUT_MAX];
	size_t len = 0, lines = 0;
	ssize_t got;

	while ((got = recv(fd, said + len, sizeof(said) - len, MSG_DONTWAIT)) > 0)
		len += (size_t)got;
	ASSERT(len < sizeof(said));
	for (size_t i = 0; i < len; i++) {
		ASSERT(ascii_isprint(said[i]) || said[i] == '\r' || said[i] == '\n');
		lines += said[i] == '\n';
	}
	ASSERT(lines <= LINES_MAX);
	ASSERT(memmem(said, len, "0aXk2rQ9", 8) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_session session = { .name = "mx.test[192.0.2.1]",
		.relay = "mx.test[192.0.2.1]:25",
		.target = { .destination = "mx.test",
		    .nexthop = "mx.test",
		    .host = "mx.test",
		    .canonical = "" },
		.features = SMTP_FEATURE_ESMTP | SMTP_FEATURE_AUTH };
	struct smtp_failure failure;
	int pair[2];

	if (size < 1 || size > INPUT_MAX || socket_pair(pair) != 0)
		return 0;
	setup();
	ASSERT(write(pair[1], data + 1, size - 1) == (ssize_t)(size - 1));
	shutdown(pair[1], SHUT_WR);
	session.stream = stream_new(pair[0]);
	session.mechanisms = mechanisms[data[0] & 7];
	session.has_tls = data[0] & 24;
	session.is_verified = data[0] & 16;
	if (!smtp_sasl_login(&session, "", &failure))
		ASSERT(failure.host && !failure.stop && failure.why.text[0] &&
		       dsn_is_valid(failure.why.dsn) && !session.logged_in);
	stream_flush(session.stream);
	check_output(pair[1]);
	stream_free(session.stream);
	arena_release(&session.arena);
	close(pair[1]);
	return 0;
}

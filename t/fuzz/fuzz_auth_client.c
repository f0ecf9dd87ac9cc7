// SPDX-License-Identifier: BSD-2-Clause
/*
 * A whole connection of the client protocol: all mechanisms, requests that overlap, lines of any
 * kind.  The first byte chooses the kind of socket and whether the handshake is made for it.  Who
 * gets an OK has said a password or is nobody in particular: the passwords are not to be found by
 * chance.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "authd/auth_request.h"
#include "base/check.h"
#include "conf/dovecot_tree.h"
#include "sys/socket.h"

#define INPUT_MAX  4096 /* so that the answers fit into the socket's buffer */
#define OUTPUT_MAX (1 << 20)

/* The connection's process, which there is none of here: see Makemodule.am. */
const struct server_context *__wrap_server_context(void);

static struct server_context context;

const struct server_context *__wrap_server_context(void)
{
	return &context;
}

static const char config[] =
    "auth_mechanisms = plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256 apop external "
    "anonymous\n"
    "auth_realms = a.test b.test\n"
    "auth_ssl_username_from_cert = yes\n"
    "auth_failure_delay = 0\n"
    "auth_master_user_separator = *\n"
    "passdb {\n driver = static\n args = password=0aXk2rQ9\n master = yes\n}\n"
    "passdb {\n driver = static\n args = password=0aXk2rQ9\n}\n"
    "service anvil {\n unix_listener anvil-auth-penalty {\n mode = 0\n }\n}\n";

static void setup(void)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	if (context.dovecot)
		return;
	context.dovecot = dovecot_source_parse(slice_of(config), &errors);
	context.settings = dovecot_settings_new(context.dovecot, NULL, NULL);
	database_load(context.dovecot, context.settings);
	sasl_server_setup(context.settings->auth_mechanisms, context.settings->auth_realms);
	auth_request_setup(&context);
}

static void serve(struct session *session, int peer)
{
	enum session_next next = client_session_class.serve(session, SESSION_OPENED);

	/* Each time as much as is there; the end of input is what ends it. */
	while (next != SESSION_CLOSE && stream_poll_input(session->stream) &&
	       stream_error(session->stream) == STREAM_OK)
		next = client_session_class.serve(session, SESSION_HAS_INPUT);
	stream_flush(session->stream);
	client_session_class.close(session);
	stream_free(session->stream);
	free(session);
	(void)peer;
}

static void check_answers(int fd)
{
	char *answers = xcalloc(1, OUTPUT_MAX + 1);
	size_t len = 0;
	ssize_t n;

	while (len < OUTPUT_MAX && (n = recv(fd, answers + len, OUTPUT_MAX - len, 0)) > 0)
		len += (size_t)n;
	for (const char *ok = answers; (ok = strstr(ok, "\nOK\t")); ok++)
		ASSERT(strstr(ok, "\tuser=anonymous\tanonymous"));
	free(answers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char kinds[2][8] = { "auth", "login" };
	struct server_listener listener = { .fd = -1 };
	struct session *session;
	int pair[2];

	if (size < 1 || size > INPUT_MAX || socket_pair(pair) != 0)
		return 0;
	setup();
	listener.kind = kinds[data[0] & 1];
	if (data[0] & 2)
		ASSERT(write(pair[1], "VERSION\t1\t2\nCPID\t1\n", 19) == 19);
	ASSERT(write(pair[1], data + 1, size - 1) == (ssize_t)(size - 1));
	shutdown(pair[1], SHUT_WR);
	session = xcalloc(1, client_session_class.size);
	session->stream = stream_new(pair[0]);
	session->listener = &listener;
	serve(session, pair[1]);
	check_answers(pair[1]);
	close(pair[1]);
	return 0;
}

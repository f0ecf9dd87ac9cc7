// SPDX-License-Identifier: BSD-2-Clause
/* pop3-login: what a POP3 client talks to before it has logged in. */
#include "pop3d/login.h"

#include "log/log.h"

struct login_process login_process;

/* The reader leaves "<" and the file's name. */
static const char *file_of(const char *name, const char *value)
{
	if (value[0] == '<')
		return value + 1;
	if (value[0] != '\0')
		fatal("%s: the value must be < and the name of a file", name);
	return NULL;
}

static void prepare_tls(const struct server_context *ctx, const struct dovecot_settings *set)
{
	struct tls_files files[2] = { { file_of("ssl_cert", set->ssl_cert),
					  file_of("ssl_key", set->ssl_key) },
		{ NULL, NULL } };
	struct tls_server_config config = { .files = files,
		.min_protocol = set->ssl_min_protocol,
		.ciphers = set->ssl_cipher_list,
		.prefer_server_ciphers = set->ssl_prefer_server_ciphers,
		.service = "pop3",
		.ticket_secret = slice_mem(ctx->secret, SERVER_SECRET_SIZE) };
	struct reason why;

	if (files[0].cert == NULL) {
		log_warning("ssl is on, but ssl_cert names no certificate: TLS is not offered");
		return;
	}
	login_process.tls = tls_server_new(&config, &why);
	if (login_process.tls == NULL)
		fatal("%s", why.text);
}

static void prepare(struct server_context *ctx)
{
	const struct dovecot_filter filter = { .protocol = "pop3" };

	login_process.settings = dovecot_settings_new(ctx->dovecot, &filter, NULL);
	if (login_process.settings->ssl[0] != 'n')
		prepare_tls(ctx, login_process.settings);
	login_process.auth = auth_client_new("login"); /* below the jail */
}

/* No file at all; the sockets in the jail by name, and no new ones of the network. */
static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	(void)ctx;
	walls->landlock = true;
	walls->paths = NULL;
	walls->calls = SANDBOX_CALLS_NO_NET;
}

static const struct session_class *session_class_of(const struct server_listener *listener)
{
	return listener->type == LISTENER_INET ? &login_session_class : NULL;
}

static const struct server login_server = { .program = "pop3-login",
	.language = SERVER_DOVECOT,
	.user = SERVER_LOGIN,
	.prepare = prepare,
	.jail = "login",
	.walls = walls,
	.session = session_class_of };

int main(int argc, char **argv)
{
	return server_main(&login_server, argc, argv);
}

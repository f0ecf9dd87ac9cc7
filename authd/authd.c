// SPDX-License-Identifier: BSD-2-Clause
/* authd: who is this user.  Speaks Dovecot's auth protocol, as its service auth. */
#include "authd/authd.h"

#include <string.h>

#include "authd/database.h"
#include "authd/sasl_server.h"

static void prepare(struct server_context *ctx)
{
	database_load(ctx->dovecot, ctx->settings);
	sasl_server_setup(ctx->settings->auth_mechanisms);
	master_session_setup(ctx);
}

static const struct session_class *session_for(const struct server_listener *listener)
{
	if (!strcmp(listener->kind, "master") || !strcmp(listener->kind, "userdb"))
		return &master_session_class;
	return &client_session_class;
}

static const struct server authd = {
	.program = "authd",
	.language = SERVER_DOVECOT,
	.user = SERVER_INTERNAL,
	/* A login that one process keeps, no other could confirm. */
	.processes = 1,
	.prepare = prepare,
	.session = session_for,
};

int main(int argc, char **argv)
{
	return server_main(&authd, argc, argv);
}

// SPDX-License-Identifier: BSD-2-Clause
/* pop3-login: what a POP3 client talks to before it has logged in. */
#include "pop3d/login.h"

#include <unistd.h>

#include "log/log.h"

struct login_process login_process;

static void prepare(struct server_context *ctx)
{
	if (gethostname(login_process.hostname, sizeof(login_process.hostname) - 1) < 0)
		fatal("gethostname: %m");
	login_config_open(ctx);
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

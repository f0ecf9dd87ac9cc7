// SPDX-License-Identifier: BSD-2-Clause
/* pop3: what a POP3 client talks to after it has logged in. */
#include "pop3d/pop3.h"

#include <string.h>

#include "pop3d/pop3_registry.h"

const struct dovecot_settings *pop3_settings;

static void prepare(struct server_context *ctx)
{
	if (pop3_settings == NULL) {
		const struct dovecot_filter filter = { .protocol = "pop3" };

		pop3_settings = dovecot_settings_new(ctx->dovecot, &filter, NULL);
	}
	pop3_registry_open(ctx);
}

static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	(void)ctx;
	walls->landlock = true;
	walls->paths = NULL;
	walls->calls = SANDBOX_CALLS_NO_NET;
}

static const struct session_class *session_class_of(const struct server_listener *listener)
{
	if (listener->type != LISTENER_UNIX)
		return NULL;
	return strcmp(listener->name, "who-pop3") == 0 ? &pop3_who_class : &pop3_front_class;
}

static const struct server pop3_server = { .program = "pop3",
	.language = SERVER_DOVECOT,
	.user = SERVER_INTERNAL,
	/* One: sessions of one user meet in one worker. */
	.processes = 1,
	.prepare = prepare,
	.walls = walls,
	.session = session_class_of,
	.workers = &pop3_workers };

int main(int argc, char **argv)
{
	return server_main(&pop3_server, argc, argv);
}

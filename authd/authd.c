// SPDX-License-Identifier: BSD-2-Clause
/* authd: who is this user.  Speaks Dovecot's auth protocol, as its service auth. */
#include "authd/auth_request.h"

#include <signal.h>
#include <string.h>

#include "authd/auth_cache.h"
#include "authd/database.h"
#include "authd/sasl_server.h"
#include "base/check.h"
#include "log/log.h"
#include "server/loop.h"

/* A reload starts with an empty cache anyway; who signals this process alone wants the same. */
static void on_signal(int signo, void *arg)
{
	(void)arg;
	if (signo == SIGHUP)
		log_info("Authentication cache flushed: %zu entries", auth_cache_flush(NULL));
	else
		auth_cache_log();
}

static void setup_cache(struct server_context *ctx)
{
	auth_cache_setup_from(ctx->settings);
	if (!ctx->settings->auth_cache_size)
		return;
	loop_signal(ctx->loop, SIGHUP, on_signal, NULL);
	loop_signal(ctx->loop, SIGUSR2, on_signal, NULL);
}

static void prepare(struct server_context *ctx)
{
	database_load(ctx->dovecot, ctx->settings);
	setup_cache(ctx);
	sasl_server_setup(ctx->settings->auth_mechanisms, ctx->settings->auth_realms);
	if (sasl_mechanism_find(SLICE_LIT("ANONYMOUS")) && !*ctx->settings->auth_anonymous_username)
		fatal("ANONYMOUS listed in mechanisms, but anonymous_username not set");
	auth_request_setup(ctx);
	master_session_setup(ctx);
}

/*
 * The files of passwords, which may be replaced at any time, and what libraries want:
 * without /dev/urandom the challenges of Cyrus SASL could be foretold.
 */
static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	static struct sandbox_path paths[64] = { { "/etc", SANDBOX_READ }, { "/lib", SANDBOX_READ },
		{ "/usr", SANDBOX_READ }, { "/dev/urandom", SANDBOX_READ } };
	size_t count = 4;
	const char *dir;

	(void)ctx;
	for (size_t i = 0; (dir = database_directory(i)) && count < ARRAY_LEN(paths) - 1; i++)
		paths[count++] = (struct sandbox_path){ dir, SANDBOX_READ };
	/* With more directories than rules nothing may be forbidden. */
	walls->landlock = !dir;
	walls->paths = paths;
	walls->calls = SANDBOX_CALLS_NO_NET;
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
	.walls = walls,
	.session = session_for,
};

int main(int argc, char **argv)
{
	return server_main(&authd, argc, argv);
}

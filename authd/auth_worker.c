// SPDX-License-Identifier: BSD-2-Clause
/* auth-worker: Dovecot's service of that name, in which runs what may block. */
#include <string.h>
#include <unistd.h>

#include "authd/database_list.h"
#include "authd/worker_child.h"
#include "authd/worker_parent.h"
#include "base/check.h"

static void prepare(struct server_context *ctx)
{
	database_load(ctx->dovecot, ctx->settings);
	worker_child_prepare(ctx->dovecot);
}

static bool has_driver(const struct db_driver *driver)
{
	const struct database *const lists[] = { passdb_list, masterdb_list, userdb_list };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const struct database *db = lists[i]; db; db = db->next)
			if (db->driver == driver)
				return true;
	return false;
}

/*
 * PAM's modules start programs, some of which change their user, mount, and change owners; so do
 * the programs of checkpassword.  NSS only reads files and talks to whoever has the accounts.
 */
static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	const bool foreign = has_driver(&pam_driver) || has_driver(&checkpassword_driver);

	(void)ctx;
	walls->calls = foreign ? SANDBOX_CALLS_DENY_MACHINE : SANDBOX_CALLS_DENY;
	walls->new_privs = foreign;
	walls->signals = true;
}

static const struct server auth_worker = {
	.program = "auth-worker",
	.language = SERVER_DOVECOT,
	.user = SERVER_CONFIGURED,
	.processes = 1,
	.one_thread = true,
	.prepare = prepare,
	.walls = walls,
	.start = worker_parent_start,
	.accepted = worker_parent_accepted,
	.drain = worker_parent_drain,
};

int main(int argc, char **argv)
{
	return server_main(&auth_worker, argc, argv);
}

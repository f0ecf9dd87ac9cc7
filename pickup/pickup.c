// SPDX-License-Identifier: BSD-2-Clause
/*
 * pickup: wakes up at a byte on public/pickup (postdrop's, postkick's, or master's by the wakeup
 * column) and scans maildrop; a byte that comes during a scan leads to another one.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "pickup/pickup.h"
#include "rewrite/log_address.h"
#include "server/pool.h"
#include "server/server.h"
#include "server/shared.h"
#include "table/table.h"

static struct pickup pickup;
/* Scans that were asked for and not begun: 0, or more while a thread scans. */
static atomic_uint wanted;

static uint64_t next_number(void *arg)
{
	return shared_next_number(arg);
}

static int open_directory(const struct postfix_params *p, const char *name)
{
	char *path = xasprintf("%s/%s", p->queue_directory, name);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fatal("open directory %s: %m", path);
	free(path);
	return fd;
}

static void prepare(struct server_context *ctx)
{
	const char *cleanup = ctx->params->cleanup_service_name;
	struct reason why;

	log_address_prepare(ctx->params);
	pickup.params = ctx->params;
	pickup.maildrop_fd = open_directory(ctx->params, "maildrop");
	pickup.corrupt_fd = open_directory(ctx->params, "corrupt");
	pickup.rewriter = rewriter_new(ctx->params);
	pickup.intake = intake_service_new(
	    &(struct intake_service_config){
		.params = server_role(cleanup, "unix"),
		.log_name = server_role_log_name(cleanup, "unix", "cleanup"),
		.program = "pickup",
		.proc_fd = ctx->proc_fd,
		.next_number = next_number,
		.next_number_arg = ctx->shared,
	    },
	    &why);
	if (pickup.intake == NULL)
		fatal("%s", why.text);
}

static void scan(void *arg)
{
	unsigned seen;

	(void)arg;
	do {
		seen = atomic_load(&wanted);
		intake_refresh_tables();
		pickup_scan(&pickup);
	} while (atomic_fetch_sub(&wanted, seen) != seen);
	server_hold(-1);
}

static void want_scan(void)
{
	if (atomic_fetch_add(&wanted, 1) != 0)
		return;
	server_hold(1);
	pool_run(scan, NULL);
}

/* What the byte is does not matter; who connected and says nothing is not waited for. */
static void accepted(const struct server_listener *listener, int fd)
{
	(void)listener;
	close(fd);
	want_scan();
}

/* What came while nobody was here. */
static void start(struct server_context *ctx)
{
	(void)ctx;
	want_scan();
}

static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	static const char *const queues[] = { "incoming", "maildrop", "corrupt" };
	static struct sandbox_path paths[40];
	const char *dir;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(queues); i++)
		paths[n++] = (struct sandbox_path){ xasprintf("%s/%s", ctx->params->queue_directory,
							queues[i]),
			i == 0 ? intake_spool_access(pickup.intake) : SANDBOX_WRITE };
	paths[n++] = (struct sandbox_path){ "/proc/self/fd", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ "/etc", SANDBOX_READ };
	paths[n++] = (struct sandbox_path){ "/usr/share/zoneinfo", SANDBOX_READ };
	for (size_t i = 0; (dir = table_directory(i)) != NULL && n < ARRAY_LEN(paths) - 1; i++)
		paths[n++] = (struct sandbox_path){ dir, SANDBOX_READ };
	paths[n] = (struct sandbox_path){ NULL, SANDBOX_READ };
	walls->paths = paths;
	walls->landlock = true;
	walls->calls = SANDBOX_CALLS_NO_NET;
}

static const struct server server = {
	.program = "pickup",
	.language = SERVER_POSTFIX,
	.user = SERVER_MAIL_OWNER,
	.processes = 1,
	.prepare = prepare,
	.walls = walls,
	.start = start,
	.accepted = accepted,
};

int main(int argc, char **argv)
{
	return server_main(&server, argc, argv);
}

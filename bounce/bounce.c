// SPDX-License-Identifier: BSD-2-Clause
/* bounce: what it opens before the jail, and how a request becomes a message. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "bounce/bounce.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "rewrite/rewrite.h"
#include "server/pool.h"
#include "server/server.h"
#include "server/shared.h"
#include "sys/socket.h"
#include "table/table.h"

static struct {
	const struct server_context *ctx;
	struct intake_service *intake;
	struct rewriter *rewriter;
} bounce;

static uint64_t next_number(void *arg)
{
	return shared_next_number(arg);
}

static void prepare(struct server_context *ctx)
{
	const char *cleanup = ctx->params->cleanup_service_name;
	struct reason why;

	bounce.ctx = ctx;
	bounce.rewriter = rewriter_new(ctx->params);
	bounce.intake = intake_service_new(
	    &(struct intake_service_config){
		.params = server_role(cleanup, "unix"),
		.log_name = server_role_log_name(cleanup, "unix", "cleanup"),
		.program = "bounce",
		.proc_fd = ctx->proc_fd,
		.next_number = next_number,
		.next_number_arg = ctx->shared,
	    },
	    &why);
	if (bounce.intake == NULL)
		fatal("%s", why.text);
}

static bool add_recipient(struct intake *in, const char *sender, struct reason *why)
{
	struct strbuf internal = STRBUF_INIT(ADDRESS_MAX), rewritten = STRBUF_INIT(2 * ADDRESS_MAX);
	bool ok = address_internal(slice_of(sender), ADDRESS_UTF8, &internal) == ADDRESS_OK;

	if (ok) {
		rewrite_address(
		    bounce.rewriter, REWRITE_LOCAL, strbuf_slice(&internal), &rewritten);
		struct intake_recipient rcpt = {
			.address = strbuf_slice(&rewritten),
			.original = strbuf_slice(&internal),
		};
		ok = intake_recipient(in, &rcpt, why);
	} else {
		reason_set(why, "4.3.0", "bad sender address in the request");
	}
	strbuf_release(&internal);
	strbuf_release(&rewritten);
	return ok;
}

static bool add_received(struct intake *in, struct reason *why)
{
	const struct postfix_params *p = bounce.ctx->params;
	char date[DATE_TEXT];
	char *header = xasprintf("Received: by %s (%s)\n\tid %s; %s", p->myhostname, p->mail_name,
	    intake_id(in), date_rfc5322((time_t)(clock_wall_us() / 1000000), date));
	bool ok = intake_prepend(in, slice_of(header), why);

	free(header);
	return ok;
}

static const char *kind_name(enum notice_kind kind)
{
	switch (kind) {
	case NOTICE_FAILED:
		return "sender non-delivery notification";
	case NOTICE_DELAYED:
		return "sender delay notification";
	case NOTICE_SENT:
	case NOTICE_TRACE:
		break;
	}
	return "sender delivery status notification";
}

static bool serve(
    const struct notice_request *request, int fd, char notice_id[QUEUE_ID_SIZE], struct reason *why)
{
	struct intake_origin origin = {
		.origin = "local",
		.local_rewrite = true,
		.add_missing_headers = true,
		.never_wait = true,
		.overrides = INTAKE_INTERNAL,
	};
	intake_refresh_tables();
	struct intake *in = intake_begin(bounce.intake, &origin, SLICE_NULL, why);

	if (in == NULL)
		return false;
	bool ok = add_recipient(in, notice_address(request), why) && add_received(in, why) &&
		  notice_write(in, bounce.ctx->params, request, fd, why) && intake_commit(in, why);

	if (ok) {
		snprintf(notice_id, QUEUE_ID_SIZE, "%s", intake_id(in));
		log_info("%s: %s: %s", request->id, kind_name(request->kind), notice_id);
	} else {
		log_warning("%s: no %s: %s", request->id, kind_name(request->kind), why->text);
	}
	intake_free(in);
	return ok;
}

static const struct notice_class service = {
	.name = "bounce",
	.serve = serve,
	.run = pool_run,
};

static void serve_connection(void *arg)
{
	notice_serve((int)(intptr_t)arg, &service);
	server_hold(-1);
}

static void accepted(const struct server_listener *listener, int fd)
{
	(void)listener;
	socket_nonblocking(fd, false);
	server_hold(1);
	pool_run(serve_connection, (void *)(intptr_t)fd);
}

static void walls(const struct server_context *ctx, struct sandbox *walls)
{
	static struct sandbox_path paths[40];
	const char *dir;
	size_t n = 4;
	char *incoming = xasprintf("%s/incoming", ctx->params->queue_directory);

	paths[0] = (struct sandbox_path){ incoming, intake_spool_access(bounce.intake) };
	paths[1] = (struct sandbox_path){ "/proc/self/fd", SANDBOX_READ };
	paths[2] = (struct sandbox_path){ "/etc", SANDBOX_READ };
	paths[3] = (struct sandbox_path){ "/usr/share/zoneinfo", SANDBOX_READ };
	for (size_t i = 0; (dir = table_directory(i)) != NULL && n < ARRAY_LEN(paths) - 1; i++)
		paths[n++] = (struct sandbox_path){ dir, SANDBOX_READ };
	paths[n] = (struct sandbox_path){ NULL, SANDBOX_READ };
	walls->paths = paths;
	walls->landlock = true;
	walls->calls = SANDBOX_CALLS_NO_NET;
}

static const struct server server = {
	.program = "bounce",
	.language = SERVER_POSTFIX,
	.user = SERVER_MAIL_OWNER,
	.processes = 1,
	.prepare = prepare,
	.walls = walls,
	.accepted = accepted,
};

int main(int argc, char **argv)
{
	return server_main(&server, argc, argv);
}

// SPDX-License-Identifier: BSD-2-Clause
/* bounce: what it opens before the jail, and how a request becomes a message. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "bounce/bounce.h"
#include "intake/internal_mail.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "queue/queue_file.h"
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
	bounce_templates_prepare(ctx->params);
}

/* ---- letters ---- */

static const char *kind_name(const struct notice_letter *letter)
{
	switch (letter->request->kind) {
	case NOTICE_FAILED:
		return letter->for_postmaster ? "postmaster non-delivery notification"
					      : "sender non-delivery notification";
	case NOTICE_DELAYED:
		return letter->for_postmaster ? "postmaster delay notification"
					      : "sender delay notification";
	case NOTICE_SENT:
	case NOTICE_TRACE:
		break;
	}
	return "sender delivery status notification";
}

static bool send_letter(
    const struct notice_letter *letter, int fd, char notice_id[QUEUE_ID_SIZE], struct reason *why)
{
	const struct notice_request *request = letter->request;
	const struct postfix_params *p = letter->params;
	struct internal_mail mail = {
		.service = bounce.intake,
		.params = p,
		.rewriter = bounce.rewriter,
		.filter_class = "bounce",
		.is_last = letter->for_postmaster,
		.to = letter->to,
		.smtputf8 = (request->sendopts & QUEUE_SENDOPT_SMTPUTF8) != 0,
		.require_tls = (request->sendopts & QUEUE_SENDOPT_REQUIRETLS) != 0 &&
			       !p->requiretls_redact_dsn,
	};
	struct intake *in = internal_mail_begin(&mail, why);

	if (in == NULL)
		return false;
	bool ok = notice_write(in, letter, fd, why) && intake_commit(in, why);

	if (ok) {
		snprintf(notice_id, QUEUE_ID_SIZE, "%s", intake_id(in));
		log_info("%s: %s: %s", request->id, kind_name(letter), notice_id);
	}
	intake_free(in);
	return ok;
}

static bool tells_of_any(const struct notice_letter *letter)
{
	for (size_t i = 0; i < letter->request->recipient_count; i++)
		if (notice_tells_of(letter, i))
			return true;
	return false;
}

static bool send_to_sender(
    struct notice_letter letter, int fd, char notice_id[QUEUE_ID_SIZE], struct reason *why)
{
	const struct notice_request *r = letter.request;
	struct strbuf text = STRBUF_INIT(NOTICE_TEMPLATE_FILE);
	bool ok = true;

	letter.to = notice_address(r);
	letter.ret =
	    r->kind == NOTICE_FAILED && r->ret != DSN_RET_HDRS ? DSN_RET_FULL : DSN_RET_HDRS;
	if (tells_of_any(&letter)) {
		letter.template = bounce_template(letter.params, r->kind, &text);
		letter.text = text.ptr;
		ok = send_letter(&letter, fd, notice_id, why);
		if (!ok)
			log_warning("%s: no %s: %s", r->id, kind_name(&letter), why->text);
	}
	strbuf_release(&text);
	return ok;
}

/* The postmaster who is told, too; NULL: none. */
static const char *postmaster_of(
    const struct postfix_params *p, const struct notice_request *request)
{
	switch (request->kind) {
	case NOTICE_FAILED:
		if (*request->sender == '\0')
			return internal_mail_notifies(p, "2bounce") ? p->two_bounce_notice_recipient
								    : NULL;
		return internal_mail_notifies(p, "bounce") ? p->bounce_notice_recipient : NULL;
	case NOTICE_DELAYED:
		return *request->sender && internal_mail_notifies(p, "delay")
			   ? p->delay_notice_recipient
			   : NULL;
	case NOTICE_SENT:
	case NOTICE_TRACE:
		break;
	}
	return NULL;
}

/* He has all of what nobody else is told about; of other mail the header. */
static bool send_to_postmaster(struct notice_letter letter, int fd, struct reason *why)
{
	const struct notice_request *r = letter.request;
	struct strbuf text = STRBUF_INIT(NOTICE_TEMPLATE_FILE);
	char notice_id[QUEUE_ID_SIZE];
	bool ok;

	letter.for_postmaster = true;
	letter.ret = *r->sender == '\0' ? DSN_RET_FULL : DSN_RET_HDRS;
	letter.template = bounce_template(letter.params, r->kind, &text);
	letter.text = "";
	ok = send_letter(&letter, fd, notice_id, why);
	if (!ok)
		log_warning("%s: postmaster notice failed while %s %s", r->id,
		    r->kind == NOTICE_DELAYED ? "warning" : "bouncing to", notice_address(r));
	strbuf_release(&text);
	return ok;
}

/* What the sender is told has to be safe; a copy for the postmaster is no reason to tell it twice.
 */
static bool serve(
    const struct notice_request *request, int fd, char notice_id[QUEUE_ID_SIZE], struct reason *why)
{
	const struct postfix_params *params = bounce.ctx->params;
	const char *postmaster = postmaster_of(params, request);
	struct notice_original original;
	struct notice_letter letter = {
		.params = params,
		.request = request,
		.original = &original,
		.to = postmaster,
	};
	struct reason copy_why;
	bool ok = true;

	intake_refresh_tables();
	notice_original_read(&original, fd, request->data_offset);
	if (*request->sender)
		ok = send_to_sender(letter, fd, notice_id, why);
	if (ok && postmaster != NULL && *postmaster) {
		bool told = send_to_postmaster(letter, fd, &copy_why);

		if (*request->sender == '\0') {
			ok = told;
			if (!told)
				*why = copy_why;
		}
	}
	strbuf_release(&original.message_id);
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

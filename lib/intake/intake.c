// SPDX-License-Identifier: BSD-2-Clause
/*
 * A message goes straight from the session into an unnamed file: the envelope records as they are
 * known, then the header, of which one field at a time is in memory, then the body.  The commit is
 * the offer of queue/offer.h; doc/QUEUE.md says why its answer may be believed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "intake/intake_private.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/header.h"
#include "table/table.h"

/* Of an attribute; readers refuse longer ones. */
#define TEXT_MAX 4096

struct intake_service *intake_service_new(
    const struct intake_service_config *config, struct reason *why)
{
	const struct postfix_params *params = config->params;
	char *incoming = xasprintf("%s/incoming", params->queue_directory);
	int fd = open(incoming, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		reason_set(why, "4.3.0", "open directory %s: %s", incoming, strerror(errno));
		free(incoming);
		return NULL;
	}
	free(incoming);
	struct intake_service *service = xcalloc(1, sizeof(*service));
	char *socket =
	    xasprintf("%s/public/%s", params->queue_directory, params->queue_service_name);

	service->config = *config;
	service->log_name = xstrdup(config->log_name);
	service->id_rules.long_form = params->enable_long_queue_ids;
	service->id_rules.lifetime_s = params->maximal_queue_lifetime;
	service->incoming = dirsync_new(fd);
	service->rewriter = rewriter_new(params);
	service->rewrites_remote = params->remote_header_rewrite_domain[0] != '\0';
	service->rules = address_rules_new(params);
	service->canonical = canonical_new(params, service->rules, service->rewriter);
	service->aliases = aliases_new(params, service->rules, service->rewriter);
	service->checks = checks_new(params);
	service->sender_bcc = tables_open("sender_bcc_maps", params->sender_bcc_maps, 0);
	service->recipient_bcc = tables_open("recipient_bcc_maps", params->recipient_bcc_maps, 0);
	service->offers = offer_client_new(&(struct offer_client_config){
	    .service = config->program,
	    .socket = socket,
	    .incoming = service->incoming,
	    .proc_fd = config->proc_fd,
	});
	free(socket);
	return service;
}

void intake_service_free(struct intake_service *service)
{
	if (service == NULL)
		return;
	offer_client_free(service->offers);
	checks_free(service->checks);
	tables_free(service->recipient_bcc);
	tables_free(service->sender_bcc);
	aliases_free(service->aliases);
	canonical_free(service->canonical);
	address_rules_free(service->rules);
	rewriter_free(service->rewriter);
	dirsync_free(service->incoming);
	free(service->log_name);
	free(service);
}

enum sandbox_access intake_spool_access(const struct intake_service *service)
{
	struct tmpfile probe;
	bool unnamed;

	if (tmpfile_open(&probe, dirsync_fd(service->incoming), 0600) < 0)
		return SANDBOX_WRITE;
	unnamed = probe.name[0] == '\0';
	tmpfile_close(&probe);
	return unnamed ? SANDBOX_ADD : SANDBOX_WRITE;
}

void intake_refresh_tables(void)
{
	static atomic_bool told;

	if (!table_refresh_all() && !atomic_exchange(&told, true))
		(void)kill(getpid(), SIGTERM);
}

bool intake_fail(struct intake *in, struct reason *why, const char *dsn, const char *text)
{
	if (in->state != INTAKE_FAILED) {
		in->state = INTAKE_FAILED;
		reason_set(&in->failure, dsn, "%s", text);
	}
	*why = in->failure;
	return false;
}

/* The writer's errors stick; they are looked at once per line given. */
bool intake_check_writer(struct intake *in, struct reason *why)
{
	if (in->writer.error == 0)
		return true;
	if (in->state != INTAKE_FAILED)
		log_as(in->service->log_name, LOG_LEVEL_WARNING, "%s: write queue file: %s", in->id,
		    strerror(in->writer.error));
	return intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
}

/*
 * A HELO name, a login or a Message-Id may hold any byte; in a queue file a control character in
 * one would make the whole file damaged for its reader.
 */
void intake_clean(struct strbuf *text)
{
	for (size_t i = 0; i < text->len; i++)
		if ((unsigned char)text->ptr[i] < 0x20 || text->ptr[i] == 0x7f)
			text->ptr[i] = '?';
}

static void write_attribute(struct intake *in, const char *name, const char *value)
{
	struct strbuf text = STRBUF_INIT(TEXT_MAX);

	if (value == NULL || value[0] == '\0')
		return;
	strbuf_addslice(&text, slice_first(slice_of(value), TEXT_MAX));
	intake_clean(&text);
	queue_writer_attribute(&in->writer, name, strbuf_slice(&text));
	strbuf_release(&text);
}

static void write_text(struct intake *in, int type, struct slice value)
{
	struct strbuf text = STRBUF_INIT(TEXT_MAX);

	strbuf_addslice(&text, slice_first(value, TEXT_MAX));
	intake_clean(&text);
	queue_writer_record(&in->writer, type, strbuf_slice(&text));
	strbuf_release(&text);
}

/* As numbers of the system's address families. */
static const char *address_type(const char *address)
{
	if (address == NULL)
		return NULL;
	return strchr(address, ':') != NULL ? "10" : "2";
}

void intake_end_envelope(struct intake *in)
{
	if (in->filter.len > 0)
		write_text(in, QR_FILTER, strbuf_slice(&in->filter));
	queue_writer_content(&in->writer);
}

/* Where the message came from first, as logs and DSNs speak of it. */
static struct intake_logged logged_of(const struct intake_origin *origin)
{
	if (origin->logged != NULL && origin->logged->client_name != NULL)
		return *origin->logged;
	return (struct intake_logged){
		.client_name = origin->client_name,
		.client_address = origin->client_address,
		.client_port = origin->client_port,
		.helo = origin->helo,
		.protocol = origin->protocol,
	};
}

static void write_logged(struct intake *in, const struct intake_origin *origin)
{
	const struct intake_logged logged = logged_of(origin);

	write_attribute(in, "log_client_name", logged.client_name);
	write_attribute(in, "log_client_address", logged.client_address);
	write_attribute(in, "log_client_port", logged.client_port);
	write_attribute(in, "log_message_origin", in->origin);
	write_attribute(in, "log_helo_name", logged.helo);
	write_attribute(in, "log_protocol_name", logged.protocol);
}

static void write_origin(struct intake *in, const struct intake_origin *origin)
{
	if (origin->full_name != NULL && origin->full_name[0] != '\0')
		write_text(in, QR_FULL_NAME, slice_of(origin->full_name));
	write_attribute(in, "log_ident",
	    origin->logged != NULL && origin->logged->ident != NULL ? origin->logged->ident
								    : in->id);
	write_attribute(in, "rewrite_context", in->local_rewrite ? "local" : "remote");
	write_logged(in, origin);
	write_attribute(in, "client_name", origin->client_name);
	write_attribute(in, "reverse_client_name", origin->reverse_client_name);
	write_attribute(in, "client_address", origin->client_address);
	write_attribute(in, "client_port", origin->client_port);
	write_attribute(in, "server_address", origin->server_address);
	write_attribute(in, "server_port", origin->server_port);
	write_attribute(in, "helo_name", origin->helo);
	write_attribute(in, "protocol_name", origin->protocol);
	write_attribute(in, "client_address_type", address_type(origin->client_address));
	write_attribute(in, "sasl_method", origin->sasl_method);
	write_attribute(in, "sasl_username", origin->sasl_username);
	write_attribute(in, "sasl_sender", origin->sasl_sender);
}

/* A notice of a delay has no notice of its own. */
static void write_warn_time(struct intake *in)
{
	long after_s = in->service->config.params->delay_warning_time;

	if (after_s > 0 && *in->sender)
		queue_writer_warn_time(&in->writer, in->arrival_us / 1000000 + after_s);
}

static struct intake *intake_new(struct intake_service *service, const struct intake_origin *origin)
{
	struct intake *in = xcalloc(1, sizeof(*in));

	in->service = service;
	in->file = (struct tmpfile){ .fd = -1 };
	in->arrival_us = origin->arrival_us != 0 ? origin->arrival_us : clock_wall_us();
	in->local_rewrite = origin->local_rewrite;
	in->add_missing = origin->add_missing_headers || service->rewrites_remote;
	in->smtputf8 = origin->smtputf8;
	in->require_tls = origin->require_tls;
	in->never_wait = origin->never_wait;
	in->overrides = origin->overrides;
	in->full_name = origin->full_name != NULL ? xstrdup(origin->full_name) : NULL;
	in->checks_over = (origin->overrides & INTAKE_NO_CHECKS) != 0;
	const struct intake_logged logged = logged_of(origin);

	if (logged.origin != NULL)
		in->origin = xstrdup(logged.origin);
	else if (origin->client_name != NULL && origin->client_address != NULL)
		in->origin = xasprintf("%s[%s]", origin->client_name, origin->client_address);
	else if (origin->origin != NULL)
		in->origin = xstrdup(origin->origin);
	in->protocol = logged.protocol != NULL ? xstrdup(logged.protocol) : NULL;
	in->helo = logged.helo != NULL ? xstrdup(logged.helo) : NULL;
	strbuf_init(&in->prepended, INTAKE_HEADER_BLOCK_MAX);
	strbuf_init(&in->filter, TEXT_MAX);
	strbuf_init(&in->redirect, 2 * ADDRESS_MAX);
	strbuf_init(&in->bccs, 1024 * 1024);
	/* One field with its folds; what is beyond is cut, as with the peer. */
	strbuf_init(&in->header, STRBUF_NO_LIMIT);
	queue_id_new(&service->id_rules,
	    service->config.next_number(service->config.next_number_arg), in->id);
	return in;
}

/* doc/QUEUE.md 2.4: what qmgr cannot know better is decided here. */
static unsigned offer_flags(const struct intake *in)
{
	const struct postfix_params *params = in->service->config.params;

	if (in->hold)
		return OFFER_HOLD;
	if (in->never_wait || in->recipient_count > params->postcote_deliver_recipient_limit ||
	    in->size > params->postcote_deliver_size_limit)
		return OFFER_NEVER_WAIT;
	return 0;
}

/*
 * What is small and will be delivered at once, as far as we know, touches no disk on its way to the
 * recipients' (doc/QUEUE.md 3, D0).
 */
static int open_file(void *arg, bool whole)
{
	struct intake *in = arg;
	int dirfd = dirsync_fd(in->service->incoming);

	if (whole && offer_flags(in) == 0)
		return tmpfile_open_memory(&in->file, dirfd, QUEUE_FILE_MODE) < 0 ? -1
										  : in->file.fd;
	return tmpfile_open(&in->file, dirfd, QUEUE_FILE_MODE) < 0 ? -1 : in->file.fd;
}

static bool begin_file(
    struct intake *in, const struct intake_origin *origin, struct slice sender, struct reason *why)
{
	struct strbuf mapped = STRBUF_INIT(2 * ADDRESS_MAX);
	bool ok = intake_map_sender(in, sender, &mapped, why);

	in->sender = strbuf_detach(&mapped);
	if (!ok)
		return false;
	queue_writer_init_late(&in->writer, open_file, in);
	queue_writer_begin(&in->writer, in->arrival_us, slice_of(in->sender));
	write_origin(in, origin);
	write_warn_time(in);
	if (origin->verp != NULL && origin->verp[0] != '\0' && *in->sender)
		write_text(in, QR_VERP, slice_of(origin->verp));
	return intake_copy_sender(in, why);
}

struct intake *intake_begin(struct intake_service *service, const struct intake_origin *origin,
    struct slice sender, struct reason *why)
{
	struct intake *in = intake_new(service, origin);

	in->given_out = begin_file(in, origin, sender, why);
	if (in->given_out)
		return in;
	intake_free(in);
	return NULL;
}

void intake_free(struct intake *in)
{
	if (in == NULL)
		return;
	if (in->given_out && !in->committed)
		log_as(in->service->log_name, LOG_LEVEL_INFO, "%s: removed (canceled)", in->id);
	queue_writer_release(&in->writer);
	tmpfile_close(&in->file);
	strbuf_release(&in->prepended);
	strbuf_release(&in->header);
	strbuf_release(&in->filter);
	strbuf_release(&in->redirect);
	strbuf_release(&in->bccs);
	map_release(&in->recipients, NULL);
	free(in->sender);
	mime_walk_free(in->walk);
	free(in->last_recipient);
	free(in->origin);
	free(in->protocol);
	free(in->helo);
	free(in->full_name);
	free(in->message_id);
	free(in);
}

const char *intake_id(const struct intake *in)
{
	return in->id;
}

void intake_set_attribute(struct intake *in, const char *name, struct slice value)
{
	ASSERT(in->state == INTAKE_ENVELOPE || in->state == INTAKE_FAILED);
	queue_writer_attribute(&in->writer, name, value);
}

void intake_set_envelope_id(struct intake *in, struct slice envid)
{
	intake_set_attribute(in, "envelope_id", envid);
}

void intake_set_ret(struct intake *in, unsigned ret)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", ret);
	intake_set_attribute(in, "ret_flags", slice_of(text));
}

void intake_set_encoding(struct intake *in, const char *encoding)
{
	in->is_8bit = strcmp(encoding, "8bit") == 0;
	in->is_7bit = strcmp(encoding, "7bit") == 0;
	intake_set_attribute(in, "encoding", slice_of(encoding));
}

void intake_set_hold(struct intake *in)
{
	in->hold = true;
}

void intake_set_discard(struct intake *in)
{
	in->discard = true;
}

void intake_set_filter(struct intake *in, const char *transport_nexthop)
{
	strbuf_reset(&in->filter);
	strbuf_addstr(&in->filter, transport_nexthop);
	in->filter_late = in->state != INTAKE_ENVELOPE;
}

void intake_set_redirect(struct intake *in, struct slice address)
{
	strbuf_reset(&in->redirect);
	strbuf_addslice(&in->redirect, address);
}

bool intake_prepend(struct intake *in, struct slice header, struct reason *why)
{
	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	ASSERT(in->state == INTAKE_ENVELOPE);
	strbuf_addslice(&in->prepended, header);
	strbuf_addch(&in->prepended, '\n');
	if (in->prepended.overflow)
		return intake_fail(in, why, "5.3.4", "message header too big");
	return true;
}

static bool finish_file(struct intake *in, struct reason *why)
{
	if (in->state == INTAKE_ENVELOPE && !intake_begin_content(in, why))
		return false;
	if (in->state == INTAKE_HEADER && !intake_header_end(in, why))
		return false;
	intake_end_body(in);
	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	queue_writer_extracted(&in->writer);
	if (in->filter.len > 0 && in->filter_late)
		write_text(in, QR_FILTER, strbuf_slice(&in->filter));
	if (in->redirect.len > 0)
		write_text(in, QR_REDIRECT, strbuf_slice(&in->redirect));
	if (!intake_put_late_bccs(in, why))
		return false;
	if (in->is_8bit || in->is_7bit)
		write_attribute(in, "encoding", in->is_8bit ? "8bit" : "7bit");
	if (in->message_id != NULL)
		write_attribute(in, "message_id", in->message_id);
	if (in->hold)
		write_attribute(in, QUEUE_HOLD_ATTRIBUTE, "1");
	queue_writer_finish(&in->writer, (in->smtputf8 ? QUEUE_SENDOPT_SMTPUTF8 : 0U) |
					     (in->require_tls ? QUEUE_SENDOPT_REQUIRETLS : 0U));
	if (in->writer.error == 0 && tmpfile_seal(&in->file) == -1)
		in->writer.error = errno;
	return intake_check_writer(in, why);
}

bool intake_commit(struct intake *in, struct reason *why)
{
	if (in->state == INTAKE_FAILED)
		return intake_fail(in, why, "", "");
	if (in->recipient_count == 0)
		return intake_fail(in, why, "5.1.0", "no recipients specified");
	if (!in->discard && !finish_file(in, why))
		return false;
	if (in->discard) {
		log_as(in->service->log_name, LOG_LEVEL_INFO, "%s: removed (discarded)", in->id);
		in->committed = true;
		return true;
	}
	struct offer_request request = {
		.id = in->id,
		.file = &in->file,
		.size = queue_writer_size(&in->writer),
		.recipient_count = in->recipient_count,
		.flags = offer_flags(in),
	};
	struct offer *offer = offer_new(in->service->offers, &request);
	int64_t limit = in->service->config.params->postcote_deliver_time_limit_ms;
	bool ours = offer_wait(offer, request.flags != 0 ? 0 : deadline_in(limit)) == OFFER_DONE ||
		    offer_spool(offer, why);

	offer_free(offer);
	if (!ours) {
		log_as(in->service->log_name, LOG_LEVEL_WARNING, "%s: %s", in->id, why->text);
		return intake_fail(in, why, "4.3.0", INTAKE_WRITE_ERROR);
	}
	in->committed = true;
	return true;
}

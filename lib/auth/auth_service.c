// SPDX-License-Identifier: BSD-2-Clause
/* The kinds, and the one that is a server of Dovecot's protocol. */
#include "auth/auth_service.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"

/* What the peer says and logs when the server's answer is none. */
#define LOST "Connection lost to authentication server"

static const struct auth_service_class *const classes[] = { &cyrus_server, &auth_service_dovecot };

struct auth_service *auth_service_new(const struct auth_service_config *config, struct reason *why)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (!strcmp(classes[i]->type, config->type))
			return classes[i]->open(config, why);
	reason_set(why, "4.3.5", "unsupported SASL server implementation: %s", config->type);
	return NULL;
}

bool auth_service_mechanisms(struct auth_service *service, int64_t deadline,
    struct auth_mechanism *list, size_t *count, struct reason *why)
{
	return service->class->mechanisms(service, deadline, list, count, why);
}

void auth_service_refusal(struct auth_service *service, const char *name, struct reason *why)
{
	service->class->refusal(name, why);
}

struct auth_exchange *auth_service_start(struct auth_service *service,
    const struct auth_params *params, int64_t deadline, enum auth_status *status)
{
	return service->class->start(service, params, deadline, status);
}

enum auth_status auth_exchange_continue(
    struct auth_exchange *exchange, struct slice response, int64_t deadline)
{
	return exchange->class->go_on(exchange, response, deadline);
}

void auth_exchange_free(struct auth_exchange *exchange)
{
	if (exchange)
		exchange->class->free(exchange);
}

const char *auth_service_reads(const struct auth_service *service, size_t i)
{
	return service->class->reads ? service->class->reads(service, i) : NULL;
}

/* --- dovecot --- */

struct dovecot_service {
	struct auth_service base;
	struct auth_client *client;
	char *path;
};

struct dovecot_exchange {
	struct auth_exchange base;
	struct auth_request *request;
};

static struct auth_service *dovecot_open(
    const struct auth_service_config *config, struct reason *why)
{
	struct dovecot_service *service = xcalloc(1, sizeof(*service));

	service->base.class = &auth_service_dovecot;
	service->client = auth_client_new(config->path);
	if (!service->client) {
		reason_set(why, "4.3.5", "smtpd_sasl_path = %s: bad address", config->path);
		free(service);
		return NULL;
	}
	service->path = xstrdup(config->path);
	return &service->base;
}

static bool dovecot_mechanisms(struct auth_service *base, int64_t deadline,
    struct auth_mechanism *list, size_t *count, struct reason *why)
{
	struct dovecot_service *service = (struct dovecot_service *)base;

	if (auth_client_mechanisms(service->client, deadline, list, count, why))
		return true;
	log_warning("SASL: Connect to %s failed: %s", service->path, why->text);
	reason_set(why, "4.7.0", LOST);
	return false;
}

static void dovecot_refusal(const char *name, struct reason *why)
{
	reason_set(why, "5.7.8", "Invalid authentication mechanism: '%s'", name);
}

static enum auth_status dovecot_settle(struct dovecot_exchange *x, enum auth_status status)
{
	x->base.challenge = auth_request_challenge(x->request);
	x->base.user = auth_request_user(x->request);
	x->base.reason = auth_request_reason(x->request);
	if (status == AUTH_TEMPORARY) {
		log_warning("SASL: %s", x->base.reason);
		x->base.reason = LOST;
	}
	return status;
}

static struct auth_exchange *dovecot_start(struct auth_service *base,
    const struct auth_params *params, int64_t deadline, enum auth_status *status)
{
	struct dovecot_service *service = (struct dovecot_service *)base;
	struct dovecot_exchange *x = xcalloc(1, sizeof(*x));

	x->base.class = &auth_service_dovecot;
	x->request = auth_request_start(service->client, params, deadline, status);
	*status = dovecot_settle(x, *status);
	return &x->base;
}

static enum auth_status dovecot_go_on(
    struct auth_exchange *base, struct slice response, int64_t deadline)
{
	struct dovecot_exchange *x = (struct dovecot_exchange *)base;

	return dovecot_settle(x, auth_request_continue(x->request, response, deadline));
}

static void dovecot_free(struct auth_exchange *base)
{
	struct dovecot_exchange *x = (struct dovecot_exchange *)base;

	auth_request_free(x->request);
	free(x);
}

const struct auth_service_class auth_service_dovecot = {
	.type = "dovecot",
	.open = dovecot_open,
	.mechanisms = dovecot_mechanisms,
	.refusal = dovecot_refusal,
	.start = dovecot_start,
	.go_on = dovecot_go_on,
	.free = dovecot_free,
};

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Roles: main.cf with the -o of one entry of master.cf, evaluated at the first question and kept
 * until the end of the process, since who has asked may hold it for as long.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "server/server_internal.h"

struct role {
	struct postfix_params *params;
	struct map log_names; /* program to name */
};

static pthread_mutex_t role_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map roles = MAP_INIT; /* "SERVICE TYPE" */
static struct postfix_params *stress_params;

static struct role *role_new(const char *service, const char *type)
{
	const struct postfix_source *source = server_process.ctx.postfix;
	struct role *role = xcalloc(1, sizeof(*role));

	role->params =
	    postfix_params_new(source, postfix_service_find(source, service, type), NULL);
	return role;
}

/* With the lock. */
static struct role *role_get(const char *service, const char *type)
{
	char *key = xasprintf("%s %s", service, type == NULL ? "" : type);
	struct role *role = map_get_str(&roles, key);

	if (role == NULL) {
		role = role_new(service, type);
		map_put_str(&roles, key, role);
	}
	free(key);
	return role;
}

const struct postfix_params *server_role(const char *service, const char *type)
{
	const struct postfix_params *params;

	pthread_mutex_lock(&role_lock);
	params = role_get(service, type)->params;
	pthread_mutex_unlock(&role_lock);
	return params;
}

/* The role's own parameters, as if master had started it with "-o stress=yes". */
static struct postfix_params *stress_params_new(void)
{
	const struct postfix_source *source = server_process.ctx.postfix;
	const struct postfix_service *entry =
	    postfix_service_find(source, server_process.ctx.service, server_process.type);
	struct postfix_params *params;

	if (entry == NULL) /* nothing of master's runs without one */
		return postfix_params_new(source, NULL, NULL);
	struct postfix_service own = *entry;

	own.overrides = xcalloc(own.override_count + 1, sizeof(*own.overrides));
	for (size_t i = 0; i < own.override_count; i++)
		own.overrides[i] = entry->overrides[i];
	/* The last one counts. */
	own.overrides[own.override_count++] =
	    (struct postfix_override){ .name = "stress", .value = "yes" };
	params = postfix_params_new(source, &own, NULL);
	free(own.overrides);
	return params;
}

const struct postfix_params *server_stress_params(void)
{
	const struct postfix_params *params;

	pthread_mutex_lock(&role_lock);
	if (stress_params == NULL)
		stress_params = stress_params_new();
	params = stress_params;
	pthread_mutex_unlock(&role_lock);
	return params;
}

const char *server_role_log_name(const char *service, const char *type, const char *program)
{
	struct role *role;
	char *name;

	pthread_mutex_lock(&role_lock);
	role = role_get(service, type);
	name = map_get_str(&role->log_names, program);
	if (name == NULL) {
		name = xasprintf("%s/%s", role->params->syslog_name, program);
		map_put_str(&role->log_names, program, name);
	}
	pthread_mutex_unlock(&role_lock);
	return name;
}

void roles_reset(void)
{
	pthread_mutex_lock(&role_lock);
	map_release(&roles, NULL);
	stress_params = NULL;
	pthread_mutex_unlock(&role_lock);
}

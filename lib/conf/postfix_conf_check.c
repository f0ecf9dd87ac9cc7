// SPDX-License-Identifier: BSD-2-Clause
/* What is wrong with a configuration, or has no effect, beyond what reading it finds. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "conf/nearest.h"
#include "conf/postfix_param_list.h"
#include "conf/postfix_programs.h"
#include "conf/postfix_restrictions.h"
#include "conf/postfix_source.h"
#include "conf/postfix_usage.h"

#define CLASS_DEPTH 20

struct check {
	const struct postfix_source *source;
	struct conf_errors *errors;
	struct postfix_usage usage;
};

/* ---- names ---- */

static void report_unknown(struct check *c, const char *file, unsigned line, const char *name)
{
	const char *nearest = postfix_param_nearest(name);
	if (nearest)
		conf_report(c->errors, CONF_WARNING, file, line,
		    "%s: unknown parameter (did you mean %s?)", name, nearest);
	else
		conf_report(c->errors, CONF_WARNING, file, line,
		    "%s: unknown parameter, and nothing refers to it", name);
}

/* Two spellings of one value, as far as the default's type goes. */
static bool is_same_value(const char *a, const char *b)
{
	struct slice ra = slice_of(a), rb = slice_of(b), wa, wb;
	for (;;) {
		bool more_a = slice_token(&ra, " \t\r\n,", &wa);
		bool more_b = slice_token(&rb, " \t\r\n,", &wb);
		if (!more_a || !more_b)
			return more_a == more_b;
		if (!slice_caseeq(wa, wb))
			return false;
	}
}

/* Commands and scripts, which are no programs of master.cf, do not count. */
static bool is_read_by_absent_only(const struct postfix_param_row *row)
{
	struct slice rest = slice_of(row->readers), word;
	bool absent = false;
	while (slice_token(&rest, ",", &word)) {
		char *name = xstrndup(word.ptr, word.len);
		const struct postfix_program *program = postfix_program_find(name);
		free(name);
		if (slice_starts(word, "*") || (program && program->kind != PROGRAM_ABSENT))
			return false;
		absent |= program != NULL;
	}
	return absent;
}

/* VALUE is the expanded one. */
static void check_support(struct check *c, const char *file, unsigned line,
    const struct postfix_param_row *row, const char *value)
{
	/* Another value that uses it gives it its effect. */
	if (map_get_str(&c->usage.from_working, row->name) ||
	    (row->is_old && map_get_str(&c->usage.from_defaults, row->name)))
		return;
	char *def = postfix_source_default(c->source, row->name);
	bool is_default = def && is_same_value(def, value);
	if (!is_default && is_read_by_absent_only(row))
		conf_report(c->errors, CONF_WARNING, file, line,
		    "%s: no effect yet: it is for %s, which is not supported yet", row->name,
		    row->readers);
	else if (!is_default)
		conf_report(c->errors, CONF_WARNING, file, line,
		    "%s: not supported yet; Postcote goes on as with \"%s = %s\"", row->name,
		    row->name, def ? def : row->def);
	free(def);
}

static void check_name(struct check *c, const struct postfix_params *params, const char *file,
    unsigned line, const char *name)
{
	const char *value = postfix_param_lookup(params, name);
	const struct postfix_param_row *row = postfix_param_find(name);
	if (row && !row->works)
		check_support(c, file, line, row, value ? value : "");
	else if (value && postfix_is_restriction_list(params, name))
		postfix_restrictions_check(params, name, value, file, line, c->errors);
	else if (!row && !postfix_name_is_known(c->source, name) &&
		 !postfix_usage_has(&c->usage, name))
		report_unknown(c, file, line, name);
}

static void check_main_names(struct check *c, const struct postfix_params *params)
{
	for (size_t i = 0; i < c->source->set_count; i++) {
		const struct postfix_assignment *set = &c->source->set[i];
		check_name(c, params, c->source->main_path, set->line, set->name);
	}
}

/* ---- who may relay ---- */

static bool is_required(struct slice word)
{
	static const char *const required[] = { "reject_unauth_destination",
		"defer_unauth_destination", "reject", "defer", "defer_if_permit" };
	for (size_t i = 0; i < ARRAY_LEN(required); i++)
		if (slice_caseeq_str(word, required[i]))
			return true;
	return false;
}

/*
 * The list, or a class in it, refuses strangers' mail for strangers.  What stands behind a permit
 * is never reached, and what warn_if_reject is put before refuses nothing.
 */
static bool has_required(const struct postfix_params *params, const char *list, unsigned depth)
{
	struct strbuf word = STRBUF_INIT(POSTFIX_FILE_LIMIT);
	bool found = false, skip = false;
	while (!found && postfix_list_next(&list, &word)) {
		struct slice s = strbuf_slice(&word);
		if (slice_caseeq_str(s, "permit") && !skip)
			break;
		if (skip || slice_caseeq_str(s, "warn_if_reject"))
			skip = !skip;
		else if (is_required(s))
			found = true;
		else if (depth < CLASS_DEPTH && postfix_is_restriction_class(params, s)) {
			const char *inside = postfix_param_lookup(params, word.ptr);
			found = inside && has_required(params, inside, depth + 1);
		}
	}
	strbuf_release(&word);
	return found;
}

static void check_relay(
    struct check *c, const struct postfix_service *service, const struct postfix_params *params)
{
	if (has_required(params, params->smtpd_relay_restrictions, 0) ||
	    has_required(params, params->smtpd_recipient_restrictions, 0))
		return;
	unsigned line = 0;
	if (!postfix_source_raw(c->source, "smtpd_relay_restrictions", &line))
		postfix_source_raw(c->source, "smtpd_recipient_restrictions", &line);
	conf_report(c->errors, CONF_ERROR, c->source->main_path, line,
	    "service %s (line %u of master.cf) would be an open relay: in parameter "
	    "smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working "
	    "instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, "
	    "defer_if_permit",
	    service->name, service->line);
}

/* ---- services ---- */

static void check_service_values(struct check *c, const struct postfix_service *service,
    const struct postfix_params *main_params)
{
	const struct postfix_program *program = postfix_program_find(service->program);
	struct postfix_params *own = NULL;
	if (service->override_count > 0)
		own = postfix_params_new(c->source, service, c->errors);
	const struct postfix_params *params = own ? own : main_params;
	for (size_t i = 0; i < service->override_count; i++) {
		/* An absent program has a finding of its own, where somebody would miss it. */
		if (program && program->kind != PROGRAM_ABSENT)
			check_name(c, params, c->source->master_path, service->line,
			    service->overrides[i].name);
	}
	if (strcmp(service->program, "smtpd") == 0 && strcmp(service->type, "unix-dgram") != 0)
		check_relay(c, service, params);
	if (strcmp(service->program, "postlogd") == 0 && strcmp(service->type, "unix-dgram") != 0)
		conf_report(c->errors, CONF_ERROR, c->source->master_path, service->line,
		    "service %s: postlogd serves sockets of type unix-dgram alone", service->name);
	postfix_params_free(own);
}

static void check_program(struct check *c, const struct postfix_service *service)
{
	const struct postfix_program *program = postfix_program_find(service->program);
	const char *nearest = program ? NULL : postfix_program_nearest(service->program);
	if (!program)
		conf_report(c->errors, CONF_WARNING, c->source->master_path, service->line,
		    "service %s: program %s is unknown%s%s%s, the service is not started",
		    service->name, service->program, nearest ? " (did you mean " : "",
		    nearest ? nearest : "", nearest ? "?)" : "");
	else if (program->kind == PROGRAM_ABSENT && strcmp(service->type, "inet") == 0)
		conf_report(c->errors, CONF_WARNING, c->source->master_path, service->line,
		    "service %s: program %s is not supported yet: %s", service->name,
		    service->program, program->does);
}

/* Parameters whose value names a transport.  Their defaults are in every configuration. */
static const char *const transport_params[] = {
	"content_filter",
	"default_transport",
	"fallback_transport",
	"local_transport",
	"mailbox_transport",
	"relay_transport",
	"virtual_transport",
};

/* These need no entry. */
static bool is_done_by_qmgr(struct slice name)
{
	return slice_eq_str(name, "error") || slice_eq_str(name, "retry");
}

static void report_no_service(struct check *c, const char *param, unsigned line, struct slice name)
{
	char *text = xstrndup(name.ptr, name.len);
	struct nearest nearest;
	nearest_init(&nearest, text);
	for (size_t i = 0; i < c->source->service_count; i++)
		if (strcmp(c->source->services[i].type, "unix") == 0)
			nearest_try(&nearest, c->source->services[i].name);
	conf_report(c->errors, CONF_WARNING, c->source->main_path, line,
	    "%s: there is no service %s in master.cf%s%s%s: mail for it is deferred", param, text,
	    nearest.found ? " (did you mean " : "", nearest.found ? nearest.found : "",
	    nearest.found ? "?)" : "");
	free(text);
}

static void check_transport(
    struct check *c, const char *param, unsigned line, const char *transport)
{
	ptrdiff_t colon = slice_find(slice_of(transport), ':');
	struct slice name = slice_of(transport);
	if (colon >= 0)
		name = slice_first(name, (size_t)colon);
	for (size_t i = 0; i < c->source->service_count && name.len > 0; i++) {
		const struct postfix_service *service = &c->source->services[i];
		const struct postfix_program *program = postfix_program_find(service->program);
		if (!slice_eq_str(name, service->name) || strcmp(service->type, "unix") != 0)
			continue;
		if (program && program->kind == PROGRAM_ABSENT)
			conf_report(c->errors, CONF_WARNING, c->source->main_path, line,
			    "%s: service %s runs %s, which is not supported yet: %s", param,
			    service->name, service->program, program->does);
		return;
	}
	if (name.len > 0 && !is_done_by_qmgr(name))
		report_no_service(c, param, line, name);
}

static void check_transports(struct check *c, const struct postfix_params *params)
{
	unsigned line = 0;
	for (size_t i = 0; i < ARRAY_LEN(transport_params); i++)
		if (postfix_source_raw(c->source, transport_params[i], &line))
			check_transport(c, transport_params[i], line,
			    postfix_param_lookup(params, transport_params[i]));
	if (postfix_source_raw(c->source, "relayhost", &line) && params->relayhost[0] != '\0')
		check_transport(c, "relayhost", line, params->default_transport);
}

void postfix_conf_check(const struct postfix_source *source, struct conf_errors *errors)
{
	struct check c = { .source = source, .errors = errors };
	postfix_usage_init(&c.usage, source);
	struct postfix_params *params = postfix_params_new(source, NULL, errors);
	check_main_names(&c, params);
	check_transports(&c, params);
	for (size_t i = 0; i < source->service_count; i++) {
		check_program(&c, &source->services[i]);
		check_service_values(&c, &source->services[i], params);
	}
	postfix_params_free(params);
	postfix_usage_release(&c.usage);
}

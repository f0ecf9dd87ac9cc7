// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_usage.h"

#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "conf/postfix_expand.h"
#include "conf/postfix_param_list.h"

static char present; /* its address is the value of every name in the maps */

static void note_reference(struct slice name, void *map)
{
	map_put(map, name, &present);
}

/* Restriction classes are called by name. */
static void note_classes(struct postfix_usage *usage, const char *list)
{
	struct strbuf word = STRBUF_INIT(1000);
	while (postfix_list_next(&list, &word))
		if (!word.overflow)
			map_put(&usage->from_set, strbuf_slice(&word), &present);
	strbuf_release(&word);
}

/* Types of tables whose settings may stand in main.cf. */
static bool has_settings(struct slice type)
{
	static const char *const types[] = { "ldap", "memcache", "mongodb", "mysql", "pgsql",
		"sqlite" };
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (slice_eq_str(type, types[i]))
			return true;
	return false;
}

static void note_tables(struct postfix_usage *usage, const char *value)
{
	struct slice rest = slice_of(value), word;
	while (slice_token(&rest, " \t\r\n,{}", &word)) {
		ptrdiff_t colon = slice_rfind(word, ':');
		if (colon <= 0 || slice_find(word, '/') >= 0)
			continue;
		struct slice type = slice_first(word, (size_t)colon);
		ptrdiff_t proxy = slice_rfind(type, ':');
		if (has_settings(slice_from(type, (size_t)(proxy + 1))))
			map_put(&usage->tables, slice_from(word, (size_t)colon + 1), &present);
	}
}

static void note_value(struct postfix_usage *usage, const char *name, const char *value)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	if (!row || row->type != PARAM_RAW)
		postfix_expand_references(value, note_reference, &usage->from_set);
	if (!row || (row->type != PARAM_RAW && row->works))
		postfix_expand_references(value, note_reference, &usage->from_working);
	if (strcmp(name, "smtpd_restriction_classes") == 0)
		note_classes(usage, value);
	note_tables(usage, value);
}

void postfix_usage_init(struct postfix_usage *usage, const struct postfix_source *source)
{
	*usage = (struct postfix_usage){ MAP_INIT, MAP_INIT, MAP_INIT, MAP_INIT };
	for (size_t i = 0; i < postfix_source_set_count(source); i++) {
		const char *name = postfix_source_set_name(source, i);
		note_value(usage, name, postfix_source_raw(source, name, NULL));
	}
	for (size_t i = 0; i < postfix_service_count(source); i++) {
		const struct postfix_service *service = postfix_service_at(source, i);
		for (size_t o = 0; o < service->override_count; o++)
			note_value(usage, service->overrides[o].name, service->overrides[o].value);
	}
	for (size_t i = 0; i < postfix_param_count(); i++) {
		const struct postfix_param_row *row = postfix_param_row(i);
		if (!row->is_old && row->type != PARAM_RAW)
			postfix_expand_references(row->def, note_reference, &usage->from_defaults);
	}
}

void postfix_usage_release(struct postfix_usage *usage)
{
	map_release(&usage->from_set, NULL);
	map_release(&usage->from_working, NULL);
	map_release(&usage->from_defaults, NULL);
	map_release(&usage->tables, NULL);
}

bool postfix_usage_names_table(const struct postfix_usage *usage, const char *name)
{
	for (const char *p = strchr(name, '_'); p; p = strchr(p + 1, '_'))
		if (map_get(&usage->tables, slice_mem(name, (size_t)(p - name))))
			return true;
	return false;
}

bool postfix_usage_has(const struct postfix_usage *usage, const char *name)
{
	return map_get_str(&usage->from_set, name) || map_get_str(&usage->from_defaults, name) ||
	       postfix_usage_names_table(usage, name);
}

bool postfix_name_is_known(const struct postfix_source *source, const char *name)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	struct slice transport;
	if (row)
		return !row->is_old;
	if (!postfix_transport_fallback(name, &transport))
		return false;
	for (size_t i = 0; i < postfix_service_count(source); i++) {
		const struct postfix_service *service = postfix_service_at(source, i);
		if (slice_eq_str(transport, service->name) && strcmp(service->type, "unix") == 0)
			return true;
	}
	return false;
}

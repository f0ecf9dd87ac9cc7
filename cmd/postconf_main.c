// SPDX-License-Identifier: BSD-2-Clause
/* postconf's listings of the parameters of main.cf. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/postfix_param_list.h"
#include "log/log.h"

/* ---- one parameter ---- */

/* Defaults that depend on this host or process have no text to show but their value. */
static bool is_computed(const char *name)
{
	static const char *const computed[] = { "mydomain", "myhostname", "mynetworks",
		"process_id", "process_name", "service_name" };
	for (size_t i = 0; i < ARRAY_LEN(computed); i++)
		if (strcmp(computed[i], name) == 0)
			return true;
	return false;
}

/* The text of a default; *TO_FREE holds it when it is on the heap. */
static const char *default_text(const struct postconf *pc, const char *name, char **to_free)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	struct slice transport;
	if (is_computed(name))
		return postfix_param_lookup(pc->params, name);
	if (row)
		return row->def;
	*to_free = xasprintf("$%s", postfix_transport_fallback(name, &transport));
	return *to_free;
}

static void print_parameter(const struct postconf *pc, const char *name)
{
	char *to_free = NULL, *expanded = NULL;
	const struct postfix_param_row *row = postfix_param_find(name);
	const char *value = postconf_find_set(pc, name);
	if (!value)
		value = default_text(pc, name, &to_free);
	if (pc->expand && value && (!row || row->type != PARAM_RAW)) {
		expanded = postfix_param_expand(pc->params, value);
		if (!expanded)
			fatal("%s: bad value: %s", name, value);
		value = expanded;
	}
	postconf_print_assignment(pc, name, value ? value : "");
	free(expanded);
	free(to_free);
}

/* ---- which parameters ---- */

struct names {
	char **list;
	size_t count, alloc;
};

static void add_name(struct names *names, const char *name)
{
	if (names->count == names->alloc) {
		names->alloc = names->alloc ? 2 * names->alloc : 2048;
		names->list = xreallocarray(names->list, names->alloc, sizeof(*names->list));
	}
	names->list[names->count++] = xstrdup(name);
}

static void add_if_wanted(struct names *names, const struct postconf *pc, const char *name)
{
	if ((postconf_class_of(pc, name) & pc->classes) &&
	    (!pc->non_default || postconf_find_set(pc, name)))
		add_name(names, name);
}

static void add_defined_by(
    struct names *names, const struct postconf *pc, const struct postfix_entry *entry)
{
	for (size_t f = 0; f < postfix_transport_form_count(); f++) {
		char *name = xasprintf("%s%s", entry->columns[0], postfix_transport_form(f));
		if (postconf_class_of(pc, name) == POSTCONF_SERVICE)
			add_if_wanted(names, pc, name);
		free(name);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_and_free(const struct postconf *pc, struct names *names)
{
	if (names->count > 0)
		qsort(names->list, names->count, sizeof(*names->list), compare_names);
	for (size_t i = 0; i < names->count; i++) {
		if (i == 0 || strcmp(names->list[i], names->list[i - 1]) != 0)
			print_parameter(pc, names->list[i]);
	}
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
}

static void list_all(const struct postconf *pc)
{
	struct names names = { 0 };
	for (size_t i = 0; i < postfix_param_count(); i++) {
		const char *name = postfix_param_row(i)->name;
		if (postconf_class_of(pc, name) == POSTCONF_BUILTIN)
			add_if_wanted(&names, pc, name);
	}
	for (size_t i = 0; i < pc->entry_count; i++)
		add_defined_by(&names, pc, &pc->entries[i]);
	for (size_t i = 0; i < postconf_set_count(pc); i++) {
		const char *name = postconf_set_name(pc, i);
		if (postconf_class_of(pc, name) == POSTCONF_USER)
			add_if_wanted(&names, pc, name);
	}
	print_and_free(pc, &names);
}

void postconf_list_main(const struct postconf *pc, char **args)
{
	if (!*args)
		list_all(pc);
	for (; *args; args++) {
		if (postconf_class_of(pc, *args) == POSTCONF_UNKNOWN)
			log_warning("%s: unknown parameter", *args);
		else if (!pc->non_default || postconf_find_set(pc, *args))
			print_parameter(pc, *args);
	}
}

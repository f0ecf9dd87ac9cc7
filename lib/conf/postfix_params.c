// SPDX-License-Identifier: BSD-2-Clause
/*
 * Evaluating parameters.  Each name is evaluated once, when something first asks for it, and kept:
 * a value that refers to itself is met again while it is still in the making.  When all names of
 * the list, of main.cf and of the -o are done, nothing is evaluated any more, and threads may read.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "conf/postfix_expand.h"
#include "conf/postfix_param_list.h"
#include "conf/postfix_programs.h"
#include "conf/postfix_source.h"
#include "conf/postfix_value.h"

struct entry {
	enum { ENTRY_RUNNING, ENTRY_DONE } state;
	const char *value; /* NULL: undefined */
};

struct postfix_eval {
	struct arena arena;
	struct map entries; /* of all but plain defaults */
	/* Only while evaluating: */
	bool *row_is_set; /* by index in the list */
	const struct postfix_source *source;
	const struct postfix_service *service;
	struct conf_errors *errors;
};

/* Where a parameter gets its text from, for evaluating it and for findings. */
struct origin {
	const char *text; /* NULL: undefined */
	const char *file;
	unsigned line;
	bool is_set;	 /* in main.cf or master.cf */
	bool is_literal; /* not to be expanded */
};

static const char *eval_get(struct postfix_eval *eval, const char *name, bool *failed);

static bool find_setting(const struct postfix_eval *eval, const char *name, struct origin *origin)
{
	const struct postfix_service *service = eval->service;
	origin->is_set = true;
	for (size_t i = service ? service->override_count : 0; i-- > 0;) {
		if (strcmp(service->overrides[i].name, name) == 0) {
			origin->text = service->overrides[i].value;
			origin->file = eval->source->master_path;
			origin->line = service->line;
			return true;
		}
	}
	origin->text = postfix_source_raw(eval->source, name, &origin->line);
	origin->file = eval->source->main_path;
	origin->is_set = origin->text != NULL;
	return origin->is_set;
}

/* What the system calls itself, made a full name. */
static const char *default_myhostname(struct postfix_eval *eval)
{
	const char *name = eval->source->environment.hostname;
	if (strchr(name, '.'))
		return name;
	bool failed = false;
	struct origin origin;
	const char *domain = find_setting(eval, "mydomain", &origin)
				 ? eval_get(eval, "mydomain", &failed)
				 : "localdomain";
	return arena_printf(&eval->arena, "%s.%s", name[0] ? name : "localhost",
	    domain && !failed ? domain : "localdomain");
}

static const char *default_mydomain(struct postfix_eval *eval)
{
	bool failed = false;
	const char *host = eval_get(eval, "myhostname", &failed);
	const char *dot = host ? strchr(host, '.') : NULL;
	return dot ? dot + 1 : "localdomain";
}

static const char *text_of(struct postfix_eval *eval, const char *name)
{
	bool failed = false;
	const char *value = eval_get(eval, name, &failed);
	return value && !failed ? value : "";
}

static const char *default_mynetworks(struct postfix_eval *eval)
{
	struct strbuf out = STRBUF_INIT(POSTFIX_VALUE_LIMIT);
	const char *style = text_of(eval, "mynetworks_style");
	if (!postfix_environment_networks(&eval->source->environment, style,
		text_of(eval, "inet_interfaces"), text_of(eval, "inet_protocols"), &out)) {
		struct origin origin = { 0 };
		find_setting(eval, "mynetworks_style", &origin);
		conf_report(eval->errors, CONF_ERROR, origin.file, origin.line,
		    "mynetworks_style: bad value: %s (want host, subnet or class)", style);
	}
	const char *value = arena_slicedup(&eval->arena, strbuf_slice(&out));
	strbuf_release(&out);
	return value;
}

static const char *default_config_directory(struct postfix_eval *eval)
{
	return eval->source->dir;
}

static const char *default_process_id(struct postfix_eval *eval)
{
	return arena_printf(&eval->arena, "%ld", (long)getpid());
}

static const char *default_process_name(struct postfix_eval *eval)
{
	return eval->service ? eval->service->program : program_invocation_short_name;
}

static const char *default_service_name(struct postfix_eval *eval)
{
	return eval->service ? eval->service->name : "";
}

static const struct {
	const char *name;
	const char *(*compute)(struct postfix_eval *eval);
} computed[] = {
	{ "config_directory", default_config_directory },
	{ "mydomain", default_mydomain },
	{ "myhostname", default_myhostname },
	{ "mynetworks", default_mynetworks },
	{ "process_id", default_process_id },
	{ "process_name", default_process_name },
	{ "service_name", default_service_name },
};

/* The default of a parameter that a transport of master.cf defines, or NULL. */
static const char *transport_default(struct postfix_eval *eval, const char *name)
{
	struct slice transport;
	const char *fallback = postfix_transport_fallback(name, &transport);
	if (!fallback)
		return NULL;
	for (size_t i = 0; i < eval->source->service_count; i++) {
		const struct postfix_service *service = &eval->source->services[i];
		if (slice_eq_str(transport, service->name) && postfix_is_transport(service))
			return arena_printf(&eval->arena, "$%s", fallback);
	}
	return NULL;
}

static const char *(*find_computed(const char *name))(struct postfix_eval *eval)
{
	for (size_t i = 0; i < ARRAY_LEN(computed); i++)
		if (computed[i].name[0] == name[0] && strcmp(computed[i].name, name) == 0)
			return computed[i].compute;
	return NULL;
}

/* Most parameters: nobody has set it, and its value is the text in the list. */
static bool is_plain_default(const struct postfix_eval *eval, const struct postfix_param_row *row)
{
	return !eval->row_is_set[row - postfix_param_row(0)] && !row->is_old &&
	       (row->type == PARAM_RAW || !strchr(row->def, '$')) && !find_computed(row->name);
}

static void find_default(struct postfix_eval *eval, const char *name, struct origin *origin)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	const char *(*compute)(struct postfix_eval * eval) = find_computed(name);
	*origin = (struct origin){ .is_literal = compute != NULL };
	if (compute) {
		origin->text = compute(eval);
		return;
	}
	if (row && !row->is_old)
		origin->text = row->def;
	else if (!row)
		origin->text = transport_default(eval, name);
}

static const char *lookup_for_expand(const char *name, void *arg, bool *failed)
{
	return eval_get(arg, name, failed);
}

/* The expanded text, or NULL after a finding. */
static const char *expand(struct postfix_eval *eval, const char *name, const struct origin *origin)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	bool is_plain = (row && row->type == PARAM_RAW) || !strchr(origin->text, '$');
	/* The text of a default stays; that of the source goes when the source goes. */
	if (is_plain && !origin->is_set && !origin->is_literal)
		return origin->text;
	if (is_plain || origin->is_literal)
		return arena_strdup(&eval->arena, origin->text);
	struct strbuf out = STRBUF_INIT(POSTFIX_VALUE_LIMIT), error = STRBUF_INIT(4096);
	const char *value = NULL;
	if (postfix_expand(&out, slice_of(origin->text), lookup_for_expand, eval, &error))
		value = arena_slicedup(&eval->arena, strbuf_slice(&out));
	else if (error.len > 0)
		conf_report(eval->errors, CONF_ERROR, origin->file, origin->line, "%s: %s", name,
		    error.ptr);
	strbuf_release(&out);
	strbuf_release(&error);
	return value;
}

/* Half of the defaults compare the level; with a bad one there would be a finding for each. */
static bool is_usable(
    struct postfix_eval *eval, const char *name, const struct origin *origin, const char *value)
{
	uint64_t level;
	if (strcmp(name, "compatibility_level") != 0 ||
	    postfix_value_level(slice_of(value), &level))
		return true;
	conf_report(eval->errors, CONF_ERROR, origin->file, origin->line,
	    "%s: bad value: %.200s (want a release, such as 3.6)", name, value);
	return false;
}

static const char *value_or_default(struct postfix_eval *eval, const char *name)
{
	struct origin origin = { 0 };
	const char *value = NULL;
	if (find_setting(eval, name, &origin)) {
		value = expand(eval, name, &origin);
		if (value && is_usable(eval, name, &origin, value))
			return value;
	}
	find_default(eval, name, &origin);
	return origin.text ? expand(eval, name, &origin) : NULL;
}

/* The value, or NULL when undefined; *FAILED for one that is in the making: it refers to itself. */
static const char *eval_get(struct postfix_eval *eval, const char *name, bool *failed)
{
	struct entry *entry = map_get_str(&eval->entries, name);
	const struct postfix_param_row *row = entry ? NULL : postfix_param_find(name);
	if (row && is_plain_default(eval, row))
		return row->def;
	if (!entry) {
		entry = ARENA_NEW(&eval->arena, struct entry);
		entry->state = ENTRY_RUNNING;
		map_put_str(&eval->entries, name, entry);
		entry->value = value_or_default(eval, name);
		entry->state = ENTRY_DONE;
	} else if (entry->state == ENTRY_RUNNING) {
		struct origin origin = { 0 };
		find_setting(eval, name, &origin);
		conf_report(eval->errors, CONF_ERROR, origin.file, origin.line,
		    "%s: the value refers to itself", name);
		*failed = true;
	}
	return entry->value;
}

/* ---- typed values ---- */

static const char *type_name(int type)
{
	switch (type) {
	case PARAM_BOOL:
		return "bad boolean value";
	case PARAM_TIME:
		return "bad time value";
	default:
		return "bad numerical value";
	}
}

static const char *type_hint(int type)
{
	switch (type) {
	case PARAM_BOOL:
		return "want yes or no";
	case PARAM_TIME:
		return "want a number and s, m, h, d or w";
	default:
		return "want a number";
	}
}

/* The unit of a bare number is that of the default value. */
static char time_unit(struct postfix_eval *eval, const struct postfix_param_row *row)
{
	struct origin origin;
	find_default(eval, row->name, &origin);
	const char *text = origin.text ? expand(eval, row->name, &origin) : NULL;
	for (; text && *text != '\0'; text++)
		if (ascii_isalpha(*text))
			return ascii_lower(*text);
	return 's';
}

static bool parse(struct postfix_eval *eval, const struct postfix_param_row *row, const char *text,
    long long *number)
{
	bool yes;
	int64_t seconds;
	switch (row->type) {
	case PARAM_BOOL:
		if (!postfix_value_bool(text, &yes))
			return false;
		*number = yes;
		return true;
	case PARAM_TIME:
		if (!postfix_value_time(text, '\0', &seconds) &&
		    !postfix_value_time(text, time_unit(eval, row), &seconds))
			return false;
		*number = seconds;
		return true;
	case PARAM_INT:
		return postfix_value_number(text, number) && *number <= INT_MAX &&
		       *number >= INT_MIN;
	default:
		return postfix_value_number(text, number);
	}
}

/*
 * ORIGIN is NULL for a default.  The peer lets a negative number pass where it has no minimum, and
 * then takes it for "no limit" or nothing, as it does with 0.  Our code shall never meet one.
 */
static bool check_bounds(struct postfix_eval *eval, const struct postfix_param_row *row,
    const struct origin *origin, long long *number)
{
	bool too_low = row->min != 0 && *number < row->min;
	bool too_high = row->max != 0 && *number > row->max;
	if (!origin && (too_low || too_high || *number < 0))
		return false;
	if (too_low) {
		conf_report(eval->errors, CONF_ERROR, origin->file, origin->line,
		    "%s: bad value: %s (the least is %lld)", row->name, text_of(eval, row->name),
		    row->min);
		return false;
	}
	if (too_high) {
		conf_report(eval->errors, CONF_ERROR, origin->file, origin->line,
		    "%s: bad value: %s (the most is %lld)", row->name, text_of(eval, row->name),
		    row->max);
		return false;
	}
	if (*number < 0) {
		conf_report(eval->errors, CONF_WARNING, origin->file, origin->line,
		    "%s: negative value %lld counts as 0", row->name, *number);
		*number = 0;
	}
	return true;
}

static bool parse_and_check(
    struct postfix_eval *eval, const struct postfix_param_row *row, long long *number)
{
	struct origin origin = { 0 };
	const char *text = text_of(eval, row->name);
	/* A bad default comes from another parameter, which has its own finding, or whose value is
	 * just not meant for this one. */
	bool is_set = find_setting(eval, row->name, &origin);
	if (parse(eval, row, text, number))
		return check_bounds(eval, row, is_set ? &origin : NULL, number);
	if (!is_set)
		return false;
	conf_report(eval->errors, CONF_ERROR, origin.file, origin.line, "%s: %s: %s (%s)",
	    row->name, type_name(row->type), text, type_hint(row->type));
	return false;
}

/* For the default behind a bad value. */
static long long default_number(struct postfix_eval *eval, const struct postfix_param_row *row)
{
	struct origin origin;
	find_default(eval, row->name, &origin);
	if (!origin.text)
		origin.text = row->def;
	long long number = 0;
	const char *text = expand(eval, row->name, &origin);
	if (!text || !parse(eval, row, text, &number) || number < row->min ||
	    (row->max != 0 && number > row->max))
		return row->min;
	struct entry *entry = map_get_str(&eval->entries, row->name);
	if (entry->value) /* what is undefined stays that in values */
		entry->value = text;
	return number;
}

static void set_number(
    struct postfix_params *params, const struct postfix_param_row *row, long long number)
{
	void *member = postfix_param_member(params, row);
	switch (row->type) {
	case PARAM_BOOL:
		*(bool *)member = number != 0;
		break;
	case PARAM_INT:
		*(long *)member = (long)number;
		break;
	case PARAM_SIZE:
		*(long long *)member = number;
		break;
	default:
		*(int64_t *)member = number;
		break;
	}
}

static void fill_member(struct postfix_params *params, const struct postfix_param_row *row)
{
	struct postfix_eval *eval = params->eval;
	bool failed = false, is_plain = is_plain_default(eval, row);
	long long number = 0;
	const char *value = is_plain ? row->def : eval_get(eval, row->name, &failed);
	if (row->type == PARAM_STR || row->type == PARAM_RAW) {
		const char **member = postfix_param_member(params, row);
		*member = value ? value : row->is_old ? "" : row->def;
		return;
	}
	if (is_plain)
		ASSERT(parse(eval, row, value, &number));
	else if (!value || !parse_and_check(eval, row, &number))
		number = default_number(eval, row);
	set_number(params, row, number);
}

/* What mail is named and rewritten with must be a name. */
static void check_host_name(struct postfix_params *params, const char *name)
{
	const char *value = text_of(params->eval, name);
	bool good = value[0] != '\0' && strlen(value) <= POSTFIX_HOSTNAME_LIMIT;
	for (const char *p = value; good && *p != '\0'; p++) {
		bool edge = p == value || p[1] == '\0' || p[-1] == '.' || p[1] == '.';
		good = ascii_isalnum(*p) || *p == '_' || ((*p == '-' || *p == '.') && !edge);
	}
	if (good)
		return;
	struct origin origin = { 0 };
	find_setting(params->eval, name, &origin);
	conf_report(params->eval->errors, CONF_ERROR, origin.file, origin.line,
	    "%s: bad host name: \"%s\"", name, value);
}

/* No protocol at all would leave nobody to serve. */
static void check_protocols(struct postfix_params *params)
{
	struct strbuf word = STRBUF_INIT(64);
	struct origin origin = { 0 };
	const char *rest = params->inet_protocols;
	bool any = false, bad = false;
	while (postfix_list_next(&rest, &word)) {
		any = true;
		bad |= strcmp(word.ptr, "all") != 0 && strcmp(word.ptr, "ipv4") != 0 &&
		       strcmp(word.ptr, "ipv6") != 0;
	}
	strbuf_release(&word);
	if (any && !bad)
		return;
	find_setting(params->eval, "inet_protocols", &origin);
	conf_report(params->eval->errors, CONF_ERROR, origin.file, origin.line,
	    "inet_protocols: bad value: %s (want all, ipv4 or ipv6)", params->inet_protocols);
}

static void eval_user_defined(struct postfix_eval *eval)
{
	bool failed = false;
	for (size_t i = 0; i < eval->source->set_count; i++)
		eval_get(eval, eval->source->set[i].name, &failed);
	for (size_t i = 0; eval->service && i < eval->service->override_count; i++)
		eval_get(eval, eval->service->overrides[i].name, &failed);
}

static void mark_set(struct postfix_eval *eval, const char *name)
{
	const struct postfix_param_row *row = postfix_param_find(name);
	if (row)
		eval->row_is_set[row - postfix_param_row(0)] = true;
}

static struct postfix_eval *eval_new(const struct postfix_source *source,
    const struct postfix_service *service, struct conf_errors *errors)
{
	struct postfix_eval *eval = xcalloc(1, sizeof(*eval));
	eval->source = source;
	eval->service = service;
	eval->errors = errors;
	eval->row_is_set = xcalloc(postfix_param_count(), sizeof(*eval->row_is_set));
	for (size_t i = 0; i < source->set_count; i++)
		mark_set(eval, source->set[i].name);
	for (size_t i = 0; service && i < service->override_count; i++)
		mark_set(eval, service->overrides[i].name);
	return eval;
}

static void eval_free(struct postfix_eval *eval)
{
	map_release(&eval->entries, NULL);
	arena_release(&eval->arena);
	free(eval->row_is_set);
	free(eval);
}

struct postfix_params *postfix_params_new(const struct postfix_source *source,
    const struct postfix_service *service, struct conf_errors *errors)
{
	struct postfix_params *params = xcalloc(1, sizeof(*params));
	params->eval = eval_new(source, service, errors);
	eval_user_defined(params->eval);
	for (size_t i = 0; i < postfix_param_count(); i++)
		fill_member(params, postfix_param_row(i));
	check_host_name(params, "myhostname");
	check_host_name(params, "mydomain");
	check_protocols(params);
	free(params->eval->row_is_set);
	params->eval->row_is_set = NULL;
	params->eval->source = NULL;
	params->eval->service = NULL;
	params->eval->errors = NULL;
	return params;
}

void postfix_params_free(struct postfix_params *params)
{
	if (!params)
		return;
	eval_free(params->eval);
	free(params);
}

char *postfix_source_value(const struct postfix_source *source, const char *name)
{
	struct postfix_eval *eval = eval_new(source, NULL, NULL);
	bool failed = false;
	const char *value = eval_get(eval, name, &failed);
	char *copy = value ? xstrdup(value) : NULL;
	eval_free(eval);
	return copy;
}

char *postfix_source_default(const struct postfix_source *source, const char *name)
{
	struct postfix_eval *eval = eval_new(source, NULL, NULL);
	struct origin origin;
	find_default(eval, name, &origin);
	const char *value = origin.text ? expand(eval, name, &origin) : NULL;
	char *copy = value ? xstrdup(value) : NULL;
	eval_free(eval);
	return copy;
}

/* What has no entry when all is evaluated is a plain default, or not in the list. */
static const char *find_value(const struct postfix_params *params, const char *name)
{
	const struct entry *entry = map_get_str(&params->eval->entries, name);
	if (entry)
		return entry->value;
	const struct postfix_param_row *row = postfix_param_find(name);
	return row ? row->def : NULL;
}

const char *postfix_param_lookup(const struct postfix_params *params, const char *name)
{
	struct slice transport;
	const char *value = find_value(params, name);
	const char *fallback = value ? NULL : postfix_transport_fallback(name, &transport);
	return fallback ? find_value(params, fallback) : value;
}

static const char *lookup_finished(const char *name, void *arg, bool *failed)
{
	(void)failed;
	return postfix_param_lookup(arg, name);
}

char *postfix_param_expand(const struct postfix_params *params, const char *text)
{
	struct strbuf out = STRBUF_INIT(POSTFIX_VALUE_LIMIT), error = STRBUF_INIT(4096);
	bool ok = postfix_expand(
	    &out, slice_of(text), lookup_finished, (void *)(uintptr_t)params, &error);
	strbuf_release(&error);
	if (ok)
		return strbuf_detach(&out);
	strbuf_release(&out);
	return NULL;
}

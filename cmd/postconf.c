// SPDX-License-Identifier: BSD-2-Clause
/*
 * postconf: show and edit the configuration.
 *
 * A listing shows values as they are written, with -x as they are evaluated.  Warnings go to
 * standard error and do not change the exit status, which is 0 for unknown names, too, as with the
 * peer.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/postconf.h"
#include "conf/postfix_expand.h"
#include "conf/postfix_param_list.h"
#include "conf/postfix_programs.h"
#include "conf/postfix_usage.h"
#include "log/log.h"
#include "table/table.h"

#define LINE_LIMIT 80
#define BLANKS	   " \t\r\n\v\f"

void postconf_print(const struct postconf *pc, const char *head, const char *text)
{
	struct slice rest = slice_of(text), word;
	size_t column = strlen(head);
	fputs(head, stdout);
	while (slice_token(&rest, BLANKS, &word)) {
		if (column > 0 && pc->fold && column + word.len >= LINE_LIMIT) {
			fputs("\n    ", stdout);
			column = 4;
		} else if (column > 0) {
			putchar(' ');
			column++;
		}
		printf("%.*s", SLICE_ARG(word));
		column += word.len;
	}
	putchar('\n');
}

void postconf_print_assignment(const struct postconf *pc, const char *name, const char *value)
{
	if (pc->no_value) {
		puts(name);
	} else if (pc->no_name) {
		postconf_print(pc, "", value);
	} else {
		char *head = xasprintf("%s =", name);
		postconf_print(pc, head, value);
		free(head);
	}
}

/* ---- one parameter ---- */

static const char *find_override(const struct postconf *pc, const char *name)
{
	for (size_t i = pc->override_count; i-- > 0;)
		if (strcmp(pc->overrides[i].name, name) == 0)
			return pc->overrides[i].value;
	return NULL;
}

static const char *find_set(const struct postconf *pc, const char *name)
{
	const char *value = pc->defaults ? NULL : find_override(pc, name);
	/* The directory is always one that was chosen. */
	if (strcmp(name, "config_directory") == 0 && !pc->defaults)
		return pc->dir;
	return value || pc->defaults ? value : postfix_source_raw(pc->source, name, NULL);
}

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
	const char *value = find_set(pc, name);
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

static void add_defined_by_services(struct names *names, const struct postconf *pc)
{
	for (size_t i = 0; i < postfix_service_count(pc->source); i++) {
		const struct postfix_service *service = postfix_service_at(pc->source, i);
		if (!postfix_is_transport(service))
			continue;
		for (size_t f = 0; f < postfix_transport_form_count(); f++) {
			const char *form = postfix_transport_form(f);
			/* Only pipe and spawn have a time limit. */
			if (strcmp(form, "_time_limit") == 0 &&
			    strcmp(service->program, "pipe") != 0)
				continue;
			char *name = xasprintf("%s%s", service->name, form);
			if (!postfix_param_find(name) && (!pc->non_default || find_set(pc, name)))
				add_name(names, name);
			free(name);
		}
	}
}

static void add_user_defined(
    struct names *names, const struct postconf *pc, const struct postfix_usage *usage)
{
	for (size_t i = 0; i < postfix_source_set_count(pc->source); i++) {
		const char *name = postfix_source_set_name(pc->source, i);
		if (!postfix_name_is_known(pc->source, name) && postfix_usage_has(usage, name))
			add_name(names, name);
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

static void list_all(const struct postconf *pc, const struct postfix_usage *usage)
{
	struct names names = { 0 };
	for (size_t i = 0; i < postfix_param_count(); i++) {
		const struct postfix_param_row *row = postfix_param_row(i);
		if (!row->is_old && (!pc->non_default || find_set(pc, row->name)))
			add_name(&names, row->name);
	}
	add_defined_by_services(&names, pc);
	if (!pc->defaults)
		add_user_defined(&names, pc, usage);
	print_and_free(pc, &names);
}

static void list_names(const struct postconf *pc, char **args)
{
	for (; *args; args++) {
		bool known = postfix_name_is_known(pc->source, *args);
		if (!known && (pc->defaults || !find_set(pc, *args)))
			log_warning("%s: unknown parameter", *args);
		else if (!pc->non_default || find_set(pc, *args))
			print_parameter(pc, *args);
	}
}

/* ---- warnings about the whole ---- */

struct undefined {
	const struct postconf *pc;
	struct map seen;
};

static void warn_undefined(struct slice name, void *arg)
{
	struct undefined *u = arg;
	char *text = xstrndup(name.ptr, name.len);
	const struct postfix_param_row *row = postfix_param_find(text);
	if (!row && !postfix_name_is_known(u->pc->source, text) && !find_set(u->pc, text) &&
	    !map_put(&u->seen, name, u))
		log_warning("%s/main.cf: undefined parameter: %s", u->pc->dir, text);
	free(text);
}

static void warn_overrides(const struct postconf *pc, const struct postfix_usage *usage,
    const struct postfix_service *service)
{
	for (size_t i = 0; i < service->override_count; i++) {
		const struct postfix_override *o = &service->overrides[i];
		if (!postfix_name_is_known(pc->source, o->name) &&
		    !postfix_usage_has(usage, o->name))
			log_warning(
			    "%s/master.cf: unused parameter: %s=%s", pc->dir, o->name, o->value);
	}
}

static void warn_names(const struct postconf *pc, const struct postfix_usage *usage)
{
	struct undefined u = { .pc = pc };
	for (size_t i = 0; i < postfix_source_set_count(pc->source) && !pc->quiet; i++) {
		const char *name = postfix_source_set_name(pc->source, i);
		const char *value = postfix_source_raw(pc->source, name, NULL);
		const struct postfix_param_row *row = postfix_param_find(name);
		if (!row || row->type != PARAM_RAW)
			postfix_expand_references(value, warn_undefined, &u);
		if (!postfix_name_is_known(pc->source, name) && !postfix_usage_has(usage, name))
			log_warning("%s/main.cf: unused parameter: %s=%s", pc->dir, name, value);
	}
	for (size_t i = 0; i < postfix_service_count(pc->source) && !pc->quiet; i++)
		warn_overrides(pc, usage, postfix_service_at(pc->source, i));
	map_release(&u.seen, NULL);
}

/* ---- the command ---- */

static void emit_finding(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		log_error("%s", line);
	else
		log_warning("%s", line);
}

static void read_source(struct postconf *pc)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	/* Defaults must be shown whatever main.cf looks like. */
	pc->source =
	    pc->defaults ? postfix_source_defaults(pc->dir) : postfix_source_read(pc->dir, &errors);
	if (!pc->source)
		fatal("open %s/main.cf: %s", pc->dir, strerror(errno));
	conf_errors_each(&errors, emit_finding, NULL);
	/* What is wrong in master.cf alone leaves main.cf to be shown. */
	for (size_t i = 0; i < errors.count; i++)
		if (errors.list[i].severity == CONF_ERROR &&
		    (pc->subject != POSTCONF_MAIN || strstr(errors.list[i].file, "main.cf")))
			exit(1);
	conf_errors_release(&errors);
	struct postfix_service role = {
		.name = (char[]){ "" },
		.program = (char[]){ "postconf" },
		.overrides = pc->overrides,
		.override_count = pc->override_count,
	};
	pc->params = postfix_params_new(pc->source, &role, NULL);
}

static int list(struct postconf *pc, char **args)
{
	struct postfix_usage usage;
	read_source(pc);
	postfix_usage_init(&usage, pc->source);
	if (pc->subject != POSTCONF_MAIN)
		postconf_list_master(pc, args);
	else if (*args)
		list_names(pc, args);
	else
		list_all(pc, &usage);
	fflush(stdout);
	if (!pc->defaults)
		warn_names(pc, &usage);
	postfix_usage_release(&usage);
	postfix_params_free(pc->params);
	postfix_source_free(pc->source);
	return ferror(stdout) ? 1 : 0;
}

static int list_table_types(void)
{
	struct names names = { 0 };
	for (size_t i = 0; table_type_name(i); i++)
		add_name(&names, table_type_name(i));
	qsort(names.list, names.count, sizeof(*names.list), compare_names);
	for (size_t i = 0; i < names.count; i++) {
		puts(names.list[i]);
		free(names.list[i]);
	}
	free(names.list);
	return 0;
}

static void add_override(struct postconf *pc, const char *text)
{
	const char *equal = strchr(text, '=');
	if (!equal || equal == text)
		fatal("-o: want name=value, not \"%s\"", text);
	struct slice name = slice_trim(slice_mem(text, (size_t)(equal - text)), BLANKS);
	struct slice value = slice_trim(slice_of(equal + 1), BLANKS);
	pc->overrides =
	    xreallocarray(pc->overrides, pc->override_count + 1, sizeof(*pc->overrides));
	pc->overrides[pc->override_count++] = (struct postfix_override){
		.name = xstrndup(name.ptr, name.len),
		.value = xstrndup(value.ptr ? value.ptr : "", value.len),
	};
}

static void want_only(const char *options)
{
	size_t len = strlen(options);
	struct strbuf text = STRBUF_INIT(100);
	for (size_t i = 0; i < len; i++)
		strbuf_addf(&text, " -%c", options[i]);
	fatal("specify one of%s", text.ptr);
}

/* Options that exclude each other. */
static void check_options(const bool *given)
{
	static const char *const exclusive[] = { "dn", "hH", "eX#", "de", "ne", "xe", "fe", "dX",
		"nX", "d#", "n#", "mMFP" };
	for (size_t i = 0; i < ARRAY_LEN(exclusive); i++) {
		unsigned count = 0;
		for (const char *p = exclusive[i]; *p != '\0'; p++)
			count += given[(unsigned char)*p];
		if (count > 1)
			want_only(exclusive[i]);
	}
	if (given['M'] && (given['H'] || given['h']))
		fatal("with option -M, do not specify -%c", given['H'] ? 'H' : 'h');
}

static void set_flag(struct postconf *pc, int option)
{
	switch (option) {
	case 'd':
		pc->defaults = true;
		break;
	case 'e':
		pc->action = POSTCONF_EDIT;
		break;
	case '#':
		pc->action = POSTCONF_COMMENT;
		break;
	case 'X':
		pc->action = POSTCONF_REMOVE;
		break;
	case 'f':
		pc->fold = true;
		break;
	case 'F':
		pc->subject = POSTCONF_FIELDS;
		break;
	case 'M':
		pc->subject = POSTCONF_SERVICES;
		break;
	case 'P':
		pc->subject = POSTCONF_OVERRIDES;
		break;
	case 'm':
		pc->subject = POSTCONF_TABLE_TYPES;
		break;
	case 'h':
		pc->no_name = true;
		break;
	case 'H':
		pc->no_value = true;
		break;
	case 'n':
		pc->non_default = true;
		break;
	case 'q':
		pc->quiet = true;
		break;
	case 'x':
		pc->expand = true;
		break;
	default: /* -p: the parameters of main.cf, which is the default */
		break;
	}
}

static void parse_options(struct postconf *pc, int argc, char **argv)
{
	bool given[128] = { false };
	const char *dir = NULL;
	int option;
	opterr = 0;
	while ((option = getopt(argc, argv, "c:o:deFfhHmMnpPqxX#")) != -1) {
		if (option == 'c')
			dir = optarg;
		else if (option == 'o')
			add_override(pc, optarg);
		else if (option == '?')
			fatal("option -%c is not supported; usage: postconf [-c config_dir] "
			      "[-o name=value] [-defFhHmMnpPqxX#] [name...]",
			    optopt);
		else
			set_flag(pc, option);
		if (option > 0 && option < 128)
			given[option] = true;
	}
	check_options(given);
	pc->dir = postfix_conf_dir(dir);
}

static bool has_assignment(char **args)
{
	for (; *args; args++)
		if (strchr(*args, '='))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	struct postconf pc = { 0 };
	log_command("postconf");
	parse_options(&pc, argc, argv);
	char **args = argv + optind;
	bool selects = pc.defaults || pc.non_default;
	if (pc.action == POSTCONF_LIST && pc.subject != POSTCONF_TABLE_TYPES && !selects &&
	    has_assignment(args))
		pc.action = POSTCONF_EDIT;
	int rc;
	if (pc.action != POSTCONF_LIST)
		rc = postconf_edit_main(&pc, args);
	else if (pc.subject == POSTCONF_TABLE_TYPES)
		rc = list_table_types();
	else
		rc = list(&pc, args);
	for (size_t i = 0; i < pc.override_count; i++) {
		free(pc.overrides[i].name);
		free(pc.overrides[i].value);
	}
	free(pc.overrides);
	return rc;
}

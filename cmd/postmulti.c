// SPDX-License-Identifier: BSD-2-Clause
/*
 * postmulti: several mail systems on one host.
 *
 * The primary one's main.cf names the directories of the others (multi_instance_directories), each
 * of which is a mail system with a main.cf, a queue and a data directory of its own.
 */
#include "cmd/postmulti.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "cmd/command_log.h"
#include "cmd/programs.h"
#include "log/log.h"

#define PRIMARY_DIR   PC_SYSCONFDIR "/postfix"
#define INSTANCES_MAX 1000

/* ---- instances ---- */

void postmulti_read_instance(struct multi_instance *instance, const char *dir)
{
	struct postfix_source *source = postfix_source_read(dir, NULL);
	if (!source)
		fatal("open %s/main.cf: %s", dir, strerror(errno));
	struct postfix_params *params = postfix_params_new(source, NULL, NULL);
	*instance = (struct multi_instance){
		.dir = xstrdup(dir),
		.name = xstrdup(params->multi_instance_name),
		.group = xstrdup(params->multi_instance_group),
		.queue_dir = xstrdup(params->queue_directory),
		.data_dir = xstrdup(params->data_directory),
		.enabled = params->multi_instance_enable,
		.params = params,
	};
	postfix_source_free(source);
}

void postmulti_release_instance(struct multi_instance *instance)
{
	free(instance->dir);
	free(instance->name);
	free(instance->group);
	free(instance->queue_dir);
	free(instance->data_dir);
	postfix_params_free(instance->params);
}

static void need_other(const struct multi_instance *a, const struct multi_instance *b,
    const char *what, const char *a_value, const char *b_value)
{
	if (a_value[0] != '\0' && strcmp(a_value, b_value) == 0)
		fatal("instance %s, %s=%s conflicts with instance %s, %s=%s", a->dir, what, a_value,
		    b->dir, what, b_value);
}

void postmulti_need_distinct(const struct multi_instance *a, const struct multi_instance *b)
{
	need_other(a, b, "multi_instance_name", a->name, b->name);
	need_other(a, b, "config_directory", a->dir, b->dir);
	need_other(a, b, "queue_directory", a->queue_dir, b->queue_dir);
	need_other(a, b, "data_directory", a->data_dir, b->data_dir);
}

static void add_instance(struct postmulti *pm, const char *dir)
{
	struct multi_instance instance;
	if (pm->count == INSTANCES_MAX)
		fatal("more than %d instances", INSTANCES_MAX);
	postmulti_read_instance(&instance, dir);
	if (pm->count > 0 && instance.name[0] != '\0' && strncmp(instance.name, "postfix-", 8) != 0)
		fatal("instance %s: multi_instance_name=%s must start with 'postfix-'", dir,
		    instance.name);
	for (size_t i = 0; i < pm->count; i++)
		postmulti_need_distinct(&instance, &pm->list[i]);
	pm->list = xreallocarray(pm->list, pm->count + 1, sizeof(*pm->list));
	pm->list[pm->count++] = instance;
}

static bool is_secondary(const char *dir)
{
	struct strbuf word = STRBUF_INIT(4096);
	struct postfix_source *source = postfix_source_read(PRIMARY_DIR, NULL);
	bool found = false;
	if (!source)
		return false;
	struct postfix_params *params = postfix_params_new(source, NULL, NULL);
	const char *rest = params->multi_instance_directories;
	while (!found && postfix_list_next(&rest, &word))
		found = strcmp(word.ptr, dir) == 0;
	strbuf_release(&word);
	postfix_params_free(params);
	postfix_source_free(source);
	return found;
}

static void read_instances(struct postmulti *pm)
{
	const char *dir = postfix_conf_dir(NULL);
	struct strbuf word = STRBUF_INIT(4096);
	if (strcmp(dir, PRIMARY_DIR) != 0 && is_secondary(dir))
		fatal("Non-default configuration directory: MAIL_CONFIG=%s", dir);
	add_instance(pm, dir);
	(void)command_log_open(pm->list[0].params,
	    &(struct command_log){ .stderr_name = "postmulti", .to_stderr = true });
	const char *rest = pm->list[0].params->multi_instance_directories;
	while (postfix_list_next(&rest, &word))
		add_instance(pm, word.ptr);
	strbuf_release(&word);
}

static bool is_named(const struct multi_instance *instance, const char *name)
{
	if (strcmp(name, "-") == 0)
		return instance->name[0] == '\0';
	return strcmp(name[0] == '/' ? instance->dir : instance->name, name) == 0;
}

struct multi_instance *postmulti_find(struct postmulti *pm, const char *name)
{
	for (size_t i = 0; i < pm->count; i++)
		if (is_named(&pm->list[i], name))
			return &pm->list[i];
	return NULL;
}

static bool is_selected(const struct postmulti *pm, const struct multi_instance *instance)
{
	if (pm->name)
		return is_named(instance, pm->name);
	if (pm->group)
		return strcmp(instance->group, strcmp(pm->group, "-") == 0 ? "" : pm->group) == 0;
	return true;
}

/* ---- -l ---- */

static const char *or_dash(const char *text)
{
	return text[0] == '\0' ? "-" : text;
}

static void print_json(const struct multi_instance *i)
{
	const char *const members[][2] = { { "name", or_dash(i->name) },
		{ "group", or_dash(i->group) }, { "enabled", i->enabled ? "y" : "n" },
		{ "config_directory", i->dir } };
	struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
	for (size_t m = 0; m < ARRAY_LEN(members); m++) {
		strbuf_addf(&line, "%s\"%s\": ", m == 0 ? "{" : ",", members[m][0]);
		json_add_text(&line, slice_of(members[m][1]));
	}
	strbuf_addch(&line, '}');
	puts(line.ptr);
	strbuf_release(&line);
}

static void print_instance(const struct multi_instance *i)
{
	printf("%-15s %-15s %-9s %s\n", or_dash(i->name), or_dash(i->group), i->enabled ? "y" : "n",
	    i->dir);
}

/* ---- -p and -x ---- */

int postmulti_run(const struct multi_instance *instance, const char *path, char *const argv[])
{
	const struct {
		const char *name, *value;
	} variables[] = {
		{ "MAIL_CONFIG", instance->dir },
		{ "MAIL_LOGTAG", instance->params->syslog_name },
		{ "command_directory", instance->params->command_directory },
		{ "config_directory", instance->dir },
		{ "daemon_directory", instance->params->daemon_directory },
		{ "data_directory", instance->data_dir },
		{ "meta_directory", instance->params->meta_directory },
		{ "multi_instance_enable", instance->enabled ? "yes" : "no" },
		{ "multi_instance_group", instance->group },
		{ "multi_instance_name", instance->name },
		{ "queue_directory", instance->queue_dir },
	};
	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (setenv(variables[i].name, variables[i].value, 1) < 0)
			fatal("setenv: %s", strerror(errno));
	/* What went before must not come out behind what the command says. */
	fflush(stdout);
	return programs_run(path, argv);
}

static bool is_in(const char *list, const char *word)
{
	struct strbuf element = STRBUF_INIT(200);
	bool found = false;
	while (!found && postfix_list_next(&list, &element))
		found = strcmp(element.ptr, word) == 0;
	strbuf_release(&element);
	return found;
}

/* "postfix start" of one that is disabled does not start it, but looks whether it could. */
static int run_postfix(const struct postmulti *pm, const struct multi_instance *instance,
    const char *path, char **args)
{
	const struct postfix_params *primary = pm->list[0].params;
	char check[] = "check", verbose[] = "-v", name[] = "postfix";
	size_t count = 0, arg_count = 0;
	bool starts = is_in(primary->postmulti_start_commands, args[0]);
	if (!instance->enabled && is_in(primary->postmulti_control_commands, args[0]))
		return 0;
	while (args[arg_count])
		arg_count++;
	char **argv = xcalloc(arg_count + 3, sizeof(*argv));
	argv[count++] = name;
	if (pm->verbose)
		argv[count++] = verbose;
	memcpy(argv + count, args, arg_count * sizeof(*argv));
	if (!instance->enabled && starts)
		argv[count] = check;
	int rc = postmulti_run(instance, path, argv);
	free(argv);
	return rc;
}

/* The program of -x is looked for as a shell does. */
static char *find_program(const char *name)
{
	const char *path = getenv("PATH");
	struct slice rest = slice_of(path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"), dir;
	if (strchr(name, '/'))
		return xstrdup(name);
	while (slice_token(&rest, ":", &dir)) {
		char *full = xasprintf("%.*s/%s", SLICE_ARG(dir), name);
		if (access(full, X_OK) == 0)
			return full;
		free(full);
	}
	fatal("%s: command not found", name);
}

static int run_all(struct postmulti *pm, char **args)
{
	const char *stops = pm->list[0].params->postmulti_stop_commands;
	char *path = pm->mode == 'p' ? programs_command("postfix") : find_program(args[0]);
	bool reverse = pm->reverse || (pm->mode == 'p' && is_in(stops, args[0]));
	int rc = 0;
	for (size_t n = 0; n < pm->count; n++) {
		const struct multi_instance *instance = &pm->list[reverse ? pm->count - 1 - n : n];
		if (!is_selected(pm, instance))
			continue;
		int result = pm->mode == 'p' ? run_postfix(pm, instance, path, args)
					     : postmulti_run(instance, path, args);
		if (result != 0)
			rc = 1;
	}
	free(path);
	return rc;
}

static int list_all(const struct postmulti *pm)
{
	for (size_t n = 0; n < pm->count; n++) {
		size_t i = pm->reverse ? pm->count - 1 - n : n;
		if (!is_selected(pm, &pm->list[i]))
			continue;
		if (pm->json)
			print_json(&pm->list[i]);
		else
			print_instance(&pm->list[i]);
	}
	return 0;
}

/* ---- the command ---- */

static _Noreturn void usage(void)
{
	fatal("usage: postmulti -l [-aRvj] [-g group] [-i instance] | postmulti -p [-av] "
	      "[-g group] [-i instance] command | postmulti -x [-aRv] [-g group] [-i instance] "
	      "command... | postmulti -e action [-v] [-i instance] [-I name] [-G group] "
	      "[param=value...]");
}

static void set_text(const char **text, const char *value, char option)
{
	if (*text)
		fatal("Specify at most one '-%c' option", option);
	*text = value;
}

static void set_flag(struct postmulti *pm, int option)
{
	switch (option) {
	case 'a':
		pm->all = true;
		break;
	case 'G':
		set_text(&pm->new_group, optarg, 'G');
		break;
	case 'g':
		set_text(&pm->group, optarg, 'g');
		break;
	case 'I':
		set_text(&pm->new_name, optarg, 'I');
		break;
	case 'i':
		set_text(&pm->name, optarg, 'i');
		break;
	case 'j':
		pm->json = true;
		break;
	case 'R':
		pm->reverse = true;
		break;
	case 'v':
		pm->verbose = true;
		break;
	default:
		usage();
	}
}

static void parse_options(struct postmulti *pm, int argc, char **argv)
{
	unsigned modes = 0;
	int option;
	while ((option = getopt(argc, argv, "+ae:g:i:G:I:jlpRvx")) != -1) {
		if (option == 'e' || option == 'l' || option == 'p' || option == 'x') {
			modes++;
			pm->mode = (char)option;
			if (option == 'e')
				pm->action = optarg;
		} else {
			set_flag(pm, option);
		}
	}
	if (modes != 1)
		fatal("Specify exactly one of '-e', '-l', '-p', '-x'");
	if (pm->all + (pm->group != NULL) + (pm->name != NULL) > 1)
		fatal("Specify only one of '-a', '-g', '-i'");
	if (pm->mode != 'e' && (pm->new_name || pm->new_group))
		fatal("The '-I' and '-G' options are valid only with '-e'");
	if (pm->json && pm->mode != 'l')
		fatal("The '-j' option is valid only with '-l'");
	if (strchr("px", pm->mode) && !argv[optind])
		fatal("Command required with '-p' or '-x' option");
	if (pm->mode == 'l' && argv[optind])
		fatal("Command not allowed with '-l'");
}

int main(int argc, char **argv)
{
	struct postmulti pm = { .mode = '\0' };
	int rc;
	log_command("postmulti");
	parse_options(&pm, argc, argv);
	read_instances(&pm);
	if (pm.mode == 'l')
		rc = list_all(&pm);
	else if (pm.mode == 'e')
		rc = postmulti_edit(&pm, argv + optind);
	else
		rc = run_all(&pm, argv + optind);
	while (pm.count > 0)
		postmulti_release_instance(&pm.list[--pm.count]);
	free(pm.list);
	if (fflush(stdout) != 0 || ferror(stdout))
		fatal("write error: %s", strerror(errno));
	return rc;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * postconf: show and edit the configuration.
 *
 * A listing shows values as they are written, with -x as they are evaluated.  Warnings go to
 * standard error and do not change the exit status, which is 0 for unknown names, too, as with the
 * peer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "log/log.h"
#include "net/tls_library.h"
#include "table/table.h"

/* ---- lists that do not depend on the configuration ---- */

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int list_table_types(void)
{
	size_t count = 0;
	while (table_type_name(count))
		count++;
	const char **names = xcalloc(count + 1, sizeof(*names));
	for (size_t i = 0; i < count; i++)
		names[i] = table_type_name(i);
	qsort(names, count, sizeof(*names), compare_texts);
	for (size_t i = 0; i < count; i++)
		puts(names[i]);
	free(names);
	return 0;
}

static int list_tls(const char *mode)
{
	const char *type;
	if (strcmp(mode, "compile-version") == 0) {
		puts(tls_library_compiled());
	} else if (strcmp(mode, "run-version") == 0) {
		puts(tls_library_running());
	} else if (strcmp(mode, "public-key-algorithms") == 0) {
		for (size_t i = 0; (type = tls_library_key_type(i)) != NULL; i++)
			puts(type);
	} else {
		log_warning("unknown 'postconf -T' mode: %s", mode);
		return 1;
	}
	return 0;
}

/* ---- listings of the configuration ---- */

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
	struct conf_errors errors = CONF_ERRORS_INIT, of_main = CONF_ERRORS_INIT;
	/* Defaults must be shown whatever main.cf looks like. */
	pc->source =
	    pc->defaults ? postfix_source_defaults(pc->dir) : postfix_source_read(pc->dir, &errors);
	if (!pc->source)
		fatal("open %s/main.cf: %s", pc->dir, strerror(errno));
	/* master.cf is read once more, as it is written. */
	for (size_t i = 0; i < errors.count; i++)
		if (strstr(errors.list[i].file, "/main.cf"))
			conf_report(&of_main, errors.list[i].severity, errors.list[i].file,
			    errors.list[i].line, "%s", errors.list[i].text);
	conf_errors_each(&of_main, emit_finding, NULL);
	if (of_main.error_count > 0)
		exit(1);
	conf_errors_release(&errors);
	conf_errors_release(&of_main);
	struct postfix_service role = {
		.name = (char[]){ "" },
		.program = (char[]){ "postconf" },
		.overrides = pc->overrides,
		.override_count = pc->override_count,
	};
	pc->params = postfix_params_new(pc->source, &role, NULL);
}

static void release(struct postconf *pc)
{
	for (size_t i = 0; i < pc->entry_count; i++)
		postfix_entry_release(&pc->entries[i]);
	free(pc->entries);
	postconf_names_release(pc);
	postfix_params_free(pc->params);
	postfix_source_free(pc->source);
}

static int list(struct postconf *pc, char **args)
{
	read_source(pc);
	postconf_read_entries(pc);
	postconf_names_init(pc);
	if (!pc->defaults) {
		postconf_need_sound_values(pc);
		postconf_warn_comments(pc);
		postconf_warn_undefined(pc);
	}
	if (pc->subject == 'p')
		postconf_list_main(pc, args);
	else
		postconf_list_master(pc, args);
	fflush(stdout);
	if (!pc->defaults && !pc->quiet)
		postconf_warn_unused(pc, pc->subject == 'p');
	release(pc);
	return 0;
}

static int edit(const struct postconf *pc, char **args)
{
	if (!*args)
		fatal(pc->action == POSTCONF_EDIT ? "-e requires name=value argument"
						  : "missing service argument");
	return pc->subject == 'p' ? postconf_edit_main(pc, args) : postconf_edit_master(pc, args);
}

static int run(struct postconf *pc, char **args)
{
	switch (pc->subject) {
	case 'a':
		puts("cyrus\ndovecot");
		return 0;
	case 'A':
		puts("cyrus");
		return 0;
	case 'b':
	case 't':
		return postconf_list_templates(pc, pc->subject == 't', args);
	case 'l':
		puts("flock\nfcntl\ndotlock");
		return 0;
	case 'm':
		return list_table_types();
	case 'T':
		return list_tls(pc->tls_mode);
	default:
		return pc->action == POSTCONF_LIST ? list(pc, args) : edit(pc, args);
	}
}

int main(int argc, char **argv)
{
	struct postconf pc = { .dir = NULL };
	log_command("postconf");
	postconf_parse_options(&pc, argc, argv);
	int rc = run(&pc, argv + optind);
	for (size_t i = 0; i < pc.override_count; i++) {
		free(pc.overrides[i].name);
		free(pc.overrides[i].value);
	}
	free(pc.overrides);
	if (fflush(stdout) != 0 || ferror(stdout))
		fatal("write error: %s", strerror(errno));
	return rc;
}

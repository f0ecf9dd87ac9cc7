// SPDX-License-Identifier: BSD-2-Clause
/* postconf -b and -t: what notices to senders say. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/postfix_expand.h"
#include "log/log.h"
#include "mail/notice_template.h"
#include "sys/file.h"

#define NUMBER_MAX 999 /* what is more belongs in a larger unit */

struct expansion {
	const struct postfix_params *params;
	const char *file, *template;
	char number[32];
};

static void warn_of_file(unsigned line, const char *text, void *arg)
{
	log_warning("%s, line %u: %s", (const char *)arg, line, text);
}

/* "delay_warning_time_hours": a time in a unit. */
static bool find_time(struct expansion *x, const char *name)
{
	static const struct {
		const char *suffix;
		int64_t seconds;
	} units[] = { { "_seconds", 1 }, { "_minutes", 60 }, { "_hours", 3600 }, { "_days", 86400 },
		{ "_weeks", 604800 } };
	const struct {
		const char *name;
		int64_t value;
	} times[] = { { "delay_warning_time", x->params->delay_warning_time },
		{ "maximal_queue_lifetime", x->params->maximal_queue_lifetime } };
	for (size_t t = 0; t < ARRAY_LEN(times); t++) {
		size_t len = strlen(times[t].name);
		if (strncmp(name, times[t].name, len) != 0)
			continue;
		for (size_t u = 0; u < ARRAY_LEN(units); u++) {
			if (strcmp(name + len, units[u].suffix) != 0)
				continue;
			int64_t number = times[t].value / units[u].seconds;
			if (number > NUMBER_MAX)
				log_warning("%s: excessive result \"%lld\" in %s template "
					    "conversion of parameter \"%s\"",
				    x->file, (long long)number, x->template, name);
			if (number == 0 && times[t].value > 0)
				log_warning("%s: zero result in %s template conversion of "
					    "parameter \"%s\"",
				    x->file, x->template, name);
			snprintf(x->number, sizeof(x->number), "%lld", (long long)number);
			return true;
		}
	}
	return false;
}

static const char *look_up(const char *name, void *arg, bool *failed)
{
	struct expansion *x = arg;
	(void)failed;
	return find_time(x, name) ? x->number : postfix_param_lookup(x->params, name);
}

static void need_name(struct slice name, void *arg)
{
	struct expansion *x = arg;
	bool failed = false;
	char *text = xstrndup(name.ptr, name.len);
	if (!look_up(text, x, &failed))
		fatal("%s: undefined $%s in %s template", x->file, text, x->template);
	free(text);
}

static void print_expanded(
    const struct postconf *pc, const char *path, const struct notice_template *template)
{
	struct expansion x = { .params = pc->params, .file = path, .template = template->name };
	struct strbuf out = STRBUF_INIT(NOTICE_TEMPLATE_FILE), error = STRBUF_INIT(4000);
	postfix_expand_references(template->body, need_name, &x);
	if (!postfix_expand(&out, slice_of(template->body), look_up, &x, &error))
		fatal("%s: %s template: %s", path, template->name, error.ptr);
	printf("expanded_%s_text = <<EOF\n%sEOF\n", template->name, out.ptr);
	strbuf_release(&out);
	strbuf_release(&error);
}

static void print_raw(const struct notice_template *template)
{
	printf("%s_template = <<EOF\nCharset: %s\nFrom: %s\nSubject: %s\n", template->name,
	    template->charset, template->from, template->subject);
	if (template->postmaster_subject)
		printf("Postmaster-Subject: %s\n", template->postmaster_subject);
	printf("\n%sEOF\n", template->body);
}

int postconf_list_templates(const struct postconf *pc, bool raw, char **files)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct postfix_source *source = postfix_source_read(pc->dir, &errors);
	struct notice_template_file file;
	struct strbuf text = STRBUF_INIT(NOTICE_TEMPLATE_FILE);
	if (files[0] && files[1])
		fatal("options -b and -t require at most one template file");
	if (!source)
		fatal("open %s/main.cf: %s", pc->dir, strerror(errno));
	struct postconf own = { .params = postfix_params_new(source, NULL, NULL) };
	const char *path =
	    files[0] ? files[0] : postfix_param_lookup(own.params, "bounce_template_file");
	if (path[0] != '\0' && file_read(AT_FDCWD, path, &text) < 0)
		fatal("open %s: %s", path, strerror(errno));
	notice_template_parse(&file, strbuf_slice(&text), warn_of_file, (void *)(uintptr_t)path);
	for (size_t i = 0; i < NOTICE_TEMPLATES; i++) {
		if (i > 0)
			putchar('\n');
		if (raw)
			print_raw(&file.templates[i]);
		else
			print_expanded(&own, path, &file.templates[i]);
	}
	notice_template_release(&file);
	strbuf_release(&text);
	postfix_params_free(own.params);
	postfix_source_free(source);
	conf_errors_release(&errors);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/* postconf -b and -t: what notices to senders say. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/notice_expand.h"
#include "log/log.h"
#include "mail/notice_template.h"
#include "sys/file.h"

static void warn_of_file(unsigned line, const char *text, void *arg)
{
	log_warning("%s, line %u: %s", (const char *)arg, line, text);
}

static void print_expanded(
    const struct postconf *pc, const char *path, const struct notice_template *template)
{
	struct strbuf out = STRBUF_INIT(NOTICE_TEMPLATE_FILE), error = STRBUF_INIT(4000);

	if (!notice_expand(&out, template->body, pc->params, path, template->name, &error))
		fatal("%s", error.ptr);
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

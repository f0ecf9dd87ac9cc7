// SPDX-License-Identifier: BSD-2-Clause
/*
 * Templates of notices.  A notice has to be sent whatever the administrator's file looks like: a
 * template that cannot be used gives way to the one that is built in.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "bounce/bounce.h"
#include "conf/notice_expand.h"
#include "log/log.h"
#include "sys/file.h"

static struct notice_template_file templates;

static void warn_of_file(unsigned line, const char *text, void *arg)
{
	log_warning("%s, line %u: %s", (const char *)arg, line, text);
}

void bounce_templates_prepare(const struct postfix_params *params)
{
	const char *path = params->bounce_template_file;
	struct strbuf text = STRBUF_INIT(NOTICE_TEMPLATE_FILE);

	if (*path && file_read(AT_FDCWD, path, &text) < 0) {
		log_warning(
		    "open %s: %s: using the default bounce templates", path, strerror(errno));
		strbuf_reset(&text);
	}
	notice_template_parse(
	    &templates, strbuf_slice(&text), warn_of_file, (void *)(uintptr_t)path);
	strbuf_release(&text);
}

const struct notice_template *bounce_template(
    const struct postfix_params *params, enum notice_kind kind, struct strbuf *text)
{
	const struct notice_template *own = &templates.templates[kind];
	const struct notice_template *standard = notice_template_default(kind);
	struct strbuf error = STRBUF_INIT(4000);

	if (own->body == NULL)
		own = standard;
	const char *file = own->body == standard->body ? "" : params->bounce_template_file;

	if (!notice_expand(text, own->body, params, file, own->name, &error)) {
		log_warning("%s -- using the default template", error.ptr);
		strbuf_reset(text);
		strbuf_reset(&error);
		own = standard;
		notice_expand(text, own->body, params, "", own->name, &error);
	}
	strbuf_release(&error);
	return own;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "conf/conf_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"

#define TEXT_LIMIT 2000

/* Values come from files: what would garble a terminal or a log line becomes '?'. */
static __attribute__((format(printf, 1, 0))) char *printable(const char *format, va_list args)
{
	struct strbuf buf = STRBUF_INIT(1 << 20);
	strbuf_vaddf(&buf, format, args);
	if (buf.overflow)
		return xstrdup("(text too long)");
	if (buf.len > TEXT_LIMIT)
		strbuf_truncate(&buf, TEXT_LIMIT);
	for (size_t i = 0; i < buf.len; i++)
		if ((unsigned char)buf.ptr[i] < 0x20 || buf.ptr[i] == 0x7f)
			buf.ptr[i] = '?';
	return strbuf_detach(&buf);
}

static bool is_known(const struct conf_errors *errors, const struct conf_finding *finding)
{
	for (size_t i = 0; i < errors->count; i++) {
		const struct conf_finding *f = &errors->list[i];
		if (f->severity == finding->severity && f->line == finding->line &&
		    strcmp(f->text, finding->text) == 0 && strcmp(f->file, finding->file) == 0)
			return true;
	}
	return false;
}

void conf_report(struct conf_errors *errors, enum conf_severity severity, const char *file,
    unsigned line, const char *format, ...)
{
	if (!errors)
		return;
	va_list args;
	va_start(args, format);
	struct conf_finding finding = {
		.severity = severity,
		.file = xstrdup(file ? file : ""),
		.line = line,
		.text = printable(format, args),
	};
	va_end(args);
	if (errors->count >= CONF_ERRORS_MAX || is_known(errors, &finding)) {
		free(finding.file);
		free(finding.text);
		return;
	}
	if (errors->count == errors->alloc) {
		errors->alloc = errors->alloc ? 2 * errors->alloc : 16;
		errors->list = xreallocarray(errors->list, errors->alloc, sizeof(*errors->list));
	}
	errors->list[errors->count++] = finding;
	if (severity == CONF_ERROR)
		errors->error_count++;
}

void conf_errors_each(const struct conf_errors *errors,
    void (*emit)(enum conf_severity severity, const char *line, void *arg), void *arg)
{
	for (size_t i = 0; i < errors->count; i++) {
		const struct conf_finding *f = &errors->list[i];
		struct strbuf line = STRBUF_INIT(STRBUF_NO_LIMIT);
		if (f->file[0] != '\0')
			strbuf_addf(&line, "%s: ", f->file);
		if (f->line != 0)
			strbuf_addf(&line, "line %u: ", f->line);
		strbuf_addstr(&line, f->text);
		emit(f->severity, line.ptr, arg);
		strbuf_release(&line);
	}
}

void conf_errors_release(struct conf_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		free(errors->list[i].file);
		free(errors->list[i].text);
	}
	free(errors->list);
	*errors = (struct conf_errors)CONF_ERRORS_INIT;
}

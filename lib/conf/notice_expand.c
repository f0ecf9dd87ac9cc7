// SPDX-License-Identifier: BSD-2-Clause
#include "conf/notice_expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/postfix_expand.h"
#include "log/log.h"

#define NUMBER_MAX 999 /* what is more belongs in a larger unit */

struct expansion {
	const struct postfix_params *params;
	const char *file, *template;
	char number[32];
	bool looks_only;
	char *undefined; /* the first such name */
};

static void warn_of_unit(const struct expansion *x, const char *what, const char *how,
    const char *name, const char *unit)
{
	log_warning("%s: %s in %s template conversion of parameter \"%s\"", x->file, what,
	    x->template, name);
	log_warning("please %s time unit \"%s\" of \"%s\" in %s template", how, unit + 1, name,
	    x->template);
	log_warning("for instructions see the bounce(5) manual");
}

static void put_number(
    struct expansion *x, int64_t value, int64_t unit_s, const char *name, const char *unit)
{
	int64_t number = value / unit_s;

	snprintf(x->number, sizeof(x->number), "%lld", (long long)number);
	if (number > NUMBER_MAX) {
		char *what = xasprintf("excessive result \"%s\"", x->number);

		warn_of_unit(x, what, "increase", name, unit);
		free(what);
	}
	if (number == 0 && value > 0)
		warn_of_unit(x, "zero result", "reduce", name, unit);
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

		for (size_t u = 0; u < ARRAY_LEN(units); u++) {
			if (strncmp(name, times[t].name, len) != 0 ||
			    strcmp(name + len, units[u].suffix) != 0)
				continue;
			if (!x->looks_only)
				put_number(
				    x, times[t].value, units[u].seconds, name, units[u].suffix);
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
	char *text = xstrndup(name.ptr, name.len);

	if (x->undefined == NULL && !find_time(x, text) && !postfix_param_lookup(x->params, text))
		x->undefined = text;
	else
		free(text);
}

bool notice_expand(struct strbuf *out, const char *body, const struct postfix_params *params,
    const char *file, const char *template, struct strbuf *error)
{
	struct expansion x = {
		.params = params, .file = *file ? file : "[built-in]", .template = template
	};
	struct strbuf syntax = STRBUF_INIT(4000);
	bool ok;

	x.looks_only = true;
	postfix_expand_references(body, need_name, &x);
	x.looks_only = false;
	ok = x.undefined == NULL;
	if (!ok)
		strbuf_addf(
		    error, "%s: undefined $%s in %s template", x.file, x.undefined, template);
	else if (!(ok = postfix_expand(out, slice_of(body), look_up, &x, &syntax)))
		strbuf_addf(error, "%s: %s template: %s", x.file, template, syntax.ptr);
	strbuf_release(&syntax);
	free(x.undefined);
	return ok;
}

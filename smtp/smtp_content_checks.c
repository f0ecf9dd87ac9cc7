// SPDX-License-Identifier: BSD-2-Clause
/*
 * header_checks(5) on the way out: one row for each action that there is here.  What a message is
 * to become was decided when it was accepted, so that there is no REJECT any more.
 */
#include "base/check.h"
#include "log/log.h"
#include "mail/header.h"
#include "smtp/smtp_content_private.h"
#include "table/table.h"

#define CONTENT_LOGGED 200

static struct tables *tables[SMTP_CHECKS_COUNT];

struct action {
	enum smtp_checks checks;
	struct slice content; /* that was looked up */
	struct slice whole;   /* what the table said */
	struct slice text;    /* the same behind the action's name */
	struct smtp_content_lines *lines;
	struct strbuf *replacement;
};

void smtp_content_checks_prepare(const struct postfix_params *params)
{
	(void)params;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		tables_free(tables[i]);
	tables[SMTP_CHECKS_HEADER] =
	    tables_open(SMTP_PARAM_NAME("header_checks"), SMTP_PARAM(header_checks), 0);
	tables[SMTP_CHECKS_MIME] =
	    tables_open(SMTP_PARAM_NAME("mime_header_checks"), SMTP_PARAM(mime_header_checks), 0);
	tables[SMTP_CHECKS_NESTED] = tables_open(
	    SMTP_PARAM_NAME("nested_header_checks"), SMTP_PARAM(nested_header_checks), 0);
	tables[SMTP_CHECKS_BODY] =
	    tables_open(SMTP_PARAM_NAME("body_checks"), SMTP_PARAM(body_checks), 0);
}

bool smtp_content_has_checks(enum smtp_checks checks)
{
	return tables[checks] != NULL && !tables_is_empty(tables[checks]);
}

static void say(const struct action *a, const char *word)
{
	struct slice content = slice_first(a->content, CONTENT_LOGGED);

	log_info("%s: %s: %s %.*s%s%.*s", a->lines->id, word,
	    a->checks == SMTP_CHECKS_BODY ? "body" : "header", SLICE_ARG(content),
	    a->text.len > 0 ? ": " : "", SLICE_ARG(a->text));
}

static const char *map_of(const struct action *a)
{
	return tables_name(tables[a->checks]);
}

static enum smtp_checked on_warn(struct action *a)
{
	say(a, "warning");
	return SMTP_CHECKED_KEEP;
}

static enum smtp_checked on_info(struct action *a)
{
	say(a, "info");
	return SMTP_CHECKED_KEEP;
}

/* There is a text, and, for a header, it is one: another would end the header. */
static bool is_good_text(const struct action *a, const char *action)
{
	if (a->text.len == 0) {
		log_warning("%s action without text in %s map", action, map_of(a));
		return false;
	}
	if (a->checks == SMTP_CHECKS_BODY || header_is_header(a->text))
		return true;
	log_warning("bad %s header text \"%.*s\" in %s map -- need \"headername: headervalue\"",
	    action, SLICE_ARG(a->text), map_of(a));
	return false;
}

static enum smtp_checked on_prepend(struct action *a)
{
	if (is_good_text(a, "PREPEND")) {
		say(a, "prepend");
		smtp_content_put_text(a->lines, a->text);
	}
	return SMTP_CHECKED_KEEP;
}

static enum smtp_checked on_replace(struct action *a)
{
	if (!is_good_text(a, "REPLACE"))
		return SMTP_CHECKED_KEEP;
	say(a, "replace");
	strbuf_reset(a->replacement);
	strbuf_addslice(a->replacement, a->text);
	return SMTP_CHECKED_REPLACE;
}

static enum smtp_checked on_strip(struct action *a)
{
	say(a, "strip");
	return SMTP_CHECKED_DROP;
}

static enum smtp_checked on_ignore(struct action *a)
{
	(void)a;
	return SMTP_CHECKED_DROP;
}

static enum smtp_checked on_nothing(struct action *a)
{
	(void)a;
	return SMTP_CHECKED_KEEP;
}

static const struct {
	const char *name;
	enum smtp_checked (*act)(struct action *a);
} rows[] = {
	{ "DUNNO", on_nothing },
	{ "IGNORE", on_ignore },
	{ "INFO", on_info },
	{ "OK", on_nothing },
	{ "PREPEND", on_prepend },
	{ "REPLACE", on_replace },
	{ "STRIP", on_strip },
	{ "WARN", on_warn },
};

static enum smtp_checked act(struct action *a)
{
	struct slice rest = a->whole, word;

	if (!slice_token(&rest, " \t", &word))
		return SMTP_CHECKED_KEEP;
	a->text = slice_trim(rest, " \t");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (slice_caseeq_str(word, rows[i].name))
			return rows[i].act(a);
	log_warning("unsupported command in %s map: %.*s", map_of(a), SLICE_ARG(a->whole));
	return SMTP_CHECKED_KEEP;
}

enum smtp_checked smtp_content_check(enum smtp_checks checks, struct slice content,
    struct smtp_content_lines *lines, struct strbuf *replacement)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum smtp_checked result = SMTP_CHECKED_KEEP;
	struct action action = { checks, content, SLICE_NULL, SLICE_NULL, lines, replacement };

	if (content.len == 0 || !smtp_content_has_checks(checks))
		return SMTP_CHECKED_KEEP;
	switch (tables_get(tables[checks], content, TABLES_WHOLE_KEY, &value)) {
	case TABLE_NOT_FOUND:
		break;
	case TABLE_ERROR:
		log_warning("%s: smtp %s checks lookup error", lines->id,
		    checks == SMTP_CHECKS_BODY ? "body" : "header");
		result = SMTP_CHECKED_ERROR;
		break;
	case TABLE_FOUND:
		action.whole = strbuf_slice(&value);
		result = act(&action);
		break;
	}
	strbuf_release(&value);
	return result;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a table of header_checks and its sisters says about a header or a line of a body: one row
 * for each action.
 */
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "intake/intake_private.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/header.h"

#define CONTENT_LOGGED 200

struct action {
	struct intake *in;
	enum intake_context context;
	const char *table;    /* the parameter's name */
	struct slice content; /* that was looked up */
	struct slice whole;   /* what the table said */
	struct slice text;    /* the same behind the action's name */
	struct strbuf *replacement;
};

static const char *const context_names[] = {
	[INTAKE_HEADER_CONTEXT] = "header",
	[INTAKE_BODY_CONTEXT] = "body",
	[INTAKE_ANY_CONTEXT] = "content",
};

static void add_address(struct strbuf *line, const char *label, const char *internal)
{
	strbuf_addf(line, " %s=<", label);
	address_logged(slice_of(internal), line);
	strbuf_addch(line, '>');
}

/* Bytes that are no UTF-8 would break the log for its readers. */
static void add_printable(struct strbuf *line, struct slice text)
{
	while (text.len > 0) {
		size_t len = 1;

		while (len < text.len && len < 4 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
			len++;
		if (utf8_is_valid(slice_first(text, len)))
			strbuf_addslice(line, slice_first(text, len));
		else
			for (size_t i = 0; i < len; i++)
				strbuf_addch(line, '?');
		text = slice_from(text, len);
	}
}

void intake_log_found(struct intake *in, const char *action, const char *what, struct slice content,
    bool session, struct slice text)
{
	struct strbuf line = STRBUF_INIT(16384);

	if (slice_has_nul(content))
		content = slice_first(content, (size_t)slice_find(content, '\0'));
	strbuf_addf(&line, "%s: %s: %s ", in->id, action, what);
	add_printable(&line, slice_first(content, CONTENT_LOGGED));
	strbuf_addf(&line, " from %s;", in->origin != NULL ? in->origin : "unknown");
	add_address(&line, "from", in->sender);
	if (in->last_recipient != NULL)
		add_address(&line, "to", in->last_recipient);
	if (session && in->protocol != NULL)
		strbuf_addf(&line, " proto=%s", in->protocol);
	if (session && in->helo != NULL)
		strbuf_addf(&line, " helo=<%s>", in->helo);
	if (text.len > 0) {
		strbuf_addstr(&line, ": ");
		strbuf_addslice(&line, text);
	}
	log_as(in->service->log_name, LOG_LEVEL_INFO, "%.*s", SLICE_ARG(strbuf_slice(&line)));
	strbuf_release(&line);
}

static void say(const struct action *a, const char *word, struct slice text)
{
	intake_log_found(a->in, word, context_names[a->context], a->content, true, text);
}

static void warn(const struct action *a, const char *format)
{
	struct strbuf line = STRBUF_INIT(4096);

	/* "bad FILTER command %t in %m -- need ...": the text and the table. */
	for (const char *p = format; *p != '\0'; p++) {
		if (p[0] == '%' && (p[1] == 't' || p[1] == 'm' || p[1] == 'w')) {
			p++;
			if (*p == 'm')
				strbuf_addstr(&line, a->table);
			else
				strbuf_addslice(&line, *p == 't' ? a->text : a->whole);
		} else {
			strbuf_addch(&line, *p);
		}
	}
	log_as(a->in->service->log_name, LOG_LEVEL_WARNING, "%.*s", SLICE_ARG(strbuf_slice(&line)));
	strbuf_release(&line);
}

/* "5.7.1 text": takes the code off TEXT; DSN keeps its default where there is none. */
static void take_dsn(struct slice *text, char dsn[12])
{
	struct slice rest = *text, word;
	char code[12];

	if (!slice_token(&rest, " \t", &word) || word.len >= sizeof(code))
		return;
	memcpy(code, word.ptr, word.len);
	code[word.len] = '\0';
	if (!dsn_is_valid(code))
		return;
	memcpy(dsn, code, sizeof(code));
	*text = slice_trim(rest, " \t");
}

static enum intake_found on_reject(struct action *a)
{
	struct slice text = a->text.len > 0 ? a->text : SLICE_LIT("message content rejected");
	struct strbuf logged = STRBUF_INIT(4096);
	struct reason why;
	char dsn[12] = "5.7.1";

	take_dsn(&text, dsn);
	if (dsn[0] != '4' && dsn[0] != '5') {
		warn(a, "bad DSN action in %t -- need 4.x.x or 5.x.x");
		memcpy(dsn, "4.0.0", sizeof("4.0.0"));
	}
	strbuf_addf(&logged, "%s %.*s", dsn, SLICE_ARG(text));
	say(a, "reject", strbuf_slice(&logged));
	reason_set(&why, dsn, "%.*s", SLICE_ARG(text));
	intake_fail(a->in, &why, dsn, why.text);
	strbuf_release(&logged);
	return INTAKE_KEEP;
}

static enum intake_found on_warn(struct action *a)
{
	say(a, "warning", a->text);
	return INTAKE_KEEP;
}

static enum intake_found on_info(struct action *a)
{
	say(a, "info", a->text);
	return INTAKE_KEEP;
}

static enum intake_found on_filter(struct action *a)
{
	if (a->text.len == 0) {
		warn(a, "missing FILTER command argument in %m map");
	} else if (slice_find(a->text, ':') < 0) {
		warn(a, "bad FILTER command %t in %m -- need transport:destination");
	} else {
		strbuf_reset(&a->in->filter);
		strbuf_addslice(&a->in->filter, a->text);
		a->in->filter_late = true;
		say(a, "filter", a->text);
	}
	return INTAKE_KEEP;
}

static enum intake_found on_pass(struct action *a)
{
	say(a, "pass", a->text);
	a->in->checks_over = true;
	return INTAKE_KEEP;
}

static enum intake_found on_discard(struct action *a)
{
	say(a, "discard", a->text);
	a->in->discard = true;
	a->in->checks_over = true;
	return INTAKE_KEEP;
}

static enum intake_found on_hold(struct action *a)
{
	if (!a->in->hold && !a->in->discard)
		say(a, "hold", a->text);
	a->in->hold = true;
	return INTAKE_KEEP;
}

/* A header that is none would end the header. */
static bool is_good_text(const struct action *a)
{
	return a->context != INTAKE_HEADER_CONTEXT || header_is_header(a->text);
}

static enum intake_found on_prepend(struct action *a)
{
	if (a->text.len == 0) {
		warn(a, "PREPEND action without text in %m map");
	} else if (!is_good_text(a)) {
		warn(a, "bad PREPEND header text \"%t\" in %m map -- need \"headername: "
			"headervalue\"");
	} else {
		say(a, "prepend", a->text);
		intake_put_text(a->in, a->text);
	}
	return INTAKE_KEEP;
}

static enum intake_found on_replace(struct action *a)
{
	if (a->text.len == 0) {
		warn(a, "REPLACE action without text in %m map");
		return INTAKE_KEEP;
	}
	if (!is_good_text(a)) {
		warn(a, "bad REPLACE header text \"%t\" in %m map -- need \"headername: "
			"headervalue\"");
		return INTAKE_KEEP;
	}
	say(a, "replace", a->text);
	strbuf_reset(a->replacement);
	strbuf_addslice(a->replacement, a->text);
	return INTAKE_REPLACE;
}

/* The text as an internal address; false when it has no domain. */
static bool take_address(const struct action *a, struct strbuf *out)
{
	if (slice_find(a->text, '@') < 0)
		return false;
	if (address_internal(a->text, ADDRESS_UTF8, out) != ADDRESS_OK)
		strbuf_addslice(out, a->text);
	return true;
}

static enum intake_found on_redirect(struct action *a)
{
	struct strbuf address = STRBUF_INIT(ADDRESS_MAX);

	if (take_address(a, &address)) {
		intake_set_redirect(a->in, strbuf_slice(&address));
		say(a, "redirect", a->text);
		a->in->checks_over = true;
	} else {
		warn(a, "bad REDIRECT target \"%t\" in %m map -- need user@domain");
	}
	strbuf_release(&address);
	return INTAKE_KEEP;
}

static enum intake_found on_bcc(struct action *a)
{
	struct strbuf address = STRBUF_INIT(ADDRESS_MAX);
	struct reason why;

	if (take_address(a, &address)) {
		say(a, "bcc", a->text);
		intake_add_bcc(a->in, strbuf_slice(&address), &why);
	} else {
		warn(a, "bad BCC address \"%t\" in %m map -- need user@domain");
	}
	strbuf_release(&address);
	return INTAKE_KEEP;
}

static enum intake_found on_strip(struct action *a)
{
	say(a, "strip", a->text);
	return INTAKE_DROP;
}

static enum intake_found on_ignore(struct action *a)
{
	(void)a;
	return INTAKE_DROP;
}

static enum intake_found on_nothing(struct action *a)
{
	(void)a;
	return INTAKE_KEEP;
}

static const struct {
	const char *name;
	enum intake_found (*act)(struct action *a);
} rows[] = {
	{ "BCC", on_bcc },
	{ "DISCARD", on_discard },
	{ "DUNNO", on_nothing },
	{ "FILTER", on_filter },
	{ "HOLD", on_hold },
	{ "IGNORE", on_ignore },
	{ "INFO", on_info },
	{ "OK", on_nothing },
	{ "PASS", on_pass },
	{ "PREPEND", on_prepend },
	{ "REDIRECT", on_redirect },
	{ "REJECT", on_reject },
	{ "REPLACE", on_replace },
	{ "STRIP", on_strip },
	{ "WARN", on_warn },
};

static enum intake_found act(struct action *a)
{
	struct slice rest = a->whole, word;

	if (!slice_token(&rest, " \t", &word))
		return INTAKE_KEEP;
	a->text = slice_trim(rest, " \t");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (slice_caseeq_str(word, rows[i].name))
			return rows[i].act(a);
	warn(a, "unknown command in %m map: %w");
	return INTAKE_KEEP;
}

enum intake_found intake_check(struct intake *in, struct tables *tables,
    enum intake_context context, struct slice content, struct strbuf *replacement)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum intake_found result = INTAKE_KEEP;
	struct reason why;

	if (in->checks_over || in->state == INTAKE_FAILED || content.len == 0 ||
	    tables_is_empty(tables))
		return INTAKE_KEEP;
	switch (tables_get(tables, content, TABLES_WHOLE_KEY, &value)) {
	case TABLE_NOT_FOUND:
		break;
	case TABLE_ERROR:
		log_as(in->service->log_name, LOG_LEVEL_WARNING,
		    "%s: %s map lookup problem -- message not accepted, try again later", in->id,
		    tables_name(tables));
		intake_fail(in, &why, "4.3.0", INTAKE_WRITE_ERROR);
		break;
	case TABLE_FOUND:
		result = act(&(struct action){
		    .in = in,
		    .context = context,
		    .table = tables_name(tables),
		    .content = content,
		    .whole = strbuf_slice(&value),
		    .replacement = replacement,
		});
		break;
	}
	strbuf_release(&value);
	return result;
}

/* Bytes that message_reject_characters does not want are refused as a table would. */
bool intake_refuse_bytes(struct intake *in, struct slice line)
{
	struct action action = {
		.in = in,
		.context = INTAKE_ANY_CONTEXT,
		.table = "character",
		.content = line,
		.whole = SLICE_LIT("REJECT disallowed character"),
	};
	const bool *reject = in->service->checks->reject;

	for (size_t i = 0; i < line.len; i++)
		if (reject[(unsigned char)line.ptr[i]]) {
			act(&action);
			return true;
		}
	return false;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What becomes of a refusal's text: smtpd_reject_filter_maps put another in its place, and
 * smtpd_reject_footer (or what smtpd_reject_footer_maps say for this reply) comes behind it.
 */
#include "smtpd/smtpd_footer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "conf/postfix_expand.h"
#include "log/log.h"
#include "mail/smtp_reply.h"
#include "table/table.h"

#define TEMPLATE_MAX 65536

static struct footers {
	struct tables *filter, *footers;
	char *allowed; /* what a value may have in it */
} footers;

/* \t, \40 and their relatives, as in C. */
static char *unescape(const char *text)
{
	static const char letters[] = "abfnrtv", meaning[] = "\a\b\f\n\r\t\v";
	struct strbuf out = STRBUF_INIT(TEMPLATE_MAX);

	while (*text) {
		const char *letter;
		int number = 0;

		if (*text != '\\' || !text[1]) {
			strbuf_addch(&out, *text++);
			continue;
		}
		text++;
		letter = strchr(letters, *text);
		if (*text < '0' || *text > '7') {
			strbuf_addch(&out, letter ? meaning[letter - letters] : *text);
			text++;
			continue;
		}
		for (int i = 0; i < 3 && *text >= '0' && *text <= '7'; i++)
			number = 8 * number + (*text++ - '0');
		strbuf_addch(&out, (char)number);
	}
	return strbuf_detach(&out);
}

void smtpd_footer_open(const struct postfix_params *p)
{
	footers.filter = tables_open("smtpd_reject_filter_maps", p->smtpd_reject_filter_maps, 0);
	footers.footers = tables_open("smtpd_reject_footer_maps", p->smtpd_reject_footer_maps, 0);
	footers.allowed = unescape(p->smtpd_expansion_filter);
}

/* ---- the filter ---- */

static void log_filter(const struct smtpd *s, const char *which, struct slice reply)
{
	const char *id = smtpd_queue_id(s);

	log_info("%s: reply filter %s: %.*s", id ? id : "NOQUEUE", which, SLICE_ARG(reply));
}

/* A refusal stays one, whatever the table says. */
static void replace(struct smtpd *s, struct slice was, struct slice with, unsigned *code,
    char dsn[DSN_CODE_TEXT], struct strbuf *text)
{
	char new_dsn[DSN_CODE_TEXT] = "";
	struct slice rest = with;
	unsigned number;

	if (with.len < 4 || !smtp_reply_split(with, NULL, &number, new_dsn, &rest) ||
	    number < 400) {
		const char *id = smtpd_queue_id(s);

		log_warning("%s: ignoring invalid reject filter result: %.*s", id ? id : "NOQUEUE",
		    SLICE_ARG(with));
		return;
	}
	log_filter(s, "in", was);
	log_filter(s, "out", with);
	*code = number;
	rest = slice_trim(slice_from(with, 4), " ");
	if (!dsn_take(&rest, dsn))
		dsn[0] = '\0';
	strbuf_reset(text);
	strbuf_addslice(text, rest);
}

static void add_reply(struct strbuf *out, unsigned code, const char *dsn, struct slice text)
{
	strbuf_addf(out, "%u %s%s%.*s", code, dsn, *dsn ? " " : "", SLICE_ARG(text));
}

static void filter(struct smtpd *s, unsigned *code, char dsn[DSN_CODE_TEXT], struct strbuf *text)
{
	struct strbuf reply = STRBUF_INIT(TEMPLATE_MAX), with = STRBUF_INIT(TEMPLATE_MAX);

	add_reply(&reply, *code, dsn, strbuf_slice(text));
	if (tables_get(footers.filter, strbuf_slice(&reply), TABLES_WHOLE_KEY, &with) ==
	    TABLE_FOUND)
		replace(s, strbuf_slice(&reply), strbuf_slice(&with), code, dsn, text);
	strbuf_release(&with);
	strbuf_release(&reply);
}

/* ---- the footer ---- */

struct values {
	const struct smtpd *session;
	char text[1000];
};

static const char *value_of(const char *name, void *arg, bool *failed)
{
	struct values *v = arg;
	const struct smtpd *s = v->session;
	time_t now = (time_t)(clock_wall_us() / 1000000);
	struct tm tm;

	(void)failed;
	v->text[0] = '\0';
	if (strcmp(name, "client_address") == 0)
		snprintf(v->text, sizeof(v->text), "%s", s->client_address);
	else if (strcmp(name, "client_name") == 0)
		snprintf(v->text, sizeof(v->text), "%s", s->client_name ? s->client_name : "");
	else if (strcmp(name, "client") == 0)
		snprintf(v->text, sizeof(v->text), "%s", s->name_addr ? s->name_addr : "");
	else if (strcmp(name, "client_port") == 0)
		snprintf(v->text, sizeof(v->text), "%u", net_addr_port(&s->session.peer));
	else if (strcmp(name, "server_name") == 0)
		snprintf(v->text, sizeof(v->text), "%s", smtpd_server.params->myhostname);
	else if (strcmp(name, "helo_name") == 0)
		snprintf(v->text, sizeof(v->text), "%s", s->helo ? s->helo : "");
	else if (strcmp(name, "sender") == 0)
		snprintf(v->text, sizeof(v->text), "%.*s",
		    SLICE_ARG(s->transaction ? s->transaction->sender : SLICE_NULL));
	else if (strcmp(name, "recipient") == 0)
		snprintf(v->text, sizeof(v->text), "%.*s",
		    SLICE_ARG(s->transaction ? s->transaction->only_recipient : SLICE_NULL));
	else if (strcmp(name, "localtime") == 0)
		strftime(v->text, sizeof(v->text), "%b %d %H:%M:%S", localtime_r(&now, &tm));
	else {
		log_warning("unknown macro name \"%s\" in expansion request", name);
		return NULL;
	}
	for (char *c = v->text; *c; c++)
		if (!strchr(footers.allowed, *c))
			*c = '_';
	return v->text;
}

/* "\c" in front: on the same line; "\n": another line. */
static void add_footer(const struct smtpd *s, struct slice template, struct strbuf *text)
{
	struct values values = { .session = s };
	struct strbuf expanded = STRBUF_INIT(TEMPLATE_MAX), error = STRBUF_INIT(1000);
	struct slice rest;
	ptrdiff_t at;

	if (!postfix_expand(&expanded, template, value_of, &values, &error)) {
		log_warning("smtpd_reject_footer: %s", error.ptr);
	} else {
		rest = strbuf_slice(&expanded);
		if (slice_starts(rest, "\\c"))
			rest = slice_from(rest, 2);
		else
			strbuf_addch(text, '\n');
		while ((at = slice_find_str(rest, "\\n")) >= 0) {
			strbuf_addslice(text, slice_first(rest, (size_t)at));
			strbuf_addch(text, '\n');
			rest = slice_from(rest, (size_t)at + 2);
		}
		strbuf_addslice(text, rest);
	}
	strbuf_release(&error);
	strbuf_release(&expanded);
}

void smtpd_footer_apply(
    struct smtpd *s, unsigned *code, char dsn[DSN_CODE_TEXT], struct strbuf *text)
{
	struct slice always = slice_of(smtpd_server.params->smtpd_reject_footer);
	struct strbuf reply = STRBUF_INIT(TEMPLATE_MAX), own = STRBUF_INIT(TEMPLATE_MAX);

	if (*code < 400)
		return;
	if (!tables_is_empty(footers.filter))
		filter(s, code, dsn, text);
	if (!tables_is_empty(footers.footers)) {
		add_reply(&reply, *code, dsn, strbuf_slice(text));
		if (tables_get(footers.footers, strbuf_slice(&reply), TABLES_WHOLE_KEY, &own) ==
		    TABLE_FOUND)
			always = strbuf_slice(&own);
	}
	if (always.len)
		add_footer(s, always, text);
	strbuf_release(&own);
	strbuf_release(&reply);
}

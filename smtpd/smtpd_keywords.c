// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/smtpd_keywords.h"

#include "base/check.h"
#include "log/log.h"

/* In the peer's order of the log line. */
static const struct {
	const char *word;
	unsigned keyword;
} words[] = {
	{ "8BITMIME", KEYWORD_8BITMIME },
	{ "AUTH", KEYWORD_AUTH },
	{ "ETRN", KEYWORD_ETRN },
	{ "PIPELINING", KEYWORD_PIPELINING },
	{ "SIZE", KEYWORD_SIZE },
	{ "XVERP", KEYWORD_XVERP },
	{ "VRFY", KEYWORD_VRFY },
	{ "XCLIENT", KEYWORD_XCLIENT },
	{ "XFORWARD", KEYWORD_XFORWARD },
	{ "STARTTLS", KEYWORD_STARTTLS },
	{ "ENHANCEDSTATUSCODES", KEYWORD_ENHANCED },
	{ "DSN", KEYWORD_DSN },
	{ "SMTPUTF8", KEYWORD_SMTPUTF8 },
	{ "CHUNKING", KEYWORD_CHUNKING },
	{ "REQUIRETLS", KEYWORD_REQUIRETLS },
	{ "SILENT-DISCARD", KEYWORD_SILENT },
};

static unsigned keywords_of(struct slice rest)
{
	struct slice word;
	unsigned found = 0;

	while (slice_token(&rest, " \t\r\n,", &word))
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			if (slice_caseeq_str(word, words[i].word))
				found |= words[i].keyword;
	return found;
}

/* False when a table failed. */
static bool look_up(struct smtpd *s, unsigned *discarded)
{
	struct strbuf value = STRBUF_INIT(4096);
	enum table_result result = tables_get(
	    smtpd_server.discard_maps, slice_of(s->client_address), TABLES_WHOLE_KEY, &value);

	*discarded = keywords_of(result == TABLE_FOUND
				     ? strbuf_slice(&value)
				     : slice_of(smtpd_server.params->smtpd_discard_ehlo_keywords));
	strbuf_release(&value);
	return result != TABLE_ERROR;
}

static bool find_hidden(struct smtpd *s)
{
	if (s->hidden_is_known)
		return true;
	if (!look_up(s, &s->hidden))
		return false;
	s->hidden_is_known = true;
	return true;
}

unsigned smtpd_hidden_keywords(struct smtpd *s)
{
	unsigned hidden = find_hidden(s) ? s->hidden : 0;

	if (!smtpd_server.params->smtputf8_enable)
		hidden |= KEYWORD_SMTPUTF8;
	return hidden;
}

static void log_discarded(unsigned discarded)
{
	struct strbuf list = STRBUF_INIT(500);

	if (discarded == 0 || (discarded & KEYWORD_SILENT))
		return;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (discarded & words[i].keyword)
			strbuf_addf(&list, "%s%s", list.len > 0 ? ", " : "", words[i].word);
	log_info("discarding EHLO keywords: %s", list.ptr);
	strbuf_release(&list);
}

static void add_size(const struct smtpd *s, struct strbuf *out)
{
	long long limit = (long long)smtpd_server.params->message_size_limit;

	(void)s;
	strbuf_addstr(out, "\nSIZE");
	if (limit > 0)
		strbuf_addf(out, " %lld", limit);
}

static void add_vrfy(const struct smtpd *s, struct strbuf *out)
{
	(void)s;
	if (!smtpd_server.params->disable_vrfy_command)
		strbuf_addstr(out, "\nVRFY");
}

static void add_starttls(const struct smtpd *s, struct strbuf *out)
{
	if (smtpd_server.tls_wanted && stream_tls(s->session.stream) == NULL)
		strbuf_addstr(out, "\nSTARTTLS");
}

static void add_auth(const struct smtpd *s, struct strbuf *out)
{
	struct strbuf mechanisms = STRBUF_INIT(400);

	if (smtpd_auth_allowed(s))
		smtpd_auth_mechanisms(s, &mechanisms);
	if (mechanisms.len > 0) {
		strbuf_addf(out, "\nAUTH %s", mechanisms.ptr);
		if (smtpd_server.params->broken_sasl_auth_clients)
			strbuf_addf(out, "\nAUTH=%s", mechanisms.ptr);
	}
	strbuf_release(&mechanisms);
}

static void add_xverp(const struct smtpd *s, struct strbuf *out)
{
	if (s->may_xverp)
		strbuf_addstr(out, "\nXVERP");
}

static void add_xclient(const struct smtpd *s, struct strbuf *out)
{
	if (s->may_xclient)
		strbuf_addstr(out, "\nXCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN "
				   "DESTADDR DESTPORT");
}

static void add_xforward(const struct smtpd *s, struct strbuf *out)
{
	if (s->may_xforward)
		strbuf_addstr(out, "\nXFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT");
}

/* In the order of the reply (postfix.md 5.1). */
static const struct {
	unsigned keyword;
	const char *name;					/* NULL: */
	void (*add)(const struct smtpd *s, struct strbuf *out); /* knows whether and what */
} rows[] = {
	{ KEYWORD_PIPELINING, "PIPELINING", NULL },
	{ KEYWORD_SIZE, NULL, add_size },
	{ KEYWORD_VRFY, NULL, add_vrfy },
	{ KEYWORD_ETRN, "ETRN", NULL },
	{ KEYWORD_STARTTLS, NULL, add_starttls },
	{ KEYWORD_AUTH, NULL, add_auth },
	{ KEYWORD_XVERP, NULL, add_xverp },
	{ KEYWORD_XCLIENT, NULL, add_xclient },
	{ KEYWORD_XFORWARD, NULL, add_xforward },
	{ KEYWORD_ENHANCED, "ENHANCEDSTATUSCODES", NULL },
	{ KEYWORD_8BITMIME, "8BITMIME", NULL },
	{ KEYWORD_DSN, "DSN", NULL },
	{ KEYWORD_SMTPUTF8, "SMTPUTF8", NULL },
	{ KEYWORD_CHUNKING, "CHUNKING", NULL },
};

bool smtpd_keywords_announce(struct smtpd *s, struct strbuf *out)
{
	unsigned hidden = smtpd_hidden_keywords(s);

	if (!s->hidden_is_known)
		return false;
	log_discarded(s->hidden);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (hidden & rows[i].keyword)
			continue;
		if (rows[i].add != NULL)
			rows[i].add(s, out);
		else
			strbuf_addf(out, "\n%s", rows[i].name);
	}
	return true;
}

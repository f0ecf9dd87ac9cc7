// SPDX-License-Identifier: BSD-2-Clause
/*
 * The greeting and EHLO, HELO, LHLO (RFC 5321 3.1, 3.2, RFC 2033 4.1): what the server offers, less
 * what the administrator hides, and the workarounds for firewalls that take offers away.
 */
#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "smtp/smtp_answer.h"
#include "smtp/smtp_handshake.h"
#include "table/table.h"

static struct {
	struct tables *discard_maps, *pix_maps;
} maps;

/* What smtp_discard_ehlo_keywords may name, in the order of the log line. */
static const struct {
	const char *word;
	unsigned feature;
} words[] = {
	{ "8BITMIME", SMTP_FEATURE_8BITMIME },
	{ "AUTH", SMTP_FEATURE_AUTH },
	{ "ETRN", 0 },
	{ "PIPELINING", SMTP_FEATURE_PIPELINING },
	{ "SIZE", SMTP_FEATURE_SIZE },
	{ "VRFY", 0 },
	{ "XCLIENT", 0 },
	{ "XFORWARD", SMTP_FEATURE_XFORWARD },
	{ "STARTTLS", SMTP_FEATURE_STARTTLS },
	{ "ENHANCEDSTATUSCODES", 0 },
	{ "DSN", SMTP_FEATURE_DSN },
	{ "SMTPUTF8", SMTP_FEATURE_SMTPUTF8 },
	{ "CHUNKING", SMTP_FEATURE_CHUNKING },
	{ "REQUIRETLS", SMTP_FEATURE_REQUIRETLS },
	{ "SILENT-DISCARD", 0 },
};
#define SILENT (ARRAY_LEN(words) - 1)

/* A bit per row of words. */
static unsigned words_of(struct slice rest)
{
	struct slice word;
	unsigned found = 0;

	while (slice_token(&rest, " \t\r\n,", &word))
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			if (slice_caseeq_str(word, words[i].word))
				found |= 1u << i;
	return found;
}

static const char *address_text(const struct smtp_session *session, char text[NET_ADDR_TEXT])
{
	return session->target.path ? session->target.path
				    : net_addr_text(&session->target.addr, text);
}

/* In LIST, the words for this server, else DEFAULTS.  False: the table failed. */
static bool look_up(
    struct smtp_handshake *h, struct tables *list, const char *defaults, struct strbuf *value)
{
	char text[NET_ADDR_TEXT];
	const char *address = address_text(h->session, text);
	enum table_result result = tables_get(list, slice_of(address), TABLES_WHOLE_KEY, value);

	if (result == TABLE_FOUND)
		return true;
	strbuf_reset(value);
	strbuf_addstr(value, defaults);
	if (result != TABLE_ERROR)
		return true;
	log_warning("%s: %s map lookup error for %s", h->session->id, tables_name(list), address);
	return false;
}

static void log_discarded(unsigned discarded)
{
	struct strbuf list = STRBUF_INIT(500);

	if (discarded == 0 || (discarded & 1u << SILENT))
		return;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (discarded & 1u << i)
			strbuf_addf(&list, "%s%s", list.len ? ", " : "", words[i].word);
	log_info("discarding EHLO keywords: %s", list.ptr);
	strbuf_release(&list);
}

/* Features that are hidden from us.  False: failure. */
static bool find_hidden(struct smtp_handshake *h, unsigned *hidden)
{
	struct strbuf value = STRBUF_INIT(4096);
	unsigned discarded;
	bool found = look_up(h, maps.discard_maps,
	    smtp_is_lmtp ? smtp_params->lmtp_discard_lhlo_keywords
			 : smtp_params->smtp_discard_ehlo_keywords,
	    &value);

	*hidden = 0;
	discarded = words_of(strbuf_slice(&value));
	strbuf_release(&value);
	if (!found) {
		smtp_handshake_fail(
		    h, "4.3.0", "local data error while talking to %s", h->session->name);
		return false;
	}
	log_discarded(discarded);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (discarded & 1u << i)
			*hidden |= words[i].feature;
	return true;
}

static bool is_own_name(struct slice name)
{
	return slice_caseeq_str(name, smtp_params->myhostname);
}

/* A loop is looked for at the port where a host's own server is. */
static bool could_be_us(const struct smtp_session *session)
{
	return !session->target.path && session->target.port == 25;
}

static const char *helo_name(void)
{
	return smtp_is_lmtp ? smtp_params->lmtp_lhlo_name : smtp_params->smtp_helo_name;
}

/* ---- the greeting ---- */

/* "220 **********************": a firewall's. */
static bool is_masked(const struct smtp_reply *reply)
{
	struct slice text = strbuf_slice(&reply->text);

	return slice_trim(text, "20 *\t\n").len == 0 && slice_find(text, '*') != -1;
}

static bool is_young(const struct smtp_handshake *h)
{
	int64_t age_us = clock_wall_us() - h->delivery->request->arrival_us;

	return age_us < SMTP_PARAM(pix_workaround_threshold_time) * 1000000;
}

/* The words that apply; *NO_ESMTP for disable_esmtp. */
static void enable_pix(struct smtp_handshake *h, struct slice rest, bool *no_esmtp)
{
	struct strbuf list = STRBUF_INIT(200);
	bool delay = false;
	struct slice word;

	while (slice_token(&rest, ", \t\r\n", &word)) {
		if (slice_caseeq_str(word, "disable_esmtp"))
			*no_esmtp = true;
		else if (slice_caseeq_str(word, "delay_dotcrlf") && !is_young(h))
			delay = true;
	}
	if (*no_esmtp)
		strbuf_addstr(&list, "disable_esmtp");
	if (delay) {
		strbuf_addf(&list, "%sdelay_dotcrlf", list.len ? ", " : "");
		h->session->features |= SMTP_FEATURE_PIX_DOTCRLF;
	}
	log_info(
	    "%s: enabling PIX workarounds: %s for %s", h->session->id, list.ptr, h->session->relay);
	strbuf_release(&list);
}

/* Best effort: a table that fails gives what the parameter says. */
static void look_for_pix(struct smtp_handshake *h, bool *no_esmtp)
{
	struct strbuf value = STRBUF_INIT(4096);

	*no_esmtp = false;
	if (!is_masked(&h->reply))
		return;
	(void)look_up(h, maps.pix_maps, SMTP_PARAM(pix_workarounds), &value);
	if (value.len)
		enable_pix(h, strbuf_slice(&value), no_esmtp);
	strbuf_release(&value);
}

void smtp_ehlo_greeted(struct smtp_handshake *h)
{
	struct slice text = strbuf_slice(&h->reply.text), word;
	bool says_esmtp = false, no_esmtp;

	look_for_pix(h, &no_esmtp);
	(void)slice_token(&text, "- \t\n", &word);
	for (bool first = true; slice_token(&text, " \t\n", &word); first = false) {
		if (first && is_own_name(word) && could_be_us(h->session))
			log_warning("host %s greeted me with my own hostname %s", h->session->relay,
			    smtp_params->myhostname);
		says_esmtp |= slice_caseeq_str(word, "ESMTP");
	}
	if ((says_esmtp || smtp_params->smtp_always_send_ehlo) &&
	    !smtp_params->smtp_never_send_ehlo && !no_esmtp)
		h->session->features |= SMTP_FEATURE_ESMTP;
}

/* ---- EHLO ---- */

static bool hear_helo(struct smtp_handshake *h, const char *verb, const char *while_what)
{
	smtp_say(h->session, "%s %s", verb, helo_name());
	return smtp_hear_lines(h->session, smtp_helo_timeout(), while_what, &h->reply, h->failure);
}

static bool is_loop(struct smtp_handshake *h, const struct smtp_offer *offer)
{
	if (!could_be_us(h->session) || !is_own_name(offer->name))
		return false;
	log_warning("host %s replied to HELO/EHLO with my own hostname %s", h->session->relay,
	    smtp_params->myhostname);
	smtp_handshake_fail(
	    h, "5.4.6", "mail for %s loops back to myself", h->delivery->request->nexthop);
	return true;
}

/* Nothing of what was offered before counts: RFC 3207 4.2. */
static bool take_offer(struct smtp_handshake *h, const struct smtp_offer *offer)
{
	struct smtp_session *session = h->session;
	unsigned hidden;

	if (!find_hidden(h, &hidden))
		return false;
	if (!(hidden & SMTP_FEATURE_SIZE) && offer->size_is_bad)
		log_warning("bad EHLO SIZE limit \"%.*s\" from %s",
		    SLICE_ARG(slice_first(offer->bad_size, 100)), session->relay);
	session->features &= SMTP_FEATURE_PIX_DOTCRLF;
	session->features |= offer->features & ~hidden;
	session->size_limit = session->features & SMTP_FEATURE_SIZE ? offer->size_limit : 0;
	session->xforward = session->features & SMTP_FEATURE_XFORWARD ? offer->xforward : 0;
	session->mechanisms =
	    session->features & SMTP_FEATURE_AUTH
		? arena_slicedup(&session->arena, strbuf_slice(&offer->mechanisms))
		: "";
	if ((session->features & SMTP_FEATURE_SMTPUTF8) &&
	    !(session->features & SMTP_FEATURE_8BITMIME))
		log_info("host %s offers SMTPUTF8 support, but not 8BITMIME", session->name);
	return true;
}

static bool accept_offer(struct smtp_handshake *h)
{
	struct smtp_offer offer;
	bool accepted;

	smtp_offer_init(&offer);
	smtp_offer_parse(&offer, strbuf_slice(&h->reply.text));
	accepted = !is_loop(h, &offer) && take_offer(h, &offer);
	smtp_offer_release(&offer);
	return accepted;
}

static bool refused(struct smtp_handshake *h)
{
	smtp_handshake_refused(h, "", "refused to talk to me", false);
	return false;
}

/* RFC 5321 3.2: a server that knows no EHLO gets HELO. */
static bool hello(struct smtp_handshake *h)
{
	h->session->features &= SMTP_FEATURE_PIX_DOTCRLF;
	if (!hear_helo(h, "HELO", "performing the HELO handshake"))
		return false;
	if (h->reply.code / 100 != 2)
		return refused(h);
	/* What it offers in HELO's reply does not count, but its name does. */
	strbuf_truncate(&h->reply.text, strcspn(h->reply.text.ptr, "\n"));
	if (!accept_offer(h))
		return false;
	h->session->features &= ~(unsigned)SMTP_FEATURE_ESMTP;
	return true;
}

bool smtp_ehlo(struct smtp_handshake *h)
{
	bool extended = h->session->features & SMTP_FEATURE_ESMTP;

	if (!smtp_is_lmtp && !extended)
		return hello(h);
	if (!hear_helo(h, smtp_is_lmtp ? "LHLO" : "EHLO", smtp_while_ehlo()))
		return false;
	if (h->reply.code / 100 == 2)
		return accept_offer(h);
	if (smtp_is_lmtp || h->reply.code == 421)
		return refused(h);
	return hello(h);
}

void smtp_ehlo_prepare(const struct postfix_params *params)
{
	maps.discard_maps = smtp_is_lmtp ? tables_open("lmtp_discard_lhlo_keyword_address_maps",
					       params->lmtp_discard_lhlo_keyword_address_maps, 0)
					 : tables_open("smtp_discard_ehlo_keyword_address_maps",
					       params->smtp_discard_ehlo_keyword_address_maps, 0);
	maps.pix_maps =
	    tables_open(SMTP_PARAM_NAME("pix_workaround_maps"), SMTP_PARAM(pix_workaround_maps), 0);
}

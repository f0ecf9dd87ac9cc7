// SPDX-License-Identifier: BSD-2-Clause
#include "smtp/smtp_answer.h"

#include "base/check.h"
#include "base/cursor.h"
#include "mail/dsn.h"

#define MECHANISMS_MAX 1024
#define BLANKS	       " \t"

void smtp_reply_init(struct smtp_reply *reply)
{
	reply->code = 0;
	reply->dsn[0] = '\0';
	strbuf_init(&reply->text, SMTP_ANSWER_TEXT_MAX);
}

void smtp_reply_release(struct smtp_reply *reply)
{
	strbuf_release(&reply->text);
}

static char printable(unsigned char c)
{
	if (c == '\t')
		return ' ';
	return c < 0x20 || c == 0x7f ? '?' : (char)c;
}

/* Bytes above ASCII stay: where texts go to they are looked at as UTF-8. */
static void add_text(struct strbuf *text, struct slice line)
{
	line = slice_first(line, SMTP_ANSWER_LINE_MAX);
	if (text->len + line.len + 1 > SMTP_ANSWER_TEXT_MAX)
		return;
	if (text->len)
		strbuf_addch(text, '\n');
	for (size_t i = 0; i < line.len; i++)
		strbuf_addch(text, printable((unsigned char)line.ptr[i]));
}

/* Three digits and a blank, a dash or the end. */
static bool take_code(struct cursor *c, unsigned *code, bool *more)
{
	struct slice digits = cursor_span(c, "0123456789");
	int next = cursor_peek(c);

	if (digits.len != 3 || (next != -1 && next != ' ' && next != '-'))
		return false;
	*code = (unsigned)(digits.ptr[0] - '0') * 100 + (unsigned)(digits.ptr[1] - '0') * 10 +
		(unsigned)(digits.ptr[2] - '0');
	*more = next == '-';
	if (next != -1)
		(void)cursor_next(c);
	return true;
}

/* One of another class than the code says nothing that could be relied on: as none. */
static void take_dsn(struct smtp_reply *reply, struct slice text)
{
	if (!dsn_take(&text, reply->dsn) || (unsigned)(reply->dsn[0] - '0') != reply->code / 100)
		reply->dsn[0] = '\0';
}

enum smtp_answer smtp_answer_line(struct smtp_reply *reply, struct slice line)
{
	struct cursor c = cursor_of(line);
	bool more;

	if (!take_code(&c, &reply->code, &more))
		return SMTP_ANSWER_NOISE;
	add_text(&reply->text, line);
	if (reply->code < 200 || reply->code > 599)
		return SMTP_ANSWER_IMPROPER;
	take_dsn(reply, cursor_rest(&c));
	return more ? SMTP_ANSWER_MORE : SMTP_ANSWER_DONE;
}

void smtp_offer_init(struct smtp_offer *offer)
{
	*offer = (struct smtp_offer){ 0 };
	strbuf_init(&offer->mechanisms, MECHANISMS_MAX);
}

void smtp_offer_release(struct smtp_offer *offer)
{
	strbuf_release(&offer->mechanisms);
}

/* RFC 1870 3: 0 and nothing are "no limit that we tell". */
static void take_size(struct smtp_offer *offer, struct slice rest)
{
	struct slice word;

	offer->features |= SMTP_FEATURE_SIZE;
	if (!slice_token(&rest, BLANKS, &word))
		return;
	if (slice_uint(word, UINT64_MAX, &offer->size_limit))
		return;
	offer->size_limit = 0;
	offer->size_is_bad = true;
	offer->bad_size = word;
}

static const struct {
	const char *word;
	unsigned bit;
} xforward_words[] = {
	{ "NAME", SMTP_XFORWARD_NAME },
	{ "ADDR", SMTP_XFORWARD_ADDR },
	{ "PORT", SMTP_XFORWARD_PORT },
	{ "PROTO", SMTP_XFORWARD_PROTO },
	{ "HELO", SMTP_XFORWARD_HELO },
	{ "IDENT", SMTP_XFORWARD_IDENT },
	{ "SOURCE", SMTP_XFORWARD_SOURCE },
};

static void take_xforward(struct smtp_offer *offer, struct slice rest)
{
	struct slice word;

	offer->features |= SMTP_FEATURE_XFORWARD;
	while (slice_token(&rest, BLANKS, &word))
		for (size_t i = 0; i < ARRAY_LEN(xforward_words); i++)
			if (slice_caseeq_str(word, xforward_words[i].word))
				offer->xforward |= xforward_words[i].bit;
}

/* RFC 4954 3; a server that says "AUTH=" beside it says the same twice. */
static void take_auth(struct smtp_offer *offer, struct slice rest)
{
	struct slice word;

	offer->features |= SMTP_FEATURE_AUTH;
	for (bool first = true; slice_token(&rest, BLANKS, &word); first = false) {
		if (first)
			strbuf_reset(&offer->mechanisms);
		if (offer->mechanisms.len + word.len + 1 > MECHANISMS_MAX)
			return;
		if (offer->mechanisms.len)
			strbuf_addch(&offer->mechanisms, ' ');
		strbuf_addslice(&offer->mechanisms, word);
	}
}

static const struct {
	const char *word;
	unsigned feature;
	void (*take)(struct smtp_offer *offer, struct slice rest); /* what follows */
} keywords[] = {
	{ "8BITMIME", SMTP_FEATURE_8BITMIME, NULL },	 /* RFC 6152 */
	{ "AUTH", 0, take_auth },			 /* RFC 4954 */
	{ "CHUNKING", SMTP_FEATURE_CHUNKING, NULL },	 /* RFC 3030 */
	{ "DSN", SMTP_FEATURE_DSN, NULL },		 /* RFC 3461 */
	{ "PIPELINING", SMTP_FEATURE_PIPELINING, NULL }, /* RFC 2920 */
	{ "REQUIRETLS", SMTP_FEATURE_REQUIRETLS, NULL }, /* RFC 8689 */
	{ "SIZE", 0, take_size },			 /* RFC 1870 */
	{ "SMTPUTF8", SMTP_FEATURE_SMTPUTF8, NULL },	 /* RFC 6531 */
	{ "STARTTLS", SMTP_FEATURE_STARTTLS, NULL },	 /* RFC 3207 */
	{ "XFORWARD", 0, take_xforward },		 /* Postfix's XFORWARD_README */
};

static void take_keyword(struct smtp_offer *offer, struct slice line)
{
	struct slice word;

	if (!slice_token(&line, BLANKS, &word))
		return;
	if (slice_casestarts(word, "AUTH=")) {
		struct slice all = slice_mem(word.ptr + 5, word.len - 5 + line.len);

		take_auth(offer, all);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
		if (!slice_caseeq_str(word, keywords[i].word))
			continue;
		offer->features |= keywords[i].feature;
		if (keywords[i].take)
			keywords[i].take(offer, line);
		return;
	}
}

void smtp_offer_parse(struct smtp_offer *offer, struct slice text)
{
	struct slice line;

	for (bool first = true; slice_token(&text, "\n", &line); first = false) {
		line = slice_from(line, 4);
		if (!first)
			take_keyword(offer, line);
		else if (!slice_token(&line, BLANKS, &offer->name))
			offer->name = SLICE_NULL;
	}
	offer->features |= SMTP_FEATURE_ESMTP;
}

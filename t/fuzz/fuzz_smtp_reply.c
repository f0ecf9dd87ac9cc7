// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a server says: lines to replies, and each reply as if it were EHLO's.  What is kept has no
 * control characters but the LFs between lines, a code of a reply and an enhanced code of its
 * class, and stays within its limits.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/reason.h"
#include "smtp/smtp_answer.h"

#define WORDS_MAX (SMTP_FEATURE_PIX_DOTCRLF - 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const struct smtp_reply *reply)
{
	ASSERT(reply->code >= 200 && reply->code <= 599);
	ASSERT(reply->text.len >= 3 || reply->text.len == 0);
	ASSERT(reply->text.len <= SMTP_ANSWER_TEXT_MAX && !reply->text.overflow);
	for (size_t i = 0; i < reply->text.len; i++) {
		unsigned char c = (unsigned char)reply->text.ptr[i];

		ASSERT((c >= 0x20 && c != 0x7f) || c == '\n');
	}
	if (reply->dsn[0])
		ASSERT(dsn_is_valid(reply->dsn) &&
		       (unsigned)(reply->dsn[0] - '0') == reply->code / 100);
}

static void check_offer(const struct smtp_reply *reply)
{
	struct smtp_offer offer;

	smtp_offer_init(&offer);
	smtp_offer_parse(&offer, strbuf_slice(&reply->text));
	ASSERT(
	    (offer.features & ~(unsigned)WORDS_MAX) == 0 && (offer.features & SMTP_FEATURE_ESMTP));
	ASSERT((offer.features & SMTP_FEATURE_XFORWARD) || !offer.xforward);
	ASSERT((offer.features & SMTP_FEATURE_AUTH) || !offer.mechanisms.len);
	ASSERT(offer.size_is_bad == (offer.bad_size.len > 0));
	ASSERT(!offer.mechanisms.overflow && !slice_has_nul(strbuf_slice(&offer.mechanisms)));
	smtp_offer_release(&offer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_mem(data, size);
	struct smtp_reply reply;
	bool more = true;

	smtp_reply_init(&reply);
	while (more && rest.len) {
		ptrdiff_t lf = slice_find(rest, '\n');
		struct slice line = lf == -1 ? rest : slice_first(rest, (size_t)lf);

		rest = lf == -1 ? SLICE_NULL : slice_from(rest, (size_t)lf + 1);
		switch (smtp_answer_line(&reply, line)) {
		case SMTP_ANSWER_MORE:
			check_reply(&reply);
			break;
		case SMTP_ANSWER_DONE:
			check_reply(&reply);
			check_offer(&reply);
			strbuf_reset(&reply.text);
			break;
		case SMTP_ANSWER_NOISE:
			break;
		case SMTP_ANSWER_IMPROPER:
			ASSERT(reply.code < 200 || reply.code > 599);
			more = false;
			break;
		}
	}
	smtp_reply_release(&reply);
	return 0;
}

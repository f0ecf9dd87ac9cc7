// SPDX-License-Identifier: BSD-2-Clause
#include "intake/internal_mail.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "mail/address.h"
#include "mail/date.h"
#include "rewrite/rewrite.h"

static bool list_has(const char *list, const char *word)
{
	struct strbuf item = STRBUF_INIT(1000);
	bool found = false;

	while (!found && postfix_list_next(&list, &item)) {
		found = strcasecmp(item.ptr, word) == 0;
		strbuf_reset(&item);
	}
	strbuf_release(&item);
	return found;
}

bool internal_mail_notifies(const struct postfix_params *params, const char *class)
{
	return list_has(params->notify_classes, class) ||
	       (strcmp(class, "2bounce") == 0 && list_has(params->notify_classes, "bounce"));
}

bool internal_mail_is_last_sender(const struct postfix_params *params, const char *sender)
{
	size_t len = strlen(params->double_bounce_sender);

	return strncasecmp(sender, params->double_bounce_sender, len) == 0 && sender[len] == '@' &&
	       strcasecmp(sender + len + 1, params->myhostname) == 0;
}

static bool add_recipient(const struct internal_mail *mail, struct intake *in, struct reason *why)
{
	struct strbuf internal = STRBUF_INIT(ADDRESS_MAX), rewritten = STRBUF_INIT(2 * ADDRESS_MAX);
	bool ok = address_internal(slice_of(mail->to), ADDRESS_UTF8, &internal) == ADDRESS_OK;

	if (ok) {
		rewrite_address(mail->rewriter, REWRITE_LOCAL, strbuf_slice(&internal), &rewritten);
		struct intake_recipient rcpt = {
			.address = strbuf_slice(&rewritten),
			.original = strbuf_slice(&internal),
		};
		ok = intake_recipient(in, &rcpt, why);
	} else {
		reason_set(why, "4.3.0", "bad address for a notice: %.100s", mail->to);
	}
	strbuf_release(&internal);
	strbuf_release(&rewritten);
	return ok;
}

static bool add_received(const struct internal_mail *mail, struct intake *in, struct reason *why)
{
	const struct postfix_params *p = mail->params;
	char date[DATE_TEXT];
	char *header = xasprintf("Received: by %s (%s)\n\tid %s; %s", p->myhostname, p->mail_name,
	    intake_id(in), date_rfc5322((time_t)(clock_wall_us() / 1000000), date));
	bool ok = intake_prepend(in, slice_of(header), why);

	free(header);
	return ok;
}

static struct intake *begin(const struct internal_mail *mail, struct reason *why)
{
	const struct postfix_params *p = mail->params;
	bool filtered = list_has(p->internal_mail_filter_classes, mail->filter_class);
	struct intake_origin origin = {
		.origin = "local",
		.local_rewrite = true,
		.add_missing_headers = true,
		.never_wait = true,
		.overrides = filtered ? INTAKE_NO_BCC : INTAKE_INTERNAL,
		.smtputf8 = mail->smtputf8,
		.require_tls = mail->require_tls,
	};
	char *sender = mail->is_last ? xasprintf("%s@%s", p->double_bounce_sender, p->myhostname)
				     : xstrdup("");
	struct intake *in = intake_begin(mail->service, &origin, slice_of(sender), why);

	free(sender);
	return in;
}

struct intake *internal_mail_begin(const struct internal_mail *mail, struct reason *why)
{
	struct intake *in = begin(mail, why);

	if (in == NULL)
		return NULL;
	if (mail->is_last)
		intake_set_attribute(in, INTERNAL_MAIL_LAST, SLICE_LIT("1"));
	if (mail->encoding != NULL)
		intake_set_encoding(in, mail->encoding);
	if (add_recipient(mail, in, why) && add_received(mail, in, why))
		return in;
	intake_free(in);
	return NULL;
}

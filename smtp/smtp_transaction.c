// SPDX-License-Identifier: BSD-2-Clause
/*
 * The envelope: MAIL and RCPT, in groups where the server takes PIPELINING (RFC 2920), and what
 * their replies mean.  A group is smaller than any socket's buffers, so that neither side waits for
 * the other to read.
 */
#include "smtp/smtp_transaction.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "queue/envelope.h"
#include "queue/queue_file.h"
#include "smtp/smtp_content.h"
#include "smtp/smtp_data.h"
#include "smtp/smtp_handshake.h"

#define GROUP_BYTES 8192

/* ---- results ---- */

static void take_off(struct smtp_todo *todo, size_t index)
{
	size_t kept = 0;

	for (size_t i = 0; i < todo->count; i++)
		if (todo->indices[i] != index)
			todo->indices[kept++] = todo->indices[i];
	todo->count = kept;
}

void transaction_result(
    struct transaction *t, struct transaction_rcpt *rcpt, const struct delivery_outcome *outcome)
{
	delivery_result(t->todo->delivery, rcpt->index, outcome);
	take_off(t->todo, rcpt->index);
	rcpt->state = TRANSACTION_RCPT_OVER;
}

void transaction_fail(
    struct transaction *t, struct transaction_rcpt *rcpt, const struct smtp_failure *failure)
{
	struct delivery_outcome outcome;

	if (rcpt->state == TRANSACTION_RCPT_OVER || rcpt->state == TRANSACTION_RCPT_LEFT)
		return;
	if (!t->last && !reason_is_permanent(&failure->why) && !failure->stop) {
		rcpt->state = TRANSACTION_RCPT_LEFT;
		*t->failure = *failure;
		t->next_host = true;
		return;
	}
	outcome = smtp_outcome(t->s, failure, &t->arena);
	transaction_result(t, rcpt, &outcome);
}

void transaction_fail_all(struct transaction *t, const struct smtp_failure *failure)
{
	for (size_t i = 0; i < t->count; i++)
		transaction_fail(t, &t->list[i], failure);
	if (t->last && failure->host && !reason_is_permanent(&failure->why))
		delivery_site_failed(t->todo->delivery, &failure->why);
}

/* ---- what this server cannot take ---- */

static bool is_too_large(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	if (t->s->size_limit == 0 || (uint64_t)t->request->size <= t->s->size_limit)
		return false;
	smtp_fail(&failure, false, "5.3.4",
	    "message size %lld exceeds size limit %llu of server %s", (long long)t->request->size,
	    (unsigned long long)t->s->size_limit, t->s->name);
	transaction_fail_all(t, &failure);
	return true;
}

static bool header_is_ascii(const struct transaction *t)
{
	struct content_reader reader;
	struct slice line;
	bool whole, ascii = true;

	content_reader_init(&reader, t->todo->delivery->fd, t->request->data_offset);
	while (ascii && content_reader_next(&reader, &line, &whole) == CONTENT_LINE &&
	       (line.len > 0 || !whole))
		ascii = ascii_is_valid(line);
	content_reader_release(&reader);
	return ascii;
}

static bool envelope_is_ascii(const struct transaction *t)
{
	bool ascii = ascii_is_valid(slice_of(t->sender));

	for (size_t i = 0; i < t->count && ascii; i++)
		ascii = ascii_is_valid(slice_of(t->list[i].address));
	return ascii;
}

/* RFC 6531 3.2: it goes nowhere else.  What does not use what it asked for goes anywhere. */
static bool needs_utf8(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	if ((t->s->features & SMTP_FEATURE_SMTPUTF8) ||
	    (envelope_is_ascii(t) &&
		(!(t->request->sendopts & QUEUE_SENDOPT_SMTPUTF8) || header_is_ascii(t))))
		return false;
	smtp_fail(&failure, false, "5.6.7", "SMTPUTF8 is required, but was not offered by host %s",
	    t->s->name);
	transaction_fail_all(t, &failure);
	return true;
}

/* RFC 8689 4.2.1 */
static bool needs_tls(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	if (!(t->request->sendopts & QUEUE_SENDOPT_REQUIRETLS) ||
	    (t->s->has_tls && (t->s->features & SMTP_FEATURE_REQUIRETLS)))
		return false;
	smtp_fail(&failure, false, "5.7.30",
	    "REQUIRETLS is required, but was not offered by host %s", t->s->name);
	transaction_fail_all(t, &failure);
	return true;
}

/* ---- commands ---- */

/*
 * smtp_quote_rfc821_envelope = no.  What a table gave may hold anything: no control character may
 * end the command.
 */
static void add_raw(struct strbuf *out, struct slice address)
{
	size_t from = out->len;

	strbuf_addslice(out, address);
	for (size_t i = from; i < out->len; i++)
		if ((unsigned char)out->ptr[i] < ' ' || out->ptr[i] == 0x7f)
			out->ptr[i] = '?';
}

/* Internal to what stands in the brackets; false: a table failed. */
static bool command_address(struct transaction *t, const char *internal, const char **out)
{
	struct strbuf mapped = STRBUF_INIT(2 * ADDRESS_MAX),
		      text = STRBUF_INIT(2 * ADDRESS_MAX + 4);
	struct smtp_failure failure = { .host = false };
	bool ok = smtp_content_address(internal, &mapped, &failure);

	if (!ok) {
		transaction_fail_all(t, &failure);
	} else if (SMTP_PARAM(quote_rfc821_envelope)) {
		address_external(strbuf_slice(&mapped), &text);
	} else {
		add_raw(&text, strbuf_slice(&mapped));
	}
	*out = arena_slicedup(&t->arena, strbuf_slice(&text));
	strbuf_release(&mapped);
	strbuf_release(&text);
	return ok;
}

static bool prepare_addresses(struct transaction *t)
{
	struct strbuf sender = STRBUF_INIT(2 * ADDRESS_MAX);
	bool ok;

	t->sender = "";
	if (*t->request->sender &&
	    address_internal(slice_of(t->request->sender), ADDRESS_UTF8, &sender) != ADDRESS_OK)
		strbuf_addstr(&sender, t->request->sender);
	ok = !*t->request->sender || command_address(t, sender.ptr, &t->sender);
	strbuf_release(&sender);
	for (size_t i = 0; i < t->count && ok; i++)
		ok = command_address(
		    t, t->request->recipients[t->list[i].index].address, &t->list[i].address);
	return ok;
}

static void say_mail(struct transaction *t)
{
	const struct delivery_request *r = t->request;
	struct strbuf options = STRBUF_INIT(2048);
	unsigned f = t->s->features;

	if (f & SMTP_FEATURE_SIZE)
		strbuf_addf(&options, " SIZE=%lld", (long long)r->size);
	if ((f & SMTP_FEATURE_8BITMIME) && strcmp(r->encoding, "8bit") == 0)
		strbuf_addstr(&options, " BODY=8BITMIME");
	if ((f & SMTP_FEATURE_8BITMIME) && strcmp(r->encoding, "7bit") == 0)
		strbuf_addstr(&options, " BODY=7BIT");
	if ((f & SMTP_FEATURE_DSN) && *r->envelope_id) {
		strbuf_addstr(&options, " ENVID=");
		xtext_encode(&options, slice_of(r->envelope_id));
	}
	if ((f & SMTP_FEATURE_DSN) && r->ret)
		strbuf_addf(&options, " RET=%s", r->ret & DSN_RET_FULL ? "FULL" : "HDRS");
	if (t->s->logged_in && SMTP_PARAM(send_dummy_mail_auth))
		strbuf_addstr(&options, " AUTH=<>");
	if ((f & SMTP_FEATURE_SMTPUTF8) &&
	    ((r->sendopts & QUEUE_SENDOPT_SMTPUTF8) || !envelope_is_ascii(t)))
		strbuf_addstr(&options, " SMTPUTF8");
	if (r->sendopts & QUEUE_SENDOPT_REQUIRETLS)
		strbuf_addstr(&options, " REQUIRETLS");
	smtp_say(t->s, "MAIL FROM:<%s>%s", t->sender, options.ptr);
	strbuf_release(&options);
}

static void add_notify(struct strbuf *out, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = { { DSN_NOTIFY_NEVER, "NEVER" }, { DSN_NOTIFY_SUCCESS, "SUCCESS" },
		{ DSN_NOTIFY_FAILURE, "FAILURE" }, { DSN_NOTIFY_DELAY, "DELAY" } };
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (notify & words[i].bit) {
			strbuf_addf(out, "%s%s", before, words[i].word);
			before = ",";
		}
}

/* "rfc822;address": the address is xtext on the wire (RFC 3461 4.2). */
static void add_orcpt(struct strbuf *out, const char *orcpt)
{
	ptrdiff_t semicolon = slice_find(slice_of(orcpt), ';');

	if (semicolon <= 0)
		return;
	strbuf_addf(out, " ORCPT=%.*s;", (int)semicolon, orcpt);
	xtext_encode(out, slice_of(orcpt + semicolon + 1));
}

static size_t say_rcpt(struct transaction *t, const struct transaction_rcpt *rcpt)
{
	const struct delivery_recipient *to = &t->request->recipients[rcpt->index];
	struct strbuf options = STRBUF_INIT(4 * ADDRESS_MAX);
	size_t len;

	if (t->s->features & SMTP_FEATURE_DSN) {
		add_orcpt(&options, to->orcpt);
		add_notify(&options, to->notify);
	}
	if (options.overflow)
		strbuf_reset(&options);
	smtp_say(t->s, "RCPT TO:<%s>%s", rcpt->address, options.ptr);
	len = strlen(rcpt->address) + options.len;
	strbuf_release(&options);
	return len;
}

/* ---- replies ---- */

static bool hear_mail(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	if (!smtp_hear(t->s, SMTP_PARAM(mail_timeout), "sending MAIL FROM", &t->reply, &failure)) {
		transaction_fail_all(t, &failure);
		return false;
	}
	if (t->reply.code / 100 != 2) {
		smtp_refused(t->s, &t->reply, "MAIL FROM", &failure);
		transaction_fail_all(t, &failure);
	}
	return true;
}

static bool hear_rcpt(struct transaction *t, struct transaction_rcpt *rcpt)
{
	struct smtp_failure failure = { .host = false };

	if (!smtp_hear(t->s, SMTP_PARAM(rcpt_timeout), "sending RCPT TO", &t->reply, &failure)) {
		transaction_fail_all(t, &failure);
		return false;
	}
	if (rcpt->state != TRANSACTION_RCPT_WAITING)
		return true; /* MAIL was refused */
	if (t->reply.code / 100 == 2) {
		rcpt->state = TRANSACTION_RCPT_ACCEPTED;
		t->accepted++;
		if (smtp_probe_ends_at_rcpt(t))
			transaction_sent(t, rcpt);
		return true;
	}
	smtp_refused(t->s, &t->reply, "RCPT TO", &failure);
	transaction_fail(t, rcpt, &failure);
	return true;
}

/* ---- the whole ---- */

/* What goes out before the next reply is waited for: one RCPT where there is no PIPELINING. */
static void say_group(struct transaction *t, size_t *said)
{
	bool pipelining = t->s->features & SMTP_FEATURE_PIPELINING;
	size_t bytes = 0;

	while (*said < t->count && bytes < GROUP_BYTES)
		bytes += say_rcpt(t, &t->list[(*said)++]) + (pipelining ? 0 : GROUP_BYTES);
	if (pipelining && *said == t->count)
		smtp_data_say_along(t);
}

/* Is there a recipient who waits or was accepted? */
static bool is_open(const struct transaction *t)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->list[i].state == TRANSACTION_RCPT_WAITING ||
		    t->list[i].state == TRANSACTION_RCPT_ACCEPTED)
			return true;
	return false;
}

/* MAIL and all RCPTs; false: the session is lost. */
static bool send_envelope(struct transaction *t)
{
	size_t said = 0, heard = 0;

	say_mail(t);
	if (t->s->features & SMTP_FEATURE_PIPELINING)
		say_group(t, &said);
	if (!hear_mail(t))
		return false;
	do {
		for (; heard < said; heard++)
			if (!hear_rcpt(t, &t->list[heard]))
				return false;
		if (is_open(t))
			say_group(t, &said);
	} while (heard < said);
	return true;
}

/* XFORWARD, where it is wanted; false: the session is lost. */
static bool tell_client(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	if (smtp_xforward(t->s, t->todo->delivery, &failure))
		return true;
	transaction_fail_all(t, &failure);
	return false;
}

static void run(struct transaction *t)
{
	if (is_too_large(t) || !prepare_addresses(t) || needs_utf8(t) || needs_tls(t))
		return;
	if (!tell_client(t) || !send_envelope(t))
		return;
	smtp_data(t);
}

enum smtp_transaction_end smtp_transaction(
    struct smtp_session *session, struct smtp_todo *todo, bool last, struct smtp_failure *failure)
{
	struct transaction t = { .s = session,
		.todo = todo,
		.request = todo->delivery->request,
		.last = last,
		.failure = failure,
		.arena = ARENA_INIT,
		.count = todo->count };

	session->used++;
	smtp_reply_init(&t.reply);
	t.list = arena_alloc(&t.arena, t.count * sizeof(*t.list));
	for (size_t i = 0; i < t.count; i++)
		t.list[i].index = todo->indices[i];
	run(&t);
	smtp_reply_release(&t.reply);
	arena_release(&t.arena);
	return t.next_host ? SMTP_TRANSACTION_NEXT_HOST : SMTP_TRANSACTION_DONE;
}

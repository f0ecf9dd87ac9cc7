// SPDX-License-Identifier: BSD-2-Clause
/*
 * The message itself: by BDAT (RFC 3030) where the server takes it, else by DATA.  What BDAT
 * carries has a length, so no server can find the end of a message where it is not.
 *
 * Until the last byte (the dot, the LAST chunk) is out the message can still be taken back by
 * closing the connection, and is when qmgr wants it back, or when the file turns out to be damaged.
 */
#include "smtp/smtp_data.h"

#include <poll.h>
#include <string.h>
#include <strings.h>

#include "smtp/smtp_content.h"

#define PIECE_BYTES 16384
/* A message up to this size is one chunk. */
#define CHUNK_BYTES (256 * 1024)

static const char sending_end[] = "sending end of data -- message may be sent more than once";

void transaction_sent(struct transaction *t, struct transaction_rcpt *rcpt)
{
	struct smtp_failure none = { .host = false };
	struct delivery_outcome outcome;

	reason_set(
	    &none.why, t->reply.dsn[0] == '2' ? t->reply.dsn : "2.0.0", "%s", t->reply.text.ptr);
	outcome = smtp_outcome(t->s, &none, &t->arena);
	outcome.status = DELIVERY_SENT;
	outcome.diagnostic = t->reply.text.ptr;
	/* A mailbox that LMTP delivered to is no further host (RFC 3464 2.3.3). */
	if (!smtp_is_lmtp || !smtp_params->lmtp_assume_final)
		outcome.remote_mta = t->s->target.host;
	outcome.reports_passed = (t->s->features & SMTP_FEATURE_DSN) != 0;
	transaction_result(t, rcpt, &outcome);
}

static bool uses_bdat(const struct transaction *t)
{
	return (t->s->features & SMTP_FEATURE_CHUNKING) && !t->request->probe;
}

void smtp_data_say_along(struct transaction *t)
{
	if (t->data_said || uses_bdat(t) || t->request->probe)
		return;
	smtp_say(t->s, "DATA");
	t->data_said = true;
}

static struct smtp_content *open_content(const struct transaction *t, bool dots)
{
	struct smtp_content_rules rules = { .dots = dots,
		.server = t->s->name,
		.to_7bit = !(t->s->features & SMTP_FEATURE_8BITMIME) &&
			   !smtp_params->disable_mime_output_conversion &&
			   strcmp(t->request->encoding, "7bit") != 0 };

	return smtp_content_open(t->request, t->todo->delivery->fd, &rules);
}

/*
 * More of the message into OUT.  False: it ends here, every recipient was told, and the server must
 * not get to its end.
 */
static bool next_piece(struct transaction *t, struct smtp_content *content, size_t want,
    struct strbuf *out, bool *ended)
{
	struct smtp_failure failure = { .host = false };

	if (delivery_should_stop(t->todo->delivery)) {
		t->s->broken = true;
		return false;
	}
	if (smtp_content_next(content, want, out, ended, &failure) == SMTP_CONTENT_SENT)
		return true;
	t->s->broken = true;
	failure.stop = true; /* another host would get the same */
	transaction_fail_all(t, &failure);
	return false;
}

static bool write_piece(struct transaction *t, struct strbuf *piece)
{
	struct smtp_failure failure = { .host = false };

	smtp_transfer(t->s, strbuf_slice(piece));
	strbuf_reset(piece);
	if (stream_error(t->s->stream) == STREAM_OK)
		return true;
	smtp_session_lost(t->s, "sending message body", &failure);
	transaction_fail_all(t, &failure);
	return false;
}

/*
 * Before the end goes out the server has nothing to say but that it wants no more.  An answer that
 * is there already answers something else: one that were taken for the answer to the message would
 * have us remove what the server may yet refuse.  False: every recipient was told.
 */
static bool has_not_spoken(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };
	struct slice waiting;

	if (!stream_poll_input(t->s->stream))
		return true;
	waiting = stream_peek(t->s->stream);
	/* Noise is passed over where the answer is read. */
	if (waiting.len > 0 && !(waiting.ptr[0] >= '0' && waiting.ptr[0] <= '9'))
		return true;
	if (smtp_hear(
		t->s, SMTP_PARAM(data_xfer_timeout), "sending message body", &t->reply, &failure)) {
		if (t->reply.code / 100 >= 4)
			smtp_refused(t->s, &t->reply, "end of DATA", &failure);
		else
			smtp_fail(&failure, true, "4.5.0",
			    "host %s sent a reply before the end of the message: %.200s",
			    t->s->name, t->reply.text.ptr);
	}
	t->s->broken = true;
	transaction_fail_all(t, &failure);
	return false;
}

/* ---- what the server says to the whole ---- */

static bool hear_end(struct transaction *t, struct smtp_failure *failure)
{
	return smtp_hear(t->s, SMTP_PARAM(data_done_timeout), sending_end, &t->reply, failure);
}

static void take_end(struct transaction *t, struct transaction_rcpt *rcpt)
{
	struct smtp_failure failure = { .host = false };

	if (t->reply.code / 100 == 2) {
		transaction_sent(t, rcpt);
		return;
	}
	smtp_refused(t->s, &t->reply, "end of DATA", &failure);
	transaction_fail(t, rcpt, &failure);
}

/* One reply; LMTP has one for each recipient, in their order (RFC 2033 4.2). */
static void finish(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };
	bool heard = false;

	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].state != TRANSACTION_RCPT_ACCEPTED)
			continue;
		if ((!heard || smtp_is_lmtp) && !hear_end(t, &failure)) {
			transaction_fail_all(t, &failure);
			return;
		}
		heard = true;
		take_end(t, &t->list[i]);
	}
}

/* ---- DATA ---- */

/* "delay_dotcrlf": a firewall that looks into packets must not see the end with other bytes. */
static void delay_end(struct transaction *t)
{
	if (!(t->s->features & SMTP_FEATURE_PIX_DOTCRLF) || !stream_flush(t->s->stream))
		return;
	(void)poll(NULL, 0, (int)SMTP_PARAM(pix_workaround_delay_time) * 1000);
}

static void send_by_data(struct transaction *t)
{
	struct smtp_content *content = open_content(t, true);
	struct strbuf piece = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool ended = false, ok = true;

	while (ok && !ended)
		ok = next_piece(t, content, PIECE_BYTES, &piece, &ended) &&
		     (ended || write_piece(t, &piece));
	if (ok && t->s->features & SMTP_FEATURE_PIX_DOTCRLF) {
		ok = write_piece(t, &piece);
		delay_end(t);
	}
	if (ok && has_not_spoken(t)) {
		strbuf_addstr(&piece, ".\r\n");
		if (write_piece(t, &piece))
			finish(t);
	}
	strbuf_release(&piece);
	smtp_content_close(content);
}

/* Nobody was accepted, but DATA was: the dot ends it, and what comes back means nothing. */
static void send_nothing(struct transaction *t)
{
	struct smtp_failure ignored = { .host = false };

	smtp_say(t->s, ".");
	(void)hear_end(t, &ignored);
}

static void data(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	if (!t->data_said && t->accepted == 0)
		return;
	if (!t->data_said)
		smtp_say(t->s, "DATA");
	if (!smtp_hear(
		t->s, SMTP_PARAM(data_init_timeout), "sending DATA command", &t->reply, &failure)) {
		transaction_fail_all(t, &failure);
	} else if (t->reply.code / 100 != 3) {
		smtp_refused(t->s, &t->reply, "DATA", &failure);
		transaction_fail_all(t, &failure);
	} else if (t->accepted == 0) {
		send_nothing(t);
	} else {
		send_by_data(t);
	}
}

/* ---- BDAT ---- */

/* A chunk that is not the last one was taken? */
static bool hear_chunk(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	if (!smtp_hear(
		t->s, SMTP_PARAM(data_xfer_timeout), "sending message body", &t->reply, &failure)) {
		transaction_fail_all(t, &failure);
		return false;
	}
	if (t->reply.code / 100 == 2)
		return true;
	smtp_refused(t->s, &t->reply, "BDAT", &failure);
	transaction_fail_all(t, &failure);
	return false;
}

static void send_by_bdat(struct transaction *t)
{
	struct smtp_content *content = open_content(t, false);
	struct strbuf chunk = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool ended = false, ok = true;

	while (ok && !ended) {
		ok = next_piece(t, content, CHUNK_BYTES, &chunk, &ended) && has_not_spoken(t);
		if (!ok)
			break;
		smtp_say(t->s, "BDAT %zu%s", chunk.len, ended ? " LAST" : "");
		ok = write_piece(t, &chunk) && (ended || hear_chunk(t));
	}
	if (ok)
		finish(t);
	strbuf_release(&chunk);
	smtp_content_close(content);
}

/* ---- probes ---- */

bool smtp_probe_ends_at_rcpt(const struct transaction *t)
{
	return t->request->probe && strcasecmp(SMTP_PARAM(address_verify_target), "data") != 0;
}

/* smtp_address_verify_target = data: the message never comes. */
static void probe_data(struct transaction *t)
{
	struct smtp_failure failure = { .host = false };

	smtp_say(t->s, "DATA");
	if (!smtp_hear(
		t->s, SMTP_PARAM(data_init_timeout), "sending DATA command", &t->reply, &failure)) {
		transaction_fail_all(t, &failure);
		return;
	}
	if (t->reply.code / 100 == 3)
		t->s->broken = true;
	else
		smtp_refused(t->s, &t->reply, "DATA", &failure);
	for (size_t i = 0; i < t->count; i++) {
		if (t->list[i].state != TRANSACTION_RCPT_ACCEPTED)
			continue;
		if (t->s->broken)
			transaction_sent(t, &t->list[i]);
		else
			transaction_fail(t, &t->list[i], &failure);
	}
}

void smtp_data(struct transaction *t)
{
	if (t->request->probe) {
		if (t->accepted > 0 && !smtp_probe_ends_at_rcpt(t))
			probe_data(t);
	} else if (uses_bdat(t)) {
		if (t->accepted > 0)
			send_by_bdat(t);
	} else {
		data(t);
	}
}

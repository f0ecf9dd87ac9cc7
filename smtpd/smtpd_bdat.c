// SPDX-License-Identifier: BSD-2-Clause
/*
 * BDAT (RFC 3030): content in counted chunks, with other commands between them.
 *
 * A chunk is read to its end before it is answered, also one that is refused, or its bytes would be
 * taken for commands.  After a refusal further chunks of the same message are read and dropped,
 * since the client may have sent them already: until BDAT LAST, RSET or a new session.  The states
 * (smtpd.bdat) live in the session, not in the transaction, for that holds without one, too.
 *
 *	NONE	no chunk, or after BDAT LAST: the next one is checked as DATA is
 *	OPEN	chunks were kept
 *	FAILED	one was refused
 */
#include <stdio.h>

#include "base/clock.h"
#include "log/log.h"
#include "smtpd/smtpd_args.h"
#include "smtpd/smtpd_keywords.h"
#include "smtpd/smtpd_message.h"

#define READ_MAX 16384

struct chunk {
	uint64_t size;
	bool last;
};

static const char *id_of(const struct smtpd *s)
{
	const char *id = smtpd_queue_id(s);

	return id != NULL ? id : "NOQUEUE";
}

/* Reads the next bytes of a chunk; false when the connection is gone. */
static bool read_bytes(struct smtpd *s, uint64_t *left, struct slice *bytes)
{
	stream_set_deadline(s->session.stream, deadline_in(s->params->smtpd_timeout * 1000));
	if (!stream_read_some(
		s->session.stream, *left < READ_MAX ? (size_t)*left : READ_MAX, bytes))
		return false;
	*left -= bytes->len;
	return true;
}

/* What is over is forgotten; else the next chunk finds that the one before was refused. */
static void end_refused(struct smtpd *s, const struct chunk *chunk)
{
	if (chunk->last)
		smtpd_transaction_end(s);
	else
		s->bdat = BDAT_FAILED;
}

/*
 * A client that goes on with chunk after chunk that cannot be kept: the rest is not waited for
 * (and nothing that follows is a command).
 */
static void hang_up(struct smtpd *s)
{
	log_warning(
	    "%s: too much BDAT content -- disabling further input from %s", id_of(s), s->name_addr);
	log_info("%s: lost connection after BDAT from %s", id_of(s), s->name_addr);
	s->where = NULL;
	s->closing = true;
}

static bool is_too_much(struct smtpd *s, const struct chunk *chunk)
{
	uint64_t limit = (uint64_t)smtpd_server.params->message_size_limit;

	if (limit == 0)
		return false;
	if (chunk->size >= 2 * limit || s->bdat_bytes + chunk->size >= 2 * limit)
		return true;
	s->bdat_bytes += chunk->size;
	return false;
}

/* Drops a chunk and says why. */
static void skip(struct smtpd *s, const struct chunk *chunk, const struct restrict_verdict *why)
{
	uint64_t left = chunk->size;
	struct slice bytes;

	if (is_too_much(s, chunk)) {
		smtpd_reply_verdict(s, why);
		hang_up(s);
		return;
	}
	while (left > 0)
		if (!read_bytes(s, &left, &bytes))
			return;
	smtpd_reply_verdict(s, why);
	end_refused(s, chunk);
}

static bool refuse(struct restrict_verdict *why, unsigned code, const char *dsn, const char *text)
{
	*why = (struct restrict_verdict){ .code = code };
	snprintf(why->dsn, sizeof(why->dsn), "%s", dsn);
	snprintf(why->text, sizeof(why->text), "%s", text);
	return false;
}

/* The first chunk is what DATA is for a message; false: WHY says why not. */
static bool may_begin(struct smtpd *s, struct restrict_verdict *why)
{
	struct smtpd_transaction *t = s->transaction;

	if (t == NULL)
		return refuse(why, 503, "5.5.1", "Error: need RCPT command");
	if (t->recipient_count == 0)
		return refuse(why, 554, "5.5.1", "Error: no valid recipients");
	return smtpd_message_may_begin(s, "BDAT", why);
}

/* False: WHY says why the chunk is dropped. */
static bool is_acceptable(struct smtpd *s, const struct chunk *chunk, struct restrict_verdict *why)
{
	long long limit = smtpd_server.params->message_size_limit;
	long long before = s->bdat == BDAT_OPEN ? (long long)s->data_bytes : 0;

	if (chunk->size == 0 && !chunk->last) {
		log_warning("%s: null BDAT request from %s", id_of(s), s->name_addr);
		return refuse(why, 551, "5.7.1", "Null BDAT request");
	}
	if (s->bdat == BDAT_FAILED) {
		refuse(why, 551, "5.0.0", "");
		snprintf(why->text, sizeof(why->text), "Discarded %llu bytes after earlier error",
		    (unsigned long long)chunk->size);
		return false;
	}
	if (s->bdat == BDAT_NONE && !may_begin(s, why))
		return false;
	if (limit > 0 && chunk->size > (uint64_t)(limit - before)) {
		log_warning(
		    "%s: BDAT request from %s exceeds message size limit", id_of(s), s->name_addr);
		return refuse(why, 552, "5.3.4", "Chunk exceeds message size limit");
	}
	return true;
}

static void begin(struct smtpd *s)
{
	s->bdat = BDAT_OPEN;
	chunk_lines_init(&s->transaction->chunks, smtpd_server.line_max, smtpd_message_line, s);
	(void)smtpd_message_begin(s); /* a failure is said at the content's end */
}

static void end_message(struct smtpd *s)
{
	struct smtpd_transaction *t = s->transaction;

	s->where = "END-OF-MESSAGE";
	if (smtpd_message_end(s))
		smtpd_reply(s, 250, "2.0.0", "Ok: %lld bytes queued as %s",
		    (long long)intake_size(t->intake), intake_id(t->intake));
	smtpd_transaction_end(s);
}

static void keep(struct smtpd *s, const struct chunk *chunk)
{
	struct smtpd_transaction *t = s->transaction;
	uint64_t left = chunk->size;
	struct slice bytes;

	while (left > 0) {
		if (!read_bytes(s, &left, &bytes))
			return; /* the transaction's id is in the last log line */
		s->data_bytes += (int64_t)bytes.len;
		chunk_lines_take(&t->chunks, bytes);
	}
	if (chunk->last)
		chunk_lines_end(&t->chunks);
	s->bare_lf_seen |= t->chunks.bare_lf_seen;
	if (smtpd_message_refuse_bare_newline(s, t->chunks.bare_lf_seen, "BDAT content")) {
		end_refused(s, chunk);
	} else if (chunk->last) {
		end_message(s);
	} else {
		/* Content that cannot be kept is refused at its end, as DATA's is. */
		smtpd_reply(s, 250, "2.0.0", "Ok: %llu bytes", (unsigned long long)chunk->size);
	}
}

void smtpd_bdat(struct smtpd *s, struct slice args)
{
	struct restrict_verdict why;
	struct chunk chunk;

	if (!smtpd_args_chunk(args, &chunk.size, &chunk.last)) {
		struct strbuf line = STRBUF_INIT(200);

		strbuf_addf(&line, "BDAT %.*s", SLICE_ARG(slice_first(args, 90)));
		log_warning("%s: malformed BDAT command syntax from %s: %.*s", id_of(s),
		    s->name_addr, SLICE_ARG(slice_trim(strbuf_slice(&line), " ")));
		strbuf_release(&line);
		smtpd_reply(s, 521, "5.5.4", "Syntax: BDAT count [LAST]");
		return;
	}
	if (smtpd_hidden_keywords(s) & KEYWORD_CHUNKING) {
		smtpd_reply(s, 521, "5.5.1", "Error: command not implemented");
		return;
	}
	/* smtpd_per_request_deadline counts a chunk with its command. */
	smtpd_set_deadline(s);
	if (!is_acceptable(s, &chunk, &why)) {
		s->data_bytes = -1; /* what was kept goes, too */
		skip(s, &chunk, &why);
		return;
	}
	(void)is_too_much(s, &chunk); /* counts it */
	if (s->bdat == BDAT_NONE)
		begin(s);
	keep(s, &chunk);
}

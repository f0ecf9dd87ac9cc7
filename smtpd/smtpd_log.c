// SPDX-License-Identifier: BSD-2-Clause
/* The log lines that end a session (postfix.md 8.2's "connection errors", "disconnect"). */
#include <stdio.h>
#include <string.h>

#include "log/log.h"
#include "mail/address.h"
#include "smtpd/smtpd_commands.h"

/* Says why the client is gone, unless the end was ours or it has all that it waited for. */
void smtpd_log_connection_end(struct smtpd *s)
{
	const char *id = smtpd_queue_id(s);
	enum stream_error error = stream_error(s->session.stream);
	char bytes[64] = "";

	if (error == STREAM_OK || s->where == NULL ||
	    (error != STREAM_TIMEOUT && strcmp(s->where, "END-OF-MESSAGE") == 0))
		return;
	if (s->data_bytes >= 0 && strcmp(s->where, s->bdat == BDAT_NONE ? "DATA" : "BDAT") == 0)
		snprintf(bytes, sizeof(bytes), " (%lld bytes)", (long long)s->data_bytes);
	log_info("%s: %s after %s%s from %s", id != NULL ? id : "NOQUEUE",
	    error == STREAM_TIMEOUT ? "timeout" : "lost connection", s->where, bytes, s->name_addr);
}

void smtpd_log_disconnect(const struct smtpd *s)
{
	struct strbuf line = STRBUF_INIT(1024);
	unsigned ok = 0, total = 0;

	for (size_t i = 0; i < smtpd_command_count; i++) {
		const struct smtpd_counter *c = &s->counters[i];

		ok += c->ok;
		total += c->total;
		if (c->total == 0)
			continue;
		strbuf_addch(&line, ' ');
		for (const char *v = smtpd_commands[i].verb; *v != '\0'; v++)
			strbuf_addch(&line, ascii_lower(*v));
		strbuf_addf(&line, "=%u", c->ok);
		if (c->ok != c->total)
			strbuf_addf(&line, "/%u", c->total);
	}
	strbuf_addf(&line, " commands=%u", ok);
	if (ok != total || total == 0)
		strbuf_addf(&line, "/%u", total);
	if (s->bare_lf_seen && smtpd_server.bare_newline == BARE_NEWLINE_NOTE)
		strbuf_addstr(&line, " notes=bare_lf");
	log_info("disconnect from %s%s", s->name_addr, line.ptr);
	strbuf_release(&line);
}

static void add_address(struct strbuf *line, const char *name, struct slice address)
{
	strbuf_addf(line, " %s=<", name);
	address_logged(address, line);
	strbuf_addch(line, '>');
}

void smtpd_log_reject(const struct smtpd *s, const char *where, const char *text)
{
	const struct smtpd_transaction *t = s->transaction;
	const char *id = smtpd_queue_id(s);
	struct strbuf line = STRBUF_INIT(8192);

	strbuf_addf(&line, "%s: reject: %s from %s: %s;", id != NULL ? id : "NOQUEUE", where,
	    s->name_addr, text);
	if (t != NULL)
		add_address(&line, "from", t->sender);
	if (t != NULL && t->recipient_count > 0)
		add_address(&line, "to", t->only_recipient);
	strbuf_addf(&line, " proto=%s", s->esmtp ? "ESMTP" : "SMTP");
	if (s->helo != NULL)
		strbuf_addf(&line, " helo=<%s>", s->helo);
	if (s->sasl_username != NULL)
		strbuf_addf(
		    &line, " sasl_method=%s sasl_username=%s", s->sasl_method, s->sasl_username);
	log_info("%s", line.ptr);
	strbuf_release(&line);
}

/* "AUTH PLAIN ...": the rest of such a line is a secret. */
static struct slice without_secret(struct slice line)
{
	struct slice rest = line, verb, mechanism;

	if (!slice_token(&rest, " \t", &verb) || !slice_caseeq_str(verb, "AUTH") ||
	    !slice_token(&rest, " \t", &mechanism))
		return line;
	return slice_first(line, (size_t)(mechanism.ptr - line.ptr) + mechanism.len);
}

void smtpd_log_dialogue(struct smtpd *s, char direction, struct slice text)
{
	struct slice line;

	if (smtpd_server.notified != 0)
		transcript_add(
		    &s->transcript, direction, direction == '<' ? without_secret(text) : text);
	if (!s->debugged)
		return;
	while (slice_token(&text, "\r\n", &line)) {
		struct slice shown = direction == '<' ? without_secret(line) : line;

		log_info("%c %s: %.*s%s", direction, s->name_addr, SLICE_ARG(shown),
		    shown.len < line.len ? " ..." : "");
	}
}

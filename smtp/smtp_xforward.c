// SPDX-License-Identifier: BSD-2-Clause
/*
 * XFORWARD (Postfix's XFORWARD_README): who brought the message to us, for the log of a server that
 * trusts us.  Two commands, for the length of their lines; what a server says against it matters to
 * nobody.
 */
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "deliver/delivery.h"
#include "log/log.h"
#include "smtp/smtp_handshake.h"

#define COMMAND_MAX 4096

static const char *attribute(const struct delivery_request *request, const char *name)
{
	for (const char **a = request->attributes; a && a[0] && a[1]; a += 2)
		if (strcmp(a[0], name) == 0)
			return a[1];
	return "";
}

/* Whether the message came from our own side. */
static const char *source(const struct delivery_request *request)
{
	if (!request->rewrite_context || !*request->rewrite_context)
		return "";
	return strcmp(request->rewrite_context, "local") == 0 ? "LOCAL" : "REMOTE";
}

static const char *value_of(const struct delivery_request *request, const char *name)
{
	const char *value = name ? attribute(request, name) : source(request);

	if (name && !*value && strcmp(name, "log_ident") == 0)
		return request->id;
	return value;
}

static const struct row {
	const char *word;
	unsigned bit;
	const char *attribute; /* of the queue file; NULL: the rewrite context */
} rows[] = {
	{ "NAME", SMTP_XFORWARD_NAME, "log_client_name" },
	{ "ADDR", SMTP_XFORWARD_ADDR, "log_client_address" },
	{ "PORT", SMTP_XFORWARD_PORT, "log_client_port" },
	{ "PROTO", SMTP_XFORWARD_PROTO, "log_protocol_name" },
	{ "HELO", SMTP_XFORWARD_HELO, "log_helo_name" },
	{ "IDENT", SMTP_XFORWARD_IDENT, "log_ident" },
	{ "SOURCE", SMTP_XFORWARD_SOURCE, NULL },
};

static void add_value(struct strbuf *out, const struct row *row, const char *value)
{
	strbuf_addf(out, " %s=", row->word);
	if (row->bit == SMTP_XFORWARD_ADDR && strchr(value, ':') &&
	    !slice_casestarts(slice_of(value), "ipv6:"))
		strbuf_addstr(out, "IPv6:");
	xtext_encode(out, slice_of(value));
}

/* The rows [FROM, TO) as one command; nothing is said when no value is known. */
static bool say(
    struct smtp_session *session, const struct delivery_request *request, size_t from, size_t to)
{
	struct strbuf command = STRBUF_INIT(COMMAND_MAX);
	bool said;

	for (size_t i = from; i < to; i++) {
		const char *value = value_of(request, rows[i].attribute);

		if ((session->xforward & rows[i].bit) && *value)
			add_value(&command, &rows[i], value);
	}
	said = command.len > 0 && !command.overflow;
	if (said)
		smtp_say(session, "XFORWARD%s", command.ptr);
	strbuf_release(&command);
	return said;
}

struct part {
	size_t from, to;
	const char *while_what, *command;
};

static bool hear(
    struct smtp_session *session, const struct part *part, struct smtp_failure *failure)
{
	struct smtp_reply reply;
	bool heard;

	smtp_reply_init(&reply);
	heard = smtp_hear_lines(
	    session, SMTP_PARAM(xforward_timeout), part->while_what, &reply, failure);
	smtp_reply_join(&reply);
	if (heard && reply.code / 100 != 2)
		log_warning("host %s said: %s (in reply to %s)", session->relay, reply.text.ptr,
		    part->command);
	smtp_reply_release(&reply);
	return heard;
}

bool smtp_xforward(
    struct smtp_session *session, const struct delivery *delivery, struct smtp_failure *failure)
{
	static const struct part parts[] = {
		{ 0, 3, "sending XFORWARD name/address", "XFORWARD name/address command" },
		{ 3, ARRAY_LEN(rows), "sending XFORWARD protocol/helo_name",
		    "XFORWARD helo/protocol command" },
	};
	bool pipelining = session->features & SMTP_FEATURE_PIPELINING;
	bool said[ARRAY_LEN(parts)] = { false };

	if (!SMTP_PARAM(send_xforward_command) || !session->xforward)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		said[i] = say(session, delivery->request, parts[i].from, parts[i].to);
		if (said[i] && !pipelining && !hear(session, &parts[i], failure))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(parts) && pipelining; i++)
		if (said[i] && !hear(session, &parts[i], failure))
			return false;
	return true;
}

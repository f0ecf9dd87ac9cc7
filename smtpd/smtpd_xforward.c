// SPDX-License-Identifier: BSD-2-Clause
/*
 * XFORWARD: a content filter passes on whom it got the next message from, for the log.  Nothing is
 * decided by it but SOURCE: are the headers to be completed as local mail's?
 */
#include <stdlib.h>

#include "base/check.h"
#include "smtpd/client_attrs.h"
#include "smtpd/smtpd.h"
#include "smtpd/smtpd_xclient.h"

/* What of it says something of the client. */
#define CLIENT_BITS                                                                                \
	(CLIENT_BIT(CLIENT_NAME) | CLIENT_BIT(CLIENT_ADDR) | CLIENT_BIT(CLIENT_PORT) |             \
	    CLIENT_BIT(CLIENT_HELO) | CLIENT_BIT(CLIENT_PROTO))

struct smtpd_forwarded {
	struct arena arena;
	struct client_attrs attrs;
};

void smtpd_forget_forwarded(struct smtpd *s)
{
	if (s->forwarded == NULL)
		return;
	arena_release(&s->forwarded->arena);
	free(s->forwarded);
	s->forwarded = NULL;
}

/* Texts of commands that add up lie there until the next message; so many bytes are enough. */
#define FORWARDED_MAX 65536

void smtpd_xforward(struct smtpd *s, struct slice args)
{
	struct strbuf error = STRBUF_INIT(1000);
	struct client_attrs said = { 0 };

	if (args.len == 0) {
		smtpd_reply(s, 501, "5.5.4", "Syntax: XFORWARD attribute=value...");
		return;
	}
	if (!s->may_xforward) {
		smtpd_reply(s, 550, "5.7.0", "Error: insufficient authorization");
		return;
	}
	if (s->forwarded != NULL && s->forwarded->arena.used > FORWARDED_MAX)
		smtpd_forget_forwarded(s);
	if (s->forwarded == NULL)
		s->forwarded = xcalloc(1, sizeof(*s->forwarded));
	said = s->forwarded->attrs;
	if (client_attrs_parse(ATTRS_XFORWARD, args, &s->forwarded->arena, &said, &error)) {
		s->forwarded->attrs = said;
		smtpd_reply(s, 250, "2.0.0", "Ok");
	} else {
		smtpd_reply(s, 501, "5.5.4", "%s", error.ptr);
	}
	strbuf_release(&error);
}

static const char *value_or_unknown(const struct smtpd_forwarded *f, enum client_attr attr)
{
	return f->attrs.value[attr] != NULL ? f->attrs.value[attr] : "unknown";
}

/* "NAME[ADDRESS]", with the port where ports are logged; or "NAME" alone. */
static void add_origin(const struct smtpd_forwarded *f, struct strbuf *out)
{
	char address[NET_ADDR_TEXT];

	strbuf_addstr(out, value_or_unknown(f, CLIENT_NAME));
	if (f->attrs.addr.len == 0)
		return;
	strbuf_addf(out, "[%s]", net_addr_text(&f->attrs.addr, address));
	if (smtpd_server.params->smtpd_client_port_logging)
		strbuf_addf(out, ":%s", value_or_unknown(f, CLIENT_PORT));
}

void smtpd_log_forwarded(const struct smtpd *s, struct strbuf *line)
{
	const struct smtpd_forwarded *f = s->forwarded;

	if (f == NULL)
		return;
	if (f->attrs.value[CLIENT_IDENT] != NULL)
		strbuf_addf(line, ", orig_queue_id=%s", f->attrs.value[CLIENT_IDENT]);
	if (!(f->attrs.given & CLIENT_BITS))
		return;
	strbuf_addstr(line, ", orig_client=");
	add_origin(f, line);
}

void smtpd_forwarded_origin(const struct smtpd *s, struct intake_origin *origin,
    struct intake_logged *logged, struct strbuf *text)
{
	const struct smtpd_forwarded *f = s->forwarded;
	const char *source;
	char address[NET_ADDR_TEXT];
	size_t at;

	if (f == NULL)
		return;
	*logged = (struct intake_logged){ .ident = f->attrs.value[CLIENT_IDENT] };
	origin->logged = logged;
	source = f->attrs.value[CLIENT_SOURCE];
	if (source != NULL)
		origin->local_rewrite = origin->add_missing_headers =
		    slice_caseeq_str(slice_of(source), "LOCAL");
	if (!(f->attrs.given & CLIENT_BITS))
		return;
	add_origin(f, text);
	strbuf_addch(text, '\0');
	at = text->len;
	strbuf_addstr(text, net_addr_text(&f->attrs.addr, address));
	*logged = (struct intake_logged){
		.ident = f->attrs.value[CLIENT_IDENT],
		.client_name = value_or_unknown(f, CLIENT_NAME),
		.client_address = text->ptr + at,
		.client_port = value_or_unknown(f, CLIENT_PORT),
		.helo = f->attrs.value[CLIENT_HELO],
		.protocol = value_or_unknown(f, CLIENT_PROTO),
		.origin = text->ptr,
	};
}

// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/client_attrs.h"

#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "mail/hostname.h"

#define VALUE_MAX 2048
#define TEXT_MAX  255
#define PROTO_MAX 64
/* Bytes that would end a comment, a word or an address where the values are shown. */
#define NEUTER " <>()\\\";@"

/* What is to be seen of a value; false: it has no such syntax. */
typedef bool attr_check(const struct strbuf *value, struct client_attrs *out);

static bool is_name(const struct strbuf *value, struct client_attrs *out)
{
	(void)out;
	return hostname_is_valid(strbuf_slice(value));
}

/* "192.0.2.1", "IPV6:2001:db8::1" */
static bool parse_address(struct slice text, struct net_addr *addr)
{
	bool v6 = slice_casestarts(text, "IPV6:");

	if (v6)
		text = slice_from(text, 5);
	return (slice_find(text, ':') >= 0) == v6 && hostaddr_is_valid(text) &&
	       net_addr_parse(text, 0, addr);
}

static bool is_address(const struct strbuf *value, struct client_attrs *out)
{
	return parse_address(strbuf_slice(value), &out->addr);
}

static bool is_dest_address(const struct strbuf *value, struct client_attrs *out)
{
	return parse_address(strbuf_slice(value), &out->dest_addr);
}

static bool is_port(const struct strbuf *value, struct client_attrs *out)
{
	uint64_t port;

	(void)out;
	return slice_uint(strbuf_slice(value), 65535, &port);
}

static bool is_smtp(const struct strbuf *value, struct client_attrs *out)
{
	(void)out;
	return slice_caseeq_str(strbuf_slice(value), "SMTP") ||
	       slice_caseeq_str(strbuf_slice(value), "ESMTP");
}

static bool is_protocol(const struct strbuf *value, struct client_attrs *out)
{
	(void)out;
	return value->len <= PROTO_MAX;
}

static bool is_source(const struct strbuf *value, struct client_attrs *out)
{
	(void)out;
	return slice_caseeq_str(strbuf_slice(value), "LOCAL") ||
	       slice_caseeq_str(strbuf_slice(value), "REMOTE");
}

static bool is_text(const struct strbuf *value, struct client_attrs *out)
{
	(void)out;
	return value->len <= TEXT_MAX;
}

enum attr_flags {
	ATTR_TEMPORARY = 1,   /* may be [TEMPUNAVAIL] */
	ATTR_UNAVAILABLE = 2, /* may be [UNAVAILABLE] */
	ATTR_NEUTER = 4
};

static const struct attr {
	const char *name;
	enum client_attr attr;
	unsigned flags;
	attr_check *check;
} xclient[] = {
	{ "NAME", CLIENT_NAME, ATTR_UNAVAILABLE | ATTR_TEMPORARY, is_name },
	{ "ADDR", CLIENT_ADDR, ATTR_UNAVAILABLE, is_address },
	{ "PORT", CLIENT_PORT, ATTR_UNAVAILABLE, is_port },
	{ "PROTO", CLIENT_PROTO, 0, is_smtp },
	{ "HELO", CLIENT_HELO, ATTR_UNAVAILABLE | ATTR_NEUTER, is_text },
	{ "REVERSE_NAME", CLIENT_REVERSE_NAME, ATTR_UNAVAILABLE | ATTR_TEMPORARY, is_name },
	{ "LOGIN", CLIENT_LOGIN, ATTR_UNAVAILABLE, is_text },
	{ "DESTADDR", CLIENT_DESTADDR, ATTR_UNAVAILABLE, is_dest_address },
	{ "DESTPORT", CLIENT_DESTPORT, ATTR_UNAVAILABLE, is_port },
}, xforward[] = {
	{ "NAME", CLIENT_NAME, ATTR_UNAVAILABLE | ATTR_NEUTER, is_name },
	{ "ADDR", CLIENT_ADDR, ATTR_UNAVAILABLE | ATTR_NEUTER, is_address },
	{ "PORT", CLIENT_PORT, ATTR_UNAVAILABLE | ATTR_NEUTER, is_port },
	{ "PROTO", CLIENT_PROTO, ATTR_UNAVAILABLE | ATTR_NEUTER, is_protocol },
	{ "HELO", CLIENT_HELO, ATTR_UNAVAILABLE | ATTR_NEUTER, is_text },
	{ "SOURCE", CLIENT_SOURCE, ATTR_UNAVAILABLE | ATTR_NEUTER, is_source },
	{ "IDENT", CLIENT_IDENT, ATTR_UNAVAILABLE | ATTR_NEUTER, is_text },
};

static const struct {
	const char *command;
	const struct attr *attrs;
	size_t count;
} commands[] = {
	[ATTRS_XCLIENT] = { "XCLIENT", xclient, ARRAY_LEN(xclient) },
	[ATTRS_XFORWARD] = { "XFORWARD", xforward, ARRAY_LEN(xforward) },
};

static const struct attr *find(enum client_attrs_command command, struct slice name)
{
	for (size_t i = 0; i < commands[command].count; i++)
		if (slice_caseeq_str(name, commands[command].attrs[i].name))
			return &commands[command].attrs[i];
	return NULL;
}

static void neuter(struct strbuf *text, const char *set)
{
	for (size_t i = 0; i < text->len; i++)
		if ((unsigned char)text->ptr[i] < 0x20 || text->ptr[i] == 0x7f ||
		    strchr(set, text->ptr[i]) != NULL)
			text->ptr[i] = '?';
}

/* A value that is no xtext is taken as it stands; few are then of a right syntax. */
static void decode(struct strbuf *out, struct slice value, const struct attr *attr)
{
	if (!xtext_decode(out, value)) {
		strbuf_reset(out);
		strbuf_addslice(out, value);
	}
	neuter(out, attr->flags & ATTR_NEUTER ? NEUTER : "");
}

/* What the text means where it is no value; false: it is one. */
static bool take_unavailable(const struct attr *attr, struct slice text, struct client_attrs *out)
{
	if ((attr->flags & ATTR_TEMPORARY) && slice_caseeq_str(text, "[TEMPUNAVAIL]"))
		out->temporary |= CLIENT_BIT(attr->attr);
	else if (!(attr->flags & ATTR_UNAVAILABLE) || !slice_caseeq_str(text, "[UNAVAILABLE]"))
		return false;
	out->value[attr->attr] = NULL;
	if (attr->attr == CLIENT_ADDR)
		out->addr.len = 0;
	if (attr->attr == CLIENT_DESTADDR)
		out->dest_addr.len = 0;
	return true;
}

static bool take_value(const struct attr *attr, struct slice value, struct arena *arena,
    struct client_attrs *out, struct strbuf *error)
{
	struct strbuf text = STRBUF_INIT(VALUE_MAX);
	bool ok;

	decode(&text, value, attr);
	out->given |= CLIENT_BIT(attr->attr);
	out->temporary &= ~CLIENT_BIT(attr->attr);
	ok = take_unavailable(attr, strbuf_slice(&text), out);
	if (!ok && attr->check(&text, out)) {
		out->value[attr->attr] = arena_slicedup(arena, strbuf_slice(&text));
		ok = true;
	}
	if (!ok)
		strbuf_addf(error, "Bad %s syntax: %.*s", attr->name,
		    SLICE_ARG(slice_first(strbuf_slice(&text), TEXT_MAX)));
	strbuf_release(&text);
	return ok;
}

static void say_bad_name(enum client_attrs_command command, struct slice name, struct strbuf *error)
{
	size_t from;

	strbuf_addf(error, "Bad %s attribute name: ", commands[command].command);
	from = error->len;
	strbuf_addslice(error, slice_first(name, TEXT_MAX));
	for (size_t i = from; i < error->len; i++)
		error->ptr[i] = ascii_upper(error->ptr[i]);
	neuter(error, "");
}

bool client_attrs_parse(enum client_attrs_command command, struct slice args, struct arena *arena,
    struct client_attrs *out, struct strbuf *error)
{
	struct slice word;

	while (slice_token(&args, " \t", &word)) {
		ptrdiff_t equals = slice_find(word, '=');
		struct slice name = slice_first(word, equals < 0 ? 0 : (size_t)equals);
		const struct attr *attr;

		if (name.len == 0 || (size_t)equals + 1 == word.len) {
			strbuf_addstr(error, "Error: attribute=value expected");
			return false;
		}
		attr = find(command, name);
		if (attr == NULL) {
			say_bad_name(command, name, error);
			return false;
		}
		if (!take_value(attr, slice_from(word, (size_t)equals + 1), arena, out, error))
			return false;
	}
	return true;
}

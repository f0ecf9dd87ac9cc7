// SPDX-License-Identifier: BSD-2-Clause
#include "net/dns_wire.h"

#include <string.h>

#define CLASS_IN       1
#define FLAG_RESPONSE  0x8000
#define FLAG_TRUNCATED 0x0200
#define FLAG_AUTHENTIC 0x0020
#define LABEL_MAX      63
#define NAME_WIRE_MAX  255

static bool is_label(struct slice label)
{
	if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' ||
	    label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!ascii_isalnum(label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
			return false;
	return true;
}

bool dns_name_is_host(const char *name)
{
	struct slice rest = slice_of(name);

	if (rest.len > NAME_WIRE_MAX - 2)
		return false;
	for (;;) {
		ptrdiff_t dot = slice_find(rest, '.');

		if (!is_label(dot == -1 ? rest : slice_first(rest, (size_t)dot)))
			return false;
		if (dot == -1)
			return true;
		rest = slice_from(rest, (size_t)dot + 1);
	}
}

bool dns_name_is_number(const char *name)
{
	return name[strspn(name, "0123456789.")] == '\0';
}

unsigned dns_u16_read(struct cursor *c)
{
	unsigned high = cursor_u8(c);

	return high << 8 | cursor_u8(c);
}

/* LABEL goes to the end of what NAME has so far, with *LEN bytes. */
static void add_label(struct dns_name *name, size_t *len, struct slice label)
{
	name->is_host = name->is_host && is_label(label);
	if (*len > 0)
		name->text[(*len)++] = '.';
	memcpy(name->text + *len, label.ptr, label.len);
	*len += label.len;
}

bool dns_name_read(struct cursor *c, struct dns_name *name)
{
	struct cursor at = *c;
	size_t wire = 1, len = 0, lowest = c->at;
	bool jumped = false;
	unsigned n;

	name->is_host = true;
	while ((n = cursor_u8(&at)) != 0 && !at.failed) {
		if ((n & 0xc0) == 0xc0) {
			size_t to = (n & 0x3f) << 8 | cursor_u8(&at);

			if (!jumped)
				c->at = at.at;
			jumped = true;
			if (at.failed || to >= lowest)
				break;
			at.at = lowest = to;
			continue;
		}
		wire += n + 1;
		if (n > LABEL_MAX || wire > NAME_WIRE_MAX)
			break;
		struct slice label = cursor_take(&at, n);

		if (at.failed)
			break;
		add_label(name, &len, label);
	}
	if (n != 0 || at.failed) {
		c->failed = true;
		c->at = c->in.len;
		name->text[0] = '\0';
		name->is_host = false;
		return false;
	}
	if (!jumped)
		c->at = at.at;
	name->text[name->is_host ? len : 0] = '\0';
	ascii_tolower(name->text, len);
	return true;
}

bool dns_reply_next(const struct dns_reply *reply, size_t *at, struct dns_record *record)
{
	struct cursor c = cursor_of(reply->packet);
	unsigned class, len;

	c.at = *at;
	if (cursor_at_end(&c) || !dns_name_read(&c, &record->owner))
		return false;
	record->type = dns_u16_read(&c);
	class = dns_u16_read(&c);
	record->ttl = cursor_be32(&c);
	len = dns_u16_read(&c);
	if (c.failed || len > reply->packet.len - c.at)
		return false;
	record->data = c;
	record->data.in.len = c.at + len;
	*at = c.at + len;
	/* The class of OPT is a size (RFC 6891 6.1.2). */
	if (class != CLASS_IN && record->type != DNS_TYPE_OPT)
		record->type = 0;
	return true;
}

/* Are all COUNT records whole, those of the other sections too?  *EDNS: there is an OPT. */
static bool records_are_whole(const struct dns_reply *reply, unsigned count, bool *edns)
{
	size_t at = reply->answers_at;
	struct dns_record record;

	for (unsigned i = 0; i < count; i++) {
		if (!dns_reply_next(reply, &at, &record))
			return false;
		*edns |= i >= reply->answers && record.type == DNS_TYPE_OPT;
	}
	return true;
}

/* The CNAME of NAME, if there is one. */
static bool alias_of(const struct dns_reply *reply, const char *name, struct dns_name *target)
{
	size_t at = reply->answers_at;
	struct dns_record record;

	for (unsigned i = 0; i < reply->answers && dns_reply_next(reply, &at, &record); i++)
		if (record.type == DNS_TYPE_CNAME && strcmp(record.owner.text, name) == 0)
			return dns_name_read(&record.data, target) && target->is_host &&
			       target->text[0] != '\0';
	return false;
}

static void follow_aliases(struct dns_reply *reply, const char *name)
{
	struct dns_name target;

	memcpy(reply->canonical, name, strlen(name) + 1);
	for (unsigned i = 0; alias_of(reply, reply->canonical, &target); i++) {
		reply->too_many_cnames = i == DNS_MAX_CNAMES;
		if (reply->too_many_cnames)
			return;
		memcpy(reply->canonical, target.text, sizeof(reply->canonical));
	}
}

bool dns_reply_parse(struct slice packet, const char *name, unsigned type, struct dns_reply *reply)
{
	struct cursor c = cursor_of(packet);
	unsigned flags, questions, others;
	struct dns_name asked;
	bool edns = false;

	memset(reply, 0, sizeof(*reply));
	dns_u16_read(&c); /* the id, which c-ares compared */
	flags = dns_u16_read(&c);
	questions = dns_u16_read(&c);
	reply->answers = dns_u16_read(&c);
	others = dns_u16_read(&c);
	others += dns_u16_read(&c);
	if (c.failed || !(flags & FLAG_RESPONSE) || (flags & FLAG_TRUNCATED) || questions != 1)
		return false;
	if (!dns_name_read(&c, &asked) || !slice_caseeq_str(slice_of(name), asked.text) ||
	    dns_u16_read(&c) != type || dns_u16_read(&c) != CLASS_IN || c.failed)
		return false;
	reply->packet = packet;
	reply->answers_at = c.at;
	reply->rcode = flags & 15;
	if (!records_are_whole(reply, reply->answers + others, &edns))
		return false;
	reply->authentic = edns && (flags & FLAG_AUTHENTIC);
	follow_aliases(reply, asked.text);
	return true;
}

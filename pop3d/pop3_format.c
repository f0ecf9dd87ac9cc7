// SPDX-License-Identifier: BSD-2-Clause
/* Texts made after formats of the configuration. */
#include <stdio.h>
#include <string.h>

#include "pop3d/pop3.h"

struct pair {
	const char *name; /* as dovecot_var_expand calls the letter */
	char value[64];
	struct slice text; /* instead of VALUE, if there is one */
};

struct pairs {
	struct pair list[10];
	size_t count;
};

static struct slice lookup(const char *name, void *arg)
{
	const struct pairs *pairs = arg;

	for (size_t i = 0; i < pairs->count; i++)
		if (strcmp(pairs->list[i].name, name) == 0)
			return pairs->list[i].text.ptr != NULL ? pairs->list[i].text
							       : slice_of(pairs->list[i].value);
	return SLICE_NULL;
}

static void add_number(struct pairs *pairs, const char *name, uint64_t value)
{
	struct pair *pair = &pairs->list[pairs->count++];

	*pair = (struct pair){ .name = name };
	(void)snprintf(pair->value, sizeof(pair->value), "%llu", (unsigned long long)value);
}

static void add_text(struct pairs *pairs, const char *name, const char *text)
{
	pairs->list[pairs->count++] = (struct pair){ .name = name, .text = slice_of(text) };
}

/* RFC 1939 7: 1 to 70 characters from 0x21 to 0x7e. */
static bool is_uidl(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
			return false;
	return text.len > 0;
}

bool pop3_uidl(const struct pop3 *p, size_t number, struct strbuf *out)
{
	const struct store_message *m = store_message(p->box, p->messages[number].index);
	struct pairs pairs = { .count = 0 };
	size_t before = out->len;

	if (m->uidl != NULL) {
		strbuf_addstr(out, m->uidl);
		return true;
	}
	add_number(&pairs, "user", m->uid); /* %u */
	add_number(&pairs, "v", store_uidvalidity(p->box));
	add_text(&pairs, "f", m->name);
	add_text(&pairs, "g", m->guid != NULL ? m->guid : m->name);
	return dovecot_var_expand(out, pop3_settings->pop3_uidl_format, lookup, &pairs, NULL) &&
	       is_uidl(slice_from(strbuf_slice(out), before));
}

bool pop3_statistics(const struct pop3 *p, struct strbuf *out)
{
	struct pairs pairs = { .count = 0 };

	add_number(&pairs, "t", p->top_count);
	add_number(&pairs, "pid", p->top_bytes);	/* %p */
	add_number(&pairs, "rip", p->retr_count);	/* %r */
	add_number(&pairs, "rport", p->retr_bytes);	/* %b */
	add_number(&pairs, "domain", p->deleted_count); /* %d */
	add_number(&pairs, "mech", p->count);		/* %m */
	add_number(&pairs, "service", p->total);	/* %s */
	add_number(&pairs, "deleted_bytes", p->deleted_bytes);
	add_number(&pairs, "uid", p->session.stream ? stream_bytes_in(p->session.stream) : 0);
	add_number(&pairs, "o", p->session.stream ? stream_bytes_out(p->session.stream) : 0);
	return dovecot_var_expand(out, pop3_settings->pop3_logout_format, lookup, &pairs, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
/* Texts made after formats of the configuration: pop3_logout_format and mail_log_prefix. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "pop3d/pop3.h"

/* A variable under its long name, and under what the reader of variables calls its letter. */
struct variable {
	const char *letter, *name;
	char value[64];
};

struct variables {
	struct variable list[16];
	size_t count;
};

static struct slice look_up(const char *name, void *arg)
{
	const struct variables *all = arg;

	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].name, name) == 0 || strcmp(all->list[i].letter, name) == 0)
			return slice_of(all->list[i].value);
	return SLICE_NULL;
}

static struct variable *add(struct variables *all, const char *letter, const char *name)
{
	struct variable *v = &all->list[all->count++];

	*v = (struct variable){ .letter = letter, .name = name };
	return v;
}

static void add_number(struct variables *all, const char *letter, const char *name, uint64_t number)
{
	struct variable *v = add(all, letter, name);

	(void)snprintf(v->value, sizeof(v->value), "%llu", (unsigned long long)number);
}

/* ---- %u: whether UIDLs changed from session to session ---- */

/* ISO 3309's, as in zlib; seldom asked for. */
static uint32_t crc32_of(struct slice text)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < text.len; i++) {
		crc ^= (unsigned char)text.ptr[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* The messages at login, and behind an arrow those that are left. */
static void add_uidl_change(struct pop3 *p, struct variables *all)
{
	struct variable *v = add(all, "user", "uidl_change");
	struct strbuf uidl = STRBUF_INIT(1024);
	uint32_t before = 0, after = 0;
	size_t left = 0;

	if (!p->listed_uidls ||
	    (strstr(pop3_settings->pop3_logout_format, "%u") == NULL &&
		strstr(pop3_settings->pop3_logout_format, "uidl_change") == NULL))
		return;
	for (size_t i = 0; i < p->count; i++) {
		uint32_t crc;

		strbuf_reset(&uidl);
		if (!pop3_uidl(p, i, &uidl))
			break;
		crc = crc32_of(strbuf_slice(&uidl));
		before ^= crc;
		if (p->messages[i].deleted)
			continue;
		after ^= crc;
		left++;
	}
	strbuf_release(&uidl);
	if (left == p->count)
		(void)snprintf(v->value, sizeof(v->value), "%zu/%08x", left, before);
	else
		(void)snprintf(v->value, sizeof(v->value), "%zu/%08x -> %zu/%08x", p->count, before,
		    left, after);
}

void pop3_statistics(struct pop3 *p, struct strbuf *out)
{
	struct variables all = { .count = 0 };

	add_number(&all, "t", "top_count", p->top_count);
	add_number(&all, "pid", "top_bytes", p->top_bytes);	       /* %p */
	add_number(&all, "rip", "retr_count", p->retr_count);	       /* %r */
	add_number(&all, "rport", "retr_bytes", p->retr_bytes);	       /* %b */
	add_number(&all, "domain", "deleted_count", p->deleted_count); /* %d */
	add_number(&all, "deleted_bytes", "deleted_bytes", p->deleted_bytes);
	add_number(&all, "mech", "message_count", p->count);	/* %m */
	add_number(&all, "service", "message_bytes", p->total); /* %s */
	add_number(&all, "uid", "input", p->bytes_in);		/* %i */
	add_number(&all, "o", "output", p->bytes_out);
	add_uidl_change(p, &all);
	(void)snprintf(
	    add(&all, "session", "session")->value, sizeof(all.list[0].value), "%s", p->session_id);
	(void)dovecot_var_expand(out, pop3_settings->pop3_logout_format, look_up, &all, NULL);
}

/* ---- mail_log_prefix ---- */

static struct slice look_up_prefix(const char *name, void *arg)
{
	static const struct {
		const char *name;
		size_t field;
	} texts[] = { { "rip", offsetof(struct pop3, rip) }, { "lip", offsetof(struct pop3, lip) },
		{ "session", offsetof(struct pop3, session_id) } };
	static _Thread_local char number[sizeof(struct variable)];
	const struct pop3 *p = arg;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (strcmp(texts[i].name, name) == 0)
			return slice_of((const char *)p + texts[i].field);
	if (strcmp(name, "service") == 0)
		return SLICE_LIT("pop3");
	if (strcmp(name, "pid") == 0 || strcmp(name, "uid") == 0) {
		(void)snprintf(number, sizeof(number), "%ld",
		    name[0] == 'p' ? (long)getpid() : (long)getuid());
		return slice_of(number);
	}
	return dovecot_var_user(name, slice_of(p->user));
}

/* Names that have no meaning here are shown as the peer shows them. */
static struct slice look_up_or_say(const char *name, void *arg)
{
	static _Thread_local char text[160];
	struct slice value = look_up_prefix(name, arg);

	if (value.ptr != NULL)
		return value;
	if (strcmp(name, "home") == 0)
		name = "h";
	else if (strcmp(name, "secured") == 0)
		name = "c";
	(void)snprintf(text, sizeof(text), "UNSUPPORTED_VARIABLE_%s", name);
	return slice_of(text);
}

const char *pop3_log_name(struct pop3 *p)
{
	struct strbuf text = STRBUF_INIT(1024);
	const char *name = "pop3";

	if (dovecot_var_expand(&text, pop3_settings->mail_log_prefix, look_up_or_say, p, NULL)) {
		/* The log puts ": " behind a name, and nothing behind what ends with a blank. */
		if (slice_ends(strbuf_slice(&text), ": "))
			strbuf_truncate(&text, text.len - 2);
		else if (!slice_ends(strbuf_slice(&text), " "))
			strbuf_addch(&text, ' ');
		name = arena_slicedup(&p->arena, strbuf_slice(&text));
	}
	strbuf_release(&text);
	return name;
}

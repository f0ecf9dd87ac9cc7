// SPDX-License-Identifier: BSD-2-Clause
#include "authd/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define NAME_MAX_BYTES 512
#define VALUE_MAX      4096

const struct pair *pairs_find(const struct pairs *pairs, const char *name)
{
	for (const struct pair *p = pairs->first; p; p = p->next)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

void pairs_set(struct pairs *pairs, struct arena *arena, const char *name, const char *value)
{
	struct pair *pair = pairs->first;

	while (pair && strcmp(pair->name, name) != 0)
		pair = pair->next;
	if (!pair) {
		pair = ARENA_NEW(arena, struct pair);
		pair->name = arena_strdup(arena, name);
		if (pairs->last)
			pairs->last->next = pair;
		else
			pairs->first = pair;
		pairs->last = pair;
	}
	pair->value = arena_strdup(arena, value);
}

void pairs_set_default(
    struct pairs *pairs, struct arena *arena, const char *name, const char *value)
{
	if (!pairs_find(pairs, name))
		pairs_set(pairs, arena, name, value);
}

void pairs_write(const struct pairs *pairs, struct strbuf *line)
{
	for (const struct pair *p = pairs->first; p; p = p->next)
		auth_add_field(line, p->name, slice_of(p->value));
}

static const char *text_field(
    struct arena *arena, const struct auth_fields *fields, size_t from, const char *name)
{
	struct slice value;

	if (!auth_field_get(fields, from, name, &value) || slice_has_nul(value))
		return "";
	return arena_slicedup(arena, value);
}

bool subject_from_fields(
    struct subject *subject, struct arena *arena, const struct auth_fields *fields, size_t from)
{
	struct slice unused;

	memset(subject, 0, sizeof(*subject));
	subject->arena = arena;
	subject->mechanism = "";
	subject->login_user = "";
	subject->service = text_field(arena, fields, from, "service");
	if (!*subject->service)
		subject->service = text_field(arena, fields, from, "protocol");
	subject->session = text_field(arena, fields, from, "session");
	subject->local_ip = text_field(arena, fields, from, "lip");
	subject->remote_ip = text_field(arena, fields, from, "rip");
	subject->local_port = text_field(arena, fields, from, "lport");
	subject->remote_port = text_field(arena, fields, from, "rport");
	subject->local_name = text_field(arena, fields, from, "local_name");
	subject->secured = auth_field_get(fields, from, "secured", &unused);
	return *subject->service != '\0';
}

/* --- variables --- */

static struct slice known(const char *text)
{
	/* Not NULL even when empty: the variable exists. */
	return text && *text ? slice_of(text) : SLICE_LIT("");
}

static struct slice name_part(const char *user, bool domain)
{
	struct slice whole = slice_of(user);
	ptrdiff_t at = slice_rfind(whole, '@');

	if (domain)
		return at < 0 ? SLICE_LIT("") : slice_from(whole, (size_t)at + 1);
	return at < 0 ? known(user) : slice_first(whole, (size_t)at);
}

static struct slice lookup_pair(const struct pairs *pairs, const char *name)
{
	const struct pair *pair = pairs_find(pairs, name);

	return known(pair ? pair->value : "");
}

static struct slice lookup_variable(const char *name, void *arg)
{
	const struct subject *s = arg;
	const char *user = s->user ? s->user : "";
	const struct {
		const char *name, *value;
	} plain[] = { { "user", user }, { "service", s->service }, { "rip", s->remote_ip },
		{ "lip", s->local_ip }, { "rport", s->remote_port }, { "lport", s->local_port },
		{ "mech", s->mechanism }, { "session", s->session },
		{ "local_name", s->local_name }, { "login_user", s->login_user },
		{ "orig_user", s->login_user }, { "auth_user", user }, { "real_rip", s->remote_ip },
		{ "real_lip", s->local_ip }, { "secured", s->secured ? "secured" : "" } };

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (!strcmp(plain[i].name, name))
			return known(plain[i].value);
	if (!strcmp(name, "username") || !strcmp(name, "auth_username"))
		return name_part(user, false);
	if (!strcmp(name, "domain") || !strcmp(name, "auth_domain"))
		return name_part(user, true);
	if (!strncmp(name, "userdb:", 7))
		return lookup_pair(&s->answer, name + 7);
	if (!strncmp(name, "passdb:", 7))
		return lookup_pair(&s->extra, name + 7);
	return SLICE_NULL;
}

const char *subject_expand(const struct subject *subject, const char *text, const char **error)
{
	struct strbuf out = STRBUF_INIT(VALUE_MAX);
	char *wrong = NULL;
	const char *result = NULL;

	/* The lookup only reads. */
	if (dovecot_var_expand(&out, text, lookup_variable, (void *)(uintptr_t)subject, &wrong))
		result = arena_slicedup(subject->arena, strbuf_slice(&out));
	else
		*error = arena_strdup(subject->arena, wrong ? wrong : "too long");
	free(wrong);
	strbuf_release(&out);
	return result;
}

/* --- names --- */

static char translate(const char *pairs, char c)
{
	for (; pairs[0] && pairs[1]; pairs += 2)
		if (pairs[0] == c)
			return pairs[1];
	return c;
}

static bool check_characters(struct subject *subject, const struct dovecot_settings *settings,
    char *name, const char **error)
{
	for (char *p = name; *p; p++) {
		if (*settings->auth_username_chars && !strchr(settings->auth_username_chars, *p)) {
			*error = arena_printf(subject->arena,
			    "Username character disallowed by auth_username_chars: 0x%02x (username: %s)",
			    (unsigned char)*p, name);
			return false;
		}
		*p = translate(settings->auth_username_translation, *p);
	}
	return true;
}

/* Paths are made of these ("/var/mail/%d/%n"): none may lead out of its place. */
static bool is_dots(struct slice part)
{
	return slice_eq_str(part, ".") || slice_eq_str(part, "..");
}

static bool check_parts(const char *name, const char **error)
{
	*error = "Username with . or .. for a part";
	return !is_dots(slice_of(name)) && !is_dots(name_part(name, false)) &&
	       !is_dots(name_part(name, true));
}

bool subject_set_name(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error)
{
	char *text;

	*error = "Empty username";
	if (!name.len)
		return false;
	*error = "Username too long or with NUL";
	if (name.len > NAME_MAX_BYTES || slice_has_nul(name))
		return false;
	subject->login_user = arena_slicedup(subject->arena, name);
	if (*settings->auth_default_realm && slice_find(name, '@') < 0)
		text = arena_printf(
		    subject->arena, "%s@%s", subject->login_user, settings->auth_default_realm);
	else
		text = arena_strdup(subject->arena, subject->login_user);
	if (!check_characters(subject, settings, text, error))
		return false;
	subject->user = text;
	if (*settings->auth_username_format) {
		const char *formatted =
		    subject_expand(subject, settings->auth_username_format, error);

		subject->user = formatted;
		if (formatted && !*formatted) {
			*error = "Empty username";
			subject->user = NULL;
		}
	}
	if (subject->user && !check_parts(subject->user, error))
		subject->user = NULL;
	return subject->user != NULL;
}

void subject_log(const struct subject *subject, enum log_level level, const char *driver,
    const char *format, ...)
{
	va_list args;
	char text[1024];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_as(NULL, level, "%s(%s%s%s%s%s%s): %s", driver, subject->user ? subject->user : "?",
	    *subject->remote_ip ? "," : "", subject->remote_ip, *subject->session ? ",<" : "",
	    subject->session, *subject->session ? ">" : "", text);
}

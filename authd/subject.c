// SPDX-License-Identifier: BSD-2-Clause
#include "authd/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authd/database_list.h"
#include "base/check.h"

#define NAME_MAX_BYTES 512
#define VALUE_MAX      4096
#define LOG_NAME_MAX   64

static const char *text_field(
    struct arena *arena, const struct auth_fields *fields, size_t from, const char *name)
{
	struct slice value;

	if (!auth_field_get(fields, from, name, &value) || slice_has_nul(value))
		return "";
	return arena_slicedup(arena, value);
}

static void default_to(const char **field, const char *value)
{
	if (!**field)
		*field = value;
}

static void default_real_addresses(struct subject *s)
{
	default_to(&s->real_local_ip, s->local_ip);
	default_to(&s->real_remote_ip, s->remote_ip);
	default_to(&s->real_local_port, s->local_port);
	default_to(&s->real_remote_port, s->remote_port);
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
	subject->real_local_ip = text_field(arena, fields, from, "real_lip");
	subject->real_remote_ip = text_field(arena, fields, from, "real_rip");
	subject->real_local_port = text_field(arena, fields, from, "real_lport");
	subject->real_remote_port = text_field(arena, fields, from, "real_rport");
	subject->cert_username = text_field(arena, fields, from, "cert_username");
	subject->client_id = text_field(arena, fields, from, "client_id");
	subject->secured = auth_field_get(fields, from, "secured", &unused);
	subject->valid_client_cert = auth_field_get(fields, from, "valid-client-cert", &unused);
	subject->no_penalty = auth_field_get(fields, from, "no-penalty", &unused);
	subject->debug = auth_field_get(fields, from, "debug", &unused);
	default_real_addresses(subject);
	return *subject->service != '\0';
}

/* --- variables --- */

static struct slice known(const char *text)
{
	/* Not NULL even when empty: the variable exists. */
	return text && *text ? slice_of(text) : SLICE_LIT("");
}

enum name_part { NAME_WHOLE, NAME_LOCAL, NAME_DOMAIN, NAME_DOMAIN_LAST };

static struct slice name_part(const char *user, enum name_part part)
{
	struct slice whole = known(user);
	ptrdiff_t at = part == NAME_DOMAIN_LAST ? slice_rfind(whole, '@') : slice_find(whole, '@');

	switch (part) {
	case NAME_WHOLE:
		break;
	case NAME_LOCAL:
		return at < 0 ? whole : slice_first(whole, (size_t)at);
	case NAME_DOMAIN:
	case NAME_DOMAIN_LAST:
		whole = at < 0 ? SLICE_NULL : slice_from(whole, (size_t)at + 1);
		return whole.ptr ? whole : SLICE_LIT("");
	}
	return whole;
}

/* "passdb:NAME" and "passdb:NAME:what else" */
static struct slice lookup_pair(
    const struct subject *s, const struct pairs *pairs, const char *name)
{
	const char *colon = strchr(name, ':');
	const struct pair *pair = pairs_find(pairs,
	    colon ? arena_slicedup(s->arena, slice_mem(name, (size_t)(colon - name))) : name);

	return known(pair ? pair->value : colon ? colon + 1 : "");
}

static struct slice plain_variable(const struct subject *s, const char *name)
{
	const struct {
		const char *name, *value;
	} plain[] = {
		{ "service", s->service },
		{ "rip", s->remote_ip },
		{ "lip", s->local_ip },
		{ "rport", s->remote_port },
		{ "lport", s->local_port },
		{ "real_rip", s->real_remote_ip },
		{ "real_lip", s->real_local_ip },
		{ "real_rport", s->real_remote_port },
		{ "real_lport", s->real_local_port },
		{ "mech", s->mechanism },
		{ "session", s->session },
		{ "local_name", s->local_name },
		{ "client_id", s->client_id },
		{ "secured", s->secured ? "secured" : "" },
		{ "cert", s->valid_client_cert ? "valid" : "" },
		{ "master_user", s->master_user },
		{ "home", "" },
		{ "pid", "0" },
		{ "session_pid", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (!strcmp(plain[i].name, name))
			return known(plain[i].value);
	return SLICE_NULL;
}

static struct slice name_variable(const struct subject *s, const char *name)
{
	const char *auth = s->master_user ? s->master_user : s->user;
	const struct {
		const char *name, *value;
		enum name_part part;
	} names[] = {
		{ "user", s->user, NAME_WHOLE },
		{ "username", s->user, NAME_LOCAL },
		{ "domain", s->user, NAME_DOMAIN },
		{ "domain_first", s->user, NAME_DOMAIN },
		{ "domain_last", s->user, NAME_DOMAIN_LAST },
		{ "login_user", s->requested_login_user, NAME_WHOLE },
		{ "login_username", s->requested_login_user, NAME_LOCAL },
		{ "login_domain", s->requested_login_user, NAME_DOMAIN },
		{ "orig_user", s->login_user, NAME_WHOLE },
		{ "orig_username", s->login_user, NAME_LOCAL },
		{ "orig_domain", s->login_user, NAME_DOMAIN },
		{ "auth_user", auth, NAME_WHOLE },
		{ "auth_username", auth, NAME_LOCAL },
		{ "auth_domain", auth, NAME_DOMAIN },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(names[i].name, name))
			return name_part(names[i].value, names[i].part);
	return SLICE_NULL;
}

struct slice subject_variable(const struct subject *s, const char *name)
{
	struct slice found = name_variable(s, name);

	if (!found.ptr)
		found = plain_variable(s, name);
	if (!found.ptr && !strcmp(name, "password"))
		return s->password.ptr ? s->password : SLICE_LIT("");
	if (!found.ptr && !strncmp(name, "userdb:", 7))
		return lookup_pair(s, &s->answer, name + 7);
	if (!found.ptr && !strncmp(name, "passdb:", 7))
		return lookup_pair(s, &s->extra, name + 7);
	return found;
}

static struct slice lookup_variable(const char *name, void *arg)
{
	return subject_variable(arg, name);
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
	const char *allowed = settings->auth_username_chars;

	for (char *p = name; *p; p++) {
		*p = translate(settings->auth_username_translation, *p);
		if (*allowed && !strchr(allowed, *p)) {
			*error = arena_printf(subject->arena,
			    "Username character disallowed by auth_username_chars: 0x%02x (username: %s)",
			    (unsigned char)*p, name);
			return false;
		}
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
	struct slice rest = slice_of(name), part;

	*error = "Username with . or .. for a part";
	while (slice_token(&rest, "@/", &part))
		if (is_dots(part))
			return false;
	return true;
}

/* NAME after all rules, in the arena, or NULL with *ERROR.  For the format %u is this name. */
static const char *fix_name(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error)
{
	char *text = arena_slicedup(subject->arena, name);
	const char *result, *kept = subject->user;

	if (*settings->auth_default_realm && slice_find(name, '@') < 0)
		text = arena_printf(subject->arena, "%s@%s", text, settings->auth_default_realm);
	if (!check_characters(subject, settings, text, error))
		return NULL;
	result = text;
	if (*settings->auth_username_format) {
		subject->user = text;
		result = subject_expand(subject, settings->auth_username_format, error);
		subject->user = kept;
	}
	if (result && !*result) {
		*error = "Empty username";
		return NULL;
	}
	return result && check_parts(result, error) ? result : NULL;
}

static bool is_nameable(struct slice name, const char **error)
{
	*error = "Username too long or with NUL";
	return name.len <= NAME_MAX_BYTES && !slice_has_nul(name);
}

bool subject_set_lookup_name(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error)
{
	if (!is_nameable(name, error))
		return false;
	subject->login_user = arena_slicedup(subject->arena, name);
	*error = "Empty username";
	if (name.len)
		subject->user = fix_name(subject, settings, name, error);
	return subject->user != NULL;
}

/* Who is asked for, when that is another one. */
static bool set_requested(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error)
{
	const char *fixed;

	if (!is_nameable(name, error))
		return false;
	fixed = fix_name(subject, settings, name, error);
	if (!fixed || !strcmp(fixed, subject->user))
		return fixed != NULL;
	*error = "Master user login attempted without master passdbs";
	subject->requested_login_user = masterdb_list ? fixed : NULL;
	return masterdb_list != NULL;
}

bool subject_set_authzid(struct subject *subject, const struct dovecot_settings *settings,
    struct slice authzid, const char **error)
{
	if (!authzid.len || set_requested(subject, settings, authzid, error))
		return true;
	*error = arena_printf(subject->arena, "login user: %s", *error);
	return false;
}

bool subject_set_name(struct subject *subject, const struct dovecot_settings *settings,
    struct slice name, const char **error)
{
	char separator = *settings->auth_master_user_separator;
	ptrdiff_t at = separator ? slice_find(name, separator) : -1;

	if (at < 0)
		return subject_set_lookup_name(subject, settings, name, error);
	if (!subject_set_lookup_name(subject, settings, slice_from(name, (size_t)at + 1), error))
		return false;
	*error = "Master user login attempted to use empty login username";
	return at > 0 && set_requested(subject, settings, slice_first(name, (size_t)at), error);
}

const char *subject_renamed(const struct subject *s, const char *field, const char *value)
{
	const char *at = strchr(s->user, '@');

	if (!strcmp(field, "user"))
		return arena_strdup(s->arena, value);
	/* A whole address replaces the whole name. */
	if (!strcmp(field, "username"))
		return !*value ? ""
			       : arena_printf(
				     s->arena, "%s%s", value, at && !strchr(value, '@') ? at : "");
	if (!strcmp(field, "domain"))
		return arena_printf(
		    s->arena, "%.*s@%s", (int)strcspn(s->user, "@"), s->user, value);
	return NULL;
}

bool subject_name_matches(const char *name, struct slice pattern)
{
	size_t i = 0, star = pattern.len, resume = 0, len = strlen(name), n = 0;

	while (n < len) {
		if (i < pattern.len && pattern.ptr[i] == '*') {
			star = i++;
			resume = n;
		} else if (i < pattern.len &&
			   (pattern.ptr[i] == '?' || pattern.ptr[i] == name[n])) {
			i++;
			n++;
		} else if (star < pattern.len) {
			i = star + 1;
			n = ++resume;
		} else {
			return false;
		}
	}
	while (i < pattern.len && pattern.ptr[i] == '*')
		i++;
	return i == pattern.len;
}

static void add_field(struct strbuf *line, const char *name, const char *value)
{
	auth_add_field(line, name, slice_of(value));
}

static void add_names(const struct subject *s, struct strbuf *line)
{
	if ((!s->user || strcmp(s->login_user, s->user) != 0) &&
	    !pairs_find(&s->extra, "original_user"))
		add_field(line, "original_user", s->login_user);
	if (s->master_user && !pairs_find(&s->extra, "auth_user"))
		add_field(line, "auth_user", s->master_user);
}

/* Fields of which only the name counts go out without the value. */
static void add_extra(const struct subject *s, struct strbuf *line)
{
	struct pairs shown;

	pairs_copy(&shown, &s->extra, s->arena);
	for (struct pair *p = shown.first; p; p = p->next)
		if (!strcmp(p->name, "nologin") || !strcmp(p->name, "proxy"))
			p->value = NULL;
	pairs_write(&shown, line);
}

void subject_write_fields(const struct subject *s, const struct dovecot_settings *settings,
    bool is_login, struct strbuf *line)
{
	const char *anonymous = settings->auth_anonymous_username;

	add_extra(s, line);
	add_names(s, line);
	if (*anonymous && !strcmp(s->user, anonymous))
		auth_add_field(line, "anonymous", SLICE_NULL);
	if (!is_login || !pairs_find(&s->extra, "proxy"))
		return;
	if (s->password.ptr && !pairs_find(&s->extra, "pass"))
		auth_add_field(line, "pass", s->password);
	if (s->master_user && !pairs_find(&s->extra, "master"))
		add_field(line, "master", s->master_user);
}

void subject_write_fail_fields(const struct subject *s, struct strbuf *line)
{
	add_names(s, line);
}

const char *subject_mechanism(const struct subject *subject)
{
	char *name = arena_strdup(subject->arena, subject->mechanism);

	ascii_tolower(name, strlen(name));
	return *name ? name : "auth";
}

static const char *log_name;
static char log_prefix[256];

void subject_log_as(const char *name, const char *format, ...)
{
	va_list args;

	log_name = name;
	va_start(args, format);
	vsnprintf(log_prefix, sizeof(log_prefix), format, args);
	va_end(args);
}

void subject_log(const struct subject *subject, enum log_level level, const char *driver,
    const char *format, ...)
{
	const char *user = subject->user ? subject->user : "?";
	size_t len = strlen(user), shown = len > LOG_NAME_MAX ? LOG_NAME_MAX - 3 : len;
	va_list args;
	char text[1024];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_as(log_name, level, "%s%s(%.*s%s%s%s%s%s%s%s): %s", log_prefix, driver, (int)shown,
	    user, shown < len ? "..." : "", *subject->remote_ip ? "," : "", subject->remote_ip,
	    subject->requested_login_user ? ",master" : "", *subject->session ? ",<" : "",
	    subject->session, *subject->session ? ">" : "", text);
}

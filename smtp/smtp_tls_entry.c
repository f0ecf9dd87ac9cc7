// SPDX-License-Identifier: BSD-2-Clause
/*
 * A value of smtp_tls_policy_maps: "LEVEL name=value, {name = value with blanks}, ...".  A mistake
 * in it is a mistake of the whole: mail waits rather than leave with less than was meant.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "smtp/smtp_tls_private.h"
#include "table/table.h"

static const char *const level_names[] = {
	[SMTP_TLS_NONE] = "none",
	[SMTP_TLS_MAY] = "may",
	[SMTP_TLS_ENCRYPT] = "encrypt",
	[SMTP_TLS_FINGERPRINT] = "fingerprint",
	[SMTP_TLS_HALF_DANE] = "half-dane",
	[SMTP_TLS_DANE] = "dane",
	[SMTP_TLS_DANE_ONLY] = "dane-only",
	[SMTP_TLS_VERIFY] = "verify",
	[SMTP_TLS_SECURE] = "secure",
};

const char *smtp_tls_level_name(enum smtp_tls_level level)
{
	return level_names[level];
}

bool smtp_tls_level_parse(struct slice text, enum smtp_tls_level *level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (i != SMTP_TLS_HALF_DANE && slice_caseeq_str(text, level_names[i])) {
			*level = (enum smtp_tls_level)i;
			return true;
		}
	return false;
}

void smtp_tls_describe(
    const struct smtp_tls_policy *policy, enum smtp_tls_status status, char out[64])
{
	const char *name = policy->name ? policy->name : smtp_tls_level_name(policy->level);

	out[0] = '\0';
	if (!SMTP_PARAM(log_tls_feature_status))
		return;
	switch (status) {
	case SMTP_TLS_UNDECIDED:
		snprintf(out, 64, "%s?", name);
		break;
	case SMTP_TLS_USED:
		snprintf(out, 64, "%s", name);
		break;
	case SMTP_TLS_UNUSED:
		snprintf(out, 64, "%s%s", name, policy->level == SMTP_TLS_NONE ? "" : ":none");
		break;
	case SMTP_TLS_VIOLATED:
		snprintf(out, 64, "!%s", name);
	}
}

void smtp_tls_words_add(struct smtp_tls_words *words, struct arena *arena, const char *text)
{
	const char **more = arena_alloc(arena, (words->count + 2) * sizeof(*more));

	if (words->count > 0)
		memcpy(more, words->list, words->count * sizeof(*more));
	more[words->count++] = text;
	more[words->count] = NULL;
	words->list = more;
}

/* RFC 1123 2.1, and '_' as everywhere in mail. */
static bool is_host_name(const char *name)
{
	size_t label = 0, len = strlen(name);

	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.') {
			if (label == 0 || name[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!ascii_isalnum(name[i]) && name[i] != '_' && (name[i] != '-' || label == 0))
			return false;
		if (++label > 63)
			return false;
	}
	return len > 0 && len <= 255 && label > 0 && name[len - 1] != '-';
}

bool smtp_tls_server_name_is_valid(const char *name)
{
	return is_host_name(name);
}

bool smtp_tls_mx_matches(const char *pattern, const char *host)
{
	if (pattern[0] == '*' && pattern[1] == '.') {
		host = strchr(host, '.');
		pattern++;
	}
	return host != NULL && strcasecmp(pattern, host) == 0;
}

static bool parse_bool(const char *value, int *out)
{
	if (strcasecmp(value, "yes") == 0)
		*out = 1;
	else if (strcasecmp(value, "no") == 0)
		*out = 0;
	else
		return false;
	return true;
}

static bool is_one_of(const char *value, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcasecmp(value, *list) == 0)
			return true;
	return false;
}

/* RFC 8460 4.3 */
static const char *const policy_types[] = { "sts", "tlsa", "no-policy-found", NULL };
static const char *const policy_failures[] = { "sts-policy-fetch-error", "sts-policy-invalid",
	"sts-webpki-invalid", "tlsa-invalid", "dnssec-invalid", "dane-required",
	"starttls-not-supported", "certificate-host-mismatch", "certificate-expired",
	"certificate-not-trusted", "validation-failure", NULL };

struct parser {
	struct arena *arena;
	struct smtp_tls_entry *entry;
	const char *where;
	struct reason *why;
};

#define BAD_DSN "4.7.5"

enum attr_kind {
	ATTR_TEXT,
	ATTR_TEXT_FULL, /* not empty */
	ATTR_BOOL,
	ATTR_WORDS,
	ATTR_MATCH,
	ATTR_SERVER_NAME,
	ATTR_TYPE,
	ATTR_FAILURE,
	ATTR_TTL
};

#define BIT(level) (1U << (level))
#define ANY	   (~0U)
#define NAMES	   (BIT(SMTP_TLS_VERIFY) | BIT(SMTP_TLS_SECURE))

static const struct attribute {
	const char *name;
	enum attr_kind kind;
	size_t offset;	 /* of the member of struct smtp_tls_entry */
	unsigned levels; /* at which it makes sense */
} attributes[] = {
	{ "ciphers", ATTR_TEXT_FULL, offsetof(struct smtp_tls_entry, grade), ANY },
	{ "exclude", ATTR_TEXT, offsetof(struct smtp_tls_entry, exclude), ANY },
	{ "protocols", ATTR_TEXT, offsetof(struct smtp_tls_entry, protocols), ANY },
	{ "match", ATTR_MATCH, offsetof(struct smtp_tls_entry, match),
	    NAMES | BIT(SMTP_TLS_FINGERPRINT) },
	{ "tafile", ATTR_WORDS, offsetof(struct smtp_tls_entry, anchors), NAMES },
	{ "servername", ATTR_SERVER_NAME, offsetof(struct smtp_tls_entry, server_name), ANY },
	{ "connection_reuse", ATTR_BOOL, offsetof(struct smtp_tls_entry, reuse), ANY },
	{ "enable_rpk", ATTR_BOOL, offsetof(struct smtp_tls_entry, raw_keys), ANY },
	{ "policy_type", ATTR_TYPE, offsetof(struct smtp_tls_entry, policy_type), ANY },
	{ "policy_domain", ATTR_TEXT_FULL, offsetof(struct smtp_tls_entry, policy_domain), ANY },
	{ "policy_ttl", ATTR_TTL, offsetof(struct smtp_tls_entry, policy_ttl), ANY },
	{ "policy_string", ATTR_WORDS, offsetof(struct smtp_tls_entry, policy_strings), ANY },
	{ "mx_host_pattern", ATTR_WORDS, offsetof(struct smtp_tls_entry, mx_patterns), ANY },
	{ "policy_failure", ATTR_FAILURE, offsetof(struct smtp_tls_entry, policy_failure), ANY },
};

static bool bad(struct parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool bad(struct parser *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reason_vset(p->why, BAD_DSN, format, args);
	va_end(args);
	return false;
}

/* Fingerprints have colons in them, and '|' between them. */
static void add_matches(struct parser *p, const char *value)
{
	bool prints = p->entry->level == SMTP_TLS_FINGERPRINT;
	struct slice rest = slice_of(value), word;

	p->entry->has_match = true;
	while (slice_token(&rest, prints ? "|" : ":", &word))
		smtp_tls_words_add(&p->entry->match, p->arena, arena_slicedup(p->arena, word));
}

static bool set_text(struct parser *p, const char *name, const char **member, const char *value)
{
	if (*member != NULL)
		return bad(p, "attribute \"%s\" is specified multiple times", name);
	*member = value;
	return true;
}

static bool is_number(const char *text)
{
	return *text != '\0' && strlen(text) <= 12 && strspn(text, "0123456789") == strlen(text);
}

static bool set_attribute(struct parser *p, const struct attribute *a, const char *value)
{
	void *member = (char *)p->entry + a->offset;

	if (!(a->levels & BIT(p->entry->level)))
		return bad(p, "attribute \"%s\" invalid at security level \"%s\"", a->name,
		    level_names[p->entry->level]);
	if (*value == '\0' && a->kind != ATTR_TEXT && a->kind != ATTR_SERVER_NAME)
		return bad(p, "attribute \"%s\" has empty value", a->name);
	switch (a->kind) {
	case ATTR_BOOL:
		return parse_bool(value, member) ||
		       bad(p, "attribute \"%s\" has bad value: \"%s\"", a->name, value);
	case ATTR_WORDS:
		smtp_tls_words_add(member, p->arena, value);
		return true;
	case ATTR_MATCH:
		add_matches(p, value);
		return true;
	case ATTR_SERVER_NAME:
		if (!smtp_tls_server_name_is_valid(value))
			return bad(p, "\"%s=%s\" specifies an invalid hostname", a->name, value);
		break;
	case ATTR_TYPE:
	case ATTR_FAILURE:
		if (!is_one_of(value, a->kind == ATTR_TYPE ? policy_types : policy_failures))
			return bad(
			    p, "attribute \"%s\" has an unexpected value: \"%s\"", a->name, value);
		break;
	case ATTR_TTL:
		if (!is_number(value))
			return bad(
			    p, "attribute \"%s\" has a malformed value: \"%s\"", a->name, value);
		break;
	case ATTR_TEXT:
	case ATTR_TEXT_FULL:
		break;
	}
	return set_text(p, a->name, member, value);
}

static bool parse_attribute(struct parser *p, struct slice word)
{
	char *text = arena_slicedup(p->arena, word), *value = strchr(text, '=');
	struct slice name;

	if (p->entry->level == SMTP_TLS_NONE) {
		log_warning("%s: ignoring attribute \"%s\" with TLS disabled", p->where, text);
		return true;
	}
	if (value == NULL)
		return bad(p,
		    "malformed attribute/value pair \"%s\": missing '=' after attribute name",
		    text);
	name = slice_trim(slice_mem(text, (size_t)(value - text)), " \t\r\n");
	value = arena_slicedup(p->arena, slice_trim(slice_of(value + 1), " \t\r\n"));
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
		if (slice_caseeq_str(name, attributes[i].name))
			return set_attribute(p, &attributes[i], value);
	return bad(p, "invalid attribute name: \"%s\"", arena_slicedup(p->arena, name));
}

/* What says that nobody found a policy cannot have one. */
static bool check_whole(struct parser *p)
{
	const struct smtp_tls_entry *e = p->entry;

	if (e->policy_type != NULL && strcasecmp(e->policy_type, "no-policy-found") == 0 &&
	    (e->policy_ttl || e->policy_domain || e->policy_failure || e->policy_strings.count ||
		e->mx_patterns.count))
		return bad(p, "built-in policy has unexpected attribute policy_ttl, policy_domain, "
			      "policy_string, mx_host_pattern or policy_failure");
	return true;
}

bool smtp_tls_entry_parse(const char *value, const char *where, struct arena *arena,
    struct smtp_tls_entry *entry, struct reason *why)
{
	struct parser p = { arena, entry, where, why };
	struct slice rest = slice_of(value), word;

	*entry = (struct smtp_tls_entry){ .reuse = -1, .raw_keys = -1 };
	if (!table_list_next(&rest, &word) || !smtp_tls_level_parse(word, &entry->level)) {
		reason_set(why, BAD_DSN, "invalid security level \"%.*s\"", SLICE_ARG(word));
		return false;
	}
	while (table_list_next(&rest, &word)) {
		if (!table_unbrace(&word))
			return bad(&p, "malformed attribute/value pair \"%s\": %s",
			    arena_slicedup(arena, word), "missing '}'");
		if (!parse_attribute(&p, word))
			return false;
	}
	return check_whole(&p);
}

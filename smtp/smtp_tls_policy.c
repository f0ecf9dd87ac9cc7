// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which TLS a target gets: the level of smtp_tls_policy_maps for its destination, else that of
 * main.cf; then what else belongs to that level.  Nothing here lets mail go with less than was
 * asked for: what cannot be understood is a failure.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"
#include "server/tls_params.h"
#include "smtp/smtp_tls_private.h"
#include "table/table.h"

#define CONFIG_DSN  "4.7.5"
#define CONFIG_TEXT "client TLS configuration problem"

static struct tables *policy_maps, *per_site;
static enum smtp_tls_level global_level;

/* ---- the level of main.cf ---- */

static enum smtp_tls_level level_of_main_cf(void)
{
	const char *word = SMTP_PARAM(tls_security_level);
	enum smtp_tls_level level;

	if (word[0] != '\0') {
		if (!smtp_tls_level_parse(slice_of(word), &level))
			fatal("Invalid TLS level \"%s\"", word);
		return level;
	}
	if (SMTP_PARAM(enforce_tls))
		return SMTP_PARAM(tls_enforce_peername) ? SMTP_TLS_VERIFY : SMTP_TLS_ENCRYPT;
	return SMTP_PARAM(use_tls) ? SMTP_TLS_MAY : SMTP_TLS_NONE;
}

static void check_words(void)
{
	static const char *const words[] = { "may", "encrypt", "dane" };
	const char *policy = smtp_params->smtp_tls_dane_insecure_mx_policy;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(policy, words[i]) == 0)
			return;
	fatal("invalid smtp_tls_dane_insecure_mx_policy: \"%s\"", policy);
}

void smtp_tls_policy_prepare(const struct postfix_params *params)
{
	(void)params;
	global_level = level_of_main_cf();
	check_words();
	policy_maps =
	    tables_open(SMTP_PARAM_NAME("tls_policy_maps"), SMTP_PARAM(tls_policy_maps), 0);
	per_site = tables_open(SMTP_PARAM_NAME("tls_per_site"), SMTP_PARAM(tls_per_site), 0);
}

bool smtp_tls_policy_may_use_tls(void)
{
	return global_level != SMTP_TLS_NONE || !tables_is_empty(policy_maps) ||
	       !tables_is_empty(per_site) || SMTP_PARAM(tls_wrappermode);
}

/* ---- tables ---- */

/* The next hop as it was written, but for LMTP's word in front. */
static const char *lookup_key(const struct smtp_target *target)
{
	const char *key = target->destination;

	if (smtp_is_lmtp && strncasecmp(key, "unix:", 5) == 0)
		return key + 5;
	if (smtp_is_lmtp && strncasecmp(key, "inet:", 5) == 0)
		return key + 5;
	return key;
}

static enum table_result find_entry(
    const struct smtp_target *target, const char *key, struct strbuf *value)
{
	enum table_result result = tables_get(policy_maps, slice_of(key), TABLES_WHOLE_KEY, value);
	const char *parent = strchr(key, '.');

	if (result != TABLE_NOT_FOUND || !target->is_domain || strchr(key, ':') != NULL)
		return result;
	for (; parent != NULL && result == TABLE_NOT_FOUND; parent = strchr(parent + 1, '.'))
		result = tables_get(policy_maps, slice_of(parent), TABLES_PARTIAL, value);
	return result;
}

/* False: the table's fault, which was logged. */
static bool ask_policy_maps(const struct smtp_target *target, struct arena *arena,
    struct smtp_tls_entry *entry, bool *found)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	const char *key = lookup_key(target), *where;
	enum table_result result = find_entry(target, key, &value);
	struct reason why;
	bool ok = true;

	where =
	    arena_printf(arena, "%s, next-hop destination \"%s\"", tables_name(policy_maps), key);
	*found = result == TABLE_FOUND;
	if (result == TABLE_ERROR) {
		log_warning("%s: policy table lookup error", where);
		ok = false;
	} else if (*found && !smtp_tls_entry_parse(value.ptr, where, arena, entry, &why)) {
		log_warning("%s: %s", where, why.text);
		ok = false;
	}
	strbuf_release(&value);
	return ok;
}

/* postconf(5) smtp_tls_per_site: LEVEL is -1 before anything was found. */
static bool ask_site(const char *name, const char *what, int *level)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result result = tables_get(per_site, slice_of(name), TABLES_WHOLE_KEY, &value);
	bool ok = true;

	if (result == TABLE_ERROR) {
		log_warning("%s: %s \"%s\": per-site table lookup error", tables_name(per_site),
		    what, name);
		ok = false;
	} else if (result == TABLE_NOT_FOUND) {
		ok = true;
	} else if (strcasecmp(value.ptr, "NONE") == 0) {
		*level = *level <= SMTP_TLS_MAY ? SMTP_TLS_NONE : *level;
	} else if (strcasecmp(value.ptr, "MAY") == 0) {
		*level = *level == -1 ? SMTP_TLS_MAY : *level;
	} else if (strcasecmp(value.ptr, "MUST_NOPEERMATCH") == 0) {
		*level = *level < SMTP_TLS_ENCRYPT ? SMTP_TLS_ENCRYPT : *level;
	} else if (strcasecmp(value.ptr, "MUST") == 0) {
		*level = SMTP_TLS_VERIFY;
	} else {
		log_warning("%s: unknown TLS policy '%s' for %s %s", tables_name(per_site),
		    value.ptr, what, name);
		ok = false;
	}
	strbuf_release(&value);
	return ok;
}

static bool ask_per_site(const struct smtp_target *target, struct smtp_tls_entry *entry)
{
	int level = -1;

	if (!ask_site(lookup_key(target), "next-hop destination", &level) ||
	    !ask_site(target->host, "server hostname", &level))
		return false;
	/* MAY gives way to what main.cf requires. */
	if (level > SMTP_TLS_MAY || level == SMTP_TLS_NONE ||
	    (level == SMTP_TLS_MAY && global_level < SMTP_TLS_MAY))
		entry->level = (enum smtp_tls_level)level;
	return true;
}

static bool find_level(const struct smtp_target *target, struct arena *arena,
    struct smtp_tls_entry *entry, bool *found)
{
	*found = false;
	*entry = (struct smtp_tls_entry){ .level = global_level, .reuse = -1, .raw_keys = -1 };
	if (!tables_is_empty(policy_maps)) {
		if (!ask_policy_maps(target, arena, entry, found))
			return false;
		if (!*found)
			entry->level = global_level;
	} else if (!tables_is_empty(per_site) && !ask_per_site(target, entry)) {
		return false;
	}
	/* Nobody listens on the way to a socket of this host. */
	if (target->path != NULL && entry->level == SMTP_TLS_MAY) {
		if (*found)
			log_warning("%s: opportunistic TLS encryption is not appropriate for "
				    "unix-domain destinations.",
			    target->destination);
		entry->level = SMTP_TLS_NONE;
	}
	return true;
}

/* ---- what belongs to a level ---- */

/* What the handshake needs is looked at when there is one: a mistake there is a handshake's. */
static void set_ciphers(enum smtp_tls_level level, const struct smtp_tls_entry *entry,
    struct smtp_tls_details *details, struct arena *arena)
{
	bool must = level > SMTP_TLS_MAY;
	const char *grade = entry->grade ? entry->grade
			    : must	 ? SMTP_PARAM(tls_mandatory_ciphers)
					 : SMTP_PARAM(tls_ciphers);
	const char *excluded[] = { entry->exclude ? entry->exclude
						  : SMTP_PARAM(tls_exclude_ciphers),
		must ? SMTP_PARAM(tls_mandatory_exclude_ciphers) : "",
		level > SMTP_TLS_ENCRYPT ? "aNULL" : "eNULL" };
	struct reason why;
	char *list = tls_cipher_list(smtp_params, grade, excluded, ARRAY_LEN(excluded), &why);

	details->protocols = entry->protocols ? entry->protocols
			     : must	      ? SMTP_PARAM(tls_mandatory_protocols)
					      : SMTP_PARAM(tls_protocols);
	if (list == NULL)
		details->problem = arena_strdup(arena, why.text);
	else
		details->ciphers = arena_strdup(arena, list);
	free(list);
}

static const char *expand_name(
    const struct smtp_target *target, const char *word, struct arena *arena)
{
	const char *nexthop = target->path ? smtp_params->myhostname : target->nexthop;

	if (strcasecmp(word, "nexthop") == 0)
		return nexthop;
	if (strcasecmp(word, "dot-nexthop") == 0)
		return arena_printf(arena, ".%s", nexthop);
	if (strcasecmp(word, "hostname") == 0)
		return target->path ? smtp_params->myhostname : target->host;
	return word;
}

static void add_names(const struct smtp_target *target, const struct smtp_tls_entry *entry,
    const char *defaults, struct smtp_tls_details *details, struct arena *arena)
{
	struct slice rest = slice_of(defaults), word;

	for (size_t i = 0; i < entry->match.count; i++)
		smtp_tls_words_add(
		    &details->names, arena, expand_name(target, entry->match.list[i], arena));
	while (!entry->has_match && slice_token(&rest, " \t\r\n,:", &word))
		smtp_tls_words_add(&details->names, arena,
		    expand_name(target, arena_slicedup(arena, word), arena));
}

static bool set_anchors(
    const struct smtp_tls_entry *entry, struct smtp_tls_details *details, struct arena *arena)
{
	struct smtp_tls_words paths = entry->anchors;
	struct slice rest = slice_of(SMTP_PARAM(tls_trust_anchor_file)), word;
	const struct tls_anchors **list;
	struct reason why;

	while (entry->anchors.count == 0 && slice_token(&rest, " \t\r\n,", &word))
		smtp_tls_words_add(&paths, arena, arena_slicedup(arena, word));
	if (paths.count == 0)
		return true;
	list = arena_alloc(arena, (paths.count + 1) * sizeof(*list));
	for (size_t i = 0; i < paths.count; i++) {
		list[i] = smtp_tls_anchors(paths.list[i], &why);
		if (list[i] == NULL) {
			log_warning("%s", why.text);
			return false;
		}
	}
	list[paths.count] = NULL;
	details->anchors = list;
	return true;
}

static bool set_fingerprints(const struct smtp_target *target, const struct smtp_tls_entry *entry,
    struct smtp_tls_details *details, struct arena *arena)
{
	struct slice rest = slice_of(SMTP_PARAM(tls_fingerprint_cert_match)), word;

	details->check = TLS_CHECK_FINGERPRINT;
	details->names = entry->match;
	while (!entry->has_match && slice_token(&rest, " \t\r\n,|", &word))
		smtp_tls_words_add(&details->names, arena, arena_slicedup(arena, word));
	if (details->names.count > 0)
		return true;
	log_warning("nexthop domain %s: configured at fingerprint security level, but with no "
		    "fingerprints to match.",
	    target->destination);
	return false;
}

/*
 * RFC 8461: the plug-in that fetched an STS policy wants a certificate of any of its MX names; with
 * its patterns at hand we want a host that is one of them, and that host's certificate.
 */
static bool set_sts(const struct smtp_target *target, const struct smtp_tls_entry *entry,
    struct smtp_tls_details *details, struct arena *arena, bool *is_mx)
{
	*is_mx = true;
	if (entry->policy_type == NULL || strcasecmp(entry->policy_type, "sts") != 0 ||
	    entry->mx_patterns.count == 0 || !SMTP_PARAM(tls_enforce_sts_mx_patterns))
		return false;
	*is_mx = false;
	for (size_t i = 0; i < entry->mx_patterns.count; i++)
		*is_mx |= smtp_tls_mx_matches(entry->mx_patterns.list[i], target->host);
	smtp_tls_words_add(&details->names, arena, target->host);
	return true;
}

static bool set_server_name(const struct smtp_target *target, const struct smtp_tls_entry *entry,
    struct smtp_tls_details *details)
{
	const char *name = entry->server_name ? entry->server_name : SMTP_PARAM(tls_servername);

	if (name[0] == '\0')
		return true;
	if (strcasecmp(name, "hostname") == 0) {
		details->server_name = target->path ? smtp_params->myhostname : target->host;
	} else if (strcasecmp(name, "nexthop") == 0) {
		details->server_name = target->path ? smtp_params->myhostname : target->nexthop;
	} else if (smtp_tls_server_name_is_valid(name)) {
		details->server_name = name;
	} else {
		log_warning("\"%s = %s\" specifies an invalid hostname",
		    SMTP_PARAM_NAME("tls_servername"), name);
		return false;
	}
	return true;
}

struct policy_maker {
	const struct smtp_target *target;
	struct arena *arena;
	struct smtp_tls_entry entry;
	struct smtp_tls_policy *policy;
	struct smtp_tls_details *details;
	struct smtp_failure *failure;
};

/* FAILURE by TEXT; the next host may do better. */
static bool refuse(struct policy_maker *m, const char *text)
{
	smtp_fail(m->failure, true, CONFIG_DSN, "%s", text);
	log_warning("TLS policy lookup for %s/%s: %s", lookup_key(m->target), m->target->host,
	    m->failure->why.text);
	strcpy(m->failure->tls, SMTP_PARAM(log_tls_feature_status) ? "unknown?" : "");
	return false;
}

static bool refuse_mx(struct policy_maker *m)
{
	smtp_fail(m->failure, true, "4.3.0", "server unavailable or unable to receive mail");
	smtp_tls_describe(m->policy, SMTP_TLS_UNDECIDED, m->failure->tls);
	return false;
}

/* The certificate that this level wants. */
static bool set_check(struct policy_maker *m)
{
	struct smtp_tls_details *details = m->details;
	bool is_mx, config;
	struct reason why;

	switch (m->policy->level) {
	case SMTP_TLS_NONE:
	case SMTP_TLS_MAY:
	case SMTP_TLS_ENCRYPT:
	case SMTP_TLS_HALF_DANE:
		return true;
	case SMTP_TLS_FINGERPRINT:
		return set_fingerprints(m->target, &m->entry, details, m->arena) ||
		       refuse(m, CONFIG_TEXT);
	case SMTP_TLS_DANE:
	case SMTP_TLS_DANE_ONLY:
		return smtp_tls_dane_resolve(
			   m->target, m->policy, details, m->arena, &why, &config) ||
		       refuse(m, config ? CONFIG_TEXT : why.text);
	case SMTP_TLS_VERIFY:
	case SMTP_TLS_SECURE:
		details->check = TLS_CHECK_NAMES;
		if (!set_anchors(&m->entry, details, m->arena))
			return refuse(m, CONFIG_TEXT);
		if (!set_sts(m->target, &m->entry, details, m->arena, &is_mx))
			add_names(m->target, &m->entry,
			    m->policy->level == SMTP_TLS_VERIFY ? SMTP_PARAM(tls_verify_cert_match)
								: SMTP_PARAM(tls_secure_cert_match),
			    details, m->arena);
		return is_mx || refuse_mx(m);
	}
	return true;
}

static const char *join(struct arena *arena, const struct smtp_tls_words *words)
{
	const char *all = "";

	for (size_t i = 0; i < words->count; i++)
		all = arena_printf(arena, "%s %s", all, words->list[i]);
	return all;
}

/* Everything that makes a connection under one policy of no use for another. */
static const char *policy_key(const struct policy_maker *m)
{
	const struct smtp_tls_details *d = m->details;
	const char *key = arena_printf(m->arena, "%d %d %s\n%s\n%s\n%s\n%s\n%s\n%s",
	    (int)m->policy->level, m->policy->wrapper, d->protocols ? d->protocols : "",
	    d->ciphers ? d->ciphers : "", d->server_name ? d->server_name : "",
	    join(m->arena, &d->names), join(m->arena, &m->entry.anchors),
	    d->external_failure ? d->external_failure : "", d->tlsa_base ? d->tlsa_base : "");

	for (size_t i = 0; i < d->tlsa_count; i++) {
		const struct dns_tlsa *r = &d->tlsa[i];

		key = arena_printf(
		    m->arena, "%s\n%u %u %u ", key, r->usage, r->selector, r->matching);
		for (size_t b = 0; b < r->len && b < 64; b++)
			key = arena_printf(m->arena, "%s%02x", key, r->data[b]);
	}
	return key;
}

/* smtp_tls_wrappermode: nobody could fall back to plain text there. */
static bool check_wrapper(struct policy_maker *m)
{
	if (!m->policy->wrapper || m->policy->level >= SMTP_TLS_ENCRYPT)
		return true;
	log_warning("%s requires \"%s = encrypt\" (or stronger)",
	    SMTP_PARAM_NAME("tls_wrappermode"), SMTP_PARAM_NAME("tls_security_level"));
	return refuse_mx(m);
}

static void warn_raw_keys(const struct smtp_tls_entry *entry)
{
	static bool said;

	if (entry->raw_keys <= 0 || __atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		return;
	log_warning("%s: enable_rpk: raw public keys are not supported, asking for certificates",
	    tables_name(policy_maps));
}

static const char *session_key(const struct smtp_target *target, struct arena *arena)
{
	char text[NET_ADDR_TEXT];

	return arena_printf(arena, "%s&%s&%s&%s&%u", smtp_is_lmtp ? "lmtp" : "smtp",
	    target->nexthop, target->host,
	    target->path ? target->path : net_addr_text(&target->addr, text), target->port);
}

static bool make_policy(struct policy_maker *m, bool found)
{
	struct smtp_tls_policy *policy = m->policy;

	policy->level = m->entry.level;
	policy->name = smtp_tls_level_name(policy->level);
	policy->wrapper = SMTP_PARAM(tls_wrappermode);
	policy->reuse =
	    m->entry.reuse >= 0 ? m->entry.reuse != 0 : SMTP_PARAM(tls_connection_reuse);
	policy->details = m->details;
	m->details->external_failure = found ? m->entry.policy_failure : NULL;
	if (!check_wrapper(m))
		return false;
	if (policy->level != SMTP_TLS_NONE && !set_server_name(m->target, &m->entry, m->details))
		return refuse(m, CONFIG_TEXT);
	if (!set_check(m))
		return false;
	if (policy->level != SMTP_TLS_NONE) {
		warn_raw_keys(&m->entry);
		set_ciphers(policy->level, &m->entry, m->details, m->arena);
		m->details->session_key = session_key(m->target, m->arena);
	}
	policy->key = policy_key(m);
	return true;
}

bool smtp_tls_policy(const struct smtp_target *target, struct arena *arena,
    const struct smtp_tls_policy **policy, struct smtp_failure *failure)
{
	struct policy_maker m = { .target = target, .arena = arena, .failure = failure };
	bool found;

	m.policy = arena_alloc(arena, sizeof(*m.policy));
	m.details = arena_alloc(arena, sizeof(*m.details));
	*m.policy = (struct smtp_tls_policy){ .level = SMTP_TLS_NONE };
	*m.details = (struct smtp_tls_details){ .check = TLS_CHECK_NOTHING };
	*policy = m.policy;
	if (!find_level(target, arena, &m.entry, &found))
		return refuse(&m, CONFIG_TEXT);
	return make_policy(&m, found);
}

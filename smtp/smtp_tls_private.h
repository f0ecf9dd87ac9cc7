// SPDX-License-Identifier: BSD-2-Clause
/* What the parts of TLS share among themselves: smtp_tls.c, _policy, _entry, _dane. */
#ifndef PC_SMTP_SMTP_TLS_PRIVATE_H
#define PC_SMTP_SMTP_TLS_PRIVATE_H

#include "net/tls_client.h"
#include "smtp/smtp_tls.h"

/* A list of texts in an arena; NULL behind the last. */
struct smtp_tls_words {
	const char **list;
	size_t count;
};
void smtp_tls_words_add(struct smtp_tls_words *words, struct arena *arena, const char *text);

/* A value of smtp_tls_policy_maps: what it does not say is NULL, or -1. */
struct smtp_tls_entry {
	enum smtp_tls_level level;
	const char *protocols, *grade, *exclude, *server_name;
	const char *policy_type, *policy_domain, *policy_ttl, *policy_failure;
	int reuse, raw_keys;
	bool has_match; /* MATCH holds, also when it is empty */
	struct smtp_tls_words match, anchors, policy_strings, mx_patterns;
};
/*
 * Texts go to ARENA.  False: WHY->text says what is wrong, after "..., next-hop destination "X": ".
 * WHERE is for warnings about what is only of no effect.
 */
bool smtp_tls_entry_parse(const char *value, const char *where, struct arena *arena,
    struct smtp_tls_entry *entry, struct reason *why);
/* "dane-only"; half-dane is no level that can be asked for. */
bool smtp_tls_level_parse(struct slice text, enum smtp_tls_level *level);
const char *smtp_tls_level_name(enum smtp_tls_level level);
/* A host name that may be sent as SNI, or one of the words for one. */
bool smtp_tls_server_name_is_valid(const char *name);
/* RFC 8461 4.1: "*.example.com" is any one label below example.com. */
bool smtp_tls_mx_matches(const char *pattern, const char *host);

struct smtp_tls_details {
	enum tls_client_check check;
	struct smtp_tls_words names;
	const struct dns_tlsa *tlsa;
	size_t tlsa_count;
	const char *tlsa_base;
	const struct tls_anchors *const *anchors; /* NULL: the context's CAs */
	bool forged_perhaps;
	const char *external_failure;
	const char *protocols, *server_name, *session_key;
	const char *ciphers;
	const char *problem; /* with CIPHERS: no handshake can be made; or NULL */
};

/* Of smtp_tls.c: the context, or NULL where TLS is not to be had; never NULL for DANE. */
const struct tls_context *smtp_tls_context(void);
/*
 * The anchors of a file; those that were named when the process began are in memory, others are
 * read now.  NULL with *WHY.  They live as long as the process.
 */
const struct tls_anchors *smtp_tls_anchors(const char *path, struct reason *why);

/* smtp_tls_policy.c */
void smtp_tls_policy_prepare(const struct postfix_params *params);
/* Is TLS possible at all with this configuration? */
bool smtp_tls_policy_may_use_tls(void);

/*
 * smtp_tls_dane.c: what becomes of POLICY's level dane or dane-only for TARGET; DETAILS gets the
 * records, in ARENA.  False with WHY.  *CONFIG: it is the configuration's fault.
 */
bool smtp_tls_dane_resolve(const struct smtp_target *target, struct smtp_tls_policy *policy,
    struct smtp_tls_details *details, struct arena *arena, struct reason *why, bool *config);

#endif

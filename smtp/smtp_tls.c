// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client's TLS: what is opened before the jail, and the handshake under a policy.
 *
 * A mistake in main.cf that leaves us without TLS is a warning when the process begins; mail that
 * must not go without it waits then.
 */
#include "smtp/smtp_tls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "log/log.h"
#include "server/tls_params.h"
#include "smtp/smtp_tls_private.h"
#include "table/table.h"

#define SESSIONS_MAX 2000

static struct tls_context *context;
static unsigned log_parts;
static bool one_label_wildcards;
/* Trust anchors by path; the lock is for those that are read later. */
static struct map anchors = MAP_INIT;
static pthread_mutex_t anchors_lock = PTHREAD_MUTEX_INITIALIZER;

const struct tls_context *smtp_tls_context(void)
{
	return context;
}

const struct tls_anchors *smtp_tls_anchors(const char *path, struct reason *why)
{
	struct tls_anchors *found;

	pthread_mutex_lock(&anchors_lock);
	found = map_get_str(&anchors, path);
	if (found == NULL) {
		found = tls_anchors_load(path, why);
		if (found != NULL)
			map_put_str(&anchors, path, found);
	}
	pthread_mutex_unlock(&anchors_lock);
	return found;
}

/* ---- before the jail ---- */

static void find_certificates(struct tls_certificates *certs)
{
	tls_certificates_find(
	    certs, &(struct tls_certificate_params){
		       .prefix = smtp_is_lmtp ? "lmtp" : "smtp",
		       .chain_files = SMTP_PARAM(tls_chain_files),
		       .cert = { SMTP_PARAM(tls_cert_file), SMTP_PARAM(tls_dcert_file),
			   SMTP_PARAM(tls_eccert_file) },
		       .key = { SMTP_PARAM(tls_key_file), SMTP_PARAM(tls_dkey_file),
			   SMTP_PARAM(tls_eckey_file) },
		   });
}

/* The ciphers of most connections: they are parsed once. */
static char *usual_ciphers(const struct postfix_params *p)
{
	const char *excluded[] = { SMTP_PARAM(tls_exclude_ciphers), "", "eNULL" };
	struct reason why;

	return tls_cipher_list(p, SMTP_PARAM(tls_ciphers), excluded, ARRAY_LEN(excluded), &why);
}

static struct tls_context *open_context(
    const struct postfix_params *p, const struct tls_certificates *certs, const char *ciphers)
{
	const char *cache = SMTP_PARAM(tls_session_cache_database);
	struct reason why;

	return tls_client_new(
	    &(struct tls_client_config){
		.files = certs->files,
		.kinds = tls_certificate_kinds,
		.chains = certs->chain_count > 0 ? certs->chains : NULL,
		.ca_file = SMTP_PARAM(tls_CAfile),
		.ca_path = SMTP_PARAM(tls_CApath),
		.default_cas = p->tls_append_default_CA,
		.verify_depth = (int)SMTP_PARAM(tls_scert_verifydepth),
		.digest = SMTP_PARAM(tls_fingerprint_digest),
		.dane_digests = p->tls_dane_digests,
		.curves = p->tls_eecdh_auto_curves,
		.groups = p->tls_ffdhe_auto_groups,
		.options = p->tls_ssl_options,
		.workarounds_off = p->tls_disable_workarounds,
		.ciphers = ciphers,
		.session_seconds =
		    cache[0] != '\0' ? (long)SMTP_PARAM(tls_session_cache_timeout) : 0,
		.session_max = SESSIONS_MAX,
		.cache_name = smtp_is_lmtp ? "lmtp" : "smtp",
		.verbose = (log_parts & TLS_LOG_VERBOSE) != 0,
		.log_errors = true,
	    },
	    &why);
}

static void load_anchors(struct slice paths)
{
	struct slice word;
	struct reason why;

	while (slice_token(&paths, " \t\r\n,", &word)) {
		char *path = xstrndup(word.ptr, word.len);

		if (smtp_tls_anchors(path, &why) == NULL)
			log_warning("%s", why.text);
		free(path);
	}
}

/* Files that entries of tables name may be out of reach later. */
static bool load_entry_anchors(struct slice key, struct slice value, void *arg)
{
	struct arena arena = ARENA_INIT;
	struct smtp_tls_entry entry;
	struct reason why;

	(void)key, (void)arg;
	if (smtp_tls_entry_parse(arena_slicedup(&arena, value), "", &arena, &entry, &why))
		for (size_t i = 0; i < entry.anchors.count; i++)
			load_anchors(slice_of(entry.anchors.list[i]));
	arena_release(&arena);
	return true;
}

static void load_table_anchors(void)
{
	struct slice rest = slice_of(SMTP_PARAM(tls_policy_maps)), word;

	while (table_list_next(&rest, &word)) {
		char *spec = xstrndup(word.ptr, word.len);
		struct table *table = table_open(spec, TABLE_QUIET);

		(void)table_each(table, load_entry_anchors, NULL);
		table_free(table);
		free(spec);
	}
}

static void set_log_parts(void)
{
	const char *level = SMTP_PARAM(tls_loglevel);

	if (!tls_log_parts(level, &log_parts))
		fatal("bad string value in configuration: %s = %s", SMTP_PARAM_NAME("tls_loglevel"),
		    level);
}

void smtp_tls_prepare(const struct postfix_params *params)
{
	struct tls_certificates certs;
	char *ciphers;

	set_log_parts();
	one_label_wildcards = !params->tls_wildcard_matches_multiple_labels;
	smtp_tls_policy_prepare(params);
	if (!smtp_tls_policy_may_use_tls() || !tls_params_open_library(params))
		return;
	find_certificates(&certs);
	ciphers = usual_ciphers(params);
	context = open_context(params, &certs, ciphers);
	free(ciphers);
	tls_certificates_release(&certs);
	load_anchors(slice_of(SMTP_PARAM(tls_trust_anchor_file)));
	load_table_anchors();
}

/* ---- a connection ---- */

bool smtp_tls_is_available(void)
{
	return context != NULL;
}

static struct tls_client_wish wish_of(
    const struct smtp_session *session, const struct smtp_tls_details *details)
{
	return (struct tls_client_wish){
		.peer = session->relay,
		.log = log_parts,
		.server_name = details->server_name,
		.check = details->check,
		.names = details->names.list,
		.tlsa = details->tlsa,
		.tlsa_count = details->tlsa_count,
		.tlsa_base = details->tlsa_base,
		.anchors = details->anchors,
		.forged_perhaps = details->forged_perhaps,
		.external_failure = details->external_failure,
		.one_label_wildcards = one_label_wildcards,
		.protocols = details->protocols,
		.ciphers = details->ciphers,
		.session_key = details->session_key,
	};
}

static bool fail(struct smtp_session *session, struct smtp_failure *failure,
    enum smtp_tls_status status, const char *text)
{
	smtp_fail(failure, true, "4.7.5", "%s", text);
	smtp_tls_describe(session->policy, status, failure->tls);
	return false;
}

bool smtp_tls_start(struct smtp_session *session, bool *plain_next, struct smtp_failure *failure)
{
	const struct smtp_tls_details *details = session->policy->details;
	struct tls_client_wish wish = wish_of(session, details);
	struct tls_client_result result;

	*plain_next = false;
	if (context == NULL)
		return fail(session, failure, SMTP_TLS_UNDECIDED,
		    "TLS is required, but our TLS engine is unavailable");
	if (details->problem != NULL) {
		log_warning("%s: %s", session->relay, details->problem);
		return fail(
		    session, failure, SMTP_TLS_UNDECIDED, "Cannot start TLS: handshake failure");
	}
	stream_set_deadline(session->stream, smtp_deadline(SMTP_PARAM(starttls_timeout)));
	if (!tls_connect(session->stream, context, &wish, &result)) {
		session->broken = true;
		*plain_next = session->policy->level == SMTP_TLS_MAY && !session->policy->wrapper;
		return fail(
		    session, failure, SMTP_TLS_UNDECIDED, "Cannot start TLS: handshake failure");
	}
	session->has_tls = true;
	session->is_verified = result.trust == TLS_PEER_VERIFIED;
	if (!result.matched)
		return fail(session, failure, SMTP_TLS_VIOLATED, result.why.text);
	return true;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_restrictions.h"

#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "conf/nearest.h"

static const struct postfix_restriction restrictions[] = {
	{ "check_address_map", true, true },
	{ "check_ccert_access", true, true },
	{ "check_client_a_access", true, false },
	{ "check_client_access", true, true },
	{ "check_client_mx_access", true, false },
	{ "check_client_ns_access", true, false },
	{ "check_etrn_access", true, true },
	{ "check_helo_a_access", true, false },
	{ "check_helo_access", true, true },
	{ "check_helo_mx_access", true, false },
	{ "check_helo_ns_access", true, false },
	{ "check_policy_service", true, false },
	{ "check_recipient_a_access", true, false },
	{ "check_recipient_access", true, true },
	{ "check_recipient_maps", false, true },
	{ "check_recipient_mx_access", true, false },
	{ "check_recipient_ns_access", true, false },
	{ "check_reverse_client_hostname_a_access", true, false },
	{ "check_reverse_client_hostname_access", true, true },
	{ "check_reverse_client_hostname_mx_access", true, false },
	{ "check_reverse_client_hostname_ns_access", true, false },
	{ "check_sasl_access", true, true },
	{ "check_sender_a_access", true, false },
	{ "check_sender_access", true, true },
	{ "check_sender_mx_access", true, false },
	{ "check_sender_ns_access", true, false },
	{ "defer", false, true },
	{ "defer_if_permit", false, true },
	{ "defer_if_reject", false, true },
	{ "defer_unauth_destination", false, true },
	{ "permit", false, true },
	{ "permit_auth_destination", false, true },
	{ "permit_dnswl_client", true, false },
	{ "permit_inet_interfaces", false, true },
	{ "permit_mx_backup", false, false },
	{ "permit_mynetworks", false, true },
	{ "permit_rhswl_client", true, false },
	{ "permit_sasl_authenticated", false, true },
	{ "permit_tls_all_clientcerts", false, true },
	{ "permit_tls_clientcerts", false, true },
	{ "reject", false, true },
	{ "reject_authenticated_sender_login_mismatch", false, true },
	{ "reject_invalid_helo_hostname", false, true },
	{ "reject_invalid_hostname", false, true },
	{ "reject_known_sender_login_mismatch", false, true },
	{ "reject_multi_recipient_bounce", false, true },
	{ "reject_non_fqdn_helo_hostname", false, true },
	{ "reject_non_fqdn_hostname", false, true },
	{ "reject_non_fqdn_recipient", false, true },
	{ "reject_non_fqdn_sender", false, true },
	{ "reject_plaintext_session", false, true },
	{ "reject_rbl", true, false },
	{ "reject_rbl_client", true, false },
	{ "reject_rhsbl_client", true, false },
	{ "reject_rhsbl_helo", true, false },
	{ "reject_rhsbl_recipient", true, false },
	{ "reject_rhsbl_reverse_client", true, false },
	{ "reject_rhsbl_sender", true, false },
	{ "reject_sender_login_mismatch", false, true },
	{ "reject_unauth_destination", false, true },
	{ "reject_unauth_pipelining", false, true },
	{ "reject_unauthenticated_sender_login_mismatch", false, true },
	{ "reject_unknown_address", false, false },
	{ "reject_unknown_client", false, true },
	{ "reject_unknown_client_hostname", false, true },
	{ "reject_unknown_forward_client_hostname", false, false },
	{ "reject_unknown_helo_hostname", false, false },
	{ "reject_unknown_hostname", false, false },
	{ "reject_unknown_recipient_domain", false, false },
	{ "reject_unknown_reverse_client_hostname", false, true },
	{ "reject_unknown_sender_domain", false, false },
	{ "reject_unlisted_recipient", false, true },
	{ "reject_unlisted_sender", false, true },
	{ "reject_unverified_recipient", false, false },
	{ "reject_unverified_sender", false, false },
	{ "sleep", true, true },
	{ "warn_if_reject", false, true },
};

const struct postfix_restriction *postfix_restriction_at(size_t i)
{
	return i < ARRAY_LEN(restrictions) ? &restrictions[i] : NULL;
}

const struct postfix_restriction *postfix_restriction_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(restrictions); i++)
		if (slice_caseeq_str(name, restrictions[i].name))
			return &restrictions[i];
	return NULL;
}

bool postfix_is_restriction_class(const struct postfix_params *params, struct slice word)
{
	const char *list = params->smtpd_restriction_classes;
	struct strbuf name = STRBUF_INIT(1000);
	bool found = false;
	while (!found && postfix_list_next(&list, &name))
		found = slice_eq(strbuf_slice(&name), word);
	strbuf_release(&name);
	return found;
}

bool postfix_is_restriction_list(const struct postfix_params *params, const char *name)
{
	static const char *const lists[] = { "local_header_rewrite_clients",
		"smtpd_client_restrictions", "smtpd_data_restrictions",
		"smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions",
		"smtpd_helo_restrictions", "smtpd_recipient_restrictions",
		"smtpd_relay_restrictions", "smtpd_sender_restrictions" };
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (strcmp(lists[i], name) == 0)
			return true;
	return postfix_is_restriction_class(params, slice_of(name));
}

static void report_unknown(const struct postfix_params *params, const char *name, const char *word,
    const char *file, unsigned line, struct conf_errors *errors)
{
	const char *list = params->smtpd_restriction_classes;
	struct strbuf class = STRBUF_INIT(1000);
	struct nearest nearest;
	nearest_init(&nearest, word);
	for (size_t i = 0; i < ARRAY_LEN(restrictions); i++)
		nearest_try(&nearest, restrictions[i].name);
	const char *found = nearest.found;
	while (!found && postfix_list_next(&list, &class)) {
		nearest_try(&nearest, class.ptr);
		found = nearest.found;
	}
	conf_report(errors, CONF_WARNING, file, line,
	    "%s: unknown restriction \"%s\"%s%s%s: who gets there is answered with 451", name, word,
	    found ? " (did you mean " : "", found ? found : "", found ? "?)" : "");
	strbuf_release(&class);
}

/* Behind these nothing is looked at any more. */
static bool ends_list(const struct postfix_restriction *restriction)
{
	static const char *const ends[] = { "defer", "permit", "reject" };
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (strcmp(restriction->name, ends[i]) == 0)
			return true;
	return false;
}

/* REST is what stands behind the restriction END. */
static void report_unreached(const char *name, const char *end, const char *rest, const char *file,
    unsigned line, struct conf_errors *errors)
{
	struct strbuf word = STRBUF_INIT(POSTFIX_FILE_LIMIT);
	if (postfix_list_next(&rest, &word))
		conf_report(errors, CONF_WARNING, file, line,
		    "%s: \"%s\" is never reached, it stands behind \"%s\"", name, word.ptr, end);
	strbuf_release(&word);
}

void postfix_restrictions_check(const struct postfix_params *params, const char *name,
    const char *value, const char *file, unsigned line, struct conf_errors *errors)
{
	struct strbuf word = STRBUF_INIT(POSTFIX_FILE_LIMIT);
	bool only_warns = false, ended = false;
	while (postfix_list_next(&value, &word)) {
		struct slice text = strbuf_slice(&word);
		const struct postfix_restriction *found = postfix_restriction_find(text);
		if (!found &&
		    (slice_find(text, ':') > 0 || postfix_is_restriction_class(params, text)))
			continue;
		if (!found)
			report_unknown(params, name, word.ptr, file, line, errors);
		else if (!found->works)
			conf_report(errors, CONF_WARNING, file, line,
			    "%s: %s is not supported yet: who gets there is answered with 451",
			    name, found->name);
		if (found && !only_warns && !ended && ends_list(found)) {
			report_unreached(name, found->name, value, file, line, errors);
			ended = true;
		}
		only_warns = found && strcmp(found->name, "warn_if_reject") == 0;
		if (found && found->has_argument && !postfix_list_next(&value, &word))
			conf_report(errors, CONF_WARNING, file, line,
			    "%s: %s lacks its argument: who gets there is answered with 451", name,
			    found->name);
	}
	strbuf_release(&word);
}

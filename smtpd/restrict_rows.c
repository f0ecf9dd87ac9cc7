// SPDX-License-Identifier: BSD-2-Clause
/* The restrictions that there are: one row each. */
#include "base/check.h"
#include "smtpd/restrict_eval.h"

const struct restriction restrict_rows[] = {
	{ "permit", ARG_NONE, restrict_permit, 0 },
	{ "reject", ARG_NONE, restrict_refuse, 0 },
	{ "defer", ARG_NONE, restrict_refuse, 1 },
	{ "defer_if_permit", ARG_NONE, restrict_refuse, 2 },
	{ "defer_if_reject", ARG_NONE, restrict_refuse, 3 },
	{ "reject_plaintext_session", ARG_NONE, restrict_plaintext, 0 },
	{ "reject_unauth_pipelining", ARG_NONE, restrict_pipelining, 0 },
	{ "sleep", ARG_NUMBER, restrict_sleep, 0 },

	{ "permit_mynetworks", ARG_NONE, restrict_permit_mynetworks, 0 },
	{ "permit_inet_interfaces", ARG_NONE, restrict_permit_interfaces, 0 },
	{ "permit_sasl_authenticated", ARG_NONE, restrict_permit_sasl, 0 },
	{ "permit_tls_clientcerts", ARG_NONE, restrict_permit_cert, 0 },
	{ "permit_tls_all_clientcerts", ARG_NONE, restrict_permit_cert, 1 },
	{ "check_ccert_access", ARG_TABLE, restrict_check_cert, SUBJECT_CLIENT_CERT },
	{ "reject_unknown_client_hostname", ARG_NONE, restrict_unknown_client, 0 },
	{ "reject_unknown_client", ARG_NONE, restrict_unknown_client, 0 },
	{ "reject_unknown_reverse_client_hostname", ARG_NONE, restrict_unknown_client, 1 },
	{ "check_client_access", ARG_TABLE, restrict_check_access, SUBJECT_CLIENT },
	{ "check_reverse_client_hostname_access", ARG_TABLE, restrict_check_access,
	    SUBJECT_REVERSE_CLIENT },

	{ "check_helo_access", ARG_TABLE, restrict_check_access, SUBJECT_HELO },
	{ "reject_invalid_helo_hostname", ARG_NONE, restrict_invalid_helo, 0 },
	{ "reject_invalid_hostname", ARG_NONE, restrict_invalid_helo, 0 },
	{ "reject_non_fqdn_helo_hostname", ARG_NONE, restrict_non_fqdn_helo, 0 },
	{ "reject_non_fqdn_hostname", ARG_NONE, restrict_non_fqdn_helo, 0 },

	{ "check_sender_access", ARG_TABLE, restrict_check_access, SUBJECT_SENDER },
	{ "reject_non_fqdn_sender", ARG_NONE, restrict_non_fqdn_sender, 0 },
	{ "reject_unlisted_sender", ARG_NONE, restrict_unlisted_sender, 0 },
	/* The numbers: whose mismatch is looked at, see restrict_address.c. */
	{ "reject_sender_login_mismatch", ARG_NONE, restrict_sender_login, 1 | 2 | 4 },
	{ "reject_authenticated_sender_login_mismatch", ARG_NONE, restrict_sender_login, 1 | 4 },
	{ "reject_unauthenticated_sender_login_mismatch", ARG_NONE, restrict_sender_login, 2 },
	{ "reject_known_sender_login_mismatch", ARG_NONE, restrict_sender_login, 1 | 2 },

	{ "check_recipient_access", ARG_TABLE, restrict_check_access, SUBJECT_RECIPIENT },
	{ "permit_auth_destination", ARG_NONE, restrict_permit_auth_destination, 0 },
	{ "reject_unauth_destination", ARG_NONE, restrict_unauth_destination, 0 },
	{ "defer_unauth_destination", ARG_NONE, restrict_unauth_destination, 1 },
	{ "reject_non_fqdn_recipient", ARG_NONE, restrict_non_fqdn_recipient, 0 },
	{ "reject_unlisted_recipient", ARG_NONE, restrict_unlisted_recipient, 0 },
	{ "check_recipient_maps", ARG_NONE, restrict_unlisted_recipient, 0 },
	{ "reject_multi_recipient_bounce", ARG_NONE, restrict_multi_recipient_bounce, 0 },

	{ "check_address_map", ARG_TABLE, restrict_address_map, 0 },

	{ "check_etrn_access", ARG_TABLE, restrict_check_access, SUBJECT_ETRN },
	{ "check_sasl_access", ARG_TABLE, restrict_check_sasl_access, SUBJECT_SASL },
};

const struct restriction restrict_bare_row = { "type:table", ARG_TABLE, restrict_bare_access, 0 };

const size_t restrict_row_count = ARRAY_LEN(restrict_rows);

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Restrictions on the certificate of a client.  A fingerprint that is in a table is enough, whoever
 * signed the certificate: the administrator wrote it there.
 */
#include "log/log.h"
#include "smtpd/restrict_eval.h"

/* permit_tls_clientcerts; number 1: any that can be verified is good. */
enum check restrict_permit_cert(struct eval *e, const struct rule *rule)
{
	const struct restrict_facts *f = e->facts;
	const char *keys[] = { f->cert_fingerprint, f->cert_key_fingerprint };
	struct strbuf value = STRBUF_INIT(65536);
	enum table_result found = TABLE_NOT_FOUND;

	if (f->tls && !f->asks_client_certs)
		log_warning("%s is requested, but \"smtpd_tls_ask_ccert = no\"", rule->row->name);
	if (rule->row->number == 1 && f->cert_trusted)
		return CHECK_PERMIT;
	for (size_t i = 0; i < 2 && keys[i] && found == TABLE_NOT_FOUND; i++)
		found = tables_get(e->r->relay_certs, slice_of(keys[i]), TABLES_WHOLE_KEY, &value);
	strbuf_release(&value);
	if (found == TABLE_FOUND)
		return CHECK_PERMIT;
	if (found == TABLE_NOT_FOUND)
		return CHECK_DUNNO;
	log_warning("relay_clientcerts: lookup error for fingerprint '%s', pkey fingerprint %s",
	    keys[0], keys[1]);
	return restrict_lookup_error(e, slice_of(keys[0]));
}

/* check_ccert_access: the certificate's fingerprint, then its key's. */
enum check restrict_check_cert(struct eval *e, const struct rule *rule)
{
	const struct restrict_facts *f = e->facts;
	const char *keys[] = { f->cert_fingerprint, f->cert_key_fingerprint };
	struct strbuf value = STRBUF_INIT(65536);
	enum table_result found = TABLE_NOT_FOUND;
	enum check check = CHECK_DUNNO;

	for (size_t i = 0; i < 2 && keys[i] && found == TABLE_NOT_FOUND; i++)
		found = tables_get(rule->tables, slice_of(keys[i]), TABLES_WHOLE_KEY, &value);
	if (found == TABLE_ERROR)
		check = restrict_reject_subject(
		    e, 451, "4.3.5", SUBJECT_CLIENT_CERT, "Server configuration error");
	else if (found == TABLE_FOUND)
		check = restrict_access_result(e, SUBJECT_CLIENT_CERT, tables_last(),
		    slice_of(f->cert_fingerprint), value.ptr);
	strbuf_release(&value);
	return check;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "server/tls_params.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "log/log.h"

const char *const tls_certificate_kinds[] = { "RSA", "DSA", "ECDSA" };

bool tls_params_open_library(const struct postfix_params *p)
{
	struct reason why;

	if (tls_library_open(p->tls_config_file, p->tls_config_name, &why))
		return true;
	log_warning("%s, disabling TLS support", why.text);
	return false;
}

static bool is_set(const char *value)
{
	return value[0] != '\0' && strcasecmp(value, "none") != 0;
}

void tls_certificates_find(
    struct tls_certificates *certs, const struct tls_certificate_params *params)
{
	struct strbuf name = STRBUF_INIT(4096);
	const char *chains = params->chain_files, *prefix = params->prefix;

	memset(certs, 0, sizeof(*certs));
	while (certs->chain_count < TLS_CHAINS_MAX && postfix_list_next(&chains, &name)) {
		certs->chains[certs->chain_count++] = xstrdup(name.ptr);
		strbuf_reset(&name);
	}
	strbuf_release(&name);
	for (size_t i = 0; i < ARRAY_LEN(tls_certificate_kinds); i++) {
		bool set = is_set(params->cert[i]);

		certs->files[i] = (struct tls_files){ set ? params->cert[i] : "", params->key[i] };
		certs->have_files |= set;
	}
	if (certs->chain_count > 0 && certs->have_files)
		log_warning("Both %s_tls_chain_files and one or more of the legacy "
			    "%s_tls_cert_file, %s_tls_eccert_file or %s_tls_dcert_file "
			    "are non-empty; the legacy parameters will be ignored",
		    prefix, prefix, prefix, prefix);
}

void tls_certificates_release(struct tls_certificates *certs)
{
	for (size_t i = 0; i < certs->chain_count; i++)
		free((char *)(uintptr_t)certs->chains[i]);
	certs->chain_count = 0;
}

static const char *list_of_grade(const struct postfix_params *p, const char *grade)
{
	const struct {
		const char *grade, *list;
	} grades[] = { { "high", p->tls_high_cipherlist }, { "medium", p->tls_medium_cipherlist },
		{ "low", p->tls_medium_cipherlist }, { "export", p->tls_medium_cipherlist },
		{ "null", p->tls_null_cipherlist } };

	for (size_t i = 0; i < ARRAY_LEN(grades); i++)
		if (strcasecmp(grade, grades[i].grade) == 0)
			return grades[i].list;
	return "";
}

char *tls_cipher_list(const struct postfix_params *p, const char *grade,
    const char *const *excluded, size_t count, struct reason *why)
{
	struct strbuf list = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct slice word;

	strbuf_addstr(&list, list_of_grade(p, grade));
	if (list.len == 0) {
		reason_set(why, "4.7.5", "invalid cipher grade: \"%s\"", grade);
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		struct slice rest = slice_of(excluded[i]);

		while (slice_token(&rest, " \t\r\n,:", &word)) {
			if (strchr("!+-@", word.ptr[0]) != NULL) {
				reason_set(why, "4.7.5",
				    "invalid unary '!+-@' in cipher exclusion: %.*s",
				    SLICE_ARG(word));
				strbuf_release(&list);
				return NULL;
			}
			strbuf_addf(&list, ":!%.*s", SLICE_ARG(word));
		}
	}
	return strbuf_detach(&list);
}

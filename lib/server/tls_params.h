// SPDX-License-Identifier: BSD-2-Clause
/* What the TLS parameters of main.cf mean to both sides: the library, keys and cipher lists. */
#ifndef PC_SERVER_TLS_PARAMS_H
#define PC_SERVER_TLS_PARAMS_H

#include "base/reason.h"
#include "conf/postfix_conf.h"
#include "net/tls.h"

/* OpenSSL as tls_config_file and tls_config_name want it; false: there is no TLS, which was logged.
 */
bool tls_params_open_library(const struct postfix_params *p);

#define TLS_CHAINS_MAX 64

/* Key and certificate of each kind, or files with several of them. */
struct tls_certificates {
	struct tls_files files[4]; /* of each kind, "" for none; as of tls_server_config */
	const char *chains[TLS_CHAINS_MAX + 1];
	size_t chain_count;
	bool have_files;
};
/* For tls_server_config.kinds. */
extern const char *const tls_certificate_kinds[];
/* The values of the parameters PREFIX_tls_..., in the order of tls_certificate_kinds. */
struct tls_certificate_params {
	const char *prefix; /* "smtpd" */
	const char *chain_files;
	const char *cert[3], *key[3];
};
/* Warns where both forms are used.  Texts of PARAMS are borrowed. */
void tls_certificates_find(
    struct tls_certificates *certs, const struct tls_certificate_params *params);
void tls_certificates_release(struct tls_certificates *certs);

/*
 * postconf(5) smtpd_tls_ciphers: the list of GRADE ("medium"), less what the COUNT lists of
 * EXCLUDED name.  The caller frees it; NULL with *WHY for an unknown grade or a bad exclusion.
 */
char *tls_cipher_list(const struct postfix_params *p, const char *grade,
    const char *const *excluded, size_t count, struct reason *why);

#endif

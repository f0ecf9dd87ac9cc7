// SPDX-License-Identifier: BSD-2-Clause
/* What a server is willing to speak: protocols, groups of key exchange, options. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "net/tls_context.h"

static const struct protocol {
	const char *name;
	int version;
	uint64_t off;
} versions[] = { { "SSLv2", 0, 0 }, { "SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3 },
	{ "TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 } };

static const struct protocol *find_protocol(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (slice_caseeq_str(name, versions[i].name))
			return &versions[i];
	return NULL;
}

/* What a list of protocols says; limits are 0 when it has none. */
struct protocol_list {
	uint64_t named, excluded; /* SSL_OP_NO_ bits */
	int floor, ceiling;
};

/* Limits may be given as the number on the wire, for protocols that we do not know the name of. */
static bool parse_limit(struct slice text, int *limit)
{
	const struct protocol *p = find_protocol(text);
	char copy[16], *end;
	unsigned long number;

	if (p) {
		*limit = p->version;
		return true;
	}
	if (!slice_casestarts(text, "0x") || text.len < 3 || text.len >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", SLICE_ARG(text));
	number = strtoul(copy + 2, &end, 16);
	if (*end || number > 0xffff)
		return false;
	*limit = (int)number;
	return true;
}

static bool parse_protocol(struct slice word, struct protocol_list *list)
{
	const struct protocol *p;

	if (slice_starts(word, ">="))
		return parse_limit(slice_from(word, 2), &list->floor);
	if (slice_starts(word, "<="))
		return parse_limit(slice_from(word, 2), &list->ceiling);
	p = find_protocol(slice_from(word, slice_starts(word, "!")));
	if (p && slice_starts(word, "!"))
		list->excluded |= p->off;
	else if (p)
		list->named |= p->off;
	return p != NULL;
}

static uint64_t all_protocols(void)
{
	uint64_t all = 0;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		all |= versions[i].off;
	return all;
}

static bool any_left(const struct protocol_list *list)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct protocol *p = &versions[i];

		if (p->off && !(list->excluded & p->off) && p->version >= list->floor &&
		    (!list->ceiling || p->version <= list->ceiling))
			return true;
	}
	return false;
}

/* postconf(5) smtpd_tls_protocols: naming one excludes those that are not named. */
static bool parse_protocols(struct slice text, struct protocol_list *list, struct reason *why)
{
	struct slice rest = text, word;

	memset(list, 0, sizeof(*list));
	while (slice_token(&rest, " \t\r\n,:", &word))
		if (!parse_protocol(word, list)) {
			reason_set(
			    why, TLS_DSN, "Invalid TLS protocol list \"%.*s\"", SLICE_ARG(text));
			return false;
		}
	if (list->named)
		list->excluded |= all_protocols() & ~list->named;
	if (any_left(list))
		return true;
	reason_set(why, TLS_DSN, "no TLS protocol is left: %.*s", SLICE_ARG(text));
	return false;
}

static bool set_protocol_list(SSL_CTX *ctx, struct slice text, struct reason *why)
{
	struct protocol_list list;

	if (!parse_protocols(text, &list, why))
		return false;
	SSL_CTX_set_options(ctx, list.excluded);
	if ((!list.floor || SSL_CTX_set_min_proto_version(ctx, list.floor) == 1) &&
	    (!list.ceiling || SSL_CTX_set_max_proto_version(ctx, list.ceiling) == 1))
		return true;
	reason_set(why, TLS_DSN, "unsupported TLS protocol: %.*s", SLICE_ARG(text));
	return false;
}

bool tls_set_connection_protocols(SSL *ssl, const char *protocols, struct reason *why)
{
	struct protocol_list list;

	if (!parse_protocols(slice_of(protocols), &list, why))
		return false;
	SSL_set_options(ssl, list.excluded);
	if ((!list.floor || SSL_set_min_proto_version(ssl, list.floor) == 1) &&
	    (!list.ceiling || SSL_set_max_proto_version(ssl, list.ceiling) == 1))
		return true;
	reason_set(why, TLS_DSN, "unsupported TLS protocol: %s", protocols);
	return false;
}

/* Dovecot's ssl_min_protocol, which has two more words. */
static bool set_min_protocol(SSL_CTX *ctx, const char *name, struct reason *why)
{
	const struct protocol *p = find_protocol(slice_of(name));
	int version = p ? p->version : 0;

	if (slice_caseeq_str(slice_of(name), "LATEST"))
		version = TLS1_3_VERSION;
	else if (!p && !slice_caseeq_str(slice_of(name), "ANY"))
		version = -1;
	if (version != -1 && SSL_CTX_set_min_proto_version(ctx, version) == 1)
		return true;
	reason_set(why, TLS_DSN, "unknown TLS protocol: %s", name);
	return false;
}

bool tls_set_protocols(SSL_CTX *ctx, const struct tls_server_config *config, struct reason *why)
{
	if (config->protocols)
		return set_protocol_list(ctx, slice_of(config->protocols), why);
	if (config->min_protocol)
		return set_min_protocol(ctx, config->min_protocol, why);
	return true;
}

/* Appends those NAMES that the library knows; true when there is one. */
static bool add_groups(SSL_CTX *ctx, const char *names, struct strbuf *list)
{
	struct slice rest = slice_of(names ? names : ""), word;
	char name[64];

	while (slice_token(&rest, " \t\r\n,:", &word)) {
		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(word));
		if (SSL_CTX_set1_groups_list(ctx, name) == 1)
			strbuf_addf(list, "%s%s", list->len ? ":" : "", name);
	}
	ERR_clear_error();
	return list->len > 0;
}

/* postconf(5) tls_eecdh_auto_curves, tls_ffdhe_auto_groups: unknown names are left out. */
static void set_key_groups(SSL_CTX *ctx, const struct tls_server_config *config)
{
	struct strbuf list = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool curves = add_groups(ctx, config->curves, &list);

	if (!add_groups(ctx, config->groups, &list) && !curves) {
		log_warning("none of the configured key exchange groups are supported");
		log_warning("using Postfix default key exchange groups instead");
		add_groups(ctx, TLS_DEFAULT_CURVES, &list);
	}
	if (SSL_CTX_set1_groups_list(ctx, list.ptr) != 1)
		log_warning("failed to set up the %s key exchange groups", list.ptr);
	ERR_clear_error();
	strbuf_release(&list);
}

static bool set_dh_file(SSL_CTX *ctx, const char *path)
{
	EVP_PKEY *params;
	BIO *in = BIO_new_file(path, "r");

	if (!in) {
		log_warning("error opening DH parameter file \"%s\": %s -- using compiled-in "
			    "defaults",
		    path, strerror(errno));
		return false;
	}
	params = PEM_read_bio_Parameters(in, NULL);
	BIO_free(in);
	if (params && SSL_CTX_set0_tmp_dh_pkey(ctx, params) == 1)
		return true;
	EVP_PKEY_free(params);
	log_warning(
	    "error decoding DH parameters from file \"%s\" -- using compiled-in defaults", path);
	return false;
}

void tls_set_groups(SSL_CTX *ctx, const struct tls_server_config *config)
{
	const char *file = config->dh_file;

	if (config->curves || config->groups)
		set_key_groups(ctx, config);
	if (!file || !*file || strcmp(file, "auto") == 0 || !set_dh_file(ctx, file))
		SSL_CTX_set_dh_auto(ctx, 1);
	ERR_clear_error();
}

struct option_name {
	const char *name;
	uint64_t bit;
};

static const struct option_name options[] = {
	{ "ENABLE_KTLS", SSL_OP_ENABLE_KTLS },
	{ "LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT },
	{ "NO_TICKET", SSL_OP_NO_TICKET },
	{ "NO_COMPRESSION", SSL_OP_NO_COMPRESSION },
	{ "NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION },
	{ "NO_SESSION_RESUMPTION_ON_RENEGOTIATION", SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION },
	{ "PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA },
	{ "ENABLE_MIDDLEBOX_COMPAT", SSL_OP_ENABLE_MIDDLEBOX_COMPAT },
};

static const struct option_name workarounds[] = {
	{ "CRYPTOPRO_TLSEXT_BUG", SSL_OP_CRYPTOPRO_TLSEXT_BUG },
	{ "DONT_INSERT_EMPTY_FRAGMENTS", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS },
	{ "LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT },
	{ "TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING },
	{ "SAFARI_ECDHE_ECDSA_BUG", SSL_OP_SAFARI_ECDHE_ECDSA_BUG },
	/* Without effect in OpenSSL 3. */
	{ "MICROSOFT_SESS_ID_BUG", 0 },
	{ "NETSCAPE_CHALLENGE_BUG", 0 },
	{ "NETSCAPE_REUSE_CIPHER_CHANGE_BUG", 0 },
	{ "SSLREF2_REUSE_CERT_TYPE_BUG", 0 },
	{ "MICROSOFT_BIG_SSLV3_BUFFER", 0 },
	{ "MSIE_SSLV2_RSA_PADDING", 0 },
	{ "SSLEAY_080_CLIENT_DH_BUG", 0 },
	{ "TLS_D5_BUG", 0 },
	{ "TLS_BLOCK_PADDING_BUG", 0 },
};

/* Names, or the number that the library has for them. */
static uint64_t option_bits(
    const char *parameter, const char *value, const struct option_name *names, size_t count)
{
	struct slice rest = slice_of(value ? value : ""), word;
	uint64_t bits = 0;
	char number[24], *end;

	while (slice_token(&rest, " \t\r\n,|", &word)) {
		size_t i = 0;

		while (i < count && !slice_caseeq_str(word, names[i].name))
			i++;
		if (i < count) {
			bits |= names[i].bit;
			continue;
		}
		snprintf(number, sizeof(number), "%.*s", SLICE_ARG(word));
		if (slice_casestarts(word, "0x") && word.len < sizeof(number) &&
		    (bits |= strtoull(number, &end, 16), *end == '\0'))
			continue;
		log_warning(
		    "unknown %s value \"%.*s\" in \"%s\"", parameter, SLICE_ARG(word), value);
	}
	return bits;
}

void tls_set_options(SSL_CTX *ctx, const struct tls_server_config *config)
{
	const char *off = config->workarounds_off;

	if (off)
		SSL_CTX_set_options(ctx, SSL_OP_ALL & ~option_bits("tls_disable_workarounds", off,
							  workarounds, ARRAY_LEN(workarounds)));
	SSL_CTX_set_options(
	    ctx, option_bits("tls_ssl_options", config->options, options, ARRAY_LEN(options)));
	if (config->prefer_server_ciphers)
		SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * TLS for streams, server side, on OpenSSL 3.  A context is made before the jail (it reads keys),
 * is immutable afterwards and shared by all threads.
 */
#ifndef PC_NET_TLS_H
#define PC_NET_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"
#include "base/slice.h"
#include "net/stream.h"

struct tls_context;

struct tls_files {
	const char *cert; /* PEM chain */
	const char *key;  /* PEM; NULL or "": in the file of CERT */
};

struct tls_server_config {
	/* Ends with a NULL cert; several: RSA and ECDSA side by side. */
	const struct tls_files *files;
	/* Sent as acceptable CAs and used for client certificates; may be NULL. */
	const char *ca_file;
	const char *min_protocol; /* "TLSv1.2"; NULL: library default */
	const char *protocols;	  /* Postfix's form: ">=TLSv1, !SSLv3"; used when not NULL */
	const char *ciphers;	  /* OpenSSL cipher list for TLS <= 1.2; NULL: default */
	bool prefer_server_ciphers;
	bool ask_client_cert;
	/* Tickets of one service do not open another: they are bound to this text. */
	const char *service;
	/* 48 bytes or more, from master, to derive ticket keys from; empty: random per process. */
	struct slice ticket_secret;
};

/* NULL with *WHY (which names the file) on failure. */
struct tls_context *tls_server_new(const struct tls_server_config *config, struct reason *why);
void tls_context_free(struct tls_context *ctx);

/*
 * Server handshake on S, which must have no buffered input or output, within S's deadline.  On
 * success S is a TLS stream for the rest of its life.  On failure S has failed with STREAM_TLS,
 * STREAM_EOF or STREAM_TIMEOUT and stream_error_text tells more.
 */
bool tls_accept(struct stream *s, const struct tls_context *ctx);

struct tls_info {
	const char *protocol; /* "TLSv1.3" */
	const char *cipher;   /* "TLS_AES_256_GCM_SHA384" */
	int cipher_bits, algorithm_bits;
	/* These four for TLS 1.3 only, whose cipher names do not tell; "" when unknown. */
	const char *key_exchange; /* "X25519", "ECDHE (P-256)" */
	const char *signature;	  /* "RSA-PSS", "ECDSA (P-256)"; "" for a resumed session */
	int signature_bits;	  /* 0 where the name tells */
	const char *digest;	  /* "SHA256" */
	const char *server_name;  /* SNI; "" when none */
	bool resumed;
};
/* Texts live as long as the connection. */
void tls_connection_info(const struct tls_connection *c, struct tls_info *info);

#endif

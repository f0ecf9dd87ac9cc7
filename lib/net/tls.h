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
#include "base/strbuf.h"
#include "net/stream.h"

struct tls_context;

struct tls_files {
	const char *cert; /* PEM chain */
	const char *key;  /* PEM; NULL or "": in the file of CERT */
};

/*
 * The PEM text (keys, each followed by its chain) for a NAME that a client asks for; in lower case,
 * as the client sent it, and then what is behind each of its dots (".example.com").  From any
 * thread.
 */
enum tls_found { TLS_NOT_FOUND, TLS_FOUND, TLS_FIND_ERROR };
typedef enum tls_found tls_find_chain(const char *name, struct strbuf *pem, void *arg);

/* A member that is NULL, 0 or false leaves things as OpenSSL (and its openssl.cnf) has them. */
struct tls_server_config {
	/* Ends with a NULL cert; several: RSA and ECDSA side by side.  One of "" is left out. */
	const struct tls_files *files;
	/* Instead of FILES: names of files with keys, each followed by its chain; ends with NULL.
	 */
	const char *const *chains;
	bool anonymous; /* without any certificate, too: ciphers without authentication */
	tls_find_chain *find_chain;
	void *find_arg;

	/* For clients' certificates; those of CA_FILE are sent as acceptable. */
	const char *ca_file, *ca_path;
	bool default_cas; /* also the system's */
	bool ask_client_cert;
	bool check_crls; /* of all issuers; CA_FILE has them */
	int verify_depth;
	bool trust_server_certs; /* certificates for servers are good for clients, too */
	const char *digest;	 /* of fingerprints; NULL: SHA256 */

	const char *min_protocol; /* "TLSv1.2" */
	const char *protocols;	  /* Postfix's form: ">=TLSv1, !SSLv3"; used when not NULL */
	const char *ciphers;	  /* OpenSSL cipher list for TLS <= 1.2 */
	const char *suites;	  /* names of TLS 1.3's, with ':' */
	bool prefer_server_ciphers;
	bool old_security;	     /* OpenSSL's security level 0: CIPHERS alone decide */
	const char *curves, *groups; /* of key exchange: names, unknown ones are skipped */
	const char *dh_file;	     /* parameters for DHE of TLS <= 1.2 */
	const char *options;	     /* tls_ssl_options */
	const char *workarounds_off; /* tls_disable_workarounds; used when not NULL */
	bool session_ids;	     /* always sent, though nothing is kept under them */

	/* Tickets of one service do not open another: they are bound to this text. */
	const char *service;
	/* 48 bytes or more, from master, to derive ticket keys from; empty: random per process. */
	struct slice ticket_secret;
	/* How long a session may be resumed; a key lives twice that; 0: an hour; < 0: never. */
	long session_seconds;
	const char *ticket_cipher; /* NULL: aes-256-cbc */

	const char *const *kinds; /* of FILES: "RSA", ..., for messages */
	/* Failures are logged here, in Postfix's words, with each error of the library. */
	bool log_errors;
	/* Texts of failures are the library's whole ones: "error:0A00010B:SSL routines::...". */
	bool whole_errors;
};

/* NULL with *WHY (which names the file) on failure. */
struct tls_context *tls_server_new(const struct tls_server_config *config, struct reason *why);
void tls_context_free(struct tls_context *ctx);
/*
 * tls_config_file ("default", "none" or a path) and tls_config_name, before anything else of
 * OpenSSL is used.  False, with *WHY, when they do not work.
 */
bool tls_library_open(const char *config_file, const char *config_name, struct reason *why);
/* A digest for fingerprints by this name exists. */
bool tls_digest_is_known(const char *name);

/*
 * Server handshake on S, which must have no buffered input or output, within S's deadline.  On
 * success S is a TLS stream for the rest of its life.  On failure S has failed with STREAM_TLS,
 * STREAM_EOF or STREAM_TIMEOUT and stream_error_text tells more.
 */
bool tls_accept(struct stream *s, const struct tls_context *ctx);
/*
 * The same; when the client asks for a name CHOOSE tells the context whose certificates, and ideas
 * of the client's, it gets; NULL: CTX's.
 */
typedef const struct tls_context *tls_choose(const char *name, void *arg);
bool tls_accept_choosing(
    struct stream *s, const struct tls_context *ctx, tls_choose *choose, void *arg);
/* The same with Postfix's log lines, all but the one that tells of success. */
struct tls_peer {
	const char *name; /* "NAME[ADDRESS]" */
	bool verbose;	  /* log level 2 */
	bool must_verify; /* only good certificates will do (the caller's to refuse others) */
};
bool tls_accept_logged(
    struct stream *s, const struct tls_context *ctx, const struct tls_peer *peer);

struct tls_info {
	const char *protocol; /* "TLSv1.3" */
	const char *cipher;   /* "TLS_AES_256_GCM_SHA384" */
	int cipher_bits, algorithm_bits;
	/* These four for TLS 1.3 only, whose cipher names do not tell; "" when unknown. */
	const char *key_exchange; /* "X25519", "ECDHE (prime256v1)" */
	const char *signature;	  /* "RSA-PSS", "ECDSA (prime256v1)"; "" for a resumed session */
	int signature_bits;	  /* 0 where the name tells */
	const char *digest;	  /* "SHA256" */
	const char *server_name;  /* SNI; "" when none */
	const char *matched_name; /* the same where certificates of its own were found; or "" */
	bool resumed;

	/* The client's certificate; without one all texts are "". */
	enum { TLS_NO_CLIENT_CERT, TLS_CLIENT_UNTRUSTED, TLS_CLIENT_TRUSTED } client;
	const char *client_name, *client_issuer; /* common names, UTF-8; may be "" */
	const char *client_fingerprint, *client_key_fingerprint; /* "AB:CD:..." */
	const char *client_signature, *client_digest; /* TLS 1.3 and not resumed, else "" */
	int client_signature_bits;
};
/* The subject's FIELD ("commonName") of the client's certificate; false when it has none. */
bool tls_client_field(const struct tls_connection *c, const char *field, struct strbuf *out);
/* Texts live as long as the connection. */
void tls_connection_info(const struct tls_connection *c, struct tls_info *info);

#endif

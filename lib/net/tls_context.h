// SPDX-License-Identifier: BSD-2-Clause
/*
 * Between the files of tls*.c, which alone see OpenSSL's types (named here by their tags).
 */
#ifndef PC_NET_TLS_CONTEXT_H
#define PC_NET_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/reason.h"
#include "base/slice.h"
#include "net/tls.h"

struct ssl_st;
struct ssl_ctx_st;
struct x509_store_ctx_st;
struct tls_tickets;

#define TLS_DSN		   "4.7.0"
#define TLS_DIGEST_NAME	   32
#define TLS_DEFAULT_CURVES "X25519 X448 prime256v1 secp384r1 secp521r1"

struct tls_context {
	struct ssl_ctx_st *ctx;
	struct tls_tickets *tickets; /* NULL: no sessions are resumed */
	int verify_depth;	     /* -1: no limit of ours */
	bool trust_server_certs;
	char digest[TLS_DIGEST_NAME];
	tls_find_chain *find_chain; /* NULL: all names get the same certificates */
	void *find_arg;
	bool whole_errors;
	char *cipher_list; /* what was set for TLS 1.2 and before; NULL: the library's */
};

/* What a client's certificate says; exists only where there is one. */
struct tls_client_cert {
	bool trusted;
	char *subject, *issuer; /* common names; "" */
	char *fingerprint, *key_fingerprint;
	char signature[24];
	int signature_bits;
	const char *digest;
};

struct tls_connection {
	struct ssl_st *ssl;
	const struct tls_context *ctx;
	int fd;
	bool eof; /* the socket's */
	bool may_wait;
	bool ahead; /* the handshake has read more than its own, which nobody looked at */
	int errnum; /* the socket's, 0: none */
	uint64_t wire_bytes;
	/* Records that go out with the next one: a ticket, which nobody waits for; a last word. */
	char *held;
	size_t held_len;
	bool hold;
	char *text; /* what went wrong, or NULL */
	char key_exchange[24], signature[24];
	int signature_bits;
	const char *digest;
	char *matched_name; /* SNI with certificates of its own, or NULL */
	struct tls_client_cert *client;
	/* The first of the errors that the verification of the client's certificate had. */
	int verify_error, verify_error_depth;
	char *verify_issuer;
	/* During the handshake, else NULL. */
	const struct tls_peer *peer;
	tls_choose *choose; /* or NULL */
	void *choose_arg;
	bool logs; /* as Postfix does */
};

/* ---- tls_log.c ---- */

/* The earliest error of the thread's queue, which says what began it; the queue is empty then. */
void tls_library_error(char *text, size_t size);
/* Each error of the thread's queue as a warning; the queue is empty then. */
void tls_log_library_errors(void);
/* Steps of the handshake go to the log. */
void tls_log_steps(struct ssl_st *ssl);

/* ---- tls_context.c ---- */

/* Sets *WHY to the text and, if the queue has one, the library's error.  False. */
bool tls_refuse(struct reason *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- tls_chain.c: keys and certificates ---- */

bool tls_load_files(
    struct ssl_ctx_st *ctx, const struct tls_server_config *config, struct reason *why);
bool tls_load_chains(struct ssl_ctx_st *ctx, const char *const *names, struct reason *why);
/* PEM text for one connection; what it had before is forgotten. */
bool tls_load_text(struct ssl_st *ssl, struct slice pem, const char *source, struct reason *why);

/* ---- tls_choice.c: protocols, ciphers, groups, options ---- */

bool tls_set_protocols(
    struct ssl_ctx_st *ctx, const struct tls_server_config *config, struct reason *why);
void tls_set_groups(struct ssl_ctx_st *ctx, const struct tls_server_config *config);
void tls_set_options(struct ssl_ctx_st *ctx, const struct tls_server_config *config);

/* ---- tls_ticket.c ---- */

/* NULL with *WHY on failure. */
struct tls_tickets *tls_tickets_new(
    struct ssl_ctx_st *ctx, const struct tls_server_config *config, struct reason *why);
void tls_tickets_free(struct tls_tickets *tickets);

/* ---- tls_peer.c: clients' certificates ---- */

bool tls_set_clients(
    struct tls_context *context, const struct tls_server_config *config, struct reason *why);
int tls_verify(int ok, struct x509_store_ctx_st *store);
/* Takes from the finished handshake what is asked for later; says so in the log. */
void tls_note_client(struct tls_connection *c);
void tls_client_free(struct tls_client_cert *client);
/* "RSA-PSS" with *BITS, "ECDSA (prime256v1)" */
struct evp_pkey_st;
void tls_signature_name(const struct evp_pkey_st *key, char *out, size_t size, int *bits);

#endif

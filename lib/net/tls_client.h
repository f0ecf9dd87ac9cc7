// SPDX-License-Identifier: BSD-2-Clause
/*
 * TLS for streams, client side (RFC 8446, 6125, 6698, 7672).  A context is made before the jail (it
 * reads keys and CAs), is immutable afterwards but for its cache of sessions, and shared by all
 * threads.  tls.h has what both sides share: of a connection made here tls_connection_info tells
 * the server's certificate in its client_... members, and our own signature.
 */
#ifndef PC_NET_TLS_CLIENT_H
#define PC_NET_TLS_CLIENT_H

#include "net/dns_records.h"
#include "net/tls.h"

/* What goes to the log: postconf(5) smtp_tls_loglevel, posttls-finger(1) -L. */
enum tls_log {
	TLS_LOG_SUMMARY = 1,
	TLS_LOG_UNTRUSTED = 2, /* why a certificate is not trusted */
	TLS_LOG_PEERCERT = 4,
	TLS_LOG_CERTMATCH = 8,
	TLS_LOG_VERBOSE = 16,
	TLS_LOG_CACHE = 32,
	TLS_LOG_STEPS = 64
};
/*
 * A number or names, with ',' or blanks; enum tls_log.  Packets are not dumped: 3 and 4 are as 2.
 * False for a word that is none of them.
 */
bool tls_log_parts(const char *text, unsigned *parts);

/* A member that is NULL, 0 or false leaves things as OpenSSL has them. */
struct tls_client_config {
	const struct tls_files *files; /* as in tls_server_config */
	const char *const *chains;
	const char *const *kinds;
	const char *ca_file, *ca_path;
	bool default_cas;
	int verify_depth;
	const char *digest;	  /* of fingerprints and summaries; NULL: SHA256 */
	const char *dane_digests; /* "sha512 sha256", the strongest first: for TLSA records */
	const char *curves, *groups, *options, *workarounds_off;
	const char *ciphers;	/* of most connections: is parsed once */
	long session_seconds;	/* how long sessions are kept; <= 0: none are */
	size_t session_max;	/* at most so many */
	const char *cache_name; /* of the sessions' cache in log lines */
	bool verbose, log_errors;
};
struct tls_context *tls_client_new(const struct tls_client_config *config, struct reason *why);

/* CAs, or their public keys, of a PEM file, which are trusted instead of a context's. */
struct tls_anchors;
/* NULL with *WHY, which names the file. */
struct tls_anchors *tls_anchors_load(const char *path, struct reason *why);
void tls_anchors_free(struct tls_anchors *anchors); /* NULL is fine */

enum tls_client_check {
	TLS_CHECK_NOTHING,     /* whatever certificate, or none */
	TLS_CHECK_FINGERPRINT, /* of certificate or public key, one of NAMES ("AB:CD:...") */
	TLS_CHECK_DANE,	       /* one of TLSA; DANE-TA with one of NAMES */
	TLS_CHECK_NAMES	       /* a chain to a CA we trust, and one of NAMES (".dom": below dom) */
};

/* What one connection wants; texts are borrowed for the call. */
struct tls_client_wish {
	const char *peer;	 /* "mx.example.com[192.0.2.1]:25" for the log */
	unsigned log;		 /* enum tls_log */
	const char *server_name; /* SNI; NULL or "": none */
	enum tls_client_check check;
	bool required;		  /* a peer that fails CHECK ends the handshake */
	const char *const *names; /* or fingerprints; ends with NULL; or NULL */
	const struct dns_tlsa *tlsa;
	size_t tlsa_count;
	const char *tlsa_base; /* the name at which TLSA was found */
	/* Instead of the context's CAs; ends with NULL; or NULL. */
	const struct tls_anchors *const *anchors;
	bool forged_perhaps; /* TLSA of a name that is not validated: trusted at most */
	/* Nothing is good enough, for this reason that somebody else found. */
	const char *external_failure;
	bool one_label_wildcards; /* tls_wildcard_matches_multiple_labels = no */
	const char *protocols;	  /* ">=TLSv1.2, !SSLv3" */
	const char *ciphers;	  /* for TLS <= 1.2; NULL: the context's */
	/*
	 * Who the server is: sessions are resumed under the same text, and for the same wishes,
	 * only; NULL: none are.
	 */
	const char *session_key;
};

enum tls_client_trust {
	TLS_PEER_ANONYMOUS, /* no certificate */
	TLS_PEER_UNTRUSTED,
	TLS_PEER_TRUSTED, /* but it may be another's */
	TLS_PEER_VERIFIED
};

struct tls_client_result {
	enum tls_client_trust trust; /* the word of the log line */
	bool matched;		     /* CHECK holds */
	struct reason why; /* not matched, or failed: "Server certificate not verified" ... */
};

/*
 * The handshake on S, within S's deadline, as tls_accept.  With Postfix's log lines, "Verified TLS
 * connection established to PEER: ..." too.  False: S has failed (RESULT->why; 4.7.5), also for a
 * peer that fails a required check.
 */
bool tls_connect(struct stream *s, struct tls_context *ctx, const struct tls_client_wish *wish,
    struct tls_client_result *result);
/* The Ith certificate of the server's chain: as verified, else as it was sent. */
struct tls_chain_cert {
	char subject[256], issuer[256];
	char *fingerprint, *key_fingerprint;
	char *pem;
};
/* False behind the last one. */
bool tls_connection_chain(const struct tls_connection *c, size_t i, struct tls_chain_cert *cert);
void tls_chain_cert_release(struct tls_chain_cert *cert);

/* A record of a use that mail has (2, 3), that is well-formed and of a digest of dane_digests. */
bool tls_tlsa_is_usable(const struct tls_context *ctx, const struct dns_tlsa *tlsa);

#endif

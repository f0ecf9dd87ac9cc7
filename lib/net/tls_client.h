// SPDX-License-Identifier: BSD-2-Clause
/*
 * TLS for streams, client side (RFC 8446, 6125, 6698, 7672).  A context is made before the jail (it
 * reads keys and CAs), is immutable afterwards but for its cache of sessions, and shared by all
 * threads.  tls.h has what both sides share (struct tls_info, tls_connection_info).
 */
#ifndef PC_NET_TLS_CLIENT_H
#define PC_NET_TLS_CLIENT_H

#include "net/dns_records.h"
#include "net/tls.h"

/* A member that is NULL, 0 or false leaves things as OpenSSL has them. */
struct tls_client_config {
	const struct tls_files *files; /* as in tls_server_config */
	const char *const *chains;
	const char *const *kinds;
	const char *ca_file, *ca_path;
	bool default_cas;
	int verify_depth;
	const char *digest; /* of fingerprints and summaries; NULL: SHA256 */
	const char *curves, *groups, *options, *workarounds_off;
	long session_seconds; /* how long sessions are kept; < 0: none are */
	size_t session_max;   /* at most so many */
	bool log_errors;
};
struct tls_context *tls_client_new(const struct tls_client_config *config, struct reason *why);

enum tls_client_check {
	TLS_CHECK_NOTHING,     /* whatever certificate, or none */
	TLS_CHECK_FINGERPRINT, /* of certificate or public key, one of MATCH ("AB:CD:...") */
	TLS_CHECK_DANE,	       /* one of TLSA; DANE-TA with one of NAMES */
	TLS_CHECK_NAMES	       /* a chain to a CA we trust, and one of NAMES (".dom": below dom) */
};

/* What one connection wants; texts are borrowed for the call. */
struct tls_client_wish {
	const char *peer;	 /* "mx.example.com[192.0.2.1]:25" for the log */
	int log_level;		 /* Postfix's tls_loglevel */
	const char *server_name; /* SNI; NULL or "": none */
	enum tls_client_check check;
	bool required;		  /* a peer that fails CHECK ends the handshake */
	const char *const *names; /* or fingerprints; ends with NULL */
	const struct dns_tlsa *tlsa;
	size_t tlsa_count;
	const char *tlsa_base;		 /* the name at which TLSA was found */
	const char *const *anchor_files; /* tafile: CAs instead of the context's; ends with NULL */
	bool one_label_wildcards;	 /* tls_wildcard_matches_multiple_labels = no */
	const char *protocols;		 /* ">=TLSv1.2, !SSLv3" */
	const char *ciphers;		 /* for TLS <= 1.2; NULL: the library's */
	/* Sessions are resumed under the same text only; NULL: not resumed. */
	const char *session_key;
};

enum tls_client_trust {
	TLS_PEER_ANONYMOUS,
	TLS_PEER_UNTRUSTED,
	TLS_PEER_TRUSTED,
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
/* A session of this key is not resumed again: the server did not like it. */
void tls_client_forget(struct tls_context *ctx, const char *session_key);

#endif

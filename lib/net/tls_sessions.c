// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sessions that a client may resume, in memory, under keys of the caller's.  The oldest go when
 * there are too many.
 *
 * What is kept is a copy: OpenSSL marks the session of a connection that ended without a good-bye
 * as spent, which mail servers do all the time.
 *
 * A ticket of TLS 1.3 is used until the server sends another.  RFC 8446 C.4 would have it used
 * once, so that nobody who watches can tell that two connections have the same client; a mail
 * server's are known by its address and its EHLO, and OpenSSL's servers, who do not replace a
 * ticket that was used, would get a full handshake every other time.
 */
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "log/log.h"
#include "net/tls_context.h"

struct kept {
	struct list by_age;
	char *key;
	SSL_SESSION *session;
};

struct tls_sessions {
	long seconds;
	size_t max;
	pthread_mutex_t lock; /* of what follows */
	struct map by_key;
	struct list by_age; /* the oldest first */
};

static void drop(struct tls_sessions *t, struct kept *kept)
{
	map_remove(&t->by_key, slice_of(kept->key));
	list_del(&kept->by_age);
	SSL_SESSION_free(kept->session);
	free(kept->key);
	free(kept);
}

static bool is_too_old(const struct tls_sessions *t, const SSL_SESSION *session)
{
	long made = SSL_SESSION_get_time(session), now = (long)time(NULL);
	long lifetime = SSL_SESSION_get_timeout(session);

	return now < made || now - made >= (lifetime < t->seconds ? lifetime : t->seconds);
}

static struct kept *kept_for(struct tls_sessions *t, const char *key)
{
	struct kept *kept = map_get_str(&t->by_key, key);

	if (kept) {
		list_del(&kept->by_age);
	} else {
		if (t->by_key.count >= t->max)
			drop(t, list_entry(t->by_age.next, struct kept, by_age));
		kept = xcalloc(1, sizeof(*kept));
		kept->key = xstrdup(key);
		map_put_str(&t->by_key, key, kept);
	}
	list_add_tail(&t->by_age, &kept->by_age);
	return kept;
}

static void keep(struct tls_sessions *t, const char *key, SSL_SESSION *session)
{
	struct kept *kept;

	pthread_mutex_lock(&t->lock);
	kept = kept_for(t, key);
	SSL_SESSION_free(kept->session);
	kept->session = session;
	pthread_mutex_unlock(&t->lock);
}

static int new_session(SSL *ssl, SSL_SESSION *session)
{
	const struct tls_connection *c = SSL_get_app_data(ssl);
	SSL_SESSION *copy;

	if (!c->session_key || !SSL_SESSION_is_resumable(session))
		return 0;
	copy = SSL_SESSION_dup(session);
	if (!copy)
		return 0;
	if (c->log_sessions)
		log_info("save session %s to %s cache", c->session_key, c->ctx->cache_name);
	keep(c->ctx->sessions, c->session_key, copy);
	return 0;
}

struct tls_sessions *tls_sessions_new(SSL_CTX *ctx, long seconds, size_t max)
{
	struct tls_sessions *t = xcalloc(1, sizeof(*t));

	t->seconds = seconds;
	t->max = max ? max : 1;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->by_age);
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_new_cb(ctx, new_session);
	return t;
}

void tls_sessions_free(struct tls_sessions *t)
{
	if (!t)
		return;
	while (!list_is_empty(&t->by_age))
		drop(t, list_entry(t->by_age.next, struct kept, by_age));
	map_release(&t->by_key, NULL);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* A session of its own for a connection, or NULL. */
static SSL_SESSION *take(struct tls_sessions *t, const char *key)
{
	SSL_SESSION *taken = NULL;
	struct kept *kept;

	pthread_mutex_lock(&t->lock);
	kept = map_get_str(&t->by_key, key);
	if (kept && is_too_old(t, kept->session))
		drop(t, kept);
	else if (kept)
		taken = SSL_SESSION_dup(kept->session);
	pthread_mutex_unlock(&t->lock);
	return taken;
}

bool tls_sessions_use(struct tls_sessions *t, struct tls_connection *c)
{
	SSL_SESSION *session = take(t, c->session_key);
	bool used = session && SSL_set_session(c->ssl, session) == 1;

	SSL_SESSION_free(session);
	return used;
}

void tls_sessions_forget(struct tls_sessions *t, const char *key)
{
	struct kept *kept;

	pthread_mutex_lock(&t->lock);
	kept = map_get_str(&t->by_key, key);
	if (kept)
		drop(t, kept);
	pthread_mutex_unlock(&t->lock);
}

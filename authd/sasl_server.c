// SPDX-License-Identifier: BSD-2-Clause
/*
 * The library asks its callback for passwords and, when that says no, goes on to its own ways of
 * checking them.  Those are closed: it is told of a way that does not exist, it reads no
 * configuration, and in the end our own note of what the databases said decides, not its result
 * alone.
 */
#include "authd/sasl_server.h"

#include <pthread.h>
#include <sasl/sasl.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_proto.h"
#include "base/check.h"
#include "log/log.h"

#define SERVICE "postcote"

static const struct sasl_mechanism known[] = {
	{ "PLAIN", AUTH_MECH_PLAINTEXT },
	{ "LOGIN", AUTH_MECH_PLAINTEXT },
};

/* What Dovecot has beside them. */
static const char *const absent[] = { "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256",
	"APOP", "ANONYMOUS", "GSSAPI", "GSS-SPNEGO", "OTP", "EXTERNAL", "OAUTHBEARER", "XOAUTH2",
	"NTLM", "RPA", "SKEY" };

static const struct sasl_mechanism *offered[ARRAY_LEN(known)];
static size_t offered_count;

struct sasl_exchange {
	const struct sasl_mechanism *mechanism;
	sasl_conn_t *conn;
	sasl_check *check;
	void *arg;
	bool checked, accepted;
	sasl_callback_t callbacks[4]; /* the library keeps the pointer */
};

/* --- what the library needs of threads --- */

static void *mutex_new(void)
{
	pthread_mutex_t *mutex = xmalloc(sizeof(*mutex));

	pthread_mutex_init(mutex, NULL);
	return mutex;
}

static int mutex_lock(void *mutex)
{
	return pthread_mutex_lock(mutex) ? SASL_FAIL : SASL_OK;
}

static int mutex_unlock(void *mutex)
{
	return pthread_mutex_unlock(mutex) ? SASL_FAIL : SASL_OK;
}

static void mutex_free(void *mutex)
{
	pthread_mutex_destroy(mutex);
	free(mutex);
}

/* --- callbacks --- */

static int get_option(
    void *context, const char *plugin, const char *option, const char **result, unsigned *len)
{
	static const struct {
		const char *name, *value;
	} options[] = { { "pwcheck_method", "postcote" }, { "auto_transition", "no" },
		{ "log_level", "0" } };

	(void)context;
	(void)plugin;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, option) != 0)
			continue;
		*result = options[i].value;
		if (len)
			*len = (unsigned)strlen(*result);
		return SASL_OK;
	}
	return SASL_FAIL;
}

static int get_config_path(void *context, char **path)
{
	static char nowhere[] = "/nonexistent"; /* the library only reads it */

	(void)context;
	*path = nowhere;
	return SASL_OK;
}

/* Its lines would name neither user nor client; ours do. */
static int log_nothing(void *context, int level, const char *message)
{
	(void)context;
	(void)level;
	(void)message;
	return SASL_OK;
}

/* The name as it came: trimming and realms are for the rules of dovecot.conf. */
static int keep_name(sasl_conn_t *conn, void *context, const char *in, unsigned in_len,
    unsigned flags, const char *realm, char *out, unsigned out_max, unsigned *out_len)
{
	(void)conn;
	(void)context;
	(void)flags;
	(void)realm;
	if (in_len >= out_max)
		return SASL_BUFOVER;
	memmove(out, in, in_len);
	out[in_len] = '\0';
	*out_len = in_len;
	return SASL_OK;
}

static int check_password(sasl_conn_t *conn, void *context, const char *user, const char *password,
    unsigned len, struct propctx *properties)
{
	struct sasl_exchange *x = context;

	(void)conn;
	(void)properties;
	if (x->checked)
		return SASL_BADAUTH;
	x->checked = true;
	x->accepted = x->check(x->arg, slice_of(user), slice_mem(password, len));
	return x->accepted ? SASL_OK : SASL_BADAUTH;
}

typedef int (*any_callback)(void);
#define CALLBACK(f) ((any_callback)(void (*)(void))(f))

static bool is_absent(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		if (slice_caseeq_str(name, absent[i]))
			return true;
	return false;
}

static void offer(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!slice_caseeq_str(name, known[i].name))
			continue;
		if (!sasl_mechanism_find(name))
			offered[offered_count++] = &known[i];
		return;
	}
	if (!is_absent(name))
		fatal("Unknown authentication mechanism '%.*s'", SLICE_ARG(name));
	log_warning("auth_mechanisms: %.*s is not there yet and not offered", SLICE_ARG(name));
}

void sasl_server_setup(const char *wanted)
{
	static const sasl_callback_t callbacks[] = {
		{ SASL_CB_GETOPT, CALLBACK(get_option), NULL },
		{ SASL_CB_GETCONFPATH, CALLBACK(get_config_path), NULL },
		{ SASL_CB_LOG, CALLBACK(log_nothing), NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	struct slice rest = slice_of(wanted), word;
	int result;

	sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
	result = sasl_server_init(callbacks, SERVICE);
	if (result != SASL_OK)
		fatal("SASL library: %s", sasl_errstring(result, NULL, NULL));
	while (slice_token(&rest, ", \t", &word))
		offer(word);
	for (size_t i = 0; i < offered_count; i++) {
		struct strbuf unused = STRBUF_INIT(1000);
		struct sasl_exchange *x = sasl_exchange_new(offered[i], NULL, NULL);

		/* Every mechanism of ours begins with a challenge, or has not been installed. */
		if (!x || sasl_exchange_start(x, SLICE_NULL, &unused) != SASL_RESULT_CONTINUE)
			fatal("SASL mechanism %s is missing: install Cyrus SASL's modules",
			    offered[i]->name);
		sasl_exchange_free(x);
		strbuf_release(&unused);
	}
}

size_t sasl_mechanism_count(void)
{
	return offered_count;
}

const struct sasl_mechanism *sasl_mechanism_at(size_t i)
{
	return offered[i];
}

const struct sasl_mechanism *sasl_mechanism_find(struct slice name)
{
	for (size_t i = 0; i < offered_count; i++)
		if (slice_caseeq_str(name, offered[i]->name))
			return offered[i];
	return NULL;
}

struct sasl_exchange *sasl_exchange_new(
    const struct sasl_mechanism *mechanism, sasl_check *check, void *arg)
{
	struct sasl_exchange *x = xcalloc(1, sizeof(*x));

	x->mechanism = mechanism;
	x->check = check;
	x->arg = arg;
	x->callbacks[0] =
	    (sasl_callback_t){ SASL_CB_SERVER_USERDB_CHECKPASS, CALLBACK(check_password), x };
	x->callbacks[1] = (sasl_callback_t){ SASL_CB_CANON_USER, CALLBACK(keep_name), x };
	x->callbacks[2] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	if (sasl_server_new(SERVICE, "localhost", NULL, NULL, NULL, x->callbacks, 0, &x->conn) ==
	    SASL_OK)
		return x;
	free(x);
	return NULL;
}

void sasl_exchange_free(struct sasl_exchange *x)
{
	if (!x)
		return;
	sasl_dispose(&x->conn);
	free(x);
}

static enum sasl_result finish_step(const struct sasl_exchange *x, int result,
    const char *out_bytes, unsigned out_len, struct strbuf *out)
{
	if (result == SASL_CONTINUE) {
		strbuf_add(out, out_bytes, out_len);
		return SASL_RESULT_CONTINUE;
	}
	return result == SASL_OK && x->accepted ? SASL_RESULT_DONE : SASL_RESULT_FAILED;
}

enum sasl_result sasl_exchange_start(
    struct sasl_exchange *x, struct slice response, struct strbuf *out)
{
	const char *bytes = NULL;
	unsigned len = 0;
	int result = sasl_server_start(
	    x->conn, x->mechanism->name, response.ptr, (unsigned)response.len, &bytes, &len);

	return finish_step(x, result, bytes, len, out);
}

enum sasl_result sasl_exchange_step(
    struct sasl_exchange *x, struct slice response, struct strbuf *out)
{
	const char *bytes = NULL;
	unsigned len = 0;
	int result = sasl_server_step(
	    x->conn, response.ptr ? response.ptr : "", (unsigned)response.len, &bytes, &len);

	return finish_step(x, result, bytes, len, out);
}

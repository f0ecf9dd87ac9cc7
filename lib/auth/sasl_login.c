// SPDX-License-Identifier: BSD-2-Clause
/*
 * Cyrus SASL's client side.  The library asks for name and password through callbacks; the one for
 * the name on whose behalf we act (the authzid) is only there when it is to be sent.
 */
#include "auth/sasl_login.h"

#include <sasl/sasl.h>
#include <stdlib.h>
#include <string.h>

#include "auth/sasl_library.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"

/* RFC 4954 4: base64 of what one side says at a time. */
#define WORD_MAX 12288

enum { CALLBACK_AUTHNAME, CALLBACK_PASSWORD, CALLBACK_USER, CALLBACK_END, CALLBACKS };

struct sasl_login {
	sasl_conn_t *conn;
	sasl_callback_t callbacks[CALLBACKS]; /* the library keeps the pointer */
	char *server, *user;
	sasl_secret_t *secret;
	bool done;
};

/* What the library calls a word of smtp_sasl_security_options. */
static const struct {
	const char *word;
	unsigned flag;
} security_words[] = {
	{ "noplaintext", SASL_SEC_NOPLAINTEXT },
	{ "noactive", SASL_SEC_NOACTIVE },
	{ "nodictionary", SASL_SEC_NODICTIONARY },
	{ "noanonymous", SASL_SEC_NOANONYMOUS },
	{ "forward_secrecy", SASL_SEC_FORWARD_SECRECY },
	{ "mutual_auth", SASL_SEC_MUTUAL_AUTH },
};

/* --- callbacks --- */

/* As the server's side has it, in the peer's words. */
static int log_message(void *context, int level, const char *message)
{
	(void)context;
	if (!message)
		return SASL_OK;
	if (level == SASL_LOG_FAIL)
		log_warning("SASL authentication failure: %s", message);
	else if (level == SASL_LOG_ERR || level == SASL_LOG_WARN)
		log_warning("SASL authentication problem: %s", message);
	return SASL_OK;
}

static int get_user(void *context, int id, const char **result, unsigned *len)
{
	const struct sasl_login *c = context;

	(void)id;
	*result = c->user;
	if (len)
		*len = (unsigned)strlen(c->user);
	return SASL_OK;
}

static int get_password(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret)
{
	const struct sasl_login *c = context;

	(void)conn;
	(void)id;
	*secret = c->secret;
	return SASL_OK;
}

/* --- the library --- */

bool sasl_login_open(const char *path, struct reason *why)
{
	static const sasl_callback_t callbacks[] = {
		{ SASL_CB_LOG, SASL_LIBRARY_CALLBACK(log_message), NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	unsigned char digest[DIGEST_MAX_SIZE];
	char *copy;
	int result;

	if (path && *path) {
		copy = xstrdup(path);
		result = sasl_set_path(SASL_PATH_TYPE_CONFIG, copy);
		free(copy);
		if (result != SASL_OK) {
			reason_set(why, "4.3.5",
			    "failed to set Cyrus SASL configuration path: \"%s\"", path);
			return false;
		}
	}
	sasl_library_threads();
	result = sasl_client_init(callbacks);
	if (result != SASL_OK) {
		reason_set(why, "4.3.5", "SASL library initialization error: %s",
		    sasl_errstring(result, NULL, NULL));
		return false;
	}
	/* Plug-ins use libcrypto, whose configuration nobody can read behind the walls. */
	digest_bytes("SHA256", SLICE_NULL, digest);
	return true;
}

/* The library's nonces are read from there. */
const char *sasl_login_reads(size_t i)
{
	return i == 0 ? "/dev/urandom" : NULL;
}

static unsigned word_flag(struct slice word)
{
	for (size_t i = 0; i < ARRAY_LEN(security_words); i++)
		if (slice_caseeq_str(word, security_words[i].word))
			return security_words[i].flag;
	return 0;
}

bool sasl_login_knows(const char *security, struct slice *unknown)
{
	struct slice rest = slice_of(security);

	while (slice_token(&rest, ", \t\r\n", unknown))
		if (!word_flag(*unknown))
			return false;
	return true;
}

/* --- a login --- */

static sasl_security_properties_t properties_of(const char *security)
{
	/* Layers that encrypt are for others than SMTP. */
	sasl_security_properties_t properties = { .max_ssf = 0 };
	struct slice rest = slice_of(security), word;

	while (slice_token(&rest, ", \t\r\n", &word))
		properties.security_flags |= word_flag(word);
	return properties;
}

static struct sasl_login *client_new(const struct sasl_login_wish *wish)
{
	struct sasl_login *c = xcalloc(1, sizeof(*c));
	size_t len = strlen(wish->password);

	c->server = xstrdup(wish->server);
	c->user = xstrdup(wish->user);
	c->secret = xcalloc(1, sizeof(*c->secret) + len + 1);
	c->secret->len = len;
	memcpy(c->secret->data, wish->password, len);
	c->callbacks[CALLBACK_AUTHNAME] =
	    (sasl_callback_t){ SASL_CB_AUTHNAME, SASL_LIBRARY_CALLBACK(get_user), c };
	c->callbacks[CALLBACK_PASSWORD] =
	    (sasl_callback_t){ SASL_CB_PASS, SASL_LIBRARY_CALLBACK(get_password), c };
	c->callbacks[CALLBACK_USER] =
	    (sasl_callback_t){ SASL_CB_USER, SASL_LIBRARY_CALLBACK(get_user), c };
	if (wish->no_authzid)
		c->callbacks[CALLBACK_USER].id = SASL_CB_LIST_END;
	c->callbacks[CALLBACK_END] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	return c;
}

void sasl_login_free(struct sasl_login *c)
{
	if (!c)
		return;
	if (c->conn)
		sasl_dispose(&c->conn);
	secret_clear(c->secret->data, c->secret->len);
	free(c->secret);
	free(c->user);
	free(c->server);
	free(c);
}

bool sasl_login_is_done(const struct sasl_login *c)
{
	return c->done;
}

static bool fail(int result, struct reason *why)
{
	reason_set(why, "4.7.0", "%s", sasl_errstring(result, NULL, NULL));
	return false;
}

/* What a step of the library gave becomes WORD; false with WHY. */
static bool settle(struct sasl_login *c, int result, const char *bytes, unsigned len,
    struct strbuf *word, struct reason *why)
{
	if (result != SASL_OK && result != SASL_CONTINUE)
		return fail(result, why);
	c->done = result == SASL_OK;
	strbuf_reset(word);
	base64_encode(word, slice_mem(bytes, bytes ? len : 0));
	return (!word->overflow && word->len <= WORD_MAX) || fail(SASL_BUFOVER, why);
}

struct sasl_login *sasl_login_start(const struct sasl_login_wish *wish, const char **mechanism,
    struct strbuf *initial, bool *has_initial, struct reason *why)
{
	struct sasl_login *c = client_new(wish);
	sasl_security_properties_t properties = properties_of(wish->security);
	const char *bytes = NULL;
	unsigned len = 0;
	int result =
	    sasl_client_new(wish->service, c->server, NULL, NULL, c->callbacks, 0, &c->conn);

	if (result == SASL_OK)
		result = sasl_setprop(c->conn, SASL_SEC_PROPS, &properties);
	if (result == SASL_OK)
		result =
		    sasl_client_start(c->conn, wish->mechanisms, NULL, &bytes, &len, mechanism);
	if (settle(c, result, bytes, len, initial, why)) {
		*has_initial = bytes != NULL;
		return c;
	}
	sasl_login_free(c);
	return NULL;
}

bool sasl_login_step(
    struct sasl_login *c, struct slice challenge, struct strbuf *response, struct reason *why)
{
	struct strbuf decoded = STRBUF_INIT(WORD_MAX);
	const char *bytes = NULL;
	unsigned len = 0;
	int result;

	if (challenge.len > WORD_MAX)
		result = SASL_BUFOVER;
	else if (challenge.len && !base64_decode(&decoded, challenge))
		result = SASL_BADPROT;
	else
		result = sasl_client_step(
		    c->conn, decoded.ptr, (unsigned)decoded.len, NULL, &bytes, &len);
	secret_release(&decoded);
	return settle(c, result, bytes, len, response, why);
}

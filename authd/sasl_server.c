// SPDX-License-Identifier: BSD-2-Clause
/*
 * The library asks its callback for passwords and, when that says no, goes on to its own ways of
 * checking them.  Those are closed: it is told of a way that does not exist, it reads no
 * configuration, its only source of stored passwords is a plug-in of ours, and in the end our own
 * note of what the databases said decides, not its result alone.
 *
 * Whom the user wants to act for is ours to judge, too: the library is told that all is well, since
 * passdb blocks for master users have looked at it before.
 */
#include "authd/sasl_server.h"

#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_proto.h"
#include "auth/sasl_library.h"
#include "authd/sasl_peek.h"
#include "authd/sasl_secrets.h"
#include "base/check.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"

#define APPLICATION "postcote"
/* Without a certificate EXTERNAL is let begin all the same, and refused in the end. */
#define NO_CERT_USER	 "?"
#define CANON_MAX	 1024 /* the library's own limit */
#define AUTHZID_MAX	 512
#define SECRET_MAX	 4096
#define APOP_DIGEST_SIZE 16

static const char *digest_realms;

struct sasl_exchange {
	const struct sasl_mechanism *mechanism;
	sasl_conn_t *conn;
	const struct sasl_asker *asker;
	void *arg;
	struct strbuf authzid;
	struct strbuf realm; /* DIGEST-MD5: the client's; "" for none */
	bool named;	     /* the asker knows who it is */
	bool accepted;	     /* by the databases */
	bool answered;	     /* there was a look at the databases */
	bool unavailable;
	bool has_cert_user;
	struct credentials credentials;
	sasl_callback_t callbacks[4]; /* the library keeps the pointer */
};

/* --- callbacks --- */

static bool is_mechanism(const struct sasl_exchange *x, const char *name)
{
	return !strcmp(x->mechanism->name, name);
}

static int get_option(
    void *context, const char *plugin, const char *option, const char **result, unsigned *len)
{
	static const struct {
		const char *name, *value;
	} options[] = { { "pwcheck_method", "postcote" }, { "auxprop_plugin", "postcote" },
		{ "auto_transition", "no" }, { "log_level", "0" } };

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

static bool ask_name(struct sasl_exchange *x, struct slice name)
{
	if (is_mechanism(x, "EXTERNAL") && !x->has_cert_user)
		return false;
	if (!x->named && x->asker) {
		struct strbuf whole = STRBUF_INIT(CANON_MAX);

		strbuf_addslice(&whole, name);
		if (x->realm.len && slice_find(name, '@') < 0)
			strbuf_addf(&whole, "@%s", x->realm.ptr);
		x->named = !whole.overflow &&
			   x->asker->name(x->arg, strbuf_slice(&whole), strbuf_slice(&x->authzid));
		strbuf_release(&whole);
	}
	return x->named;
}

/* The name as it came: trimming and realms are for the rules of dovecot.conf. */
static int keep_name(sasl_conn_t *conn, void *context, const char *in, unsigned in_len,
    unsigned flags, const char *realm, char *out, unsigned out_max, unsigned *out_len)
{
	struct sasl_exchange *x = context;

	(void)conn;
	(void)realm;
	if (in_len >= out_max)
		return SASL_BUFOVER;
	memmove(out, in, in_len);
	out[in_len] = '\0';
	*out_len = in_len;
	if (!(flags & SASL_CU_AUTHID) || (x->mechanism->flags & AUTH_MECH_ANONYMOUS))
		return SASL_OK;
	return ask_name(x, slice_mem(out, in_len)) ? SASL_OK : SASL_BADAUTH;
}

static int check_password(sasl_conn_t *conn, void *context, const char *user, const char *password,
    unsigned len, struct propctx *properties)
{
	struct sasl_exchange *x = context;

	(void)conn;
	(void)user;
	(void)properties;
	if (x->answered || !x->named)
		return SASL_BADAUTH;
	x->answered = true;
	x->accepted = x->asker->verify(x->arg, slice_mem(password, len));
	return x->accepted ? SASL_OK : SASL_BADAUTH;
}

static int allow_all(sasl_conn_t *conn, void *context, const char *requested, unsigned rlen,
    const char *user, unsigned alen, const char *realm, unsigned urlen, struct propctx *properties)
{
	(void)conn;
	(void)context;
	(void)requested;
	(void)rlen;
	(void)user;
	(void)alen;
	(void)realm;
	(void)urlen;
	(void)properties;
	return SASL_OK;
}

/* --- our plug-in, which tells stored passwords --- */

/* From the first question on the answer stays the same. */
static void ask_credentials(struct sasl_exchange *x)
{
	if (x->answered)
		return;
	x->answered = true;
	x->credentials.wanted = x->mechanism->scheme;
	switch (x->asker->credentials(x->arg, &x->credentials)) {
	case DB_OK:
		x->accepted = true;
		sasl_secrets_saw(&x->credentials);
		break;
	case DB_FAILED:
		x->unavailable = true;
		break;
	default:
		break;
	}
}

static void set_property(const struct sasl_exchange *x, sasl_server_params_t *params,
    const char *name, struct slice user)
{
	struct strbuf value = STRBUF_INIT(SECRET_MAX);
	const char *plain_name = *name == '*' ? name + 1 : name;
	bool good = true;

	if (x->accepted)
		good = sasl_secret(&x->credentials, plain_name, &value);
	else
		sasl_secret_fake(x->mechanism->scheme, user, plain_name, &value);
	if (good && value.len && !value.overflow)
		params->utils->prop_set(params->propctx, name, value.ptr, (int)value.len);
	secret_release(&value);
}

static int look_up(
    void *plugin, sasl_server_params_t *params, unsigned flags, const char *user, unsigned len)
{
	const struct propval *wanted = params->utils->prop_get(params->propctx);
	sasl_callback_ft unused;
	void *context = NULL;
	struct sasl_exchange *x;

	(void)plugin;
	if ((flags & SASL_AUXPROP_AUTHZID) || !wanted || !wanted->name)
		return SASL_OK;
	if (params->utils->getcallback(
		params->utils->conn, SASL_CB_CANON_USER, &unused, &context) != SASL_OK)
		return SASL_FAIL;
	x = context;
	if (!x->mechanism->scheme || !x->named)
		return SASL_NOUSER;
	ask_credentials(x);
	if (x->unavailable)
		return SASL_UNAVAIL;
	for (; wanted->name; wanted++)
		set_property(x, params, wanted->name, slice_mem(user, len));
	return SASL_OK;
}

static int plugin_init(const sasl_utils_t *utils, int max_version, int *version,
    sasl_auxprop_plug_t **plugin, const char *name)
{
	static char plugin_name[] = "postcote";
	static sasl_auxprop_plug_t ours = { .auxprop_lookup = look_up, .name = plugin_name };

	(void)utils;
	(void)name;
	if (max_version < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	*version = SASL_AUXPROP_PLUG_VERSION;
	*plugin = &ours;
	return SASL_OK;
}

/* --- setting up --- */

static bool is_ours(const struct sasl_mechanism *mechanism)
{
	return (mechanism->flags & AUTH_MECH_PRIVATE) != 0;
}

/* Every mechanism of the library begins with a challenge, or has not been installed. */
static void try_out(const struct sasl_mechanism *mechanism)
{
	struct strbuf unused = STRBUF_INIT(AUTH_REPLY_MAX);
	static const struct sasl_client nobody = { "smtp", "" };
	struct sasl_exchange *x = sasl_exchange_new(mechanism, NULL, NULL, &nobody);

	if (!x || (!is_ours(mechanism) &&
		      sasl_exchange_start(x, SLICE_NULL, &unused) != SASL_RESULT_CONTINUE))
		fatal(
		    "SASL mechanism %s is missing: install Cyrus SASL's modules", mechanism->name);
	sasl_exchange_free(x);
	strbuf_release(&unused);
}

void sasl_server_setup(const char *wanted, const char *realms)
{
	static const sasl_callback_t callbacks[] = {
		{ SASL_CB_GETOPT, SASL_LIBRARY_CALLBACK(get_option), NULL },
		{ SASL_CB_GETCONFPATH, SASL_LIBRARY_CALLBACK(get_config_path), NULL },
		{ SASL_CB_LOG, SASL_LIBRARY_CALLBACK(log_nothing), NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	int result;

	sasl_library_threads();
	result = sasl_server_init(callbacks, APPLICATION);
	if (result == SASL_OK)
		result = sasl_auxprop_add_plugin("postcote", plugin_init);
	if (result != SASL_OK)
		fatal("SASL library: %s", sasl_errstring(result, NULL, NULL));
	digest_realms = realms;
	sasl_secrets_setup();
	sasl_mechanism_offer(wanted);
	for (size_t i = 0; i < sasl_mechanism_count(); i++)
		try_out(sasl_mechanism_at(i));
}

/* --- exchanges --- */

/* GSSAPI's names, which clients of DIGEST-MD5 use in the digest-uri and the library compares. */
static const char *registered_name(const char *service)
{
	if (!strcmp(service, "pop3"))
		return "pop";
	return !strcmp(service, "submission") ? "smtp" : service;
}

static bool open_connection(struct sasl_exchange *x, const struct sasl_client *client)
{
	const char *cert_user = *client->cert_user ? client->cert_user : NO_CERT_USER;
	/* Without a host's name DIGEST-MD5 leaves the realm to the client. */
	const char *host = is_mechanism(x, "DIGEST-MD5") ? "" : NULL;

	if (sasl_server_new(registered_name(client->service), host, NULL, NULL, NULL, x->callbacks,
		SASL_SUCCESS_DATA, &x->conn) != SASL_OK)
		return false;
	return !is_mechanism(x, "EXTERNAL") ||
	       sasl_setprop(x->conn, SASL_AUTH_EXTERNAL, cert_user) == SASL_OK;
}

struct sasl_exchange *sasl_exchange_new(const struct sasl_mechanism *mechanism,
    const struct sasl_asker *asker, void *arg, const struct sasl_client *client)
{
	struct sasl_exchange *x = xcalloc(1, sizeof(*x));

	x->mechanism = mechanism;
	x->asker = asker;
	x->arg = arg;
	strbuf_init(&x->authzid, AUTHZID_MAX);
	strbuf_init(&x->realm, AUTHZID_MAX);
	x->callbacks[0] = (sasl_callback_t){ SASL_CB_SERVER_USERDB_CHECKPASS,
		SASL_LIBRARY_CALLBACK(check_password), x };
	x->callbacks[1] =
	    (sasl_callback_t){ SASL_CB_CANON_USER, SASL_LIBRARY_CALLBACK(keep_name), x };
	x->callbacks[2] =
	    (sasl_callback_t){ SASL_CB_PROXY_POLICY, SASL_LIBRARY_CALLBACK(allow_all), x };
	x->callbacks[3] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	x->has_cert_user = *client->cert_user != '\0';
	if (open_connection(x, client))
		return x;
	sasl_exchange_free(x);
	return NULL;
}

void sasl_exchange_free(struct sasl_exchange *x)
{
	if (!x)
		return;
	sasl_dispose(&x->conn);
	strbuf_release(&x->authzid);
	strbuf_release(&x->realm);
	free(x);
}

/*
 * Dovecot's order of words, with all of its realms; the rest is the same for everybody.  Charset
 * and algorithm are not in quotes (RFC 2831 2.1.1): curl gives up on Dovecot's, which are.
 */
static bool rewrite_digest_challenge(struct slice challenge, struct strbuf *out)
{
	struct strbuf nonce = STRBUF_INIT(256);
	struct slice rest = slice_of(digest_realms), realm;
	bool good = sasl_digest_value(challenge, "nonce", &nonce) && nonce.len;

	if (!slice_token(&rest, " ", &realm))
		strbuf_addstr(out, "realm=\"\",");
	else
		do
			strbuf_addf(out, "realm=\"%.*s\",", SLICE_ARG(realm));
		while (slice_token(&rest, " ", &realm));
	strbuf_addf(out, "nonce=\"%s\",qop=\"auth\",charset=utf-8,algorithm=md5-sess", nonce.ptr);
	strbuf_release(&nonce);
	return good && !out->overflow;
}

static enum sasl_result finish_step(
    const struct sasl_exchange *x, int result, struct slice said, bool first, struct strbuf *out)
{
	if (result == SASL_CONTINUE) {
		if (first && is_mechanism(x, "DIGEST-MD5"))
			return rewrite_digest_challenge(said, out) ? SASL_RESULT_CONTINUE
								   : SASL_RESULT_FAILED;
		strbuf_addslice(out, said);
		return SASL_RESULT_CONTINUE;
	}
	if (result != SASL_OK || !x->accepted)
		return SASL_RESULT_FAILED;
	strbuf_addslice(out, said);
	return SASL_RESULT_DONE;
}

/* What is not the library's to ask of the databases. */
static void ask_at_end(struct sasl_exchange *x, struct slice response)
{
	if (is_mechanism(x, "ANONYMOUS"))
		x->accepted = x->asker && x->asker->anonymous(x->arg, response);
	else if (is_mechanism(x, "EXTERNAL") && x->named)
		x->accepted = x->asker->verify(x->arg, slice_of(""));
}

/*
 * What the library would not refuse, or later only.  It takes a text's end for that of a user's
 * name, for one.
 */
static bool is_refused(const struct sasl_exchange *x, struct slice response)
{
	bool is_scram = !strncmp(x->mechanism->name, "SCRAM-", 6);

	if (!x->mechanism->allows_nuls && slice_has_nul(response))
		return true;
	/* RFC 5802 7: "p=" asks for a channel binding, which we have none of. */
	return is_scram && response.ptr && (!response.len || slice_starts(response, "p="));
}

/* False: nobody has such a name. */
static bool take_names(struct sasl_exchange *x, struct slice response)
{
	if (x->named || !response.ptr)
		return true;
	if (x->mechanism->peek)
		x->mechanism->peek(response, &x->authzid);
	if (is_mechanism(x, "DIGEST-MD5"))
		sasl_digest_value(response, "realm", &x->realm);
	/* Too long to be anybody's, and not to be taken for none. */
	if (x->authzid.overflow || x->realm.overflow)
		return false;
	/* The library looks at it only when it has the password, too. */
	return !is_mechanism(x, "LOGIN") || ask_name(x, response);
}

/*
 * Dovecot's: "<pid.connection.time.random@host>", with which POP3 greeted (the first three in hex,
 * from our hello), NUL, user, NUL, the digest's 16 bytes.  The library wants "user hex".
 */
static enum sasl_result run_apop(struct sasl_exchange *x, struct slice response)
{
	struct strbuf text = STRBUF_INIT(AUTH_LINE_MAX);
	struct slice challenge, user, digest;
	ptrdiff_t nul = response.ptr ? slice_find(response, '\0') : -1;
	int result = SASL_FAIL;

	if (nul < 0)
		return SASL_RESULT_FAILED;
	challenge = slice_first(response, (size_t)nul);
	user = slice_from(response, (size_t)nul + 1);
	nul = slice_find(user, '\0');
	if (nul < 0 || user.len - (size_t)nul - 1 != APOP_DIGEST_SIZE ||
	    !x->asker->challenge(x->arg, challenge))
		return SASL_RESULT_FAILED;
	digest = slice_from(user, (size_t)nul + 1);
	strbuf_addslice(&text, slice_first(user, (size_t)nul));
	strbuf_addch(&text, ' ');
	hex_encode(&text, digest);
	if (!text.overflow)
		result = sasl_checkapop(
		    x->conn, challenge.ptr, (unsigned)challenge.len, text.ptr, (unsigned)text.len);
	strbuf_release(&text);
	return result == SASL_OK && x->accepted ? SASL_RESULT_DONE : SASL_RESULT_FAILED;
}

enum sasl_result sasl_exchange_start(
    struct sasl_exchange *x, struct slice response, struct strbuf *out)
{
	const char *bytes = NULL;
	unsigned len = 0;
	int result;

	if (is_ours(x->mechanism))
		return run_apop(x, response);
	/* An empty name is asked for again. */
	if ((x->mechanism->server_first && !slice_has_nul(response)) ||
	    (!response.len && is_mechanism(x, "LOGIN")))
		response = SLICE_NULL;
	if (is_refused(x, response) || !take_names(x, response))
		return SASL_RESULT_FAILED;
	result = sasl_server_start(
	    x->conn, x->mechanism->name, response.ptr, (unsigned)response.len, &bytes, &len);
	if (result == SASL_OK)
		ask_at_end(x, response);
	return finish_step(x, result, slice_mem(bytes, len), true, out);
}

enum sasl_result sasl_exchange_step(
    struct sasl_exchange *x, struct slice response, struct strbuf *out)
{
	const char *bytes = NULL;
	unsigned len = 0;
	int result;

	if (is_ours(x->mechanism))
		return SASL_RESULT_FAILED;
	if (is_refused(x, response) || !take_names(x, response))
		return SASL_RESULT_FAILED;
	result = sasl_server_step(
	    x->conn, response.ptr ? response.ptr : "", (unsigned)response.len, &bytes, &len);
	if (result == SASL_OK)
		ask_at_end(x, response);
	return finish_step(x, result, slice_mem(bytes, len), false, out);
}

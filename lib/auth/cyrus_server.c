// SPDX-License-Identifier: BSD-2-Clause
/*
 * Cyrus SASL's server side in this process, as smtpd_sasl_type = cyrus has it: mechanisms and
 * auxprop plug-ins are the library's.  It asks our callback about a password first; there we ask
 * saslauthd ourselves, with a deadline.  The library is told of the other methods only.
 */
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_service.h"
#include "auth/cyrus_config.h"
#include "auth/sasl_library.h"
#include "auth/saslauthd_client.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"

/* How long saslauthd may think; within the session's own deadline. */
#define SASLAUTHD_MS (30 * 1000)
/* Base64 of what a mechanism says; DIGEST-MD5's is the longest. */
#define CHALLENGE_MAX (64 * 1024)

struct cyrus {
	struct auth_service base;
	struct cyrus_config config;
	char *service, *host, *realm;
	struct auth_mechanism mechanisms[AUTH_MECHANISMS_MAX];
	size_t mechanism_count;
};

struct cyrus_exchange {
	struct auth_exchange base;
	const struct cyrus *cyrus;
	sasl_conn_t *conn;
	sasl_callback_t callbacks[3]; /* the library keeps the pointer */
	struct strbuf challenge;
	char *user;
	int64_t deadline;
	bool asked;   /* saslauthd, in this step */
	int answered; /* what came of it */
};

/* The library has one configuration per process, and so have we. */
static struct cyrus *only;

/* --- callbacks --- */

static int get_config_path(void *context, const char **path)
{
	(void)context;
	*path = only->config.directory ? only->config.directory : "/nonexistent";
	return SASL_OK;
}

/* Everything else is in the file, and the library finds it there. */
static int get_option(
    void *context, const char *plugin, const char *option, const char **result, unsigned *len)
{
	(void)context;
	(void)plugin;
	if (strcmp(option, "pwcheck_method") != 0)
		return SASL_FAIL;
	*result = *only->config.methods ? only->config.methods : "postcote";
	if (len)
		*len = (unsigned)strlen(*result);
	return SASL_OK;
}

/* In the peer's words; that our callback is no method of the library's is none of its business. */
static int log_message(void *context, int level, const char *message)
{
	(void)context;
	if (!message || slice_starts(slice_of(message), "unknown password verifier"))
		return SASL_OK;
	if (level == SASL_LOG_FAIL)
		log_warning("SASL authentication failure: %s", message);
	else if (level == SASL_LOG_ERR || level == SASL_LOG_WARN)
		log_warning("SASL authentication problem: %s", message);
	return SASL_OK;
}

static int check_password(sasl_conn_t *conn, void *context, const char *user, const char *password,
    unsigned len, struct propctx *properties)
{
	struct cyrus_exchange *x = context;
	const struct cyrus *cyrus = x->cyrus;
	int64_t deadline = deadline_in(SASLAUTHD_MS);
	const struct saslauthd_question question = {
		.user = slice_of(user),
		.password = slice_mem(password, len),
		.service = slice_of(cyrus->service),
		.realm = slice_of(cyrus->realm),
	};
	struct reason why;

	(void)conn;
	(void)properties;
	if (cyrus->config.other) {
		log_warning("SASL authentication problem: pwcheck_method names what is not there");
		x->asked = true;
		x->answered = SASL_FAIL;
	}
	if (!cyrus->config.saslauthd)
		return SASL_FAIL;
	x->asked = true;
	switch (saslauthd_ask(cyrus->config.saslauthd_path, &question,
	    deadline < x->deadline ? deadline : x->deadline, &why)) {
	case SASLAUTHD_YES:
		return SASL_OK;
	case SASLAUTHD_NO:
		if (!cyrus->config.other)
			x->answered = SASL_BADAUTH;
		break;
	case SASLAUTHD_UNAVAILABLE:
		log_warning("SASL authentication failure: %s", why.text);
		x->answered = SASL_FAIL;
		break;
	}
	return x->answered;
}

/* --- the service --- */

/* The library speaks of what a mechanism does not have, for some. */
static unsigned flags_of(unsigned security)
{
	unsigned flags = 0;

	if (!(security & SASL_SEC_NOPLAINTEXT))
		flags |= AUTH_MECH_PLAINTEXT;
	if (!(security & SASL_SEC_NOANONYMOUS))
		flags |= AUTH_MECH_ANONYMOUS;
	if (!(security & SASL_SEC_NOACTIVE))
		flags |= AUTH_MECH_ACTIVE;
	if (!(security & SASL_SEC_NODICTIONARY))
		flags |= AUTH_MECH_DICTIONARY;
	if (security & SASL_SEC_FORWARD_SECRECY)
		flags |= AUTH_MECH_FORWARD_SECRECY;
	if (security & SASL_SEC_MUTUAL_AUTH)
		flags |= AUTH_MECH_MUTUAL_AUTH;
	return flags;
}

static void take_flags(
    server_sasl_mechanism_t *mechanism, sasl_info_callback_stage_t stage, void *arg)
{
	struct cyrus *cyrus = arg;

	if (stage != SASL_INFO_LIST_MECH || !mechanism->plug)
		return;
	for (size_t i = 0; i < cyrus->mechanism_count; i++)
		if (!strcmp(cyrus->mechanisms[i].name, mechanism->plug->mech_name))
			cyrus->mechanisms[i].flags = flags_of(mechanism->plug->security_flags);
}

static int new_connection(
    const struct cyrus *cyrus, const sasl_callback_t *callbacks, sasl_conn_t **conn)
{
	/* Layers that encrypt are for others than SMTP. */
	sasl_security_properties_t none = { .max_ssf = 0 };
	int result = sasl_server_new(cyrus->service, cyrus->host,
	    *cyrus->realm ? cyrus->realm : NULL, NULL, NULL, callbacks, 0, conn);

	if (result == SASL_OK)
		result = sasl_setprop(*conn, SASL_SEC_PROPS, &none);
	return result;
}

/* In the library's order, which is by strength. */
static void list_mechanisms(struct cyrus *cyrus)
{
	sasl_conn_t *conn = NULL;
	const char *names = NULL;
	struct slice rest, word;

	if (new_connection(cyrus, NULL, &conn) == SASL_OK &&
	    sasl_listmech(conn, NULL, "", " ", "", &names, NULL, NULL) == SASL_OK) {
		rest = slice_of(names);
		while (cyrus->mechanism_count < AUTH_MECHANISMS_MAX &&
		       slice_token(&rest, " ", &word)) {
			struct auth_mechanism *m = &cyrus->mechanisms[cyrus->mechanism_count];

			if (word.len >= sizeof(m->name))
				continue;
			memcpy(m->name, word.ptr, word.len);
			/* Until the plug-in says better. */
			m->flags = flags_of(0);
			cyrus->mechanism_count++;
		}
	}
	sasl_dispose(&conn);
	sasl_server_plugin_info(NULL, take_flags, cyrus);
}

static struct auth_service *cyrus_open(const struct auth_service_config *config, struct reason *why)
{
	static const sasl_callback_t callbacks[] = {
		{ SASL_CB_LOG, SASL_LIBRARY_CALLBACK(log_message), NULL },
		{ SASL_CB_GETCONFPATH, SASL_LIBRARY_CALLBACK(get_config_path), NULL },
		{ SASL_CB_GETOPT, SASL_LIBRARY_CALLBACK(get_option), NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	struct cyrus *cyrus = xcalloc(1, sizeof(*cyrus));
	int result;

	ASSERT(!only);
	cyrus->base.class = &cyrus_server;
	cyrus_config_read(&cyrus->config, config->config_path, config->path);
	cyrus->service = xstrdup(config->service);
	cyrus->host = xstrdup(config->host);
	cyrus->realm = xstrdup(config->realm);
	only = cyrus;
	sasl_library_threads();
	result = sasl_server_init(callbacks, config->path);
	if (result != SASL_OK) {
		reason_set(why, "4.3.5", "SASL per-process initialization failed: %s",
		    sasl_errstring(result, NULL, NULL));
		return NULL;
	}
	list_mechanisms(cyrus);
	if (!cyrus->mechanism_count) {
		reason_set(why, "4.3.5", "no SASL authentication mechanisms");
		return NULL;
	}
	return &cyrus->base;
}

static bool cyrus_mechanisms(struct auth_service *base, int64_t deadline,
    struct auth_mechanism *list, size_t *count, struct reason *why)
{
	const struct cyrus *cyrus = (struct cyrus *)base;

	(void)deadline;
	(void)why;
	*count = cyrus->mechanism_count;
	memcpy(list, cyrus->mechanisms, *count * sizeof(*list));
	return true;
}

static void cyrus_refusal(const char *name, struct reason *why)
{
	log_warning("SASL authentication failure: Couldn't find mech %s", name);
	reason_set(why, "5.7.8", "%s", sasl_errstring(SASL_NOMECH, NULL, NULL));
}

/* The library's nonces are read from there. */
static const char *cyrus_reads(const struct auth_service *base, size_t i)
{
	const struct cyrus *cyrus = (const struct cyrus *)base;
	const char *const paths[] = { "/dev/urandom", cyrus->config.database };

	return i < ARRAY_LEN(paths) ? paths[i] : NULL;
}

/* --- an exchange --- */

/* Says no without telling whether the user is there. */
static enum auth_status refuse(struct cyrus_exchange *x, int result)
{
	if (x->asked && (x->answered == SASL_FAIL || !*x->cyrus->config.methods))
		result = x->answered;
	if (result == SASL_NOUSER)
		result = SASL_BADAUTH;
	x->base.reason = sasl_errstring(result, NULL, NULL);
	switch (result) {
	case SASL_FAIL:
	case SASL_NOMEM:
	case SASL_TRYAGAIN:
	case SASL_UNAVAIL:
		return AUTH_TEMPORARY;
	default:
		return AUTH_FAILED;
	}
}

static void note_user(struct cyrus_exchange *x)
{
	const void *name = NULL;

	free(x->user);
	x->user = NULL;
	if (sasl_getprop(x->conn, SASL_USERNAME, &name) == SASL_OK && name)
		x->user = xstrdup(name);
	x->base.user = x->user ? x->user : "";
}

static enum auth_status settle(
    struct cyrus_exchange *x, int result, const char *bytes, unsigned len)
{
	if (result == SASL_CONTINUE) {
		strbuf_reset(&x->challenge);
		base64_encode(&x->challenge, slice_mem(bytes, len));
		if (x->challenge.overflow)
			return refuse(x, SASL_BUFOVER);
		x->base.challenge = strbuf_slice(&x->challenge);
		return AUTH_CONTINUE;
	}
	note_user(x);
	if (result != SASL_OK)
		return refuse(x, result);
	if (*x->base.user)
		return AUTH_OK;
	log_warning("SASL authentication problem: the library names no user");
	return refuse(x, SASL_FAIL);
}

/* MECHANISM NULL: not the first step.  RESPONSE is base64; with a NULL pointer there is none. */
static enum auth_status step(
    struct cyrus_exchange *x, const char *mechanism, struct slice response, int64_t deadline)
{
	struct strbuf decoded = STRBUF_INIT(CHALLENGE_MAX);
	const char *bytes = NULL;
	enum auth_status status;
	unsigned len = 0;
	int result;

	x->deadline = deadline;
	x->asked = false;
	x->answered = SASL_OK;
	if (response.len && !base64_decode(&decoded, response)) {
		result = SASL_BADPROT;
	} else if (mechanism) {
		result = sasl_server_start(x->conn, mechanism,
		    response.ptr ? (decoded.len ? decoded.ptr : "") : NULL, (unsigned)decoded.len,
		    &bytes, &len);
	} else {
		result = sasl_server_step(
		    x->conn, decoded.len ? decoded.ptr : "", (unsigned)decoded.len, &bytes, &len);
	}
	status = settle(x, result, bytes, len);
	secret_release(&decoded);
	return status;
}

static struct auth_exchange *cyrus_start(struct auth_service *base,
    const struct auth_params *params, int64_t deadline, enum auth_status *status)
{
	struct cyrus_exchange *x = xcalloc(1, sizeof(*x));
	int result;

	x->base = (struct auth_exchange){ &cyrus_server, SLICE_NULL, "", "" };
	x->cyrus = (const struct cyrus *)base;
	strbuf_init(&x->challenge, CHALLENGE_MAX);
	x->callbacks[0] = (sasl_callback_t){ SASL_CB_SERVER_USERDB_CHECKPASS,
		SASL_LIBRARY_CALLBACK(check_password), x };
	x->callbacks[1] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	result = new_connection(x->cyrus, x->callbacks, &x->conn);
	if (result == SASL_OK)
		*status = step(x, params->mechanism, params->initial, deadline);
	else
		*status = refuse(x, result);
	return &x->base;
}

static enum auth_status cyrus_go_on(
    struct auth_exchange *base, struct slice response, int64_t deadline)
{
	return step((struct cyrus_exchange *)base, NULL, response, deadline);
}

static void cyrus_free(struct auth_exchange *base)
{
	struct cyrus_exchange *x = (struct cyrus_exchange *)base;

	if (x->conn)
		sasl_dispose(&x->conn);
	strbuf_release(&x->challenge);
	free(x->user);
	free(x);
}

const struct auth_service_class cyrus_server = {
	.type = "cyrus",
	.open = cyrus_open,
	.mechanisms = cyrus_mechanisms,
	.refusal = cyrus_refusal,
	.start = cyrus_start,
	.go_on = cyrus_go_on,
	.free = cyrus_free,
	.reads = cyrus_reads,
};

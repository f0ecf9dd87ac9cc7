// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which password, which mechanisms, under which demands; smtp_sasl_dialogue.c says it to the
 * server.
 */
#include "smtp/smtp_sasl.h"

#include <string.h>

#include "auth/sasl_login.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"
#include "mail/address.h"
#include "rewrite/address_lookup.h"
#include "smtp/smtp_sasl_internal.h"

#define MECHANISMS_MAX 4096
#define KEY_SECRET     32

static struct {
	struct tables *passwords;  /* NULL: no login ever */
	struct match_list *filter; /* NULL: every mechanism will do */
	struct address_rules *rules;
	bool by_sender;
	char delimiter;
	unsigned char secret[KEY_SECRET]; /* of smtp_sasl_key */
} sasl;

/* --- before the jail --- */

static void check_security(const char *name, const char *value)
{
	struct slice unknown;

	if (!sasl_login_knows(value, &unknown))
		fatal("unknown SASL security options value \"%.*s\" in \"%s\" (%s)",
		    SLICE_ARG(unknown), value, name);
}

static void open_library(const struct postfix_params *params)
{
	struct reason why;

	if (strcmp(SMTP_PARAM(sasl_type), "cyrus") != 0) {
		log_warning("unsupported SASL client implementation: %s", SMTP_PARAM(sasl_type));
		fatal("SASL library initialization");
	}
	if (!sasl_login_open(params->cyrus_sasl_config_path, &why)) {
		log_warning("%s", why.text);
		fatal("SASL library initialization");
	}
}

void smtp_sasl_prepare(const struct postfix_params *params)
{
	const char *delimiter = SMTP_PARAM(sasl_password_result_delimiter);

	if (!SMTP_PARAM(sasl_auth_enable))
		return;
	if (!*SMTP_PARAM(sasl_password_maps))
		fatal("specify a password table via the `%s' configuration parameter",
		    SMTP_PARAM_NAME("sasl_password_maps"));
	if (strlen(delimiter) != 1 || ascii_isspace(*delimiter))
		fatal("%s: \"%s\" is not one character",
		    SMTP_PARAM_NAME("sasl_password_result_delimiter"), delimiter);
	check_security(SMTP_PARAM_NAME("sasl_security_options"), SMTP_PARAM(sasl_security_options));
	check_security(
	    SMTP_PARAM_NAME("sasl_tls_security_options"), SMTP_PARAM(sasl_tls_security_options));
	check_security(SMTP_PARAM_NAME("sasl_tls_verified_security_options"),
	    SMTP_PARAM(sasl_tls_verified_security_options));
	open_library(params);
	tables_free(sasl.passwords);
	sasl.passwords =
	    tables_open(SMTP_PARAM_NAME("sasl_password_maps"), SMTP_PARAM(sasl_password_maps), 0);
	if (*SMTP_PARAM(sasl_mechanism_filter))
		sasl.filter = match_list_new(params, SMTP_PARAM_NAME("sasl_mechanism_filter"),
		    SMTP_PARAM(sasl_mechanism_filter));
	sasl.by_sender = SMTP_PARAM(sender_dependent_authentication);
	if (sasl.by_sender)
		sasl.rules = address_rules_new(params);
	sasl.delimiter = *delimiter;
	random_bytes(sasl.secret, sizeof(sasl.secret));
	smtp_sasl_cache_prepare(params);
}

const char *smtp_sasl_reads(size_t i)
{
	return sasl.passwords ? sasl_login_reads(i) : NULL;
}

/* --- passwords --- */

const char *smtp_sasl_server(const struct smtp_target *target)
{
	return target->path ? smtp_params->myhostname : target->host;
}

static enum table_result by_sender(const char *sender, struct strbuf *value)
{
	struct strbuf internal = STRBUF_INIT(ADDRESS_MAX + 1);
	enum table_result result = TABLE_NOT_FOUND;

	if (address_internal(slice_of(sender), ADDRESS_UTF8, &internal) == ADDRESS_OK)
		result = address_lookup(sasl.rules, sasl.passwords, strbuf_slice(&internal),
		    ADDRESS_LOOKUP_ALIAS, value, NULL);
	strbuf_release(&internal);
	return result;
}

/* The sender first, then the host, then what stands as the next hop (SASL_README). */
static enum table_result look_up(
    const struct smtp_target *target, const char *sender, struct strbuf *value)
{
	struct slice destination = slice_of(target->path ? target->path : target->destination);
	enum table_result result = TABLE_NOT_FOUND;

	if (slice_starts(destination, "inet:"))
		destination = slice_from(destination, strlen("inet:"));
	if (sasl.by_sender && *sender)
		result = by_sender(sender, value);
	if (result == TABLE_NOT_FOUND)
		result = tables_get(
		    sasl.passwords, slice_of(smtp_sasl_server(target)), TABLES_WHOLE_KEY, value);
	if (result == TABLE_NOT_FOUND)
		result = tables_get(sasl.passwords, destination, TABLES_WHOLE_KEY, value);
	return result;
}

static void account_release(struct smtp_account *account)
{
	secret_release(&account->value);
}

/* Always to be followed by account_release. */
static enum table_result account_find(
    struct smtp_account *account, const struct smtp_target *target, const char *sender)
{
	enum table_result result;
	char *delimiter;

	strbuf_init(&account->value, TABLE_VALUE_MAX);
	result = look_up(target, sender, &account->value);
	if (result != TABLE_FOUND)
		return result;
	account->user = account->value.ptr;
	delimiter = strchr(account->user, sasl.delimiter);
	account->password = account->value.ptr + account->value.len;
	if (delimiter) {
		*delimiter = '\0';
		account->password = delimiter + 1;
	}
	return TABLE_FOUND;
}

static void table_failed(struct smtp_failure *failure)
{
	smtp_fail(failure, false, "4.3.0", "%s lookup error", tables_name(sasl.passwords));
	failure->stop = true;
}

static const char *key_of(const struct smtp_account *account, struct arena *arena)
{
	unsigned char digest[DIGEST_MAX_SIZE];
	struct strbuf hex = STRBUF_INIT(2 * DIGEST_MAX_SIZE + 1);
	struct strbuf both = STRBUF_INIT(TABLE_VALUE_MAX + 2);
	size_t len;
	const char *key;

	strbuf_add(&both, account->user, strlen(account->user) + 1);
	strbuf_addstr(&both, account->password);
	len = digest_hmac(
	    "SHA256", slice_mem(sasl.secret, sizeof(sasl.secret)), strbuf_slice(&both), digest);
	hex_encode(&hex, slice_mem(digest, len));
	key = arena_strdup(arena, hex.ptr);
	strbuf_release(&hex);
	secret_release(&both);
	return key;
}

bool smtp_sasl_key(const struct smtp_target *target, const char *sender, struct arena *arena,
    const char **key, struct smtp_failure *failure)
{
	struct smtp_account account;
	enum table_result result;

	*key = "";
	if (!sasl.passwords)
		return true;
	result = account_find(&account, target, sender);
	if (result == TABLE_FOUND)
		*key = key_of(&account, arena);
	else if (result == TABLE_ERROR)
		table_failed(failure);
	account_release(&account);
	return result != TABLE_ERROR;
}

/* --- a login --- */

/* What is left of the server's mechanisms; false: the filter cannot be asked. */
static bool filter_mechanisms(const struct smtp_session *session, struct strbuf *out)
{
	struct slice rest = slice_of(session->mechanisms), word;

	while (slice_token(&rest, " \t", &word)) {
		enum match_result fits =
		    sasl.filter ? match_list_string(sasl.filter, word) : MATCH_YES;

		if (fits == MATCH_ERROR)
			return false;
		if (fits == MATCH_YES)
			strbuf_addf(out, "%s%.*s", out->len ? " " : "", SLICE_ARG(word));
	}
	if (!out->len && *session->mechanisms)
		log_warning("%s offered no supported AUTH mechanisms: '%s'", session->relay,
		    session->mechanisms);
	else if (!out->len)
		log_warning("%s offered null AUTH mechanism list", session->relay);
	return true;
}

static bool log_in(struct smtp_session *session, const struct smtp_account *account,
    const struct strbuf *mechanisms, struct smtp_failure *failure)
{
	if (mechanisms->len)
		return smtp_sasl_dialogue(session, account, mechanisms->ptr, failure);
	smtp_fail(failure, true, "4.7.0",
	    "SASL authentication failed: server %s offered no compatible authentication mechanisms "
	    "for this type of connection security",
	    session->name);
	return false;
}

/* Without a password, and with a server that knows no AUTH, we talk to each other as strangers. */
static bool log_in_as(struct smtp_session *session, const char *sender,
    const struct strbuf *mechanisms, struct smtp_failure *failure)
{
	struct smtp_account account;
	bool ok = true;

	switch (account_find(&account, &session->target, sender)) {
	case TABLE_FOUND:
		session->login_key = key_of(&account, &session->arena);
		if (session->features & SMTP_FEATURE_AUTH)
			ok = session->logged_in = log_in(session, &account, mechanisms, failure);
		break;
	case TABLE_NOT_FOUND:
		session->features &= ~(unsigned)SMTP_FEATURE_AUTH;
		break;
	case TABLE_ERROR:
		table_failed(failure);
		ok = false;
		break;
	}
	account_release(&account);
	return ok;
}

bool smtp_sasl_login(struct smtp_session *session, const char *sender, struct smtp_failure *failure)
{
	struct strbuf mechanisms = STRBUF_INIT(MECHANISMS_MAX);
	bool ok = true;

	session->logged_in = false;
	session->login_key = "";
	if (!sasl.passwords)
		return true;
	if ((session->features & SMTP_FEATURE_AUTH) && !filter_mechanisms(session, &mechanisms)) {
		smtp_fail(failure, true, "4.3.0", "%s lookup error",
		    SMTP_PARAM_NAME("sasl_mechanism_filter"));
		ok = false;
	}
	ok = ok && log_in_as(session, sender, &mechanisms, failure);
	session->ending |= !ok;
	strbuf_release(&mechanisms);
	return ok;
}

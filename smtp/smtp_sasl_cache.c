// SPDX-License-Identifier: BSD-2-Clause
/*
 * smtp_sasl_auth_cache_name: a server that refused an account with 535 is not asked again about the
 * same password, so that it does not lock the account.
 *
 * The key is a digest of server and name.  The value is "TIME;DIGEST;DSN;TEXT", where the digest is
 * of the password, too: with another password the entry is of no use and goes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "log/log.h"
#include "server/server.h"
#include "smtp/smtp_sasl_internal.h"
#include "sys/priv.h"
#include "table/table_cache.h"

#define DIGEST_HEX	(2 * 32)
#define TEXT_MAX_LENGTH 1000
#define VALUE_MAX	(TEXT_MAX_LENGTH + 2 * DIGEST_HEX)

static struct table_cache *cache;

/* A table that cannot be opened costs the cache, not the mail. */
void smtp_sasl_cache_prepare(const struct postfix_params *params)
{
	const char *name = SMTP_PARAM(sasl_auth_cache_name);
	const struct server_context *ctx = server_context();
	char *error;

	if (!*name)
		return;
	if (name[strcspn(name, ", \t\r\n")])
		fatal("SASL authentication cache name \"%s\" contains multiple values", name);
	if (!slice_starts(slice_of(name), "proxy:"))
		fatal("SASL authentication cache name \"%s\" must start with \"proxy:\"", name);
	if (ctx && ctx->as_root && priv_act_as(ctx->uid, ctx->gid) == -1)
		fatal("SASL authentication cache: no rights of user %ld", (long)ctx->uid);
	cache = table_cache_open(name, (size_t)params->lmdb_map_size, &error);
	if (ctx && ctx->as_root && priv_act_as_root() == -1)
		fatal("SASL authentication cache: no way back to root");
	if (!cache) {
		log_warning("SASL authentication cache is not used: %s", error);
		free(error);
	}
}

/* PASSWORD may be NULL. */
static void digest_of(
    const char *server, const char *user, const char *password, struct strbuf *out)
{
	struct digest *digest = digest_new("SHA256");
	unsigned char bytes[DIGEST_MAX_SIZE];

	digest_update(digest, slice_mem(server, strlen(server) + 1));
	digest_update(digest, slice_mem(user, strlen(user) + 1));
	if (password)
		digest_update(digest, slice_of(password));
	hex_encode(out, slice_mem(bytes, digest_final(digest, bytes)));
	digest_free(digest);
}

static bool take_field(struct slice *rest, struct slice *field)
{
	ptrdiff_t end = slice_find(*rest, ';');

	if (end < 0)
		return false;
	*field = slice_first(*rest, (size_t)end);
	*rest = slice_from(*rest, (size_t)end + 1);
	return true;
}

/* Is it this password's, and young enough?  VALUE moves on to the text. */
static bool applies(struct slice *value, struct slice password, char dsn[12])
{
	struct slice time, digest, code;
	uint64_t when;

	if (!take_field(value, &time) || !take_field(value, &digest) || !take_field(value, &code) ||
	    !slice_uint(time, INT64_MAX / 2, &when) || code.len >= 12) {
		log_warning("bad %s entry", SMTP_PARAM_NAME("sasl_auth_cache_name"));
		return false;
	}
	if (code.len)
		memcpy(dsn, code.ptr, code.len);
	dsn[code.len] = '\0';
	return dsn_is_valid(dsn) && dsn[0] != '2' && secret_equal(digest, password) &&
	       (int64_t)when + SMTP_PARAM(sasl_auth_cache_time) > clock_wall_us() / 1000000;
}

bool smtp_sasl_cache_find(
    const char *server, const struct smtp_account *account, char dsn[12], struct strbuf *text)
{
	struct strbuf key = STRBUF_INIT(DIGEST_HEX + 1), password = STRBUF_INIT(DIGEST_HEX + 1);
	struct strbuf value = STRBUF_INIT(VALUE_MAX + 1);
	struct slice rest;
	bool found = false;

	if (!cache)
		return false;
	digest_of(server, account->user, NULL, &key);
	digest_of(server, account->user, account->password, &password);
	if (table_cache_get(cache, strbuf_slice(&key), &value) == TABLE_FOUND) {
		rest = strbuf_slice(&value);
		found = applies(&rest, strbuf_slice(&password), dsn);
		if (found)
			strbuf_addslice(text, rest);
		else
			table_cache_remove(cache, strbuf_slice(&key));
	}
	strbuf_release(&key);
	strbuf_release(&password);
	strbuf_release(&value);
	return found;
}

void smtp_sasl_cache_store(
    const char *server, const struct smtp_account *account, const char *dsn, struct slice text)
{
	struct strbuf key = STRBUF_INIT(DIGEST_HEX + 1);
	struct strbuf value = STRBUF_INIT(VALUE_MAX + 1);

	if (!cache)
		return;
	digest_of(server, account->user, NULL, &key);
	strbuf_addf(&value, "%lld;", (long long)(clock_wall_us() / 1000000));
	digest_of(server, account->user, account->password, &value);
	strbuf_addf(&value, ";%s;", dsn);
	strbuf_addslice(&value, slice_first(text, TEXT_MAX_LENGTH));
	table_cache_put(cache, strbuf_slice(&key), strbuf_slice(&value));
	strbuf_release(&key);
	strbuf_release(&value);
}

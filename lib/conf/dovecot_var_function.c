// SPDX-License-Identifier: BSD-2-Clause
/* Names between braces that are computed: "if;...", "sha256;...:name", "env:NAME". */
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/digest.h"
#include "conf/dovecot_var_internal.h"

/* --- if --- */

#define IF_PARTS 5

static bool fits_pattern(struct slice text, struct slice pattern)
{
	size_t at = 0, star = pattern.len, resume = 0, i = 0;

	while (i < text.len) {
		if (at < pattern.len && pattern.ptr[at] == '*') {
			star = at++;
			resume = i;
		} else if (at < pattern.len &&
			   (pattern.ptr[at] == '?' || pattern.ptr[at] == text.ptr[i])) {
			at++;
			i++;
		} else if (star < pattern.len) {
			at = star + 1;
			i = ++resume;
		} else {
			return false;
		}
	}
	while (at < pattern.len && pattern.ptr[at] == '*')
		at++;
	return at == pattern.len;
}

enum if_kind { IF_NUMBER, IF_TEXT, IF_PATTERN, IF_REGEX };

static const struct comparator {
	const char *word;
	enum if_kind kind;
	bool less, equal, greater; /* when it is true; equal: it matches */
} comparators[] = {
	{ "==", IF_NUMBER, false, true, false },
	{ "!=", IF_NUMBER, true, false, true },
	{ "<", IF_NUMBER, true, false, false },
	{ "<=", IF_NUMBER, true, true, false },
	{ ">", IF_NUMBER, false, false, true },
	{ ">=", IF_NUMBER, false, true, true },
	{ "eq", IF_TEXT, false, true, false },
	{ "ne", IF_TEXT, true, false, true },
	{ "lt", IF_TEXT, true, false, false },
	{ "le", IF_TEXT, true, true, false },
	{ "gt", IF_TEXT, false, false, true },
	{ "ge", IF_TEXT, false, true, true },
	{ "*", IF_PATTERN, false, true, false },
	{ "!*", IF_PATTERN, true, false, false },
	{ "~", IF_REGEX, false, true, false },
	{ "!~", IF_REGEX, true, false, false },
};

static bool read_integer(struct slice text, int64_t *number)
{
	bool negative = slice_starts(text, "-");
	uint64_t value;

	if (!slice_uint(slice_from(text, negative ? 1 : 0), INT64_MAX, &value))
		return false;
	*number = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* *ORDER is negative, 0 or positive. */
static bool compare_numbers(
    struct var_context *ctx, struct slice left, struct slice right, int *order)
{
	int64_t a = 0, b = 0;

	*order = 1;
	if (!read_integer(left, &a))
		return var_fail(ctx, "if: %.*s (lhs) is not a number", SLICE_ARG(left));
	if (!read_integer(right, &b))
		return var_fail(ctx, "if: %.*s (rhs) is not a number", SLICE_ARG(right));
	*order = (a > b) - (a < b);
	return true;
}

static bool match_regex(
    struct var_context *ctx, const struct strbuf *left, const struct strbuf *right, int *order)
{
	regex_t regex;

	*order = -1;
	if (regcomp(&regex, right->ptr, REG_EXTENDED | REG_NOSUB) != 0)
		return var_fail(ctx, "if: regex failed: Invalid regular expression");
	*order = regexec(&regex, left->ptr, 0, NULL, 0) == 0 ? 0 : -1;
	regfree(&regex);
	return true;
}

static bool compare(struct var_context *ctx, const struct comparator *with,
    const struct strbuf *left, const struct strbuf *right, bool *is_true)
{
	struct slice a = strbuf_slice(left), b = strbuf_slice(right);
	bool good = true;
	int order = 0;

	switch (with->kind) {
	case IF_NUMBER:
		good = compare_numbers(ctx, a, b, &order);
		break;
	case IF_TEXT:
		order = strcmp(left->ptr, right->ptr);
		break;
	case IF_PATTERN:
		order = fits_pattern(a, b) ? 0 : -1;
		break;
	case IF_REGEX:
		good = match_regex(ctx, left, right, &order);
		break;
	}
	*is_true = order == 0 ? with->equal : order < 0 ? with->less : with->greater;
	return good;
}

static const struct comparator *find_comparator(const struct strbuf *word)
{
	for (size_t i = 0; i < ARRAY_LEN(comparators); i++)
		if (!strcmp(comparators[i].word, word->ptr))
			return &comparators[i];
	return NULL;
}

static bool apply_if(struct var_context *ctx, struct strbuf parts[IF_PARTS], struct strbuf *value)
{
	const struct comparator *with = find_comparator(&parts[1]);
	bool is_true;

	if (!with)
		return var_fail(ctx, "if: Unsupported comparator '%s'", parts[1].ptr);
	if (!compare(ctx, with, &parts[0], &parts[2], &is_true))
		return false;
	strbuf_addslice(value, strbuf_slice(&parts[is_true ? 3 : 4]));
	return true;
}

/* Up to a ';' that is in no braces and has no backslash. */
static struct slice next_part(struct slice *rest)
{
	struct slice part = *rest;
	size_t depth = 0, i = 0;

	for (; i < part.len && (depth || part.ptr[i] != ';'); i++) {
		if (part.ptr[i] == '\\' && i + 1 < part.len)
			i++;
		else if (part.ptr[i] == '{')
			depth++;
		else if (part.ptr[i] == '}' && depth)
			depth--;
	}
	*rest = slice_from(part, i + 1);
	if (i < part.len && !rest->ptr)
		*rest = SLICE_LIT(""); /* a ';' was the last byte */
	return slice_first(part, i);
}

static void drop_backslashes(struct strbuf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\\' && i + 1 < text.len && strchr(";:", text.ptr[i + 1]))
			i++;
		strbuf_addch(out, text.ptr[i]);
	}
}

/* All parts are expanded, also the one that is not chosen. */
static bool expand_parts(
    struct var_context *ctx, struct slice parameters, struct strbuf parts[IF_PARTS])
{
	struct strbuf plain = STRBUF_INIT(VAR_VALUE_MAX);
	struct slice rest = parameters;
	bool good = true;
	size_t count = 0;

	while (rest.ptr && good) {
		struct slice part = next_part(&rest);

		if (count < IF_PARTS) {
			strbuf_reset(&plain);
			drop_backslashes(&plain, part);
			good = var_expand(ctx, strbuf_slice(&plain), &parts[count]);
		}
		count++;
	}
	strbuf_release(&plain);
	if (good && (count < IF_PARTS - 1 || count > IF_PARTS))
		return var_fail(ctx, "if: requires four or five parameters, got %zu", count);
	return good;
}

static bool expand_if(struct var_context *ctx, struct slice parameters, struct strbuf *value)
{
	struct strbuf parts[IF_PARTS];
	bool good;

	for (size_t i = 0; i < IF_PARTS; i++)
		strbuf_init(&parts[i], VAR_VALUE_MAX);
	good = expand_parts(ctx, parameters, parts) && apply_if(ctx, parts, value);
	for (size_t i = 0; i < IF_PARTS; i++)
		strbuf_release(&parts[i]);
	return good;
}

/* --- hashes --- */

#define ROUNDS_MAX 1000000

struct hash {
	const char *digest; /* as digest_new knows it */
	uint64_t rounds, truncate;
	bool base64;
	struct strbuf salt;
};

static const struct {
	const char *name, *digest;
} hash_names[] = {
	{ "md5", "MD5" },
	{ "sha1", "SHA1" },
	{ "sha256", "SHA256" },
	{ "sha384", "SHA384" },
	{ "sha512", "SHA512" },
	{ "sha3-256", "SHA3-256" },
	{ "sha3-512", "SHA3-512" },
};

#define HASH_ARGUMENT "Cannot parse hash arguments:"

static bool read_hash_argument(
    struct var_context *ctx, struct hash *hash, struct slice name, struct slice value)
{
	if (slice_eq_str(name, "rounds") && !slice_uint(value, ROUNDS_MAX, &hash->rounds))
		return var_fail(
		    ctx, HASH_ARGUMENT "'%.*s' is not number for rounds", SLICE_ARG(value));
	if (slice_eq_str(name, "rounds") && !hash->rounds)
		return var_fail(ctx, HASH_ARGUMENT "rounds must be at least 1");
	if (slice_eq_str(name, "truncate") && !slice_uint(value, UINT32_MAX, &hash->truncate))
		return var_fail(
		    ctx, HASH_ARGUMENT "'%.*s' is not number for truncate", SLICE_ARG(value));
	if (slice_eq_str(name, "format")) {
		hash->base64 = slice_eq_str(value, "base64");
		if (!hash->base64 && !slice_eq_str(value, "hex") && !slice_eq_str(value, "hexuc"))
			return var_fail(
			    ctx, HASH_ARGUMENT "'%.*s' is not supported format", SLICE_ARG(value));
	}
	return true;
}

/* "rounds=2,salt=%u"; a salt is the last. */
static bool read_hash_arguments(struct var_context *ctx, struct hash *hash, struct slice arguments)
{
	struct slice rest = arguments, word;

	while (slice_token(&rest, ",", &word)) {
		ptrdiff_t equals = slice_find(word, '=');
		struct slice name, value;

		if (equals < 0)
			continue;
		name = slice_first(word, (size_t)equals);
		value = slice_from(word, (size_t)equals + 1);
		if (slice_eq_str(name, "salt"))
			return var_expand(ctx, value, &hash->salt);
		if (!read_hash_argument(ctx, hash, name, value))
			return false;
	}
	return true;
}

/* The first BITS bits, as a number that begins with zero bits. */
static size_t truncate_bits(unsigned char *bytes, size_t size, size_t bits)
{
	unsigned rest = bits % 8;

	if (!bits || bits >= size * 8)
		return size;
	size = (bits + 7) / 8;
	if (rest) {
		for (size_t i = size - 1; i > 0; i--)
			bytes[i] = (unsigned char)(bytes[i] >> (8 - rest) | bytes[i - 1] << rest);
		bytes[0] = (unsigned char)(bytes[0] >> (8 - rest));
	}
	return size;
}

static void compute(const struct hash *hash, struct slice text, struct strbuf *value)
{
	unsigned char bytes[DIGEST_MAX_SIZE];
	size_t size = 0;

	for (uint64_t round = 0; round < hash->rounds; round++) {
		struct digest *d = digest_new(hash->digest);

		digest_update(d, strbuf_slice(&hash->salt));
		digest_update(d, round ? slice_mem(bytes, size) : text);
		size = digest_final(d, bytes);
		digest_free(d);
	}
	size = truncate_bits(bytes, size, hash->truncate > size * 8 ? 0 : hash->truncate);
	if (hash->base64)
		base64_encode(value, slice_mem(bytes, size));
	else
		hex_encode(value, slice_mem(bytes, size));
}

static bool expand_hash(struct var_context *ctx, const char *digest, struct slice arguments,
    struct slice name, struct strbuf *value)
{
	struct hash hash = { .digest = digest, .rounds = 1 };
	struct strbuf text = STRBUF_INIT(VAR_VALUE_MAX);
	bool good;

	strbuf_init(&hash.salt, VAR_VALUE_MAX);
	good = var_get(ctx, name, &text) && read_hash_arguments(ctx, &hash, arguments);
	if (good)
		compute(&hash, strbuf_slice(&text), value);
	strbuf_release(&hash.salt);
	secret_release(&text);
	return good;
}

/* --- the process and its host --- */

static void expand_env(struct slice name, struct strbuf *value)
{
	char key[VAR_NAME_MAX];
	const char *found;

	if (name.len >= sizeof(key))
		return;
	memcpy(key, name.ptr ? name.ptr : "", name.len);
	key[name.len] = '\0';
	found = getenv(key);
	strbuf_addstr(value, found ? found : "");
}

static bool expand_system(struct var_context *ctx, struct slice name, struct strbuf *value)
{
	struct utsname host;

	if (slice_eq_str(name, "cpu_count"))
		strbuf_addf(value, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	else if (uname(&host) < 0)
		return var_fail(ctx, "Cannot get the system's name");
	else if (slice_eq_str(name, "os"))
		strbuf_addstr(value, host.sysname);
	else if (slice_eq_str(name, "os-version"))
		strbuf_addstr(value, host.release);
	else if (slice_eq_str(name, "hostname"))
		strbuf_addstr(value, host.nodename);
	else
		return var_fail(ctx, "Unsupported system key '%.*s'", SLICE_ARG(name));
	return true;
}

bool var_common(const char *name, struct strbuf *value)
{
	struct utsname host;

	if (!strcmp(name, "hostname") && uname(&host) == 0)
		strbuf_addstr(value, host.nodename);
	else if (!strcmp(name, "pid"))
		strbuf_addf(value, "%ld", (long)getpid());
	else if (!strcmp(name, "uid"))
		strbuf_addf(value, "%lu", (unsigned long)geteuid());
	else if (!strcmp(name, "gid"))
		strbuf_addf(value, "%lu", (unsigned long)getegid());
	else
		return false;
	return true;
}

/* "name;arguments:field" */
bool var_function(struct var_context *ctx, struct slice whole, struct strbuf *value, bool *good)
{
	ptrdiff_t colon = slice_find(whole, ':');
	struct slice head = colon < 0 ? whole : slice_first(whole, (size_t)colon);
	struct slice field = colon < 0 ? SLICE_NULL : slice_from(whole, (size_t)colon + 1);
	ptrdiff_t semicolon = slice_find(head, ';');
	struct slice name = semicolon < 0 ? head : slice_first(head, (size_t)semicolon);
	struct slice arguments =
	    semicolon < 0 ? SLICE_NULL : slice_from(head, (size_t)semicolon + 1);

	*good = true;
	if (slice_eq_str(name, "if")) {
		*good = semicolon < 0 ? var_fail(ctx, "if: missing parameter(s)")
				      : expand_if(ctx, slice_from(whole, 3), value);
		return true;
	}
	if (slice_eq_str(name, "env") && colon >= 0) {
		expand_env(field, value);
		return true;
	}
	if (slice_eq_str(name, "system") && colon >= 0) {
		*good = expand_system(ctx, field, value);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(hash_names); i++) {
		if (!slice_eq_str(name, hash_names[i].name))
			continue;
		*good = expand_hash(ctx, hash_names[i].digest, arguments, field, value);
		return true;
	}
	return false;
}

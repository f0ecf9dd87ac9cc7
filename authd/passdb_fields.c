// SPDX-License-Identifier: BSD-2-Clause
/* Extra fields that a passdb block gives: those with a meaning here, and the rest for the client.
 */
#include <string.h>
#include <time.h>

#include "authd/passdb_attempt.h"
#include "base/check.h"
#include "base/digest.h"
#include "net/addr.h"

#define DELAY_MAX_S (60 * 5)

static void refuse(struct attempt *a, const char *why, const char *value)
{
	subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name, "%s%s", why, value);
	a->refused = true;
}

/* --- passwords --- */

static void take_password(struct attempt *a, const char *value)
{
	a->password = arena_strdup(a->subject->arena, value);
	a->scheme = a->entry.scheme;
}

/* Also a text that begins with a brace is the password itself. */
static void take_bare_password(struct attempt *a, const char *value)
{
	a->password = *value == '{'
			  ? arena_printf(a->subject->arena, "{%s}%s", a->entry.scheme, value)
			  : arena_strdup(a->subject->arena, value);
	a->scheme = a->entry.scheme;
}

static void take_nopassword(struct attempt *a, const char *value)
{
	const char *password = a->password ? a->password : "";
	const char *close = *password == '{' ? strchr(password, '}') : NULL;

	if (*(close ? close + 1 : password) && !a->noauthenticate) {
		refuse(a, "nopassword set but password is non-empty", "");
		return;
	}
	a->password = NULL;
	a->nopassword = true;
	(void)value;
}

static void take_noauthenticate(struct attempt *a, const char *value)
{
	(void)value;
	a->noauthenticate = true;
	a->nopassword = true;
}

/* --- networks --- */

static bool in_network(struct slice text, const struct net_addr *address)
{
	struct net_block block;

	return net_block_parse(text, &block) && net_block_contains(&block, address);
}

/* Networks separated by commas or blanks; "local" is a client without an address. */
static bool is_allowed_net(const char *nets, const char *ip)
{
	struct slice rest = slice_of(nets), word;
	struct net_addr address;
	bool has_address = net_addr_parse(slice_of(ip), 0, &address);

	while (slice_token(&rest, ", \t", &word)) {
		if (!has_address && slice_eq_str(word, "local"))
			return true;
		if (has_address && in_network(word, &address))
			return true;
	}
	return false;
}

static void check_nets(struct attempt *a, const char *name, const char *nets, const char *ip)
{
	if (is_allowed_net(nets, ip))
		return;
	a->refused = true;
	subject_log(a->subject, LOG_LEVEL_INFO, a->db->driver_name,
	    "%s check failed: IP %s not in allowed networks", name, *ip ? ip : "<unknown>");
}

static void take_nets(struct attempt *a, const char *value)
{
	check_nets(a, "allow_nets", value, a->subject->remote_ip);
}

static void take_real_nets(struct attempt *a, const char *value)
{
	check_nets(a, "allow_real_nets", value, a->subject->real_remote_ip);
}

/* --- names --- */

static void rename_to(struct attempt *a, const char *name)
{
	struct subject *s = a->subject;

	if (!*name || a->renamed || !strcmp(name, s->user))
		return;
	s->user = name;
	a->renamed = true;
}

static void take_user(struct attempt *a, const char *value)
{
	rename_to(a, arena_strdup(a->subject->arena, value));
}

static void take_username(struct attempt *a, const char *value)
{
	const char *at = strchr(a->subject->user, '@');

	rename_to(a, arena_printf(a->subject->arena, "%s%s", value, at ? at : ""));
}

static void take_domain(struct attempt *a, const char *value)
{
	rename_to(a, arena_printf(a->subject->arena, "%.*s@%s", (int)strcspn(a->subject->user, "@"),
			 a->subject->user, value));
}

static void take_login_user(struct attempt *a, const char *value)
{
	if (*value)
		a->subject->requested_login_user = arena_strdup(a->subject->arena, value);
}

/* --- time --- */

static void take_delay(struct attempt *a, const char *value)
{
	struct slice text = slice_of(value);
	ptrdiff_t plus = slice_find(text, '+');
	uint64_t until, extra = 0;
	int64_t now = time(NULL);

	if (plus >= 0 && !slice_uint(slice_from(text, (size_t)plus + 1), UINT32_MAX, &extra)) {
		refuse(a, "Invalid delay_until randomness number: ", value + plus + 1);
		return;
	}
	if (!slice_uint(plus < 0 ? text : slice_first(text, (size_t)plus), INT64_MAX / 2, &until)) {
		refuse(a, "Invalid delay_until timestamp: ", value);
		return;
	}
	if ((int64_t)until <= now)
		return;
	if ((int64_t)until - now > DELAY_MAX_S) {
		refuse(a, "delay_until timestamp is too much in the future, failing: ", value);
		return;
	}
	if (extra)
		until += random_below((uint32_t)extra);
	a->subject->delay_until =
	    (int64_t)until - now > DELAY_MAX_S ? now + DELAY_MAX_S : (int64_t)until;
}

static void take_fail(struct attempt *a, const char *value)
{
	(void)value;
	a->refused = true;
}

static void take_nodelay(struct attempt *a, const char *value)
{
	(void)value;
	a->subject->nodelay = true;
}

static const struct {
	const char *name;
	void (*take)(struct attempt *a, const char *value);
	bool is_secret, is_shown;
} meanings[] = {
	{ "password", take_password, true, false },
	{ "password_noscheme", take_bare_password, true, false },
	{ "nopassword", take_nopassword, true, false },
	{ "noauthenticate", take_noauthenticate, false, false },
	{ "allow_nets", take_nets, false, false },
	{ "allow_real_nets", take_real_nets, false, false },
	{ "user", take_user, false, false },
	{ "username", take_username, false, false },
	{ "domain", take_domain, false, false },
	{ "login_user", take_login_user, false, false },
	{ "delay_until", take_delay, false, false },
	{ "fail", take_fail, false, false },
	{ "nodelay", take_nodelay, false, true },
};

static bool ends_with(const char *name, const char *suffix, struct arena *arena, const char **stem)
{
	struct slice whole = slice_of(name);

	if (whole.len <= strlen(suffix) || !slice_ends(whole, suffix))
		return false;
	*stem = arena_slicedup(arena, slice_first(whole, whole.len - strlen(suffix)));
	return true;
}

static void set_field(struct attempt *a, const char *name, const char *value)
{
	struct subject *s = a->subject;

	if (ends_with(name, ":protected", s->arena, &name) && pairs_find(&s->extra, name))
		return;
	if (ends_with(name, ":remove", s->arena, &name)) {
		pairs_remove(&s->extra, name);
		return;
	}
	if (!strncmp(name, "userdb_", 7)) {
		pairs_set(&s->userdb, s->arena, name + 7, value);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (strcmp(meanings[i].name, name) != 0)
			continue;
		meanings[i].take(a, value);
		if (meanings[i].is_shown)
			pairs_set(&s->extra, s->arena, name, value);
		else if (!meanings[i].is_secret)
			pairs_set_hidden(&s->extra, s->arena, name, value);
		return;
	}
	pairs_set(&s->extra, s->arena, name, value);
}

bool attempt_take(struct attempt *a, const struct pairs *pairs, bool expand)
{
	const char *error;

	for (const struct pair *p = pairs->first; p; p = p->next) {
		const char *value = p->value ? p->value : "";

		if (expand && !(value = subject_expand(a->subject, value, &error))) {
			subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name, "%s: %s",
			    p->name, error);
			return false;
		}
		set_field(a, p->name, value);
	}
	return true;
}

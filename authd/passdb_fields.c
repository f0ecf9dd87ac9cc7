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

static void refuse(struct attempt *a, enum log_level level, const char *why)
{
	subject_log(a->subject, level, a->db->driver_name, "%s", why);
	a->refused = true;
}

static void refuse_value(
    struct attempt *a, const char *before, const char *value, const char *after)
{
	refuse(a, LOG_LEVEL_ERROR, arena_printf(a->subject->arena, "%s%s%s", before, value, after));
}

/* --- passwords --- */

static void take_password(struct attempt *a, const char *value)
{
	if (a->password && *a->password) {
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "Multiple password values not supported");
		return;
	}
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
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "nopassword set but password is non-empty");
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

/* Networks separated by commas or blanks; "local" is a client without an address. */
static bool is_allowed_net(
    const struct attempt *a, const char *name, const char *nets, const char *ip)
{
	struct slice rest = slice_of(nets), word;
	struct net_addr address;
	struct net_block block;
	bool has_address = net_addr_parse(slice_of(ip), 0, &address);

	while (slice_token(&rest, ", \t", &word)) {
		bool is_local = slice_eq_str(word, "local");

		if (!is_local && !net_block_parse_any(word, &block))
			subject_log(a->subject, LOG_LEVEL_INFO, a->db->driver_name,
			    "%s: Invalid network '%.*s'", name, SLICE_ARG(word));
		else if (is_local ? !has_address
				  : has_address && net_block_contains(&block, &address))
			return true;
	}
	return false;
}

static void check_nets(struct attempt *a, const char *name, const char *nets, const char *ip)
{
	if (is_allowed_net(a, name, nets, ip))
		return;
	refuse(a, LOG_LEVEL_INFO,
	    *ip ? arena_printf(
		      a->subject->arena, "%s check failed: IP %s not in allowed networks", name, ip)
		: arena_printf(a->subject->arena,
		      "%s check failed: Remote IP not known and 'local' missing", name));
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

	if (!*name) {
		refuse(a, LOG_LEVEL_ERROR, "username attempted to be changed to empty");
		return;
	}
	if (a->renamed || !strcmp(name, s->user))
		return;
	s->user = name;
	a->renamed = true;
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
		refuse_value(a, "Invalid delay_until randomness number '", value + plus + 1, "'");
		return;
	}
	if (!slice_uint(plus < 0 ? text : slice_first(text, (size_t)plus), INT64_MAX / 2, &until)) {
		refuse_value(a, "Invalid delay_until timestamp '", value, "'");
		return;
	}
	if ((int64_t)until <= now)
		return;
	if ((int64_t)until - now > DELAY_MAX_S) {
		refuse_value(
		    a, "delay_until timestamp ", value, " is too much in the future, failing");
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
	{ "login_user", take_login_user, false, false },
	{ "delay_until", take_delay, false, false },
	{ "fail", take_fail, false, false },
	{ "nodelay", take_nodelay, false, true },
};

/* A user's name for the userdb is the name from now on, too. */
static void take_userdb(struct attempt *a, const char *name, const char *value)
{
	const char *renamed = subject_renamed(a->subject, name, value);

	if (renamed)
		rename_to(a, renamed);
	else
		userdb_set_prefetch(a->db, a->subject, name, value);
}

static void set_field(struct attempt *a, const char *name, const char *value)
{
	struct subject *s = a->subject;
	const char *renamed;

	if (pair_name_ends(name, ":protected", s->arena, &name) && pairs_find(&s->extra, name))
		return;
	if (pair_name_ends(name, ":remove", s->arena, &name)) {
		pairs_remove(&s->extra, name);
		return;
	}
	if (!strncmp(name, "userdb_", 7)) {
		take_userdb(a, name + 7, value);
		pairs_set_hidden(&s->extra, s->arena, name, value);
		return;
	}
	renamed = subject_renamed(s, name, value);
	if (renamed) {
		rename_to(a, renamed);
		pairs_set_hidden(&s->extra, s->arena, name, value);
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

static void log_not_expanded(const struct attempt *a, const struct pair *p, const char *error)
{
	const char *word = a->entry.field_word;

	if (!strcmp(p->name, "password"))
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "Failed to expand %s=%s: %s", p->name, p->value, error);
	else if (word)
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "Failed to expand %s %s=%s: %s", word, p->name, p->value, error);
	else
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "Failed to expand template: %s", error);
}

/* All are expanded before the first counts: one of them may rename the user. */
bool attempt_take(struct attempt *a, const struct pairs *pairs, bool expand)
{
	struct pairs values = { NULL, NULL };
	const char *error;

	for (const struct pair *p = pairs->first; p; p = p->next) {
		const char *value = p->value ? p->value : "";

		if (expand && !(value = subject_expand(a->subject, value, &error))) {
			log_not_expanded(a, p, error);
			return false;
		}
		pairs_set(&values, a->subject->arena, p->name, value);
	}
	for (const struct pair *p = values.first; p; p = p->next)
		set_field(a, p->name, p->value);
	return true;
}

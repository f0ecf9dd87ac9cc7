// SPDX-License-Identifier: BSD-2-Clause
/*
 * The chain of passdb blocks.  Each block that is not passed over gives a result; its rule for that
 * result says whether the chain ends here and what counts as the outcome so far.  A database that
 * failed makes the whole outcome temporary unless some block says yes.
 *
 * A master user's login goes through the blocks for masters first.  The one that accepts the master
 * turns the subject into the user who is asked for; when its rule goes on, the chain begins again
 * with the blocks for users, which are then asked whether there is such a user.
 */
#include <string.h>

#include "auth/auth_proto.h"
#include "auth/scheme.h"
#include "authd/auth_cache.h"
#include "authd/gate.h"
#include "authd/mismatch.h"
#include "authd/passdb_attempt.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"

/* Results that are the chain's alone. */
enum { RESULT_NEXT = DB_NO_CREDENTIALS + 1 }; /* "noauthenticate": another block is to decide */

/* What is asked of the blocks.  With neither password nor wanted: whether there is such a user. */
struct chain {
	struct subject *subject;
	const struct slice *password; /* to be verified; NULL: not */
	struct credentials *wanted;   /* the password is to be told; NULL: not */
	const struct database *next;
	bool success, verified, saw_failure;
};

/* --- one block --- */

static void tell(const struct attempt *a, const char *text)
{
	if (a->db->verbose)
		subject_log(a->subject, LOG_LEVEL_INFO, a->db->driver_name, "%s", text);
}

/* Slow hashes are computed by turns.  False: the turn did not come while the request lived. */
static bool compare(const struct attempt *a, struct slice password, enum password_result *result,
    struct reason *why)
{
	bool is_slow = password_scheme_is_slow(a->password, a->scheme);

	if (is_slow && !gate_enter(a->subject->remote_ip, deadline_in(AUTH_REQUEST_LIFE_MS)))
		return false;
	*result = password_verify(a->password, a->scheme, a->subject->login_user, password, why);
	if (is_slow)
		gate_leave();
	return true;
}

/* "{X}data" or data in the default scheme. */
static void split_scheme(const struct attempt *a, struct credentials *found)
{
	struct slice text = slice_of(a->password);
	ptrdiff_t close = slice_starts(text, "{") ? slice_find(text, '}') : -1;

	found->password = a->password;
	found->scheme = a->scheme;
	if (close > 0) {
		found->scheme =
		    arena_slicedup(a->subject->arena, slice_mem(text.ptr + 1, (size_t)close - 1));
		found->password = a->password + close + 1;
	}
}

static enum db_result check_password(const struct attempt *a, struct slice password)
{
	struct credentials found = { NULL, NULL, NULL };
	enum password_result result;
	struct reason why = { "", "" };

	/* What a driver has verified and the cache has kept wants that password, whatever fields
	 * say. */
	if (a->nopassword && !a->db->driver->verify)
		return DB_OK;
	if (!a->password) {
		tell(a, "No password returned (and no nopassword)");
		return DB_MISMATCH;
	}
	/* No password is a password, not even where the peer takes an empty one for an empty one.
	 */
	if (!*a->password) {
		mismatch_log(a->subject, a->db, password, "Password mismatch");
		return DB_MISMATCH;
	}
	if (!compare(a, password, &result, &why)) {
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "too many slow password checks wait");
		return DB_FAILED;
	}
	switch (result) {
	case PASSWORD_MATCH:
		return DB_OK;
	case PASSWORD_MISMATCH:
		if (!a->quiet)
			mismatch_log(a->subject, a->db, password, "Password mismatch");
		return DB_MISMATCH;
	case PASSWORD_UNUSABLE:
		split_scheme(a, &found);
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "Password data is not valid for scheme %s: %s", found.scheme, why.text);
		return DB_MISMATCH;
	case PASSWORD_UNKNOWN_SCHEME:
		break;
	}
	subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name, "%s", why.text);
	return DB_MISMATCH;
}

static enum db_result tell_password(const struct attempt *a, struct credentials *wanted)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct reason why = { "", "" };
	enum password_result result;

	if (!a->password || !*a->password) {
		if (wanted->wanted && a->db->verbose)
			subject_log(a->subject, LOG_LEVEL_INFO, a->db->driver_name,
			    "Requested %s scheme, but we have a NULL password", wanted->wanted);
		return DB_NO_CREDENTIALS;
	}
	if (!wanted->wanted) {
		split_scheme(a, wanted);
		return DB_OK;
	}
	result = password_credentials(
	    a->password, a->scheme, wanted->wanted, &wanted->scheme, &text, &why);
	if (result == PASSWORD_MATCH)
		wanted->password = arena_slicedup(a->subject->arena, strbuf_slice(&text));
	else
		tell(a, why.text);
	secret_release(&text);
	return result == PASSWORD_MATCH ? DB_OK : DB_NO_CREDENTIALS;
}

/* For who only asks whether there is the user, a password must be there and make sense,
 * unless the driver keeps it to itself. */
static enum db_result check_user(const struct attempt *a)
{
	struct credentials found = { NULL, NULL, NULL };

	if (a->nopassword || a->db->deny || a->db->driver->verify)
		return DB_OK;
	if (!a->password) {
		tell(a, "No password returned (and no nopassword)");
		return DB_MISMATCH;
	}
	split_scheme(a, &found);
	if (password_scheme_is_known(found.scheme))
		return DB_OK;
	subject_log(
	    a->subject, LOG_LEVEL_ERROR, a->db->driver_name, "Unknown scheme %s", found.scheme);
	return DB_NO_CREDENTIALS;
}

/* To be on a list of the denied no password is needed. */
static bool asks_to_verify(const struct chain *chain, const struct attempt *a)
{
	const struct db_driver *driver = a->db->driver;

	return driver->verify && chain->password && !chain->verified &&
	       !(a->db->deny && driver->find_password);
}

/* The driver's part. */
static enum db_result ask_driver(const struct chain *chain, struct attempt *a)
{
	const struct db_driver *driver = a->db->driver;

	if (asks_to_verify(chain, a))
		return driver->verify(a->db, a->subject, *chain->password, &a->entry);
	if (driver->find_password)
		return driver->find_password(a->db, a->subject, &a->entry);
	subject_log(a->subject, LOG_LEVEL_DEBUG, a->db->driver_name,
	    "passdb doesn't support credential lookups");
	return DB_NO_CREDENTIALS;
}

/* The driver's no, and what PAM, say, has for the client. */
static void note_refusal(const struct chain *chain, const struct attempt *a, enum db_result result)
{
	const struct pair *reason = pairs_find(&a->entry.fields, "reason");

	if (reason && reason->value)
		a->subject->fail_reason = reason->value;
	if (result == DB_UNKNOWN && !a->db->deny && !a->db->driver->verify)
		mismatch_log(a->subject, a->db, chain->password ? *chain->password : SLICE_NULL,
		    "unknown user");
}

/* What of the driver's DB_OK is left after a look at the password. */
static enum db_result judge(const struct chain *chain, const struct attempt *a)
{
	if (a->noauthenticate)
		return (enum db_result)RESULT_NEXT;
	/* The password to show is that of the block that came first: a master's, not his user's. */
	if (chain->wanted && chain->verified && chain->wanted->password)
		return DB_OK;
	if (chain->wanted)
		return tell_password(a, chain->wanted);
	if (!chain->password)
		return check_user(a);
	if (chain->verified || a->db->deny || (asks_to_verify(chain, a) && !a->is_cached))
		return DB_OK;
	return check_password(a, *chain->password);
}

/* Of a driver that verifies, answers to logins alone are kept. */
static bool may_keep(const struct chain *chain, const struct attempt *a)
{
	return !a->db->driver->verify || asks_to_verify(chain, a);
}

/* What a driver has verified is kept as a hash of our own. */
static void keep(
    const struct chain *chain, const struct attempt *a, struct slice key, enum db_result result)
{
	struct strbuf hash = STRBUF_INIT(1000);
	struct db_entry entry = a->entry;
	bool is_verified = asks_to_verify(chain, a);
	struct reason why;

	if (!key.ptr || !may_keep(chain, a))
		return;
	if (result == DB_OK && is_verified) {
		if (!password_make("SSHA256", NULL, *chain->password, 0, &hash, &why))
			return;
		entry.password = hash.ptr;
	}
	auth_cache_put(a->subject, key, result, &entry);
	if (is_verified)
		auth_cache_note(key, true);
	secret_release(&hash);
}

/* The driver's answer, or what is left of an older one when it has none. */
static enum db_result ask_and_keep(
    const struct chain *chain, struct attempt *a, struct slice key, const struct cached_answer *old)
{
	enum db_result result = ask_driver(chain, a);

	if (result != DB_FAILED) {
		keep(chain, a, key, result);
		return result;
	}
	if (old->state == CACHED_NONE || !may_keep(chain, a))
		return result;
	subject_log(a->subject, LOG_LEVEL_INFO, a->db->driver_name,
	    "Falling back to expired data from cache");
	a->entry = old->entry;
	a->is_cached = true;
	return old->result;
}

static enum db_result try_answer(
    const struct chain *chain, struct attempt *a, struct slice key, const struct cached_answer *old)
{
	const struct database *db = a->db;
	enum db_result result;

	if (!attempt_take(a, &db->defaults, true))
		return DB_FAILED;
	if (a->is_cached)
		a->entry = old->entry;
	result = a->is_cached ? old->result : ask_and_keep(chain, a, key, old);
	if (result == DB_OK && a->entry.password) {
		a->password = a->entry.password;
		a->scheme = a->entry.scheme;
	}
	if (result == DB_OK && !attempt_take(a, &a->entry.fields, a->entry.expand))
		return DB_FAILED;
	if (result == DB_OK)
		result = judge(chain, a);
	else
		note_refusal(chain, a, result);
	if (result == DB_OK && !attempt_take(a, &db->overrides, true))
		return DB_FAILED;
	if (db->deny && result != DB_UNKNOWN && result != DB_FAILED) {
		tell(a, "User found from deny passdb");
		return DB_DISABLED;
	}
	return result;
}

static struct attempt new_attempt(const struct chain *chain, const struct database *db)
{
	return (struct attempt){
		.db = db,
		.subject = chain->subject,
		.entry = { .scheme = db->scheme },
		.scheme = db->scheme,
	};
}

static void copy_subject(struct subject *to, const struct subject *from)
{
	*to = *from;
	pairs_copy(&to->extra, &from->extra, from->arena);
	pairs_copy(&to->userdb, &from->userdb, from->arena);
}

static enum db_result try_block(const struct chain *chain, const struct database *db)
{
	struct slice key = auth_cache_key(db, chain->subject);
	struct attempt a = new_attempt(chain, db);
	struct cached_answer old;
	enum db_result result;

	auth_cache_get(chain->subject, key, &old);
	a.is_cached = old.state == CACHED_FRESH && may_keep(chain, &a);
	if (a.is_cached) {
		struct subject before;

		copy_subject(&before, chain->subject);
		a.quiet = old.is_trusted;
		result = try_answer(chain, &a, key, &old);
		if (old.result == DB_OK && chain->password && !chain->verified)
			auth_cache_note(key, result == DB_OK);
		if (result != DB_MISMATCH || !old.is_trusted)
			goto done;
		/* The password may have been changed. */
		*chain->subject = before;
		a = new_attempt(chain, db);
	}
	result = try_answer(chain, &a, key, &old);
	if (result == DB_OK && !a.is_cached && chain->password)
		auth_cache_note(key, true);
done:
	/* To the client this looks like a wrong password. */
	return result == DB_OK && a.refused ? DB_UNKNOWN : result;
}

/* --- which blocks --- */

static bool has_word(const char *list, const char *word)
{
	struct slice rest = slice_of(list), item;

	while (slice_token(&rest, ", \t", &item))
		if (slice_caseeq_str(item, word))
			return true;
	return false;
}

static bool accepts_name(const char *filter, const char *user)
{
	struct slice rest = slice_of(filter), item;
	bool wants_one = false, fits = false;

	while (slice_token(&rest, ", \t", &item)) {
		bool excludes = slice_starts(item, "!");
		bool matches = subject_name_matches(user, slice_from(item, excludes ? 1 : 0));

		if (excludes && matches)
			return false;
		wants_one |= !excludes;
		fits |= !excludes && matches;
	}
	return fits || !wants_one;
}

static bool is_passed_over(const struct chain *chain, const struct database *db)
{
	const struct subject *s = chain->subject;

	if (*db->mechanisms && !has_word(db->mechanisms, *s->mechanism ? s->mechanism : "none"))
		return true;
	if (!accepts_name(db->username_filter, s->user))
		return true;
	if (db->skip == DB_SKIP_AUTHENTICATED)
		return chain->verified;
	return db->skip == DB_SKIP_UNAUTHENTICATED && !chain->verified;
}

static const struct database *next_block(const struct chain *chain, const struct database *db)
{
	while (db && is_passed_over(chain, db))
		db = db->next;
	return db;
}

/* --- what a block changes, to be taken back when it said no; a new name stays, as with the peer
 * --- */

struct snapshot {
	struct pairs extra, userdb;
	const char *requested_login_user;
};

static struct snapshot take_snapshot(const struct subject *s)
{
	struct snapshot snapshot = { .requested_login_user = s->requested_login_user };

	pairs_copy(&snapshot.extra, &s->extra, s->arena);
	pairs_copy(&snapshot.userdb, &s->userdb, s->arena);
	return snapshot;
}

static void go_back(struct subject *s, const struct snapshot *snapshot)
{
	s->extra = snapshot->extra;
	s->userdb = snapshot->userdb;
	s->requested_login_user = snapshot->requested_login_user;
}

/* --- the chain --- */

static enum db_rule rule_for(const struct database *db, enum db_result result)
{
	return result == (enum db_result)RESULT_NEXT ? DB_CONTINUE : database_rule(db, result);
}

/* Whether the chain goes on. */
static bool apply_rule(struct chain *chain, enum db_rule rule, enum db_result result)
{
	switch (rule) {
	case DB_RETURN_OK:
		chain->success = true;
		return false;
	case DB_RETURN:
		return false;
	case DB_RETURN_FAIL:
		chain->success = false;
		return false;
	case DB_CONTINUE:
		chain->verified |= result == DB_OK;
		return true;
	case DB_CONTINUE_OK:
		chain->success = chain->verified = true;
		return true;
	case DB_CONTINUE_FAIL:
		chain->success = false;
		return true;
	}
	return false;
}

static void become_requested_user(struct subject *s, const struct database *db)
{
	if (db->verbose)
		subject_log(s, LOG_LEVEL_INFO, db->driver_name, "Master user logging in as %s",
		    s->requested_login_user);
	s->master_user = s->user;
	s->user = s->requested_login_user;
	s->requested_login_user = NULL;
}

/* True: *RESULT is the chain's.  DB is asked. */
static bool take_step(struct chain *chain, const struct database *db, enum db_result *result)
{
	struct subject *s = chain->subject;
	struct snapshot snapshot = take_snapshot(s);
	bool goes_on;

	*result = try_block(chain, db);
	if (*result != DB_OK && *result != (enum db_result)RESULT_NEXT) {
		go_back(s, &snapshot);
		/* Nor does the password count of who may not come from there, say. */
		if (chain->wanted && !chain->verified)
			chain->wanted->password = NULL;
	}
	/* Who is refused by name is refused; so is everybody when that list cannot be read. */
	if (*result == DB_DISABLED || *result == DB_EXPIRED || (db->deny && *result != DB_UNKNOWN))
		return true;
	goes_on = apply_rule(chain, rule_for(db, *result), *result);
	chain->next = db->next;
	if (*result == DB_OK && s->requested_login_user) {
		become_requested_user(s, db);
		chain->next = passdb_list;
	}
	chain->next = next_block(chain, chain->next);
	if (!goes_on || !chain->next)
		return true;
	chain->saw_failure |= *result == DB_FAILED;
	return false;
}

static enum db_result finish(
    const struct chain *chain, const struct database *last, enum db_result result)
{
	if (result == DB_DISABLED || result == DB_EXPIRED || last->deny)
		return result;
	if (result == (enum db_result)RESULT_NEXT) {
		subject_log(chain->subject, LOG_LEVEL_ERROR, last->driver_name,
		    "Last passdb had noauthenticate field, cannot authenticate user");
		return DB_FAILED;
	}
	if (chain->success)
		return DB_OK;
	if (chain->saw_failure)
		return DB_FAILED;
	return result == DB_OK ? DB_MISMATCH : result;
}

static enum db_result run_chain(struct chain *chain)
{
	struct subject *s = chain->subject;
	const struct database *db = s->requested_login_user ? masterdb_list : passdb_list;
	enum db_result result;

	if (!db) {
		if (database_settings->auth_verbose)
			subject_log(s, LOG_LEVEL_INFO, subject_mechanism(s),
			    "Attempted master login with no master passdbs "
			    "(trying to log in as user: %s)",
			    s->requested_login_user);
		return DB_UNKNOWN;
	}
	db = next_block(chain, db);
	if (!db) {
		subject_log(s, LOG_LEVEL_ERROR, subject_mechanism(s),
		    "All password databases were skipped");
		return DB_FAILED;
	}
	while (!take_step(chain, db, &result))
		db = chain->next;
	return finish(chain, db, result);
}

/* --- the three questions --- */

static bool is_forbidden_in_password(char c)
{
	return c == '\0' || c == '\001' || c == '\t' || c == '\r' || c == '\n';
}

enum db_result passdb_verify(struct subject *subject, struct slice password)
{
	struct chain chain = { .subject = subject, .password = &password };

	for (size_t i = 0; i < password.len; i++) {
		if (!is_forbidden_in_password(password.ptr[i]))
			continue;
		if (database_settings->auth_verbose)
			subject_log(subject, LOG_LEVEL_INFO, subject_mechanism(subject),
			    "Attempted login with password having illegal chars");
		return DB_UNKNOWN;
	}
	subject->password = slice_mem(arena_slicedup(subject->arena, password), password.len);
	return run_chain(&chain);
}

enum db_result passdb_credentials(struct subject *subject, struct credentials *credentials)
{
	struct chain chain = { .subject = subject, .wanted = credentials };
	enum db_result result;

	credentials->password = credentials->scheme = NULL;
	result = run_chain(&chain);
	if (result == DB_OK && credentials->password)
		return DB_OK;
	credentials->password = credentials->scheme = NULL;
	return result == DB_OK ? DB_MISMATCH : result;
}

enum db_result passdb_lookup(struct subject *subject)
{
	struct chain chain = { .subject = subject };

	return run_chain(&chain);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The chain of passdb blocks.  Each block that is not passed over gives a result; its rule for that
 * result says whether the chain ends here and what counts as the outcome so far.  A database that
 * failed makes the whole outcome temporary unless some block says yes.
 */
#include <fnmatch.h>
#include <string.h>
#include <strings.h>

#include "auth/scheme.h"
#include "authd/database_list.h"
#include "base/check.h"
#include "net/addr.h"

/* What is gathered for one block. */
struct attempt {
	const struct database *db;
	struct subject *subject;
	bool nopassword, refused; /* the fields said so */
};

/* --- extra fields --- */

static bool in_network(struct slice text, const struct net_addr *address)
{
	struct net_block block;

	return net_block_parse(text, &block) && net_block_contains(&block, address);
}

/* Networks separated by commas or blanks; "local" is a client without an address. */
static bool is_allowed_net(const char *nets, const char *remote_ip)
{
	struct slice rest = slice_of(nets), word;
	struct net_addr address;
	bool has_address = net_addr_parse(slice_of(remote_ip), 0, &address);

	while (slice_token(&rest, ", \t", &word)) {
		if (!*remote_ip && slice_eq_str(word, "local"))
			return true;
		if (has_address && in_network(word, &address))
			return true;
	}
	return false;
}

static void check_nets(struct attempt *a, const char *nets)
{
	const struct subject *s = a->subject;

	if (is_allowed_net(nets, s->remote_ip))
		return;
	a->refused = true;
	subject_log(s, LOG_LEVEL_INFO, a->db->driver_name,
	    "allow_nets check failed: IP %s not in allowed networks",
	    *s->remote_ip ? s->remote_ip : "<unknown>");
}

static void rename_user(struct subject *s, const char *user)
{
	if (*user)
		s->user = arena_strdup(s->arena, user);
}

static void take_field(struct attempt *a, const char *name, const char *value)
{
	struct subject *s = a->subject;
	const char *text = value ? value : "";

	if (!strcmp(name, "password") || !strcmp(name, "password_noscheme"))
		return;
	if (!strcmp(name, "nopassword"))
		a->nopassword = true;
	else if (!strcmp(name, "allow_nets") || !strcmp(name, "allow_real_nets"))
		check_nets(a, text);
	else if (!strcmp(name, "user"))
		rename_user(s, text);
	else if (!strncmp(name, "userdb_", 7))
		pairs_set(&s->userdb, s->arena, name + 7, text);
	else if (!strcmp(name, "nodelay"))
		s->nodelay = true;
	else
		pairs_set(&s->extra, s->arena, name, value);
}

static bool take_pairs(struct attempt *a, const struct pairs *pairs, bool expand)
{
	const char *error;

	for (const struct pair *p = pairs->first; p; p = p->next) {
		const char *value = p->value;

		if (value && expand && !(value = subject_expand(a->subject, value, &error))) {
			subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name, "%s: %s",
			    p->name, error);
			return false;
		}
		take_field(a, p->name, value);
	}
	return true;
}

/* Defaults give way to the entry's fields, overrides do not. */
static bool take_fields(struct attempt *a, const struct db_entry *entry)
{
	struct pairs defaults = { NULL, NULL };

	for (const struct pair *p = a->db->defaults.first; p; p = p->next)
		if (!pairs_find(&entry->fields, p->name))
			pairs_set(&defaults, a->subject->arena, p->name, p->value);
	return take_pairs(a, &defaults, true) && take_pairs(a, &entry->fields, false) &&
	       take_pairs(a, &a->db->overrides, true);
}

/* --- one block --- */

static void log_refusal(const struct attempt *a, const char *text)
{
	if (a->db->verbose)
		subject_log(a->subject, LOG_LEVEL_INFO, a->db->driver_name, "%s", text);
}

static enum db_result check_password(
    const struct attempt *a, const struct db_entry *entry, struct slice password)
{
	struct reason why = { "", "" };

	if (a->nopassword && *entry->password) {
		subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name,
		    "nopassword given but password is non-empty");
		return DB_FAILED;
	}
	if (a->nopassword)
		return DB_OK;
	if (!*entry->password) {
		log_refusal(a, "Empty password returned without nopassword");
		return DB_MISMATCH;
	}
	switch (password_verify(entry->password, entry->scheme, password, &why)) {
	case PASSWORD_MATCH:
		return DB_OK;
	case PASSWORD_MISMATCH:
		log_refusal(a, "Password mismatch");
		return DB_MISMATCH;
	case PASSWORD_UNUSABLE:
		log_refusal(a, "Password mismatch (the stored one is unusable)");
		return DB_MISMATCH;
	case PASSWORD_UNKNOWN_SCHEME:
		break;
	}
	subject_log(a->subject, LOG_LEVEL_ERROR, a->db->driver_name, "%s", why.text);
	return DB_FAILED;
}

/* PASSWORD NULL: only whether the user is there. */
static enum db_result try_block(
    const struct database *db, struct subject *subject, const struct slice *password)
{
	struct attempt a = { .db = db, .subject = subject };
	struct db_entry entry = { .password = "", .scheme = db->scheme };
	enum db_result result = db->driver->find_password(db, subject, &entry);

	if (db->deny && result != DB_UNKNOWN && result != DB_FAILED) {
		log_refusal(&a, "User found from deny passdb");
		return DB_DISABLED;
	}
	if (result == DB_UNKNOWN && !db->deny)
		log_refusal(&a, "unknown user");
	if (result != DB_OK)
		return result;
	if (!take_fields(&a, &entry))
		return DB_FAILED;
	if (password)
		result = check_password(&a, &entry, *password);
	/* To the client this looks like a wrong password. */
	return result == DB_OK && a.refused ? DB_UNKNOWN : result;
}

/* --- the chain --- */

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
	char pattern[256];

	while (slice_token(&rest, ", \t", &item)) {
		bool excludes = slice_starts(item, "!");

		item = slice_from(item, excludes ? 1 : 0);
		if (item.len >= sizeof(pattern))
			return false;
		memcpy(pattern, item.ptr, item.len);
		pattern[item.len] = '\0';
		if (excludes && fnmatch(pattern, user, 0) == 0)
			return false;
		wants_one |= !excludes;
		fits |= !excludes && fnmatch(pattern, user, 0) == 0;
	}
	return fits || !wants_one;
}

static bool is_passed_over(const struct database *db, const struct subject *subject, bool success)
{
	if (db->skip == DB_SKIP_AUTHENTICATED && success)
		return true;
	if (db->skip == DB_SKIP_UNAUTHENTICATED && !success)
		return true;
	if (*db->mechanisms && *subject->mechanism && !has_word(db->mechanisms, subject->mechanism))
		return true;
	return !accepts_name(db->username_filter, subject->user);
}

static void copy_pairs(struct pairs *to, const struct pairs *from, struct arena *arena)
{
	*to = (struct pairs){ NULL, NULL };
	for (const struct pair *p = from->first; p; p = p->next)
		pairs_set(to, arena, p->name, p->value);
}

/* What a block changes in the subject, kept to take it back when the block said no. */
struct snapshot {
	struct pairs extra, userdb;
	const char *user;
	bool nodelay;
};

static struct snapshot take_snapshot(const struct subject *s)
{
	struct snapshot snapshot = { .user = s->user, .nodelay = s->nodelay };

	copy_pairs(&snapshot.extra, &s->extra, s->arena);
	copy_pairs(&snapshot.userdb, &s->userdb, s->arena);
	return snapshot;
}

/* "nodelay" is about failures, so a wrong password leaves it in force. */
static void go_back(struct subject *s, const struct snapshot *snapshot, enum db_result result)
{
	s->extra = snapshot->extra;
	s->userdb = snapshot->userdb;
	s->user = snapshot->user;
	if (result != DB_MISMATCH)
		s->nodelay = snapshot->nodelay;
}

static enum db_rule rule_for(const struct database *db, enum db_result result)
{
	if (result == DB_OK)
		return db->on_success;
	return result == DB_FAILED ? db->on_internal_failure : db->on_failure;
}

static enum db_result run_chain(struct subject *subject, const struct slice *password)
{
	enum db_result last = DB_UNKNOWN;
	bool success = false, saw_failure = false, more = true;

	for (const struct database *db = passdb_list; db && more; db = db->next) {
		struct snapshot snapshot;
		enum db_result result;

		if (is_passed_over(db, subject, success))
			continue;
		snapshot = take_snapshot(subject);
		result = try_block(db, subject, password);
		if (result != DB_OK)
			go_back(subject, &snapshot, result);
		/* Being denied ends it; so does a list of the denied that cannot be read. */
		if (result == DB_DISABLED || (db->deny && result == DB_FAILED))
			return result;
		if (db->deny)
			continue;
		/* A wrong password stays that when a later block does not know the user. */
		if (result != DB_UNKNOWN || last != DB_MISMATCH)
			last = result;
		saw_failure |= result == DB_FAILED;
		switch (rule_for(db, result)) {
		case DB_RETURN_OK:
			success = true;
			more = false;
			break;
		case DB_RETURN:
			more = false;
			break;
		case DB_RETURN_FAIL:
			success = false;
			more = false;
			break;
		case DB_CONTINUE:
			break;
		case DB_CONTINUE_OK:
			success = true;
			break;
		case DB_CONTINUE_FAIL:
			success = false;
			break;
		}
	}
	if (success)
		return DB_OK;
	if (saw_failure)
		return DB_FAILED;
	return last == DB_OK ? DB_MISMATCH : last;
}

enum db_result passdb_verify(struct subject *subject, struct slice password)
{
	return run_chain(subject, &password);
}

enum db_result passdb_lookup(struct subject *subject)
{
	return run_chain(subject, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "authd/worker_args.h"

#include <string.h>

#include "authd/database_list.h"
#include "base/check.h"
#include "log/log.h"

#define PAM_SERVICE	 "dovecot"
#define PAM_MAX_REQUESTS "100"

const char *worker_option(const struct database *db, const char *name)
{
	const struct pair *pair = pairs_find(&db->fields, name);

	return pair && pair->value ? pair->value : "";
}

static const char *kind_of(const struct database *db)
{
	return db->is_userdb ? "userdb" : "passdb";
}

/* The last word is the service, whatever it is. */
static void set_service(struct database *db, struct arena *arena, struct slice word, bool is_last)
{
	if (slice_eq_str(word, "*"))
		pairs_set(&db->fields, arena, "service", "%Ls");
	else if (is_last)
		pairs_set(&db->fields, arena, "service", arena_slicedup(arena, word));
	else
		fatal("passdb pam: Unknown setting: %.*s", SLICE_ARG(word));
}

static bool is_known(struct slice word, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (slice_starts(word, names[i]))
			return true;
	return false;
}

static void check_count(void)
{
	if (database_settings->auth_worker_max_count == 0)
		fatal("auth_worker_max_count must be above zero");
}

void worker_parse_pam(struct database *db, struct arena *arena)
{
	static const char *const options[] = { "session=", "setcred=", "cache_key=",
		"failure_show_msg=", "max_requests=", "blocking=" };
	struct slice rest = slice_of(db->args), word;
	uint64_t unused;

	check_count();
	pairs_set(&db->fields, arena, "service", PAM_SERVICE);
	pairs_set(&db->fields, arena, "max_requests", PAM_MAX_REQUESTS);
	while (slice_token(&rest, " \t", &word)) {
		if (slice_eq_str(word, "-session"))
			pairs_set(&db->fields, arena, "session", "yes");
		else if (is_known(word, options, ARRAY_LEN(options)))
			pairs_set_text(&db->fields, arena, word);
		else
			set_service(db, arena, word, slice_trim(rest, " \t").len == 0);
	}
	if (!slice_uint(slice_of(worker_option(db, "max_requests")), UINT32_MAX, &unused))
		fatal("passdb pam: Invalid max_requests value: %s",
		    worker_option(db, "max_requests"));
	/* The service decides, too, where variables choose it. */
	if (*worker_option(db, "cache_key"))
		db->cache_key = arena_printf(
		    arena, "%s\n%s", worker_option(db, "cache_key"), worker_option(db, "service"));
}

static bool is_blocking(struct slice word)
{
	return slice_eq_str(word, "blocking=no") || slice_eq_str(word, "blocking=yes");
}

/* Where a lookup runs is not for the administrator to choose here: it never blocks authd. */
static void parse_blocking(struct database *db)
{
	struct slice args = slice_trim(slice_of(db->args), " \t");

	if (args.len && !is_blocking(args))
		fatal("%s %s: Unknown setting: %s", kind_of(db), db->driver_name, db->args);
	db->cache_key = "%u";
}

void worker_parse_passwd(struct database *db, struct arena *arena)
{
	struct slice rest = slice_of(db->args), word;

	check_count();
	db->cache_key = "%u";
	if (!db->is_userdb) {
		parse_blocking(db);
		return;
	}
	while (slice_token(&rest, " \t", &word)) {
		if (is_blocking(word))
			continue;
		if (slice_find(word, '=') <= 0)
			fatal("userdb passwd: Unknown setting: %.*s", SLICE_ARG(word));
		pairs_set_text(&db->fields, arena, word);
	}
	if (db->fields.first)
		log_warning("userdb passwd: Move templates args to override_fields setting");
	/* Templates are filled in by the worker: what they are made of tells users apart, too. */
	for (const struct pair *p = db->fields.first; p; p = p->next)
		db->cache_key = arena_printf(arena, "%s\n%s", db->cache_key, p->value);
}

void worker_parse_shadow(struct database *db, struct arena *arena)
{
	(void)arena;
	check_count();
	parse_blocking(db);
}

void worker_parse_checkpassword(struct database *db, struct arena *arena)
{
	(void)arena;
	check_count();
	if (*db->args != '/')
		fatal("%s checkpassword: args must begin with the absolute path of a program: %s",
		    kind_of(db), db->args);
}

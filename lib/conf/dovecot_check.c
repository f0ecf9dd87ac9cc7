// SPDX-License-Identifier: BSD-2-Clause
/* What is wrong with a dovecot.conf, and what in it has no effect. */
#include <string.h>

#include "base/check.h"
#include "conf/dovecot_tree.h"

static const char *const newer_names[] = {
#define NEWER(name) name,
#include "conf/dovecot_newer.def"
#undef NEWER
};

static bool is_newer(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(newer_names); i++)
		if (!strcmp(newer_names[i], name))
			return true;
	return false;
}

static void check_unknown(
    const struct dovecot_block *block, const struct dovecot_entry *e, struct conf_errors *errors)
{
	bool is_inner = block->parent && !dovecot_kinds[block->kind].is_filter;
	const char *where = is_inner ? dovecot_kinds[block->kind].name : "";

	conf_report(errors, CONF_ERROR, e->file, e->line, "Unknown setting: %s%s%s%s", where,
	    is_inner ? " { " : "", e->name,
	    is_newer(e->name) ? " (it is of Dovecot 2.4; this file is in the syntax of 2.3)" : "");
}

static bool in_absent_service(const struct dovecot_block *block)
{
	for (; block; block = block->parent)
		if (block->kind == DOVECOT_SERVICE)
			return !dovecot_service_runs(block->label);
	return false;
}

static void check_entry(
    const struct dovecot_block *block, const struct dovecot_entry *e, struct conf_errors *errors)
{
	struct dovecot_spec spec;
	char error[160];
	uint64_t number;

	if (!dovecot_spec_find(block->kind, e->name, &spec)) {
		if (!dovecot_kinds[block->kind].is_free)
			check_unknown(block, e, errors);
	} else if (!dovecot_value_parse(&spec, e->value, &number, error)) {
		conf_report(errors, CONF_ERROR, e->file, e->line, "%s: %s", e->name, error);
	}
}

/* Who logs in is asked before anybody knows from where. */
static void check_filtered(
    const struct dovecot_block *block, const struct dovecot_entry *e, struct conf_errors *errors)
{
	const struct dovecot_block *outer = block;

	if (!dovecot_kinds[block->kind].is_filter || strncmp(e->name, "auth_", 5) != 0 ||
	    !strcmp(e->name, "auth_socket_path") || !strncmp(e->name, "auth_ssl_", 9))
		return;
	while (outer->parent && outer->kind != DOVECOT_LOCAL && outer->kind != DOVECOT_REMOTE)
		outer = outer->parent;
	if (outer->parent)
		conf_report(errors, CONF_ERROR, e->file, e->line,
		    "Auth settings not supported inside local/remote blocks: %s", e->name);
}

static void check_values(const struct dovecot_block *block, struct conf_errors *errors)
{
	for (const struct dovecot_entry *e = block->entries; e; e = e->next) {
		check_entry(block, e, errors);
		check_filtered(block, e, errors);
	}
	for (const struct dovecot_block *b = block->children; b; b = b->next)
		check_values(b, errors);
}

void dovecot_conf_check_values(const struct dovecot_source *source, struct conf_errors *errors)
{
	check_values(source->root, errors);
}

static void check_works(
    const struct dovecot_block *block, const struct dovecot_entry *e, struct conf_errors *errors)
{
	struct dovecot_spec spec;

	if (!e->is_builtin && dovecot_spec_find(block->kind, e->name, &spec) && !spec.works &&
	    strcmp(e->value, spec.def) != 0 && block->kind != DOVECOT_PLUGIN &&
	    block->kind != DOVECOT_MAILBOX && !in_absent_service(block))
		conf_report(
		    errors, CONF_WARNING, e->file, e->line, "%s has no effect yet", e->name);
}

/* One line for a whole service or group of plugin settings, not one for each setting. */
static void check_effect(const struct dovecot_block *block, struct conf_errors *errors)
{
	const struct dovecot_entry *first = block->entries;

	while (first && first->is_builtin)
		first = first->next;
	if (block->kind == DOVECOT_SERVICE && first && !dovecot_service_runs(block->label))
		conf_report(errors, CONF_WARNING, first->file, first->line,
		    "service %s is not there yet; its settings have no effect", block->label);
	if (dovecot_kinds[block->kind].is_free && first)
		conf_report(errors, CONF_WARNING, first->file, first->line,
		    "settings in %s have no effect yet", dovecot_kinds[block->kind].name);
}

static void check_place(const struct dovecot_block *block, struct conf_errors *errors)
{
	const struct dovecot_block *outer = block->parent;
	struct dovecot_net net;

	/* A passdb that is left out could let the wrong people in, one too many as well. */
	if ((block->kind == DOVECOT_PASSDB || block->kind == DOVECOT_USERDB) && outer->parent)
		conf_report(errors, CONF_ERROR, block->file, block->line,
		    "%s inside of %s is not supported", dovecot_kinds[block->kind].name,
		    dovecot_kinds[outer->kind].name);
	if ((block->kind == DOVECOT_LOCAL || block->kind == DOVECOT_REMOTE) &&
	    !dovecot_net_parse(block->label, &net))
		conf_report(errors, CONF_ERROR, block->file, block->line,
		    "%s %s: want an address or a network, such as 192.0.2.0/24",
		    dovecot_kinds[block->kind].name, block->label);
}

static bool has_driver(const char *name, bool is_userdb)
{
	static const struct {
		const char *name;
		bool passdb, userdb;
	} drivers[] = { { "passwd-file", true, true }, { "static", true, true },
		{ "prefetch", false, true }, { "passwd", true, true }, { "pam", true, false },
		{ "shadow", true, false }, { "checkpassword", true, true } };

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (!strcmp(drivers[i].name, name))
			return is_userdb ? drivers[i].userdb : drivers[i].passdb;
	return false;
}

static void check_driver(const struct dovecot_block *block, struct conf_errors *errors)
{
	const char *driver = dovecot_block_get(block, "driver");
	bool is_userdb = block->kind == DOVECOT_USERDB;

	if (!*driver)
		conf_report(errors, CONF_ERROR, block->file, block->line, "%s is missing driver",
		    dovecot_kinds[block->kind].name);
	else if (!has_driver(driver, is_userdb))
		conf_report(errors, CONF_WARNING, block->file, block->line,
		    "%s driver %s is not there yet: asking it is a temporary failure",
		    dovecot_kinds[block->kind].name, driver);
}

static void check_block(const struct dovecot_block *block, struct conf_errors *errors)
{
	if (block->parent)
		check_place(block, errors);
	if (block->kind == DOVECOT_PASSDB || block->kind == DOVECOT_USERDB)
		check_driver(block, errors);
	check_effect(block, errors);
	for (const struct dovecot_entry *e = block->entries; e; e = e->next)
		check_works(block, e, errors);
	for (const struct dovecot_block *b = block->children; b; b = b->next)
		check_block(b, errors);
}

/* Those that are not served yet are master's to report: once, when it starts. */
static void check_protocols(const struct dovecot_source *source, struct conf_errors *errors)
{
	const struct dovecot_entry *e = dovecot_tree_find(source->root, "protocols");
	struct slice rest, word;

	if (!e)
		return;
	rest = slice_of(e->value);
	while (slice_token(&rest, " \t", &word)) {
		if (slice_eq_str(word, "pop3") || slice_eq_str(word, "imap") ||
		    slice_eq_str(word, "lmtp") || slice_eq_str(word, "sieve") ||
		    slice_eq_str(word, "submission"))
			continue;
		if (!slice_eq_str(word, "none"))
			conf_report(errors, CONF_ERROR, e->file, e->line,
			    "protocols: Unknown protocol: %.*s", SLICE_ARG(word));
	}
}

void dovecot_conf_check(const struct dovecot_source *source, struct conf_errors *errors)
{
	check_values(source->root, errors);
	check_block(source->root, errors);
	check_protocols(source, errors);
	dovecot_check_meaning(source->root, errors);
}

const char *dovecot_auth_listener_kind(const char *label)
{
	static const struct {
		const char *suffix, *kind;
	} kinds[] = { { "login", "login" }, { "master", "master" }, { "userdb", "userdb" } };
	const char *base = strrchr(label, '/'), *dash;

	base = base ? base + 1 : label;
	dash = strrchr(base, '-');
	if (dash)
		base = dash + 1;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kinds[i].suffix, base))
			return kinds[i].kind;
	return "auth";
}

// SPDX-License-Identifier: BSD-2-Clause
/* Values of global settings that are more than their type says, in the peer's words. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "conf/dovecot_tree.h"

/* False with what is wrong in WHY. */
typedef bool check_text(const char *name, const char *value, char why[160]);

static bool wrong(char why[160], const char *text, const char *value)
{
	snprintf(why, 160, "%s%.80s", text, value);
	return false;
}

static bool is_in(struct slice word, const char *list)
{
	struct slice rest = slice_of(list), one;

	while (slice_token(&rest, " ", &one))
		if (slice_caseeq(word, one))
			return true;
	return false;
}

static bool check_words(const char *name, const char *value, char why[160])
{
	static const struct {
		const char *name, *words;
	} lists[] = {
		{ "imap_client_workarounds", "delay-newmail tb-extra-mailbox-sep tb-lsub-flags" },
		{ "lmtp_client_workarounds", "whitespace-before-path mailbox-for-path" },
		{ "pop3_client_workarounds", "outlook-no-nuls oe-ns-eoh" },
		{ "submission_client_workarounds",
		    "implicit-auth-external exotic-backend whitespace-before-path "
		    "mailbox-for-path" },
	};
	const char *known = "";

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!strcmp(lists[i].name, name))
			known = lists[i].words;
	for (struct slice rest = slice_of(value), word; slice_token(&rest, " ,", &word);)
		if (!is_in(word, known)) {
			snprintf(why, 160, "%s: Unknown workaround: %.*s", name,
			    SLICE_ARG(slice_first(word, 60)));
			return false;
		}
	return true;
}

static bool check_facility(const char *name, const char *value, char why[160])
{
	(void)name;
	return is_in(slice_of(value),
		   "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp local0 "
		   "local1 local2 local3 local4 local5 local6 local7") ||
	       wrong(why, "Unknown syslog_facility: ", value);
}

static bool check_above_zero(const char *name, const char *value, char why[160])
{
	return strcmp(value, "0") != 0 || wrong(why, name, " must be above zero");
}

/* "%08Xu", "%{md5:uidl}": one-letter variables that there are. */
static bool check_uidl_format(const char *name, const char *value, char why[160])
{
	bool has_one = false;

	(void)name;
	for (const char *p = value; (p = strchr(p, '%')) != NULL && p[1]; p++) {
		if (*++p == '%')
			continue;
		p += strspn(p, "0123456789.-LUEXRNMDHT");
		if (*p == '{' && strchr(p, '}')) {
			p = strchr(p, '}');
		} else if (!*p || !strchr("uvmfg", *p)) {
			snprintf(why, 160, "Unknown pop3_uidl_format variable: %%%.1s", p);
			return false;
		}
		has_one = true;
	}
	return has_one ||
	       wrong(why, "pop3_uidl_format setting doesn't contain any %% variables.", "");
}

static bool check_verbose_passwords(const char *name, const char *value, char why[160])
{
	const char *colon = strchr(value, ':');
	struct slice word = slice_first(slice_of(value), strcspn(value, ":"));
	uint64_t length;

	(void)name;
	if (colon && (!slice_uint(slice_of(colon + 1), UINT32_MAX, &length) || !length)) {
		snprintf(why, 160, "auth_verbose_passwords: Invalid truncation number: '%.60s'",
		    colon + 1);
		return false;
	}
	return is_in(word, "no yes plain sha1") ||
	       wrong(why, "auth_verbose_passwords: Invalid value", "");
}

static const struct {
	const char *name;
	check_text *check;
} checks[] = {
	{ "auth_verbose_passwords", check_verbose_passwords },
	{ "auth_worker_max_count", check_above_zero },
	{ "imap_client_workarounds", check_words },
	{ "lmtp_client_workarounds", check_words },
	{ "pop3_client_workarounds", check_words },
	{ "pop3_uidl_format", check_uidl_format },
	{ "submission_client_workarounds", check_words },
	{ "syslog_facility", check_facility },
};

void dovecot_check_meaning(const struct dovecot_block *block, struct conf_errors *errors)
{
	char why[160];

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		const struct dovecot_entry *e = dovecot_tree_find(block, checks[i].name);

		if (e && !checks[i].check(e->name, e->value, why))
			conf_report(errors, CONF_ERROR, e->file, e->line, "%s", why);
	}
	for (const struct dovecot_block *b = block->children; b; b = b->next)
		if (dovecot_kinds[b->kind].is_filter)
			dovecot_check_meaning(b, errors);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "conf/dovecot_obsolete.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/slice.h"

enum what {
	GONE,
	REMOVED,
	RENAMED,
	FILE_,
	PLUGIN,
	AUTH,
	AUTH_SIZE,
	LOGIN,
	LOGIN_SIZE,
	MAIL,
	MAIL_SIZE
};

static const struct obsolete {
	const char *name;
	enum what what;
	const char *to;
} table[] = {
#define FILE				      FILE_
#define OBSOLETE(its_name, its_what, its_new) { its_name, its_what, its_new },
#include "conf/dovecot_obsolete.def"
#undef OBSOLETE
#undef FILE
};

static bool is_number(const char *text)
{
	return *text && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text);
}

static void add(struct dovecot_today *today, const char *prefix, const char *name)
{
	snprintf(today->names[today->count], sizeof(today->names[0]), "%s%s", prefix, name);
	today->count++;
}

#define WARN(...) snprintf(today->warning, sizeof(today->warning), __VA_ARGS__)

/* These were there for IMAP and POP3 alone. */
static void into_services(
    const struct obsolete *old, const char *suffix, struct dovecot_today *today)
{
	char prefix[64];

	WARN("%s has been replaced by service { %s }", old->name, old->to);
	snprintf(prefix, sizeof(prefix), "service/imap%s/", suffix);
	add(today, prefix, old->to);
	snprintf(prefix, sizeof(prefix), "service/pop3%s/", suffix);
	add(today, prefix, old->to);
}

static void translate(const struct obsolete *old, const char *value, struct dovecot_today *today)
{
	bool is_size = old->what == AUTH_SIZE || old->what == LOGIN_SIZE || old->what == MAIL_SIZE;

	snprintf(today->value, sizeof(today->value), "%s%s%s", old->what == FILE_ ? "<" : "", value,
	    is_size && is_number(value) ? "M" : "");
	switch (old->what) {
	case GONE:
		WARN("%s is no longer needed", old->name);
		break;
	case REMOVED:
		WARN("%s has been removed", old->name);
		break;
	case RENAMED:
		WARN("%s has been renamed to %s", old->name, old->to);
		add(today, "", old->to);
		break;
	case FILE_:
		WARN("%s has been replaced by %s = <file", old->name, old->to);
		add(today, "", old->to);
		break;
	case PLUGIN:
		if (*old->to)
			WARN("%s has been moved into plugin { %s }", old->name, old->to);
		else
			WARN("%s has been moved into plugin {} section", old->name);
		add(today, "plugin/", old->name);
		break;
	case AUTH:
	case AUTH_SIZE:
		WARN("%s has been replaced by service auth { %s }", old->name, old->to);
		add(today, "service/auth/", old->to);
		break;
	case LOGIN:
	case LOGIN_SIZE:
		into_services(old, "-login", today);
		break;
	case MAIL:
	case MAIL_SIZE:
		into_services(old, "", today);
		break;
	}
}

/* The oldest version that "!SSLv3 !TLSv1" leaves. */
static const char *oldest_protocol(const char *list)
{
	static const char *const versions[] = { "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" };
	bool has_wanted = false;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
			struct slice rest = slice_of(list), word;
			bool wanted = false, unwanted = false;

			while (slice_token(&rest, " ,", &word)) {
				if (slice_starts(word, "!"))
					unwanted |= slice_eq_str(slice_from(word, 1), versions[i]);
				else
					wanted |= slice_eq_str(word, versions[i]);
			}
			has_wanted |= wanted;
			if (pass == 1 && !unwanted && (wanted || !has_wanted))
				return versions[i];
		}
	}
	return "TLSv1";
}

/* "sieve" for "managesieve" in the list of protocols. */
static bool translate_protocols(const char *value, struct dovecot_today *today)
{
	struct slice rest = slice_of(value), word;
	size_t len = 0;
	bool found = false;

	while (slice_token(&rest, " \t", &word) && len + word.len + 2 < sizeof(today->value)) {
		if (slice_eq_str(word, "managesieve")) {
			word = SLICE_LIT("sieve");
			found = true;
		}
		len += (size_t)snprintf(today->value + len, sizeof(today->value) - len, "%s%.*s",
		    len ? " " : "", SLICE_ARG(word));
	}
	if (found)
		WARN("protocols=managesieve has been renamed to protocols=sieve");
	return found;
}

bool dovecot_obsolete(const char *name, const char *value, struct dovecot_today *today)
{
	today->count = 0;
	if (strlen(value) + 2 >= sizeof(today->value))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(table[i].name, name) != 0)
			continue;
		translate(&table[i], value, today);
		return true;
	}
	if (!strcmp(name, "auth_cache_size") && is_number(value) && strcmp(value, "0") != 0) {
		WARN("auth_cache_size value no longer defaults to megabytes. Use %.20sM", value);
		snprintf(today->value, sizeof(today->value), "%sM", value);
	} else if (!strcmp(name, "auth_count")) {
		WARN("auth_count has been removed%s",
		    strcmp(value, "1") == 0 ? "" : ", and its value must be 1");
		return true;
	} else if (!strcmp(name, "ssl_disable")) {
		WARN("ssl_disable has been renamed to ssl");
		snprintf(today->value, sizeof(today->value), "%s", *value == 'y' ? "no" : "yes");
		name = "ssl";
	} else if (!strcmp(name, "fsync_disable")) {
		WARN("fsync_disable has been renamed to mail_fsync");
		snprintf(today->value, sizeof(today->value), "%s",
		    *value == 'y' ? "never" : "optimized");
		name = "mail_fsync";
	} else if (!strcmp(name, "ssl_protocols")) {
		WARN("ssl_protocols has been replaced by ssl_min_protocol");
		snprintf(today->value, sizeof(today->value), "%s", oldest_protocol(value));
		name = "ssl_min_protocol";
	} else if (strcmp(name, "protocols") != 0 || !translate_protocols(value, today)) {
		return false;
	}
	add(today, "", name);
	return true;
}

const char *dovecot_obsolete_label(const char *kind, const char *label)
{
	if (!strcmp(kind, "protocol") && !strcmp(label, "managesieve"))
		return "sieve";
	if (!strcmp(kind, "service") && !strcmp(label, "dns_client"))
		return "dns-client";
	return NULL;
}

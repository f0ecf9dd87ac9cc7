// SPDX-License-Identifier: BSD-2-Clause
/*
 * dovecot.conf in the syntax of Dovecot 2.3, and the lists of its settings.
 *
 *	conf/dovecot_settings.def	SETTING(TYPE, field, "name", "default", WORKS,
 *"description") conf/dovecot_blocks.def		BLOCK_SETTING(KIND, TYPE, "name", "default",
 *WORKS, "description") conf/dovecot_services.def	SERVICE("name", RUNS, "its built-in
 *settings") conf/dovecot_newer.def		NEWER("name"), names that only Dovecot 2.4 knows
 *
 * The first holds what stands outside of named blocks: the fields of struct dovecot_settings.  TYPE
 * is STR, BOOL, UINT, SIZE (bytes), TIME (seconds), TIME_MS, OCTAL, ENUM (DEFAULT is
 * "first:second:third", the first is the default).  WORKS is YES or NO: whether Postcote honours
 *the setting; one that is set and does not work is a warning.  The description (our own words, one
 * line) is there for those that work.
 *
 * struct dovecot_source is the text as read; it can be sealed for other processes.  A struct
 * dovecot_settings is the evaluated set of global settings for one filter.  All are immutable once
 * made and safe to share between threads.  Variables such as %u stay in the values:
 * dovecot_var_expand replaces them.
 *
 * "key = <file": for the settings that name keys and certificates (ssl_...) the value stays "<" and
 * the absolute path, for dovecot_read_file_value; for all others the reader takes the file's
 *content at once, without its last newline.
 */
#ifndef PC_CONF_DOVECOT_CONF_H
#define PC_CONF_DOVECOT_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "conf/conf_error.h"

struct dovecot_source;

/* Reads PATH and what it includes. NULL only when PATH cannot be opened. */
struct dovecot_source *dovecot_source_read(const char *path, struct conf_errors *errors);
/* For showing it alone: values in files that are not there and unknown "$name" are no errors. */
struct dovecot_source *dovecot_source_read_lazily(const char *path, struct conf_errors *errors);
void dovecot_source_free(struct dovecot_source *source);
const char *dovecot_source_path(const struct dovecot_source *source);

/* What stands in a sealed configuration.  Settings that no program uses stand in none. */
enum dovecot_seal {
	DOVECOT_SEAL_PLAIN, /* without passdb and userdb, which may hold passwords */
	DOVECOT_SEAL_AUTH   /* for the process that asks them */
};
/* A sealed memory file; -1 with errno. */
int dovecot_source_seal(const struct dovecot_source *source, enum dovecot_seal what);
/* NULL when it is malformed, or not sealed. */
struct dovecot_source *dovecot_source_load(int fd);

/* What narrows settings; NULL or 0 members match only unfiltered values. */
struct dovecot_filter {
	const char *protocol;	/* "pop3" */
	const char *local_name; /* SNI */
	const char *local_ip, *remote_ip;
};

#define PC_DSET_STR(field)     const char *field;
#define PC_DSET_ENUM(field)    const char *field;
#define PC_DSET_BOOL(field)    bool field;
#define PC_DSET_UINT(field)    unsigned long field;
#define PC_DSET_OCTAL(field)   unsigned field;
#define PC_DSET_SIZE(field)    uint64_t field;
#define PC_DSET_TIME(field)    int64_t field;
#define PC_DSET_TIME_MS(field) int64_t field;

struct dovecot_settings {
#define SETTING(type, field, name, def, works, text) PC_DSET_##type(field)
#include "conf/dovecot_settings.def"
#undef SETTING
	struct dovecot_eval *eval;
};

/*
 * Appends which filters of the file match, as a text: filters with the same text have the same
 * settings, so that those need not be evaluated again.
 */
void dovecot_filter_key(
    const struct dovecot_source *source, const struct dovecot_filter *filter, struct strbuf *out);
/* The labels of all filters of KIND ("local", "local_name", "remote"), at most MAX of them. */
size_t dovecot_filter_labels(
    const struct dovecot_source *source, const char *kind, const char **labels, size_t max);
/* Never NULL; findings go to ERRORS (which may be NULL when the source was checked before). */
struct dovecot_settings *dovecot_settings_new(const struct dovecot_source *source,
    const struct dovecot_filter *filter, struct conf_errors *errors);
void dovecot_settings_free(struct dovecot_settings *settings);
/* A global setting's text by name; NULL for an unknown name.  Lives as long as SETTINGS. */
const char *dovecot_setting_text(const struct dovecot_settings *settings, const char *name);
/*
 * Where lines go, "syslog" or a file: information with the errors unless it has a place of its own,
 * debugging with information.
 */
enum dovecot_log { DOVECOT_LOG_ERRORS, DOVECOT_LOG_INFO, DOVECOT_LOG_DEBUG };
const char *dovecot_log_path(const struct dovecot_settings *settings, enum dovecot_log log);
/*
 * The content of the file when VALUE is "<" and a path, else a copy of VALUE.  The caller frees it.
 * NULL with *ERROR (also to be freed).
 */
char *dovecot_read_file_value(const char *value, char **error);

/* A passdb, userdb, service, listener or namespace: its settings by name, in order of the file. */
struct dovecot_block;
size_t dovecot_block_count(const struct dovecot_source *source, const char *kind);
const struct dovecot_block *dovecot_block_at(
    const struct dovecot_source *source, const char *kind, size_t i);
/* By label, as in "service auth"; built-in services and listeners are there unasked. */
const struct dovecot_block *dovecot_block_find(
    const struct dovecot_source *source, const char *kind, const char *label);
const char *dovecot_block_label(const struct dovecot_block *block);
/* The setting's text, or its default from the list; NULL for a name the block does not know. */
const char *dovecot_block_get(const struct dovecot_block *block, const char *name);
/* Whether the administrator's file sets it (our built-in settings do not count). */
bool dovecot_block_is_set(const struct dovecot_block *block, const char *name);
/* For UINT and OCTAL, and SIZE and TIME settings; a bad value, which the check reports, is the
 * default. */
unsigned long dovecot_block_uint(const struct dovecot_block *block, const char *name);
bool dovecot_block_bool(const struct dovecot_block *block, const char *name);
/* Blocks inside, such as "unix_listener" of a service or "mailbox" of a namespace. */
size_t dovecot_subblock_count(const struct dovecot_block *block, const char *kind);
const struct dovecot_block *dovecot_subblock_at(
    const struct dovecot_block *block, const char *kind, size_t i);

/* Whether Postcote has the service. */
bool dovecot_service_runs(const char *label);
/* What a listener of the service auth speaks, by its name: "auth", "login", "master", "userdb". */
const char *dovecot_auth_listener_kind(const char *label);

/* The list of global settings, sorted by name, for doveconf and the manual. */
enum dovecot_type {
	DOVECOT_STR,
	DOVECOT_BOOL,
	DOVECOT_UINT,
	DOVECOT_SIZE,
	DOVECOT_TIME,
	DOVECOT_TIME_MS,
	DOVECOT_OCTAL,
	DOVECOT_ENUM
};
struct dovecot_row {
	const char *name, *def, *text;
	enum dovecot_type type;
	bool works;
	size_t field; /* offset in struct dovecot_settings */
};
size_t dovecot_row_count(void);
const struct dovecot_row *dovecot_row(size_t i);
const struct dovecot_row *dovecot_row_find(const char *name);

/* Everything wrong, unknown (fatal, as in the peer) or of no effect. */
void dovecot_conf_check(const struct dovecot_source *source, struct conf_errors *errors);
/* The half of it that is about names and values alone. */
void dovecot_conf_check_values(const struct dovecot_source *source, struct conf_errors *errors);

/*
 * Variables: %u, %{user}, %Ld, %2.1n, %2.256Nu, %{sha256;salt=x:user}, %{if;%s;eq;imap;a;b},
 * %{env:NAME}, %{system:os} ...  LOOKUP gives the value for a long name ("user", "domain", "rip",
 * "userdb:home") or a NULL slice for an unknown one, which expands to nothing and, with ERROR, is
 * reported.  False on bad syntax and, with ERROR, on what cannot be computed; *ERROR, to be freed,
 * is the peer's text.
 */
typedef struct slice dovecot_var_lookup(const char *name, void *arg);
bool dovecot_var_expand(
    struct strbuf *out, const char *text, dovecot_var_lookup *lookup, void *arg, char **error);
/* For a LOOKUP: "user", "username" and "domain" of a user's whole name; NULL for other variables.
 */
struct slice dovecot_var_user(const char *name, struct slice user);

#endif

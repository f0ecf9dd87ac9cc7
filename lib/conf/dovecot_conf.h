// SPDX-License-Identifier: BSD-2-Clause
/*
 * dovecot.conf in the syntax of Dovecot 2.3, and the one list of its settings.
 *
 * The list is conf/dovecot_settings.def:
 *
 *	SETTING(BLOCK, TYPE, field, "name", "default", WORKS, "description")
 *
 * BLOCK is GLOBAL (everything that stands outside of a named block: these are the fields of struct
 * dovecot_settings), SERVICE, UNIX_LISTENER, FIFO_LISTENER, INET_LISTENER, PASSDB, USERDB,
 * NAMESPACE, MAILBOX, or PLUGIN.  TYPE is STR, BOOL, UINT, SIZE (bytes), TIME (seconds), TIME_MS, OCTAL, ENUM
 * (DEFAULT is "first:second:third", first is the default).  WORKS and the description are as in
 * conf/postfix_params.def.
 *
 * struct dovecot_source is the text as read; it can be sealed for other processes.  A struct
 * dovecot_settings is the evaluated set of global settings for one filter.  All are immutable once
 * made.  Variables such as %u stay in the values: dovecot_var_expand replaces them.
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
void dovecot_source_free(struct dovecot_source *source);
const char *dovecot_source_path(const struct dovecot_source *source);
int dovecot_source_seal(const struct dovecot_source *source); /* sealed memory file; -1 with errno */
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

#define SETTING(block, type, field, name, def, works, text) PC_DIN_##block(PC_DSET_##type(field))
#define PC_DIN_NO(x)
#define PC_DIN_YES(x) x
struct dovecot_settings {
#define PC_DIN_GLOBAL(x) x
#define PC_DIN_SERVICE(x)
#define PC_DIN_UNIX_LISTENER(x)
#define PC_DIN_FIFO_LISTENER(x)
#define PC_DIN_INET_LISTENER(x)
#define PC_DIN_PASSDB(x)
#define PC_DIN_USERDB(x)
#define PC_DIN_NAMESPACE(x)
#define PC_DIN_MAILBOX(x)
#define PC_DIN_PLUGIN(x)
#include "conf/dovecot_settings.def"
	struct dovecot_eval *eval;
};
#undef PC_DIN_GLOBAL
#undef SETTING

/* Never NULL; findings go to ERRORS (which may be NULL when the source was checked before). */
struct dovecot_settings *dovecot_settings_new(const struct dovecot_source *source,
    const struct dovecot_filter *filter, struct conf_errors *errors);
void dovecot_settings_free(struct dovecot_settings *settings);
/* The value of "key = <file" settings is the file's content: read now. NULL with *ERROR text. */
char *dovecot_read_file_value(const char *value, char **error);

/* A passdb, userdb, service, listener or namespace: its settings by name, in order of the file. */
struct dovecot_block;
size_t dovecot_block_count(const struct dovecot_source *source, const char *kind);
const struct dovecot_block *dovecot_block_at(const struct dovecot_source *source, const char *kind,
    size_t i);
/* By label, as in "service auth"; built-in services and listeners are there unasked. */
const struct dovecot_block *dovecot_block_find(const struct dovecot_source *source,
    const char *kind, const char *label);
const char *dovecot_block_label(const struct dovecot_block *block);
/* The setting's text, or its default from the list; NULL for a name the block does not know. */
const char *dovecot_block_get(const struct dovecot_block *block, const char *name);
bool dovecot_block_is_set(const struct dovecot_block *block, const char *name);
unsigned long dovecot_block_uint(const struct dovecot_block *block, const char *name);
bool dovecot_block_bool(const struct dovecot_block *block, const char *name);
/* Blocks inside, such as "unix_listener" of a service or "mailbox" of a namespace. */
size_t dovecot_subblock_count(const struct dovecot_block *block, const char *kind);
const struct dovecot_block *dovecot_subblock_at(const struct dovecot_block *block,
    const char *kind, size_t i);

/* Everything wrong, unknown (fatal, as in the peer) or of no effect. */
void dovecot_conf_check(const struct dovecot_source *source, struct conf_errors *errors);

/*
 * Variables: %u, %{user}, %Ld, %2.1n ...  LOOKUP gives the value for a long name ("user", "domain",
 * "rip", "userdb:home") or a NULL slice for an unknown one, which expands to nothing and, with
 * ERROR, is reported.  False on bad syntax.
 */
typedef struct slice dovecot_var_lookup(const char *name, void *arg);
bool dovecot_var_expand(struct strbuf *out, const char *text, dovecot_var_lookup *lookup,
    void *arg, char **error);

#endif

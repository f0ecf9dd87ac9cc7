// SPDX-License-Identifier: BSD-2-Clause
/* What the files of the command postconf share. */
#ifndef PC_CMD_POSTCONF_H
#define PC_CMD_POSTCONF_H

#include <stdbool.h>

#include "base/map.h"
#include "conf/postfix_conf.h"
#include "conf/postfix_edit.h"
#include "conf/postfix_entry.h"
#include "conf/postfix_usage.h"

enum postconf_action {
	POSTCONF_LIST,
	POSTCONF_EDIT,	  /* -e */
	POSTCONF_COMMENT, /* -# */
	POSTCONF_REMOVE,  /* -X */
};

/* Who defines a parameter; -C selects by these. */
enum postconf_class {
	POSTCONF_UNKNOWN = 0,
	POSTCONF_BUILTIN = 1 << 0,
	POSTCONF_SERVICE = 1 << 1, /* an entry of master.cf */
	POSTCONF_USER = 1 << 2,	   /* main.cf, and something makes use of it */
	POSTCONF_ALL = 7
};

struct postconf {
	const char *dir;
	enum postconf_action action;
	/* What it is about: the letter of the option, 'p' for main.cf's parameters. */
	char subject;
	unsigned classes;
	bool defaults, non_default, expand, fold, json, no_name, no_value, quiet, verbose;
	const char *tls_mode; /* -T */
	/* -o name=value */
	struct postfix_override *overrides;
	size_t override_count;
	/* For a listing: */
	struct postfix_source *source;
	struct postfix_params *params; /* for -x, and what is computed */
	struct postfix_entry *entries; /* of master.cf, in order */
	size_t entry_count;
	struct postfix_usage usage;
	struct map main_references; /* names that main.cf refers to */
};

/* ---- postconf_options.c ---- */

/* fatal() for what cannot be together. */
void postconf_parse_options(struct postconf *pc, int argc, char **argv);

/* ---- postconf_print.c ---- */

/* "name = value", the half of it that is wanted, or an object of JSON. */
void postconf_print_assignment(const struct postconf *pc, const char *name, const char *value);
void postconf_print_json(const char *name, const char *value);

/* ---- postconf_names.c ---- */

/* The names that main.cf and options set; one may be there twice. */
size_t postconf_set_count(const struct postconf *pc);
const char *postconf_set_name(const struct postconf *pc, size_t i);
/* The value that main.cf or an option sets; NULL for a default. */
const char *postconf_find_set(const struct postconf *pc, const char *name);
enum postconf_class postconf_class_of(const struct postconf *pc, const char *name);
/* Notes what main.cf refers to. */
void postconf_names_init(struct postconf *pc);
void postconf_names_release(struct postconf *pc);
/* fatal() for a value in main.cf that refers to itself, or has bad syntax. */
void postconf_need_sound_values(const struct postconf *pc);
/* Names that are not defined, and such as nothing makes use of; those of main.cf if MAIN_TOO. */
void postconf_warn_undefined(const struct postconf *pc);
/* Values with what looks like a comment in them. */
void postconf_warn_comments(const struct postconf *pc);
void postconf_warn_unused(const struct postconf *pc, bool main_too);

/* ---- the subjects ---- */

void postconf_list_main(const struct postconf *pc, char **names);
/* fatal() for entries that cannot be read. */
void postconf_read_entries(struct postconf *pc);
/* What -M, -F, -P list; PATTERNS is NULL-terminated. */
void postconf_list_master(const struct postconf *pc, char **patterns);
/* What -e, -# or -X does to a file. */
enum postfix_edit_action postconf_edit_action(const struct postconf *pc);
/* The edits; 1 when one failed. */
int postconf_edit_main(const struct postconf *pc, char **args);
int postconf_edit_master(const struct postconf *pc, char **args);
/* -b, and with RAW -t; FILES is NULL-terminated. */
int postconf_list_templates(const struct postconf *pc, bool raw, char **files);

/* ---- postconf_file.c ---- */

/* One file that is edited.  Others who edit it with this command, or the peer's, wait. */
struct postconf_file {
	char *path, *new_path;
	int new_fd;
	struct strbuf text;
};

/* Reads PATH and takes the lock; fatal() when it cannot. */
void postconf_file_open(struct postconf_file *file, const char *dir, const char *name);
/* Puts TEXT in the file's place, with its owner and rights, and releases FILE. */
void postconf_file_replace(struct postconf_file *file, struct slice text);

#endif

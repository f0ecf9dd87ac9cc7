// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.cf and master.cf: reading them, expanding values, and the one list of parameters.
 *
 * The list is conf/postfix_params.def, one row per parameter of the peer (and our own, which begin
 * with postcote_):
 *
 *	PARAM(TYPE, field, "name", "default", min, max, "readers", WORKS, "description")
 *
 * TYPE is STR, BOOL, INT (fits a long), SIZE (long long) or TIME (whole seconds in the struct;
 * DEFAULT carries its unit and the list the unit of a bare number), RAW for the ones that are
 * expanded at run time only.  A minimum or maximum of 0 is none.  WORKS is YES or NO: whether
 * Postcote honours the parameter; a value set for one that it does not is a warning of "postfix
 * check".  OLD is NO for a name that postconf does not list (old names, and the transport_...
 * templates): unless set, it is undefined in values.  The description (our own words,
 * one line) is there for those that work.  The struct below, the parser, postconf and the manual
 * page come from that list.
 *
 * Three stages: struct postfix_source is the text as read (assignments and services with file and
 * line, unexpanded); it can be sealed into a memory file that master hands to every process; a
 * struct postfix_params is the evaluated set for one role: main.cf, then the -o of its master.cf
 * entry.  All are immutable once made and safe to share between threads.
 */
#ifndef PC_CONF_POSTFIX_CONF_H
#define PC_CONF_POSTFIX_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf_error.h"

struct postfix_override {
	char *name, *value;
};

#define POSTFIX_COLUMNS 7

/* One logical line of master.cf; "-" columns are resolved to their meaning. */
struct postfix_service {
	char *name; /* "smtp", "127.0.0.1:10025", "qmgr" */
	char *type; /* inet, unix, unix-dgram, fifo, pass */
	bool is_private, unprivileged, chroot;
	unsigned wakeup_s;   /* 0: never */
	bool wakeup_if_used; /* the '?' suffix */
	long max_processes;  /* 0: no limit; -1: the column says "-" */
	char *program;	     /* "smtpd" */
	char **args;	     /* arguments that are not -o, NULL-terminated, without the program */
	struct postfix_override *overrides;
	size_t override_count;
	unsigned line;
};

struct postfix_source;

/*
 * Reads DIR/main.cf and DIR/master.cf.  Returns what could be read (NULL only when main.cf cannot
 * be opened); findings go to ERRORS.
 */
struct postfix_source *postfix_source_read(const char *dir, struct conf_errors *errors);
/* The same as if main.cf were empty, and master.cf, too, where it cannot be read.  Never NULL. */
struct postfix_source *postfix_source_defaults(const char *dir);
void postfix_source_free(struct postfix_source *source);
const char *postfix_source_dir(const struct postfix_source *source);
/* A sealed memory file with all of it; -1 with errno. */
int postfix_source_seal(const struct postfix_source *source);
struct postfix_source *postfix_source_load(int fd); /* NULL when malformed */

size_t postfix_service_count(const struct postfix_source *source);
const struct postfix_service *postfix_service_at(const struct postfix_source *source, size_t i);
/* By name and type; NULL type: any.  NULL when there is none. */
const struct postfix_service *postfix_service_find(
    const struct postfix_source *source, const char *name, const char *type);
/* The raw value and place of an assignment in main.cf; NULL when it is not set there. */
const char *postfix_source_raw(
    const struct postfix_source *source, const char *name, unsigned *line);
/* Names set in main.cf, in order of first appearance. */
size_t postfix_source_set_count(const struct postfix_source *source);
const char *postfix_source_set_name(const struct postfix_source *source, size_t i);

#define PC_FIELD_STR(field)  const char *field;
#define PC_FIELD_RAW(field)  const char *field;
#define PC_FIELD_BOOL(field) bool field;
#define PC_FIELD_INT(field)  long field;
#define PC_FIELD_SIZE(field) long long field;
#define PC_FIELD_TIME(field) int64_t field;
struct postfix_params {
#define PARAM(type, field, name, def, min, max, readers, works, text) PC_FIELD_##type(field)
#include "conf/postfix_params.def"
#undef PARAM
	struct postfix_eval *eval; /* for postfix_param_lookup */
};

/*
 * Evaluates all parameters for the role of SERVICE (NULL: main.cf alone).  Every bad value is a
 * finding with its place; the default then stands in.  Never NULL.
 * The result does not refer to SOURCE, which may go before it.
 */
struct postfix_params *postfix_params_new(const struct postfix_source *source,
    const struct postfix_service *service, struct conf_errors *errors);
void postfix_params_free(struct postfix_params *params);
/*
 * Any parameter by name, expanded: those of the list, user-defined ones, and the ones a transport
 * defines (smtp_destination_concurrency_limit falls back to its default_... parameter).  NULL when
 * nothing of that name is defined.  The text lives as long as PARAMS.
 */
const char *postfix_param_lookup(const struct postfix_params *params, const char *name);
/* TEXT with $name and the other forms of section "value expansion" replaced; the caller frees it.
 * NULL for bad syntax. */
char *postfix_param_expand(const struct postfix_params *params, const char *text);

/* The list itself, for postconf and the checks. */
struct postfix_param_row {
	const char *name, *def, *readers, *text;
	enum { PARAM_STR, PARAM_RAW, PARAM_BOOL, PARAM_INT, PARAM_SIZE, PARAM_TIME } type;
	long long min, max;
	bool works;
	bool is_old; /* undefined in values unless it is set, and not listed */
};
size_t postfix_param_count(void);
const struct postfix_param_row *postfix_param_row(size_t i); /* sorted by name */
const struct postfix_param_row *postfix_param_find(const char *name);

/* The configuration directory: -c's, else $MAIL_CONFIG, else /etc/postfix. */
const char *postfix_conf_dir(const char *option);
/*
 * Everything that is wrong or of no effect: values, unknown names (with the nearest right
 * spelling), parameters and services that Postcote does not support yet, a choice that opens a
 * relay.  This is "postfix check" without the look at files and rights.
 */
void postfix_conf_check(const struct postfix_source *source, struct conf_errors *errors);

/*
 * Splits a list at commas and blanks; {...} groups an element, whose braces are removed.  *REST
 * moves on; the element is written to OUT.  False at the end.
 */
struct strbuf;
bool postfix_list_next(const char **rest, struct strbuf *out);

#endif

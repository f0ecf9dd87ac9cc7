// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is wrong with a configuration, all of it at once.  A list of findings that readers of
 * main.cf, master.cf and dovecot.conf add to and programs print.
 */
#ifndef PC_CONF_CONF_ERROR_H
#define PC_CONF_CONF_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum conf_severity { CONF_WARNING, CONF_ERROR };

struct conf_finding {
	enum conf_severity severity;
	char *file;    /* "" when no file is at fault */
	unsigned line; /* 0: no line */
	char *text;    /* "smtpd_timeout: bad time value: 3x (want a number and s, m, h, d or w)" */
};

struct conf_errors {
	struct conf_finding *list;
	size_t count, alloc;
	size_t error_count; /* of severity CONF_ERROR */
};
#define CONF_ERRORS_INIT                                                                           \
	{                                                                                          \
		NULL, 0, 0, 0                                                                      \
	}
/* A list keeps no more than these. */
#define CONF_ERRORS_MAX 1000

/* Adds a finding, unless the same is there already; does nothing when ERRORS is NULL. */
void conf_report(struct conf_errors *errors, enum conf_severity severity, const char *file,
    unsigned line, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* "FILE: line N: TEXT" (or "FILE: TEXT", or "TEXT") for each, through EMIT. */
void conf_errors_each(const struct conf_errors *errors,
    void (*emit)(enum conf_severity severity, const char *line, void *arg), void *arg);
void conf_errors_release(struct conf_errors *errors);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* What dovecot_var.c and dovecot_var_function.c share. */
#ifndef PC_CONF_DOVECOT_VAR_INTERNAL_H
#define PC_CONF_DOVECOT_VAR_INTERNAL_H

#include "conf/dovecot_conf.h"

#define VAR_VALUE_MAX (64 * 1024)
#define VAR_NAME_MAX  256
#define VAR_DEPTH_MAX 10

struct var_context {
	dovecot_var_lookup *lookup;
	void *arg;
	char **error; /* NULL: what is unknown expands to nothing */
	unsigned depth;
};

/* Notes the first error; false, or true when nobody wants errors. */
bool var_fail(struct var_context *ctx, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool var_expand(struct var_context *ctx, struct slice text, struct strbuf *out);
/* The value of what stands between braces. */
bool var_get(struct var_context *ctx, struct slice name, struct strbuf *value);
/* False: NAME is no function's.  Else *GOOD tells whether it worked. */
bool var_function(struct var_context *ctx, struct slice name, struct strbuf *value, bool *good);
/* Names that need no lookup: "hostname", "pid", "uid", "gid". */
bool var_common(const char *name, struct strbuf *value);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which names a configuration makes use of, so that one that nothing uses can be told from a
 * definition of the administrator's own.
 */
#ifndef PC_CONF_POSTFIX_USAGE_H
#define PC_CONF_POSTFIX_USAGE_H

#include "base/map.h"
#include "conf/postfix_conf.h"

struct postfix_usage {
	struct map from_set;	  /* names that values in main.cf and master.cf refer to */
	struct map from_working;  /* the same, without values that have no effect themselves */
	struct map from_defaults; /* names that default values refer to */
	struct map tables;	  /* X of type:X, whose settings are called X_something */
};

void postfix_usage_init(struct postfix_usage *usage, const struct postfix_source *source);
void postfix_usage_release(struct postfix_usage *usage);
/* Something refers to NAME, or it is a restriction class, or a setting of a table. */
bool postfix_usage_has(const struct postfix_usage *usage, const char *name);
/* NAME is a setting of a table that the configuration names. */
bool postfix_usage_names_table(const struct postfix_usage *usage, const char *name);
/* NAME is in the list, and no old name, or one that a service of master.cf defines. */
bool postfix_name_is_known(const struct postfix_source *source, const char *name);

#endif

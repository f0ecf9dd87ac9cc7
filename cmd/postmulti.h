// SPDX-License-Identifier: BSD-2-Clause
/* What the files of the command postmulti share. */
#ifndef PC_CMD_POSTMULTI_H
#define PC_CMD_POSTMULTI_H

#include <stdbool.h>

#include "conf/postfix_conf.h"

/* A mail system: a configuration directory and what its main.cf says of it. */
struct multi_instance {
	char *dir, *name, *group, *queue_dir, *data_dir; /* name and group may be "" */
	bool enabled;
	struct postfix_params *params;
};

struct postmulti {
	char mode; /* the letter of the option: e, l, p or x */
	const char *action;
	const char *name, *group;	  /* -i and -g: which instances; NULL: any */
	const char *new_name, *new_group; /* -I and -G; NULL: as they are */
	bool all, reverse, verbose, json;
	struct multi_instance *list; /* the primary one is the first */
	size_t count;
};

/* Reads DIR/main.cf; fatal() when it cannot. */
void postmulti_read_instance(struct multi_instance *instance, const char *dir);
void postmulti_release_instance(struct multi_instance *instance);
/* fatal() when the two cannot be at the same time: one name, one directory. */
void postmulti_need_distinct(const struct multi_instance *a, const struct multi_instance *b);
/* By name, "-" for the primary one without a name, or by directory; NULL. */
struct multi_instance *postmulti_find(struct postmulti *pm, const char *name);
/* Runs PATH for INSTANCE: MAIL_CONFIG and the like in its environment. */
int postmulti_run(const struct multi_instance *instance, const char *path, char *const argv[]);

/* -e; SETTINGS is a NULL-terminated list of name=value. */
int postmulti_edit(struct postmulti *pm, char **settings);

#endif

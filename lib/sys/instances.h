// SPDX-License-Identifier: BSD-2-Clause
/*
 * Dovecot's list of instances, state_dir/instances: a line "TIME name base_dir config" with TABs
 * for each base_dir that was ever started from.
 */
#ifndef PC_SYS_INSTANCES_H
#define PC_SYS_INSTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct instance {
	time_t last_used;
	char *name, *base_dir, *config;
};

struct instance_list {
	struct instance *list;
	size_t count;
};

/* True with no instances when there is no such file; lines that are none are left out. */
bool instances_read(const char *path, struct instance_list *list);
void instances_release(struct instance_list *list);
/* Replaces the line of BASE_DIR, or adds one.  -1 with errno. */
int instances_note(
    const char *path, const char *name, const char *base_dir, const char *config, time_t now);
/* By name or base_dir: how many went; -1 with errno. */
int instances_remove(const char *path, const char *what);

#endif

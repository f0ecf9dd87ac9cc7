// SPDX-License-Identifier: BSD-2-Clause
/* The directories of a spool, for master, which makes them, and "postfix check". */
#ifndef PC_SERVER_SPOOL_LAYOUT_H
#define PC_SERVER_SPOOL_LAYOUT_H

#include <stdbool.h>
#include <sys/types.h>

struct spool_directory {
	const char *name; /* NULL: the end */
	mode_t mode;
	bool of_owner;	    /* belongs to mail_owner, else to root */
	bool of_drop_group; /* and to setgid_group */
};
extern const struct spool_directory spool_directories[];

#endif

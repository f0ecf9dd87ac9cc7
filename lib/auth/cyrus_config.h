// SPDX-License-Identifier: BSD-2-Clause
/*
 * NAME.conf of Cyrus SASL, as far as we must know it ourselves: the library reads it, too, and has
 * no call that tells.
 */
#ifndef PC_AUTH_CYRUS_CONFIG_H
#define PC_AUTH_CYRUS_CONFIG_H

#include <stdbool.h>

#define CYRUS_SASLAUTHD_PATH "/var/run/saslauthd/mux"

struct cyrus_config {
	char *directory;      /* that has the file, or NULL: there is none */
	char *saslauthd_path; /* its socket */
	bool saslauthd;	      /* pwcheck_method has it ... */
	bool other;	      /* ... or one that we cannot */
	char *methods;	/* the methods of pwcheck_method that are left to the library, or "" */
	char *database; /* sasldb_path, or NULL */
};

/* The first DIR/NAME.conf of PATH, directories with ':' between them.  Always succeeds. */
void cyrus_config_read(struct cyrus_config *config, const char *path, const char *name);
void cyrus_config_release(struct cyrus_config *config);

#endif

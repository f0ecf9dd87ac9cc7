// SPDX-License-Identifier: BSD-2-Clause
/*
 * A cache in a table that programs write to while they serve: smtp_sasl_auth_cache_name and the
 * like.  It is FILE.lmdb as any other table, which postmap -s can print, but it is changed in
 * place, by any number of threads and processes, under a lock of the whole file.
 *
 * It holds nothing that may not be lost: one that is full is emptied.  A lookup that failed was
 * logged; who asks goes on without the cache.
 */
#ifndef PC_TABLE_TABLE_CACHE_H
#define PC_TABLE_TABLE_CACHE_H

#include "table/table.h"

struct table_cache;

/*
 * Before the jail.  SPEC is "proxy:btree:/FILE" (or hash, lmdb); the file is made if it is not
 * there.  MAP_SIZE: its largest size (lmdb_map_size).  NULL with *ERROR (the caller frees it).
 */
struct table_cache *table_cache_open(const char *spec, size_t map_size, char **error);
void table_cache_free(struct table_cache *cache); /* NULL is fine */

/* As table_get; keys are at most 500 bytes. */
enum table_result table_cache_get(
    struct table_cache *cache, struct slice key, struct strbuf *value);
bool table_cache_put(struct table_cache *cache, struct slice key, struct slice value);
bool table_cache_remove(struct table_cache *cache, struct slice key);

#endif

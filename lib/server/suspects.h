// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who was seen in deaths of processes (names of server/running.h), and who is in quarantine for it.
 *
 * Whoever starts processes keeps struct suspects: a table of fixed size in its own memory.  A name
 * that was in a death becomes a suspect; one that is in a second death before QUARANTINE_MS have
 * passed is in quarantine, until so much time has passed after its last death.  A full table
 * forgets whom it has not seen for longest.
 *
 * Who is in quarantine stands in a second table, the list, which all processes may read and nobody
 * but its maker can write.  It holds hashes, not names: a process cannot learn there who else is a
 * client, and two names of one hash share a fate that does no harm.
 */
#ifndef PC_SERVER_SUSPECTS_H
#define PC_SERVER_SUSPECTS_H

#include <stdbool.h>
#include <stdint.h>

/* Names that are remembered, and of these in quarantine. */
#define SUSPECTS_MAX   4096
#define QUARANTINE_MAX 256

struct suspects;
struct suspect_list;

/* FD, if it is not NULL, is for other processes' suspect_list_attach.  NULL with errno. */
struct suspects *suspects_new(int *fd);
void suspects_free(struct suspects *s);
/* A process has died: every name counts once until the next call. */
void suspects_death(struct suspects *s);
/* NAME was in it.  True when this brings it into quarantine.  O(SUSPECTS_MAX). */
bool suspects_note(struct suspects *s, const char *name, int64_t now_ms, int64_t quarantine_ms);
const struct suspect_list *suspects_list(const struct suspects *s);

/* NULL with errno; FD stays the caller's. */
const struct suspect_list *suspect_list_attach(int fd);
/* False: nobody is in quarantine, so no name needs to be made. */
bool suspect_list_any(const struct suspect_list *list);
bool suspect_list_has(const struct suspect_list *list, const char *name, int64_t now_ms);
/* What stands for NAME; never 0. */
uint64_t suspect_key(const char *name);

#endif

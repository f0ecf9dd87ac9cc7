// SPDX-License-Identifier: BSD-2-Clause
/*
 * The service auth-worker: a parent of one thread, and a child for each connection.
 *
 * The parent reads nothing from anybody.  It forks (without exec) a child for each connection of
 * authd's and keeps a duplicate of it, by which it sees that authd has gone: then the child is
 * killed, with the programs that it started and that are still in its process group.  So authd ends
 * a child that hangs by closing.  When a child is gone, the parent ends the connection, which what
 * the child left behind may have open still.
 */
#ifndef PC_AUTHD_WORKER_PARENT_H
#define PC_AUTHD_WORKER_PARENT_H

#include "server/server.h"

void worker_parent_start(struct server_context *ctx);
void worker_parent_accepted(const struct server_listener *listener, int fd);
void worker_parent_drain(struct server_context *ctx, bool reload);

/* worker_child.c: a child's life, from the fork on.  FD is the connection. */
_Noreturn void worker_child_run(int fd);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Containment of crashes (server/suspects.h, server/death.h), master's side.
 *
 * When a process dies master reads from its table for whom it worked, and remembers them.  A client
 * that is in two deaths gets processes of its own, one per service, made when it next connects: the
 * daemon that accepts it sees it in the list, and sends the connection here, where it is handed on.
 * So master has the connection in its hands for a moment; it reads nothing from it, and goes by its
 * address, not by what the daemon says of it.
 *
 * A client's own process is one of its service with a key; it is not counted among the service's
 * and not replaced when it dies.  It says RETIRE when it has been idle.  What was handed to it
 * before the DRAIN that answers this it still serves, so no connection is lost in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "master/supervisor.h"
#include "server/contract.h"
#include "server/death.h"
#include "server/running.h"
#include "server/suspects.h"

/* Own processes of one service. */
#define OWN_MAX 32
/* Connections that one of them has not taken yet: so few that sending never waits. */
#define HANDED_MAX    64
#define WARN_EVERY_MS 60000

void quarantine_prepare(void)
{
	master.suspects = suspects_new(&master.suspects_fd);
	if (master.suspects == NULL)
		fatal("cannot make the table of suspects: %s", strerror(errno));
}

bool quarantine_note_death(const struct process *p)
{
	return death_examine(master.suspects, p->service->path, (int)p->pid, p->running_fd,
		   master.current->quarantine_ms) > 0;
}

static void warn(const struct service *s, const char *client, const char *why)
{
	static int64_t last;
	const int64_t now = clock_ms();

	if (last != 0 && now - last < WARN_EVERY_MS)
		return;
	last = now;
	log_warning("service %s: a connection of %s is dropped: %s", s->name, client, why);
}

static bool takes_sessions(const struct process *p)
{
	return p->state == PROCESS_STARTING || p->state == PROCESS_SERVING;
}

/* The process of the client with KEY; NULL when there are too many. */
static struct process *own_process(struct service *s, uint64_t key)
{
	struct process *p;
	unsigned count = 0;

	list_for_each(l, &s->processes) {
		p = list_entry(l, struct process, link);
		count += p->own != 0;
		if (p->own == key && takes_sessions(p))
			return p;
	}
	if (count >= OWN_MAX)
		return NULL;
	p = process_new(s, 0);
	p->own = key;
	process_event(p, EVENT_START);
	/* One that could not be started has been freed. */
	list_for_each(l, &s->processes)
		if (list_entry(l, struct process, link) == p && takes_sessions(p))
			return p;
	return NULL;
}

static void hand_on(struct process *p, struct slice listener, int fd)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_SESSION);
	msg_add(&m, "listener", listener);
	process_send(p, &m, fd);
	msg_release(&m);
	p->handed++;
}

void quarantine_take(struct process *from, const struct msg_in *in)
{
	struct service *s = from->service;
	char client[RUNNING_NAME];
	struct slice listener;
	struct net_addr peer;
	struct process *p;

	/* One that is gone already, or whose service is: it will come again. */
	if (in->fd_count != 1 || s->replaced || from->own != 0 ||
	    !msg_get(&in->msg, "listener", &listener) || !net_addr_peer(in->fds[0], &peer) ||
	    peer.len == 0)
		return;
	running_client_name(&peer, client);
	if (!suspect_list_has(suspects_list(master.suspects), client, clock_ms()))
		return;
	p = own_process(s, suspect_key(client));
	if (p == NULL)
		warn(s, client, "too many processes of single clients");
	else if (p->handed - p->took >= HANDED_MAX)
		warn(s, client, "its process does not keep up");
	else
		hand_on(p, listener, in->fds[0]);
}

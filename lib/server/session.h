// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sessions: a connection with a client, served by plain blocking code while a command runs and
 * parked, as a struct and a socket in epoll, between two commands.
 *
 * A daemon's session struct embeds struct session as its first member.  SERVE runs in a pool thread;
 * one thread at a time has the session, so sessions need no locks.  SERVE handles everything that
 * is there (it loops while stream_has_input) and returns how to wait for more:
 *
 *   SESSION_INPUT   park until input comes, or session->deadline passes
 *   SESSION_EVENT   park until session_wake, or session->deadline passes; input stays unread
 *                   (answers of other processes, tarpits, failure delays: a timer is a deadline)
 *   SESSION_CLOSE   the session is over
 *
 * and is called again with the reason.  A wake-up by input that brings no application byte (TLS
 * records only) parks again with the old deadline and is counted.  An event that comes while the
 * session runs is kept and delivered at the next parking.
 */
#ifndef PC_SERVER_SESSION_H
#define PC_SERVER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/stream.h"
#include "server/loop.h"

enum session_wake {
	SESSION_OPENED,	  /* first call: say hello */
	SESSION_HAS_INPUT,
	SESSION_WOKEN,	  /* session_wake was called */
	SESSION_EXPIRED,  /* session->deadline passed while parked */
	SESSION_DRAINING  /* reload or stop while parked for input: say goodbye and close; given once */
};
enum session_next { SESSION_INPUT, SESSION_EVENT, SESSION_CLOSE };

struct session;
struct server_listener;

struct session_class {
	const char *name;
	size_t size; /* of the daemon's struct */
	enum session_next (*serve)(struct session *session, enum session_wake why);
	/* Frees what the daemon's struct owns; the stream is freed afterwards by the caller. */
	void (*close)(struct session *session);
};

struct session {
	unsigned magic;
	const struct session_class *class;
	const struct server_listener *listener;
	struct stream *stream;
	struct net_addr peer, local;
	int64_t started;  /* clock_ms at accept */
	int64_t deadline; /* for the next parking; set by SERVE before it returns */
	struct session_state *state; /* the parker's */
};

/* From any thread, any number of times; the session must not have been closed yet. */
void session_wake(struct session *session);
/* True once reload or stop was asked for: a session that ends a command says goodbye. */
bool session_draining(const struct session *session);

#endif

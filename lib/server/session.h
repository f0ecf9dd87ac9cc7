// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sessions: a connection with a client, served by plain blocking code while a command runs and
 * parked, as a struct and a socket in epoll, between two commands.
 *
 * A daemon's session struct embeds struct session as its first member.  SERVE runs in a pool
 * thread; one thread at a time has the session, so sessions need no locks.  SERVE handles
 * everything that is there (it loops while stream_has_input) and returns how to wait for more:
 *
 *   SESSION_INPUT   park until input comes, or session->deadline passes
 *   SESSION_EVENT   park until session_wake, or session->deadline passes; input stays unread
 *                   (answers of other processes, tarpits, failure delays: a timer is a deadline)
 *   SESSION_CLOSE   the session is over
 *
 * and is called again with the reason.  What SERVE wrote is flushed before parking.  A wake-up by
 * input that brings no application byte (TLS records only) parks again with the old deadline and is
 * counted: SESSION_MAX_EMPTY of them in a row count as SESSION_EXPIRED.  An event that comes while
 * the session runs is kept and delivered at the next parking.  Input that is there already at the
 * parking, an end of input and a failed stream are all SESSION_HAS_INPUT; a session that wants to
 * park again on a failed stream is closed.
 */
#ifndef PC_SERVER_SESSION_H
#define PC_SERVER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/stream.h"
#include "server/loop.h"

#define SESSION_MAX_EMPTY 100

enum session_wake {
	SESSION_OPENED, /* first call: say hello */
	SESSION_HAS_INPUT,
	SESSION_WOKEN,	 /* session_wake was called */
	SESSION_EXPIRED, /* session->deadline passed while parked */
	SESSION_DRAINING /* reload or stop while parked for input: say goodbye and close; given once
			  */
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
	/*
	 * Who it is, once known, for those who look at a process that died; NULL before.  The
	 * daemon's, there until CLOSE.
	 */
	const char *user;
	int64_t started;	     /* clock_ms at accept */
	int64_t deadline;	     /* for the next parking; set by SERVE before it returns */
	struct session_state *state; /* the parker's */
};

/* From any thread, any number of times; the session must not have been closed yet. */
void session_wake(struct session *session);
/* True once reload or stop was asked for: a session that ends a command says goodbye. */
bool session_draining(const struct session *session);
/*
 * By the thread that has the session: takes the stream out of it (to hand the connection to
 * another process, say).  From then on it can only park for SESSION_EVENT, or close.
 */
struct stream *session_take_stream(struct session *session);

/*
 * Makes a session of a connection that did not come from a listener (a descriptor from another
 * process); it owns STREAM.  PEER, LOCAL and further members may be filled in before session_start
 * hands it to a thread, which calls SERVE with SESSION_OPENED.  Any thread.
 */
struct session *session_new(const struct session_class *class, struct stream *stream);
void session_start(struct session *session);

/* For server.c and uid_workers.c. ---------------------------------------------------------- */

/*
 * Sets the process's parker up; CLOSED runs in LOOP's thread some time after sessions closed, while
 * somebody wants to hear of that.
 */
void sessions_init(struct loop *loop, void (*closed)(void));
/* After this, look at sessions_count once more: those that closed before have not told. */
void sessions_tell_closed(bool wanted);
/* Sessions that have been made and not closed. */
size_t sessions_count(void);
/* In LOOP's thread: wakes all who are parked for input, and tells the others at their parking. */
void sessions_drain(void);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Accepting, in the loop's thread.  Several connections per wake-up, since they come in bursts, but
 * not all there are: the other processes of the service have been woken too (EPOLLEXCLUSIVE wakes
 * at least one).  All listening sockets rest while the process is full, or, for a moment, when the
 * system has no descriptor or memory left.
 *
 * A client that is in quarantine (server/suspects.h) gets no session here: its connection goes to
 * master, unread, which hands it to the process that is this client's.  There the listening sockets
 * rest for ever.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/contract.h"
#include "server/running.h"
#include "server/server_internal.h"
#include "sys/socket.h"

#define ACCEPT_BATCH	     16
#define ACCEPT_REST_MS	     200
#define ACCEPT_WARN_EVERY_MS 60000
#define HAND_OVER_MS	     1000
#define OTHERS_BEGIN_MS	     2000
/*
 * Clients that wait while this process is full may be another one's in a moment: only when some
 * wait at each of these looks in a row the service is full.
 */
#define FULL_LOOK_MS 200
#define FULL_LOOKS   5
/* So long a service counts as stressed once its sessions were all taken (as with the peer). */
#define STRESS_MS (1000 * 1000)

struct acceptor {
	struct loop_watch watch;
	struct server_process *process;
	const struct server_listener *listener;
	const struct session_class *class; /* NULL: the daemon's ACCEPTED */
};

static struct {
	struct acceptor *list[CONTRACT_MAX_LISTENERS];
	size_t count;
	bool resting;
	unsigned long accepted;
	struct loop_timer rest, look;
	bool looking;
	unsigned waiting_looks;		   /* in a row */
	int64_t warned_full, warned_error; /* clock_ms, 0: never */
	int64_t others_begin;		   /* until then other processes may be starting */
} acceptors;

static _Atomic int64_t stressed_until; /* clock_ms */

static bool may_warn(int64_t *last)
{
	int64_t now = clock_ms();

	if (*last != 0 && now - *last < ACCEPT_WARN_EVERY_MS)
		return false;
	*last = now;
	return true;
}

static void rest(struct server_process *p)
{
	if (acceptors.resting)
		return;
	acceptors.resting = true;
	for (size_t i = 0; i < acceptors.count; i++)
		loop_unwatch(p->ctx.loop, &acceptors.list[i]->watch);
}

static void watch_one(struct server_process *p, struct acceptor *a)
{
	if (loop_watch(p->ctx.loop, &a->watch, EPOLLIN | EPOLLEXCLUSIVE) < 0)
		log_warning("cannot watch %s: %s", a->listener->name, strerror(errno));
}

static void go_on(struct server_process *p)
{
	acceptors.resting = false;
	for (size_t i = 0; i < acceptors.count; i++)
		watch_one(p, acceptors.list[i]);
}

static bool is_full(const struct server_process *p)
{
	return p->session_limit != 0 && sessions_count() >= p->session_limit;
}

static void look_again(struct server_process *p)
{
	if (acceptors.looking)
		return;
	acceptors.looking = true;
	loop_timer_set(p->ctx.loop, &acceptors.look, deadline_in(FULL_LOOK_MS));
}

/* True: it stays full until a session that closes tells. */
static bool rest_while_full(struct server_process *p)
{
	sessions_tell_closed(true);
	if (!is_full(p)) {
		sessions_tell_closed(false);
		return false;
	}
	rest(p);
	look_again(p);
	return true;
}

static void rest_is_over(struct loop_timer *timer)
{
	struct server_process *p = timer->arg;

	if (!p->draining && !(is_full(p) && rest_while_full(p)))
		go_on(p);
}

bool server_is_stressed(void)
{
	return clock_ms() < atomic_load(&stressed_until);
}

/* What the peers' administrators look for. */
static void warn_full(const struct server_process *p)
{
	/* A burst that fills the first process finds the others a moment later. */
	if (clock_ms() < acceptors.others_begin)
		return;
	atomic_store(&stressed_until, clock_ms() + STRESS_MS);
	if (!may_warn(&acceptors.warned_full))
		return;
	if (p->server->language == SERVER_DOVECOT) {
		log_warning("service(%s): process_limit (%zu) reached, client connections are "
			    "being dropped",
		    p->ctx.service, p->service_limit);
		return;
	}
	log_warning("service \"%s\" (%s) has reached its process limit \"%zu\": new clients may "
		    "experience noticeable delays",
	    p->ctx.service, p->program, p->service_limit);
	log_warning("to avoid this condition, increase the process count in master.cf or reduce "
		    "the service time per client");
}

static bool somebody_waits(void)
{
	for (size_t i = 0; i < acceptors.count; i++) {
		struct pollfd pfd = { .fd = acceptors.list[i]->watch.fd, .events = POLLIN };

		if (poll(&pfd, 1, 0) > 0)
			return true;
	}
	return false;
}

static void look_who_waits(struct loop_timer *timer)
{
	struct server_process *p = timer->arg;

	acceptors.looking = false;
	if (p->draining || !is_full(p)) {
		acceptors.waiting_looks = 0;
		return;
	}
	if (!somebody_waits())
		acceptors.waiting_looks = 0;
	else if (++acceptors.waiting_looks >= FULL_LOOKS)
		warn_full(p);
	look_again(p);
}

static void retire(struct server_process *p)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_RETIRE);
	(void)channel_send(p->master, &m, NULL, 0, deadline_in(1000));
	msg_release(&m);
	p->draining = true;
	accept_end(p);
	sessions_tell_closed(true);
	server_check_drained();
}

static void out_of_resources(struct server_process *p, const struct acceptor *a)
{
	if (may_warn(&acceptors.warned_error))
		log_warning("accept connection on %s: %s", a->listener->name, strerror(errno));
	rest(p);
	loop_timer_set(p->ctx.loop, &acceptors.rest, deadline_in(ACCEPT_REST_MS));
}

/* A process that serves one connection in its life needs no other one for it. */
static bool is_in_quarantine(const struct server_process *p, const struct acceptor *a,
    const struct sockaddr_storage *ss, socklen_t len)
{
	char name[RUNNING_NAME];
	struct net_addr peer;

	if (a->listener->type != LISTENER_INET || p->quarantine || p->serve_count == 1 ||
	    !suspect_list_any(p->suspects))
		return false;
	peer = net_addr_of((const struct sockaddr *)ss, len);
	return suspect_list_has(p->suspects, running_client_name(&peer, name), clock_ms());
}

static void hand_over(struct server_process *p, const struct acceptor *a, int fd)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_SUSPECT);
	msg_add_str(&m, "listener", a->listener->name);
	if (channel_send(p->master, &m, &fd, 1, deadline_in(HAND_OVER_MS)) < 0)
		log_warning("cannot hand a connection to master: %s", strerror(errno));
	msg_release(&m);
	close(fd);
}

static void open_session(const struct acceptor *a, struct stream *stream,
    const struct sockaddr_storage *ss, socklen_t len)
{
	struct session *session = session_new(a->class, stream);

	session->listener = a->listener;
	if (a->listener->type == LISTENER_INET) {
		session->peer = net_addr_of((const struct sockaddr *)ss, len);
		(void)net_addr_local(stream_fd(stream), &session->local);
	}
	session_start(session);
}

static bool is_inet(const struct acceptor *a)
{
	return a->listener->type == LISTENER_INET;
}

/* Asks, once, for the processes that are there for more than a few sessions. */
static void look_whether_busy(struct server_process *p)
{
	struct msg_out m = { { 0 } };

	if (p->busy_sessions == 0 || sessions_count() < p->busy_sessions)
		return;
	p->busy_sessions = 0;
	acceptors.others_begin = deadline_in(OTHERS_BEGIN_MS);
	msg_begin(&m, CONTRACT_BUSY);
	(void)channel_send(p->master, &m, NULL, 0, deadline_in(1000));
	msg_release(&m);
}

/* False: nothing more to accept here and now. */
static bool accept_one(struct server_process *p, const struct acceptor *a)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	if (a->class != NULL && is_full(p) && rest_while_full(p)) {
		return false;
	}
	fd = socket_accept(a->watch.fd, &ss, &len, a->class == NULL);
	if (fd >= 0 && a->class == NULL) {
		p->server->accepted(a->listener, fd);
		return true;
	}
	if (fd >= 0 && is_in_quarantine(p, a, &ss, len)) {
		hand_over(p, a, fd);
		return true;
	}
	if (fd >= 0) {
		open_session(a, is_inet(a) ? stream_accepted(fd) : stream_new(fd), &ss, len);
		look_whether_busy(p);
		if (p->serve_count == 0 || ++acceptors.accepted < p->serve_count)
			return true;
		retire(p);
		return false;
	}
	switch (errno) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		out_of_resources(p, a);
		return false;
	default:
		/* The connection is gone already, or never was (accept(2), "Error handling"). */
		return true;
	}
}

static void accept_ready(struct loop_watch *watch, uint32_t events)
{
	const struct acceptor *a = watch->arg;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++)
		if (!accept_one(a->process, a))
			return;
}

void accept_from(struct server_process *p, const struct server_listener *listener)
{
	const struct session_class *class = NULL;
	struct acceptor *a;

	if (listener->type != LISTENER_INET && listener->type != LISTENER_UNIX)
		return;
	if (p->server->session != NULL)
		class = p->server->session(listener);
	if (class == NULL && p->server->accepted == NULL)
		return;
	a = xcalloc(1, sizeof(*a));
	a->process = p;
	a->listener = listener;
	a->class = class;
	a->watch = (struct loop_watch){ .fd = listener->fd, .ready = accept_ready, .arg = a };
	if (class != NULL && is_inet(a))
		stream_prepare_listener(listener->fd);
	acceptors.list[acceptors.count++] = a;
	if (!acceptors.resting)
		watch_one(p, a);
}

void accept_start(struct server_process *p)
{
	acceptors.rest = (struct loop_timer){ .expired = rest_is_over, .arg = p };
	acceptors.look = (struct loop_timer){ .expired = look_who_waits, .arg = p };
	acceptors.resting = p->quarantine;
	for (size_t i = 0; i < p->ctx.listener_count; i++)
		accept_from(p, &p->ctx.listeners[i]);
}

void accept_handed(struct server_process *p, struct slice listener, int fd)
{
	struct net_addr peer;

	for (size_t i = 0; i < acceptors.count && !p->draining && !is_full(p); i++)
		if (acceptors.list[i]->class != NULL &&
		    slice_eq_str(listener, acceptors.list[i]->listener->name) &&
		    net_addr_peer(fd, &peer)) {
			open_session(acceptors.list[i], stream_new(fd), &peer.ss, peer.len);
			return;
		}
	close(fd);
}

void accept_end(struct server_process *p)
{
	rest(p);
	loop_timer_cancel(p->ctx.loop, &acceptors.rest);
	loop_timer_cancel(p->ctx.loop, &acceptors.look);
	for (size_t i = 0; i < acceptors.count; i++) {
		close(acceptors.list[i]->watch.fd);
		free(acceptors.list[i]);
	}
	acceptors.count = 0;
}

void accept_session_closed(struct server_process *p)
{
	if (acceptors.resting && !p->quarantine && !p->draining && !is_full(p) &&
	    !heap_contains(&acceptors.rest.node)) {
		sessions_tell_closed(false);
		go_on(p);
	}
}

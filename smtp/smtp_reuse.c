// SPDX-License-Identifier: BSD-2-Clause
/*
 * Connections between two deliveries.  A session that lies idle is on one list, under one lock; the
 * lock is never held during a word to the network.  Whoever takes it off the list owns it.
 *
 * One thread, the keeper, looks after all of them: it sleeps in epoll until one becomes readable
 * (its server closed it, or said 421) or until the first one's time is over.  It is woken up only
 * for a session whose time is over before that, so that a connection that goes from delivery to
 * delivery costs it nothing.
 *
 * Who may have a session: a delivery to the same host at the same address and port, or path, under
 * the same TLS policy, with the same login.  All of that was fixed when the session was opened, and
 * is compared as a whole.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "deliver/delivery.h"
#include "log/log.h"
#include "smtp/smtp_handshake.h"
#include "smtp/smtp_sasl.h"
#include "smtp/smtp_tls.h"
#include "table/match_list.h"

/* Beyond that the oldest one goes. */
#define IDLE_MAX     512
#define EVENTS_MAX   32
#define KEEPER_STACK (128 * 1024)
/* The eventfd's number among the events; sessions' are greater. */
#define WAKE_NUMBER 0

struct idle {
	struct list node; /* of kept.list: oldest first */
	struct smtp_session *session;
	uint64_t number;
	int64_t until;
};

static struct {
	pthread_mutex_t lock;
	struct list list;
	size_t count;
	uint64_t last_number;
	int64_t wake_at; /* the keeper sleeps until then */
	int epoll, wake;
	bool runs, draining;
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.list = LIST_INIT(kept.list),
	.wake_at = DEADLINE_NEVER,
	.epoll = -1,
	.wake = -1 };

static struct match_list *destinations;

/* ---- the list; the lock is held ---- */

static struct idle *entry(struct list *node)
{
	return list_entry(node, struct idle, node);
}

/* The caller's from now on. */
static struct smtp_session *take_off(struct idle *i)
{
	struct smtp_session *session = i->session;

	(void)epoll_ctl(kept.epoll, EPOLL_CTL_DEL, stream_fd(session->stream), NULL);
	list_del(&i->node);
	kept.count--;
	free(i);
	return session;
}

static bool put_on(struct smtp_session *session, int64_t until)
{
	struct idle *i = xcalloc(1, sizeof(*i));
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP };

	i->session = session;
	i->until = until;
	i->number = event.data.u64 = ++kept.last_number;
	if (epoll_ctl(kept.epoll, EPOLL_CTL_ADD, stream_fd(session->stream), &event) == -1) {
		free(i);
		return false;
	}
	list_add_tail(&kept.list, &i->node);
	kept.count++;
	if (until < kept.wake_at)
		(void)eventfd_write(kept.wake, 1);
	return true;
}

/* ---- the keeper ---- */

/* One that became readable, unless a delivery was faster. */
static struct smtp_session *take_number(uint64_t number, int64_t *until)
{
	struct smtp_session *session = NULL;

	pthread_mutex_lock(&kept.lock);
	list_for_each(node, &kept.list) {
		if (entry(node)->number != number)
			continue;
		*until = entry(node)->until;
		session = take_off(entry(node));
		break;
	}
	pthread_mutex_unlock(&kept.lock);
	return session;
}

/* What a server says unasked is good-bye; a record of TLS alone is nothing. */
static void look_at(uint64_t number)
{
	int64_t until = 0;
	struct smtp_session *session = take_number(number, &until);
	bool again = false;

	if (!session)
		return;
	if (!stream_poll_input(session->stream)) {
		stream_shrink(session->stream);
		pthread_mutex_lock(&kept.lock);
		again = !kept.draining && put_on(session, until);
		pthread_mutex_unlock(&kept.lock);
	} else {
		session->broken = true;
	}
	if (!again)
		smtp_session_drop(session);
}

/* One whose time is over; *NEXT is when that of the next one will be. */
static struct smtp_session *take_expired(int64_t *next)
{
	struct smtp_session *session = NULL;
	int64_t now = clock_ms();

	*next = DEADLINE_NEVER;
	pthread_mutex_lock(&kept.lock);
	list_for_each_safe(node, tmp, &kept.list) {
		if (!session && entry(node)->until <= now)
			session = take_off(entry(node));
		else if (entry(node)->until < *next)
			*next = entry(node)->until;
	}
	kept.wake_at = *next;
	pthread_mutex_unlock(&kept.lock);
	return session;
}

static int64_t close_expired(void)
{
	struct smtp_session *session;
	int64_t next;

	while ((session = take_expired(&next)))
		smtp_session_drop(session);
	return next;
}

static void *keeper(void *arg)
{
	struct epoll_event events[EVENTS_MAX];
	eventfd_t ignored;

	(void)arg;
	for (;;) {
		int64_t next = close_expired();
		int count = epoll_wait(kept.epoll, events, EVENTS_MAX, deadline_left(next));

		for (int i = 0; i < count; i++)
			if (events[i].data.u64 == WAKE_NUMBER)
				(void)eventfd_read(kept.wake, &ignored);
			else
				look_at(events[i].data.u64);
	}
	return NULL;
}

static bool start_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, KEEPER_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, keeper, NULL);
	pthread_attr_destroy(&attributes);
	return error == 0;
}

/* With the first session that is kept; the lock is held. */
static bool start_keeper(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = WAKE_NUMBER };

	if (kept.runs)
		return true;
	kept.epoll = epoll_create1(EPOLL_CLOEXEC);
	kept.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kept.runs = kept.epoll != -1 && kept.wake != -1 &&
		    epoll_ctl(kept.epoll, EPOLL_CTL_ADD, kept.wake, &event) == 0 && start_thread();
	if (kept.runs)
		return true;
	if (kept.epoll != -1)
		close(kept.epoll);
	if (kept.wake != -1)
		close(kept.wake);
	return false;
}

/* ---- taking ---- */

struct wish {
	const struct smtp_target *target;
	const char *policy_key, *login_key;
};

static bool same_place(const struct smtp_target *a, const struct smtp_target *b)
{
	if (!a->path || !b->path)
		return !a->path && !b->path && a->port == b->port &&
		       net_addr_equal(&a->addr, &b->addr) && strcmp(a->host, b->host) == 0;
	return strcmp(a->path, b->path) == 0;
}

static bool fits(const struct smtp_session *session, const struct wish *wish)
{
	return same_place(&session->target, wish->target) &&
	       strcmp(session->policy->key, wish->policy_key) == 0 &&
	       strcmp(session->login_key, wish->login_key) == 0;
}

static bool place_is_known(const struct smtp_target *target)
{
	bool known = false;

	pthread_mutex_lock(&kept.lock);
	list_for_each(node, &kept.list)
		known = known || same_place(&entry(node)->session->target, target);
	pthread_mutex_unlock(&kept.lock);
	return known;
}

/* The one that was used last: what is too many runs out of time. */
static struct smtp_session *find(const struct wish *wish)
{
	struct smtp_session *session = NULL;

	pthread_mutex_lock(&kept.lock);
	for (struct list *node = kept.list.prev; node != &kept.list && !session; node = node->prev)
		if (fits(entry(node)->session, wish) && entry(node)->until > clock_ms()) {
			session = take_off(entry(node));
			break;
		}
	pthread_mutex_unlock(&kept.lock);
	return session;
}

/* RSET tells whether the server is still there, and has nothing left of the last message. */
static bool is_alive(struct smtp_session *session)
{
	struct smtp_failure failure;
	struct smtp_reply reply;
	bool alive;

	if (stream_poll_input(session->stream))
		return false;
	smtp_reply_init(&reply);
	smtp_say(session, "RSET");
	alive = smtp_hear_lines(
		    session, SMTP_PARAM(rset_timeout), "sending RSET probe", &reply, &failure) &&
		reply.code / 100 == 2 && !stream_has_input(session->stream);
	smtp_reply_release(&reply);
	return alive;
}

static struct smtp_session *take(const struct delivery *delivery, const struct wish *wish)
{
	struct smtp_session *session;

	while ((session = find(wish))) {
		memcpy(session->id, delivery->request->id, sizeof(session->id));
		if (is_alive(session)) {
			session->connected_us = clock_wall_us();
			session->tls_summary = "";
			return session;
		}
		session->broken = true;
		smtp_session_drop(session);
	}
	return NULL;
}

struct smtp_session *smtp_reuse_take(
    const struct delivery *delivery, const struct smtp_target *target)
{
	struct arena arena = ARENA_INIT;
	struct smtp_session *session = NULL;
	const struct smtp_tls_policy *policy;
	struct wish wish = { .target = target };
	struct smtp_failure failure = { 0 };

	if (!place_is_known(target))
		return NULL;
	/* What fails here fails again, and is told, where a new session is opened. */
	if (smtp_tls_policy(target, &arena, &policy, &failure) &&
	    smtp_sasl_key(target, delivery->request->sender, &arena, &wish.login_key, &failure)) {
		wish.policy_key = policy->key;
		session = take(delivery, &wish);
	}
	arena_release(&arena);
	return session;
}

/* ---- giving ---- */

static bool is_in_list(const struct smtp_target *target)
{
	const char *name = target->path ? target->path : target->nexthop;

	return match_list_string(destinations, slice_of(name)) == MATCH_YES;
}

static bool is_sound(const struct smtp_session *session)
{
	return !session->broken && !session->ending && stream_error(session->stream) == STREAM_OK &&
	       !stream_has_input(session->stream) && (!session->has_tls || session->policy->reuse);
}

static bool is_worth_it(const struct delivery *delivery, const struct smtp_session *session)
{
	long count_limit = SMTP_PARAM(connection_reuse_count_limit);

	if (count_limit > 0 && session->used > (unsigned long)count_limit)
		return false;
	return (SMTP_PARAM(connection_cache_on_demand) && delivery->request->more) ||
	       is_in_list(&session->target);
}

/* Until when it may lie; at most until it has to go anyway. */
static int64_t end_of(const struct smtp_session *session)
{
	int64_t limit = SMTP_PARAM(connection_cache_time_limit);
	int64_t most = smtp_params->connection_cache_ttl_limit;
	int64_t idle = deadline_in((limit < most ? limit : most) * 1000);
	int64_t whole = session->opened_ms + SMTP_PARAM(connection_reuse_time_limit) * 1000;

	return idle < whole ? idle : whole;
}

static bool keep(struct smtp_session *session, struct smtp_session **surplus)
{
	int64_t until = end_of(session);
	bool is_kept = false;

	*surplus = NULL;
	if (until <= clock_ms() || !stream_flush(session->stream))
		return false;
	stream_shrink(session->stream);
	pthread_mutex_lock(&kept.lock);
	if (!kept.draining && start_keeper()) {
		if (kept.count >= IDLE_MAX)
			*surplus = take_off(entry(kept.list.next));
		is_kept = put_on(session, until);
	}
	pthread_mutex_unlock(&kept.lock);
	return is_kept;
}

void smtp_reuse_give(const struct delivery *delivery, struct smtp_session *session)
{
	struct smtp_session *surplus = NULL;

	if (!is_sound(session) || !is_worth_it(delivery, session) || !keep(session, &surplus))
		smtp_session_close(session);
	if (surplus)
		smtp_session_drop(surplus);
}

void smtp_reuse_drain(void)
{
	struct smtp_session *session;

	do {
		session = NULL;
		pthread_mutex_lock(&kept.lock);
		kept.draining = true;
		if (!list_is_empty(&kept.list))
			session = take_off(entry(kept.list.next));
		pthread_mutex_unlock(&kept.lock);
		if (session)
			smtp_session_drop(session);
	} while (session);
}

void smtp_reuse_prepare(const struct postfix_params *params)
{
	destinations = match_list_new(params, SMTP_PARAM_NAME("connection_cache_destinations"),
	    SMTP_PARAM(connection_cache_destinations));
}

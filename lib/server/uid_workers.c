// SPDX-License-Identifier: BSD-2-Clause
/*
 * The front's side.  Requests carry a number; the loop's thread takes the answers and wakes the
 * thread that waits for the one with that number.
 */
#include "server/uid_workers.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "server/contract.h"
#include "server/uid_workers_internal.h"

#define PARENT_START_MS 10000

struct waiter {
	struct list link;
	uint64_t id;
	pthread_cond_t answered;
	bool done, accepted;
	struct uid_given *given; /* NULL: nothing is wanted */
	struct reason *why;
};

static struct {
	struct channel *parent; /* NULL: no workers here */
	struct loop_watch watch;
	pthread_mutex_t lock;
	struct list waiters;
	uint64_t last_id;
	const struct suspect_list *suspects;
	bool finishing, gone;
} front = { .lock = PTHREAD_MUTEX_INITIALIZER, .waiters = LIST_INIT(front.waiters) };

/* The parent keeps what it resolves with, and nothing that lets it meet a stranger. */
static _Noreturn void become_parent(struct server_process *p, int fd)
{
	struct channel *to_front;

	for (size_t i = 0; i < p->ctx.listener_count; i++)
		close(p->ctx.listeners[i].fd);
	p->ctx.listener_count = 0;
	channel_free(p->master);
	p->master = NULL;
	running_detach();
	to_front = channel_new(fd, p->server->program);
	if (to_front == NULL)
		fatal("cannot talk to the front: %s", strerror(errno));
	uid_parent_run(p, to_front);
}

void uid_workers_fork_parent(struct server_process *p)
{
	int pair[2];
	pid_t pid;

	if (socket_pair(pair) < 0 || (pid = fork()) < 0)
		fatal("cannot make the parent of %s workers: %s", p->server->workers->name,
		    strerror(errno));
	if (pid == 0) {
		close(pair[0]);
		become_parent(p, pair[1]);
	}
	close(pair[1]);
	front.parent = channel_new(pair[0], p->server->program);
	if (front.parent == NULL)
		fatal("cannot talk to the parent: %s", strerror(errno));
}

static struct waiter *find_waiter(uint64_t id)
{
	list_for_each(l, &front.waiters) {
		struct waiter *w = list_entry(l, struct waiter, link);

		if (w->id == id)
			return w;
	}
	return NULL;
}

static void take_given(struct msg_in *in, struct uid_given *given)
{
	int64_t pid = 0;

	if (in->fd_count > 0) {
		given->fd = in->fds[0];
		in->fds[0] = -1;
	}
	(void)msg_get_i64(&in->msg, "worker", &pid);
	(void)msg_get_u64(&in->msg, "own", &given->own);
	given->worker = (pid_t)pid;
}

static void answer(struct msg_in *in)
{
	const char *dsn = "4.3.0", *text = "no reason given";
	uint64_t id = 0, ok = 0;
	struct waiter *w;

	(void)msg_get_u64(&in->msg, UID_REQUEST_ID, &id);
	(void)msg_get_u64(&in->msg, "ok", &ok);
	(void)msg_get_str(&in->msg, "dsn", &in->arena, &dsn);
	(void)msg_get_str(&in->msg, "text", &in->arena, &text);
	pthread_mutex_lock(&front.lock);
	w = find_waiter(id);
	if (w != NULL && !w->done) {
		w->done = true;
		w->accepted = ok != 0;
		if (!w->accepted)
			reason_set(w->why, dsn_is_valid(dsn) ? dsn : "4.3.0", "%s", text);
		else if (w->given != NULL)
			take_given(in, w->given);
		pthread_cond_signal(&w->answered);
	}
	pthread_mutex_unlock(&front.lock);
}

static void parent_gone(struct server_process *p)
{
	loop_unwatch(p->ctx.loop, &front.watch);
	if (!front.finishing)
		log_error("the parent of the %s workers is gone", p->server->workers->name);
	pthread_mutex_lock(&front.lock);
	front.gone = true;
	list_for_each(l, &front.waiters)
		pthread_cond_signal(&list_entry(l, struct waiter, link)->answered);
	pthread_mutex_unlock(&front.lock);
	(void)waitpid(-1, NULL, WNOHANG);
	/* Unasked it is as a stop: without workers no session comes to its end by itself. */
	server_drain(front.finishing);
	server_check_drained();
}

static void parent_ready(struct loop_watch *watch, uint32_t events)
{
	enum channel_result result;
	struct msg_in in;

	(void)events;
	while ((result = channel_recv(front.parent, &in, 0)) == CHANNEL_RECORD) {
		if (msg_is(&in.msg, UID_ANSWER))
			answer(&in);
		msg_in_release(&in);
	}
	if (result == CHANNEL_CLOSED)
		parent_gone(watch->arg);
}

void uid_workers_front_start(struct server_process *p)
{
	struct msg_in in;

	/* Its first record says that PARENT_START went well. */
	if (channel_recv(front.parent, &in, deadline_in(PARENT_START_MS)) != CHANNEL_RECORD)
		fatal("the parent of the %s workers did not start", p->server->workers->name);
	if (in.fd_count == 1)
		front.suspects = suspect_list_attach(in.fds[0]);
	if (front.suspects == NULL)
		fatal("cannot see who is in quarantine: %s", strerror(errno));
	msg_in_release(&in);
	front.watch =
	    (struct loop_watch){ .fd = channel_fd(front.parent), .ready = parent_ready, .arg = p };
	if (loop_watch(p->ctx.loop, &front.watch, EPOLLIN) < 0)
		fatal("cannot watch the parent: %s", strerror(errno));
}

void uid_workers_log_to(const int *fds, size_t count)
{
	struct msg_out m = { { 0 } };

	if (front.parent == NULL || count == 0)
		return;
	msg_begin(&m, UID_LOG_TO);
	(void)channel_send(front.parent, &m, fds, count, deadline_in(1000));
	msg_release(&m);
}

bool uid_workers_finish(void)
{
	struct msg_out m = { { 0 } };
	bool is_told = true;

	if (front.parent == NULL || front.gone)
		return true;
	if (!front.finishing) {
		front.finishing = true;
		uid_links_close();
		msg_begin(&m, UID_FINISH);
		is_told = channel_send(front.parent, &m, NULL, 0, deadline_in(1000)) == 0;
		msg_release(&m);
	}
	return !is_told;
}

/* With the lock; false when the deadline passed or the parent is gone. */
static bool wait_for_answer(struct waiter *w, int64_t deadline)
{
	const struct timespec until = { .tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000 };
	int rc = 0;

	while (!w->done && !front.gone && rc != ETIMEDOUT)
		rc = pthread_cond_clockwait(&w->answered, &front.lock, CLOCK_MONOTONIC, &until);
	return w->done;
}

bool uid_workers_ask(struct msg_out *request, const int *fds, size_t fd_count, int64_t deadline,
    struct uid_given *given, struct reason *why)
{
	struct waiter w = { .why = why, .given = given, .answered = PTHREAD_COND_INITIALIZER };

	ASSERT(front.parent != NULL && deadline != DEADLINE_NEVER);
	if (given != NULL)
		*given = (struct uid_given){ .fd = -1 };
	pthread_mutex_lock(&front.lock);
	w.id = ++front.last_id;
	list_add_tail(&front.waiters, &w.link);
	pthread_mutex_unlock(&front.lock);

	msg_add_u64(request, UID_REQUEST_ID, w.id);
	if (channel_send(front.parent, request, fds, fd_count, deadline) < 0) {
		reason_set(why, "4.3.0", "cannot reach the parent of workers: %s", strerror(errno));
		w.done = true;
	}
	pthread_mutex_lock(&front.lock);
	if (!wait_for_answer(&w, deadline))
		reason_set(why, "4.3.0", "no answer from the parent of workers");
	list_del(&w.link);
	pthread_mutex_unlock(&front.lock);
	pthread_cond_destroy(&w.answered);
	return w.accepted;
}

bool uid_workers_request(
    struct msg_out *request, const int *fds, size_t fd_count, int64_t deadline, struct reason *why)
{
	return uid_workers_ask(request, fds, fd_count, deadline, NULL, why);
}

void uid_workers_give_up(pid_t worker)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, UID_STUCK);
	msg_add_i64(&m, "pid", worker);
	(void)channel_send(front.parent, &m, NULL, 0, deadline_in(1000));
	msg_release(&m);
}

const struct suspect_list *uid_workers_suspects(void)
{
	return front.suspects;
}

uint64_t uid_key_in(const struct suspect_list *list, const char *user, const char *message)
{
	char name[RUNNING_NAME];
	int64_t now;

	if (!suspect_list_any(list))
		return 0;
	now = clock_ms();
	if (user[0] != '\0' && suspect_list_has(list, running_user_name(user, name), now))
		return suspect_key(name);
	if (message[0] != '\0' && suspect_list_has(list, running_message_name(message, name), now))
		return suspect_key(name);
	return 0;
}

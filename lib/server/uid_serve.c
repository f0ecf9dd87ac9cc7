// SPDX-License-Identifier: BSD-2-Clause
/*
 * The worker's end of links.  Its threads wait in recvmsg(2), and the kernel gives each record to
 * one of them: no thread hands work to another.  One more than are at work waits always; those
 * that the last seconds had no work for go back to the pool.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "server/pool.h"
#include "server/uid_workers_internal.h"
#include "sys/socket.h"

/* For so long a thread is kept that was needed. */
#define WINDOW_MS 5000

struct served {
	int fd;
	struct msg_in how; /* what the parent said */
	void (*ended)(void *arg);
	pthread_mutex_t lock;
	unsigned threads, busy;
	/* The most that were busy, in this window and in the one before. */
	unsigned peak, last_peak;
	int64_t window_ends;
};

static void serve_thread(void *arg);

/* With the lock. */
static bool is_surplus(struct served *s)
{
	const int64_t now = clock_ms();
	unsigned peak;

	if (now >= s->window_ends) {
		s->last_peak = now < s->window_ends + WINDOW_MS ? s->peak : s->busy;
		s->peak = s->busy;
		s->window_ends = now + WINDOW_MS;
	}
	peak = s->peak > s->last_peak ? s->peak : s->last_peak;
	return s->threads > peak + 1;
}

static void become_busy(struct served *s)
{
	bool is_last;

	pthread_mutex_lock(&s->lock);
	s->busy++;
	if (s->busy > s->peak)
		s->peak = s->busy;
	is_last = s->busy == s->threads;
	s->threads += is_last;
	pthread_mutex_unlock(&s->lock);
	if (is_last)
		pool_run(serve_thread, s);
}

/* True: the thread is to go, and counted out already. */
static bool become_idle(struct served *s, bool was_busy)
{
	bool surplus;

	pthread_mutex_lock(&s->lock);
	s->busy -= was_busy;
	surplus = is_surplus(s);
	s->threads -= surplus;
	pthread_mutex_unlock(&s->lock);
	return surplus;
}

static void free_served(struct served *s)
{
	void (*ended)(void *arg) = s->ended;

	close(s->fd);
	msg_in_release(&s->how);
	pthread_mutex_destroy(&s->lock);
	free(s);
	server_hold(-1);
	loop_post(server_process.ctx.loop, ended, NULL);
}

/* At the end of the link. */
static void leave(struct served *s)
{
	bool last;

	pthread_mutex_lock(&s->lock);
	last = --s->threads == 0;
	pthread_mutex_unlock(&s->lock);
	if (last)
		free_served(s);
}

static void call(const struct served *s, struct uid_work *w, struct slice record)
{
	struct running_who who = { .client = NULL };

	w->arena = (struct arena)ARENA_INIT;
	w->link_fd = s->fd;
	if (msg_parse(&w->msg, record, &w->arena) && msg_get_u64(&w->msg, UID_CALL, &w->number)) {
		(void)msg_get_str(&w->msg, UID_USER, &w->arena, &who.user);
		(void)msg_get_str(&w->msg, UID_MESSAGE, &w->arena, &who.message);
		running_begin(&who);
		server_process.server->workers->worker_call(&s->how.msg, w);
		running_end();
	}
	arena_release(&w->arena);
	uid_work_close(w);
}

/* False at the link's end, or when the thread is to go. */
static bool serve_one(struct served *s, char *buffer, bool *is_counted)
{
	struct uid_work w;
	ssize_t n;

	w.fd_count = SOCKET_MAX_FDS;
	n = socket_recv_fds(s->fd, buffer, UID_CALL_MAX, w.fds, &w.fd_count, true);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return false;
	if (n > 0) {
		become_busy(s);
		call(s, &w, slice_mem(buffer, (size_t)n));
	}
	*is_counted = !become_idle(s, n > 0);
	return *is_counted;
}

static void serve_thread(void *arg)
{
	struct served *s = arg;
	char *buffer = xmalloc(UID_CALL_MAX);
	bool is_counted = true;

	while (serve_one(s, buffer, &is_counted))
		;
	free(buffer);
	if (is_counted)
		leave(s);
}

void uid_serve_link(struct msg_in *in, void (*ended)(void *arg))
{
	struct served *s;

	if (in->fd_count != 1 || server_process.server->workers->worker_call == NULL) {
		msg_in_release(in);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	s->fd = in->fds[0];
	in->fds[0] = -1;
	s->how = *in;
	s->ended = ended;
	s->threads = 1;
	s->window_ends = deadline_in(WINDOW_MS);
	pthread_mutex_init(&s->lock, NULL);
	(void)socket_receive_limit(s->fd, WINDOW_MS);
	server_hold(+1);
	pool_run(serve_thread, s);
}

void uid_work_close(struct uid_work *w)
{
	for (size_t i = 0; i < w->fd_count; i++)
		close(w->fds[i]);
	w->fd_count = 0;
}

bool uid_work_answer(const struct uid_work *w, const void *data, size_t len)
{
	char record[UID_ANSWER_MAX];
	ssize_t n;

	ASSERT(len <= sizeof(record) - sizeof(w->number));
	memcpy(record, &w->number, sizeof(w->number));
	memcpy(record + sizeof(w->number), data, len);
	do
		n = send(w->link_fd, record, sizeof(w->number) + len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

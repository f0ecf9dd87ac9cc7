// SPDX-License-Identifier: BSD-2-Clause
/*
 * The front's end of links.  A thread of the pool receives on each of them, and nobody but that
 * thread takes a call off its link: whoever sends adds the call first, and when sending fails cuts
 * the link, so that the thread ends the call like the others.
 *
 * A link that is on the list of all may be used; it is freed by the last one who uses it, its
 * thread among them.
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

#define SEND_TIMEOUT_MS 5000
/* How often a link looks whether it is still needed, and for calls that take too long. */
#define LOOK_MS 10000
/* Answers that one system call takes. */
#define BATCH 8

struct uid_link {
	struct list node; /* in links.all while it may be used */
	uid_t uid;
	gid_t gid;
	uint64_t own; /* for whom alone: suspect_key, or 0 */
	pid_t worker;
	int fd;
	/* Under the lock. */
	struct list calls; /* oldest first */
	uint64_t last_number;
	unsigned users;
	int64_t last_call;
	/* Its thread's. */
	int64_t next_look;
};

static struct {
	pthread_mutex_t lock;
	pthread_mutex_t making; /* one link is made at a time */
	struct list all;
	bool closed;
} links = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.making = PTHREAD_MUTEX_INITIALIZER,
	.all = LIST_INIT(links.all) };

static int64_t idle_limit(void)
{
	int64_t ms = server_process.server->workers->idle_ms;

	return ms > 0 ? ms : UID_IDLE_MS;
}

static void drop(struct uid_link *link)
{
	bool last;

	pthread_mutex_lock(&links.lock);
	last = --link->users == 0;
	pthread_mutex_unlock(&links.lock);
	if (!last)
		return;
	close(link->fd);
	free(link);
}

/* The peer sees the end, and so does the link's thread. */
static void cut(struct uid_link *link)
{
	(void)shutdown(link->fd, SHUT_RDWR);
}

/* ---- the link's thread ---- */

static struct uid_call *find_call(struct uid_link *link, uint64_t number)
{
	struct uid_call *found = NULL;

	pthread_mutex_lock(&links.lock);
	list_for_each(l, &link->calls) {
		found = list_entry(l, struct uid_call, node);
		if (found->number == number)
			break;
		found = NULL;
	}
	pthread_mutex_unlock(&links.lock);
	return found;
}

static void end_call(struct uid_call *call, const struct reason *why)
{
	pthread_mutex_lock(&links.lock);
	list_del(&call->node);
	pthread_mutex_unlock(&links.lock);
	call->ended(call, why);
}

/* False: the worker is not to be talked to any more. */
static bool take_answer(struct uid_link *link, struct slice answer)
{
	struct uid_call *call;
	uint64_t number;

	if (answer.len < sizeof(number))
		return false;
	memcpy(&number, answer.ptr, sizeof(number));
	call = find_call(link, number);
	if (call == NULL)
		return false;
	switch (call->answered(call, slice_from(answer, sizeof(number)))) {
	case UID_CALL_GOES_ON:
		return true;
	case UID_CALL_IS_OVER:
		end_call(call, NULL);
		return true;
	case UID_CALL_BROKEN:
		break;
	}
	return false;
}

static bool take_batch(struct uid_link *link, const struct mmsghdr *batch, int count)
{
	for (int i = 0; i < count; i++) {
		const struct iovec *part = batch[i].msg_hdr.msg_iov;

		/* No record is empty: that is the end. */
		if (batch[i].msg_len == 0)
			return false;
		if (!take_answer(link, slice_mem(part->iov_base, batch[i].msg_len))) {
			log_warning("malformed answer from worker pid %d", (int)link->worker);
			return false;
		}
	}
	return true;
}

/* A worker that hangs is for the parent to kill; its end ends the calls. */
static void look_for_late_calls(struct uid_link *link, int64_t now)
{
	const struct uid_call *first = NULL;

	pthread_mutex_lock(&links.lock);
	if (!list_is_empty(&link->calls))
		first = list_entry(link->calls.next, struct uid_call, node);
	pthread_mutex_unlock(&links.lock);
	if (first == NULL || first->deadline > now)
		return;
	log_warning("worker pid %d hangs, killing it", (int)link->worker);
	uid_workers_give_up(link->worker);
	cut(link);
}

/* Takes it off the list when nobody needs it: after that no call can begin. */
static bool is_idle(struct uid_link *link, int64_t now)
{
	bool idle;

	pthread_mutex_lock(&links.lock);
	idle = list_is_empty(&link->calls) && now - link->last_call >= idle_limit();
	if (idle)
		list_del(&link->node);
	pthread_mutex_unlock(&links.lock);
	return idle;
}

/* Now and then; false: the link's time is over. */
static bool look(struct uid_link *link)
{
	const int64_t now = clock_ms();

	if (now < link->next_look)
		return true;
	link->next_look = now + (idle_limit() < LOOK_MS ? idle_limit() : LOOK_MS);
	look_for_late_calls(link, now);
	return !is_idle(link, now);
}

static void receive(struct uid_link *link)
{
	char data[BATCH][UID_ANSWER_MAX + 1];
	struct iovec parts[BATCH];
	struct mmsghdr batch[BATCH];
	int count;

	do {
		memset(batch, 0, sizeof(batch));
		for (size_t i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){ data[i], sizeof(data[i]) };
			batch[i].msg_hdr.msg_iov = &parts[i];
			batch[i].msg_hdr.msg_iovlen = 1;
		}
		count = recvmmsg(link->fd, batch, BATCH, MSG_WAITFORONE | MSG_CMSG_CLOEXEC, NULL);
		if (count > 0 && !take_batch(link, batch, count))
			return;
		if (count < 0 && errno != EAGAIN && errno != EINTR)
			return;
	} while (look(link));
}

static void end_all_calls(struct uid_link *link)
{
	struct list ended = LIST_INIT(ended);
	struct reason why = { "", "" };

	reason_set(&why, "4.3.0", "the %s process ended without a result",
	    server_process.server->workers->name);
	pthread_mutex_lock(&links.lock);
	list_del(&link->node);
	while (!list_is_empty(&link->calls)) {
		struct list *first = link->calls.next;

		list_del(first);
		list_add_tail(&ended, first);
	}
	pthread_mutex_unlock(&links.lock);
	while (!list_is_empty(&ended))
		end_call(list_entry(ended.next, struct uid_call, node), &why);
}

static void link_thread(void *arg)
{
	struct uid_link *link = arg;

	receive(link);
	cut(link);
	end_all_calls(link);
	drop(link);
}

/* ---- finding and making ---- */

/* With the lock. */
static struct uid_link *find_link(const struct uid_owner *owner)
{
	const uint64_t own = uid_key_in(uid_workers_suspects(), owner->user, owner->message);

	list_for_each(l, &links.all) {
		struct uid_link *link = list_entry(l, struct uid_link, node);

		if (link->uid == owner->uid && link->gid == owner->gid && link->own == own)
			return link;
	}
	return NULL;
}

bool uid_call_has_link(const struct uid_owner *owner)
{
	bool has;

	pthread_mutex_lock(&links.lock);
	has = find_link(owner) != NULL;
	pthread_mutex_unlock(&links.lock);
	return has;
}

static bool ask_for_link(
    const struct uid_owner *owner, int64_t deadline, struct uid_given *given, struct reason *why)
{
	struct msg_out m = { { 0 } };
	bool ok;

	msg_begin(&m, UID_LINK);
	msg_add_u64(&m, UID_LINK_UID, owner->uid);
	msg_add_u64(&m, UID_LINK_GID, owner->gid);
	msg_add_str(&m, UID_LINK_USER, owner->user);
	msg_add_str(&m, UID_LINK_MESSAGE, owner->message);
	ok = uid_workers_ask(&m, NULL, 0, deadline, given, why);
	msg_release(&m);
	if (ok && given->fd < 0) {
		reason_set(why, "4.3.0", "the parent of workers gave no link");
		return false;
	}
	return ok;
}

static bool make_link(const struct uid_owner *owner, int64_t deadline, struct reason *why)
{
	struct uid_given given;
	struct uid_link *link;

	if (!ask_for_link(owner, deadline, &given, why))
		return false;
	link = xcalloc(1, sizeof(*link));
	*link = (struct uid_link){ .uid = owner->uid,
		.gid = owner->gid,
		.own = given.own,
		.worker = given.worker,
		.fd = given.fd,
		.users = 1,
		.last_call = clock_ms() };
	list_init(&link->calls);
	list_init(&link->node);
	(void)socket_receive_limit(link->fd, idle_limit() < LOOK_MS ? idle_limit() : LOOK_MS);
	pthread_mutex_lock(&links.lock);
	if (!links.closed)
		list_add_tail(&links.all, &link->node);
	pthread_mutex_unlock(&links.lock);
	pool_run(link_thread, link);
	return true;
}

/* With the call on it, and one user more; NULL: there is no link.  CALL may end from here on. */
static struct uid_link *add_call(
    const struct uid_owner *owner, struct uid_call *call, uint64_t *number)
{
	struct uid_link *link;

	pthread_mutex_lock(&links.lock);
	link = find_link(owner);
	if (link != NULL) {
		link->users++;
		link->last_call = clock_ms();
		*number = call->number = ++link->last_number;
		list_add_tail(&link->calls, &call->node);
	}
	pthread_mutex_unlock(&links.lock);
	return link;
}

/* A link may be gone as soon as it was made. */
static struct uid_link *link_for(const struct uid_owner *owner, struct uid_call *call,
    int64_t deadline, uint64_t *number, struct reason *why)
{
	struct uid_link *link = add_call(owner, call, number);
	bool ok = true;

	if (link != NULL)
		return link;
	pthread_mutex_lock(&links.making);
	link = add_call(owner, call, number);
	if (link == NULL && (ok = make_link(owner, deadline, why)))
		link = add_call(owner, call, number);
	pthread_mutex_unlock(&links.making);
	if (link == NULL && ok)
		reason_set(why, "4.3.0", "a worker takes no record");
	return link;
}

bool uid_call_start(struct uid_call *call, const struct uid_owner *owner, struct msg_out *work,
    const int *fds, size_t fd_count, int64_t deadline, struct reason *why)
{
	struct uid_link *link;
	struct slice record;
	uint64_t number;

	list_init(&call->node);
	link = link_for(owner, call, deadline, &number, why);
	if (link == NULL)
		return false;
	/* Nothing of CALL's is looked at from here on: it may have ended, and be gone. */
	msg_add_u64(work, UID_CALL, number);
	msg_add_str(work, UID_USER, owner->user);
	msg_add_str(work, UID_MESSAGE, owner->message);
	record = slice_from(strbuf_slice(&work->buf), MSG_FRONT);
	ASSERT(record.len <= UID_CALL_MAX && !work->buf.overflow);
	if (socket_send_record(link->fd, record.ptr, record.len, fds, fd_count,
		deadline_in(SEND_TIMEOUT_MS)) == -1) {
		if (errno == ETIMEDOUT) {
			log_warning("worker pid %d takes no record, killing it", (int)link->worker);
			uid_workers_give_up(link->worker);
		}
		cut(link);
	}
	drop(link);
	return true;
}

void uid_links_close(void)
{
	pthread_mutex_lock(&links.lock);
	links.closed = true;
	list_for_each(l, &links.all)
		cut(list_entry(l, struct uid_link, node));
	pthread_mutex_unlock(&links.lock);
}

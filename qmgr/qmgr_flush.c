// SPDX-License-Identifier: BSD-2-Clause
/*
 * public/flush ($flush_service_name): the peer's flush(8), for its postqueue and what else speaks
 * that protocol.  The peer keeps a file of queue ids for each site; here every message knows its
 * sites (qmgr_site.c), so there is nothing to add, to refresh or to purge, and it is only said so.
 *
 *	service -> client	protocol NUL queue_flush_protocol NUL NUL
 *	client -> service	request NUL send_site NUL site NUL DOMAIN NUL NUL
 *				request NUL send_file NUL queue_id NUL ID NUL NUL
 *				request NUL add NUL site NUL DOMAIN NUL queue_id NUL ID NUL NUL
 *				request NUL rfrsh NUL NUL, request NUL purge NUL NUL
 *	service -> client	status NUL NUMBER NUL NUL
 *
 * A worker speaks with the client; what it asked for is done in the scheduler.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "log/log.h"
#include "qmgr/qmgr.h"
#include "sys/socket.h"
#include "table/match_list.h"

#define REQUEST_LIMIT_MS 10000
#define REQUEST_MAX	 1024
#define CLIENTS_MAX	 50

enum status { STATUS_OK = 0, STATUS_FAILED = -1, STATUS_BAD = 3, STATUS_DENIED = 4 };

struct flush_job {
	struct disk_job job;
	int fd;
	struct resolving *resolving; /* with the list of sites */
	char buf[REQUEST_MAX];
	size_t len;
	struct slice request, site, id; /* of BUF */
	bool answered;
	enum status status;
};

static unsigned clients;

/* ---- in a worker ---- */

static bool send_all(int fd, struct slice text)
{
	/* It is far less than what a socket takes. */
	return send(fd, text.ptr, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)text.len;
}

/* An empty name ends the attributes. */
static bool is_complete(const struct flush_job *job)
{
	return job->len >= 2 && job->buf[job->len - 1] == '\0' && job->buf[job->len - 2] == '\0';
}

static bool read_request(struct flush_job *job)
{
	int64_t deadline = deadline_in(REQUEST_LIMIT_MS);

	while (!is_complete(job)) {
		ssize_t got;

		if (job->len == sizeof(job->buf) || socket_wait(job->fd, POLLIN, deadline) <= 0)
			return false;
		got = recv(job->fd, job->buf + job->len, sizeof(job->buf) - job->len, MSG_DONTWAIT);
		if (got == 0 || (got == -1 && errno != EAGAIN && errno != EINTR))
			return false;
		/* A wake-up of master's: there is nothing that has to be done in time. */
		if (got == 1 && job->len == 0 && job->buf[0] == QUEUE_TRIGGER_WAKEUP)
			return false;
		if (got > 0)
			job->len += (size_t)got;
	}
	return true;
}

/* Up to a NUL or the end. */
static struct slice take_string(struct cursor *c)
{
	struct slice rest = cursor_rest(c);
	ptrdiff_t end = slice_find(rest, '\0');
	struct slice s = cursor_take(c, end < 0 ? rest.len : (size_t)end);

	if (end >= 0)
		cursor_take(c, 1);
	return s;
}

static void parse(struct flush_job *job)
{
	struct cursor c = cursor_of(slice_mem(job->buf, job->len - 1));

	while (!cursor_at_end(&c)) {
		struct slice name = take_string(&c), value = take_string(&c);

		if (slice_eq_str(name, "request"))
			job->request = value;
		else if (slice_eq_str(name, "site"))
			job->site = value;
		else if (slice_eq_str(name, "queue_id"))
			job->id = value;
	}
}

static bool has(struct slice value)
{
	return value.ptr != NULL;
}

static enum status look_at_site(const struct flush_job *job)
{
	if (!has(job->site))
		return STATUS_BAD;
	if (job->site.len >= QUEUE_SITE_SIZE)
		return STATUS_DENIED;
	switch (match_list_domain(job->resolving->flush_domains, job->site)) {
	case MATCH_YES:
		return STATUS_OK;
	case MATCH_NO:
		return STATUS_DENIED;
	case MATCH_ERROR:
		break;
	}
	return STATUS_FAILED;
}

/* False: nobody knows such a request. */
static bool judge(struct flush_job *job)
{
	job->status = STATUS_OK;
	if (slice_eq_str(job->request, "send_site"))
		job->status = look_at_site(job);
	else if (slice_eq_str(job->request, "send_file"))
		job->status = has(job->id) ? STATUS_OK : STATUS_BAD;
	else if (slice_eq_str(job->request, "add"))
		job->status = has(job->id) ? look_at_site(job) : STATUS_BAD;
	else if (!has(job->request))
		job->status = STATUS_BAD;
	else
		return slice_eq_str(job->request, "rfrsh") || slice_eq_str(job->request, "purge");
	return true;
}

static void flush_work(struct disk_job *base)
{
	struct flush_job *job = (struct flush_job *)base;

	if (!send_all(job->fd, SLICE_LIT("protocol\0queue_flush_protocol\0\0")) ||
	    !read_request(job))
		return;
	parse(job);
	job->answered = judge(job);
}

/* ---- in the scheduler ---- */

static void do_request(const struct flush_job *job)
{
	struct queue_control request = { .op = QUEUE_CONTROL_FLUSH };

	if (slice_eq_str(job->request, "send_site")) {
		request.op = QUEUE_CONTROL_FLUSH_SITE;
		memcpy(request.site, job->site.ptr, job->site.len);
		control_flush(&request);
	} else if (slice_eq_str(job->request, "send_file") && queue_id_is_valid(job->id)) {
		memcpy(request.id, job->id.ptr, job->id.len);
		control_flush(&request);
	}
}

static void flush_done(struct disk_job *base)
{
	struct flush_job *job = (struct flush_job *)base;
	char answer[64];
	int len;

	if (job->answered) {
		if (job->status == STATUS_OK)
			do_request(job);
		len = snprintf(answer, sizeof(answer), "status%c%d%c", 0, (int)job->status, 0);
		send_all(job->fd, slice_mem(answer, (size_t)len + 1));
	}
	close(job->fd);
	qmgr_drop_resolver(job->resolving);
	free(job);
	clients--;
}

void flush_accept(int fd)
{
	struct flush_job *job;

	if (clients >= CLIENTS_MAX) {
		log_warning("too many clients of the flush service");
		close(fd);
		return;
	}
	clients++;
	job = xcalloc(1, sizeof(*job));
	job->job = (struct disk_job){ .work = flush_work, .done = flush_done };
	job->fd = fd;
	job->resolving = qmgr_use_resolver();
	disk_run(&job->job);
}

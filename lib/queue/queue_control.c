// SPDX-License-Identifier: BSD-2-Clause
#include "queue/queue_control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "ipc/channel.h"
#include "sys/socket.h"

static const char *const ops[QUEUE_CONTROL_OPS] = {
	[QUEUE_CONTROL_FLUSH] = "flush",
	[QUEUE_CONTROL_FLUSH_SITE] = "flush-site",
	[QUEUE_CONTROL_DELETE] = "delete",
	[QUEUE_CONTROL_HOLD] = "hold",
	[QUEUE_CONTROL_RELEASE] = "release",
	[QUEUE_CONTROL_EXPIRE] = "expire",
	[QUEUE_CONTROL_EXPIRE_RELEASE] = "expire-release",
	[QUEUE_CONTROL_REQUEUE] = "requeue",
	[QUEUE_CONTROL_STRUCTURE] = "structure",
};

void queue_control_write(struct msg_out *m, const struct queue_control *request)
{
	msg_begin(m, "CONTROL");
	msg_add_str(m, "op", ops[request->op]);
	if (request->op == QUEUE_CONTROL_FLUSH_SITE)
		msg_add_str(m, "site", request->site);
	else if (request->id[0])
		msg_add_str(m, "id", request->id);
	else
		msg_add_u64(m, "all", 1);
	for (int i = 0; i < SPOOL_QUEUES; i++)
		if (request->queues[i])
			msg_add_str(m, "queue", spool_queue_name((enum spool_queue)i));
}

static bool take_queues(const struct msg *m, bool queues[SPOOL_QUEUES])
{
	struct slice value;
	size_t index = 0;

	while (msg_each(m, "queue", &index, &value)) {
		bool known = false;

		for (int i = 0; i < SPOOL_QUEUES && !known; i++) {
			known = slice_eq_str(value, spool_queue_name((enum spool_queue)i));
			queues[i] |= known;
		}
		if (!known)
			return false;
	}
	return true;
}

static bool take_site(const struct msg *m, char site[QUEUE_SITE_SIZE])
{
	struct slice value;

	if (!msg_get(m, "site", &value) || value.len == 0 || value.len >= QUEUE_SITE_SIZE)
		return false;
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.ptr[i] <= ' ' || value.ptr[i] == 0x7f)
			return false;
	memcpy(site, value.ptr, value.len);
	return true;
}

bool queue_control_parse(const struct msg *m, struct queue_control *request)
{
	struct slice op, id;
	uint64_t all;

	*request = (struct queue_control){ .op = QUEUE_CONTROL_OPS };
	if (!msg_is(m, "CONTROL") || !msg_get(m, "op", &op))
		return false;
	for (int i = 0; i < QUEUE_CONTROL_OPS; i++)
		if (slice_eq_str(op, ops[i]))
			request->op = (enum queue_control_op)i;
	if (request->op == QUEUE_CONTROL_OPS || !take_queues(m, request->queues))
		return false;
	if (request->op == QUEUE_CONTROL_FLUSH_SITE)
		return take_site(m, request->site);
	if (!msg_get(m, "id", &id))
		return msg_get_u64(m, "all", &all) && all == 1;
	if (!queue_id_is_valid(id))
		return false;
	memcpy(request->id, id.ptr, id.len);
	return true;
}

/* True when the last answer has come. */
static bool wait_for_end(struct channel *channel, int64_t deadline)
{
	struct msg_in in;
	uint64_t end;
	bool ended = false;

	while (!ended && channel_recv(channel, &in, deadline) == CHANNEL_RECORD) {
		ended = msg_get_u64(&in.msg, "end", &end);
		msg_in_release(&in);
	}
	return ended;
}

bool queue_control_flush_site(const char *socket, const char *site, int64_t deadline)
{
	struct queue_control request = { .op = QUEUE_CONTROL_FLUSH_SITE };
	struct channel *channel = channel_connect(socket, "flush", deadline);
	struct msg_out out = { 0 };
	bool good;

	if (!channel)
		return false;
	snprintf(request.site, sizeof(request.site), "%s", site);
	queue_control_write(&out, &request);
	good =
	    channel_send(channel, &out, NULL, 0, deadline) == 0 && wait_for_end(channel, deadline);
	msg_release(&out);
	channel_free(channel);
	return good;
}

int queue_trigger(const char *path, struct slice bytes, int64_t deadline)
{
	struct stat st;
	ssize_t sent = -1;
	int fd, saved;

	if (stat(path, &st) == -1)
		return -1;
	if (S_ISFIFO(st.st_mode)) {
		fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd != -1)
			sent = write(fd, bytes.ptr, bytes.len);
	} else {
		fd = socket_unix_connect(path, deadline);
		if (fd != -1)
			sent = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (fd == -1)
		return -1;
	/* Who is woken by the connection alone has closed it already. */
	if (sent == -1 && (errno == EPIPE || errno == ECONNRESET))
		sent = (ssize_t)bytes.len;
	saved = errno;
	close(fd);
	errno = saved;
	return sent == (ssize_t)bytes.len ? 0 : -1;
}

// SPDX-License-Identifier: BSD-2-Clause
/* The front: one connection of the login half is one login. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "pop3d/pop3.h"
#include "pop3d/pop3_registry.h"
#include "pop3d/pop3_wire.h"
#include "sys/socket.h"

#define REQUEST_MS 10000
#define ASK_MS	   60000
/* A login waits for a place on the list; then it still has the time to open the mailbox. */
#define ROOM_MS 20000

/* Who the client is the parent finds out: from these, and authd. */
static void forward(struct msg_out *m, struct msg_in *in)
{
	static const char *const names[] = { POP3_CLIENT_PID, POP3_AUTH_ID, POP3_COOKIE,
		POP3_SESSION, POP3_RIP, POP3_LIP, POP3_INPUT };
	struct slice value;

	msg_begin(m, POP3_LOGIN);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (msg_get(&in->msg, names[i], &value))
			msg_add(m, names[i], value);
}

/* The worker runs under a user's rights: its text goes to our log, and that is all. */
static bool wait_for_worker(int fd, struct pop3_answer *answer)
{
	int64_t deadline = deadline_in(POP3_OPEN_MS);
	ssize_t n;

	do
		n = socket_wait(fd, POLLIN, deadline) == 1 ? read(fd, answer, sizeof(*answer)) : -1;
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*answer))
		return false;
	answer->text[sizeof(answer->text) - 1] = '\0';
	return true;
}

/* Passes the login on; *FD is our end of the session's control socket. */
static bool log_in(struct msg_in *in, struct pop3_answer *answer, int *fd, struct reason *why)
{
	struct msg_out m = { { 0 } };
	int pair[2];
	bool ok;

	if (socket_pair(pair) < 0) {
		reason_set(why, "4.3.0", "cannot make a pair of sockets: %s", strerror(errno));
		return false;
	}
	forward(&m, in);
	ok = uid_workers_request(&m, (int[]){ in->fds[0], pair[1] }, 2, deadline_in(ASK_MS), why);
	close(pair[1]);
	if (ok && !wait_for_worker(pair[0], answer)) {
		reason_set(why, "4.3.0", "the mailbox process ended, or took too long");
		ok = false;
	}
	if (ok && !answer->ok) {
		reason_set(why, "4.3.0", "%s", answer->text);
		ok = false;
	}
	msg_release(&m);
	if (ok)
		*fd = pair[0];
	else
		close(pair[0]);
	return ok;
}

static void copy_text(struct msg_in *in, const char *name, char *out, size_t size)
{
	const char *text;

	if (msg_get_str(&in->msg, name, &in->arena, &text))
		(void)snprintf(out, size, "%s", text);
}

/* With a place on the list of sessions. */
static bool admit(struct msg_in *in, struct pop3_answer *answer, bool *limit, struct reason *why)
{
	struct pop3_who who = { "", "", "" };
	struct pop3_entry *entry;
	int fd;

	copy_text(in, POP3_USER, who.user, sizeof(who.user));
	copy_text(in, POP3_RIP, who.rip, sizeof(who.rip));
	copy_text(in, POP3_SESSION, who.session, sizeof(who.session));
	entry = pop3_registry_add(&who, deadline_in(ROOM_MS), limit, why);
	if (entry == NULL)
		return false;
	if (!log_in(in, answer, &fd, why)) {
		pop3_registry_remove(entry);
		return false;
	}
	pop3_registry_started(entry, fd, answer->pid);
	return true;
}

static void serve_login(struct channel *ch)
{
	struct msg_out m = { { 0 } };
	struct pop3_answer answer;
	bool limit = false;
	struct reason why;
	struct msg_in in;

	if (channel_recv(ch, &in, deadline_in(REQUEST_MS)) != CHANNEL_RECORD)
		return;
	if (!msg_is(&in.msg, POP3_LOGIN) || in.fd_count != 1) {
		log_error("a malformed request on " POP3_SOCKET);
	} else if (admit(&in, &answer, &limit, &why)) {
		msg_begin(&m, POP3_LOGGED_IN);
		msg_add_i64(&m, POP3_PID, answer.pid);
		(void)channel_send(ch, &m, NULL, 0, deadline_in(REQUEST_MS));
	} else {
		msg_begin(&m, POP3_REFUSED);
		msg_add_str(&m, POP3_TEXT, why.text);
		msg_add_u64(&m, POP3_LIMIT, limit);
		(void)channel_send(ch, &m, NULL, 0, deadline_in(REQUEST_MS));
	}
	msg_release(&m);
	msg_in_release(&in);
}

static enum session_next serve(struct session *session, enum session_wake why)
{
	struct channel *ch;
	int fd;

	if (why != SESSION_OPENED)
		return SESSION_CLOSE;
	fd = fcntl(stream_fd(session->stream), F_DUPFD_CLOEXEC, 0);
	stream_free(session_take_stream(session));
	ch = fd < 0 ? NULL : channel_new(fd, "pop3");
	if (ch != NULL)
		serve_login(ch);
	channel_free(ch);
	return SESSION_CLOSE;
}

static void close_session(struct session *session)
{
	(void)session;
}

const struct session_class pop3_front_class = {
	.name = "pop3 login", .size = sizeof(struct session), .serve = serve, .close = close_session
};

// SPDX-License-Identifier: BSD-2-Clause
/* One session of the load driver: its connection, and its way through the script.
 *
 * session_run() goes on until an op must wait: for a reply, for the socket, for a time, or for all
 * the other sessions.  session_event() takes what epoll says and wakes it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/ld.h"

#define READ_SIZE   (256 * 1024)
#define READS_MAX   64 /* of one session before the others have their turn */
#define TLS_WRITE   (64 * 1024)
#define ERRORS_MAX  3
#define LINE_SHOWN  200
#define FIRST_LOCAL 0x7f000101u /* 127.0.1.1 */
#define ENDLESS	    1000000	/* a loop of so many rounds ends with the duration */

/* Registers with epoll once there is something to wait for. */
static void wait_for(struct driver *driver, struct session *session, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = session };
	int how = session->events != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (session->events == events)
		return;
	if (epoll_ctl(driver->epoll, how, session->fd, &event) < 0)
		die("epoll_ctl: %s", strerror(errno));
	session->events = events;
}

static void count_failure(struct driver *driver, struct session *session, const char *error,
    const char *line, size_t length)
{
	struct totals *totals = &driver->totals;
	int shown = (int)(length > LINE_SHOWN ? LINE_SHOWN : length);

	if (totals->first_error[0] == '\0')
		snprintf(totals->first_error, sizeof(totals->first_error), "%s (op %d): %.*s",
		    error, session->position, shown, line);
	if (totals->failed++ < ERRORS_MAX)
		fprintf(stderr, "ld: session %ld: %s (op %d): %.*s\n", session->number, error,
		    session->position, shown, line);
}

/* ERROR is NULL for a session that did all that it should. */
void session_close(struct driver *driver, struct session *session, const char *error,
    const char *line, size_t length)
{
	if (!session->is_live)
		return;
	if (error != NULL)
		count_failure(driver, session, error, line, length);
	else
		driver->totals.finished++;
	if (session->ssl != NULL) {
		if (error == NULL)
			SSL_shutdown(session->ssl);
		ERR_clear_error();
		SSL_free(session->ssl);
		session->ssl = NULL;
	}
	close(session->fd);
	session->fd = -1;
	session->is_live = false;
	session->events = 0;
	driver->totals.alive--;
	if (session->is_held)
		driver->totals.held--;
	else
		driver->totals.active--;
	session->is_held = false;
}

static void fail_errno(struct driver *driver, struct session *session, const char *what, int error)
{
	const char *text = strerror(error);

	session_close(driver, session, what, text, strlen(text));
}

static void bind_local(const struct options *options, const struct session *session)
{
	struct sockaddr_in local = { .sin_family = AF_INET };
	int one = 1;

	local.sin_addr.s_addr =
	    htonl(FIRST_LOCAL + (uint32_t)((unsigned long)session->number % options->addresses));
	setsockopt(session->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(session->fd, (struct sockaddr *)&local, sizeof(local)) < 0)
		die("bind: %s", strerror(errno));
}

static int connect_unix(const struct options *options, struct session *session)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	session->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		die("socket: %s", strerror(errno));
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", options->unix_path);
	return connect(session->fd, (struct sockaddr *)&to, sizeof(to));
}

static int connect_inet(const struct options *options, struct session *session)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)options->port) };
	int one = 1;

	if (inet_pton(AF_INET, options->host, &to.sin_addr) != 1)
		die("not an IPv4 address: %s", options->host);
	session->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (options->addresses > 0)
		bind_local(options, session);
	return connect(session->fd, (struct sockaddr *)&to, sizeof(to));
}

/* Memory of the slot's last session serves the next. */
static void reset(struct session *session)
{
	struct session fresh = { .fd = -1,
		.output = { .data = session->output.data, .capacity = session->output.capacity },
		.input = session->input,
		.input_capacity = session->input_capacity };

	*session = fresh;
}

void session_open(struct driver *driver, struct session *session)
{
	const struct options *options = &driver->options;
	const struct script *script = &driver->script;
	int status;

	reset(session);
	session->number = driver->totals.started++;
	session->is_live = true;
	driver->totals.alive++;
	driver->totals.active++;
	if (script->user_count > 0)
		session->user =
		    (options->first_user + (size_t)session->number) % script->user_count;
	session->marked = session->last_input = seconds_now();
	status = options->unix_path != NULL ? connect_unix(options, session)
					    : connect_inet(options, session);
	if (status < 0 && errno != EINPROGRESS) {
		fail_errno(driver, session, "connect", errno);
		return;
	}
	session->is_connecting = true;
	wait_for(driver, session, EPOLLIN | EPOLLOUT);
}

static void start_tls(struct driver *driver, struct session *session)
{
	session->ssl = SSL_new(driver->tls);
	if (session->ssl == NULL || SSL_set_fd(session->ssl, session->fd) != 1)
		die("out of memory for TLS");
	SSL_set_connect_state(session->ssl);
	if (driver->tls_session != NULL)
		SSL_set_session(session->ssl, driver->tls_session);
	session->in_handshake = true;
}

/* False while the handshake waits, and when it failed. */
static bool step_handshake(struct driver *driver, struct session *session)
{
	int result = SSL_do_handshake(session->ssl);
	char text[160];

	if (result == 1) {
		session->in_handshake = false;
		driver->totals.handshakes++;
		if (driver->options.resume_tls && driver->tls_session == NULL &&
		    SSL_version(session->ssl) < TLS1_3_VERSION)
			driver->tls_session = SSL_get1_session(session->ssl);
		wait_for(driver, session, EPOLLIN);
		return true;
	}
	switch (SSL_get_error(session->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		wait_for(driver, session, EPOLLIN);
		break;
	case SSL_ERROR_WANT_WRITE:
		wait_for(driver, session, EPOLLIN | EPOLLOUT);
		break;
	default:
		ERR_error_string_n(ERR_get_error(), text, sizeof(text));
		session_close(driver, session, "tls", text, strlen(text));
	}
	return false;
}

/* Octets written, 0 when the socket is full, -1 after an error. */
static ssize_t write_some(
    struct driver *driver, struct session *session, const char *data, size_t length)
{
	ssize_t written;

	if (session->ssl != NULL) {
		int result =
		    SSL_write(session->ssl, data, length > TLS_WRITE ? TLS_WRITE : (int)length);
		int error = SSL_get_error(session->ssl, result);

		if (result <= 0)
			return error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? 0
											     : -1;
		written = result;
	} else {
		written = send(session->fd, data, length, MSG_NOSIGNAL);
		if (written < 0)
			return errno == EAGAIN ? 0 : -1;
	}
	driver->totals.sent += (uint64_t)written;
	return written;
}

/* Writes from DATA on at *SENT; false after an error. */
static bool push(
    struct driver *driver, struct session *session, const char *data, size_t length, size_t *sent)
{
	while (*sent < length) {
		ssize_t written = write_some(driver, session, data + *sent, length - *sent);

		if (written < 0) {
			fail_errno(driver, session, "write", errno);
			return false;
		}
		if (written == 0)
			break;
		*sent += (size_t)written;
	}
	return true;
}

/* False when the session ended; output may be left, and the session then waits to write. */
static bool flush(struct driver *driver, struct session *session)
{
	struct output *output = &session->output;

	if (!push(driver, session, output->data, output->length, &output->sent))
		return false;
	if (output->sent == output->length) {
		output->sent = output->length = 0;
		if (!push(
			driver, session, session->bulk, session->bulk_length, &session->bulk_sent))
			return false;
		if (session->bulk_sent == session->bulk_length) {
			session->bulk = NULL;
			session->bulk_length = session->bulk_sent = 0;
		}
	}
	wait_for(driver, session,
	    output->length > 0 || session->bulk != NULL ? EPOLLIN | EPOLLOUT : EPOLLIN);
	return true;
}

static void send_message(
    struct driver *driver, struct session *session, const struct message *message)
{
	driver->totals.messages++;
	session->bulk = message->data;
	session->bulk_length = message->length;
	session->bulk_sent = 0;
}

static void send_payload(struct driver *driver, struct session *session)
{
	char line[96];
	int length;

	send_message(driver, session, &driver->script.payload);
	length = snprintf(line, sizeof(line), "Message-ID: <%llu.%ld@bench.example>\r\n",
	    (unsigned long long)driver->totals.messages, (long)getpid());
	output_add(&session->output, line, (size_t)length);
}

/* Sends a line; false while an unsent message is before it. */
static bool run_send(struct driver *driver, struct session *session, const struct op *op)
{
	if (session->bulk != NULL && (!flush(driver, session) || session->bulk != NULL))
		return false;
	output_format(driver, session, op->text);
	if (!op->is_bare)
		output_add(&session->output, "\r\n", 2);
	return true;
}

static bool run_expect(struct driver *driver, struct session *session, const struct op *op)
{
	if (session->replies_left == 0)
		session->replies_left = op->number;
	flush(driver, session);
	return false;
}

static bool run_tls(struct driver *driver, struct session *session)
{
	if (session->ssl == NULL)
		start_tls(driver, session);
	return !session->in_handshake || step_handshake(driver, session);
}

static bool run_hold(struct driver *driver, struct session *session)
{
	if (!flush(driver, session))
		return false;
	if (driver->is_releasing)
		return true;
	if (!session->is_held) {
		session->is_held = true;
		driver->totals.held++;
		driver->totals.active--;
	}
	return false;
}

static bool run_sleep(struct driver *driver, struct session *session, const struct op *op)
{
	if (!flush(driver, session))
		return false;
	if (session->wake == 0)
		session->wake = seconds_now() + (double)op->number / 1e3;
	if (seconds_now() < session->wake)
		return false;
	session->wake = 0;
	return true;
}

static void run_loop(struct session *session, const struct op *op)
{
	if (op->number <= 0)
		session->position = op->other;
	else
		session->loops[session->loop_depth++].round = 1;
}

static void run_end(struct driver *driver, struct session *session, const struct op *op)
{
	long rounds = driver->script.ops[op->other].number;
	bool is_over = driver->end > 0 && rounds >= ENDLESS && driver->now > driver->end;

	if (session->loops[session->loop_depth - 1].round < rounds && !is_over) {
		session->loops[session->loop_depth - 1].round++;
		session->position = op->other;
	} else {
		session->loop_depth--;
	}
}

/* False when the session must wait, or ended. */
static bool run_op(struct driver *driver, struct session *session)
{
	const struct op *op = &driver->script.ops[session->position];

	switch (op->code) {
	case OP_SEND:
		return run_send(driver, session, op);
	case OP_EXPECT:
		return run_expect(driver, session, op);
	case OP_PAYLOAD:
		send_payload(driver, session);
		return true;
	case OP_LITERAL:
		send_message(driver, session, &driver->script.literal);
		return true;
	case OP_TLS:
		return run_tls(driver, session);
	case OP_LOOP:
		run_loop(session, op);
		return true;
	case OP_END:
		run_end(driver, session, op);
		return true;
	case OP_MARK:
		session->marked = seconds_now();
		return true;
	case OP_LAP:
		script_measure(&driver->script, op->measured, seconds_now() - session->marked);
		return true;
	case OP_COUNT:
		driver->script.measures[op->measured].count++;
		return true;
	case OP_HOLD:
		return run_hold(driver, session);
	case OP_SLEEP:
		return run_sleep(driver, session, op);
	case OP_CLOSE:
		if (flush(driver, session))
			session_close(driver, session, NULL, NULL, 0);
		return false;
	}
	return false;
}

void session_run(struct driver *driver, struct session *session)
{
	while (session->is_live && run_op(driver, session))
		session->position++;
}

static void take_line(
    struct driver *driver, struct session *session, const char *line, size_t length)
{
	const struct op *op = &driver->script.ops[session->position];
	int verdict = op->code == OP_EXPECT ? reply_line(session, op, line, length) : 0;

	if (verdict < 0) {
		session_close(driver, session, "unexpected reply", line, length);
	} else if (verdict > 0 && --session->replies_left <= 0) {
		session->replies_left = 0;
		session->position++;
		session_run(driver, session);
	}
}

static void keep_input(struct session *session, const char *data, size_t length)
{
	if (session->input_length + length > LD_INPUT_MAX)
		die("a reply line of more than %d octets", LD_INPUT_MAX);
	if (session->input_length + length > session->input_capacity) {
		session->input_capacity = (session->input_length + length) * 2;
		session->input = grow(session->input, session->input_capacity);
	}
	memcpy(session->input + session->input_length, data, length);
	session->input_length += length;
}

static void take_data(
    struct driver *driver, struct session *session, const char *data, size_t length)
{
	while (length > 0 && session->is_live) {
		const char *newline;
		size_t part;

		if (session->literal_left > 0) {
			part = length < session->literal_left ? length : session->literal_left;
			session->literal_left -= part;
			data += part;
			length -= part;
			continue;
		}
		newline = memchr(data, '\n', length);
		part = newline != NULL ? (size_t)(newline - data) + 1 : length;
		if (newline == NULL || session->input_length > 0)
			keep_input(session, data, part);
		if (newline != NULL && session->input_length > 0) {
			size_t whole = session->input_length;

			session->input_length = 0;
			take_line(driver, session, session->input, whole);
		} else if (newline != NULL) {
			take_line(driver, session, data, part);
		}
		data += part;
		length -= part;
	}
}

/* Octets read, 0 at the end, -1 when there is nothing to read (yet), -2 after an error. */
static ssize_t read_some(struct driver *driver, struct session *session, char *buffer, size_t size)
{
	ssize_t length;

	if (session->ssl != NULL) {
		int result = SSL_read(session->ssl, buffer, (int)size);
		int error = SSL_get_error(session->ssl, result);

		if (result > 0)
			return result;
		if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
			return -1;
		ERR_clear_error();
		return 0;
	}
	length = recv(session->fd, buffer, size, 0);
	if (length >= 0)
		return length;
	if (errno == EAGAIN)
		return -1;
	fail_errno(driver, session, "read", errno);
	return -2;
}

static void read_input(struct driver *driver, struct session *session)
{
	static char buffer[READ_SIZE];

	for (int i = 0; i < READS_MAX && session->is_live && !session->in_handshake; i++) {
		ssize_t length = read_some(driver, session, buffer, sizeof(buffer));

		if (length == 0)
			session_close(driver, session, "end of file", "", 0);
		if (length <= 0)
			return;
		driver->totals.received += (uint64_t)length;
		take_data(driver, session, buffer, (size_t)length);
		if (session->ssl == NULL && (size_t)length < sizeof(buffer))
			return;
	}
}

/* False when the connection could not be made. */
static bool finish_connect(struct driver *driver, struct session *session)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (error != 0) {
		fail_errno(driver, session, "connect", error);
		return false;
	}
	session->is_connecting = false;
	wait_for(driver, session, EPOLLIN);
	if (driver->options.implicit_tls)
		start_tls(driver, session);
	else
		session_run(driver, session);
	return true;
}

/* After a handshake: a `tls` in the script has waited for it, or it came with the connection. */
static void finish_handshake(struct driver *driver, struct session *session)
{
	if (driver->script.ops[session->position].code == OP_TLS)
		session->position++;
	session_run(driver, session);
}

void session_event(struct driver *driver, struct session *session, uint32_t events)
{
	if (!session->is_live)
		return;
	session->last_input = driver->now;
	if (session->is_connecting && !finish_connect(driver, session))
		return;
	if (session->in_handshake) {
		if (!step_handshake(driver, session))
			return;
		finish_handshake(driver, session);
	}
	if (session->is_live && (events & EPOLLOUT) != 0 && !session->in_handshake) {
		if (!flush(driver, session))
			return;
		if (session->bulk == NULL && session->output.length == 0 &&
		    driver->script.ops[session->position].code != OP_EXPECT)
			session_run(driver, session);
	}
	read_input(driver, session);
}

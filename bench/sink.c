// SPDX-License-Identifier: BSD-2-Clause
/* sink: an SMTP server that takes everything and throws it away; one thread, epoll.  Prints a JSON
 * line of totals at SIGUSR1 and at the end (SIGTERM).
 *
 *	-p PORT			on 127.0.0.1
 *	-C CERT -K KEY		offers STARTTLS
 *	-d MS			waits so long before the reply to the final dot
 *	-f PERCENT		so many recipients get 450
 *	-m ROOT [-g 0|1]	stores each message in ROOT/LOCAL-PART/new before the 250:
 *				0: a file, fsync and rename per message; 1: all messages of one turn
 *of the loop into a log with one fdatasync, then into files that are not synced.  A yardstick (no
 *queue, no checks, no logging), not a server. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX   200000
#define EVENTS_MAX  256
#define PENDING_MAX 4096
#define LINE_MAX_IN 4096
#define REPLY_MAX   8192
#define PATH_LENGTH 512

/* How far into CR LF . CR LF the data is. */
enum dot_state { IN_LINE, AFTER_CR, LINE_START, AFTER_DOT, AFTER_DOT_CR, DOT_DONE };

struct client {
	int fd;
	SSL *ssl;
	bool in_handshake, in_data, has_quit, is_pending;
	char line[LINE_MAX_IN];
	size_t line_length;
	enum dot_state dot;
	char *message;
	size_t message_length, message_capacity;
	char mailbox[64];
};

struct reply {
	char text[REPLY_MAX];
	size_t length;
};

static struct {
	int port, fail_percent, group, log_fd;
	long delay_ms;
	const char *root, *certificate, *key;
} options = { .log_fd = -1 };

static struct {
	unsigned long long connections, messages, recipients, octets, handshakes, stored;
	int now_open, most_open;
	double first, last;
} totals;

static int epoll_fd;
static SSL_CTX *tls;
static struct client *pending[PENDING_MAX];
static int pending_count;
static volatile sig_atomic_t wants_report, wants_end;

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void on_signal(int number)
{
	if (number == SIGUSR1)
		wants_report = 1;
	else
		wants_end = 1;
}

static void report(void)
{
	printf("{\"connections\":%llu,\"messages\":%llu,\"recipients\":%llu,\"bytes\":%llu,",
	    totals.connections, totals.messages, totals.recipients, totals.octets);
	printf("\"tls\":%llu,\"max_concurrent\":%d,\"first\":%.6f,\"last\":%.6f}\n",
	    totals.handshakes, totals.most_open, totals.first, totals.last);
	fflush(stdout);
}

/* Replies are far smaller than any socket's buffer: one that does not fit is a broken client. */
static bool put(struct client *client, const char *text, size_t length)
{
	ssize_t sent;

	if (length == 0)
		return true;
	if (client->ssl != NULL)
		sent = SSL_write(client->ssl, text, (int)length);
	else
		sent = send(client->fd, text, length, MSG_NOSIGNAL);
	return sent == (ssize_t)length;
}

static bool put_text(struct client *client, const char *text)
{
	return put(client, text, strlen(text));
}

static void add(struct reply *reply, const char *text)
{
	size_t length = strlen(text);

	if (reply->length + length > sizeof(reply->text))
		return;
	memcpy(reply->text + reply->length, text, length);
	reply->length += length;
}

static void drop(struct client *client)
{
	if (client->ssl != NULL) {
		if (client->has_quit)
			SSL_shutdown(client->ssl);
		SSL_free(client->ssl);
		ERR_clear_error();
	}
	close(client->fd);
	for (int i = pending_count - 1; i >= 0; i--)
		if (pending[i] == client)
			pending[i] = pending[--pending_count];
	free(client->message);
	free(client);
	totals.now_open--;
}

/* Takes away the dots of transparency and the CRs, in place; returns the new length. */
static size_t unstuff(char *text, size_t length)
{
	char *to = text;
	const char *from = text, *end = text + length;

	while (from < end) {
		const char *newline = memchr(from, '\n', (size_t)(end - from));
		const char *next = newline != NULL ? newline + 1 : end;

		if (*from == '.' && next - from <= 3)
			break;
		from += *from == '.';
		memmove(to, from, (size_t)(next - from));
		to += next - from;
		if (next - from >= 2 && to[-1] == '\n' && to[-2] == '\r') {
			to[-2] = '\n';
			to--;
		}
		from = next;
	}
	return (size_t)(to - text);
}

static void mailbox_path(char *path, const struct client *client, const char *folder)
{
	snprintf(path, PATH_LENGTH, "%s/%s/%s/%llu.%ld.floor", options.root, client->mailbox,
	    folder, totals.stored, (long)getpid());
}

static void store(const struct client *client, bool is_synced)
{
	char temporary[PATH_LENGTH], final[PATH_LENGTH];
	const char *path = is_synced ? temporary : final;
	int fd;

	totals.stored++;
	mailbox_path(temporary, client, "tmp");
	mailbox_path(final, client, "new");
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	if (write(fd, client->message, client->message_length) != (ssize_t)client->message_length)
		die(path);
	if (is_synced && fsync(fd) < 0)
		die(path);
	close(fd);
	if (is_synced && rename(temporary, final) < 0)
		die(final);
}

static void finish_stored(struct client *client)
{
	put_text(client, "250 2.0.0 queued\r\n");
	client->message_length = 0;
}

static void take_stored(struct client *client)
{
	client->message_length = unstuff(client->message, client->message_length);
	if (!options.group) {
		store(client, true);
		finish_stored(client);
		return;
	}
	if (write(options.log_fd, client->message, client->message_length) < 0)
		die("log");
	client->is_pending = true;
	pending[pending_count++] = client;
}

static void commit_pending(void)
{
	if (pending_count == 0)
		return;
	if (fdatasync(options.log_fd) < 0)
		die("log");
	for (int i = 0; i < pending_count; i++) {
		pending[i]->is_pending = false;
		store(pending[i], false);
		finish_stored(pending[i]);
	}
	pending_count = 0;
}

static void add_ehlo(struct reply *reply, const struct client *client)
{
	add(reply, "250-sink.test\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n");
	if (tls != NULL && client->ssl == NULL)
		add(reply, "250-STARTTLS\r\n");
	add(reply, "250 ENHANCEDSTATUSCODES\r\n");
}

static void take_recipient(struct client *client, struct reply *reply, const char *line)
{
	const char *address = strchr(line, '<');
	size_t length = address != NULL ? strcspn(address + 1, "@>/") : 0;

	if (options.fail_percent > 0 && random() % 100 < options.fail_percent) {
		add(reply, "450 4.2.0 later\r\n");
		return;
	}
	totals.recipients++;
	if (length > 0 && length < sizeof(client->mailbox)) {
		memcpy(client->mailbox, address + 1, length);
		client->mailbox[length] = '\0';
	}
	add(reply, "250 2.1.5 ok\r\n");
}

static bool is_verb(const char *line, const char *verb)
{
	return strncasecmp(line, verb, strlen(verb)) == 0;
}

static void take_command(struct client *client, struct reply *reply, const char *line)
{
	if (is_verb(line, "EHLO")) {
		add_ehlo(reply, client);
	} else if (is_verb(line, "RCPT")) {
		take_recipient(client, reply, line);
	} else if (is_verb(line, "DATA")) {
		add(reply, "354 go\r\n");
		client->in_data = true;
		client->dot = LINE_START;
	} else if (is_verb(line, "STARTTLS") && tls != NULL && client->ssl == NULL) {
		add(reply, "220 go\r\n");
		client->in_handshake = true;
	} else if (is_verb(line, "QUIT")) {
		add(reply, "221 2.0.0 bye\r\n");
		client->has_quit = true;
	} else {
		add(reply, "250 2.0.0 ok\r\n");
	}
}

static enum dot_state next_dot(enum dot_state state, char octet)
{
	if (octet == '\r')
		return state == AFTER_DOT ? AFTER_DOT_CR : AFTER_CR;
	if (octet == '\n' && state == AFTER_DOT_CR)
		return DOT_DONE;
	if (octet == '\n' && state == AFTER_CR)
		return LINE_START;
	if (octet == '.' && state == LINE_START)
		return AFTER_DOT;
	return IN_LINE;
}

/* The length of what belongs to the message, with the final dot. */
static size_t scan_data(struct client *client, const char *data, size_t length)
{
	size_t i = 0;

	while (i < length && client->dot != DOT_DONE) {
		const char *cr = client->dot == IN_LINE ? memchr(data + i, '\r', length - i) : NULL;

		if (client->dot == IN_LINE && cr == NULL)
			return length;
		if (cr != NULL)
			i = (size_t)(cr - data);
		client->dot = next_dot(client->dot, data[i++]);
	}
	return i;
}

static void keep_message(struct client *client, const char *data, size_t length)
{
	if (client->message_length + length > client->message_capacity) {
		client->message_capacity = (client->message_length + length) * 2;
		client->message = realloc(client->message, client->message_capacity);
		if (client->message == NULL)
			die("memory");
	}
	memcpy(client->message + client->message_length, data, length);
	client->message_length += length;
}

static void end_message(struct client *client, struct reply *reply)
{
	client->in_data = false;
	totals.messages++;
	totals.last = seconds_now();
	if (options.delay_ms > 0)
		usleep((useconds_t)options.delay_ms * 1000);
	if (options.root != NULL)
		take_stored(client);
	else
		add(reply, "250 2.0.0 queued\r\n");
}

static size_t take_data(struct client *client, struct reply *reply, const char *data, size_t length)
{
	size_t used = scan_data(client, data, length);

	if (options.root != NULL)
		keep_message(client, data, used);
	totals.octets += used;
	if (client->dot == DOT_DONE)
		end_message(client, reply);
	return used;
}

/* Returns the octets used, 0 when the line is too long. */
static size_t take_line(struct client *client, struct reply *reply, const char *data, size_t length)
{
	const char *newline = memchr(data, '\n', length);
	size_t part = newline != NULL ? (size_t)(newline - data) + 1 : length;

	if (client->line_length + part >= sizeof(client->line))
		return 0;
	memcpy(client->line + client->line_length, data, part);
	client->line_length += part;
	if (newline == NULL)
		return part;
	client->line[client->line_length] = '\0';
	client->line_length = 0;
	take_command(client, reply, client->line);
	return part;
}

static bool start_tls(struct client *client)
{
	client->ssl = SSL_new(tls);
	if (client->ssl == NULL)
		return false;
	SSL_set_fd(client->ssl, client->fd);
	SSL_set_accept_state(client->ssl);
	totals.handshakes++;
	return true;
}

/* False when the connection is over. */
static bool take_input(struct client *client, const char *data, size_t length)
{
	struct reply reply = { .length = 0 };

	while (length > 0) {
		size_t used = client->in_data ? take_data(client, &reply, data, length)
					      : take_line(client, &reply, data, length);

		if (used == 0)
			return false;
		data += used;
		length -= used;
		if (client->has_quit || client->in_handshake)
			break;
		if (reply.length > sizeof(reply.text) / 2) {
			if (!put(client, reply.text, reply.length))
				return false;
			reply.length = 0;
		}
	}
	if (!put(client, reply.text, reply.length) || client->has_quit)
		return false;
	return !client->in_handshake || start_tls(client);
}

/* Octets read, -1 when there are none yet, 0 at the end or after an error. */
static ssize_t read_some(struct client *client, char *buffer, size_t size)
{
	ssize_t length;

	if (client->ssl == NULL) {
		length = recv(client->fd, buffer, size, 0);
		return length >= 0 ? length : errno == EAGAIN ? -1 : 0;
	}
	length = SSL_read(client->ssl, buffer, (int)size);
	if (length > 0)
		return length;
	return SSL_get_error(client->ssl, (int)length) == SSL_ERROR_WANT_READ ? -1 : 0;
}

/* False when the handshake failed. */
static bool step_handshake(struct client *client)
{
	int result = SSL_do_handshake(client->ssl), error;

	if (result == 1) {
		client->in_handshake = false;
		return true;
	}
	error = SSL_get_error(client->ssl, result);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void serve(struct client *client)
{
	static char buffer[128 * 1024];
	ssize_t length;

	if (client->in_handshake && !step_handshake(client)) {
		drop(client);
		return;
	}
	while (!client->in_handshake) {
		length = read_some(client, buffer, sizeof(buffer));
		if (length < 0)
			return;
		if (length == 0 || !take_input(client, buffer, (size_t)length)) {
			drop(client);
			return;
		}
		if (client->ssl == NULL && (size_t)length < sizeof(buffer))
			return;
	}
}

static void accept_all(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct client *client = calloc(1, sizeof(*client));
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };

		if (client == NULL)
			die("memory");
		client->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		totals.connections++;
		if (totals.first == 0)
			totals.first = seconds_now();
		if (++totals.now_open > totals.most_open)
			totals.most_open = totals.now_open;
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
		put_text(client, "220 sink.test ESMTP\r\n");
	}
}

static int listen_on(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct epoll_event event = { .events = EPOLLIN };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("listen");
	return fd;
}

static void parse_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "p:C:K:d:f:m:g:")) != -1) {
		switch (option) {
		case 'p':
			options.port = atoi(optarg);
			break;
		case 'C':
			options.certificate = optarg;
			break;
		case 'K':
			options.key = optarg;
			break;
		case 'd':
			options.delay_ms = atol(optarg);
			break;
		case 'f':
			options.fail_percent = atoi(optarg);
			break;
		case 'm':
			options.root = optarg;
			break;
		case 'g':
			options.group = atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
}

static void open_tls(void)
{
	tls = SSL_CTX_new(TLS_server_method());
	if (tls == NULL || options.key == NULL ||
	    SSL_CTX_use_certificate_chain_file(tls, options.certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(tls, options.key, SSL_FILETYPE_PEM) != 1) {
		ERR_print_errors_fp(stderr);
		exit(1);
	}
	SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
}

static void open_log(void)
{
	char path[PATH_LENGTH];

	snprintf(path, sizeof(path), "%s/floor.log", options.root);
	options.log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (options.log_fd < 0)
		die(path);
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void serve_all(int listener)
{
	struct epoll_event events[EVENTS_MAX];

	while (!wants_end) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		if (wants_report) {
			wants_report = 0;
			report();
		}
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				accept_all(listener);
			else
				serve(events[i].data.ptr);
		}
		commit_pending();
	}
}

int main(int argc, char **argv)
{
	struct rlimit limit = { FILES_MAX, FILES_MAX };

	parse_options(argc, argv);
	setrlimit(RLIMIT_NOFILE, &limit);
	if (options.certificate != NULL)
		open_tls();
	if (options.root != NULL && options.group)
		open_log();
	catch_signals();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	serve_all(listen_on(options.port));
	report();
	return 0;
}

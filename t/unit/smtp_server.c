// SPDX-License-Identifier: BSD-2-Clause
#include "smtp_server.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "config.h"
#include "log/log.h"
#include "smtp/smtp_sasl.h"
#include "sys/socket.h"

#define SERVERS_MAX 64

bool smtp_is_lmtp;
const struct postfix_params *smtp_params;
struct server_stubs server_stubs;

static struct {
	pthread_mutex_t lock;
	const struct server_script *script;
	bool piecemeal;
	struct strbuf heard;
	pthread_t threads[SERVERS_MAX];
	int ends[SERVERS_MAX]; /* so that a test that failed leaves nobody waiting */
	unsigned count, joined;
} play = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- the server ---- */

static bool send_bytes(int fd, const char *data, size_t len)
{
	size_t step = play.piecemeal ? 1 : len;

	for (size_t at = 0; at < len; at += step)
		if (send(fd, data + at, step, MSG_NOSIGNAL) != (ssize_t)step) /* blocks */
			return false;
	return true;
}

/* In one piece: what is sent together is received together. */
static bool send_lines(int fd, const char *text)
{
	struct strbuf lines = STRBUF_INIT(STRBUF_NO_LIMIT);
	bool sent;

	for (; *text; text++)
		if (*text == '\n')
			strbuf_addstr(&lines, "\r\n");
		else
			strbuf_addch(&lines, *text);
	if (slice_ends(strbuf_slice(&lines), "\\"))
		strbuf_truncate(&lines, lines.len - 1);
	else
		strbuf_addstr(&lines, "\r\n");
	sent = send_bytes(fd, lines.ptr, lines.len);
	strbuf_release(&lines);
	return sent;
}

static bool send_for_ever(int fd, const char *text)
{
	while (send_bytes(fd, text, strlen(text)))
		;
	return false;
}

static bool send_slowly(int fd)
{
	while (send_bytes(fd, "250-x\r\n", 7))
		usleep(20000);
	return false;
}

static bool send_long(int fd)
{
	static char text[1 << 19];

	memset(text, 'x', sizeof(text));
	memcpy(text, "250 ", 4);
	return send_bytes(fd, text, sizeof(text)) && send_bytes(fd, "\r\n", 2);
}

static bool reply_with(int fd, const char *reply)
{
	if (strcmp(reply, SERVER_HANG_UP) == 0)
		return false;
	if (strcmp(reply, SERVER_SILENT) == 0)
		return true;
	if (strcmp(reply, SERVER_ENDLESS) == 0)
		return send_for_ever(fd, "250-abcdefghijklmnopqrstuvwxyz\r\n");
	if (strcmp(reply, SERVER_STREAM) == 0)
		return send_for_ever(fd, "250 abcdefghijklmnopqrstuvwxyz");
	if (strcmp(reply, SERVER_SLOW) == 0)
		return send_slowly(fd);
	if (strcmp(reply, SERVER_LONG) == 0)
		return send_long(fd);
	return send_lines(fd, reply);
}

static const char *find_rule(const struct server_script *script, const char *verb)
{
	for (size_t i = 0; i < SERVER_RULES && script->rules[i].verb; i++)
		if (strcmp(script->rules[i].verb, verb) == 0)
			return script->rules[i].reply;
	return NULL;
}

static const char *reply_to(const struct server_script *script, struct slice line, unsigned *hellos)
{
	char verb[20];
	size_t len = 0;
	const char *reply = NULL;

	while (len < line.len && line.ptr[len] != ' ')
		len++;
	snprintf(verb, sizeof(verb), "%.*s", (int)len, line.ptr);
	if (strcmp(verb, "EHLO") == 0 && ++*hellos > 1)
		reply = find_rule(script, "EHLO+");
	if (!reply)
		reply = find_rule(script, verb);
	if (reply)
		return reply;
	if (strcmp(verb, "EHLO") == 0 || strcmp(verb, "LHLO") == 0)
		return "250 srv.test";
	return strcmp(verb, "QUIT") == 0 ? "221 bye" : "250 ok";
}

static void note(struct slice line)
{
	pthread_mutex_lock(&play.lock);
	if (play.heard.len)
		strbuf_addch(&play.heard, '|');
	strbuf_addslice(&play.heard, line);
	pthread_mutex_unlock(&play.lock);
}

static void *serve(void *arg)
{
	int fd = *(int *)arg;
	const struct server_script *script = play.script;
	struct stream *stream = stream_new(dup(fd));
	struct slice line;
	unsigned hellos = 0;
	bool goes_on = reply_with(fd, script->greeting ? script->greeting : "220 srv.test ESMTP");

	free(arg);
	stream_set_deadline(stream, deadline_in(60000));
	while (goes_on && stream_read_line(stream, 65536, &line) == STREAM_READ_LINE) {
		line = slice_trim(line, "\r\n");
		note(line);
		goes_on =
		    reply_with(fd, reply_to(script, line, &hellos)) && !slice_eq_str(line, "QUIT");
	}
	stream_free(stream);
	(void)shutdown(fd, SHUT_RDWR);
	close(fd);
	return NULL;
}

static void join_all(void)
{
	for (; play.joined < play.count; play.joined++) {
		assert_int_equal(pthread_join(play.threads[play.joined], NULL), 0);
		close(play.ends[play.joined]);
	}
}

void server_play(const struct server_script *script, bool piecemeal)
{
	for (unsigned i = play.joined; i < play.count; i++)
		(void)shutdown(play.ends[i], SHUT_RDWR);
	join_all();
	play.script = script;
	play.piecemeal = piecemeal;
	play.count = play.joined = 0;
	strbuf_release(&play.heard);
	strbuf_init(&play.heard, 1 << 20);
}

const char *server_heard(void)
{
	join_all();
	return play.heard.ptr;
}

bool server_has_heard(const char *text)
{
	bool has;

	pthread_mutex_lock(&play.lock);
	has = slice_find_str(strbuf_slice(&play.heard), text) != -1;
	pthread_mutex_unlock(&play.lock);
	return has;
}

unsigned server_connections(void)
{
	return play.count;
}

int server_end(void)
{
	return play.ends[play.count - 1];
}

/* ---- what the client has beside it ---- */

int smtp_target_connect(const struct smtp_target *target, struct smtp_failure *failure)
{
	int pair[2], *fd;
	unsigned number;

	if (server_stubs.refuses) {
		smtp_fail(
		    failure, true, "4.4.1", "connect to %s: Connection refused", target->host);
		return -1;
	}
	assert_int_equal(socket_pair(pair), 0);
	fd = malloc(sizeof(*fd));
	assert_non_null(fd);
	*fd = pair[1];
	pthread_mutex_lock(&play.lock);
	number = play.count++;
	assert_true(number < SERVERS_MAX);
	play.ends[number] = dup(pair[1]);
	assert_int_not_equal(play.ends[number], -1);
	assert_int_equal(pthread_create(&play.threads[number], NULL, serve, fd), 0);
	pthread_mutex_unlock(&play.lock);
	return pair[0];
}

bool smtp_tls_policy(const struct smtp_target *target, struct arena *arena,
    const struct smtp_tls_policy **policy, struct smtp_failure *failure)
{
	struct smtp_tls_policy *copy = ARENA_NEW(arena, struct smtp_tls_policy);

	(void)target;
	if (server_stubs.policy_fails) {
		smtp_fail(failure, false, "4.7.5", "no policy");
		failure->stop = true;
		return false;
	}
	*copy = server_stubs.policy;
	copy->key = arena_strdup(arena, copy->key ? copy->key : "");
	*policy = copy;
	return true;
}

bool smtp_tls_is_available(void)
{
	return true;
}

bool smtp_tls_start(struct smtp_session *session, bool *plain_next, struct smtp_failure *failure)
{
	*plain_next = false;
	if (server_stubs.tls_fails) {
		if (server_stubs.level_next != SMTP_TLS_NONE)
			server_stubs.policy.level = server_stubs.level_next;
		*plain_next = server_stubs.plain_would_do;
		session->broken = true;
		smtp_fail(failure, true, "4.7.5", "Cannot start TLS: handshake failure");
		return false;
	}
	session->has_tls = true;
	return true;
}

bool smtp_sasl_key(const struct smtp_target *target, const char *sender, struct arena *arena,
    const char **key, struct smtp_failure *failure)
{
	(void)target, (void)sender, (void)failure;
	*key = arena_strdup(arena, server_stubs.login_key ? server_stubs.login_key : "");
	return true;
}

bool smtp_sasl_login(struct smtp_session *session, const char *sender, struct smtp_failure *failure)
{
	(void)sender;
	if (server_stubs.login_fails) {
		smtp_fail(failure, true, "4.7.8", "no login");
		return false;
	}
	session->logged_in = session->login_key[0] != '\0';
	return true;
}

/* ---- the log ---- */

static int log_fd = -1;

void server_log_open(void)
{
	static const struct log_config config = {
		.style = LOG_STYLE_POSTFIX, .name = "postfix/smtp", .hostname = "h"
	};
	struct log_config with_file = config;

	log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_not_equal(log_fd, -1);
	assert_int_not_equal(fcntl(log_fd, F_SETFL, O_APPEND), -1);
	with_file.fd = log_fd;
	log_open(&with_file);
}

const char *server_log(void)
{
	static struct strbuf text;
	static char data[1 << 16];
	ssize_t len = pread(log_fd, data, sizeof(data), 0);
	struct slice rest = slice_mem(data, len > 0 ? (size_t)len : 0), line;

	strbuf_release(&text);
	strbuf_init(&text, sizeof(data));
	while (slice_token(&rest, "\n", &line)) {
		ptrdiff_t at = slice_find_str(line, "]: ");

		assert_true(at > 0);
		strbuf_addslice(&text, slice_from(line, (size_t)at + 3));
		strbuf_addch(&text, '\n');
	}
	assert_int_equal(ftruncate(log_fd, 0), 0);
	return text.ptr;
}

/* ---- the client's side ---- */

static struct config config;

static const char *const attributes[] = { "log_client_name", "client.example", "log_client_address",
	"2001:db8::7", "log_client_port", "1234", "log_protocol_name", "ESMTP", "log_helo_name",
	"he=lo", NULL };

struct delivery_request client_request = { .id = "4ABCDEF12",
	.sender = "s@example.test",
	.nexthop = "example.net",
	.rewrite_context = "local",
	.attributes = (const char **)attributes };
const struct delivery client_delivery = { .request = &client_request, .fd = -1 };

struct smtp_target client_target(const char *address, unsigned port)
{
	struct smtp_target target = { .destination = "example.net",
		.nexthop = "example.net",
		.host = "mx.example",
		.port = port,
		.canonical = "" };

	assert_true(net_addr_parse(slice_of(address), port, &target.addr));
	return target;
}

struct postfix_params *client_setup(const char *text)
{
	server_log_open();
	config_open(&config, text);
	smtp_params = config.params;
	client_reset();
	smtp_session_prepare(config.params);
	smtp_reuse_prepare(config.params);
	return config.params;
}

void client_reset(void)
{
	struct postfix_params *params = config.params;

	params->smtp_skip_5xx_greeting = true;
	params->smtp_never_send_ehlo = false;
	params->smtp_always_send_ehlo = true;
	params->smtp_discard_ehlo_keywords = "";
	params->smtp_tls_note_starttls_offer = false;
	params->smtp_helo_timeout = params->lmtp_lhlo_timeout = 30;
	smtp_is_lmtp = false;
	server_stubs = (struct server_stubs){ .policy = { .level = SMTP_TLS_NONE, .key = "none" } };
	client_request.arrival_us = client_request.ready_us = clock_wall_us();
}

int client_teardown(void **state)
{
	(void)state;
	smtp_reuse_drain();
	(void)server_heard();
	config_close(&config);
	return 0;
}

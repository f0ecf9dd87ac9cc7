// SPDX-License-Identifier: BSD-2-Clause
/*
 * An exchange with authd, and the hand-over to the mailbox half.  The request stays alive until the
 * mailbox half has answered, since authd forgets the login with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/digest.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "pop3d/login.h"
#include "pop3d/pop3_wire.h"

#define CONNECT_MS 10000

static bool mechanisms(struct auth_mechanism list[AUTH_MECHANISMS_MAX], size_t *count)
{
	struct reason why;

	*count = 0;
	if (auth_client_mechanisms(login_process.auth, deadline_in(CONNECT_MS), list, count, &why))
		return true;
	log_error("auth: %s", why.text);
	return false;
}

static bool may_offer(const struct login *l, const struct auth_mechanism *m)
{
	const struct dovecot_settings *set = login_process.settings;

	return login_is_secure(l) || (set->ssl[0] != 'r' && (!(m->flags & AUTH_MECH_PLAINTEXT) ||
								!set->disable_plaintext_auth));
}

void login_list_mechanisms(struct login *l, const char *separator, const char *end)
{
	struct auth_mechanism list[AUTH_MECHANISMS_MAX];
	size_t count;

	(void)mechanisms(list, &count);
	for (size_t i = 0; i < count; i++)
		if (may_offer(l, &list[i]))
			stream_printf(l->session.stream, "%s%s%s", separator, list[i].name, end);
}

enum known { KNOWN_NO, KNOWN_YES, KNOWN_TEMPORARY };

static enum known find_mechanism(const char *name, struct auth_mechanism *found)
{
	struct auth_mechanism list[AUTH_MECHANISMS_MAX];
	size_t count;

	if (!mechanisms(list, &count))
		return KNOWN_TEMPORARY;
	for (size_t i = 0; i < count; i++)
		if (slice_caseeq_str(slice_of(list[i].name), name)) {
			*found = list[i];
			return KNOWN_YES;
		}
	return KNOWN_NO;
}

bool login_has_mechanism(struct login *l, const char *name)
{
	struct auth_mechanism m;

	(void)l;
	return find_mechanism(name, &m) == KNOWN_YES;
}

/* ---- the hand-over ---- */

static void write_login(
    struct msg_out *m, const struct login *l, const struct auth_request *r, struct slice input)
{
	char address[NET_ADDR_TEXT];

	msg_begin(m, POP3_LOGIN);
	msg_add_u64(m, POP3_CLIENT_PID, auth_request_client_pid(r));
	msg_add_u64(m, POP3_AUTH_ID, auth_request_id(r));
	msg_add_str(m, POP3_COOKIE, auth_request_cookie(r));
	msg_add_str(m, POP3_SESSION, l->session_id);
	msg_add_str(m, POP3_RIP, net_addr_text(&l->session.peer, address));
	msg_add_str(m, POP3_LIP, net_addr_text(&l->session.local, address));
	if (input.len > 0)
		msg_add(m, POP3_INPUT, input);
}

/* The pid of the process that has the mailbox now, or 0. */
static uint64_t ask_mailbox_half(
    struct login *l, const struct auth_request *r, int fd, struct slice input)
{
	struct channel *ch =
	    channel_connect(POP3_SOCKET_IN_JAIL, "pop3-login", deadline_in(CONNECT_MS));
	struct msg_out m = { { 0 } };
	struct msg_in in;
	const char *text = "no answer";
	uint64_t pid = 0;

	if (ch == NULL) {
		log_error("connect(" POP3_SOCKET "): %m");
		return 0;
	}
	write_login(&m, l, r, input);
	if (channel_send(ch, &m, &fd, 1, deadline_in(CONNECT_MS)) < 0 ||
	    channel_recv(ch, &in, deadline_in(POP3_OPEN_MS)) != CHANNEL_RECORD) {
		log_error(POP3_SOCKET ": the mailbox process gave no answer");
	} else {
		if (!msg_is(&in.msg, POP3_LOGGED_IN) || !msg_get_u64(&in.msg, POP3_PID, &pid)) {
			(void)msg_get_str(&in.msg, POP3_TEXT, &in.arena, &text);
			log_error("login refused by the mailbox process: %s", text);
			pid = 0;
		}
		msg_in_release(&in);
	}
	msg_release(&m);
	channel_free(ch);
	return pid;
}

static bool internal_failure(struct login *l)
{
	login_reply(l, false,
	    "[SYS/TEMP] Internal login failure. Refer to server log for more information.");
	l->end = "Internal login failure";
	return false;
}

static void log_login(struct login *l, uint64_t pid)
{
	char extra[48];

	(void)snprintf(extra, sizeof(extra), ", mpid=%llu", (unsigned long long)pid);
	login_log(l, "Login", extra);
	l->logged_in = true;
}

/* Always the end of commands: false. */
static bool hand_over(struct login *l, const struct auth_request *r)
{
	struct stream *s = l->session.stream;
	bool tls = stream_tls(s) != NULL;
	int pair[2];
	uint64_t pid;

	if (!stream_flush(s))
		return false;
	if (!tls) {
		pid = ask_mailbox_half(l, r, stream_fd(s), stream_peek(s));
		if (pid == 0)
			return internal_failure(l);
		log_login(l, pid);
		stream_free(session_take_stream(&l->session));
		return false;
	}
	if (socket_pair(pair) < 0)
		return internal_failure(l);
	pid = ask_mailbox_half(l, r, pair[1], SLICE_NULL);
	close(pair[1]);
	if (pid == 0) {
		close(pair[0]);
		return internal_failure(l);
	}
	log_login(l, pid);
	l->state = LOGIN_PROXY;
	login_proxy_begin(l, pair[0]);
	return false;
}

/* ---- the exchange ---- */

static void note_attempt(struct login *l, const char *mechanism)
{
	if (l->attempts++ == 0)
		l->first_attempt = clock_ms();
	(void)snprintf(l->mechanism, sizeof(l->mechanism), "%s", mechanism);
}

static void note_user(struct login *l, const struct auth_request *r)
{
	if (auth_request_user(r)[0] == '\0')
		return;
	free(l->tried_user);
	l->tried_user = xstrdup(auth_request_user(r));
}

/* One step: what authd wants to know next.  False: the connection is over. */
static bool next_response(
    struct login *l, struct auth_request *r, enum auth_status *status, bool *aborted)
{
	struct slice line;

	stream_printf(l->session.stream, "+ %.*s\r\n", SLICE_ARG(auth_request_challenge(r)));
	l->in_exchange = true;
	if (!login_read_line(l, &line))
		return false;
	l->in_exchange = false;
	line = slice_trim(line, "\r\n");
	*aborted = slice_eq_str(line, "*");
	if (!*aborted)
		*status = auth_request_continue(r, line, deadline_in(LOGIN_AUTH_MS));
	return true;
}

static void say_failure(struct login *l, struct auth_request *r, enum auth_status status)
{
	const char *code = auth_request_code(r), *reason = auth_request_reason(r);
	char text[400];

	if (status == AUTH_TEMPORARY) {
		log_error("auth: %s", reason);
		login_reply(l, false, "[SYS/TEMP] Temporary authentication failure.");
	} else if (strcmp(code, "temp_fail") == 0) {
		login_reply(l, false, "[SYS/TEMP] Temporary authentication failure.");
	} else {
		(void)snprintf(text, sizeof(text), "[AUTH] %s",
		    reason[0] != '\0' ? reason : "Authentication failed.");
		login_reply(l, false, text);
	}
}

static bool exchange(struct login *l, const struct auth_params *params)
{
	enum auth_status status;
	struct auth_request *r =
	    auth_request_start(login_process.auth, params, deadline_in(LOGIN_AUTH_MS), &status);
	bool aborted = false, go_on = true;

	while (go_on && status == AUTH_CONTINUE && !aborted)
		go_on = next_response(l, r, &status, &aborted);
	if (go_on) {
		note_user(l, r);
		if (aborted)
			login_reply(l, false, "Authentication aborted by client.");
		else if (status == AUTH_OK)
			go_on = hand_over(l, r);
		else
			say_failure(l, r, status);
	}
	auth_request_free(r);
	return go_on;
}

bool login_authenticate(struct login *l, struct slice mechanism, struct slice initial)
{
	char rip[NET_ADDR_TEXT], lip[NET_ADDR_TEXT], name[32];
	struct auth_mechanism m;
	struct auth_params params = { .service = "pop3",
		.session = l->session_id,
		.local_ip = net_addr_text(&l->session.local, lip),
		.remote_ip = net_addr_text(&l->session.peer, rip),
		.local_port = net_addr_port(&l->session.local),
		.remote_port = net_addr_port(&l->session.peer),
		.secured = login_is_secure(l),
		.initial = initial };
	enum known known;

	(void)snprintf(name, sizeof(name), "%.*s", SLICE_ARG(mechanism));
	known = mechanism.len < sizeof(name) ? find_mechanism(name, &m) : KNOWN_NO;
	if (known != KNOWN_YES) {
		note_attempt(l, "");
		login_reply(l, false,
		    known == KNOWN_NO ? "[AUTH] Unsupported authentication mechanism."
				      : "[SYS/TEMP] Temporary authentication failure.");
		return true;
	}
	if (!may_offer(l, &m)) {
		l->refused_plaintext = true;
		(void)snprintf(l->mechanism, sizeof(l->mechanism), "%s", m.name);
		login_log(l, "Login failed: Plaintext authentication disabled", "");
		login_reply(l, false,
		    "[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) "
		    "connections.");
		return true;
	}
	note_attempt(l, m.name);
	params.mechanism = m.name;
	return exchange(l, &params);
}

bool login_password(struct login *l, struct slice password)
{
	struct strbuf plain = STRBUF_INIT(2 * LOGIN_LINE_MAX),
		      text = STRBUF_INIT(4 * LOGIN_LINE_MAX);
	bool go_on;

	strbuf_addch(&plain, '\0');
	strbuf_addstr(&plain, l->user);
	strbuf_addch(&plain, '\0');
	strbuf_addslice(&plain, password);
	base64_encode(&text, strbuf_slice(&plain));
	free(l->tried_user);
	l->tried_user = xstrdup(l->user);
	go_on = login_authenticate(l, SLICE_LIT("PLAIN"), strbuf_slice(&text));
	secret_clear(plain.ptr, plain.len);
	secret_clear(text.ptr, text.len);
	strbuf_release(&plain);
	strbuf_release(&text);
	free(l->user);
	l->user = NULL;
	return go_on;
}

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
	const struct dovecot_settings *set = l->config->set;

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

bool login_has_mechanism(const char *name)
{
	struct auth_mechanism m;

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
	msg_add_str(m, POP3_USER, auth_request_user(r));
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
	uint64_t pid = 0, limit;

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
			if (!msg_get_u64(&in.msg, POP3_LIMIT, &limit) || limit == 0)
				log_error("login refused by the mailbox process: %s", text);
			else
				(void)snprintf(l->end_text, sizeof(l->end_text), "%s", text);
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
	char text[200];

	if (l->end_text[0] != '\0') {
		(void)snprintf(text, sizeof(text), "[IN-USE] %s", l->end_text);
		login_reply(l, false, text);
		l->end = l->end_text;
		l->end_is_all = true;
		return false;
	}
	login_reply(l, false,
	    "[SYS/TEMP] Internal login failure. Refer to server log for more information.");
	l->end = "Internal login failure";
	return false;
}

static void log_login(struct login *l, uint64_t pid)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)pid);
	login_log(l, "Login", text);
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

void login_note_attempt(struct login *l, const char *mechanism, enum login_failure failure)
{
	if (l->attempts++ == 0)
		l->first_attempt = clock_ms();
	l->failure = failure;
	l->aborted = false;
	(void)snprintf(l->mechanism, sizeof(l->mechanism), "%s", mechanism);
	for (char *c = l->mechanism; *c != '\0'; c++)
		*c = ascii_upper(*c);
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

static const struct {
	const char *code;
	enum login_failure failure;
	const char *text;
} failures[] = {
	{ "temp_fail", LOGIN_TEMPORARY, NULL },
	{ "authz_fail", LOGIN_NOT_AUTHORIZED, "Authorization failed" },
	{ "user_disabled", LOGIN_USER_DISABLED, "Account is disabled" },
	{ "pass_expired", LOGIN_PASSWORD_EXPIRED, "Password expired" },
	{ "invalid_base64", LOGIN_INVALID_BASE64, NULL },
	{ "login_disabled", LOGIN_DISABLED, "Login disabled for this user" },
};

static bool temporary_failure(struct login *l)
{
	char when[32], text[400];
	time_t now = time(NULL);
	struct tm tm;

	(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
	(void)snprintf(text, sizeof(text), "[SYS/TEMP] Temporary authentication failure. [%s:%s]",
	    login_process.hostname, when);
	l->failure = LOGIN_TEMPORARY;
	login_reply(l, false, text);
	return true;
}

/* What modules and databases say goes out as one line. */
static bool say_failure(struct login *l, const char *code, const char *reason)
{
	const char *words = "Authentication failed.";
	char text[400];

	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		if (strcmp(failures[i].code, code) == 0) {
			l->failure = failures[i].failure;
			words = failures[i].text != NULL ? failures[i].text : words;
		}
	if (l->failure == LOGIN_TEMPORARY)
		return temporary_failure(l);
	(void)snprintf(text, sizeof(text), "[AUTH] %s", reason[0] != '\0' ? reason : words);
	for (char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	login_reply(l, false, text);
	return true;
}

/* The password is right, and yet there is no mailbox here for who has it. */
static bool is_turned_away(struct login *l, const struct auth_request *r)
{
	struct slice value, reason = SLICE_NULL;
	char text[300] = "";

	if (auth_request_field(r, "proxy", &value)) {
		log_error("user %s is to be proxied, which is not supported", auth_request_user(r));
		(void)temporary_failure(l);
		return true;
	}
	if (!auth_request_field(r, "nologin", &value))
		return false;
	(void)auth_request_field(r, "reason", &reason);
	(void)snprintf(text, sizeof(text), "%.*s", SLICE_ARG(reason));
	(void)say_failure(l, "login_disabled", text);
	return true;
}

static bool say_result(
    struct login *l, struct auth_request *r, enum auth_status status, bool continued)
{
	if (status == AUTH_OK)
		return is_turned_away(l, r) || hand_over(l, r);
	if (status == AUTH_TEMPORARY && auth_request_code(r)[0] == '\0') {
		log_error("auth: %s", auth_request_reason(r));
		return temporary_failure(l);
	}
	if (continued && strcmp(auth_request_code(r), "invalid_base64") == 0) {
		l->aborted = true; /* for the log, as with the peer */
		return say_failure(l, auth_request_code(r), "Invalid base64 in response");
	}
	return say_failure(l, auth_request_code(r), auth_request_reason(r));
}

static bool exchange(struct login *l, const struct auth_params *params)
{
	enum auth_status status;
	struct auth_request *r =
	    auth_request_start(login_process.auth, params, deadline_in(LOGIN_AUTH_MS), &status);
	bool aborted = false, go_on = true, continued = status == AUTH_CONTINUE;

	while (go_on && status == AUTH_CONTINUE && !aborted)
		go_on = next_response(l, r, &status, &aborted);
	if (go_on) {
		note_user(l, r);
		l->aborted = aborted;
		if (aborted)
			login_reply(l, false, "Authentication aborted by client.");
		else
			go_on = say_result(l, r, status, continued);
	}
	auth_request_free(r);
	return go_on;
}

/* Makes the request and sees it through. */
static bool run_request(
    struct login *l, const char *mechanism, struct slice initial, uint32_t connection)
{
	char rip[NET_ADDR_TEXT], lip[NET_ADDR_TEXT], real_rip[NET_ADDR_TEXT],
	    real_lip[NET_ADDR_TEXT];
	bool proxied = !net_addr_equal(&l->session.peer, &l->real_peer) ||
		       !net_addr_equal(&l->session.local, &l->real_local);
	const struct auth_params params = { .service = "pop3",
		.mechanism = mechanism,
		.session = l->session_id,
		.local_ip = net_addr_text(&l->session.local, lip),
		.remote_ip = net_addr_text(&l->session.peer, rip),
		.local_name = l->local_name,
		.local_port = net_addr_port(&l->session.local),
		.remote_port = net_addr_port(&l->session.peer),
		.real_local_ip = proxied ? net_addr_text(&l->real_local, real_lip) : NULL,
		.real_remote_ip = proxied ? net_addr_text(&l->real_peer, real_rip) : NULL,
		.real_local_port = proxied ? net_addr_port(&l->real_local) : 0,
		.real_remote_port = proxied ? net_addr_port(&l->real_peer) : 0,
		.secured = login_is_secure(l),
		.valid_client_cert = l->client_cert == TLS_CLIENT_TRUSTED,
		.cert_username = l->cert_user,
		.no_penalty = l->trusted,
		.connection = connection,
		/* RFC 5034 4: "=" is a response of no bytes. */
		.initial = slice_eq_str(initial, "=") ? SLICE_LIT("") : initial };

	return exchange(l, &params);
}

static bool refuse_insecure(struct login *l, const struct auth_mechanism *m)
{
	bool tls_wanted = l->config->set->ssl[0] == 'r';

	login_note_attempt(l, m->name, tls_wanted ? LOGIN_REFUSED : LOGIN_NO_PLAINTEXT);
	login_reply(l, false,
	    tls_wanted ? "[AUTH] Authentication not allowed until SSL/TLS is enabled."
		       : "[AUTH] Plaintext authentication disabled.");
	return true;
}

bool login_authenticate(struct login *l, struct slice mechanism, struct slice initial)
{
	struct auth_mechanism m;
	enum known known;
	char name[32];

	(void)snprintf(name, sizeof(name), "%.*s", SLICE_ARG(mechanism));
	known = mechanism.len < sizeof(name) ? find_mechanism(name, &m) : KNOWN_NO;
	if (known == KNOWN_TEMPORARY) {
		login_note_attempt(l, name, LOGIN_TEMPORARY);
		return temporary_failure(l);
	}
	if (known == KNOWN_NO) {
		login_note_attempt(l, name, LOGIN_NO_MECHANISM);
		login_reply(l, false, "[AUTH] Unsupported authentication mechanism.");
		return true;
	}
	if (!may_offer(l, &m))
		return refuse_insecure(l, &m);
	login_note_attempt(l, m.name, LOGIN_REFUSED);
	return run_request(l, m.name, initial, 0);
}

/* ---- APOP ---- */

/* RFC 1939 7, in the form that the auth server takes apart. */
void login_make_challenge(struct login *l)
{
	unsigned char bytes[16];
	struct strbuf text = STRBUF_INIT(64);
	uint32_t server = 0;

	l->challenge[0] = '\0';
	if (!auth_client_apop(
		login_process.auth, deadline_in(CONNECT_MS), &server, &l->challenge_connection))
		return;
	random_bytes(bytes, sizeof(bytes));
	base64_encode(&text, slice_mem(bytes, sizeof(bytes)));
	(void)snprintf(l->challenge, sizeof(l->challenge), "<%x.%x.%llx.%s@%s>", server,
	    l->challenge_connection, (unsigned long long)(clock_wall_us() / 1000000), text.ptr,
	    login_process.hostname);
	strbuf_release(&text);
}

bool login_apop(struct login *l, struct slice args)
{
	static const struct auth_mechanism apop; /* without a name in the log, as the peer's */
	ptrdiff_t blank = slice_find(args, ' ');
	struct slice user = blank < 0 ? args : slice_first(args, (size_t)blank);
	struct slice digest = blank < 0 ? SLICE_NULL : slice_from(args, (size_t)blank + 1);
	struct strbuf plain = STRBUF_INIT(2 * LOGIN_LINE_MAX),
		      text = STRBUF_INIT(4 * LOGIN_LINE_MAX);
	bool go_on = true;

	if (l->challenge[0] == '\0') {
		login_reply(l, false, "APOP not enabled.");
		return true;
	}
	strbuf_addf(&plain, "%s%c%.*s%c", l->challenge, '\0', SLICE_ARG(user), '\0');
	if (user.len == 0 || digest.len != 32) {
		login_reply(l, false, "Invalid parameters.");
	} else if (!hex_decode(&plain, digest)) {
		login_reply(l, false, "Invalid characters in MD5 response.");
	} else if (!may_offer(l, &apop)) {
		go_on = refuse_insecure(l, &apop);
	} else {
		free(l->tried_user);
		l->tried_user = xstrndup(user.ptr, user.len);
		login_note_attempt(l, "APOP", LOGIN_REFUSED);
		base64_encode(&text, strbuf_slice(&plain));
		go_on = run_request(l, "APOP", strbuf_slice(&text), l->challenge_connection);
	}
	strbuf_release(&plain);
	strbuf_release(&text);
	return go_on;
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
	go_on = login_authenticate(l, SLICE_LIT("PLAIN"), strbuf_slice(&text));
	secret_release(&plain);
	secret_release(&text);
	free(l->user);
	l->user = NULL;
	return go_on;
}

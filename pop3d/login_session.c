// SPDX-License-Identifier: BSD-2-Clause
/* The protocol before login: one table of commands, and the loop that reads them. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "pop3d/login.h"
#include "pop3d/pop3_args.h"

/* False: the connection is over, or no longer a matter of commands. */
typedef bool handler(struct login *l, struct slice args);
static handler cmd_auth, cmd_capa, cmd_pass, cmd_quit, cmd_stls, cmd_user;

static const struct command {
	const char *verb;
	handler *run;
	bool long_line; /* a line may be LOGIN_LINE_MAX long, not POP3_LOGIN_LINE_MAX */
	const char *rfc;
} commands[] = {
	{ "AUTH", cmd_auth, true, "RFC 5034 4" },
	{ "CAPA", cmd_capa, false, "RFC 2449 5" },
	{ "PASS", cmd_pass, false, "RFC 1939 7" },
	{ "QUIT", cmd_quit, false, "RFC 1939 4" },
	{ "STLS", cmd_stls, false, "RFC 2595 4" },
	{ "USER", cmd_user, false, "RFC 1939 7" },
};

bool login_is_secure(const struct login *l)
{
	return l->same_host || stream_tls(l->session.stream) != NULL;
}

void login_reply(struct login *l, bool ok, const char *text)
{
	stream_printf(
	    l->session.stream, "%s%s%s\r\n", ok ? "+OK" : "-ERR", text[0] != '\0' ? " " : "", text);
}

/* ---- log lines ---- */

static const char *security(const struct login *l)
{
	if (l->state == LOGIN_HANDSHAKE)
		return ", TLS handshaking";
	if (l->session.stream != NULL && stream_tls(l->session.stream) != NULL)
		return ", TLS";
	return l->same_host ? ", secured" : "";
}

void login_log(const struct login *l, const char *what, const char *extra)
{
	char rip[NET_ADDR_TEXT], lip[NET_ADDR_TEXT];

	log_info("%s: user=<%s>%s%s, rip=%s, lip=%s%s%s%s%s, session=<%s>", what,
	    l->tried_user != NULL ? l->tried_user : "", l->mechanism[0] != '\0' ? ", method=" : "",
	    l->mechanism, net_addr_text(&l->session.peer, rip),
	    net_addr_text(&l->session.local, lip), extra, security(l),
	    l->tls_error[0] != '\0' ? ": " : "", l->tls_error, l->session_id);
}

/* The words that fail2ban's filter knows. */
static void log_end(const struct login *l)
{
	const char *end = l->end != NULL ? l->end : "Connection closed";
	int64_t now = clock_ms(), since;
	char what[256], detail[128];

	since = (now - (l->attempts > 0 ? l->first_attempt : l->session.started)) / 1000;
	if (l->in_exchange)
		(void)snprintf(detail, sizeof(detail),
		    "client didn't finish SASL auth, waited %lld secs", (long long)since);
	else if (l->refused_plaintext && l->attempts == 0)
		(void)snprintf(detail, sizeof(detail), "tried to use disallowed plaintext auth");
	else if (l->attempts > 0)
		(void)snprintf(detail, sizeof(detail), "auth failed, %u attempts in %lld secs",
		    l->attempts, (long long)since);
	else
		(void)snprintf(
		    detail, sizeof(detail), "no auth attempts in %lld secs", (long long)since);
	(void)snprintf(what, sizeof(what), "Disconnected: %s (%s)", end, detail);
	login_log(l, what, "");
}

/* Time, port and address of the client: 6 + 2 + 4 or 16 bytes, base64 without padding. */
static void make_session_id(struct login *l)
{
	struct strbuf raw = STRBUF_INIT(64), text = STRBUF_INIT(64);
	uint64_t now = (uint64_t)clock_wall_us();
	unsigned port = net_addr_port(&l->session.peer);
	const struct sockaddr_storage *ss = &l->session.peer.ss;

	for (int i = 0; i < 6; i++)
		strbuf_addch(&raw, (char)(now >> (8 * i)));
	strbuf_addch(&raw, (char)port);
	strbuf_addch(&raw, (char)(port >> 8));
	if (ss->ss_family == AF_INET)
		strbuf_add(&raw, &((const struct sockaddr_in *)(const void *)ss)->sin_addr, 4);
	else if (ss->ss_family == AF_INET6)
		strbuf_add(&raw, &((const struct sockaddr_in6 *)(const void *)ss)->sin6_addr, 16);
	base64_encode(&text, strbuf_slice(&raw));
	while (text.len > 0 && text.ptr[text.len - 1] == '=')
		strbuf_truncate(&text, text.len - 1);
	(void)snprintf(l->session_id, sizeof(l->session_id), "%s", text.ptr);
	strbuf_release(&raw);
	strbuf_release(&text);
}

/*
 * Blocks this thread: a session that is parked for input would find the client's first record read
 * as plain text.
 */
static bool handshake(struct login *l)
{
	struct stream *s = l->session.stream;

	stream_set_deadline(s, deadline_in(LOGIN_IDLE_MS));
	if (tls_accept(s, login_process.tls)) {
		l->state = LOGIN_COMMANDS;
		return true;
	}
	(void)snprintf(l->tls_error, sizeof(l->tls_error), "%s%s",
	    stream_error(s) == STREAM_TLS ? "SSL_accept() failed: " : "",
	    stream_error(s) == STREAM_EOF ? "Connection closed" : stream_error_text(s));
	if (stream_error(s) != STREAM_EOF)
		(void)snprintf(
		    l->tls_end, sizeof(l->tls_end), "Connection closed: %s", l->tls_error);
	l->end = l->tls_end[0] != '\0' ? l->tls_end : NULL;
	return false;
}

/* ---- commands ---- */

static bool cmd_auth(struct login *l, struct slice args)
{
	ptrdiff_t blank = slice_find(args, ' ');

	if (args.len == 0) {
		login_reply(l, true, "");
		login_list_mechanisms(l, "", "\r\n");
		stream_puts(l->session.stream, ".\r\n");
		return true;
	}
	if (blank < 0)
		return login_authenticate(l, args, SLICE_NULL);
	return login_authenticate(
	    l, slice_first(args, (size_t)blank), slice_from(args, (size_t)blank + 1));
}

static bool may_use_plaintext(const struct login *l)
{
	return login_is_secure(l) || (!login_process.settings->disable_plaintext_auth &&
					 login_process.settings->ssl[0] != 'r');
}

static bool cmd_capa(struct login *l, struct slice args)
{
	struct stream *s = l->session.stream;

	(void)args;
	stream_puts(s, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\n"
		       "AUTH-RESP-CODE\r\n");
	if (login_process.tls != NULL && stream_tls(s) == NULL)
		stream_puts(s, "STLS\r\n");
	if (may_use_plaintext(l) && login_has_mechanism(l, "PLAIN"))
		stream_puts(s, "USER\r\n");
	stream_puts(s, "SASL");
	login_list_mechanisms(l, " ", "");
	stream_puts(s, "\r\n.\r\n");
	return true;
}

static bool cmd_user(struct login *l, struct slice args)
{
	if (!may_use_plaintext(l)) {
		l->refused_plaintext = true;
		(void)snprintf(l->mechanism, sizeof(l->mechanism), "PLAIN");
		login_log(l, "Login failed: Plaintext authentication disabled", "");
		login_reply(l, false,
		    "[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) "
		    "connections.");
		return true;
	}
	free(l->user);
	l->user = xstrndup(args.ptr != NULL ? args.ptr : "", args.len);
	login_reply(l, true, "");
	return true;
}

static bool cmd_pass(struct login *l, struct slice args)
{
	if (l->user == NULL) {
		login_reply(l, false, "No username given.");
		return true;
	}
	return login_password(l, args);
}

/* RFC 2595 4: what the client sent before TLS counts for nothing, neither bytes nor a USER. */
static bool cmd_stls(struct login *l, struct slice args)
{
	struct stream *s = l->session.stream;

	(void)args;
	if (stream_tls(s) != NULL || login_process.tls == NULL) {
		login_reply(l, false,
		    stream_tls(s) != NULL ? "TLS is already active."
					  : "TLS support isn't enabled.");
		return true;
	}
	login_reply(l, true, "Begin TLS negotiation now.");
	if (!stream_flush(s))
		return false;
	stream_discard_input(s);
	free(l->user);
	l->user = NULL;
	l->state = LOGIN_HANDSHAKE;
	return handshake(l);
}

static bool cmd_quit(struct login *l, struct slice args)
{
	(void)args;
	login_reply(l, true, "Logging out");
	l->end = "Aborted login by logging out";
	return false;
}

static const struct command *find_command(struct slice verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (slice_caseeq_str(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

static bool bad_command(struct login *l)
{
	login_reply(l, false, "Unknown command.");
	if (++l->bad_commands < LOGIN_MAX_BAD)
		return true;
	login_reply(l, false, "Too many invalid bad commands.");
	l->end = "Too many bad commands";
	return false;
}

/* ---- the loop ---- */

bool login_read_line(struct login *l, struct slice *line)
{
	struct stream *s = l->session.stream;

	stream_set_deadline(s, deadline_in(LOGIN_IDLE_MS));
	switch (stream_read_line(s, LOGIN_LINE_MAX, line)) {
	case STREAM_READ_LINE:
		return true;
	case STREAM_READ_PARTIAL:
		login_reply(l, false, "Input buffer full, aborting");
		l->end = "Input buffer full";
		return false;
	case STREAM_READ_FAILED:
		break;
	}
	if (stream_error(s) == STREAM_TIMEOUT) {
		l->end = "Inactivity";
		if (stream_after_timeout(s, deadline_in(1000)))
			login_reply(l, false, "Disconnected for inactivity.");
	}
	return false;
}

static bool serve_line(struct login *l)
{
	struct slice line, verb, args;
	const struct command *command;

	if (!login_read_line(l, &line))
		return false;
	pop3_split(line, &verb, &args);
	command = find_command(verb);
	if (command == NULL || (line.len > POP3_LOGIN_LINE_MAX && !command->long_line) ||
	    slice_has_nul(line))
		return bad_command(l);
	return command->run(l, args);
}

static enum session_next finish(struct login *l)
{
	if (l->session.stream != NULL)
		stream_finish(l->session.stream);
	return SESSION_CLOSE;
}

static enum session_next serve_commands(struct login *l)
{
	do {
		if (!serve_line(l))
			return l->state == LOGIN_PROXY ? login_proxy_serve(l) : finish(l);
	} while (stream_has_input(l->session.stream));
	if (!stream_flush(l->session.stream))
		return SESSION_CLOSE;
	l->session.deadline = deadline_in(LOGIN_IDLE_MS);
	return SESSION_INPUT;
}

static enum session_next opened(struct login *l)
{
	make_session_id(l);
	l->same_host = net_addr_equal(&l->session.peer, &l->session.local);
	l->state = LOGIN_COMMANDS;
	if (l->session.listener->ssl) {
		l->state = LOGIN_HANDSHAKE;
		if (login_process.tls == NULL || !handshake(l))
			return SESSION_CLOSE;
	}
	stream_set_deadline(l->session.stream, deadline_in(LOGIN_IDLE_MS));
	login_reply(l, true, login_process.settings->login_greeting);
	l->session.deadline = deadline_in(LOGIN_IDLE_MS);
	return SESSION_INPUT;
}

static enum session_next say_goodbye(struct login *l, const char *end, const char *text)
{
	l->end = end;
	stream_set_deadline(l->session.stream, deadline_in(1000));
	login_reply(l, false, text);
	return finish(l);
}

static enum session_next serve(struct session *session, enum session_wake why)
{
	struct login *l = (struct login *)session;

	if (why == SESSION_OPENED)
		return opened(l);
	if (l->state == LOGIN_PROXY)
		return why == SESSION_EXPIRED ? SESSION_CLOSE : login_proxy_serve(l);
	if (why == SESSION_EXPIRED)
		return say_goodbye(l, "Inactivity", "Disconnected for inactivity.");
	if (why == SESSION_DRAINING)
		return say_goodbye(l, "Shutting down", "Shutting down");
	return serve_commands(l);
}

static void close_session(struct session *session)
{
	struct login *l = (struct login *)session;

	if (!l->logged_in)
		log_end(l);
	login_proxy_end(l);
	free(l->user);
	free(l->tried_user);
}

const struct session_class login_session_class = {
	.name = "pop3-login", .size = sizeof(struct login), .serve = serve, .close = close_session
};

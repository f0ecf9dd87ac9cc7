// SPDX-License-Identifier: BSD-2-Clause
/* The protocol before login: one table of commands, and the loop that reads them. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log.h"
#include "pop3d/login.h"
#include "pop3d/pop3_args.h"

/* False: the connection is over, or no longer a matter of commands. */
typedef bool handler(struct login *l, struct slice args);
static handler cmd_apop, cmd_auth, cmd_capa, cmd_pass, cmd_quit, cmd_stls, cmd_user, cmd_xclient;

static const struct command {
	const char *verb;
	handler *run;
	bool long_line; /* a line may be LOGIN_LINE_MAX long, not POP3_LOGIN_LINE_MAX */
	const char *rfc;
} commands[] = {
	{ "APOP", cmd_apop, false, "RFC 1939 7" },
	{ "AUTH", cmd_auth, true, "RFC 5034 4" },
	{ "CAPA", cmd_capa, false, "RFC 2449 5" },
	{ "PASS", cmd_pass, false, "RFC 1939 7" },
	{ "QUIT", cmd_quit, false, "RFC 1939 4" },
	{ "STLS", cmd_stls, false, "RFC 2595 4" },
	{ "USER", cmd_user, false, "RFC 1939 7" },
	{ "XCLIENT", cmd_xclient, false, "Dovecot's" },
};

bool login_is_secure(const struct login *l)
{
	return l->secured || stream_tls(l->session.stream) != NULL;
}

void login_reply(struct login *l, bool ok, const char *text)
{
	stream_printf(
	    l->session.stream, "%s%s%s\r\n", ok ? "+OK" : "-ERR", text[0] != '\0' ? " " : "", text);
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

/* ---- TLS ---- */

static const struct tls_context *choose_tls(const char *name, void *arg)
{
	const struct login *l = arg;

	return login_config_for(&l->session.local, &l->session.peer, name)->tls;
}

/* Who it says it is, where a good certificate may say so. */
static void note_client(struct login *l, const struct tls_info *info)
{
	struct strbuf name = STRBUF_INIT(256);
	struct tls_connection *c = stream_tls(l->session.stream);

	l->client_cert = (int)info->client;
	if (info->client == TLS_CLIENT_TRUSTED && l->config->set->auth_ssl_username_from_cert &&
	    tls_client_field(c, l->config->set->ssl_cert_username_field, &name) &&
	    !slice_has_nul(strbuf_slice(&name)) && !name.overflow)
		l->cert_user = xstrndup(name.ptr, name.len);
	strbuf_release(&name);
}

/*
 * Blocks this thread: a session that is parked for input would find the client's first record read
 * as plain text.
 */
static bool handshake(struct login *l)
{
	struct stream *s = l->session.stream;
	struct tls_info info;

	stream_set_deadline(s, deadline_in(LOGIN_IDLE_MS));
	if (tls_accept_choosing(s, l->config->tls, choose_tls, l)) {
		l->state = LOGIN_COMMANDS;
		tls_connection_info(stream_tls(s), &info);
		if (info.server_name[0] != '\0')
			l->local_name = xstrdup(info.server_name);
		login_configure(l);
		note_client(l, &info);
		if (l->config->set->verbose_ssl)
			log_info("SSL: %s with cipher %s", info.protocol, info.cipher);
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

bool login_may_use_plaintext(const struct login *l)
{
	return login_is_secure(l) ||
	       (!l->config->set->disable_plaintext_auth && l->config->set->ssl[0] != 'r');
}

static bool cmd_capa(struct login *l, struct slice args)
{
	struct stream *s = l->session.stream;

	(void)args;
	stream_puts(s, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\n"
		       "AUTH-RESP-CODE\r\n");
	if (l->config->tls != NULL && stream_tls(s) == NULL)
		stream_puts(s, "STLS\r\n");
	/* As the peer: what ssl = required forbids is offered here. */
	if ((login_is_secure(l) || !l->config->set->disable_plaintext_auth) &&
	    login_has_mechanism("PLAIN"))
		stream_puts(s, "USER\r\n");
	stream_puts(s, "SASL");
	login_list_mechanisms(l, " ", "");
	stream_puts(s, "\r\n.\r\n");
	return true;
}

static bool refuse_plaintext(struct login *l)
{
	login_note_attempt(l, "", LOGIN_REFUSED);
	login_reply(l, false,
	    "[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.");
	return true;
}

static bool cmd_user(struct login *l, struct slice args)
{
	if (!login_may_use_plaintext(l)) {
		/* The log shows the first name, as the peer's. */
		if (l->tried_user == NULL)
			l->tried_user = xstrndup(args.ptr != NULL ? args.ptr : "", args.len);
		return refuse_plaintext(l);
	}
	free(l->user);
	l->user = xstrndup(args.ptr != NULL ? args.ptr : "", args.len);
	login_reply(l, true, "");
	return true;
}

static bool cmd_pass(struct login *l, struct slice args)
{
	if (!login_may_use_plaintext(l))
		return refuse_plaintext(l);
	if (l->user == NULL) {
		login_reply(l, false, "No username given.");
		return true;
	}
	return login_password(l, args);
}

static bool cmd_apop(struct login *l, struct slice args)
{
	return login_apop(l, args);
}

static bool cmd_xclient(struct login *l, struct slice args)
{
	login_xclient(l, args);
	return true;
}

/* RFC 2595 4: what the client sent before TLS counts for nothing, neither bytes nor a USER. */
static bool cmd_stls(struct login *l, struct slice args)
{
	struct stream *s = l->session.stream;

	(void)args;
	if (stream_tls(s) != NULL || l->config->tls == NULL) {
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
	l->end = "Disconnected: Too many bad commands"; /* the peer's words, twice */
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
		if (l->in_exchange) {
			login_reply(l, false, "[AUTH] Authentication response too large");
			l->end = "Authentication response too large";
			return false;
		}
		login_reply(l, false, "Input buffer full, aborting");
		l->end = "Input buffer full";
		return false;
	case STREAM_READ_FAILED:
		break;
	}
	if (stream_error(s) == STREAM_TIMEOUT) {
		l->end = l->in_exchange ? "Inactivity during authentication" : "Inactivity";
		if (stream_after_timeout(s, deadline_in(1000)))
			login_reply(l, false,
			    l->in_exchange ? "Disconnected for inactivity during authentication."
					   : "Disconnected for inactivity.");
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

static struct slice look_up_greeting(const char *name, void *arg)
{
	char *pid = arg;

	if (strcmp(name, "hostname") == 0)
		return slice_of(login_process.hostname);
	if (strcmp(name, "service") == 0)
		return SLICE_LIT("pop3");
	if (strcmp(name, "pid") == 0) {
		(void)snprintf(pid, 24, "%ld", (long)getpid());
		return slice_of(pid);
	}
	return SLICE_NULL;
}

/* "[XCLIENT] " invites trusted proxies; APOP's challenge is the last word. */
static void greet(struct login *l)
{
	struct strbuf text = STRBUF_INIT(4096);
	char pid[24];

	if (l->trusted)
		strbuf_addstr(&text, "[XCLIENT] ");
	(void)dovecot_var_expand(
	    &text, l->config->set->login_greeting, look_up_greeting, pid, NULL);
	login_make_challenge(l);
	if (l->challenge[0] != '\0')
		strbuf_addf(&text, " %s", l->challenge);
	stream_set_deadline(l->session.stream, deadline_in(LOGIN_IDLE_MS));
	login_reply(l, true, text.len > 0 ? text.ptr : "");
	strbuf_release(&text);
}

void login_configure(struct login *l)
{
	l->config = login_config_for(&l->session.local, &l->session.peer, l->local_name);
}

static bool begin(struct login *l)
{
	bool proxied = strcmp(l->session.listener->kind, "haproxy") == 0;

	l->real_peer = l->session.peer;
	l->real_local = l->session.local;
	login_configure(l);
	if (proxied && !login_read_proxy(l))
		return false;
	if (proxied)
		login_configure(l);
	make_session_id(l);
	l->trusted = login_config_contains(l->config->set->login_trusted_networks, &l->real_peer);
	l->secured =
	    l->trusted || (!proxied && net_addr_equal(&l->session.peer, &l->session.local));
	l->state = LOGIN_COMMANDS;
	if (!l->session.listener->ssl)
		return true;
	l->state = LOGIN_HANDSHAKE;
	return l->config->tls != NULL && handshake(l);
}

static enum session_next opened(struct login *l)
{
	if (!begin(l))
		return SESSION_CLOSE;
	greet(l);
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

	if (!l->logged_in && !l->silent && l->config != NULL)
		login_log_end(l);
	login_proxy_end(l);
	free(l->user);
	free(l->tried_user);
	free(l->local_name);
	free(l->cert_user);
}

const struct session_class login_session_class = {
	.name = "pop3-login", .size = sizeof(struct login), .serve = serve, .close = close_session
};

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Log lines: login_log_format around a message and login_log_format_elements, of which those are
 * left out whose variables are all empty (but for the user's name, which always stands there).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "pop3d/login.h"

/* ---- variables ---- */

struct values {
	const struct login *login;
	const char *mail_pid;
	bool named, filled; /* the user's name is among them; one is not empty */
	const char *unknown;
	char text[512]; /* of the value that is asked for */
};

static struct slice user_of(const struct login *l)
{
	return slice_of(l->tried_user != NULL ? l->tried_user : "");
}

static struct slice address(struct values *v, const struct net_addr *addr)
{
	char text[NET_ADDR_TEXT];

	(void)snprintf(v->text, sizeof(v->text), "%s", net_addr_text(addr, text));
	return slice_of(v->text);
}

static struct slice number(struct values *v, long n)
{
	(void)snprintf(v->text, sizeof(v->text), "%ld", n);
	return slice_of(v->text);
}

static bool has_tls(const struct login *l)
{
	return l->session.stream != NULL && stream_tls(l->session.stream) != NULL;
}

static struct slice security(struct values *v)
{
	const struct login *l = v->login;

	if (l->state == LOGIN_HANDSHAKE || l->tls_error[0] != '\0') {
		(void)snprintf(v->text, sizeof(v->text), "TLS handshaking%s%s",
		    l->tls_error[0] != '\0' ? ": " : "", l->tls_error);
		return slice_of(v->text);
	}
	/* It closed without our asking for it. */
	if (has_tls(l) && stream_error(l->session.stream) == STREAM_EOF && l->end == NULL)
		return SLICE_LIT("TLS: Connection closed");
	if (has_tls(l))
		return SLICE_LIT("TLS");
	return l->secured ? SLICE_LIT("secured") : SLICE_LIT("");
}

static struct slice cipher(struct values *v)
{
	struct tls_info info;

	if (!has_tls(v->login) || v->login->state == LOGIN_HANDSHAKE)
		return SLICE_LIT("");
	tls_connection_info(stream_tls(v->login->session.stream), &info);
	(void)snprintf(v->text, sizeof(v->text), "%s with cipher %s (%d/%d bits)", info.protocol,
	    info.cipher, info.cipher_bits, info.algorithm_bits);
	return slice_of(v->text);
}

static struct slice look_up_user(const char *name, const struct login *l)
{
	static const char *const prefixes[] = { "", "auth_", "orig_", "login_" };
	struct slice user = user_of(l);

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t len = strlen(prefixes[i]);
		struct slice value;

		if (strncmp(name, prefixes[i], len) != 0)
			continue;
		if (strcmp(prefixes[i], "login_") == 0) /* a master user's, which we do not know */
			user = SLICE_LIT("");
		value = dovecot_var_user(name + len, user);
		if (value.ptr != NULL)
			return value;
	}
	return SLICE_NULL;
}

static struct slice look_up_address(const char *name, struct values *v)
{
	const struct login *l = v->login;
	bool real = strncmp(name, "real_", 5) == 0;
	const struct net_addr *peer = real ? &l->real_peer : &l->session.peer,
			      *local = real ? &l->real_local : &l->session.local;

	name += real ? 5 : 0;
	if (strcmp(name, "rip") == 0)
		return address(v, peer);
	if (strcmp(name, "lip") == 0)
		return address(v, local);
	if (strcmp(name, "rport") == 0)
		return number(v, (long)net_addr_port(peer));
	if (strcmp(name, "lport") == 0)
		return number(v, (long)net_addr_port(local));
	return SLICE_NULL;
}

static struct slice look_up_text(const char *name, struct values *v)
{
	const struct login *l = v->login;

	if (strcmp(name, "session") == 0)
		return slice_of(l->session_id);
	if (strcmp(name, "mech") == 0)
		return slice_of(l->mechanism);
	if (strcmp(name, "service") == 0)
		return SLICE_LIT("pop3");
	if (strcmp(name, "mail_pid") == 0)
		return slice_of(v->mail_pid);
	if (strcmp(name, "secured") == 0)
		return security(v);
	if (strcmp(name, "cert") == 0 || strcmp(name, "ssl_security") == 0)
		return cipher(v);
	if (strcmp(name, "pid") == 0)
		return number(v, (long)getpid());
	if (strcmp(name, "local_name") == 0)
		return slice_of(l->local_name != NULL ? l->local_name : "");
	if (strcmp(name, "listener") == 0)
		return slice_of(l->session.listener->name);
	if (strcmp(name, "home") == 0 || strcmp(name, "password") == 0)
		return SLICE_LIT("");
	return SLICE_NULL;
}

static struct slice look_up(const char *name, void *arg)
{
	struct values *v = arg;
	struct slice value = look_up_text(name, v);

	if (value.ptr == NULL)
		value = look_up_user(name, v->login);
	if (value.ptr == NULL)
		value = look_up_address(name, v);
	if (value.ptr == NULL) {
		(void)snprintf(
		    v->text, sizeof(v->text), "%s", strcmp(name, "uid") == 0 ? "i" : name);
		v->unknown = v->text;
		return SLICE_LIT("");
	}
	v->named = v->named || strcmp(name, "user") == 0 || strcmp(name, "username") == 0;
	v->filled = v->filled || value.len > 0;
	return value;
}

/* ---- lines ---- */

static void add_element(
    struct strbuf *out, struct slice element, const struct login *l, const char *mail_pid)
{
	struct values v = { .login = l, .mail_pid = mail_pid };
	char *format = xstrndup(element.ptr, element.len), *error = NULL;
	struct strbuf text = STRBUF_INIT(2048);

	(void)dovecot_var_expand(&text, format, look_up, &v, &error);
	if (error != NULL)
		log_error("Failed to expand log_format_elements=%s: %s", format, error);
	else if (v.unknown != NULL)
		log_error("Failed to expand log_format_elements=%s: Unknown variable '%%%s'",
		    format, v.unknown);
	if (error == NULL && (v.named || v.filled)) {
		if (out->len > 0)
			strbuf_addstr(out, ", ");
		strbuf_addslice(out, strbuf_slice(&text));
	}
	free(error);
	free(format);
	strbuf_release(&text);
}

struct parts {
	const char *message, *elements;
};

static struct slice look_up_part(const char *name, void *arg)
{
	const struct parts *parts = arg;

	if (strcmp(name, "message") == 0) /* %$ */
		return slice_of(parts->message);
	if (strcmp(name, "service") == 0) /* %s */
		return slice_of(parts->elements);
	return SLICE_NULL;
}

void login_log(const struct login *l, const char *what, const char *mail_pid)
{
	const struct dovecot_settings *set = l->config->set;
	struct strbuf elements = STRBUF_INIT(4096), line = STRBUF_INIT(8192);
	struct slice rest = slice_of(set->login_log_format_elements), word;
	struct parts parts = { .message = what };
	char *error = NULL;

	while (slice_token(&rest, " ", &word))
		add_element(&elements, word, l, mail_pid);
	parts.elements = elements.len > 0 ? elements.ptr : "";
	if (!dovecot_var_expand(&line, set->login_log_format, look_up_part, &parts, &error))
		log_error("Failed to expand login_log_format=%s: %s", set->login_log_format,
		    error != NULL ? error : "bad variable");
	log_info("%s", line.len > 0 ? line.ptr : what);
	free(error);
	strbuf_release(&elements);
	strbuf_release(&line);
}

/* ---- the end ---- */

static const struct {
	enum login_failure failure;
	const char *text;
} failures[] = {
	{ LOGIN_TEMPORARY, "auth service reported temporary failure" },
	{ LOGIN_USER_DISABLED, "user disabled" },
	{ LOGIN_PASSWORD_EXPIRED, "password expired" },
	{ LOGIN_INVALID_BASE64, "sent invalid base64 in response" },
	{ LOGIN_DISABLED, "login disabled" },
	{ LOGIN_NO_MECHANISM, "tried to use unsupported auth mechanism" },
	{ LOGIN_NO_PLAINTEXT, "tried to use disallowed plaintext auth" },
};

/* The words that fail2ban's filter knows. */
static void describe(const struct login *l, char *out, size_t size)
{
	int64_t now = clock_ms();
	long long secs = (now - (l->attempts > 0 ? l->first_attempt : l->session.started)) / 1000;
	bool cert = l->config->set->auth_ssl_require_client_cert;

	if (cert && has_tls(l) && l->client_cert != TLS_CLIENT_TRUSTED)
		(void)snprintf(out, size, "client %s",
		    l->client_cert == TLS_NO_CLIENT_CERT ? "didn't send a cert"
							 : "sent an invalid cert");
	else if (l->attempts == 0)
		(void)snprintf(out, size, "no auth attempts in %lld secs", secs);
	else if (cert && !has_tls(l))
		(void)snprintf(out, size, "cert required, client didn't start TLS");
	else if ((l->in_exchange || l->aborted) && l->attempts == 1)
		(void)snprintf(out, size, "client didn't finish SASL auth, waited %lld secs", secs);
	else if (l->failure == LOGIN_NOT_AUTHORIZED)
		(void)snprintf(
		    out, size, "authorization failed, %u attempts in %lld secs", l->attempts, secs);
	else
		(void)snprintf(
		    out, size, "auth failed, %u attempts in %lld secs", l->attempts, secs);
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		if (l->attempts > 0 && !l->in_exchange && !l->aborted &&
		    failures[i].failure == l->failure)
			(void)snprintf(out, size, "%s", failures[i].text);
}

void login_log_end(const struct login *l)
{
	char what[512], detail[128];

	describe(l, detail, sizeof(detail));
	if (l->end_is_all)
		(void)snprintf(what, sizeof(what), "Disconnected: %s", l->end);
	else
		(void)snprintf(what, sizeof(what), "Disconnected: %s (%s)",
		    l->end != NULL ? l->end : "Connection closed", detail);
	login_log(l, what, "");
}

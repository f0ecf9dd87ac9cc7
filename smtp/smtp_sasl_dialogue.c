// SPDX-License-Identifier: BSD-2-Clause
/*
 * AUTH, challenges and responses (RFC 4954).
 *
 * Nothing of the server's is believed: a challenge is one line of base64 of a bounded length, there
 * are at most so many of them, and a success before the mechanism is through counts only where
 * nobody asked for mutual authentication.  A login that we give up is cancelled ("*"), so that the
 * session can end in order.
 */
#include <string.h>

#include "auth/sasl_login.h"
#include "base/digest.h"
#include "smtp/smtp_handshake.h"
#include "smtp/smtp_sasl_internal.h"

#define STEPS_MAX 20
/* RFC 4954 4: a challenge or response in base64. */
#define WORD_MAX 12288
/* RFC 5321 4.5.3.1.4: AUTH with an initial response is a command like others. */
#define COMMAND_MAX 512

struct dialogue {
	struct smtp_session *session;
	struct sasl_login *login;
	const char *mechanism;
	struct strbuf word; /* what we say next; it may be a password */
	struct smtp_reply reply;
	bool has_word; /* the initial response is still to be said */
};

static const char *security(const struct smtp_session *session)
{
	if (!session->has_tls)
		return SMTP_PARAM(sasl_security_options);
	return session->is_verified ? SMTP_PARAM(sasl_tls_verified_security_options)
				    : SMTP_PARAM(sasl_tls_security_options);
}

static bool wants_mutual(const struct smtp_session *session)
{
	struct slice rest = slice_of(security(session)), word;

	while (slice_token(&rest, ", \t\r\n", &word))
		if (slice_caseeq_str(word, "mutual_auth"))
			return true;
	return false;
}

static bool cannot(struct dialogue *d, const char *words, struct smtp_failure *failure)
{
	smtp_fail(failure, true, "4.7.0",
	    "SASL authentication failed; cannot authenticate to server %s: %s", d->session->name,
	    words);
	return false;
}

static bool hear(struct dialogue *d, struct smtp_failure *failure)
{
	return smtp_hear(d->session, smtp_helo_timeout(), smtp_while_ehlo(), &d->reply, failure);
}

/* What the server sees as an AUTH that was cancelled; whatever it says to that, it is over. */
static void cancel(struct dialogue *d)
{
	struct smtp_failure ignored;

	smtp_say(d->session, "*");
	(void)hear(d, &ignored);
}

static void say_auth(struct dialogue *d, bool has_initial)
{
	size_t len = strlen("AUTH  \r\n") + strlen(d->mechanism) + d->word.len;

	d->has_word = has_initial && len > COMMAND_MAX;
	if (!has_initial || d->has_word)
		smtp_say(d->session, "AUTH %s", d->mechanism);
	else
		smtp_say(d->session, "AUTH %s %s", d->mechanism, d->word.len ? d->word.ptr : "=");
}

/* The word behind "334 "; of a reply with several lines the rest makes it no base64. */
static struct slice challenge(const struct dialogue *d)
{
	return slice_trim(slice_from(strbuf_slice(&d->reply.text), strlen("334 ")), " \t");
}

static bool answer(struct dialogue *d, struct smtp_failure *failure)
{
	struct slice said = challenge(d);
	struct reason why;

	if (d->has_word && said.len) {
		smtp_fail(failure, true, "4.7.0",
		    "SASL authentication failed; non-empty initial %s challenge from server %s: "
		    "%.*s",
		    d->mechanism, d->session->name, SLICE_ARG(said));
		return false;
	}
	if (!d->has_word && !sasl_login_step(d->login, said, &d->word, &why))
		return cannot(d, why.text, failure);
	d->has_word = false;
	smtp_say(d->session, "%s", d->word.ptr);
	return true;
}

/* Up to a reply that is no challenge; false: it does not come to that. */
static bool exchange(struct dialogue *d, struct smtp_failure *failure)
{
	for (int steps = 0; steps < STEPS_MAX; steps++) {
		if (!hear(d, failure))
			return false;
		if (d->reply.code / 100 != 3)
			return true;
		if (!answer(d, failure)) {
			cancel(d);
			return false;
		}
	}
	smtp_fail(failure, true, "4.7.0",
	    "SASL authentication failed; authentication protocol loop with server %s",
	    d->session->name);
	/* It owes us an answer, and there would be another one. */
	d->session->broken = true;
	return false;
}

/* FAILURE from a server's refusal; PREFIX and SERVER as in "SASL authentication failed; server". */
static void refused(const char *prefix, const char *server, const struct smtp_session *session,
    const char *dsn, const char *text, struct smtp_failure *failure)
{
	char code[12] = "4.7.0";
	struct reason clean;

	if (*dsn)
		strcpy(code, dsn);
	if (code[0] == '5' && SMTP_PARAM(sasl_auth_soft_bounce))
		code[0] = '4';
	smtp_fail(failure, true, code, "%s %s said: %s", prefix, server, text);
	reason_set(&clean, code, "%s", text);
	strncpy(failure->remote_mta, smtp_sasl_server(&session->target),
	    sizeof(failure->remote_mta) - 1);
	strncpy(failure->diagnostic, clean.text, sizeof(failure->diagnostic) - 1);
}

static bool judge(
    struct dialogue *d, const struct smtp_account *account, struct smtp_failure *failure)
{
	const char *server = smtp_sasl_server(&d->session->target);
	char general[12] = "X.0.0";
	const char *dsn = d->reply.dsn;

	if (d->reply.code / 100 == 2) {
		if (!wants_mutual(d->session) || sasl_login_is_done(d->login))
			return true;
		return cannot(d, "the server did not authenticate itself", failure);
	}
	if (!*dsn) {
		general[0] = d->reply.code / 100 == 5 ? '5' : '4';
		dsn = general;
	}
	if (d->reply.code == 535)
		smtp_sasl_cache_store(server, account, dsn, strbuf_slice(&d->reply.text));
	refused("SASL authentication failed; server", d->session->name, d->session, dsn,
	    d->reply.text.ptr, failure);
	return false;
}

static bool was_refused(const struct smtp_session *session, const struct smtp_account *account,
    struct smtp_failure *failure)
{
	struct strbuf text = STRBUF_INIT(WORD_MAX);
	const char *server = smtp_sasl_server(&session->target);
	char dsn[12];
	bool found = smtp_sasl_cache_find(server, account, dsn, &text);

	if (found)
		refused("SASL [CACHED] authentication failed; server", server, session, dsn,
		    text.ptr, failure);
	strbuf_release(&text);
	return found;
}

bool smtp_sasl_dialogue(struct smtp_session *session, const struct smtp_account *account,
    const char *mechanisms, struct smtp_failure *failure)
{
	const struct sasl_login_wish wish = {
		.service = smtp_is_lmtp ? "lmtp" : "smtp",
		.server = smtp_sasl_server(&session->target),
		.user = account->user,
		.password = account->password,
		.mechanisms = mechanisms,
		.security = security(session),
		.no_authzid = !smtp_params->send_cyrus_sasl_authzid,
	};
	struct dialogue d = { .session = session, .word = STRBUF_INIT(WORD_MAX + 1) };
	struct reason why;
	bool has_initial, ok = false;

	if (was_refused(session, account, failure))
		return false;
	smtp_reply_init(&d.reply);
	d.login = sasl_login_start(&wish, &d.mechanism, &d.word, &has_initial, &why);
	if (d.login) {
		say_auth(&d, has_initial);
		ok = exchange(&d, failure) && judge(&d, account, failure);
	} else {
		cannot(&d, why.text, failure);
	}
	sasl_login_free(d.login);
	smtp_reply_release(&d.reply);
	secret_release(&d.word);
	return ok;
}

// SPDX-License-Identifier: BSD-2-Clause
/* One connection: greeting, EHLO, STARTTLS, EHLO, QUIT; what both say is logged as it is said. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "cmd/posttls_finger.h"
#include "log/log.h"
#include "net/dane.h"
#include "server/tls_params.h"
#include "sys/socket.h"

#define LINE_MAX_LEN 2000
#define LINES_MAX    100
#define DNS_MS	     60000

struct talk {
	struct finger *f;
	const struct finger_target *target;
	struct stream *s;
	unsigned code;
	char reply[LINE_MAX_LEN + 1]; /* the last line */
	bool offers_tls;
	bool silent; /* what is said now was heard before */
};

static void say(struct talk *t, const char *text)
{
	if (!t->f->quiet && !t->silent)
		log_info("> %s", text);
	stream_printf(t->s, "%s\r\n", text);
}

/* A line of the reply to EHLO: who it is, and what it offers. */
static void note_line(struct talk *t, struct slice line, bool first)
{
	struct slice words = slice_from(line, 4), word;

	if (!slice_token(&words, " ", &word))
		return;
	if (first)
		snprintf(t->f->server, sizeof(t->f->server), "%.*s", SLICE_ARG(word));
	else if (slice_caseeq_str(word, "STARTTLS"))
		t->offers_tls = true;
}

/* False: the connection is lost, or what came is no reply. */
static bool hear(struct talk *t, long seconds, bool is_ehlo)
{
	struct slice line;
	char *end;

	stream_set_deadline(t->s, deadline_in(seconds * 1000));
	t->offers_tls = t->offers_tls && !is_ehlo;
	for (int i = 0; i < LINES_MAX; i++) {
		if (stream_read_line(t->s, LINE_MAX_LEN, &line) != STREAM_READ_LINE)
			return false;
		line = slice_trim(line, "\r\n");
		snprintf(t->reply, sizeof(t->reply), "%.*s", SLICE_ARG(line));
		if (!t->f->quiet && !t->silent)
			log_info("< %s", t->reply);
		t->code = (unsigned)strtoul(t->reply, &end, 10);
		if (end != t->reply + 3 || t->code < 200 || t->code > 599)
			return false;
		if (is_ehlo && t->code / 100 == 2 && line.len > 4)
			note_line(t, line, i == 0);
		if (*end != '-')
			return true;
	}
	return false;
}

static const char *trouble(const struct talk *t)
{
	return stream_error(t->s) == STREAM_TIMEOUT ? "timeout" : "lost connection";
}

static bool ehlo(struct talk *t)
{
	const char *verb = t->f->lmtp ? "LHLO" : "EHLO";
	struct strbuf line = STRBUF_INIT(1000);
	bool heard;

	strbuf_addf(&line, "%s %s", verb, t->f->params->myhostname);
	say(t, line.ptr);
	strbuf_release(&line);
	heard = hear(t, t->f->command_seconds, true);
	if (!heard)
		log_info("%s while sending %s", trouble(t), verb);
	else if (t->code / 100 != 2)
		log_info("%s rejected: %s", verb, t->reply);
	return heard && t->code / 100 == 2;
}

/* ---- what is wanted of the certificate ---- */

/* The names of a level where the command has none. */
static const char *const *names_for(struct finger *f, const struct finger_target *t, bool mx_name)
{
	const char **list = arena_alloc(&f->arena, 3 * sizeof(*list));

	if (f->matches[0])
		return f->matches;
	list[0] = mx_name ? t->host : t->nexthop;
	list[1] = mx_name ? NULL : arena_printf(&f->arena, ".%s", t->nexthop);
	list[2] = NULL;
	return list;
}

static const char *const *dane_names(
    struct finger *f, const struct finger_target *t, const char *base)
{
	const char **list = arena_alloc(&f->arena, 3 * sizeof(*list));

	list[0] = base;
	list[1] = t->by_mx && t->mx_secure ? t->nexthop : NULL;
	list[2] = NULL;
	return list;
}

static void log_records(const struct talk *t, const struct dane_records *records)
{
	for (size_t i = 0; i < records->count && !t->f->again; i++) {
		const struct dns_tlsa *r = &records->list[i];
		struct strbuf hex = STRBUF_INIT(3 * DNS_TLSA_DATA_MAX);

		for (size_t b = 0; b < r->len; b++)
			strbuf_addf(&hex, "%02X", r->data[b]);
		log_info("_%u._tcp.%s: DNSSEC-signed TLSA record: %u %u %u %s", t->target->port,
		    records->base, r->usage, r->selector, r->matching, hex.ptr);
		strbuf_release(&hex);
	}
}

/* False: the lookup failed, there is nothing to be said. */
static bool wish_dane(struct talk *t, struct tls_client_wish *wish, struct dane_records *records)
{
	struct finger *f = t->f;
	const struct finger_target *target = t->target;
	bool insecure_mx = target->by_mx && !target->mx_secure;
	struct dane_host host = { target->host, target->canonical, target->addr_secure,
		f->force_tlsa, target->port };
	enum dane_result result = DANE_NONE;

	if (!target->path && !(insecure_mx && strcasecmp(f->insecure_mx, "may") == 0))
		result = dane_find(&host, f->tls, deadline_in(DNS_MS), records);
	switch (result) {
	case DANE_ERROR:
		log_info("TLSA lookup error for %s:%u", target->host, target->port);
		return false;
	case DANE_NONE:
	case DANE_UNUSABLE:
		if (target->addr_secure || f->force_tlsa)
			log_info("no %sTLSA records found, resorting to \"secure\"",
			    result == DANE_NONE ? "" : "usable ");
		wish->check = TLS_CHECK_NAMES;
		wish->names = names_for(f, target, false);
		return true;
	case DANE_USABLE:
		break;
	}
	if (insecure_mx && strcasecmp(f->insecure_mx, "encrypt") == 0) {
		log_info("TLSA RRs found, MX RRset insecure: just encrypt");
		return true;
	}
	log_records(t, records);
	wish->check = TLS_CHECK_DANE;
	wish->tlsa = records->list;
	wish->tlsa_count = records->count;
	wish->tlsa_base = wish->server_name = records->base;
	wish->names = dane_names(f, target, records->base);
	wish->forged_perhaps = insecure_mx;
	return true;
}

static bool wish_check(struct talk *t, struct tls_client_wish *wish, struct dane_records *records)
{
	switch (t->f->level) {
	case FINGER_NONE:
	case FINGER_MAY:
	case FINGER_ENCRYPT:
		return true;
	case FINGER_FINGERPRINT:
		wish->check = TLS_CHECK_FINGERPRINT;
		wish->names = t->f->matches;
		return true;
	case FINGER_VERIFY:
	case FINGER_SECURE:
		wish->check = TLS_CHECK_NAMES;
		wish->names = names_for(t->f, t->target, t->f->level == FINGER_VERIFY);
		return true;
	case FINGER_DANE:
	case FINGER_DANE_ONLY:
		return wish_dane(t, wish, records);
	}
	return true;
}

static void show_chain(const struct tls_connection *c)
{
	struct tls_chain_cert cert;
	size_t i;

	for (i = 0; tls_connection_chain(c, i, &cert); i++) {
		if (i == 0)
			printf("\n---\nCertificate chain\n");
		printf("%2zu subject: %s\n    issuer: %s\n   cert digest=%s\n   pkey digest=%s\n%s",
		    i, cert.subject, cert.issuer, cert.fingerprint, cert.key_fingerprint, cert.pem);
		tls_chain_cert_release(&cert);
	}
	if (i == 0)
		printf("\n---\nServer is anonymous\n");
	fflush(stdout);
}

static bool handshake(struct talk *t, struct tls_client_wish *wish)
{
	struct finger *f = t->f;
	struct tls_client_result result;
	struct tls_info info;

	stream_set_deadline(t->s, deadline_in(f->command_seconds * 1000));
	if (!tls_connect(t->s, f->tls, wish, &result))
		return false;
	tls_connection_info(stream_tls(t->s), &info);
	f->resumed = info.resumed;
	if (f->show_chain)
		show_chain(stream_tls(t->s));
	return true;
}

static bool start_tls(struct talk *t)
{
	struct finger *f = t->f;
	const char *excluded[] = { f->level > FINGER_ENCRYPT ? "aNULL" : "eNULL" };
	struct dane_records records = { NULL, 0, "" };
	struct tls_client_wish wish = { .peer = t->target->peer,
		.log = f->log,
		.server_name = f->server_name,
		.anchors = f->anchors,
		.one_label_wildcards = !f->params->tls_wildcard_matches_multiple_labels,
		.protocols = f->protocols,
		.session_key = f->destination };
	struct reason why;
	char *ciphers = tls_cipher_list(f->params, f->grade, excluded, ARRAY_LEN(excluded), &why);
	bool done = false;

	wish.ciphers = ciphers;
	if (!ciphers)
		log_warning("%s: %s", t->target->peer, why.text);
	else if (wish_check(t, &wish, &records))
		done = handshake(t, &wish);
	dane_records_release(&records);
	free(ciphers);
	return done;
}

/* ---- the whole ---- */

static bool greeting(struct talk *t)
{
	if (!hear(t, t->f->connect_seconds, false)) {
		log_info("%s while reading server greeting", trouble(t));
		return false;
	}
	if (t->code / 100 == 2)
		return true;
	log_info("SMTP service not available: %s", t->reply);
	return false;
}

/* STARTTLS and what follows; false: there is no point in a QUIT. */
static bool starttls(struct talk *t, enum finger_end *end)
{
	say(t, "STARTTLS");
	if (!hear(t, t->f->command_seconds, false)) {
		log_info("%s while sending STARTTLS", trouble(t));
		return false;
	}
	if (t->code / 100 != 2) {
		log_info("STARTTLS rejected: %s", t->reply);
		return false;
	}
	stream_discard_input(t->s);
	if (!start_tls(t))
		return false;
	*end = FINGER_WITH_TLS;
	return t->f->again || ehlo(t);
}

static enum finger_end converse(struct talk *t)
{
	struct finger *f = t->f;
	enum finger_end end = FINGER_ENDED;
	bool use = f->tls && f->level != FINGER_NONE;

	if (f->wrapper) {
		if (!f->tls || !start_tls(t))
			return end;
		end = FINGER_WITH_TLS;
	}
	if (!greeting(t))
		return end;
	t->silent = f->again;
	if (!ehlo(t))
		return end;
	if (use && !f->wrapper && t->offers_tls && !starttls(t, &end))
		return end;
	t->silent = false;
	say(t, "QUIT");
	if (!hear(t, f->command_seconds, false))
		log_info("%s while sending QUIT command", trouble(t));
	stream_finish(t->s);
	return end;
}

enum finger_end finger_talk(
    struct finger *f, const struct finger_target *target, struct reason *why)
{
	struct talk t = { .f = f, .target = target };
	int64_t deadline = deadline_in(f->connect_seconds * 1000);
	enum finger_end end;
	int fd;

	if (target->path)
		fd = socket_unix_connect(target->path, deadline);
	else
		fd = socket_connect(
		    (const struct sockaddr *)&target->addr.ss, target->addr.len, deadline);
	if (fd == -1) {
		reason_set(why, "4.4.1", "connect to %s: %s", target->peer, strerror(errno));
		return FINGER_UNREACHED;
	}
	if (!f->quiet && !f->again)
		log_info("Connected to %s", target->peer);
	t.s = stream_new(fd);
	end = converse(&t);
	stream_free(t.s);
	return end;
}

// SPDX-License-Identifier: BSD-2-Clause
/* Where a user's INBOX is, and opening it for a session. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "pop3d/pop3.h"

#define OPEN_MS	  (120 * INT64_C(1000))
#define LOCK_MS	  (10 * INT64_C(1000))
#define VALUE_MAX 4096

struct variables {
	const char *user, *home;
	char uid[16], pid[16];
};

static struct slice lookup(const char *name, void *arg)
{
	const struct variables *v = arg;

	if (strcmp(name, "home") == 0 && v->home != NULL)
		return slice_of(v->home);
	if (strcmp(name, "uid") == 0)
		return slice_of(v->uid);
	if (strcmp(name, "pid") == 0)
		return slice_of(v->pid);
	if (strcmp(name, "service") == 0)
		return SLICE_LIT("pop3");
	return dovecot_var_user(name, slice_of(v->user));
}

/* A name is part of a path: it must not be one. */
static bool is_safe(const char *user)
{
	struct slice rest = slice_of(user), part;

	if (strchr(user, '/') != NULL || user[0] == '\0')
		return false;
	while (slice_token(&rest, "@", &part))
		if (slice_eq_str(part, ".") || slice_eq_str(part, ".."))
			return false;
	return true;
}

static bool expand(
    struct strbuf *out, const char *name, const char *text, struct variables *v, struct reason *why)
{
	char *error = NULL;
	bool ok = dovecot_var_expand(out, text, lookup, v, &error);

	if (!ok)
		reason_set(why, "5.3.5", "%s: %s", name, error != NULL ? error : "bad variable");
	free(error);
	return ok;
}

bool pop3_location(struct store_location *location, const char *user, const char *home,
    const char *mail, struct reason *why)
{
	struct strbuf own_home = STRBUF_INIT(VALUE_MAX), text = STRBUF_INIT(VALUE_MAX);
	struct variables v = { .user = user, .home = home };
	bool ok = is_safe(user);

	(void)snprintf(v.uid, sizeof(v.uid), "%lu", (unsigned long)getuid());
	(void)snprintf(v.pid, sizeof(v.pid), "%ld", (long)getpid());
	if (!ok)
		reason_set(why, "5.3.5", "user name %s cannot be part of a path", user);
	if (ok && home == NULL && pop3_settings->mail_home[0] != '\0') {
		ok = expand(&own_home, "mail_home", pop3_settings->mail_home, &v, why);
		v.home = own_home.ptr;
	}
	if (mail == NULL || mail[0] == '\0')
		mail = pop3_settings->mail_location;
	if (ok && mail[0] == '\0') {
		reason_set(why, "5.3.5", "mail_location is not set");
		ok = false;
	}
	ok = ok && expand(&text, "mail_location", mail, &v, why) &&
	     store_location_parse(location, text.ptr, v.home, why);
	strbuf_release(&own_home);
	strbuf_release(&text);
	return ok;
}

/* By the order that was recorded when a mailbox was taken over (the others behind), then by UID. */
static int by_order(const void *a, const void *b, void *arg)
{
	const struct pop3 *p = arg;
	size_t i = ((const struct pop3_message *)a)->index,
	       j = ((const struct pop3_message *)b)->index;
	uint32_t x = store_message(p->box, i)->pop3_order - 1;
	uint32_t y = store_message(p->box, j)->pop3_order - 1;

	if (x != y)
		return x < y ? -1 : 1;
	return i < j ? -1 : i > j;
}

static void list_messages(struct pop3 *p)
{
	size_t all = store_count(p->box);
	bool ordered = false;

	p->messages = xcalloc(all + 1, sizeof(p->messages[0]));
	for (size_t i = 0; i < all; i++) {
		const struct store_message *m = store_message(p->box, i);

		if ((m->flags & p->deleted_flag) != 0)
			continue;
		ordered = ordered || m->pop3_order != 0;
		p->messages[p->count++].index = i;
		p->total += pop3_size(p, i);
	}
	if (ordered)
		qsort_r(p->messages, p->count, sizeof(p->messages[0]), by_order, p);
}

/* With pop3_fast_size_lookups the size on disk has to do. */
uint64_t pop3_size(const struct pop3 *p, size_t index)
{
	const struct store_message *m = store_message(p->box, index);

	return m->vsize != STORE_SIZE_UNKNOWN ? m->vsize : m->size;
}

/* The words of the peer, who tells when, so that somebody finds it in the log. */
static bool internal_error(struct pop3 *p, const struct reason *why)
{
	char when[32];
	time_t now = time(NULL);
	struct tm tm;

	(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&now, &tm));
	log_as(p->log_name, LOG_LEVEL_ERROR, "%s", why->text);
	stream_printf(p->session.stream,
	    "-ERR [%s] Internal error occurred. Refer to server log for more information. [%s]\r\n",
	    why->dsn[0] == '5' ? "SYS/PERM" : "SYS/TEMP", when);
	p->end = arena_printf(&p->arena,
	    "Couldn't open INBOX: Internal error occurred. Refer to server log for more information. [%s]",
	    when);
	return false;
}

static bool find_deleted_flag(struct pop3 *p, struct reason *why)
{
	const char *name = pop3_settings->pop3_deleted_flag;

	return name[0] == '\0' ||
	       store_keyword(p->box, name, false, deadline_in(OPEN_MS), &p->deleted_flag, why);
}

bool pop3_open(struct pop3 *p, const struct store_location *location)
{
	struct reason why;

	stream_set_deadline(p->session.stream, deadline_in(10000));
	p->box = store_open(location, STORE_CREATE, deadline_in(OPEN_MS), &why);
	if (p->box == NULL)
		return internal_error(p, &why);
	if (pop3_settings->pop3_lock_session && !store_lock(p->box, deadline_in(LOCK_MS), &why)) {
		log_as(p->log_name, LOG_LEVEL_ERROR, "%s", why.text);
		stream_puts(p->session.stream,
		    "-ERR [IN-USE] Mailbox is locked by another POP3 session.\r\n");
		p->end = "Couldn't lock POP3 session";
		return false;
	}
	if (!find_deleted_flag(p, &why) ||
	    !store_measure(
		p->box, pop3_settings->pop3_fast_size_lookups, deadline_in(OPEN_MS), &why))
		return internal_error(p, &why);
	list_messages(p);
	stream_puts(p->session.stream, "+OK Logged in.\r\n");
	return true;
}

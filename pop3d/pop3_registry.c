// SPDX-License-Identifier: BSD-2-Clause
#include "pop3d/pop3_registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "auth/auth_proto.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "log/log.h"
#include "pop3d/pop3.h"

#define WARN_MS	     60000
#define WHO_MS	     60000
#define WHO_LINE_MAX 1024

struct pop3_entry {
	struct list node;
	struct pop3_who who;
	long pid;
	int fd; /* -1: it has not started */
	struct loop_watch watch;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t room;
	struct list all;
	size_t count, limit; /* 0: none */
	int64_t warned;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER, .all = LIST_INIT(registry.all) };

void pop3_registry_open(const struct server_context *ctx)
{
	const struct dovecot_block *service = dovecot_block_find(ctx->dovecot, "service", "pop3");
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&registry.room, &attr);
	pthread_condattr_destroy(&attr);
	if (service != NULL)
		registry.limit = dovecot_block_uint(service, "process_limit") *
				 dovecot_block_uint(service, "client_limit");
}

/* ---- the list ---- */

/* With the lock. */
static unsigned long count_of(const struct pop3_who *who)
{
	unsigned long count = 0;

	list_for_each(node, &registry.all) {
		const struct pop3_entry *e = list_entry(node, struct pop3_entry, node);

		if (strcmp(e->who.user, who->user) == 0 && strcmp(e->who.rip, who->rip) == 0)
			count++;
	}
	return count;
}

static void warn_full(void)
{
	int64_t now = clock_ms();

	if (registry.warned != 0 && now - registry.warned < WARN_MS)
		return;
	registry.warned = now;
	log_as("master", LOG_LEVEL_WARNING,
	    "service(pop3): process_limit (%zu) reached, client connections are being dropped",
	    registry.limit);
}

/* With the lock. */
static bool wait_for_room(int64_t deadline)
{
	const struct timespec until = { .tv_sec = deadline / 1000,
		.tv_nsec = deadline % 1000 * 1000000 };

	while (registry.limit != 0 && registry.count >= registry.limit) {
		warn_full();
		if (pthread_cond_timedwait(&registry.room, &registry.lock, &until) == ETIMEDOUT)
			return false;
	}
	return true;
}

struct pop3_entry *pop3_registry_add(
    const struct pop3_who *who, int64_t deadline, bool *limit, struct reason *why)
{
	unsigned long max = pop3_settings->mail_max_userip_connections;
	struct pop3_entry *entry = NULL;

	pthread_mutex_lock(&registry.lock);
	*limit = max != 0 && who->rip[0] != '\0' && count_of(who) >= max;
	if (*limit) {
		reason_set(why, "4.3.2",
		    "Maximum number of connections from user+IP exceeded "
		    "(mail_max_userip_connections=%lu)",
		    max);
	} else if (!wait_for_room(deadline)) {
		reason_set(why, "4.3.2", "the service has no room for another session");
	} else {
		entry = xcalloc(1, sizeof(*entry));
		entry->who = *who;
		entry->fd = -1;
		list_add_tail(&registry.all, &entry->node);
		registry.count++;
	}
	pthread_mutex_unlock(&registry.lock);
	return entry;
}

void pop3_registry_remove(struct pop3_entry *entry)
{
	pthread_mutex_lock(&registry.lock);
	list_del(&entry->node);
	registry.count--;
	pthread_cond_signal(&registry.room);
	pthread_mutex_unlock(&registry.lock);
	if (entry->fd >= 0)
		close(entry->fd);
	free(entry);
}

/* In the loop's thread: the worker has no more to say than that it is over. */
static void ended(struct loop_watch *watch, uint32_t events)
{
	struct pop3_entry *entry = watch->arg;
	char byte;

	(void)events;
	if (recv(entry->fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_unwatch(server_context()->loop, watch);
	pop3_registry_remove(entry);
}

static void watch_entry(void *arg)
{
	struct pop3_entry *entry = arg;

	entry->watch = (struct loop_watch){ .fd = entry->fd, .ready = ended, .arg = entry };
	if (loop_watch(server_context()->loop, &entry->watch, EPOLLIN) < 0) {
		log_error("cannot watch a session: %m");
		pop3_registry_remove(entry);
	}
}

void pop3_registry_started(struct pop3_entry *entry, int fd, long pid)
{
	pthread_mutex_lock(&registry.lock);
	entry->fd = fd;
	entry->pid = pid;
	pthread_mutex_unlock(&registry.lock);
	loop_post(server_context()->loop, watch_entry, entry);
}

/* ---- who and kick ---- */

static void add_word(struct strbuf *out, const char *word)
{
	strbuf_addch(out, '\t');
	auth_escape(out, slice_of(word));
}

static void tell_all(struct stream *stream)
{
	struct strbuf text = STRBUF_INIT(64 * 1024 * 1024);
	char pid[24];

	pthread_mutex_lock(&registry.lock);
	list_for_each(node, &registry.all) {
		const struct pop3_entry *e = list_entry(node, struct pop3_entry, node);

		if (e->fd < 0)
			continue;
		(void)snprintf(pid, sizeof(pid), "%ld", e->pid);
		strbuf_addstr(&text, "SESSION");
		add_word(&text, e->who.user);
		add_word(&text, "pop3");
		add_word(&text, pid);
		add_word(&text, e->who.rip);
		add_word(&text, e->who.session);
		strbuf_addch(&text, '\n');
	}
	pthread_mutex_unlock(&registry.lock);
	strbuf_addstr(&text, "DONE\n");
	stream_write(stream, strbuf_slice(&text));
	strbuf_release(&text);
}

static unsigned kick(struct slice session)
{
	unsigned count = 0;

	pthread_mutex_lock(&registry.lock);
	list_for_each(node, &registry.all) {
		const struct pop3_entry *e = list_entry(node, struct pop3_entry, node);

		if (e->fd >= 0 && slice_eq_str(session, e->who.session) &&
		    send(e->fd, "K", 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1)
			count++;
	}
	pthread_mutex_unlock(&registry.lock);
	return count;
}

static bool serve_line(struct stream *stream, struct slice line)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	bool ok = auth_fields_split(&fields, line, &arena);

	if (ok && auth_field_is(&fields, 0, "WHO"))
		tell_all(stream);
	else if (ok && fields.count == 2 && auth_field_is(&fields, 0, "KICK"))
		stream_printf(stream, "OK\t%u\n", kick(fields.list[1]));
	else
		ok = ok && auth_field_is(&fields, 0, "VERSION") && auth_field_is(&fields, 1, "1");
	arena_release(&arena);
	return ok;
}

static enum session_next serve_who(struct session *session, enum session_wake why)
{
	struct stream *stream = session->stream;
	struct slice line;

	stream_set_deadline(stream, deadline_in(WHO_MS));
	session->deadline = deadline_in(WHO_MS);
	if (why == SESSION_OPENED) {
		stream_puts(stream, "VERSION\t1\t0\n");
		return SESSION_INPUT;
	}
	if (why != SESSION_HAS_INPUT)
		return SESSION_CLOSE;
	do {
		if (stream_read_line(stream, WHO_LINE_MAX, &line) != STREAM_READ_LINE ||
		    !serve_line(stream, slice_first(line, line.len - 1)))
			return SESSION_CLOSE;
	} while (stream_has_input(stream));
	return stream_flush(stream) ? SESSION_INPUT : SESSION_CLOSE;
}

static void close_who(struct session *session)
{
	(void)session;
}

const struct session_class pop3_who_class = {
	.name = "who", .size = sizeof(struct session), .serve = serve_who, .close = close_who
};

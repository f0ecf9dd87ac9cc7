// SPDX-License-Identifier: BSD-2-Clause
/*
 * How one configuration takes over from the last.  A service of the new generation and the one of
 * the same name and type in the old one meet in one of three ways, by what its processes said:
 *
 *   in_place  the processes stay, get the new configuration and change generation (qmgr)
 *   alone     the old ones drain; the new one starts when the last of them is gone
 *   else      the new one starts; when its first process is ready the old ones drain
 *
 * In the third, a new process that does not start leaves the old ones serving.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "master/supervisor.h"
#include "server/contract.h"

#define SOCKET_RETRY_MS 5000

static struct loop_timer socket_retry;

struct generation *generation_new(void)
{
	struct generation *g = xcalloc(1, sizeof(*g));

	g->config_fd = g->auth_config_fd = -1;
	list_init(&g->services);
	return g;
}

int generation_config(const struct service *s)
{
	const struct generation *g = s->generation;

	const bool asks =
	    strcmp(s->program, "authd") == 0 || strcmp(s->program, "auth-worker") == 0;

	return asks && g->auth_config_fd >= 0 ? g->auth_config_fd : g->config_fd;
}

struct service *service_new(
    struct generation *g, const char *name, const char *type, const char *program)
{
	struct service *s = xcalloc(1, sizeof(*s));

	s->generation = g;
	s->name = xstrdup(name);
	s->type = xstrdup(type);
	s->program = xstrdup(program);
	s->path = xasprintf("%s/%s", master.program_dir, program);
	s->process_count = 1;
	list_init(&s->processes);
	list_add_tail(&g->services, &s->link);
	return s;
}

void service_add_socket(
    struct service *s, struct held_socket *held, const char *name, const char *kind, bool ssl)
{
	s->sockets = xreallocarray(s->sockets, s->socket_count + 1, sizeof(*s->sockets));
	s->sockets[s->socket_count++] = (struct service_socket){
		.held = held, .name = xstrdup(name), .kind = xstrdup(kind), .ssl = ssl
	};
}

static void service_free(struct service *s)
{
	ASSERT(list_is_empty(&s->processes));
	if (master.loop != NULL)
		loop_timer_cancel(master.loop, &s->wakeup);
	for (size_t i = 0; i < s->socket_count; i++) {
		held_release(s->sockets[i].held);
		free(s->sockets[i].name);
		free(s->sockets[i].kind);
	}
	list_del(&s->link);
	free(s->sockets);
	free(s->name);
	free(s->type);
	free(s->program);
	free(s->path);
	free(s->log_name);
	free(s);
}

void generation_free(struct generation *g)
{
	list_for_each_safe(l, tmp, &g->services)
		service_free(list_entry(l, struct service, link));
	if (g->config_fd >= 0)
		close(g->config_fd);
	if (g->auth_config_fd >= 0)
		close(g->auth_config_fd);
	for (size_t i = 0; g->environment != NULL && g->environment[i] != NULL; i++)
		free(g->environment[i]);
	free(g->environment);
	postfix_params_free(g->params);
	postfix_source_free(g->postfix);
	dovecot_settings_free(g->settings);
	dovecot_source_free(g->dovecot);
	free(g->directory);
	free(g->log_path);
	free(g->info_log_path);
	free(g->debug_log_path);
	free(g->log_timestamp);
	free(g->facility);
	free(g->protocols);
	free(g->absent);
	conf_errors_release(&g->findings);
	free(g);
}

/* ---- sockets ------------------------------------------------------------------------------- */

static void on_socket_retry(struct loop_timer *timer);

static void retry_sockets_later(void)
{
	socket_retry.expired = on_socket_retry;
	loop_timer_set(master.loop, &socket_retry, deadline_in(SOCKET_RETRY_MS));
}

bool generation_open_sockets(struct generation *g)
{
	bool ok = true;
	char why[256];

	list_for_each(l, &g->services) {
		struct service *s = list_entry(l, struct service, link);

		for (size_t i = 0; i < s->socket_count; i++) {
			enum held_result result = held_open(s->sockets[i].held, why);

			if (result == HELD_OPEN)
				continue;
			log_error("%s", why);
			if (result == HELD_LATER)
				retry_sockets_later();
			else
				ok = false;
		}
	}
	return ok;
}

static void tell_of_listener(struct service *s, const struct service_socket *socket)
{
	char *text = spawn_listener_text(socket);
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_LISTEN_TOO);
	msg_add_str(&m, "listener", text);
	list_for_each(l, &s->processes)
		process_send(list_entry(l, struct process, link), &m, socket->held->fd);
	msg_release(&m);
	free(text);
}

static void on_socket_retry(struct loop_timer *timer)
{
	char why[256];

	(void)timer;
	list_for_each(l, &master.current->services) {
		struct service *s = list_entry(l, struct service, link);

		for (size_t i = 0; i < s->socket_count; i++) {
			const struct service_socket *socket = &s->sockets[i];

			if (socket->held->fd >= 0)
				continue;
			if (held_open(socket->held, why) == HELD_OPEN)
				tell_of_listener(s, socket);
			else
				retry_sockets_later();
		}
	}
}

/* ---- services ------------------------------------------------------------------------------ */

static bool is_same_service(const struct service *a, const struct service *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->type, b->type) == 0;
}

static struct service *find_same(const struct generation *g, const struct service *s)
{
	list_for_each(l, &g->services) {
		struct service *candidate = list_entry(l, struct service, link);

		if (is_same_service(candidate, s))
			return candidate;
	}
	return NULL;
}

static void on_wakeup(struct loop_timer *timer)
{
	struct service *s = timer->arg;

	for (size_t i = 0; i < s->socket_count; i++)
		held_trigger(s->sockets[i].held);
	loop_timer_set(master.loop, timer, deadline_in(s->wakeup_ms));
}

static void start_wakeups(struct service *s)
{
	if (s->wakeup_ms <= 0)
		return;
	s->wakeup.expired = on_wakeup;
	s->wakeup.arg = s;
	loop_timer_set(master.loop, &s->wakeup, deadline_in(s->wakeup_ms));
}

/* No more work for S, nor for those whose place it had not yet taken. */
static void service_drain(struct service *s)
{
	struct service *before = s->before;

	s->before = NULL;
	if (before != NULL)
		service_drain(before);
	s->replaced = true;
	s->waits_alone = false;
	loop_timer_cancel(master.loop, &s->wakeup);
	list_for_each_safe(l, tmp, &s->processes)
		process_event(list_entry(l, struct process, link), EVENT_DRAIN);
}

static bool has_same_sockets(const struct service *a, const struct service *b)
{
	if (a->socket_count != b->socket_count)
		return false;
	for (size_t i = 0; i < a->socket_count; i++)
		if (a->sockets[i].held != b->sockets[i].held)
			return false;
	return true;
}

/* The processes of OLD change over to S, with the new configuration. */
static void take_processes_over(struct service *s, struct service *old)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_RELOAD);
	list_for_each_safe(l, tmp, &old->processes) {
		struct process *p = list_entry(l, struct process, link);

		list_del(&p->link);
		list_add_tail(&s->processes, &p->link);
		p->service = s;
		process_send(p, &m, generation_config(s));
	}
	msg_release(&m);
	s->process_count = old->process_count;
	s->busy_count = old->busy_count;
	old->replaced = true;
	loop_timer_cancel(master.loop, &old->wakeup);
}

static bool can_stay(const struct service *s, const struct service *old)
{
	return old->in_place && !list_is_empty(&old->processes) && has_same_sockets(s, old) &&
	       strcmp(s->program, old->program) == 0;
}

static bool older_processes_exist(const struct service *s)
{
	list_for_each(gl, &master.generations) {
		const struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services) {
			const struct service *other = list_entry(sl, struct service, link);

			if (other != s && is_same_service(other, s) &&
			    !list_is_empty(&other->processes))
				return true;
		}
	}
	return false;
}

static size_t process_total(const struct service *s)
{
	size_t n = 0;

	list_for_each(l, &s->processes)
		n += list_entry(l, struct process, link)->own == 0;
	return n;
}

static void service_install(struct service *s, struct service *old)
{
	start_wakeups(s);
	if (old != NULL) {
		s->alone = old->alone;
		s->in_place = old->in_place;
	}
	if (old != NULL && can_stay(s, old)) {
		take_processes_over(s, old);
		return;
	}
	if (old != NULL && (old->alone || old->in_place)) {
		service_drain(old);
		s->waits_alone = older_processes_exist(s);
	} else {
		s->before = old;
	}
	if (!s->waits_alone)
		start_processes(s, 0, 1);
}

/* ---- generations --------------------------------------------------------------------------- */

static bool is_over(const struct generation *g)
{
	if (g == master.current)
		return false;
	list_for_each(l, &g->services) {
		const struct service *s = list_entry(l, struct service, link);

		if (!s->replaced || !list_is_empty(&s->processes))
			return false;
	}
	return true;
}

static void forget_service(const struct service *gone)
{
	list_for_each(gl, &master.generations) {
		struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services) {
			struct service *s = list_entry(sl, struct service, link);

			if (s->before == gone)
				s->before = NULL;
		}
	}
}

/* Posted, since whoever found the last process gone may still look at its service. */
static void free_old_generations(void *arg)
{
	(void)arg;
	list_for_each_safe(l, tmp, &master.generations) {
		struct generation *g = list_entry(l, struct generation, link);

		if (!is_over(g))
			continue;
		list_for_each(sl, &g->services)
			forget_service(list_entry(sl, struct service, link));
		list_del(&g->link);
		generation_free(g);
	}
}

void generation_install(struct generation *g)
{
	struct generation *old = master.current;

	g->number = ++master.last_generation;
	list_add_tail(&master.generations, &g->link);
	master.current = g;
	list_for_each(l, &g->services) {
		struct service *s = list_entry(l, struct service, link);

		service_install(s, old == NULL ? NULL : find_same(old, s));
	}
	start_more();
	if (old == NULL)
		return;
	list_for_each(l, &old->services) {
		struct service *s = list_entry(l, struct service, link);

		if (!s->replaced && find_same(g, s) == NULL)
			service_drain(s);
	}
	loop_post(master.loop, free_old_generations, NULL);
}

static bool all_told(void)
{
	list_for_each(l, &master.current->services) {
		const struct service *s = list_entry(l, struct service, link);
		unsigned told = 0;

		list_for_each(pl, &s->processes)
			told += list_entry(pl, struct process, link)->own == 0 &&
				list_entry(pl, struct process, link)->told;
		if (told < s->process_count)
			return false;
	}
	return true;
}

/* Whoever waits for the start hears which services are up, and then that this was all. */
static void tell_starter(void)
{
	if (master.ready_fd < 0 || !all_told())
		return;
	list_for_each(l, &master.current->services) {
		const struct service *s = list_entry(l, struct service, link);

		list_for_each(pl, &s->processes) {
			const struct process *p = list_entry(pl, struct process, link);

			if (p->state != PROCESS_SERVING)
				dprintf(master.ready_fd,
				    "warning: service %s (%s) did not start: see the log\n",
				    s->name, s->program);
		}
	}
	dprintf(master.ready_fd, "ready\n");
	close(master.ready_fd);
	master.ready_fd = -1;
	if (master.started != NULL)
		master.started();
}

void service_result(struct service *s, bool ready)
{
	struct service *before = s->before;
	size_t have = process_total(s);

	if (ready && before != NULL) {
		s->before = NULL;
		service_drain(before);
	}
	if (ready && !s->replaced && s->serve_count == 0 && have < s->process_count)
		start_processes(s, (unsigned)have, s->process_count);
	start_more();
	tell_starter();
}

void service_is_busy(struct service *s)
{
	if (s->process_count >= s->busy_count)
		return;
	s->process_count = s->busy_count;
	if (!s->replaced && s->serve_count == 0)
		start_processes(s, (unsigned)process_total(s), s->process_count);
}

void service_wants_another(struct service *s, unsigned number)
{
	unsigned long most = s->serve_count == 0 ? 0 : s->session_limit / s->serve_count;

	if (s->replaced || master.stopping)
		return;
	if (most > 0 && process_total(s) >= most) {
		if (s->owed++ == 0)
			log_warning("service(%s): process_limit (%lu) reached, client connections "
				    "are being dropped",
			    s->name, most);
		return;
	}
	process_event(process_new(s, number), EVENT_START);
}

static bool nothing_runs(void)
{
	list_for_each(gl, &master.generations) {
		const struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services)
			if (!list_is_empty(&list_entry(sl, struct service, link)->processes))
				return false;
	}
	return true;
}

void service_process_gone(struct service *s, bool was_own)
{
	if (master.stopping) {
		if (nothing_runs())
			loop_stop(master.loop);
		return;
	}
	if (s->owed > 0 && !s->replaced && !was_own) {
		s->owed--;
		start_processes(s, 0, 1);
	}
	list_for_each(l, &master.current->services) {
		struct service *waits = list_entry(l, struct service, link);

		if (waits->waits_alone && !older_processes_exist(waits)) {
			waits->waits_alone = false;
			start_processes(waits, 0, 1);
		}
	}
	loop_post(master.loop, free_old_generations, NULL);
}

static void stop_service(struct service *s)
{
	loop_timer_cancel(master.loop, &s->wakeup);
	s->replaced = true;
	list_for_each_safe(l, tmp, &s->processes)
		process_event(list_entry(l, struct process, link), EVENT_STOP);
}

void generation_stop_all(int64_t timeout_ms)
{
	master.stopping = true;
	master.stop_timeout_ms = timeout_ms;
	loop_timer_cancel(master.loop, &socket_retry);
	list_for_each(gl, &master.generations) {
		struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services)
			stop_service(list_entry(sl, struct service, link));
	}
	if (nothing_runs())
		loop_stop(master.loop);
}

// SPDX-License-Identifier: BSD-2-Clause
/* Carries out what the matrix says. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "master/supervisor.h"
#include "server/anvil.h"
#include "server/contract.h"
#include "server/running.h"

#define START_TIMEOUT_MS 100000
#define KILL_AGAIN_MS	 5000
#define STOP_GRACE_MS	 1000  /* the daemon itself keeps to its time; this is for one that hangs */
#define ALONE_DRAIN_MS	 30000 /* its successor waits */
#define SHORT_LIFE_MS	 1000  /* one that dies so soon without a client is started with a pause */
#define SEND_TIMEOUT_MS	 1000

static void on_timer(struct loop_timer *timer)
{
	process_event(timer->arg, EVENT_TIMER);
}

static void set_timer(struct process *p, int64_t ms)
{
	p->timer.expired = on_timer;
	p->timer.arg = p;
	loop_timer_set(master.loop, &p->timer, deadline_in(ms));
}

static void clear_timer(struct process *p)
{
	loop_timer_cancel(master.loop, &p->timer);
}

struct process *process_new(struct service *s, unsigned number)
{
	struct process *p = xcalloc(1, sizeof(*p));

	p->service = s;
	p->number = number;
	p->state = PROCESS_WAITING;
	p->running_fd = -1;
	list_add_tail(&s->processes, &p->link);
	return p;
}

void process_send(struct process *p, struct msg_out *m, int fd)
{
	process_send_many(p, m, &fd, fd >= 0 ? 1 : 0);
}

void process_send_many(struct process *p, struct msg_out *m, const int *fds, size_t count)
{
	if (p->control == NULL)
		return;
	if (channel_send(p->control, m, fds, count, deadline_in(SEND_TIMEOUT_MS)) < 0)
		log_warning("process %s pid %d does not listen to master: %s", p->service->path,
		    (int)p->pid, strerror(errno));
}

void process_send_drain(struct process *p, bool reload)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_DRAIN);
	msg_add_u64(&m, "reload", reload);
	process_send(p, &m, -1);
	msg_release(&m);
}

static void close_control(struct process *p)
{
	if (p->control == NULL)
		return;
	loop_unwatch(master.loop, &p->watch);
	channel_free(p->control);
	p->control = NULL;
}

static unsigned count_within(uint64_t said, unsigned least)
{
	return said < least ? least : said > 1024 ? 1024 : (unsigned)said;
}

/* What a daemon says is small and believed as far as it concerns its own service. */
static void take_ready(struct process *p, const struct msg *m)
{
	uint64_t processes = 1, busy = 0, alone = 0, in_place = 0;
	struct service *s = p->service;

	(void)msg_get_u64(m, "processes", &processes);
	(void)msg_get_u64(m, "busy_processes", &busy);
	(void)msg_get_u64(m, "alone", &alone);
	(void)msg_get_u64(m, "in_place", &in_place);
	s->process_count = count_within(processes, s->process_count);
	s->busy_count = count_within(busy, s->process_count);
	s->alone = alone != 0;
	s->in_place = in_place != 0;
	process_event(p, EVENT_READY);
}

static void control_ready(struct loop_watch *watch, uint32_t events)
{
	struct process *p = watch->arg;
	enum channel_result result;
	struct msg_in in;

	(void)events;
	while ((result = channel_recv(p->control, &in, 0)) == CHANNEL_RECORD) {
		if (msg_is(&in.msg, CONTRACT_READY))
			take_ready(p, &in.msg);
		else if (msg_is(&in.msg, CONTRACT_RETIRE))
			process_event(p, EVENT_RETIRE);
		else if (msg_is(&in.msg, CONTRACT_BUSY))
			service_is_busy(p->service);
		else if (msg_is(&in.msg, CONTRACT_SUSPECT))
			quarantine_take(p, &in);
		else if (msg_is(&in.msg, CONTRACT_TOOK))
			p->took++;
		msg_in_release(&in);
	}
	/* It dies, which SIGCHLD tells. */
	if (result == CHANNEL_CLOSED)
		loop_unwatch(master.loop, watch);
}

static void close_running(struct process *p)
{
	if (p->running_fd >= 0)
		close(p->running_fd);
	p->running_fd = -1;
}

static void spawn(struct process *p)
{
	p->since = clock_ms();
	p->running_fd = running_new();
	p->pid = p->running_fd < 0 ? -1 : spawn_daemon(p, &p->control);
	if (p->pid < 0) {
		log_warning("cannot start %s: %s", p->service->path, strerror(errno));
		p->pid = 0;
		process_event(p, EVENT_EXIT_BAD);
		return;
	}
	p->service->started++;
	p->watch =
	    (struct loop_watch){ .fd = channel_fd(p->control), .ready = control_ready, .arg = p };
	if (loop_watch(master.loop, &p->watch, EPOLLIN) < 0)
		log_warning("cannot watch %s: %s", p->service->path, strerror(errno));
	set_timer(p, START_TIMEOUT_MS);
}

static void tell_result(struct process *p, bool ready)
{
	p->told = true;
	service_result(p->service, ready);
}

/* A client's own process that has died comes again with its next connection. */
static bool is_over(struct process *p)
{
	if (p->own == 0)
		return false;
	process_event(p, EVENT_DRAIN);
	return true;
}

static void throttle(struct process *p)
{
	int64_t ms = p->service->generation->throttle_ms;

	if (is_over(p))
		return;
	if (master.language == MASTER_POSTFIX)
		log_warning("%s: bad command startup -- throttling", p->service->path);
	else
		log_error("service(%s): command startup failed, throttling for %d.%03d secs",
		    p->service->name, (int)(ms / 1000), (int)(ms % 1000));
	set_timer(p, ms);
	tell_result(p, false);
}

/*
 * It had served, and is missed.  Whoever can make it die must not be able to keep it away from the
 * others, so only one that dies by itself has to wait.
 */
static void restart(struct process *p)
{
	if (is_over(p))
		return;
	if (clock_ms() - p->since < SHORT_LIFE_MS && !p->served)
		set_timer(p, SHORT_LIFE_MS);
	else
		process_event(p, EVENT_START);
}

static void process_free(struct process *p)
{
	struct service *s = p->service;
	const bool was_own = p->own != 0;

	clear_timer(p);
	close_control(p);
	close_running(p);
	list_del(&p->link);
	free(p);
	service_process_gone(s, was_own);
}

static void act(struct process *p, enum process_action action)
{
	switch (action) {
	case ACTION_NONE:
		break;
	case ACTION_SPAWN:
		spawn(p);
		break;
	case ACTION_SERVES:
		clear_timer(p);
		p->since = clock_ms();
		tell_result(p, true);
		break;
	case ACTION_REPLACE:
		clear_timer(p);
		if (p->own == 0)
			service_wants_another(p->service, p->number);
		else
			process_send_drain(p, true);
		break;
	case ACTION_KILL:
		log_warning("process %s pid %d hangs, killing it", p->service->path, (int)p->pid);
		kill(p->pid, SIGKILL);
		set_timer(p, KILL_AGAIN_MS);
		break;
	case ACTION_DRAIN:
		clear_timer(p);
		process_send_drain(p, true);
		if (p->service->alone)
			set_timer(p, ALONE_DRAIN_MS);
		break;
	case ACTION_STOP:
		process_send_drain(p, false);
		set_timer(
		    p, master.stop_timeout_ms > 0 ? master.stop_timeout_ms + STOP_GRACE_MS : 0);
		break;
	case ACTION_THROTTLE:
		throttle(p);
		break;
	case ACTION_AGAIN:
	case ACTION_CRASHED:
		restart(p);
		break;
	case ACTION_FREE:
		process_free(p);
		break;
	case ACTION_BUG:
		check_failed(__FILE__, __LINE__, "an event that the state cannot meet");
	}
}

void process_event(struct process *p, enum process_event event)
{
	struct process_step step = process_step(p->state, event);

	log_debug("%s process %u pid %d: %s, %s -> %s", p->service->name, p->number, (int)p->pid,
	    process_event_name(event), process_state_name(p->state), process_state_name(step.next));
	p->state = step.next;
	act(p, step.action);
}

static struct process *find_process(pid_t pid)
{
	list_for_each(gl, &master.generations) {
		struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services) {
			struct service *s = list_entry(sl, struct service, link);

			list_for_each(pl, &s->processes) {
				struct process *p = list_entry(pl, struct process, link);

				if (p->pid == pid)
					return p;
			}
		}
	}
	return NULL;
}

static void log_death(const struct process *p, int status)
{
	const struct service *s = p->service;
	int pid = (int)p->pid;

	if (master.language == MASTER_POSTFIX) {
		if (WIFSIGNALED(status))
			log_warning("process %s pid %d killed by signal %d", s->path, pid,
			    WTERMSIG(status));
		else if (WEXITSTATUS(status) != 0)
			log_warning(
			    "process %s pid %d exit status %d", s->path, pid, WEXITSTATUS(status));
		return;
	}
	if (WIFSIGNALED(status))
		log_error("service(%s): child %d killed with signal %d%s", s->name, pid,
		    WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : " (core not dumped)");
	else if (WEXITSTATUS(status) != 0)
		log_error(
		    "service(%s): child %d returned error %d", s->name, pid, WEXITSTATUS(status));
}

static bool we_killed(const struct process *p)
{
	return p->state == PROCESS_HUNG || p->state == PROCESS_KILLED;
}

void process_reap(void)
{
	struct process *p;
	int status;
	bool well;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		p = find_process(pid);
		if (p == NULL)
			continue; /* a child of a daemon that has gone: we are its reaper */
		well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		log_death(p, status);
		anvil_process_gone(master.shared, pid);
		p->served = !well && !we_killed(p) && quarantine_note_death(p);
		close_control(p);
		close_running(p);
		clear_timer(p);
		p->pid = 0;
		process_event(p, well ? EVENT_EXIT_OK : EVENT_EXIT_BAD);
	}
}

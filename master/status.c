// SPDX-License-Identifier: BSD-2-Clause
/*
 * What doveadm asks of a running master.  Whoever may connect to base_dir/master-status gets one
 * byte and a memory file with all there is to tell, and is let go of: nothing is read, and nobody
 * is waited for.
 *
 *	SERVICE name processes available process_limit client_limit throttle_secs
 *		exit_failure_last exit_failures_in_sec last_drop_warning listen_pending
 *		listening doveadm_stop total
 *	PROCESS name pid available total idle_start last_status_update last_kill_sent
 *	ERROR time level name text
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "log/log_ring.h"
#include "master/run.h"
#include "master/supervisor.h"
#include "sys/file.h"
#include "sys/socket.h"

#define BACKLOG	  16
#define STATE_MAX ((size_t)16 * 1024 * 1024)

static struct loop_watch watch = { .fd = -1 };
static char *path;

static bool is_alive(const struct process *p)
{
	return p->pid != 0;
}

static unsigned alive(const struct service *s)
{
	unsigned count = 0;

	list_for_each(l, &s->processes)
		count += is_alive(list_entry(l, struct process, link));
	return count;
}

/* A throttled service is the one whose process waits for its next start. */
static void add_service(struct strbuf *out, const struct service *s)
{
	unsigned count = alive(s);
	unsigned long limit = s->max_processes ? s->max_processes : s->session_limit;

	strbuf_addf(out, "SERVICE\t%s\t%u\t%u\t%lu\t%lu\t0\t0\t0\t0\tn\t%s\tn\t%lu\n", s->name,
	    count, count, limit, s->session_limit, count ? "n" : "y", s->started);
}

/* When a clock_ms was, by the calendar. */
static long long calendar(int64_t ms)
{
	return (long long)time(NULL) - (clock_ms() - ms) / 1000;
}

static void add_process(struct strbuf *out, const struct service *s, const struct process *p)
{
	strbuf_addf(out, "PROCESS\t%s\t%d\t%lu\t0\t0\t%lld\t0\n", s->name, (int)p->pid,
	    s->session_limit, calendar(p->since));
}

static void add_error(const struct log_ring_line *line, void *arg)
{
	static const char *const levels[] = { [LOG_LEVEL_WARNING] = "Warning",
		[LOG_LEVEL_ERROR] = "Error",
		[LOG_LEVEL_FATAL] = "Fatal" };

	if (line->level >= LOG_LEVEL_WARNING && line->level <= LOG_LEVEL_FATAL)
		strbuf_addf(arg, "ERROR\t%lld\t%s\t%s\t%s\n", (long long)line->time,
		    levels[line->level], line->name, line->text);
}

static void write_state(struct strbuf *out)
{
	list_for_each(l, &master.current->services)
		add_service(out, list_entry(l, struct service, link));
	list_for_each(gl, &master.generations) {
		struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services) {
			struct service *s = list_entry(sl, struct service, link);

			list_for_each(pl, &s->processes)
				if (is_alive(list_entry(pl, struct process, link)))
					add_process(out, s, list_entry(pl, struct process, link));
		}
	}
	if (master.errors != NULL)
		log_ring_each(master.errors, add_error, out);
}

static int make_file(void)
{
	struct strbuf out = STRBUF_INIT(STATE_MAX);
	int fd = memfd_create("master-status", MFD_CLOEXEC);

	write_state(&out);
	if (fd >= 0 && file_write_all(fd, strbuf_slice(&out)) < 0) {
		close(fd);
		fd = -1;
	}
	strbuf_release(&out);
	return fd;
}

static void on_connection(struct loop_watch *w, uint32_t events)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), file;

	(void)events;
	if (fd < 0)
		return;
	file = make_file();
	if (file >= 0) {
		(void)socket_send_fds(fd, "S", 1, &file, 1);
		close(file);
	}
	close(fd);
}

void status_open(const struct generation *g)
{
	path = xasprintf("%s/master-status", g->directory);
	watch = (struct loop_watch){ .fd = socket_unix_listen(
					 path, 0600, (uid_t)-1, (gid_t)-1, BACKLOG),
		.ready = on_connection };
	if (watch.fd < 0 || loop_watch(master.loop, &watch, EPOLLIN) < 0)
		log_warning("cannot listen on %s: %s", path, strerror(errno));
}

void status_close(void)
{
	if (watch.fd < 0)
		return;
	(void)unlink(path);
	close(watch.fd);
	watch.fd = -1;
	free(path);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The worker's end of a session's control socket: it stays open as long as the session, and a byte
 * that comes over it ends the session.  The watch belongs to the loop's thread and outlives the
 * session by the time that its removal takes.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "pop3d/pop3.h"

struct pop3_control {
	int fd;
	struct loop_watch watch;
	pthread_mutex_t lock;
	struct session *session; /* NULL: it is gone */
	bool *kicked;
};

static void ready(struct loop_watch *watch, uint32_t events)
{
	struct pop3_control *c = watch->arg;
	char byte;

	(void)events;
	/* An end is the front's, whose going others see to. */
	if (recv(c->fd, &byte, 1, MSG_DONTWAIT) == 1) {
		pthread_mutex_lock(&c->lock);
		if (c->session != NULL) {
			*c->kicked = true;
			session_wake(c->session);
		}
		pthread_mutex_unlock(&c->lock);
	}
	loop_unwatch(server_context()->loop, watch);
}

static void begin(void *arg)
{
	struct pop3_control *c = arg;

	(void)loop_watch(server_context()->loop, &c->watch, EPOLLIN);
}

static void drop(void *arg)
{
	struct pop3_control *c = arg;

	loop_unwatch(server_context()->loop, &c->watch);
	close(c->fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void pop3_control_begin(struct pop3 *p, int fd)
{
	struct pop3_control *c = xcalloc(1, sizeof(*c));

	c->fd = fd;
	c->session = &p->session;
	c->kicked = &p->kicked;
	c->watch = (struct loop_watch){ .fd = fd, .ready = ready, .arg = c };
	pthread_mutex_init(&c->lock, NULL);
	p->control = c;
	loop_post(server_context()->loop, begin, c);
}

void pop3_control_end(struct pop3 *p)
{
	struct pop3_control *c = p->control;

	if (c == NULL)
		return;
	p->control = NULL;
	pthread_mutex_lock(&c->lock);
	c->session = NULL;
	pthread_mutex_unlock(&c->lock);
	loop_post(server_context()->loop, drop, c);
}

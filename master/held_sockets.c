// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sockets outlive generations: one that the next configuration wants too stays as it is, with the
 * connections that wait in it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "master/supervisor.h"
#include "sys/socket.h"

#define BACKLOG	   4096
#define TRIGGER_MS 100

static struct held_socket *add(enum held_type type)
{
	struct held_socket *h = xcalloc(1, sizeof(*h));

	h->type = type;
	h->fd = -1;
	h->users = 1;
	list_add_tail(&master.held, &h->link);
	return h;
}

struct held_socket *held_inet(const struct net_addr *addr)
{
	struct held_socket *h;

	list_for_each(l, &master.held) {
		h = list_entry(l, struct held_socket, link);
		if (h->type == HELD_INET && net_addr_equal(&h->addr, addr) &&
		    net_addr_port(&h->addr) == net_addr_port(addr)) {
			h->users++;
			return h;
		}
	}
	h = add(HELD_INET);
	h->addr = *addr;
	return h;
}

static struct held_socket *find_unix(enum held_type type, const char *path)
{
	list_for_each(l, &master.held) {
		struct held_socket *h = list_entry(l, struct held_socket, link);

		if (h->type == type && strcmp(h->path, path) == 0)
			return h;
	}
	return NULL;
}

struct held_socket *held_unix(
    enum held_type type, const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	struct held_socket *h = find_unix(type, path);

	if (h != NULL) {
		h->users++;
	} else {
		h = add(type);
		h->path = xstrdup(path);
	}
	h->mode = mode;
	h->uid = uid;
	h->gid = gid;
	return h;
}

static void close_and_free(struct held_socket *h)
{
	if (h->fd >= 0) {
		close(h->fd);
		if (h->path != NULL)
			(void)unlink(h->path);
	}
	list_del(&h->link);
	free(h->path);
	free(h);
}

void held_release(struct held_socket *h)
{
	ASSERT(h->users > 0);
	if (--h->users == 0)
		close_and_free(h);
}

void held_close_all(void)
{
	list_for_each_safe(l, tmp, &master.held)
		close_and_free(list_entry(l, struct held_socket, link));
}

const char *held_name(const struct held_socket *h, char out[300])
{
	char text[NET_ADDR_TEXT];

	if (h->type == HELD_INET)
		snprintf(
		    out, 300, "%s port %u", net_addr_text(&h->addr, text), net_addr_port(&h->addr));
	else
		snprintf(out, 300, "%s", h->path);
	return out;
}

static int open_one(const struct held_socket *h)
{
	switch (h->type) {
	case HELD_INET:
		return socket_inet_listen(
		    (const struct sockaddr *)&h->addr.ss, h->addr.len, BACKLOG);
	case HELD_UNIX:
		return socket_unix_listen(h->path, h->mode, h->uid, h->gid, BACKLOG);
	case HELD_DGRAM:
		return socket_unix_dgram(h->path, h->mode, h->uid, h->gid);
	}
	return -1;
}

/* An open one keeps its place; only who may use it can have changed. */
static void adjust(const struct held_socket *h)
{
	if (h->path == NULL)
		return;
	if (lchown(h->path, h->uid, h->gid) < 0 || chmod(h->path, h->mode) < 0)
		log_warning("cannot give %s its owner and mode: %s", h->path, strerror(errno));
}

/*
 * A directory may come, and an address of IPv6 too: names such as localhost have one on hosts where
 * IPv6 is switched off.
 */
static bool may_come(const struct held_socket *h, int error)
{
	if (h->path != NULL)
		return error == ENOENT;
	return error == EADDRNOTAVAIL && h->addr.ss.ss_family == AF_INET6;
}

enum held_result held_open(struct held_socket *h, char why[256])
{
	char name[300];
	int error;

	if (h->fd >= 0) {
		adjust(h);
		return HELD_OPEN;
	}
	h->fd = open_one(h);
	if (h->fd >= 0)
		return HELD_OPEN;
	error = errno;
	snprintf(why, 256,
	    master.language == MASTER_POSTFIX ? "bind %.180s: %s" : "bind(%.180s) failed: %s",
	    held_name(h, name), strerror(error));
	return may_come(h, error) ? HELD_LATER : HELD_FAILED;
}

/* The same byte that Postfix's master sends. */
void held_trigger(const struct held_socket *h)
{
	int64_t deadline = deadline_in(TRIGGER_MS);
	int fd = -1;

	if (h->type == HELD_UNIX)
		fd = socket_unix_connect(h->path, deadline);
	else if (h->type == HELD_INET)
		fd = socket_connect((const struct sockaddr *)&h->addr.ss, h->addr.len, deadline);
	if (fd < 0)
		return;
	(void)!write(fd, "W", 2);
	close(fd);
}

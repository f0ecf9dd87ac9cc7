// SPDX-License-Identifier: BSD-2-Clause
/* From which address, and the connection itself. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "smtp/smtp_target_internal.h"
#include "sys/socket.h"

/* For IPv4 and IPv6. */
static struct bind_rule {
	bool set;
	struct net_addr addr; /* none: the parameter makes no sense, and no mail goes out */
} rules[2];

static void take_parameter(struct bind_rule *rule, const char *name, const char *value, int family)
{
	rule->set = *value;
	if (rule->set && (!net_addr_parse(slice_trim(slice_of(value), " \t[]"), 0, &rule->addr) ||
			     rule->addr.ss.ss_family != family)) {
		rule->addr.len = 0;
		log_warning("bad %s parameter: %s", name, value);
	}
}

/*
 * A host that receives mail on one address only sends from it, too: otherwise others would see it
 * come from an address that is not its name's.
 */
static void take_interface(struct bind_rule *rule, const char *interfaces, int family)
{
	struct slice rest = slice_of(interfaces), word;
	struct net_addr addr;
	size_t found = 0;

	while (slice_token(&rest, ", \t\r\n", &word)) {
		if (!net_addr_parse(slice_trim(word, "[]"), 0, &addr))
			return;
		if (addr.ss.ss_family != family)
			continue;
		rule->addr = addr;
		found++;
	}
	/* A loopback address reaches nobody else. */
	rule->set = found == 1 && !net_addr_is_loopback(&rule->addr);
}

void target_bind_prepare(const struct postfix_params *params)
{
	take_parameter(
	    &rules[0], SMTP_PARAM_NAME("bind_address"), SMTP_PARAM(bind_address), AF_INET);
	take_parameter(
	    &rules[1], SMTP_PARAM_NAME("bind_address6"), SMTP_PARAM(bind_address6), AF_INET6);
	if (!*SMTP_PARAM(bind_address))
		take_interface(&rules[0], params->inet_interfaces, AF_INET);
	if (!*SMTP_PARAM(bind_address6))
		take_interface(&rules[1], params->inet_interfaces, AF_INET6);
}

/* False with FAILURE: mail must not leave from another address. */
static bool bind_socket(int fd, int family, struct smtp_failure *failure)
{
	const struct bind_rule *rule = &rules[family == AF_INET6];
	char text[NET_ADDR_TEXT];

	if (!rule->set)
		return true;
	if (rule->addr.len) {
		if (bind(fd, (const struct sockaddr *)&rule->addr.ss, rule->addr.len) == 0)
			return true;
		log_warning("smtp_connect_addr: bind %s: %s", net_addr_text(&rule->addr, text),
		    strerror(errno));
		if (!SMTP_PARAM(bind_address_enforce))
			return true;
	}
	target_failed(failure, "4.4.0", "server configuration error");
	return false;
}

/* Before connect(2), so that the window can be scaled. */
static void set_window(int fd)
{
	int size = (int)smtp_params->tcp_windowsize;

	if (size <= 0)
		return;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == -1)
		log_warning("setsockopt of tcp_windowsize %d: %s", size, strerror(errno));
}

/* Connects FD, which stays blocking. */
static bool connect_socket(int fd, const struct net_addr *addr, int64_t deadline)
{
	int error = 0;
	socklen_t len = sizeof(error);
	bool connected;

	if (socket_nonblocking(fd, true) == -1)
		return false;
	connected = connect(fd, (const struct sockaddr *)&addr->ss, addr->len) == 0;
	if (!connected && errno != EINPROGRESS && errno != EINTR)
		return false;
	if (!connected) {
		int ready = socket_wait(fd, POLLOUT, deadline);

		if (ready == 0)
			errno = ETIMEDOUT;
		if (ready <= 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
			return false;
		errno = error;
	}
	return error == 0 && socket_nonblocking(fd, false) == 0;
}

static int connect_unix(const struct smtp_target *target, struct smtp_failure *failure)
{
	int fd = socket_unix_connect(target->path, smtp_deadline(SMTP_PARAM(connect_timeout)));

	if (fd == -1)
		target_failed(failure, "4.4.1", "connect to %s[%s]: %s", smtp_params->myhostname,
		    target->path, strerror(errno));
	return fd;
}

int smtp_target_connect(const struct smtp_target *target, struct smtp_failure *failure)
{
	int family = target->addr.ss.ss_family, fd;
	char text[NET_ADDR_TEXT];

	if (target->path)
		return connect_unix(target, failure);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1) {
		target_failed(failure, "4.3.0", "cannot make a socket: %s", strerror(errno));
		return -1;
	}
	set_window(fd);
	if (!bind_socket(fd, family, failure))
		goto close_socket;
	if (connect_socket(fd, &target->addr, smtp_deadline(SMTP_PARAM(connect_timeout))))
		return fd;
	target_failed(failure, "4.4.1", "connect to %s[%s]:%u: %s", target->host,
	    net_addr_text(&target->addr, text), target->port, strerror(errno));

close_socket:
	close(fd);
	return -1;
}

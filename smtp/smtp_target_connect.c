// SPDX-License-Identifier: BSD-2-Clause
/* From which address, and the connection itself. */
#include <errno.h>
#include <netinet/in.h>
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

static void set_window(int fd)
{
	int size = (int)smtp_params->tcp_windowsize;

	if (size > 0 && socket_buffers(fd, size) == -1)
		log_warning("cannot set tcp_windowsize %d: %s", size, strerror(errno));
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
	if (socket_connect_fd(fd, (const struct sockaddr *)&target->addr.ss, target->addr.len,
		smtp_deadline(SMTP_PARAM(connect_timeout))) == 0)
		return fd;
	target_failed(failure, "4.4.1", "connect to %s[%s]:%u: %s", target->host,
	    net_addr_text(&target->addr, text), target->port, strerror(errno));

close_socket:
	close(fd);
	return -1;
}

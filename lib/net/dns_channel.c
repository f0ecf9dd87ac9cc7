// SPDX-License-Identifier: BSD-2-Clause
#include "net/dns_channel.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/dns.h"

#define RESOLV_CONF "/etc/resolv.conf"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

/* resolv.conf as dns_open saw it, for each kind; a channel would be 70 KiB each. */
static struct kept {
	bool known;
	struct ares_options options;
	int mask;
	struct ares_addr_port_node *servers;
} kept[DNS_CHANNELS];

static char *own_servers;

static void start_library(void)
{
	ASSERT(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

/*
 * Without a search list but for the one kind: "host.example" of a client must not become
 * "host.example.our.domain".
 */
static bool channel_new(ares_channel *channel, enum dns_channel kind)
{
	char files_alone[] = "f";
	struct ares_options options = { .flags = ARES_FLAG_NOALIASES, .lookups = files_alone };
	int mask = ARES_OPT_FLAGS;

	if (kind == DNS_CHANNEL_HOSTS)
		mask |= ARES_OPT_LOOKUPS;
	else if (kind != DNS_CHANNEL_SEARCH)
		mask |= ARES_OPT_DOMAINS;
	if (kind == DNS_CHANNEL_RECORDS) {
		/* Answers longer than 512 bytes need not come by TCP. */
		options.flags |= ARES_FLAG_EDNS;
		options.ednspsz = DNS_UDP_SIZE;
		mask |= ARES_OPT_EDNSPSZ;
	}
	pthread_once(&library_once, start_library);
	return ares_init_options(channel, &options, mask) == ARES_SUCCESS;
}

static void forget_kept(struct kept *k)
{
	if (!k->known)
		return;
	ares_destroy_options(&k->options);
	ares_free_data(k->servers);
	k->known = false;
}

static void keep(struct kept *k, enum dns_channel kind)
{
	ares_channel channel;

	if (!channel_new(&channel, kind))
		return;
	k->known = ares_save_options(channel, &k->options, &k->mask) == ARES_SUCCESS;
	k->servers = NULL;
	if (k->known && ares_get_servers_ports(channel, &k->servers) != ARES_SUCCESS)
		forget_kept(k);
	ares_destroy(channel);
}

void dns_open(void)
{
	for (int kind = 0; kind < DNS_CHANNELS; kind++) {
		forget_kept(&kept[kind]);
		keep(&kept[kind], (enum dns_channel)kind);
	}
}

/* As what was kept says. */
static bool channel_again(ares_channel *channel, struct kept *k)
{
	if (ares_init_options(channel, &k->options, k->mask) != ARES_SUCCESS)
		return false;
	if (ares_set_servers_ports(*channel, k->servers) == ARES_SUCCESS)
		return true;
	ares_destroy(*channel);
	return false;
}

static bool channel_make(ares_channel *channel, enum dns_channel kind)
{
	bool made = kept[kind].known && access(RESOLV_CONF, R_OK) == -1
			? channel_again(channel, &kept[kind])
			: channel_new(channel, kind);

	if (!made)
		return false;
	if (!own_servers || ares_set_servers_ports_csv(*channel, own_servers) == ARES_SUCCESS)
		return true;
	ares_destroy(*channel);
	return false;
}

bool dns_use_server(const char *server)
{
	char *before = own_servers;
	ares_channel channel;

	own_servers = server ? xstrdup(server) : NULL;
	dns_files_changed();
	if (server && !channel_make(&channel, DNS_CHANNEL_DNS)) {
		free(own_servers);
		own_servers = before;
		return false;
	}
	if (server)
		ares_destroy(channel);
	free(before);
	return true;
}

bool dns_search_domain(size_t i, char domain[DNS_NAME_SIZE])
{
	struct ares_options options;
	ares_channel channel;
	bool found = false;
	int mask;

	if (!channel_make(&channel, DNS_CHANNEL_SEARCH))
		return false;
	if (ares_save_options(channel, &options, &mask) == ARES_SUCCESS) {
		found = (mask & ARES_OPT_DOMAINS) && i < (size_t)options.ndomains &&
			strlen(options.domains[i]) < DNS_NAME_SIZE;
		if (found)
			strcpy(domain, options.domains[i]);
		ares_destroy_options(&options);
	}
	ares_destroy(channel);
	return found;
}

bool dns_channel_open(ares_channel *channel, enum dns_channel kind, unsigned state)
{
	return dns_channel_take(kind, state, channel) || channel_make(channel, kind);
}

/* Milliseconds until the deadline or c-ares's next retry, whichever comes first. */
static int wait_ms(ares_channel channel, int64_t deadline)
{
	struct timeval max = { .tv_sec = 60 }, left;
	int ms = deadline_left(deadline), retry;

	ares_timeout(channel, &max, &left);
	/* Rounded up: a wait that ends too early would come back here at once. */
	retry = (int)(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
	return ms == -1 || retry < ms ? retry : ms;
}

static void process(ares_channel channel, const struct pollfd *polled, size_t count)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		short got = polled[i].revents;

		if (!got)
			continue;
		any = true;
		ares_process_fd(channel,
		    got & (POLLIN | POLLERR | POLLHUP) ? polled[i].fd : ARES_SOCKET_BAD,
		    got & (POLLOUT | POLLERR | POLLHUP) ? polled[i].fd : ARES_SOCKET_BAD);
	}
	/* Retries and time-outs. */
	if (!any)
		ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* Until every query of the channel has called back: true; or at the deadline, cancelled: false. */
static bool run(ares_channel channel, int64_t deadline)
{
	for (;;) {
		ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
		struct pollfd polled[ARES_GETSOCK_MAXNUM];
		/* Not its macros, which shift into an int's sign. */
		unsigned mask = (unsigned)ares_getsock(channel, sockets, ARES_GETSOCK_MAXNUM);
		size_t count = 0;

		for (int i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
			short events = (mask >> i & 1 ? POLLIN : 0) |
				       (mask >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0);

			if (events)
				polled[count++] =
				    (struct pollfd){ .fd = sockets[i], .events = events };
		}
		if (count == 0)
			return true;
		if (deadline_left(deadline) == 0) {
			ares_cancel(channel);
			return false;
		}
		if (poll(polled, count, wait_ms(channel, deadline)) >= 0)
			process(channel, polled, count);
	}
}

bool dns_channel_run(ares_channel channel, enum dns_channel kind, unsigned state, int64_t deadline)
{
	bool done = run(channel, deadline);

	/* One that was cancelled is not used again. */
	if (done)
		dns_channel_give(kind, state, channel);
	else
		ares_destroy(channel);
	return done;
}

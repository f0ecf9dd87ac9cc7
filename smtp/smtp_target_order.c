// SPDX-License-Identifier: BSD-2-Clause
/* In what order hosts are tried, and which of them are this one. */
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"
#include "rewrite/own_addr.h"
#include "smtp/smtp_target_internal.h"

static struct own_addrs own, proxies;

void target_own_prepare(const struct postfix_params *params)
{
	own_addrs_add(&own, "inet_interfaces", params->inet_interfaces);
	own_addrs_add(&proxies, "proxy_interfaces", params->proxy_interfaces);
}

bool target_is_own(const struct net_addr *addr)
{
	return own_addrs_have(&own, addr) || own_addrs_have(&proxies, addr);
}

size_t target_drop_own(struct smtp_target *list, size_t count, bool *found)
{
	unsigned best = 0;
	size_t kept = 0;

	*found = false;
	for (size_t i = 0; i < count; i++)
		if (target_is_own(&list[i].addr) && (!*found || list[i].preference < best)) {
			best = list[i].preference;
			*found = true;
		}
	for (size_t i = 0; i < count; i++)
		if (!*found || list[i].preference < best)
			list[kept++] = list[i];
	return kept;
}

static void swap(struct smtp_target *a, struct smtp_target *b)
{
	struct smtp_target kept = *a;

	*a = *b;
	*b = kept;
}

unsigned target_random_below(unsigned limit)
{
	unsigned value = 0;

	/* Nothing depends on its being hard to guess; without the call the order stays. */
	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
		return limit - 1;
	return value % limit;
}

static int rank(const struct smtp_target *target)
{
	return target_rules.first_family != AF_UNSPEC &&
	       target->addr.ss.ss_family != target_rules.first_family;
}

static bool is_before(const struct smtp_target *a, const struct smtp_target *b)
{
	if (a->preference != b->preference)
		return a->preference < b->preference;
	return rank(a) < rank(b);
}

void target_order(struct smtp_target *list, size_t count)
{
	if (SMTP_PARAM(randomize_addresses))
		for (size_t i = count; i > 1; i--)
			swap(&list[i - 1], &list[target_random_below((unsigned)i)]);
	/* Stable, and there are a few hundred at most. */
	for (size_t i = 1; i < count; i++)
		for (size_t j = i; j > 0 && is_before(&list[j], &list[j - 1]); j--)
			swap(&list[j], &list[j - 1]);
}

size_t target_balance(struct smtp_target *list, size_t count, size_t limit)
{
	size_t in[2] = { 0, 0 }, kept = 0, room[2];

	if (limit == 0 || count <= limit)
		return count;
	for (size_t i = 0; i < count; i++)
		in[list[i].addr.ss.ss_family == AF_INET6]++;
	if (!SMTP_PARAM(balance_inet_protocols) || limit == 1 || !in[0] || !in[1])
		return limit;
	/* Half for each, the odd one for the first; what one does not need is the other's. */
	bool first = list[0].addr.ss.ss_family == AF_INET6;
	room[first] = (limit + 1) / 2;
	room[!first] = limit / 2;
	for (int f = 0; f < 2; f++)
		if (in[f] < room[f]) {
			room[!f] += room[f] - in[f];
			room[f] = in[f];
		}
	for (size_t i = 0; i < count; i++) {
		bool f = list[i].addr.ss.ss_family == AF_INET6;

		if (room[f] == 0)
			continue;
		room[f]--;
		list[kept++] = list[i];
	}
	return kept;
}

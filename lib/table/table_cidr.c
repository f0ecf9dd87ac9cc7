// SPDX-License-Identifier: BSD-2-Clause
/*
 * cidr_table(5): networks, tried in order.  A rule about one family says nothing of the other, also
 * when it is negated.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "table/table_rules.h"

#define BLANKS " \t\r\n\v\f"

struct network {
	int family;
	unsigned char bytes[16];
	unsigned prefix;
	bool negated;
};

struct address {
	int family;
	unsigned char bytes[16];
};

static bool parse_address(struct slice text, struct address *address)
{
	char copy[INET6_ADDRSTRLEN];

	if (!text.len || text.len >= sizeof(copy) || slice_has_nul(text))
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	address->family = slice_find(text, ':') >= 0 ? AF_INET6 : AF_INET;
	return inet_pton(address->family, copy, address->bytes) == 1;
}

static unsigned bits_of(int family)
{
	return family == AF_INET6 ? 128 : 32;
}

/* Clears the bits behind PREFIX; true when there were some. */
static bool clear_host(unsigned char *bytes, unsigned prefix, unsigned bits)
{
	bool had = false;

	for (unsigned i = prefix; i < bits; i++) {
		unsigned char bit = (unsigned char)(0x80 >> (i % 8));

		had |= bytes[i / 8] & bit;
		bytes[i / 8] &= (unsigned char)~bit;
	}
	return had;
}

/* "1.2.3.0/24", "::/0", "[::1]", "[::]/0" is taken apart. */
struct pieces {
	struct slice address, mask;
	bool has_mask;
};

static bool take_pieces(struct rules *rules, unsigned line, struct slice text, struct pieces *p)
{
	struct slice rest = text;
	ptrdiff_t end;

	if (slice_starts(text, "[")) {
		end = slice_find(text, ']');
		if (end < 0) {
			rules_warn(rules, line,
			    "missing ']' character after \"%.*s\": skipping this rule",
			    SLICE_ARG(slice_first(text, 200)));
			return false;
		}
		p->address = slice_mem(text.ptr + 1, (size_t)end - 1);
		rest = slice_from(text, (size_t)end + 1);
		if (rest.len && rest.ptr[0] != '/') {
			rules_warn(rules, line, "garbage after \"%.*s]\": skipping this rule",
			    SLICE_ARG(slice_first(text, (size_t)end)));
			return false;
		}
		end = rest.len ? 0 : -1;
	} else {
		end = slice_find(text, '/');
		p->address = end < 0 ? text : slice_first(text, (size_t)end);
	}
	p->has_mask = end >= 0;
	p->mask = p->has_mask ? slice_from(rest, (size_t)end + 1) : SLICE_NULL;
	return true;
}

/* Messages show a network without its brackets, as the peer's do. */
static bool bad(struct rules *rules, unsigned line, const char *what, const struct pieces *p)
{
	rules_warn(rules, line, "%s \"%.*s%s%.*s\": skipping this rule", what,
	    SLICE_ARG(slice_first(p->address, 200)), p->has_mask ? "/" : "",
	    SLICE_ARG(slice_first(p->mask, 200)));
	return false;
}

static void warn_host_bits(
    struct rules *rules, unsigned line, const struct pieces *p, const struct network *n)
{
	char clean[INET6_ADDRSTRLEN];

	inet_ntop(n->family, n->bytes, clean, sizeof(clean));
	rules_warn(rules, line,
	    "non-null host address bits in \"%.*s/%.*s\", perhaps you should use \"%s/%u\" "
	    "instead: skipping this rule",
	    SLICE_ARG(p->address), SLICE_ARG(slice_first(p->mask, 200)), clean, n->prefix);
}

static bool parse_network(struct rules *rules, unsigned line, struct slice text, struct network *n)
{
	struct pieces p;
	struct address address;
	uint64_t prefix;

	if (!take_pieces(rules, line, text, &p))
		return false;
	if (p.has_mask && !slice_uint(p.mask, UINT32_MAX, &prefix))
		return bad(rules, line, "bad mask value in", &p);
	if (!parse_address(p.address, &address))
		return bad(
		    rules, line, p.has_mask ? "bad network value in" : "bad address pattern:", &p);
	n->family = address.family;
	memcpy(n->bytes, address.bytes, sizeof(n->bytes));
	n->prefix = bits_of(n->family);
	if (!p.has_mask)
		return true;
	if (prefix > n->prefix)
		return bad(rules, line, "bad mask length in", &p);
	n->prefix = (unsigned)prefix;
	if (!clear_host(n->bytes, n->prefix, bits_of(n->family)))
		return true;
	warn_host_bits(rules, line, &p, n);
	return false;
}

/* !NETWORK up to one of END. */
static struct network *take_network(
    struct rules *rules, unsigned line, struct cursor *c, const char *end)
{
	struct network *n = xcalloc(1, sizeof(*n));
	struct slice text;

	while (cursor_skip(c, "!")) {
		n->negated = !n->negated;
		cursor_span(c, BLANKS);
	}
	text = slice_trim(cursor_until(c, end), BLANKS);
	if (!text.len)
		rules_warn(rules, line, "no address pattern: skipping this rule");
	else if (parse_network(rules, line, text, n))
		return n;
	free(n);
	return NULL;
}

static void read_endif(struct rules *rules, struct slice line, unsigned number)
{
	if (slice_trim(slice_from(line, 5), BLANKS).len)
		rules_warn(rules, number, "garbage after ENDIF: skipping this rule");
	else if (!rules_endif(rules, number))
		rules_warn(rules, number, "ENDIF without IF: skipping this rule");
}

static void read_if(struct rules *rules, struct slice line, unsigned number)
{
	struct cursor c = cursor_of(slice_trim(slice_from(line, 2), BLANKS));
	struct network *n = take_network(rules, number, &c, "");

	if (n)
		rules_add(rules, RULE_IF, number, n, SLICE_NULL);
}

static void read_match(struct rules *rules, struct slice line, unsigned number)
{
	struct cursor c = cursor_of(line);
	struct network *n;
	struct slice result;

	cursor_span(&c, "!" BLANKS);
	cursor_until(&c, BLANKS);
	result = slice_trim(cursor_rest(&c), BLANKS);
	c = cursor_of(line);
	n = take_network(rules, number, &c, BLANKS);
	if (n && result.len && !slice_has_nul(result)) {
		rules_add(rules, RULE_MATCH, number, n, result);
		return;
	}
	if (n)
		rules_warn(rules, number, "no lookup result: skipping this rule");
	free(n);
}

static void cidr_line(struct rules *rules, struct slice line, unsigned number)
{
	if (rules_is_word(line, "endif"))
		read_endif(rules, line, number);
	else if (rules_is_word(line, "if"))
		read_if(rules, line, number);
	else
		read_match(rules, line, number);
}

static int cidr_try(
    const struct rules *rules, const struct rule *rule, const void *key, struct strbuf *value)
{
	const struct network *n = rule->condition;
	const struct address *address = key;
	unsigned whole = n->prefix / 8, rest = n->prefix % 8;
	bool inside;

	(void)rules;
	if (n->family != address->family)
		return 0;
	inside = memcmp(n->bytes, address->bytes, whole) == 0 &&
		 (!rest || (n->bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0);
	if (inside == n->negated)
		return 0;
	if (rule->kind == RULE_MATCH)
		strbuf_addstr(value, rule->result);
	return 1;
}

static const struct rules_type cidr_rules = {
	.name = "cidr",
	.line = cidr_line,
	.free_condition = free,
	.try = cidr_try,
};

/* Apart, for the fuzzer. */
void *table_cidr_parse(const char *path, struct slice text, unsigned flags);
void *table_cidr_parse(const char *path, struct slice text, unsigned flags)
{
	return rules_parse(&cidr_rules, path, text, flags);
}

static void *cidr_open(const char *name, unsigned flags, char **error)
{
	return rules_open(&cidr_rules, name, flags, error);
}

/* What is no address is in no network. */
static enum table_result cidr_get(void *impl, struct slice key, struct strbuf *value)
{
	struct address address;

	if (!parse_address(key, &address))
		return TABLE_NOT_FOUND;
	return rules_get(impl, &address, value);
}

const struct table_type table_type_cidr = {
	.name = "cidr",
	.is_pattern = true,
	.asks_nobody = true,
	.open = cidr_open,
	.free = rules_free,
	.get = cidr_get,
	.refresh = rules_refresh,
};

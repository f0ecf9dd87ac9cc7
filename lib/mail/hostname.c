// SPDX-License-Identifier: BSD-2-Clause
#include "mail/hostname.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/codec.h"

static bool label_is_valid(struct slice label)
{
	if (!label.len || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		char c = label.ptr[i];

		if (!ascii_isalnum(c) && c != '-' && c != '_' && !((unsigned char)c & 0x80))
			return false;
	}
	return true;
}

bool hostname_is_valid(struct slice name)
{
	struct slice rest = name;
	bool numeric = true;
	ptrdiff_t dot;

	if (!name.len || name.len > 255 || !utf8_is_valid(name))
		return false;
	for (size_t i = 0; i < name.len; i++)
		numeric &= ascii_isdigit(name.ptr[i]) || name.ptr[i] == '.';
	if (numeric)
		return false;
	while ((dot = slice_find(rest, '.')) >= 0) {
		if (!label_is_valid(slice_first(rest, (size_t)dot)))
			return false;
		rest = slice_from(rest, (size_t)dot + 1);
	}
	return label_is_valid(rest);
}

bool hostname_is_fqdn(struct slice name)
{
	return hostname_is_valid(name) && slice_find(name, '.') >= 0;
}

static bool parse_addr(int family, struct slice text)
{
	unsigned char bytes[16];
	char copy[64];

	if (!text.len || text.len >= sizeof(copy) || slice_has_nul(text))
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	return inet_pton(family, copy, bytes) == 1;
}

bool hostaddr_is_valid(struct slice text)
{
	return parse_addr(AF_INET, text) || parse_addr(AF_INET6, text);
}

bool address_literal_parse(struct slice text, struct slice *address)
{
	struct slice inner;

	if (text.len < 3 || text.ptr[0] != '[' || text.ptr[text.len - 1] != ']')
		return false;
	inner = slice_mem(text.ptr + 1, text.len - 2);
	if (slice_casestarts(inner, "IPv6:")) {
		*address = slice_from(inner, 5);
		return parse_addr(AF_INET6, *address);
	}
	*address = inner;
	return parse_addr(AF_INET, inner);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * An answer of the DNS: whatever the records say, they and their names lie within it, and a name
 * that is one for a host has no other bytes than such a name may have.
 */
#include <stdint.h>

#include "base/check.h"
#include "net/dns_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at_name(const struct dns_name *name)
{
	ASSERT(strlen(name->text) < DNS_NAME_SIZE - 1);
	if (*name->text)
		ASSERT(name->is_host && dns_name_is_host(name->text));
}

static void look_at_record(struct dns_record *record)
{
	struct cursor data = record->data;
	struct dns_name name;

	look_at_name(&record->owner);
	ASSERT(data.at <= data.in.len);
	if (dns_name_read(&data, &name))
		look_at_name(&name);
	ASSERT(data.at <= data.in.len);
	dns_u16_read(&record->data);
	if (dns_name_read(&record->data, &name))
		look_at_name(&name);
}

static void look_at_reply(const struct dns_reply *reply)
{
	size_t at = reply->answers_at, before;
	struct dns_record record;

	for (unsigned i = 0; i < reply->answers; i++) {
		before = at;
		ASSERT(dns_reply_next(reply, &at, &record));
		ASSERT(at > before && at <= reply->packet.len);
		look_at_record(&record);
	}
	ASSERT(!*reply->canonical || dns_name_is_host(reply->canonical));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned types[] = { DNS_TYPE_A, DNS_TYPE_MX, DNS_TYPE_TLSA };
	struct slice packet = slice_mem(data, size);
	struct dns_reply reply;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (dns_reply_parse(packet, "a.test", types[i], &reply))
			look_at_reply(&reply);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Addresses of a header lie in it, in order; a rewriting that changes nothing gives the same bytes;
 * one that changes all is read again as what was written.
 */
#include <stdint.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	struct slice value;
	const char *end;
	unsigned count;
};

static bool look(const struct header_address *a, void *arg)
{
	struct walk *w = arg;

	ASSERT(a->text.ptr >= w->end && a->text.len);
	ASSERT(a->text.ptr + a->text.len <= w->value.ptr + w->value.len);
	ASSERT(a->internal.len <= ADDRESS_MAX);
	w->end = a->text.ptr + a->text.len;
	w->count++;
	return true;
}

static bool keep(const struct header_address *a, struct strbuf *out, void *arg)
{
	(void)arg;
	strbuf_addslice(out, a->internal);
	return true;
}

static bool change(const struct header_address *a, struct strbuf *out, void *arg)
{
	(void)a;
	(void)arg;
	strbuf_addstr(out, "new@example.com");
	return true;
}

static void check_value(struct slice value)
{
	struct strbuf out = STRBUF_INIT(STRBUF_NO_LIMIT);
	struct walk w = { value, value.ptr, 0 }, again;

	header_each_address(value, look, &w);
	ASSERT(w.count <= HEADER_ADDRESSES_MAX);
	ASSERT(!header_rewrite_addresses(value, keep, NULL, &out));
	ASSERT(slice_eq(strbuf_slice(&out), value));
	strbuf_reset(&out);
	header_rewrite_addresses(value, change, NULL, &out);
	again = (struct walk){ strbuf_slice(&out), out.ptr, 0 };
	header_each_address(again.value, look, &again);
	ASSERT(again.count == w.count);
	strbuf_reset(&out);
	header_unfold(value, &out);
	ASSERT(slice_find(strbuf_slice(&out), '\n') < 0);
	strbuf_reset(&out);
	header_fold(SLICE_LIT("X"), value, &out);
	strbuf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_mem((const char *)data, size), name, value;
	time_t when;

	date_parse(text, &when);
	if (size && header_split(text, &name, &value)) {
		ASSERT(name.len && name.len <= HEADER_NAME_MAX);
		header_address_class(name, NULL);
		check_value(value);
	}
	if (size)
		check_value(text);
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/* Any text may stand in a template: it is expanded or refused, within the limit of the result. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "conf/dovecot_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice lookup(const char *name, void *arg)
{
	(void)arg;
	if (!strcmp(name, "user"))
		return SLICE_LIT("Alice@Example.ORG");
	return strcmp(name, "rip") ? SLICE_NULL : SLICE_LIT("");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	struct strbuf strict = STRBUF_INIT(4096), lenient = STRBUF_INIT(4096);
	char *error = NULL;
	const char *text;
	bool good;

	/* Rounds of a hash and regular expressions are the administrator's own time. */
	if (size > 4096 || memmem(data, size, "rounds", 6) || memchr(data, '~', size))
		return 0;
	text = arena_slicedup(&arena, slice_mem(data, size));
	good = dovecot_var_expand(&strict, text, lookup, NULL, &error);
	ASSERT(good == (error == NULL));
	ASSERT(strict.len <= strict.max);
	if (good) {
		ASSERT(dovecot_var_expand(&lenient, text, lookup, NULL, NULL));
		ASSERT(slice_eq(strbuf_slice(&strict), strbuf_slice(&lenient)));
	} else {
		dovecot_var_expand(&lenient, text, lookup, NULL, NULL);
	}
	free(error);
	strbuf_release(&strict);
	strbuf_release(&lenient);
	arena_release(&arena);
	return 0;
}

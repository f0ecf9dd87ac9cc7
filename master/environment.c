// SPDX-License-Identifier: BSD-2-Clause
/* Daemons get an environment that we made, not the one of whoever started us. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "master/supervisor.h"
#include "server/contract.h"

#define MAX_VARIABLES 100

static void put(char **list, size_t *n, char *text)
{
	if (*n < MAX_VARIABLES)
		list[(*n)++] = text;
	else
		free(text);
}

static void import(char **list, size_t *n, const char *word)
{
	const char *value;

	if (strchr(word, '=') != NULL)
		put(list, n, xstrdup(word));
	else if ((value = getenv(word)) != NULL)
		put(list, n, xasprintf("%s=%s", word, value));
}

#ifdef PC_SANITIZED
/*
 * Behind walls no process can make a file for its reports, or run what names functions: they go to
 * standard error, and so to master.
 */
static void import_sanitizers(char **list, size_t *n)
{
	static const char *const names[] = { "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
		"UBSAN_OPTIONS" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (getenv(names[i]) != NULL)
			put(list, n,
			    xasprintf(
				"%s=%s:log_path=stderr:symbolize=0", names[i], getenv(names[i])));
}
#endif

char **environment_new(const char *words)
{
	char **list = xcalloc(MAX_VARIABLES + 1, sizeof(*list));
	struct strbuf word = STRBUF_INIT(4096);
	size_t n = 0;

	put(list, &n, xstrdup(CONTRACT_ENV "=" CONTRACT_ENV_VALUE));
	put(list, &n, xstrdup("PATH=/usr/bin:/bin:/usr/sbin:/sbin"));
#ifdef PC_SANITIZED
	import_sanitizers(list, &n);
#endif
	while (postfix_list_next(&words, &word)) {
		import(list, &n, word.ptr);
		strbuf_reset(&word);
	}
	strbuf_release(&word);
	return list;
}

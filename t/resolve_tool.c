// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where does mail go, for t/peer_resolve.t.
 *
 *   resolve_tool DIR
 *	reads lines SENDER TAB ADDRESS and prints for each TRANSPORT TAB NEXTHOP TAB RECIPIENT TAB
 *	CLASS, with " routed" behind that where it is, or "! CODE TEXT".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/conf_error.h"
#include "rewrite/resolve.h"

static void answer(const struct resolver *resolver, char *line)
{
	static const char *const names[] = { "local", "alias", "mailbox", "relay", "default" };
	char *address = strchr(line, '\t');
	struct resolved res;
	struct reason why;

	ASSERT(address != NULL);
	*address++ = '\0';
	address[strcspn(address, "\n")] = '\0';
	resolved_init(&res);
	if (resolve(resolver, slice_of(address), slice_of(line), &res, &why))
		printf("%s\t%s\t%s\t%s%s\n", res.transport.ptr, res.nexthop.ptr, res.recipient.ptr,
		    names[res.class], res.routed ? " routed" : "");
	else
		printf("! %s %s\n", why.dsn, why.text);
	resolved_release(&res);
}

int main(int argc, char **argv)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct postfix_source *source;
	char line[10000];

	if (argc != 2) {
		fprintf(stderr, "usage: resolve_tool directory\n");
		return 2;
	}
	source = postfix_source_read(argv[1], &errors);
	if (source == NULL) {
		fprintf(stderr, "resolve_tool: no main.cf in %s\n", argv[1]);
		return 1;
	}
	struct postfix_params *params = postfix_params_new(source, NULL, &errors);
	struct resolver *resolver = resolver_new(params);

	while (fgets(line, sizeof(line), stdin) != NULL)
		answer(resolver, line);
	resolver_free(resolver);
	postfix_params_free(params);
	postfix_source_free(source);
	conf_errors_release(&errors);
	return 0;
}

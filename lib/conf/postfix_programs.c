// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_programs.h"

#include <string.h>

#include "base/check.h"
#include "conf/nearest.h"

static const struct postfix_program programs[] = {
	{ "anvil", PROGRAM_FOLDED, "smtpd", "" },
	{ "bounce", PROGRAM_RUNS, "", "" },
	{ "cleanup", PROGRAM_FOLDED, "smtpd, pickup and bounce", "" },
	{ "discard", PROGRAM_FOLDED, "qmgr", "" },
	{ "dnsblog", PROGRAM_ABSENT, "", "no DNS list is asked for postscreen" },
	{ "error", PROGRAM_FOLDED, "qmgr", "" },
	{ "flush", PROGRAM_FOLDED, "qmgr", "" },
	{ "lmtp", PROGRAM_RUNS, "", "" },
	{ "local", PROGRAM_ABSENT, "", "mail for it is deferred" },
	{ "nbdb_reindexd", PROGRAM_ABSENT, "", "no table is converted from Berkeley DB" },
	{ "pickup", PROGRAM_RUNS, "", "" },
	{ "pipe", PROGRAM_ABSENT, "", "mail for it is deferred" },
	{ "postlogd", PROGRAM_RUNS, "", "" },
	{ "postscreen", PROGRAM_ABSENT, "", "its port is not served" },
	{ "proxymap", PROGRAM_ABSENT, "", "lookups through it fail for now" },
	{ "qmgr", PROGRAM_RUNS, "", "" },
	{ "qmqpd", PROGRAM_ABSENT, "", "its port is not served" },
	{ "retry", PROGRAM_FOLDED, "qmgr", "" },
	{ "scache", PROGRAM_FOLDED, "smtp", "" },
	{ "showq", PROGRAM_FOLDED, "qmgr", "" },
	{ "smtp", PROGRAM_RUNS, "", "" },
	{ "smtpd", PROGRAM_RUNS, "", "" },
	{ "spawn", PROGRAM_ABSENT, "", "its program is not started" },
	{ "tlsmgr", PROGRAM_FOLDED, "smtpd and smtp", "" },
	{ "tlsproxy", PROGRAM_ABSENT, "", "postscreen offers no TLS" },
	{ "trivial-rewrite", PROGRAM_FOLDED, "smtpd and qmgr", "" },
	{ "verify", PROGRAM_FOLDED, "smtpd and qmgr", "" },
	{ "virtual", PROGRAM_RUNS, "", "" },
};

const struct postfix_program *postfix_program_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (strcmp(programs[i].name, name) == 0)
			return &programs[i];
	return NULL;
}

const char *postfix_program_nearest(const char *name)
{
	struct nearest nearest;
	nearest_init(&nearest, name);
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		nearest_try(&nearest, programs[i].name);
	return nearest.found;
}

bool postfix_is_transport(const struct postfix_service *service)
{
	static const char *const agents[] = { "discard", "error", "lmtp", "local", "pipe", "smtp",
		"virtual" };
	if (strcmp(service->type, "unix") != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(agents); i++)
		if (strcmp(agents[i], service->program) == 0)
			return true;
	return false;
}

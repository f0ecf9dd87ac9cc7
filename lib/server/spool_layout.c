// SPDX-License-Identifier: BSD-2-Clause
#include "server/spool_layout.h"

#include <stddef.h>

/* The peer's owners and modes: who may enter decides who may use the sockets and the queue. */
const struct spool_directory spool_directories[] = {
	{ "active", 0700, true, false },
	{ "bounce", 0700, true, false },
	{ "corrupt", 0700, true, false },
	{ "defer", 0700, true, false },
	{ "deferred", 0700, true, false },
	{ "flush", 0700, true, false },
	{ "hold", 0700, true, false },
	{ "incoming", 0700, true, false },
	{ "saved", 0700, true, false },
	{ "trace", 0700, true, false },
	{ "maildrop", 0730, true, true },
	{ "public", 0710, true, true },
	{ "private", 0700, true, false },
	{ "pid", 0755, false, false },
	{ NULL, 0, false, false },
};

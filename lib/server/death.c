// SPDX-License-Identifier: BSD-2-Clause
#include "server/death.h"

#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "server/running.h"

/* In one log line, and of those who come into quarantine; all are remembered. */
#define NAMES_SHOWN 10
/* From one table, so that no nonsense in it makes us forget those of the death before. */
#define NAMES_MAX (SUSPECTS_MAX / 2)

struct death {
	struct suspects *suspects;
	int64_t now, quarantine_ms;
	struct map seen;
	size_t quarantined;
	struct strbuf line;
};

static void see(const char *name, void *arg)
{
	struct death *d = arg;

	if (map_get_str(&d->seen, name) != NULL || d->seen.count >= NAMES_MAX)
		return;
	(void)map_put_str(&d->seen, name, d);
	if (d->seen.count <= NAMES_SHOWN) {
		strbuf_addstr(&d->line, d->seen.count > 1 ? ", " : "");
		strbuf_addstr(&d->line, name);
	}
	if (suspects_note(d->suspects, name, d->now, d->quarantine_ms) &&
	    d->quarantined++ < NAMES_SHOWN)
		log_warning("%s was in two processes that died: a process of its own for %lld s",
		    name, (long long)(d->quarantine_ms / 1000));
}

size_t death_examine(
    struct suspects *suspects, const char *path, int pid, int running_fd, int64_t quarantine_ms)
{
	struct death d = { .suspects = suspects,
		.now = clock_ms(),
		.quarantine_ms = quarantine_ms,
		.seen = MAP_INIT,
		.line = STRBUF_INIT(NAMES_SHOWN * (RUNNING_NAME + 2)) };
	size_t count;

	suspects_death(suspects);
	(void)running_read(running_fd, see, &d);
	count = d.seen.count;
	if (count > 0)
		log_warning("process %s pid %d died while it served %s%s", path, pid, d.line.ptr,
		    count > NAMES_SHOWN ? ", and others" : "");
	if (d.quarantined > NAMES_SHOWN)
		log_warning(
		    "and %zu others were in two processes that died", d.quarantined - NAMES_SHOWN);
	map_release(&d.seen, NULL);
	strbuf_release(&d.line);
	return count;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Flushing by domain (ETRN, postqueue -s).  Each message knows the domains of the recipients that
 * it still has, once it was read; those that were found in the spool and only waited since are read
 * by a worker at the first request, all in one job.  So a request costs a look at every message in
 * memory, and files are read once.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "qmgr/qmgr.h"

/* Of more than these a message counts as having recipients everywhere. */
#define SITES_MAX    64
#define REQUESTS_MAX 64

static uint64_t site_hash(struct slice domain)
{
	char lower[QUEUE_SITE_SIZE];
	size_t len = domain.len < sizeof(lower) ? domain.len : sizeof(lower);

	for (size_t i = 0; i < len; i++)
		lower[i] = ascii_lower(domain.ptr[i]);
	return map_hash(slice_mem(lower, len));
}

static void add_site(struct sites *sites, const char *address)
{
	const char *at = strrchr(address, '@');
	uint64_t hash;

	if (!at || sites->any)
		return;
	hash = site_hash(slice_of(at + 1));
	for (size_t i = 0; i < sites->count; i++)
		if (sites->hashes[i] == hash)
			return;
	if (sites->count == SITES_MAX) {
		sites->any = true;
		return;
	}
	sites->hashes = xreallocarray(sites->hashes, sites->count + 1, sizeof(*sites->hashes));
	sites->hashes[sites->count++] = hash;
}

void sites_release(struct sites *sites)
{
	free(sites->hashes);
	*sites = (struct sites){ .known = false };
}

void sites_of_envelope(struct sites *sites, const struct envelope *env)
{
	sites_release(sites);
	sites->known = true;
	for (size_t i = 0; i < env->recipient_count && !sites->any; i++)
		if (!env->recipients[i].done)
			add_site(sites, env->recipients[i].address);
}

static bool has_site(const struct sites *sites, uint64_t hash)
{
	bool found = sites->any;

	for (size_t i = 0; i < sites->count && !found; i++)
		found = sites->hashes[i] == hash;
	return found;
}

/* ---- messages that were not read yet ---- */

struct unread {
	char id[QUEUE_ID_SIZE];
	enum spool_queue queue;
	struct sites sites;
};

struct site_job {
	struct disk_job job;
	struct unread *list;
	size_t count;
};

static struct {
	bool running;
	size_t count; /* of requests that wait for the job's end */
	uint64_t hashes[REQUESTS_MAX];
} requests;

static void read_sites(struct unread *u)
{
	struct reason why = { .dsn = "" };
	struct envelope *env;
	int fd = spool_open_file(qm.spool, u->queue, u->id, O_RDONLY);

	if (fd == -1)
		return;
	env = envelope_read(fd, u->id, ENVELOPE_TRUST, &why);
	close(fd);
	if (env)
		sites_of_envelope(&u->sites, env);
	envelope_free(env);
}

static void site_work(struct disk_job *base)
{
	struct site_job *job = (struct site_job *)base;

	for (size_t i = 0; i < job->count; i++)
		read_sites(&job->list[i]);
}

static void take_sites(struct unread *u)
{
	struct message *m = message_find(u->id);

	if (m && !m->sites.known) {
		m->sites = u->sites;
		u->sites = (struct sites){ .known = false };
	}
	for (size_t i = 0; m && i < requests.count; i++)
		if (has_site(&m->sites, requests.hashes[i]))
			message_flush(u->id);
	sites_release(&u->sites);
}

static void site_done(struct disk_job *base)
{
	struct site_job *job = (struct site_job *)base;

	for (size_t i = 0; i < job->count; i++)
		take_sites(&job->list[i]);
	requests.running = false;
	requests.count = 0;
	free(job->list);
	free(job);
}

static void read_unread(size_t count)
{
	struct site_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct disk_job){ site_work, site_done };
	job->list = xcalloc(count, sizeof(*job->list));
	for (struct map_entry *e = map_next(&qm.messages, NULL); e && job->count < count;
	     e = map_next(&qm.messages, e)) {
		const struct message *m = e->value;

		if (m->sites.known || !m->named)
			continue;
		memcpy(job->list[job->count].id, m->id, sizeof(m->id));
		job->list[job->count++].queue = m->queue;
	}
	requests.running = true;
	disk_run(&job->job);
}

/* ---- requests ---- */

void site_flush(const char *site)
{
	uint64_t hash = site_hash(slice_of(site));
	size_t unread = 0, count;
	char **due = xcalloc(qm.messages.count + 1, sizeof(*due));

	count = 0;
	for (struct map_entry *e = map_next(&qm.messages, NULL); e; e = map_next(&qm.messages, e)) {
		struct message *m = e->value;

		unread += m->named && !m->sites.known;
		if (m->named && m->sites.known && has_site(&m->sites, hash))
			due[count++] = xstrdup(m->id);
	}
	for (size_t i = 0; i < count; i++) {
		message_flush(due[i]);
		free(due[i]);
	}
	free(due);
	if (unread == 0)
		return;
	/* Beyond that: whoever asked will ask again, and the job will have been through. */
	if (requests.count < REQUESTS_MAX)
		requests.hashes[requests.count++] = hash;
	if (!requests.running)
		read_unread(unread);
}

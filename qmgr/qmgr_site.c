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

#define REQUESTS_MAX 64

static uint32_t site_hash(struct slice domain)
{
	char lower[QUEUE_SITE_SIZE];
	size_t len = domain.len < sizeof(lower) ? domain.len : sizeof(lower);

	for (size_t i = 0; i < len; i++)
		lower[i] = ascii_lower(domain.ptr[i]);
	return (uint32_t)map_hash(slice_mem(lower, len));
}

static const uint32_t *hashes_of(const struct sites *sites)
{
	return sites->count > 1 ? sites->many : &sites->one;
}

static bool holds(const struct sites *sites, uint32_t hash)
{
	const uint32_t *hashes = hashes_of(sites);

	for (size_t i = 0; i < sites->count; i++)
		if (hashes[i] == hash)
			return true;
	return false;
}

static void append(struct sites *sites, uint32_t hash)
{
	uint32_t first = sites->one;

	if (sites->count == 0) {
		sites->one = hash;
	} else {
		sites->many = xreallocarray(
		    sites->count > 1 ? sites->many : NULL, sites->count + 1U, sizeof(*sites->many));
		if (sites->count == 1)
			sites->many[0] = first;
		sites->many[sites->count] = hash;
	}
	sites->count++;
}

static void add_site(struct sites *sites, const char *address)
{
	const char *at = strrchr(address, '@');
	uint32_t hash;

	if (!at || sites->any)
		return;
	hash = site_hash(slice_of(at + 1));
	if (holds(sites, hash))
		return;
	if (sites->count == SITES_MAX)
		sites->any = true;
	else
		append(sites, hash);
}

void sites_release(struct sites *sites)
{
	if (sites->count > 1)
		free(sites->many);
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

static bool has_site(const struct sites *sites, uint32_t hash)
{
	return sites->any || holds(sites, hash);
}

/* ---- messages that were not read yet ---- */

struct unread {
	char id[QUEUE_ID_SIZE];
	uint8_t queue; /* enum spool_queue */
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
	uint32_t hashes[REQUESTS_MAX];
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
	struct entry *e = entry_find(u->id);

	if (e && !e->sites.known) {
		e->sites = u->sites;
		u->sites = (struct sites){ .known = false };
	}
	for (size_t i = 0; e && i < requests.count; i++)
		if (has_site(&e->sites, requests.hashes[i]))
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

/* The sites of what is offered come with its attempt. */
static bool is_unread(const struct entry *e)
{
	return !e->sites.known && (!e->message || e->message->named);
}

static void read_unread(size_t count)
{
	struct site_job *job = xcalloc(1, sizeof(*job));

	job->job = (struct disk_job){ .work = site_work, .done = site_done };
	job->list = xcalloc(count, sizeof(*job->list));
	for (const struct entry *e = entry_next(NULL); e && job->count < count; e = entry_next(e)) {
		if (!is_unread(e))
			continue;
		strcpy(job->list[job->count].id, e->id);
		job->list[job->count++].queue = e->queue;
	}
	requests.running = true;
	disk_run(&job->job);
}

/* ---- requests ---- */

void site_flush(const char *site)
{
	uint32_t hash = site_hash(slice_of(site));
	size_t unread = 0;

	for (struct entry *e = entry_next(NULL); e; e = entry_next(e)) {
		unread += is_unread(e);
		if (e->sites.known && has_site(&e->sites, hash))
			message_make_due(e);
	}
	message_pump();
	if (unread == 0)
		return;
	/* Beyond that: whoever asked will ask again, and the job will have been through. */
	if (requests.count < REQUESTS_MAX)
		requests.hashes[requests.count++] = hash;
	if (!requests.running)
		read_unread(unread);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * ETRN (RFC 1985): the client's site comes to fetch its mail, that is, asks that delivery to it be
 * tried now.  For sites of fast_flush_domains, as smtpd_etrn_restrictions say.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/hostname.h"
#include "queue/queue_control.h"
#include "smtpd/smtpd.h"

/* For qmgr's word that it has begun. */
#define FLUSH_LIMIT_MS 10000

static bool is_site(struct slice site)
{
	struct slice address;

	return site.len < QUEUE_SITE_SIZE &&
	       (hostname_is_valid(site) || address_literal_parse(site, &address));
}

static bool flush(const char *site)
{
	const struct postfix_params *p = smtpd_server.params;
	char *socket = xasprintf("%s/public/%s", p->queue_directory, p->queue_service_name);
	bool done = queue_control_flush_site(socket, site, deadline_in(FLUSH_LIMIT_MS));

	free(socket);
	return done;
}

static void flush_site(struct smtpd *s, const char *site)
{
	struct restrict_verdict verdict;

	if (!smtpd_check_etrn(s, site, &verdict)) {
		smtpd_reply_verdict(s, &verdict);
		return;
	}
	switch (match_list_domain(smtpd_server.fast_flush_domains, slice_of(site))) {
	case MATCH_NO:
		log_warning("reject: ETRN %s... from %s", site, s->name_addr);
		smtpd_reply(s, 459, NULL, "<%s>: service unavailable", site);
		return;
	case MATCH_ERROR:
		smtpd_reply(s, 458, NULL, "Unable to queue messages");
		return;
	case MATCH_YES:
		break;
	}
	if (flush(site)) {
		smtpd_reply(s, 250, NULL, "Queuing started");
	} else {
		log_warning("unable to talk to fast flush service");
		smtpd_reply(s, 458, NULL, "Unable to queue messages");
	}
}

void smtpd_etrn(struct smtpd *s, struct slice args)
{
	struct slice rest = args, site;

	if (s->transaction != NULL) {
		smtpd_reply(s, 503, NULL, "Error: MAIL transaction in progress");
		return;
	}
	if (!slice_token(&rest, " \t", &site) || slice_trim(rest, " \t").len > 0) {
		smtpd_reply(s, 500, NULL, "Syntax: ETRN domain");
		return;
	}
	/* RFC 1985 5.3: "@domain" is with its subdomains, "#queue" is a name of ours. */
	if (slice_starts(site, "@") || slice_starts(site, "#"))
		site = slice_from(site, 1);
	if (!is_site(site)) {
		smtpd_reply(s, 501, NULL, "Error: invalid parameter syntax");
		return;
	}
	struct arena arena = { 0 };

	flush_site(s, arena_slicedup(&arena, site));
	arena_release(&arena);
}

// SPDX-License-Identifier: BSD-2-Clause
/* What the postmaster is told of a session (notify_classes). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "server/pool.h"
#include "server/server.h"
#include "smtpd/smtpd.h"

/* The last digits of enhanced codes say what was wrong; the first row that fits counts. */
static const struct {
	unsigned code; /* 0: any */
	const char *detail;
	unsigned class;
} classes[] = {
	{ 421, ".3", 0 }, /* our own end */
	{ 421, ".4", 0 }, /* a client's silence */
	{ 0, ".3.5", TRANSCRIPT_SOFTWARE },
	{ 0, ".3.1", TRANSCRIPT_RESOURCE },
	{ 0, ".3.4", TRANSCRIPT_POLICY }, /* too large */
	{ 0, ".3.", TRANSCRIPT_SOFTWARE },
	{ 0, ".1.1", TRANSCRIPT_BOUNCE },
	{ 0, ".4.0", TRANSCRIPT_BOUNCE }, /* a loop */
	{ 0, ".5.3", 0 },		  /* too many recipients: a client that goes on later */
	{ 421, ".7.0", TRANSCRIPT_PROTOCOL },
	{ 503, ".7.0", TRANSCRIPT_PROTOCOL },
	{ 0, ".7.", TRANSCRIPT_POLICY },
};

static unsigned class_of(unsigned code, const char *dsn)
{
	const char *detail = dsn != NULL && *dsn ? dsn + 1 : "";

	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if ((classes[i].code == 0 || classes[i].code == code) &&
		    strncmp(detail, classes[i].detail, strlen(classes[i].detail)) == 0)
			return classes[i].class;
	return TRANSCRIPT_PROTOCOL;
}

void smtpd_notify_of_reply(struct smtpd *s, unsigned code, const char *dsn, struct slice text)
{
	if (code < 400)
		return;
	/* Nobody's fault on the other side: a disk that is full. */
	if (slice_find_str(text, "queue file write error") >= 0)
		s->transcript.classes |= TRANSCRIPT_RESOURCE;
	else if (slice_find_str(text, "message file too big") >= 0)
		s->transcript.classes |= TRANSCRIPT_BOUNCE;
	else
		s->transcript.classes |= class_of(code, dsn);
}

/* What is configured refused it, unless a table or the configuration itself failed. */
void smtpd_notify_of_verdict(struct smtpd *s, const char *dsn)
{
	const char *detail = *dsn ? dsn + 1 : "";

	s->transcript.classes |= strcmp(detail, ".3.5") == 0   ? TRANSCRIPT_SOFTWARE
				 : strcmp(detail, ".3.0") == 0 ? TRANSCRIPT_DATA
				 : strcmp(detail, ".1.1") == 0 ? TRANSCRIPT_BOUNCE
							       : TRANSCRIPT_POLICY;
}

/* Outlives the session: whoever closes one does not wait for a disk. */
struct job {
	struct transcript transcript;
	char *subject;
	const char *reason;
};

static void send_transcript(void *arg)
{
	struct job *job = arg;
	const struct internal_mail mail = {
		.service = smtpd_server.intake,
		.params = smtpd_server.params,
		.rewriter = smtpd_server.rewriter,
	};

	transcript_send(&job->transcript, &mail, job->subject, job->reason);
	transcript_release(&job->transcript);
	free(job->subject);
	free(job);
	server_hold(-1);
}

static const char *reason_of(const struct smtpd *s)
{
	enum stream_error error = stream_error(s->session.stream);

	if (error == STREAM_OK || s->where == NULL)
		return NULL;
	return error == STREAM_TIMEOUT ? "timeout" : "lost connection";
}

void smtpd_notify_at_end(struct smtpd *s)
{
	struct job *job;

	if ((s->transcript.classes & smtpd_server.notified) == 0) {
		transcript_release(&s->transcript);
		return;
	}
	job = xcalloc(1, sizeof(*job));
	job->transcript = s->transcript;
	s->transcript = (struct transcript){ .classes = 0 };
	job->subject = xasprintf("SMTP server: errors from %s", s->name_addr);
	job->reason = reason_of(s);
	server_hold(1);
	pool_run(send_transcript, job);
}

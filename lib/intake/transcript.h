// SPDX-License-Identifier: BSD-2-Clause
/*
 * The transcript of an SMTP session, which the postmaster gets when something in it was of a class
 * in notify_classes.  It never has what may be a password: who adds lines sees to that.
 *
 * A transcript belongs to one session and costs nothing before its first line.
 */
#ifndef PC_INTAKE_TRANSCRIPT_H
#define PC_INTAKE_TRANSCRIPT_H

#include "base/strbuf.h"
#include "intake/internal_mail.h"

/* Words of notify_classes; what is wrong with a session is one bit or more. */
enum transcript_class {
	TRANSCRIPT_BOUNCE = 1,	 /* mail was refused that could not be delivered */
	TRANSCRIPT_POLICY = 2,	 /* a request was refused by what is configured */
	TRANSCRIPT_PROTOCOL = 4, /* the other side does not speak SMTP well */
	TRANSCRIPT_RESOURCE = 8, /* a disk is full, ... */
	TRANSCRIPT_SOFTWARE = 16,
	TRANSCRIPT_DATA = 32 /* a table could not be asked */
};
/* Of notify_classes. */
unsigned transcript_classes(const struct postfix_params *params);

/* What a session says beyond this is left out. */
#define TRANSCRIPT_MAX ((size_t)16 * 1024)

struct transcript {
	struct strbuf lines;
	bool cut;
	unsigned classes; /* what was wrong so far */
};

/* DIRECTION '<': what the other side said, '>': what we said; one or more lines. */
void transcript_add(struct transcript *t, char direction, struct slice lines);
void transcript_release(struct transcript *t);

/*
 * Sends T, if there is anything wrong that notify_classes names.  MAIL has its first three members
 * set; SUBJECT is "SMTP server: errors from NAME[ADDRESS]", REASON why the session was aborted, or
 * NULL.  Blocks for the disk; a failure is a warning in the log.
 */
void transcript_send(const struct transcript *t, const struct internal_mail *mail,
    const char *subject, const char *reason);

#endif

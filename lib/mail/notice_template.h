// SPDX-License-Identifier: BSD-2-Clause
/*
 * What notices to senders say before they say which recipients they are about: templates, and the
 * file in which an administrator keeps his own (bounce_template_file).
 *
 *	failure_template = <<EOF
 *	Subject: Your mail came back
 *
 *	This is the mail system at host $myhostname.
 *	EOF
 *
 * Between templates there may be blank lines and comments.  The word behind "<<" is any.
 */
#ifndef PC_MAIL_NOTICE_TEMPLATE_H
#define PC_MAIL_NOTICE_TEMPLATE_H

#include "base/strbuf.h"

/* Failure, delay, success and verify, in this order. */
#define NOTICE_TEMPLATES     4
#define NOTICE_TEMPLATE_FILE ((size_t)1 << 20)

struct notice_template {
	const char *name; /* "failure" */
	const char *charset, *from, *subject;
	const char *postmaster_subject; /* NULL: there is no copy for postmasters */
	const char *body;		/* lines; names of parameters in it are not replaced */
};

/* What is said where there is no file. */
const struct notice_template *notice_template_default(size_t i);

struct notice_template_file {
	struct notice_template templates[NOTICE_TEMPLATES];
	char *texts[NOTICE_TEMPLATES]; /* what they refer to */
};
/*
 * Reads TEXT; a template that is not in it is the default, and so is a header that one lacks.
 * What is wrong is told to WARN and ignored.
 */
void notice_template_parse(struct notice_template_file *file, struct slice text,
    void (*warn)(unsigned line, const char *text, void *arg), void *arg);
void notice_template_release(struct notice_template_file *file);

#endif

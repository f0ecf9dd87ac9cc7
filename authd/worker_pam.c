// SPDX-License-Identifier: BSD-2-Clause
/*
 * PAM.  The modules know the user's name, the client's address and the password; what they say in
 * the conversation goes to the client with failure_show_msg only.  Where they wait the process
 * waits: it is killed when authd has waited long enough.
 */
#include <errno.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "authd/database_list.h"
#include "authd/mismatch.h"
#include "authd/worker_args.h"
#include "authd/worker_child.h"
#include "authd/worker_proto.h"
#include "base/check.h"
#include "base/digest.h"

#define PAM_DIRECTORY "/etc/pam.d"
#define TTY	      "dovecot" /* what pam_access(8) and others know us by */
#define MESSAGE_MAX   1000

struct conversation {
	const struct database *db;
	struct subject *subject;
	const char *service, *password;
	pam_handle_t *pam;
	struct strbuf messages;
};

/* --- the conversation --- */

static void keep_message(struct conversation *c, const char *text)
{
	if (!text || strcmp(worker_option(c->db, "failure_show_msg"), "yes") != 0)
		return;
	strbuf_addstr(&c->messages, c->messages.len ? "\n" : "");
	strbuf_addstr(&c->messages, text);
}

/* The replies are PAM's to free, each by itself. */
static void free_replies(struct pam_response *replies, int count)
{
	for (int i = 0; i < count; i++)
		if (replies[i].resp) {
			secret_clear(replies[i].resp, strlen(replies[i].resp));
			free(replies[i].resp);
		}
	free(replies);
}

static bool reply_to(struct conversation *c, const struct pam_message *m, struct pam_response *r)
{
	switch (m->msg_style) {
	case PAM_PROMPT_ECHO_ON:
		r->resp = strdup(c->subject->user);
		return r->resp != NULL;
	case PAM_PROMPT_ECHO_OFF:
		r->resp = strdup(c->password);
		return r->resp != NULL;
	case PAM_ERROR_MSG:
	case PAM_TEXT_INFO:
		keep_message(c, m->msg);
		return true;
	}
	return false;
}

static int converse(
    int count, const struct pam_message **messages, struct pam_response **replies, void *arg)
{
	struct pam_response *list;

	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	list = calloc((size_t)count, sizeof(*list));
	if (!list)
		return PAM_BUF_ERR;
	for (int i = 0; i < count; i++)
		if (!reply_to(arg, messages[i], &list[i])) {
			free_replies(list, count);
			return PAM_CONV_ERR;
		}
	*replies = list;
	return PAM_SUCCESS;
}

/* --- the steps --- */

static int log_failure(const struct conversation *c, const char *call, int status)
{
	subject_log(c->subject, LOG_LEVEL_ERROR, c->db->driver_name, "%s() failed: %s", call,
	    pam_strerror(c->pam, status));
	return status;
}

/* A service that nobody has set up looks like a wrong password everywhere else.  Said once. */
static bool has_no_file(const char *service, char *path, size_t size)
{
	static bool was_looked_for;

	if (was_looked_for)
		return false;
	was_looked_for = true;
	snprintf(path, size, PAM_DIRECTORY "/%s", service);
	return access(path, F_OK) == -1 && errno == ENOENT;
}

static void log_refusal(const struct conversation *c, int status)
{
	char path[512];

	if (has_no_file(c->service, path, sizeof(path)))
		subject_log(c->subject, LOG_LEVEL_ERROR, c->db->driver_name,
		    "pam_authenticate() failed: %s (%s missing?)", pam_strerror(c->pam, status),
		    path);
	else if (status == PAM_USER_UNKNOWN)
		mismatch_log(c->subject, c->db, slice_of(c->password), "unknown user");
	else if (c->db->verbose)
		subject_log(c->subject, LOG_LEVEL_INFO, c->db->driver_name,
		    "pam_authenticate() failed: %s%s", pam_strerror(c->pam, status),
		    status == PAM_AUTH_ERR ? " (Password mismatch?)" : "");
}

/* These shouldn't fail, and nothing follows from it when they do. */
static void set_items(const struct conversation *c)
{
	if (*c->subject->remote_ip)
		(void)pam_set_item(c->pam, PAM_RHOST, c->subject->remote_ip);
	(void)pam_set_item(c->pam, PAM_RUSER, c->subject->user);
	(void)pam_set_item(c->pam, PAM_TTY, TTY);
}

static bool wants(const struct conversation *c, const char *option)
{
	return !strcmp(worker_option(c->db, option), "yes");
}

static int open_and_close_session(const struct conversation *c)
{
	int status = pam_open_session(c->pam, 0);

	if (status != PAM_SUCCESS)
		return log_failure(c, "pam_open_session", status);
	status = pam_close_session(c->pam, 0);
	return status == PAM_SUCCESS ? status : log_failure(c, "pam_close_session", status);
}

/* A module may have given the user another name. */
static int take_user(const struct conversation *c, struct db_entry *entry)
{
	const void *item = NULL;
	int status = pam_get_item(c->pam, PAM_USER, &item);

	if (status != PAM_SUCCESS || !item)
		return log_failure(c, "pam_get_item(PAM_USER)", status);
	pairs_set(&entry->fields, c->subject->arena, "user", item);
	return PAM_SUCCESS;
}

static int take_steps(const struct conversation *c, struct db_entry *entry)
{
	int status = pam_authenticate(c->pam, 0);

	if (status != PAM_SUCCESS) {
		log_refusal(c, status);
		return status;
	}
	if (wants(c, "setcred") &&
	    (status = pam_setcred(c->pam, PAM_ESTABLISH_CRED)) != PAM_SUCCESS)
		return log_failure(c, "pam_setcred", status);
	if ((status = pam_acct_mgmt(c->pam, 0)) != PAM_SUCCESS)
		return log_failure(c, "pam_acct_mgmt", status);
	if (wants(c, "session") && (status = open_and_close_session(c)) != PAM_SUCCESS)
		return status;
	return take_user(c, entry);
}

static enum db_result result_of(int status)
{
	switch (status) {
	case PAM_SUCCESS:
		return DB_OK;
	case PAM_USER_UNKNOWN:
		return DB_UNKNOWN;
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_ACCT_EXPIRED:
		return DB_EXPIRED;
	default:
		return DB_MISMATCH;
	}
}

/* From pam_start to pam_end. */
static enum db_result converse_once(struct conversation *c, struct db_entry *entry)
{
	const struct pam_conv conv = { converse, c };
	int status = pam_start(c->service, c->subject->user, &conv, &c->pam), end;

	if (status != PAM_SUCCESS) {
		(void)log_failure(c, "pam_start", status);
		return DB_FAILED;
	}
	set_items(c);
	status = take_steps(c, entry);
	end = pam_end(c->pam, status);
	if (end == PAM_SUCCESS)
		return result_of(status);
	subject_log(c->subject, LOG_LEVEL_ERROR, c->db->driver_name, "pam_end() failed: %s",
	    pam_strerror(NULL, end));
	return DB_FAILED;
}

/* Modules leak: after so many requests another process goes on. */
static void count_request(const struct database *db)
{
	static unsigned served[WORKER_PLACE_MAX];
	uint64_t limit = 0;

	(void)slice_uint(slice_of(worker_option(db, "max_requests")), UINT32_MAX, &limit);
	if (limit && db->position < WORKER_PLACE_MAX && ++served[db->position] >= limit)
		worker_child_retire();
}

static enum db_result pam_verify(const struct database *db, struct subject *subject,
    struct slice password, struct db_entry *entry)
{
	struct conversation c = {
		.db = db, .subject = subject, .messages = STRBUF_INIT(MESSAGE_MAX)
	};
	enum db_result result;
	const char *error;

	c.service = subject_expand(subject, worker_option(db, "service"), &error);
	if (!c.service) {
		subject_log(subject, LOG_LEVEL_ERROR, db->driver_name, "service: %s", error);
		return DB_FAILED;
	}
	/* PAM's texts end at a NUL: "secret\0x" is not "secret". */
	if (slice_has_nul(password))
		return DB_MISMATCH;
	c.password = arena_slicedup(subject->arena, password);
	result = converse_once(&c, entry);
	secret_clear((void *)(uintptr_t)c.password, password.len);
	if (result != DB_OK && c.messages.len)
		pairs_set(&entry->fields, subject->arena, "reason", c.messages.ptr);
	strbuf_release(&c.messages);
	count_request(db);
	return result;
}

const struct db_driver pam_driver = {
	.name = "pam",
	.verify = pam_verify,
	.parse = worker_parse_pam,
};

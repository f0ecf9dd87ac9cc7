// SPDX-License-Identifier: BSD-2-Clause
/* For t/auth_worker.t: a PAM module that does to its process what the user's name says. */
#include <fcntl.h>
#include <security/pam_modules.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_FD 6
#define MARK   "/tmp/hostile" /* what is opened in place of other descriptors */

static void do_ok(pam_handle_t *pam)
{
	(void)pam;
}

static void do_hang(pam_handle_t *pam)
{
	(void)pam;
	for (;;)
		pause();
}

/* It cannot be asked to end, only killed. */
static void do_deaf(pam_handle_t *pam)
{
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_IGN);
	do_hang(pam);
}

static void do_crash(pam_handle_t *pam)
{
	(void)pam;
	raise(SIGSEGV);
}

static void do_abort(pam_handle_t *pam)
{
	(void)pam;
	abort();
}

static void do_exit(pam_handle_t *pam)
{
	(void)pam;
	exit(0);
}

static void do_print(pam_handle_t *pam)
{
	(void)pam;
	for (int i = 0; i < 10000; i++)
		puts("ANSWER OK ANSWER OK ANSWER OK ANSWER OK");
	fflush(stdout);
}

/* All but the log. */
static void do_close(pam_handle_t *pam)
{
	(void)pam;
	for (int i = 0; i < 1024; i++)
		if (i != LOG_FD)
			close(i);
}

static void do_replace(pam_handle_t *pam)
{
	do_close(pam);
	close(LOG_FD);
	for (int i = 0; i < 64; i++)
		(void)!open(MARK, O_RDWR | O_CREAT | O_APPEND, 0600);
}

static void do_fork(pam_handle_t *pam)
{
	if (fork() == 0)
		do_deaf(pam);
}

/* What has the connection open stays, and the worker goes. */
static void do_leave(pam_handle_t *pam)
{
	if (fork() == 0) {
		setsid();
		alarm(0);
		sleep(600);
		_exit(0);
	}
	do_crash(pam);
}

static void do_become(pam_handle_t *pam)
{
	(void)pam;
	(void)!setuid(65534);
}

static void do_rename(pam_handle_t *pam)
{
	(void)pam_set_item(pam, PAM_USER, "other");
}

static int talk(pam_handle_t *pam, int count, int style, const char *text)
{
	struct pam_message messages[64], *list[64];
	struct pam_response *replies = NULL;
	const struct pam_conv *conv;
	const void *item;
	int status;

	if (pam_get_item(pam, PAM_CONV, &item) != PAM_SUCCESS)
		return PAM_CONV_ERR;
	conv = item;
	for (int i = 0; i < 64; i++) {
		messages[i] = (struct pam_message){ style, text };
		list[i] = &messages[i];
	}
	status = conv->conv(count, (const struct pam_message **)list, &replies, conv->appdata_ptr);
	for (int i = 0; status == PAM_SUCCESS && replies && i < count; i++)
		free(replies[i].resp);
	free(replies);
	return status;
}

static void do_talk(pam_handle_t *pam)
{
	(void)talk(pam, -1, PAM_PROMPT_ECHO_OFF, "x");
	(void)talk(pam, 0, PAM_PROMPT_ECHO_OFF, "x");
	(void)talk(pam, 33, PAM_PROMPT_ECHO_OFF, "x");
	(void)talk(pam, 32, PAM_PROMPT_ECHO_OFF, "x");
	(void)talk(pam, 32, PAM_PROMPT_ECHO_ON, "x");
	(void)talk(pam, 5, 4711, "x");
	(void)talk(pam, 32, PAM_TEXT_INFO, NULL);
}

/* Far more than anybody wants to hear, and with what ends fields and lines. */
static void do_message(pam_handle_t *pam)
{
	static char text[100000];

	(void)talk(pam, 1, PAM_ERROR_MSG, "No\tOK\nOK\t1\tuser=root");
	memset(text, 'x', sizeof(text) - 1);
	(void)talk(pam, 1, PAM_ERROR_MSG, text);
}

static const struct {
	const char *user;
	void (*act)(pam_handle_t *pam);
	int status;
} acts[] = {
	{ "ok", do_ok, PAM_SUCCESS },
	{ "hang", do_hang, PAM_SUCCESS },
	{ "deaf", do_deaf, PAM_SUCCESS },
	{ "crash", do_crash, PAM_SUCCESS },
	{ "abort", do_abort, PAM_SUCCESS },
	{ "exit", do_exit, PAM_SUCCESS },
	{ "print", do_print, PAM_SUCCESS },
	{ "close", do_close, PAM_SUCCESS },
	{ "replace", do_replace, PAM_SUCCESS },
	{ "fork", do_fork, PAM_SUCCESS },
	{ "leave", do_leave, PAM_SUCCESS },
	{ "become", do_become, PAM_SUCCESS },
	{ "rename", do_rename, PAM_SUCCESS },
	{ "talk", do_talk, PAM_SUCCESS },
	{ "message", do_message, PAM_AUTH_ERR },
};

int pam_sm_authenticate(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	const char *user = "";

	(void)flags;
	(void)argc;
	(void)argv;
	(void)pam_get_user(pam, &user, NULL);
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strcmp(acts[i].user, user) == 0) {
			acts[i].act(pam);
			return acts[i].status;
		}
	return PAM_USER_UNKNOWN;
}

int pam_sm_setcred(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	(void)pam;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t *pam, int flags, int argc, const char **argv)
{
	return pam_sm_setcred(pam, flags, argc, argv);
}

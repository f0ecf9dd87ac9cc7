// SPDX-License-Identifier: BSD-2-Clause
/* What postqueue, postsuper and postcat share: the configuration, and the way to qmgr. */
#ifndef PC_CMD_QUEUE_CLIENT_H
#define PC_CMD_QUEUE_CLIENT_H

#include <stdbool.h>

#include "conf/postfix_conf.h"
#include "queue/queue_control.h"
#include "queue/spool.h"

/* Exits with this status from now on when something is fatal: 69 for postqueue, else 1. */
extern int queue_client_status;
_Noreturn void queue_client_fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* main.cf's values; exits when it cannot be read.  DIR: -c's, or NULL. */
const struct postfix_params *queue_client_params(const char *dir);
/* From now on lines of PROGRAM go to the mail log, too, where it can be written to. */
void queue_client_log(const struct postfix_params *params, const char *program);
/* Is the user that runs us in LIST, the value of parameter NAME?  Root and the mail owner are. */
bool queue_client_may(const struct postfix_params *params, const char *name, const char *list);
/* "bob(1000)": who runs us, for messages; of the next call it is the same memory. */
const char *queue_client_user(void);
/* The path of public/NAME; the caller frees it. */
char *queue_client_socket(const struct postfix_params *params, const char *name);
/* At the end: frees what queue_client_params has given. */
void queue_client_end(void);
/* The spool's directories; exits when they are not there. */
struct spool *queue_client_spool(const struct postfix_params *params);
/* Connects to public/NAME; -1 when nobody serves it. */
int queue_client_connect(const struct postfix_params *params, const char *name);
typedef void queue_client_each(const char *id, bool released, void *arg);
/*
 * Sends a request to qmgr and calls EACH for every id that it applied to, and with RELEASED for
 * those that were released from hold beside that.  False: qmgr is down, or went away before it had
 * answered.
 */
bool queue_client_control(const struct postfix_params *params, const struct queue_control *request,
    queue_client_each *each, void *arg);

#endif

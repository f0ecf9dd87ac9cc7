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
/* At the end: frees what queue_client_params has given. */
void queue_client_end(void);
/* The spool's directories; exits when they are not there. */
struct spool *queue_client_spool(const struct postfix_params *params);
/* Connects to public/NAME; -1 when nobody serves it. */
int queue_client_connect(const struct postfix_params *params, const char *name);
/*
 * Sends a request to qmgr and calls EACH for every id that it applied to.  False: qmgr is down, or
 * went away before it had answered.
 */
bool queue_client_control(const struct postfix_params *params, const struct queue_control *request,
    void (*each)(const char *id, void *arg), void *arg);

#endif

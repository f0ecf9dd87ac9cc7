// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the login half tells the mailbox half, over login/pop3.
 *
 * A login is one connection: LOGIN with the client's descriptor (a plain TCP connection itself, or
 * one end of a socket pair whose other end the login half turns into TLS), then LOGGED_IN with the
 * pid of the process that has the mailbox, or REFUSED.  With LOGGED_IN the client's descriptor, and
 * what the client is told, belong to the mailbox half.  Who the user is stands nowhere in LOGIN:
 * the root parent asks authd which login AUTH_ID of CLIENT_PID with that cookie was.
 */
#ifndef PC_POP3D_POP3_WIRE_H
#define PC_POP3D_POP3_WIRE_H

#include <stdint.h>

#define POP3_SOCKET "login/pop3"
/* Its name for the login half, whose root directory is base_dir/login. */
#define POP3_SOCKET_IN_JAIL "pop3"

#define POP3_LOGIN	"LOGIN"
#define POP3_LOGGED_IN	"LOGGED_IN" /* pid */
#define POP3_REFUSED	"REFUSED"   /* text, for the log */
#define POP3_CLIENT_PID "client_pid"
#define POP3_AUTH_ID	"auth_id"
#define POP3_COOKIE	"cookie"
#define POP3_SESSION	"session"
#define POP3_RIP	"rip" /* for the log and for limits */
#define POP3_LIP	"lip"
#define POP3_INPUT	"input" /* bytes that the client sent already */
#define POP3_PID	"pid"
#define POP3_TEXT	"text"
#define POP3_LIMIT	"limit" /* of REFUSED, 1: the text is for the client, too */
/* LOGIN's, for limits alone; and the parent's to the worker, who believes that. */
#define POP3_USER "user"
#define POP3_HOME "home"
#define POP3_MAIL "mail"

/* A login waits no longer for its mailbox (whose lock another session may have). */
#define POP3_OPEN_MS   (150 * INT64_C(1000))
#define POP3_INPUT_MAX 65536

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What every daemon's main() calls: the agreement with master.
 *
 * A daemon describes itself in a struct server and calls server_main, which, in this order: takes
 * over from master the sealed configuration, the listening sockets, the log and the shared segment;
 * calls PREPARE (still with master's rights, one thread, no byte of a stranger read: opens keys,
 * tables' directories, the spool); drops to the user; raises the walls; calls START; tells master
 * that it is ready; and serves until master says stop.
 *
 * Stop and reload: listening sockets are no longer accepted from, sessions drain, DRAIN is called;
 * the process exits when the last session is gone or stop_deadline passed.
 */
#ifndef PC_SERVER_SERVER_H
#define PC_SERVER_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf/dovecot_conf.h"
#include "conf/postfix_conf.h"
#include "server/loop.h"
#include "server/session.h"
#include "sys/sandbox.h"

struct server_listener {
	int fd;
	char *name; /* master.cf's or the listener block's: "smtps", "public/qmgr", "login/pop3",
		       "pop3s" */
	enum { LISTENER_INET, LISTENER_UNIX, LISTENER_FIFO, LISTENER_DGRAM } type;
	bool ssl;   /* Dovecot: inet_listener { ssl = yes } */
	char *kind; /* Dovecot: what the socket speaks, "auth", "login", "master", "userdb"; else ""
		     */
};

struct shared; /* the segment that master makes; see server/shared.h */

struct server_context {
	const char *service;  /* "smtps" */
	const char *log_name; /* "postfix/smtpd", "pop3-login" */
	unsigned process;     /* 0, 1, ... among the processes of the service */
	/* One of the two languages is there, the other NULL (smtpd: postfix, authd: dovecot). */
	const struct postfix_source *postfix;
	const struct postfix_params *params; /* for this role */
	const struct dovecot_source *dovecot;
	const struct dovecot_settings *settings;
	const struct server_listener *listeners;
	size_t listener_count;
	struct shared *shared;
	const void *secret; /* 64 bytes from master, the same for all processes of one run */
	int proc_fd;	    /* /proc/self/fd, opened before the jail */
	bool as_root;	    /* the suite was started by root: users and walls are real */
	struct loop *loop;  /* the main thread's */
};

#define SERVER_SECRET_SIZE 64

enum server_user {
	SERVER_MAIL_OWNER, /* $mail_owner */
	SERVER_INTERNAL,   /* Dovecot: the service's user, default $default_internal_user */
	SERVER_LOGIN,	   /* Dovecot: $default_login_user */
	SERVER_ROOT	   /* keeps master's rights: only for parents of uid workers */
};

struct uid_workers_class;

struct server {
	const char *program; /* "smtpd" */
	enum { SERVER_POSTFIX, SERVER_DOVECOT } language;
	enum server_user user;
	/* 0 or 1: one process per core or what the service's limits say; this many otherwise. */
	unsigned processes;
	void (*prepare)(struct server_context *ctx);
	/* Fills in the walls; may look at CTX->params.  NULL: nothing but a deny list. */
	void (*walls)(const struct server_context *ctx, struct sandbox *walls);
	void (*start)(struct server_context *ctx);
	/* For each connection that is accepted on LISTENER; NULL: no accepting (the daemon watches
	 * ctx->listeners itself in ctx->loop). Returns the class that serves the connection. */
	const struct session_class *(*session)(const struct server_listener *listener);
	/* In the loop's thread at reload (RELOAD) or stop. */
	void (*drain)(struct server_context *ctx, bool reload);
	const struct uid_workers_class *workers; /* see server/uid_workers.h */
};

int server_main(const struct server *server, int argc, char **argv);
/* The process's context, from anywhere after server_main took over. */
const struct server_context *server_context(void);
/* A daemon with work of its own (qmgr's deliveries) keeps the draining process alive: +1, -1. */
void server_hold(int count);
/* Parameters of another role, evaluated once and kept: the entry "cleanup" unix, say.  The main.cf
 * values when there is no such entry. */
const struct postfix_params *server_role(const char *service, const char *type);
/* "postfix/cleanup": syslog_name of that role's parameters and the program's name. */
const char *server_role_log_name(const char *service, const char *type, const char *program);

#endif

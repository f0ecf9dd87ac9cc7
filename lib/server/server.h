// SPDX-License-Identifier: BSD-2-Clause
/*
 * What every daemon's main() calls: the agreement with master (whose wire is server/contract.h).
 *
 * A daemon describes itself in a struct server and calls server_main, which, in this order: takes
 * over from master the sealed configuration, the listening sockets, the log and the shared segment;
 * forks the parent of uid workers, if there is to be one; calls PREPARE (still with master's
 * rights, one thread, no byte of a stranger read: opens keys, tables' directories, the spool);
 * drops to the user; raises the walls; calls START; tells master that it is ready; and serves until
 * master says stop.  The working directory is the queue directory (Dovecot: base_dir), the umask
 * 077.
 *
 * Stop and reload: listening sockets are no longer accepted from, sessions drain, DRAIN is called;
 * the process exits when the last session and the last hold are gone, or (stop only) when
 * postcote_stop_timeout passed.  When master is gone, or SIGTERM comes, that is a stop.
 *
 * Sessions: at most as many as master gave to this process; then the listening sockets rest.
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
	enum { LISTENER_INET, LISTENER_UNIX, LISTENER_DGRAM } type;
	bool ssl; /* Dovecot: inet_listener { ssl = yes } */
	/* Dovecot: what the socket speaks, "auth", "login", "master", "userdb"; "haproxy": a
	 * proxy's header comes first; else "" */
	char *kind;
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
	const void *secret; /* 64 bytes from master, the same for all processes of the service */
	int proc_fd;	    /* /proc/self/fd, opened before the jail */
	bool as_root;	    /* the suite was started by root: users and walls are real */
	struct loop *loop;  /* the main thread's */
	/*
	 * How many processes the service wants, at first struct server's; PREPARE or START may
	 * change it (a parameter says so).  The service's limits may make it less.
	 */
	unsigned processes;
	uid_t uid; /* what the process drops to when as_root; else its own */
	gid_t gid;
	int64_t stop_timeout_ms;
};

#define SERVER_SECRET_SIZE 64

enum server_user {
	SERVER_MAIL_OWNER, /* $mail_owner */
	SERVER_INTERNAL,   /* Dovecot: the service's user, default $default_internal_user */
	SERVER_LOGIN,	   /* Dovecot: $default_login_user */
	SERVER_CONFIGURED, /* Dovecot: the service's user, which may be root */
	SERVER_ROOT	   /* keeps master's rights */
};

struct uid_workers_class;

struct server {
	const char *program; /* "smtpd" */
	enum { SERVER_POSTFIX, SERVER_DOVECOT } language;
	enum server_user user;
	/*
	 * This many processes; 0: one, and one per core as soon as it has some sessions.  Master
	 * starts the others after the first.
	 */
	unsigned processes;
	/* No thread is ever made, so that the process may fork: it has ACCEPTED and no sessions. */
	bool one_thread;
	/* At reload the new process starts only when the old one has drained and is gone. */
	bool alone;
	void (*prepare)(struct server_context *ctx);
	/*
	 * A directory below the working directory ("login") that becomes the working directory, and
	 * when started by root the root directory too: nothing else has a name there.  Such a
	 * process has no CTX->proc_fd after PREPARE.  NULL: none.
	 */
	const char *jail;
	/* Fills in the walls; may look at CTX->params.  NULL: nothing but a deny list. */
	void (*walls)(const struct server_context *ctx, struct sandbox *walls);
	void (*start)(struct server_context *ctx);
	/*
	 * Once for each listener, after START: the class that serves its connections.  NULL (the
	 * function or its result): they are ACCEPTED's.
	 */
	const struct session_class *(*session)(const struct server_listener *listener);
	/*
	 * For daemons whose connections are no sessions, in the loop's thread, which it must not
	 * block: takes FD over, which is non-blocking.  Nothing is accepted any more when DRAIN is
	 * called.  NULL: no accepting.
	 */
	void (*accepted)(const struct server_listener *listener, int fd);
	/* In the loop's thread at reload (RELOAD) or stop. */
	void (*drain)(struct server_context *ctx, bool reload);
	/*
	 * In the loop's thread: CTX->postfix and params (or dovecot and settings) are of a new
	 * generation; the old ones stay valid.  NULL: at reload the process is replaced instead.
	 */
	void (*reload)(struct server_context *ctx);
	const struct uid_workers_class *workers; /* see server/uid_workers.h */
};

int server_main(const struct server *server, int argc, char **argv);
/* The process's context, from anywhere after server_main took over.  Before that, NULL. */
const struct server_context *server_context(void);
/* A daemon with work of its own (qmgr's deliveries) keeps the draining process alive: +1, -1.
 * Any thread. */
void server_hold(int count);
/*
 * In a child that a daemon of one thread forked without exec: nothing of the daemon's stays open
 * but FD and the log, signals are as at the start of a program, its secrets are gone, and the child
 * logs as NAME.  The configuration stays; the loop and master are not to be touched.
 */
void server_become_child(int fd, const char *name);
/* The descriptor of the log file; -1: syslog. */
int server_log_fd(void);
/* The suite stops: a session need not be let come to the end of a transaction, as it is at a
 * reload.  Any thread. */
bool server_is_stopping(void);
/* Parameters of another role, evaluated once and kept: the entry "cleanup" unix, say.  The main.cf
 * values when there is no such entry.  Any thread. */
const struct postfix_params *server_role(const char *service, const char *type);
/*
 * Were all sessions of this service taken lately, while clients waited?  Any thread.  Its new
 * sessions then live by server_stress_params: ctx->params with "stress = yes" (postconf(5)
 * ${stress?...}).  They are evaluated at the first question and kept; any thread.
 */
bool server_is_stressed(void);
const struct postfix_params *server_stress_params(void);
/* "postfix/cleanup": syslog_name of that role's parameters and the program's name. */
const char *server_role_log_name(const char *service, const char *type, const char *program);

#endif

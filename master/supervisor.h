// SPDX-License-Identifier: BSD-2-Clause
/*
 * The things that master has: sockets, services, processes, and generations of configuration.
 * One thread, one struct master; no byte of a stranger is ever read here.
 *
 * A *plan* is what a configuration asks for, made by plan_postfix.c or plan_dovecot.c without any
 * effect on what runs.  A *generation* is a plan in force: its services have processes.  At reload
 * a new plan becomes the current generation, and the services of the old ones hang on, without new
 * work, until their last process is gone.
 */
#ifndef PC_MASTER_SUPERVISOR_H
#define PC_MASTER_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "conf/conf_error.h"
#include "conf/dovecot_conf.h"
#include "conf/postfix_conf.h"
#include "ipc/channel.h"
#include "master/process_matrix.h"
#include "net/addr.h"
#include "server/contract.h"
#include "server/loop.h"
#include "server/server.h"

/* ---- held_sockets.c: sockets that master holds, over generations -------------------------- */

enum held_type { HELD_INET, HELD_UNIX, HELD_DGRAM };

struct held_socket {
	struct list link;
	enum held_type type;
	struct net_addr addr; /* inet */
	char *path;	      /* unix: absolute */
	mode_t mode;	      /* unix: what the newest plan wants */
	uid_t uid;	      /* unix: -1 leaves the owner */
	gid_t gid;
	int fd;		/* -1: not open (yet): the directory of PATH is not there */
	unsigned users; /* services that refer to it; at 0 it is closed and freed */
};

/* Finds or adds the socket; the caller becomes a user.  Opens nothing. */
struct held_socket *held_inet(const struct net_addr *addr);
struct held_socket *held_unix(
    enum held_type type, const char *path, mode_t mode, uid_t uid, gid_t gid);
void held_release(struct held_socket *h);
enum held_result { HELD_OPEN, HELD_LATER /* its directory is missing */, HELD_FAILED };
/* Opens it, or brings owner and mode to what they should be.  WHY on failure. */
enum held_result held_open(struct held_socket *h, char why[256]);
const char *held_name(const struct held_socket *h, char out[300]);
/* One byte and a NUL to whoever serves it: a trigger. */
void held_trigger(const struct held_socket *h);
/* Closes and unlinks what is left, at the end. */
void held_close_all(void);

/* ---- services and processes ---------------------------------------------------------------- */

struct service_socket {
	struct held_socket *held;
	char *name, *kind; /* as in struct server_listener */
	bool ssl;
};

struct process {
	struct list link; /* in its service */
	struct service *service;
	enum process_state state;
	unsigned number; /* among the processes of the service */
	pid_t pid;	 /* 0: none */
	struct channel *control;
	struct loop_watch watch;
	struct loop_timer timer;
	int64_t since;	/* clock_ms of its last start or READY */
	bool told;	/* it got ready or was throttled once */
	bool served;	/* the last one was at work for somebody when it died */
	int running_fd; /* server/running.h: who runs in it; -1: no process */
	/* quarantine.c: suspect_key of the only client that it serves, or 0; its SESSIONs. */
	uint64_t own;
	unsigned handed, took;
};

struct service {
	struct list link; /* in its generation */
	struct generation *generation;
	char *name, *type, *program, *path, *log_name;
	bool debug;
	bool is_plain; /* its entry has no arguments */
	struct service_socket *sockets;
	size_t socket_count;
	uid_t uid;
	gid_t gid, extra[8];
	size_t extra_count;
	unsigned long session_limit, max_processes, serve_count;
	int64_t wakeup_ms; /* 0: never */
	struct loop_timer wakeup;

	struct list processes;
	unsigned process_count; /* wanted; 1 until the first one said more */
	unsigned long started;	/* processes, ever */
	unsigned busy_count;	/* wanted once one of them has said that it is busy; 0: as many */
	unsigned start_next, start_end; /* numbers of those that are to start: start_order.c */
	unsigned owed;			/* replacements that wait for a process to be gone */
	bool alone, in_place;		/* said by its processes */
	bool waits_alone;		/* starts when no older process of the service is left */
	bool replaced;			/* drains: no process is started any more */
	struct service *before;		/* of an older generation: it drains when we are ready */
};

struct generation {
	struct list link;
	unsigned number;
	int config_fd;
	/* Dovecot: with passdb and userdb, for authd and its workers; else -1 */
	int auth_config_fd;
	struct list services; /* newest last */
	int64_t throttle_ms, stop_timeout_ms, quarantine_ms;
	char *directory;    /* in which daemons work: queue_directory, base_dir */
	char **environment; /* of daemons */
	char *log_path;	    /* NULL: syslog */
	/* For information and for debugging; Postfix has the one for all. */
	char *info_log_path, *debug_log_path;
	char *log_timestamp; /* of lines in files; NULL: the default */
	mode_t log_mode;     /* of a log file that is made */
	char *facility;
	char *protocols; /* Dovecot: "pop3", for the log */
	char *absent;	 /* one line about what is not served; NULL: nothing */
	/* Warnings about dovecot.conf; those of main.cf are what postfix check prints. */
	struct conf_errors findings;
	/* What it was made of. */
	struct postfix_source *postfix;
	struct postfix_params *params;
	struct dovecot_source *dovecot;
	struct dovecot_settings *settings;
};

/* generation.c */
struct generation *generation_new(void);
void generation_free(struct generation *g); /* which has no processes */
/* The sealed configuration that processes of the service get. */
int generation_config(const struct service *s);
struct service *service_new(
    struct generation *g, const char *name, const char *type, const char *program);
void service_add_socket(
    struct service *s, struct held_socket *held, const char *name, const char *kind, bool ssl);
/* Opens all sockets; false when some failed for good.  All failures are logged as errors. */
bool generation_open_sockets(struct generation *g);
/* First start, or reload: takes G over. */
void generation_install(struct generation *g);
void generation_stop_all(int64_t timeout_ms);
/* For process.c: a process got ready or failed to; is gone; accepts no more. */
void service_result(struct service *s, bool ready);
void service_process_gone(struct service *s, bool was_own);
void service_wants_another(struct service *s, unsigned number);
void service_is_busy(struct service *s);
/* start_order.c: the processes of these numbers (TO excluded) start when it is their turn. */
void start_processes(struct service *s, unsigned from, unsigned to);
/* A turn may have come. */
void start_more(void);

/* process.c */
struct process *process_new(struct service *s, unsigned number);
void process_event(struct process *p, enum process_event event);
/* After SIGCHLD. */
void process_reap(void);
/* A record with one descriptor, or none (-1), to a process that runs. */
void process_send(struct process *p, struct msg_out *m, int fd);
void process_send_many(struct process *p, struct msg_out *m, const int *fds, size_t count);
/* Tells it to serve what it has and go. */
void process_send_drain(struct process *p, bool reload);

/* quarantine.c: clients that were in two deaths, and their own processes. */
void quarantine_prepare(void); /* fatal() when it fails */
/* P sends a connection of one; its descriptor is closed in the end. */
void quarantine_take(struct process *p, const struct msg_in *in);
/* P died, not by our hand: says who ran in it, and remembers them; true when anybody did. */
bool quarantine_note_death(const struct process *p);

/* spawn.c: fork and exec with the contract's descriptors and START; the pid, or -1 with errno. */
pid_t spawn_daemon(const struct process *p, struct channel **control);
/* START's text for a socket of S. */
char *spawn_listener_text(const struct service_socket *socket);

/* ---- the one master ------------------------------------------------------------------------ */

enum master_language { MASTER_POSTFIX, MASTER_DOVECOT };

struct master {
	enum master_language language;
	const char *log_name; /* "postfix/master", "master" */
	const char *config;   /* Postfix: the directory; Dovecot: the file */
	char *program_dir;    /* of our own executable */
	bool as_root;
	struct loop *loop;
	struct list generations; /* oldest first */
	struct generation *current;
	unsigned last_generation;
	struct list held;
	struct shared *shared; /* server/shared.h */
	int shared_fd;
	struct suspects *suspects;
	int suspects_fd;		 /* the list for daemons */
	int log_fds[CONTRACT_LOG_FILES]; /* errors, information, debugging; -1: syslog */
	int errors_fd;			 /* log/log_ring.h; -1: none */
	struct log_ring *errors;
	int ready_fd;		 /* where who waits for the start hears of it; -1: nobody */
	void (*started)(void);	 /* called after that */
	int64_t stop_timeout_ms; /* while it stops */
	bool stopping;
};
extern struct master master;

/*
 * Makes a plan of the configuration as it is on disk now; NULL when it has errors.  All findings,
 * errors or not, go to ERRORS.
 */
struct generation *plan_postfix(struct conf_errors *errors);
struct generation *plan_dovecot(struct conf_errors *errors);
/* environment.c: PATH, what LIST (names, name=value) lets through, and the contract's mark. */
char **environment_new(const char *list);
/* Before the first plan is in force: pid file, directories; fatal() where one fails. */
void spool_prepare(const struct generation *g);
void base_dir_prepare(const struct generation *g);
void base_dir_leave(const struct generation *g);

/* bind_addresses.c */
#define BIND_MAX 64
struct bind_list {
	struct net_addr addr[BIND_MAX];
	size_t count;
	bool ipv4, ipv6; /* families that are wanted */
};
/* Adds HOST ("*": every address; a literal, a name) with PORT; false with WHY. */
bool bind_add(struct bind_list *list, const char *host, unsigned port, char why[256]);
bool bind_port(const char *text, unsigned *port); /* "smtp", "25" */

/* master_log.c: opens what G wants; false with errno and the path, and nothing has changed. */
bool master_log_open(const struct generation *g, bool to_stderr, bool debug, const char **failed);
/* Which files there are, as in START. */
unsigned master_log_files(void);
/* The same files by their names again; tells the processes. */
void master_log_reopen(void);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What master and a daemon that it starts agree on; used by master/ and by server.c alone.
 *
 * A daemon is executed with the queue directory (Dovecot: base_dir) as its working directory, with
 * descriptors at fixed numbers, and with CONTRACT_ENV in its environment:
 *
 *	3	control: an ipc/channel.h to master
 *	4	the configuration, sealed (postfix_source_seal, dovecot_source_seal)
 *	5	the shared segment
 *	6, 7, 8	the log file for errors, for information and for debugging; nothing: syslog
 *	9	who runs in the process (server/running.h)
 *	10	who is in quarantine (server/suspects.h)
 *	11	the latest errors (log/log_ring.h), or nothing
 *	12...	listening sockets, in the order of START's "listener" attributes
 *
 * master to daemon:
 *
 *	START	always the first; see below
 *	DRAIN	reload=1: serve what is there to its natural end and exit; reload=0: stop, and be
 *		gone after stop_timeout_ms.  Also after a DRAIN of the other kind.
 *	RELOAD	only for a daemon that said in_place=1: one descriptor, the new configuration
 *	LOG	three descriptors that take the places of numbers 6 to 8
 *	LISTEN	one descriptor and its "listener": a socket that could not be made before
 *	SESSION	only in quarantine: one descriptor, a connection that was accepted from the
 *		listener named "listener"
 *
 * daemon to master:
 *
 *	READY	once: it serves.  processes: how many the service wants, at least 1, the same in
 *		each process (master starts the first, and the others when it knows);
 *		busy_processes: how many from the first BUSY on;
 *		alone=1: a successor may start only when this one is gone;
 *		in_place=1: takes RELOAD instead of being replaced
 *	BUSY	it has as many sessions that another process would do well
 *	RETIRE	it has served its share (serve_count) and accepts no more: start another one.
 *		In quarantine: it has nothing to do, and waits for DRAIN
 *	SUSPECT	one descriptor: a connection, accepted from the listener named "listener", of a
 *		client who is in quarantine
 *	TOOK	in quarantine, for each SESSION: it has it
 *
 * The end of control is "stop" for the daemon; the daemon's death is known by its exit status.
 *
 * START:
 *	language	"postfix" or "dovecot"
 *	service, type	the entry of master.cf, or the name of the Dovecot service and "dovecot"
 *	program, log_name
 *	process		0, 1, ... among the processes of the service
 *	generation
 *	session_limit	of the service, over all its processes; 0: none
 *	max_processes	of the service; 0: no limit
 *	serve_count	sessions after which the process retires; 0: never
 *	stop_timeout_ms
 *	quarantine_ms	for how long a uid worker's parent remembers suspects
 *	quarantine	1: one client's process; it accepts nothing and gets SESSIONs
 *	as_root		1: master is root, so users and walls are real
 *	uid, gid, extra_gid (repeated): what the daemon drops to, when as_root
 *	secret		SERVER_SECRET_SIZE bytes
 *	log_files	which of descriptors 6 (1), 7 (2) and 8 (4) are there: a sum
 *	log_timestamp	how lines in them begin, for strftime
 *	log_errors	1: descriptor 11 is there
 *	facility, debug
 *	log_stderr	1: log lines go to standard error as well
 *	listener (repeated): "TYPE SSL KIND NAME", TYPE as in master.cf (inet, unix,
 *			unix-dgram), SSL 0 or 1, KIND - for none; NAME is the rest
 */
#ifndef PC_SERVER_CONTRACT_H
#define PC_SERVER_CONTRACT_H

#define CONTRACT_ENV	   "POSTCOTE_CONTROL"
#define CONTRACT_ENV_VALUE "1"

enum contract_fd {
	CONTRACT_CONTROL = 3,
	CONTRACT_CONFIG,
	CONTRACT_SHARED,
	CONTRACT_LOG,
	CONTRACT_LOG_INFO,
	CONTRACT_LOG_DEBUG,
	CONTRACT_RUNNING,
	CONTRACT_SUSPECTS,
	CONTRACT_ERRORS,
	CONTRACT_LISTEN
};

#define CONTRACT_LOG_FILES 3 /* descriptors of the log */

#define CONTRACT_START	    "START"
#define CONTRACT_DRAIN	    "DRAIN"
#define CONTRACT_RELOAD	    "RELOAD"
#define CONTRACT_LOG_TO	    "LOG"
#define CONTRACT_LISTEN_TOO "LISTEN"
#define CONTRACT_READY	    "READY"
#define CONTRACT_BUSY	    "BUSY"
#define CONTRACT_RETIRE	    "RETIRE"
#define CONTRACT_SUSPECT    "SUSPECT"
#define CONTRACT_SESSION    "SESSION"
#define CONTRACT_TOOK	    "TOOK"

/* A service has no more listening sockets than this. */
#define CONTRACT_MAX_LISTENERS 256

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The walls around a process: no_new_privs, Landlock rules for paths, a seccomp filter.  Raised
 * once, after everything that needs to be opened is open and before anything of a stranger is read.
 * What the kernel does not offer is left out and reported, never an error.
 */
#ifndef PC_SYS_SANDBOX_H
#define PC_SYS_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

enum sandbox_access {
	SANDBOX_READ,  /* files and directories below may be read */
	SANDBOX_WRITE, /* files below may be written, made, renamed, linked and removed, and read */
	SANDBOX_ADD,   /* the same without renaming and removing: a directory to leave files in */
	SANDBOX_CONNECT /* sockets below may be found (connecting is not Landlock's before ABI 9) */
};

struct sandbox_path {
	const char *path; /* a path that does not exist is left out */
	enum sandbox_access access;
};

enum sandbox_calls {
	SANDBOX_CALLS_ANY, /* no seccomp filter */
	/*
	 * Deny list: exec, ptrace, mount, bpf, keyctl, io_uring, ...; signals and limits for any
	 * other process than the one that raises the walls (a child of it neither).
	 */
	SANDBOX_CALLS_DENY,
	/*
	 * Of the deny list only what belongs to the kernel and the machine: for modules of the
	 * administrator's choice, which may start programs, mount, and change owners.
	 */
	SANDBOX_CALLS_DENY_MACHINE,
	SANDBOX_CALLS_NO_NET /* the deny list, and no socket of the network's families */
};

struct sandbox {
	/* Ends with a NULL path; NULL: no file at all may be opened. */
	const struct sandbox_path *paths;
	bool landlock; /* false: no path rules */
	enum sandbox_calls calls;
	/*
	 * Programs that are started may get more rights by their set-user-ID bit: no no_new_privs.
	 * Without it only root can have a filter.
	 */
	bool new_privs;
	bool signals; /* other processes may be sent signals after all: parents of workers */
};

struct sandbox_report {
	bool landlock, seccomp, no_new_privs;
};

/* Forbidden calls give EPERM, never a kill.  *REPORT tells which walls stand. */
void sandbox_enter(const struct sandbox *walls, struct sandbox_report *report);

/*
 * Fills PATHS (room for MAX, the last one NULL) with rules for writing below ROOT, and where the
 * symbolic links lead that stand in ROOT or in a directory there: mail of some domains or users may
 * lie on another disk.  False when ROOT is not there, or is too large to be looked through: then
 * PATHS must not be used.  The texts are never freed.
 */
bool sandbox_mail_paths(const char *root, struct sandbox_path *paths, size_t max);
/* The running kernel's Landlock version; 0 when it has none. */
int sandbox_landlock_abi(void);
/* For tests: as on a kernel without Landlock.  Before walls are raised. */
void sandbox_force_no_landlock(bool on);

#endif

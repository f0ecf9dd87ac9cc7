// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveadm: one table of commands (doveadm.c), and a file for each group of them.  What a command
 * prints and returns is the peer's, since scripts read it.
 *
 * A command gets its own name as argv[0], with optind reset, and returns the exit status.
 */
#ifndef PC_CMD_DOVEADM_H
#define PC_CMD_DOVEADM_H

#include "conf/dovecot_conf.h"

/* "Fatal: ...", after what was printed so far. */
_Noreturn void doveadm_die(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* How the command is called, and EX_USAGE. */
_Noreturn void doveadm_usage(const char *text);

/* The configuration as it is for PROTOCOL (NULL: for none).  Errors in it are fatal. */
struct dovecot_settings *doveadm_settings(const char *protocol);
/* NAME below base_dir, unless it is absolute; the caller frees it. */
char *doveadm_socket_path(const struct dovecot_settings *settings, const char *name);

extern const char doveadm_user_usage[], doveadm_auth_usage[], doveadm_pw_usage[];
int doveadm_user(int argc, char **argv);
int doveadm_auth(int argc, char **argv);
int doveadm_pw(int argc, char **argv);
int doveadm_reload(int argc, char **argv);
int doveadm_stop(int argc, char **argv);

#endif

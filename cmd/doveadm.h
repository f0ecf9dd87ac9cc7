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
_Noreturn void doveadm_usage(void);
/* A reason of our auth clients in the peer's words; the caller frees it. */
char *doveadm_connect_text(const char *text);
/* For commands without options: EX_USAGE, when there is more than the name. */
void doveadm_no_arguments(int argc, char **argv);

/* The file that -c named, or the installed one. */
const char *doveadm_config_path(void);
/* The configuration as it is for PROTOCOL (NULL: for none).  Errors in it are fatal. */
struct dovecot_settings *doveadm_settings(const char *protocol);
/* NAME below base_dir, unless it is absolute; the caller frees it. */
char *doveadm_socket_path(const struct dovecot_settings *settings, const char *name);

extern const char doveadm_user_usage[], doveadm_pw_usage[];
int doveadm_user(int argc, char **argv);
int doveadm_pw(int argc, char **argv);

extern const char doveadm_auth_test_usage[], doveadm_auth_login_usage[],
    doveadm_auth_lookup_usage[];
int doveadm_auth_test(int argc, char **argv);
int doveadm_auth_login(int argc, char **argv);
int doveadm_auth_lookup(int argc, char **argv);
int doveadm_auth_cache(int argc, char **argv);

int doveadm_reload(int argc, char **argv);
int doveadm_stop(int argc, char **argv);
/* SIGNO to the master of SETTINGS' base_dir; fatal when none runs. */
void doveadm_signal_master(const struct dovecot_settings *settings, int signo);

extern const char doveadm_log_errors_usage[];
int doveadm_log_errors(int argc, char **argv);
int doveadm_log_find(int argc, char **argv);
int doveadm_log_reopen(int argc, char **argv);
int doveadm_log_test(int argc, char **argv);

int doveadm_service_status(int argc, char **argv);
int doveadm_process_status(int argc, char **argv);
int doveadm_instance_list(int argc, char **argv);
int doveadm_instance_remove(int argc, char **argv);

extern const char doveadm_who_usage[], doveadm_kick_usage[];
int doveadm_who(int argc, char **argv);
int doveadm_kick(int argc, char **argv);

#endif

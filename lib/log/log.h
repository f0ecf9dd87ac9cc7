// SPDX-License-Identifier: BSD-2-Clause
/*
 * Log lines in the shapes of the peers.  Each call writes one line with one system call, so lines
 * of several processes never mix.  Thread-safe.  Before log_open lines go to standard error as
 * "PROGRAM: TEXT".
 *
 *   postfix, syslog    <22>Nov 20 07:31:48 postfix/smtpd[123]: connect from ...
 *   postfix, file      Nov 20 07:31:48 HOST postfix/smtpd[123]: warning: ...
 *   dovecot, syslog    <22>Nov 20 07:31:48 dovecot: pop3-login: Login: ...
 *   dovecot, file      Nov 20 07:31:48 pop3-login: Info: Login: ...
 *
 * Control characters in a text become '?', and so does in Postfix's style what is no UTF-8; a line
 * is cut at 2,000 bytes.
 */
#ifndef PC_LOG_LOG_H
#define PC_LOG_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_FATAL
};
enum log_style { LOG_STYLE_POSTFIX, LOG_STYLE_DOVECOT };

struct log_config {
	enum log_style style;
	const char *name;     /* "postfix/smtpd"; Dovecot: "pop3-login" */
	const char *facility; /* "mail", "local0", ...; NULL: mail */
	int fd;		      /* a file opened for appending (borrowed), or -1: syslog */
	bool is_split;	      /* the next two are for lines of these levels; else FD is for all */
	int info_fd, debug_fd;
	const char *timestamp; /* Dovecot's files: for strftime; NULL: its default */
	bool fd_is_socket;     /* FD is a socket of datagrams: postlogd's, see log_forward */
	bool to_stderr;	       /* also (or, without a file and a syslog, only) to standard error */
	const char *stderr_name; /* what it is called there ("postsuper"); NULL: as in the log */
	const char *hostname;	 /* first label is written in file lines; NULL: gethostname */
	bool debug;		 /* debug lines are written */
};

/* For programs that are commands: lines "PROGRAM: TEXT" (fatal and warning prefixed) to stderr. */
void log_command(const char *program);
/* The same with Dovecot's words for the levels: "PROGRAM: Fatal: TEXT". */
void log_command_dovecot(const char *program);
/* Opens syslog's socket now, so that it works in a jail.  Copies what it is given. */
void log_open(const struct log_config *config);
struct log_ring;
/* Warnings and worse are kept in RING, too (log/log_ring.h; borrowed); NULL ends that. */
void log_keep(struct log_ring *ring);
/* For tests, before log_open: syslog's socket is PATH instead of /dev/log. */
void log_syslog_path(const char *path);

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Are debug lines written: is the program run with -v? */
bool log_debugs(void);
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/*
 * The same under another name: a folded service logs as itself ("postfix/cleanup").  NAME is the
 * whole name; NULL is the process's own.  A NAME of Dovecot's that ends with a blank is a prefix:
 * no ": " follows (mail_log_prefix).
 */
void log_as(const char *name, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_vas(const char *name, enum log_level level, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
/*
 * A line that another program made ("Nov 20 07:31:48 HOST NAME[PID]: TEXT", without its end) goes
 * where ours go, made safe as ours are.  Syslog, which adds time and host itself, gets the rest.
 */
void log_forward(const char *line, size_t len);
/* Logs and exits with 1: only before serving. */
_Noreturn void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

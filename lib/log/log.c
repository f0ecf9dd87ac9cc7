// SPDX-License-Identifier: BSD-2-Clause
/*
 * The configuration is written before there are threads and only read afterwards.  syslog's socket
 * keeps its descriptor number for ever: when syslogd comes back, a new socket is put under the
 * same number with dup3(2), so that no thread ever writes to a closed one.
 */
#include "log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/codec.h"
#include "log/log_ring.h"
#include "sys/socket.h"

#define LINE_MAX_BYTES 2000
#define PATIENCE_MS    1000 /* a syslogd or postlogd that hangs costs lines, not mail */

static struct {
	enum log_style style;
	bool opened, to_stderr, debug, file_is_socket;
	int file, info_file, debug_file, syslog; /* -1: none */
	int facility;				 /* shifted */
	struct log_ring *ring;			 /* NULL: none */
	char timestamp[64];			 /* of Dovecot's files */
	char name[128], stderr_name[64], host[HOST_NAME_MAX + 1];
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
} conf = { .to_stderr = true,
	.file = -1,
	.info_file = -1,
	.debug_file = -1,
	.syslog = -1,
	.path = "/dev/log" };

/* getpid(2) is a call for each line otherwise; 0: not known. */
static atomic_int own_pid;
static pthread_once_t pid_once = PTHREAD_ONCE_INIT;

static pthread_mutex_t reconnecting = PTHREAD_MUTEX_INITIALIZER;

/* RFC 5424 6.2.1; the severities are those that Postfix and Dovecot give. */
static const struct {
	int severity;
	const char *postfix, *dovecot_syslog, *dovecot_file;
} levels[] = {
	[LOG_LEVEL_DEBUG] = { 7, "", "Debug: ", "Debug: " },
	[LOG_LEVEL_INFO] = { 6, "", "", "Info: " },
	[LOG_LEVEL_WARNING] = { 4, "warning: ", "Warning: ", "Warning: " },
	[LOG_LEVEL_ERROR] = { 3, "error: ", "Error: ", "Error: " },
	[LOG_LEVEL_FATAL] = { 2, "fatal: ", "Fatal: ", "Fatal: " },
};

static const struct {
	const char *name;
	int number;
} facilities[] = { { "kern", 0 }, { "user", 1 }, { "mail", 2 }, { "daemon", 3 }, { "auth", 4 },
	{ "syslog", 5 }, { "lpr", 6 }, { "news", 7 }, { "uucp", 8 }, { "cron", 9 },
	{ "authpriv", 10 }, { "ftp", 11 }, { "local0", 16 }, { "local1", 17 }, { "local2", 18 },
	{ "local3", 19 }, { "local4", 20 }, { "local5", 21 }, { "local6", 22 }, { "local7", 23 } };

static int facility_of(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_LEN(facilities); i++)
		if (strcmp(facilities[i].name, name) == 0)
			return facilities[i].number << 3;
	return 2 << 3;
}

static int connect_syslog(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -1;
	memcpy(sun.sun_path, conf.path, sizeof(sun.sun_path));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Without a connection there is still a socket, whose number a later connection takes over. */
static void open_syslog(void)
{
	conf.syslog = connect_syslog();
	if (conf.syslog == -1)
		conf.syslog = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static void reopen_syslog(void)
{
	int fd;

	pthread_mutex_lock(&reconnecting);
	fd = connect_syslog();
	if (fd != -1) {
		dup3(fd, conf.syslog, O_CLOEXEC);
		close(fd);
	}
	pthread_mutex_unlock(&reconnecting);
}

static void set_host(const char *host)
{
	if (host)
		snprintf(conf.host, sizeof(conf.host), "%s", host);
	else if (gethostname(conf.host, sizeof(conf.host) - 1) == -1)
		snprintf(conf.host, sizeof(conf.host), "localhost");
	conf.host[strcspn(conf.host, ".")] = '\0';
}

static void set_name(const char *name)
{
	snprintf(conf.name, sizeof(conf.name), "%s", name);
}

static void forget_syslog(void)
{
	if (conf.syslog != -1)
		close(conf.syslog);
	conf.syslog = -1;
}

void log_command(const char *program)
{
	forget_syslog();
	conf.style = LOG_STYLE_POSTFIX;
	conf.opened = false;
	conf.to_stderr = true;
	conf.file = conf.info_file = conf.debug_file = -1;
	set_name(program);
	conf.stderr_name[0] = '\0';
}

void log_command_dovecot(const char *program)
{
	log_command(program);
	conf.style = LOG_STYLE_DOVECOT;
}

void log_open(const struct log_config *config)
{
	forget_syslog();
	conf.style = config->style;
	conf.to_stderr = config->to_stderr;
	conf.debug = config->debug;
	conf.file = config->fd;
	conf.info_file = config->is_split ? config->info_fd : config->fd;
	conf.debug_file = config->is_split ? config->debug_fd : config->fd;
	snprintf(conf.timestamp, sizeof(conf.timestamp), "%s",
	    config->timestamp ? config->timestamp : "%b %d %H:%M:%S ");
	conf.file_is_socket = config->fd_is_socket;
	conf.facility = facility_of(config->facility);
	set_host(config->hostname);
	set_name(config->name);
	snprintf(conf.stderr_name, sizeof(conf.stderr_name), "%s",
	    config->stderr_name ? config->stderr_name : "");
	/* localtime_r reads the zone's file only here, before the jail. */
	tzset();
	if (conf.file == -1 || conf.info_file == -1 || conf.debug_file == -1)
		open_syslog();
	conf.opened = true;
}

void log_keep(struct log_ring *ring)
{
	conf.ring = ring;
}

void log_syslog_path(const char *path)
{
	snprintf(conf.path, sizeof(conf.path), "%s", path);
}

/* A line being made: it never has more than its room, and what does not fit is cut. */
struct line {
	char text[LINE_MAX_BYTES + 1]; /* and LF */
	size_t len;
};

static void __attribute__((format(printf, 2, 0)))
line_vaddf(struct line *line, const char *format, va_list args)
{
	size_t room = sizeof(line->text) - line->len;
	int len = vsnprintf(line->text + line->len, room, format, args);

	if (len > 0)
		line->len += (size_t)len < room ? (size_t)len : room - 1;
}

static void __attribute__((format(printf, 2, 3)))
line_addf(struct line *line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_vaddf(line, format, args);
	va_end(args);
}

/* A cut may have gone through a character of UTF-8. */
static void drop_broken_end(struct line *line)
{
	size_t at = line->len;

	if (at < LINE_MAX_BYTES)
		return;
	while (at > 0 && at + 4 > line->len && ((unsigned char)line->text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at > 0 && ((unsigned char)line->text[at - 1] & 0xc0) == 0xc0)
		line->len = at - 1;
}

/* How many bytes the character of UTF-8 at AT has; 0: what stands there is none. */
static size_t utf8_char(const struct line *line, size_t at)
{
	unsigned char first = (unsigned char)line->text[at];
	size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	return at + len <= line->len && utf8_is_valid(slice_mem(line->text + at, len)) ? len : 0;
}

/* Postfix logs no byte that is no UTF-8, either. */
static void line_clean(struct line *line)
{
	size_t i = 0, len;

	drop_broken_end(line);
	while (i < line->len) {
		unsigned char c = (unsigned char)line->text[i];

		len = 1;
		if (c < 0x20 || c == 0x7f)
			line->text[i] = '?';
		else if (c >= 0x80 && conf.style == LOG_STYLE_POSTFIX &&
			 (len = utf8_char(line, i)) == 0)
			line->text[i] = '?', len = 1;
		i += len;
	}
}

static void line_add(struct line *line, const char *text)
{
	size_t len = strlen(text), room = sizeof(line->text) - 1 - line->len;

	if (len > room)
		len = room;
	memcpy(line->text + line->len, text, len);
	line->len += len;
	line->text[line->len] = '\0';
}

/* The administrator's format is none of printf's: it can do no harm. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void format_time(char *text, size_t size, const char *format, const struct tm *local)
{
	if (strftime(text, size, format, local) == 0)
		text[0] = '\0';
}
#pragma GCC diagnostic pop

/* The text of a second is made once in each thread. */
static void line_add_time(struct line *line, bool file)
{
	static _Thread_local struct {
		time_t second;
		const char *format;
		char text[128];
	} last;
	const char *format = "%b %e %H:%M:%S ";
	time_t now = time(NULL);
	struct tm local;

	/* Postfix pads the day with a blank, Dovecot with a zero. */
	if (conf.style == LOG_STYLE_DOVECOT)
		format = file ? conf.timestamp : "%b %d %H:%M:%S ";
	if (now != last.second || format != last.format) {
		localtime_r(&now, &local);
		format_time(last.text, sizeof(last.text), format, &local);
		last.second = now;
		last.format = format;
	}
	line_add(line, last.text);
}

static void forget_pid(void)
{
	atomic_store(&own_pid, 0);
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forget_pid);
}

static long pid_here(void)
{
	pid_t pid = atomic_load_explicit(&own_pid, memory_order_relaxed);

	if (pid != 0)
		return pid;
	pthread_once(&pid_once, watch_forks);
	pid = getpid();
	atomic_store(&own_pid, pid);
	return pid;
}

/* mail_log_prefix is what an administrator wrote, to its last blank. */
static bool is_prefix(const char *name)
{
	return name[0] != '\0' && name[strlen(name) - 1] == ' ';
}

static void line_add_origin(struct line *line, const char *name, enum log_level level, bool file)
{
	if (conf.style == LOG_STYLE_POSTFIX)
		line_addf(line, "%s%s%s[%ld]: %s", file ? conf.host : "", file ? " " : "", name,
		    pid_here(), levels[level].postfix);
	else
		line_addf(line, "%s%s%s%s", file ? "" : "dovecot: ", name,
		    is_prefix(name) ? "" : ": ",
		    file ? levels[level].dovecot_file : levels[level].dovecot_syslog);
}

/* A line without its end.  False with errno: EAGAIN when whoever is there hangs. */
static bool send_line(int fd, const struct line *line)
{
	int64_t deadline = deadline_in(PATIENCE_MS);

	while (send(fd, line->text, line->len, MSG_NOSIGNAL | MSG_DONTWAIT) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || socket_wait(fd, POLLOUT, deadline) != 1)
			return false;
	}
	return true;
}

static void write_line(int fd, struct line *line)
{
	ssize_t n;

	line->text[line->len] = '\n';
	do
		n = write(fd, line->text, line->len + 1);
	while (n == -1 && errno == EINTR);
}

static void __attribute__((format(printf, 4, 0)))
to_file(int fd, const char *name, enum log_level level, const char *format, va_list args)
{
	struct line line = { .len = 0 };

	line_add_time(&line, true);
	line_add_origin(&line, name, level, true);
	line_vaddf(&line, format, args);
	line_clean(&line);
	if (conf.file_is_socket)
		(void)send_line(conf.file, &line);
	else
		write_line(fd, &line);
}

static void __attribute__((format(printf, 3, 0)))
to_stderr(const char *name, enum log_level level, const char *format, va_list args)
{
	struct line line = { .len = 0 };
	const char *prefix =
	    conf.style == LOG_STYLE_POSTFIX ? levels[level].postfix : levels[level].dovecot_syslog;

	line_addf(&line, "%s: %s", name, prefix);
	line_vaddf(&line, format, args);
	line_clean(&line);
	write_line(STDERR_FILENO, &line);
}

/*
 * A process in a jail does not find syslog's socket again when syslogd was started anew.  What it
 * writes to its standard error goes through a pipe to master, who finds it.
 */
static void to_supervisor(struct line *line)
{
	const char *text = memchr(line->text, '>', line->len);

	if (text == NULL || conf.to_stderr || socket_wait(STDERR_FILENO, POLLOUT, 0) != 1)
		return;
	line->len -= (size_t)(text + 1 - line->text);
	memmove(line->text, text + 1, line->len);
	write_line(STDERR_FILENO, line);
}

static void send_syslog(struct line *line)
{
	if (send_line(conf.syslog, line) || errno == EAGAIN)
		return;
	reopen_syslog();
	if (!send_line(conf.syslog, line) && errno != EAGAIN)
		to_supervisor(line);
}

static void __attribute__((format(printf, 3, 0)))
to_syslog(const char *name, enum log_level level, const char *format, va_list args)
{
	struct line line = { .len = 0 };

	line_addf(&line, "<%d>", conf.facility | levels[level].severity);
	line_add_time(&line, false);
	line_add_origin(&line, name, level, false);
	line_vaddf(&line, format, args);
	line_clean(&line);
	send_syslog(&line);
}

/* What comes after time and host; the whole of what does not look like that. */
static const char *without_origin(const char *text)
{
	unsigned day, hour, minute, second;
	int end = 0;
	const char *host;

	if (sscanf(text, "%*3c %2u %2u:%2u:%2u %n", &day, &hour, &minute, &second, &end) != 4 ||
	    end == 0)
		return text;
	host = strchr(text + end, ' ');
	return host ? host + 1 : text;
}

static void forward_to_syslog(const struct line *from)
{
	struct line line = { .len = 0 };

	line_addf(&line, "<%d>", conf.facility | levels[LOG_LEVEL_INFO].severity);
	line_add_time(&line, false);
	line_add(&line, without_origin(from->text));
	send_syslog(&line);
}

void log_forward(const char *text, size_t len)
{
	struct line line = { .len = len < LINE_MAX_BYTES ? len : LINE_MAX_BYTES };

	memcpy(line.text, text, line.len);
	line.text[line.len] = '\0';
	line_clean(&line);
	if (conf.opened && conf.file != -1)
		write_line(conf.file, &line);
	else if (conf.opened && conf.syslog != -1)
		forward_to_syslog(&line);
}

static int file_of(enum log_level level)
{
	if (level == LOG_LEVEL_DEBUG)
		return conf.debug_file;
	return level == LOG_LEVEL_INFO ? conf.info_file : conf.file;
}

static void __attribute__((format(printf, 3, 0)))
to_ring(const char *name, enum log_level level, const char *format, va_list args)
{
	struct line line = { .len = 0 };

	line_vaddf(&line, format, args);
	line_clean(&line);
	line.text[line.len] = '\0';
	log_ring_put(conf.ring, time(NULL), (int)level, name, line.text);
}

static const char *own_name(void)
{
	return conf.name[0] ? conf.name : program_invocation_short_name;
}

void log_vas(const char *name, enum log_level level, const char *format, va_list args)
{
	va_list again;
	int saved = errno, fd;

	if (level == LOG_LEVEL_DEBUG && !conf.debug)
		return;
	if (conf.to_stderr) {
		va_copy(again, args);
		to_stderr(name			? name
			  : conf.stderr_name[0] ? conf.stderr_name
						: own_name(),
		    level, format, again);
		va_end(again);
	}
	if (!name)
		name = own_name();
	if (conf.ring && level >= LOG_LEVEL_WARNING) {
		va_copy(again, args);
		to_ring(name, level, format, again);
		va_end(again);
	}
	fd = file_of(level);
	if (conf.opened && fd != -1)
		to_file(fd, name, level, format, args);
	else if (conf.opened && conf.syslog != -1)
		to_syslog(name, level, format, args);
	errno = saved;
}

void log_as(const char *name, enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vas(name, level, format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_INFO, format, args);
	va_end(args);
}

bool log_debugs(void)
{
	return conf.debug;
}

void log_debug(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_DEBUG, format, args);
	va_end(args);
}

void log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_WARNING, format, args);
	va_end(args);
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_ERROR, format, args);
	va_end(args);
}

void fatal(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_FATAL, format, args);
	va_end(args);
	exit(1);
}

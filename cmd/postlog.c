// SPDX-License-Identifier: BSD-2-Clause
/*
 * postlog: lines of scripts into the mail log.  Who may not write to maillog_file reaches the
 * service public/postlog, where one is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/programs.h"
#include "cmd/queue_client.h"
#include "log/log.h"

static const struct {
	const char *name, *prefix;
	enum log_level level;
} severities[] = {
	{ "info", "", LOG_LEVEL_INFO },
	{ "warn", "warning: ", LOG_LEVEL_WARNING },
	{ "warning", "warning: ", LOG_LEVEL_WARNING },
	{ "error", "error: ", LOG_LEVEL_ERROR },
	{ "err", "error: ", LOG_LEVEL_ERROR },
	{ "fatal", "fatal: ", LOG_LEVEL_FATAL },
	{ "crit", "fatal: ", LOG_LEVEL_FATAL },
	{ "panic", "panic: ", LOG_LEVEL_FATAL },
};

struct postlog {
	const struct postfix_params *params;
	const char *tag;
	size_t severity;
	int socket; /* to public/postlog, or -1 */
};

static size_t find_severity(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(severities); i++)
		if (strcasecmp(name, severities[i].name) == 0)
			return i;
	queue_client_fatal("bad severity: \"%s\"", name);
}

/* "TAG[PID]: warning: TEXT", to which the service adds time and host. */
static void send_line(const struct postlog *log, const char *text)
{
	char *line = xasprintf(
	    "%s[%ld]: %s%s", log->tag, (long)getpid(), severities[log->severity].prefix, text);

	if (send(log->socket, line, strlen(line), MSG_NOSIGNAL) == -1)
		queue_client_fatal("send to the postlog service: %s", strerror(errno));
	free(line);
}

static void put_line(const struct postlog *log, const char *text)
{
	enum log_level level = severities[log->severity].level;

	if (log->socket != -1)
		send_line(log, text);
	else if (strcmp(severities[log->severity].name, "panic") == 0)
		log_as(NULL, LOG_LEVEL_ERROR, "panic: %s", text);
	else
		log_as(NULL, level, "%s", text);
}

static int connect_service(const struct postfix_params *params)
{
	const char *name = getenv("POSTLOG_SERVICE");
	char *path = queue_client_socket(params, name ? name : params->postlog_service_name);
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		close(fd);
		fd = -1;
	}
	free(path);
	return fd;
}

/* The log file or syslog; where the file is not ours to write to, the service. */
static void open_log(struct postlog *log)
{
	const char *path = log->params->maillog_file;
	struct log_config config = { .style = LOG_STYLE_POSTFIX,
		.name = log->tag,
		.facility = log->params->syslog_facility,
		.fd = -1,
		.to_stderr = isatty(STDERR_FILENO) };

	if (*path && strncmp(path, "/dev/std", 8) != 0)
		config.fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
	if (*path && config.fd == -1) {
		int error = errno;

		log->socket = connect_service(log->params);
		if (log->socket == -1)
			queue_client_fatal("open %s: %s", path, strerror(error));
		return;
	}
	log_open(&config);
}

static void copy_lines(const struct postlog *log)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) != -1) {
		line[strcspn(line, "\n")] = '\0';
		put_line(log, line);
	}
	free(line);
}

static void put_words(const struct postlog *log, char **words)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);

	for (; *words; words++)
		strbuf_addf(&text, "%s%s", text.len ? " " : "", *words);
	put_line(log, text.ptr);
	strbuf_release(&text);
}

int main(int argc, char **argv)
{
	struct postlog log = { .tag = getenv("MAIL_LOGTAG"), .socket = -1 };
	const char *dir = NULL, *severity = "info";
	int opt;

	programs_standard_files();
	log_command("postlog");
	while ((opt = getopt(argc, argv, "+c:ip:t:v")) != -1) {
		if (opt == 'c')
			dir = optarg;
		else if (opt == 'p')
			severity = optarg;
		else if (opt == 't')
			log.tag = optarg;
		else if (opt ==
			 '?') /* -i and -v: our lines have the pid, and say all that we know */
			queue_client_fatal(
			    "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text]");
	}
	log.severity = find_severity(severity);
	log.params = queue_client_params(dir);
	char *own = xasprintf("%s/postlog", log.params->syslog_name);

	if (!log.tag)
		log.tag = own;
	open_log(&log);
	if (optind < argc)
		put_words(&log, argv + optind);
	else
		copy_lines(&log);
	free(own);
	queue_client_end();
	return 0;
}

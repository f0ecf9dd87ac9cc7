// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/command_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"

static int open_file(const char *path)
{
	/* The terminal of whoever started master is not ours. */
	if (strncmp(path, "/dev/", strlen("/dev/")) == 0) {
		errno = EACCES;
		return -1;
	}
	return open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
}

/* A program that master started finds the service's name in its environment. */
static int open_service(const struct postfix_params *params)
{
	const char *name = secure_getenv("POSTLOG_SERVICE");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int len = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/public/%s",
	    params->queue_directory, name ? name : params->postlog_service_name);
	int fd;

	if (len < 0 || (size_t)len >= sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int log_fd = -1;

void command_log_close(const char *stderr_name)
{
	log_command(stderr_name);
	if (log_fd != -1)
		close(log_fd);
	log_fd = -1;
}

bool command_log_open(const struct postfix_params *params, const struct command_log *to)
{
	const char *path = params->maillog_file;
	char *own = xasprintf("%s/%s", params->syslog_name, to->stderr_name);
	struct log_config config = { .style = LOG_STYLE_POSTFIX,
		.name = to->tag ? to->tag : own,
		.stderr_name = to->stderr_name,
		.facility = params->syslog_facility,
		.fd = -1,
		.to_stderr = to->to_stderr };
	int error = 0;

	if (*path && (config.fd = open_file(path)) == -1) {
		error = errno;
		config.fd = open_service(params);
		config.fd_is_socket = true;
	}
	if (!*path || config.fd != -1)
		log_open(&config);
	else
		log_command(to->stderr_name);
	log_fd = config.fd;
	free(own);
	errno = error;
	return !*path || config.fd != -1;
}

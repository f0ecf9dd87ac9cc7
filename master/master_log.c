// SPDX-License-Identifier: BSD-2-Clause
/*
 * master opens the log file and hands its descriptor on, so that a daemon needs no right to the
 * file.  A new file takes the old one's descriptor number: whoever has that number writes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "master/supervisor.h"
#include "server/contract.h"

/* Only a file that we make gets the mode. */
static int open_file(const char *path, mode_t mode)
{
	int fd;

	/* Not opened by name: where it is a socket, open(2) would refuse. */
	if (strcmp(path, "/dev/stdout") == 0)
		return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (strcmp(path, "/dev/stderr") == 0)
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, mode & 0600);
	if (fd >= 0)
		(void)fchmod(fd, mode);
	return fd;
}

static void tell_processes(void)
{
	struct msg_out m = { { 0 } };

	msg_begin(&m, CONTRACT_LOG_TO);
	list_for_each(gl, &master.generations) {
		struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services) {
			struct service *s = list_entry(sl, struct service, link);

			list_for_each(pl, &s->processes)
				process_send(
				    list_entry(pl, struct process, link), &m, master.log_fd);
		}
	}
	msg_release(&m);
}

bool master_log_open(const struct generation *g, bool to_stderr, bool debug)
{
	struct log_config config = {
		.style = master.language == MASTER_POSTFIX ? LOG_STYLE_POSTFIX : LOG_STYLE_DOVECOT,
		.name = master.log_name,
		.facility = g->facility,
		.to_stderr = to_stderr,
		.debug = debug,
	};
	int fd = -1;

	if (g->log_path != NULL) {
		fd = open_file(g->log_path, g->log_mode);
		if (fd < 0)
			return false;
	}
	if (master.log_fd >= 0)
		close(master.log_fd);
	master.log_fd = config.fd = fd;
	log_open(&config);
	if (fd >= 0)
		tell_processes();
	return true;
}

void master_log_reopen(void)
{
	const char *path = master.current->log_path;
	int fd;

	if (path == NULL || master.log_fd < 0)
		return;
	fd = open_file(path, master.current->log_mode);
	if (fd < 0) {
		log_warning("open logfile %s: %s", path, strerror(errno));
		return;
	}
	(void)dup3(fd, master.log_fd, O_CLOEXEC);
	close(fd);
	tell_processes();
}

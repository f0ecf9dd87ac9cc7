// SPDX-License-Identifier: BSD-2-Clause
/*
 * master opens the log files and hands their descriptors on, so that a daemon needs no right to the
 * files.  A new file takes the old one's descriptor number: whoever has that number writes on.
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

/* Of the Ith destination; NULL: syslog. */
static const char *path_of(const struct generation *g, int i)
{
	const char *const paths[CONTRACT_LOG_FILES] = { g->log_path, g->info_log_path,
		g->debug_log_path };

	return master.language == MASTER_POSTFIX ? g->log_path : paths[i];
}

unsigned master_log_files(void)
{
	unsigned files = 0;

	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		if (master.log_fds[i] >= 0)
			files |= 1u << i;
	return files;
}

/* Where there is no file, any one holds its place in the message. */
static void tell_processes(void)
{
	int fds[CONTRACT_LOG_FILES], any = -1;
	struct msg_out m = { { 0 } };

	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		any = any >= 0 ? any : master.log_fds[i];
	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		fds[i] = master.log_fds[i] >= 0 ? master.log_fds[i] : any;
	if (any < 0)
		return;
	msg_begin(&m, CONTRACT_LOG_TO);
	list_for_each(gl, &master.generations) {
		struct generation *g = list_entry(gl, struct generation, link);

		list_for_each(sl, &g->services) {
			struct service *s = list_entry(sl, struct service, link);

			list_for_each(pl, &s->processes)
				process_send_many(list_entry(pl, struct process, link), &m, fds,
				    CONTRACT_LOG_FILES);
		}
	}
	msg_release(&m);
}

/* Closes what was opened of FDS. */
static void close_all(int fds[CONTRACT_LOG_FILES])
{
	int saved = errno;

	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	errno = saved;
}

/* False with errno, and the path that failed. */
static bool open_all(const struct generation *g, int fds[CONTRACT_LOG_FILES], const char **failed)
{
	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		fds[i] = -1;
	for (int i = 0; i < CONTRACT_LOG_FILES; i++) {
		*failed = path_of(g, i);
		if (*failed == NULL)
			continue;
		fds[i] = open_file(*failed, g->log_mode);
		if (fds[i] < 0) {
			close_all(fds);
			return false;
		}
	}
	return true;
}

bool master_log_open(const struct generation *g, bool to_stderr, bool debug, const char **failed)
{
	struct log_config config = {
		.style = master.language == MASTER_POSTFIX ? LOG_STYLE_POSTFIX : LOG_STYLE_DOVECOT,
		.name = master.log_name,
		.facility = g->facility,
		.to_stderr = to_stderr,
		.debug = debug,
		.is_split = true,
		.timestamp = g->log_timestamp,
	};
	int fds[CONTRACT_LOG_FILES];

	if (!open_all(g, fds, failed))
		return false;
	close_all(master.log_fds);
	memcpy(master.log_fds, fds, sizeof(fds));
	config.fd = fds[0];
	config.info_fd = fds[1];
	config.debug_fd = fds[2];
	log_open(&config);
	tell_processes();
	return true;
}

void master_log_reopen(void)
{
	int fds[CONTRACT_LOG_FILES];
	const char *failed;

	if (!open_all(master.current, fds, &failed)) {
		log_warning("open logfile %s: %s", failed, strerror(errno));
		return;
	}
	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		if (fds[i] >= 0 && master.log_fds[i] >= 0)
			(void)dup3(fds[i], master.log_fds[i], O_CLOEXEC);
	close_all(fds);
	tell_processes();
}

// SPDX-License-Identifier: BSD-2-Clause
/* What a forked child must not keep of the daemon that it comes from. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "server/contract.h"
#include "server/server_internal.h"

/* The daemon's loop blocks what it takes from a signalfd, and ignores what is master's business. */
static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int signo = 1; signo < NSIG; signo++)
		if (signo != SIGPIPE)
			signal(signo, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors from FIRST on are closed, but for those in KEEP, which is sorted here. */
static void close_all_but(unsigned first, unsigned *keep, size_t count)
{
	for (size_t i = 1; i < count; i++)
		for (size_t at = i; at > 0 && keep[at] < keep[at - 1]; at--) {
			unsigned other = keep[at];

			keep[at] = keep[at - 1];
			keep[at - 1] = other;
		}
	for (size_t i = 0; i < count; i++) {
		if (keep[i] > first)
			(void)close_range(first, keep[i] - 1, 0);
		first = keep[i] + 1;
	}
	(void)close_range(first, ~0U, 0);
}

void server_become_child(int fd, const char *name)
{
	struct server_process *p = &server_process;
	unsigned keep[1 + CONTRACT_LOG_FILES] = { (unsigned)fd };
	size_t count = 1;

	reset_signals();
	for (unsigned i = 0; i < CONTRACT_LOG_FILES; i++)
		if (p->log_files & (1u << i))
			keep[count++] = CONTRACT_LOG + i;
	close_all_but(STDERR_FILENO + 1, keep, count);
	p->ctx.proc_fd = -1;
	/* An arena's memory: const for daemons only. */
	explicit_bzero((void *)(uintptr_t)p->ctx.secret, SERVER_SECRET_SIZE);
	takeover_log(p, name);
}

int server_log_fd(void)
{
	return server_process.log_files & 1 ? CONTRACT_LOG : -1;
}

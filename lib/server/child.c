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

/* Descriptors from FIRST on are closed, but for the two. */
static void close_all_but(unsigned first, unsigned a, unsigned b)
{
	const unsigned low = a < b ? a : b, high = a < b ? b : a;

	if (low > first)
		(void)close_range(first, low - 1, 0);
	if (high > low + 1)
		(void)close_range(low + 1, high - 1, 0);
	(void)close_range(high + 1, ~0U, 0);
}

void server_become_child(int fd, const char *name)
{
	struct server_process *p = &server_process;

	reset_signals();
	close_all_but(
	    STDERR_FILENO + 1, (unsigned)fd, p->log_file ? (unsigned)CONTRACT_LOG : (unsigned)fd);
	p->ctx.proc_fd = -1;
	/* An arena's memory: const for daemons only. */
	explicit_bzero((void *)(uintptr_t)p->ctx.secret, SERVER_SECRET_SIZE);
	takeover_log(p, name);
}

int server_log_fd(void)
{
	return server_process.log_file ? CONTRACT_LOG : -1;
}

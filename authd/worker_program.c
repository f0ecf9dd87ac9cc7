// SPDX-License-Identifier: BSD-2-Clause
#include "authd/worker_program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/priv.h"

enum { PROGRAM_IN = 3, PROGRAM_OUT = 4 };
#define CANNOT_START 111 /* checkpassword's word for trouble of the moment */

/* Both ends above the numbers that they are to get, so that neither is in the other's way. */
static bool make_pipe(int ends[2])
{
	int low[2];

	if (pipe2(low, O_CLOEXEC) == -1)
		return false;
	for (int i = 0; i < 2; i++) {
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, PROGRAM_OUT + 1);
		close(low[i]);
	}
	return ends[0] >= 0 && ends[1] >= 0;
}

static void close_pair(const int ends[2])
{
	for (int i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

static _Noreturn void become_program(const struct program *program, int in, int out)
{
	if (dup2(in, PROGRAM_IN) == -1 || dup2(out, PROGRAM_OUT) == -1)
		_exit(CANNOT_START);
	(void)close_range(PROGRAM_OUT + 1, ~0U, 0);
	signal(SIGPIPE, SIG_DFL);
	if (program->switches_user && priv_drop(program->uid, program->gid, NULL, 0) == -1)
		_exit(CANNOT_START);
	execve(program->argv[0], program->argv, program->env);
	_exit(127); /* as a shell, and the peer */
}

/* False at the end of the output. */
static bool take_output(int fd, struct strbuf *answer)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n > 0)
		strbuf_add(answer, buf, (size_t)n);
	return n > 0 || (n == -1 && (errno == EINTR || errno == EAGAIN));
}

/* Until the program has gone: what it wrote before is in the pipe then. */
static bool watch(int out, int process, int64_t deadline, struct strbuf *answer)
{
	struct pollfd fds[] = { { .fd = out, .events = POLLIN },
		{ .fd = process, .events = POLLIN } };

	for (;;) {
		int ready = poll(fds, 2, deadline_left(deadline));

		if (ready == 0)
			return false;
		if (ready == -1)
			continue;
		if (answer->overflow)
			return false;
		if (fds[0].revents && !take_output(out, answer))
			fds[0].fd = -1;
		else if (!fds[0].revents && fds[1].revents)
			return true;
	}
}

static void wait_for(
    const struct program *program, int out, struct strbuf *answer, struct program_end *end)
{
	int process = (int)syscall(SYS_pidfd_open, end->pid, 0);

	end->late = process < 0 || !watch(out, process, program->deadline, answer);
	if (end->late)
		(void)kill(end->pid, SIGKILL);
	while (waitpid(end->pid, &end->status, 0) == -1 && errno == EINTR)
		;
	if (process >= 0)
		close(process);
}

bool program_run(const struct program *program, struct strbuf *answer, struct program_end *end)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };
	bool ok = make_pipe(in) && make_pipe(out);

	end->pid = ok ? fork() : -1;
	ok = end->pid >= 0;
	if (end->pid == 0)
		become_program(program, in[0], out[1]);
	if (ok) {
		close(in[0]);
		close(out[1]);
		in[0] = out[1] = -1;
		/* A pipe takes it all at once; who does not read it has decided without it. */
		(void)!write(in[1], program->request.ptr, program->request.len);
		close(in[1]);
		in[1] = -1;
		(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
		wait_for(program, out[0], answer, end);
	}
	close_pair(in);
	close_pair(out);
	return ok;
}

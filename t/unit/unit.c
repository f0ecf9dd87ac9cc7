// SPDX-License-Identifier: BSD-2-Clause
/* The child's standard error is a file without a name: no pipe that could fill up. */
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void child(void (*f)(void), FILE *errors)
{
	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGABRT, SIG_DFL);
	dup2(fileno(errors), STDERR_FILENO);
	f();
	_exit(0);
}

int unit_run_apart(void (*f)(void), char *text, size_t size)
{
	FILE *errors = tmpfile();
	int status;
	pid_t pid;

	assert_non_null(errors);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(f, errors);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rewind(errors);
	if (size)
		text[fread(text, 1, size - 1, errors)] = '\0';
	fclose(errors);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

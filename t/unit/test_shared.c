// SPDX-License-Identifier: BSD-2-Clause
#include "unit.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/shared.h"

static void numbers_are_given_once(void **state)
{
	int fd, status;
	struct shared *a = shared_new(&fd), *b;
	pid_t pid;

	(void)state;
	assert_non_null(a);
	b = shared_attach(fd);
	assert_non_null(b);
	want_int("first", shared_next_number(a), 1);
	want_int("second, by another mapping", shared_next_number(b), 2);
	pid = fork();
	if (pid == 0)
		_exit(shared_next_number(b) == 3 ? 0 : 1);
	waitpid(pid, &status, 0);
	want_int("third, by another process", status, 0);
	want_int("fourth", shared_next_number(a), 4);
	want_int("cannot shrink", ftruncate(fd, 0), -1);
	close(fd);
}

static void others_are_refused(void **state)
{
	int fd = memfd_create("other", 0);

	(void)state;
	assert_null(shared_attach(fd));
	want_int("size", ftruncate(fd, 4096), 0);
	assert_null(shared_attach(fd));
	assert_null(shared_attach(-1));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_given_once),
		cmocka_unit_test(others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

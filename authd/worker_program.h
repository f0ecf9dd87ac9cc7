// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program that is started for one request, as DJB's checkpassword: it reads the request at its
 * descriptor 3 and writes the answer to its descriptor 4.  Only from a process of one thread.
 */
#ifndef PC_AUTHD_WORKER_PROGRAM_H
#define PC_AUTHD_WORKER_PROGRAM_H

#include <sys/types.h>

#include "base/slice.h"
#include "base/strbuf.h"

struct program {
	char **argv, **env; /* end with NULL; argv[0] is the path */
	struct slice request;
	bool switches_user;
	uid_t uid;
	gid_t gid;
	int64_t deadline;
};

struct program_end {
	pid_t pid;
	bool late;  /* killed: at the deadline, or because ANSWER was full */
	int status; /* waitpid(2)'s */
};

/*
 * Runs it to its end and fills ANSWER.  What the program leaves behind is not waited for.  False
 * with errno: it could not be started.
 */
bool program_run(const struct program *program, struct strbuf *answer, struct program_end *end);

#endif

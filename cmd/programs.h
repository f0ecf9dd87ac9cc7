// SPDX-License-Identifier: BSD-2-Clause
/* How commands find the suite's other programs: by where they lie themselves. */
#ifndef PC_CMD_PROGRAMS_H
#define PC_CMD_PROGRAMS_H

/* Beside this command ("postqueue"), or in the daemons' directory ("master"); never NULL. */
char *programs_command(const char *name);
char *programs_daemon(const char *name);

/* Whoever started us without descriptors 0 to 2 must not get a file of ours as one of them. */
void programs_standard_files(void);

/* Replaces the process; fatal() when that fails.  ARGV[0] is what the program is called. */
_Noreturn void programs_exec(const char *path, char *const argv[]);
/* Runs it and waits: its exit status, or 1. */
int programs_run(const char *path, char *const argv[]);

#endif

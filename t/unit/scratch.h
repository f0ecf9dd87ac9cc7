// SPDX-License-Identifier: BSD-2-Clause
/* A directory for one test program, which is removed with all that is in it when it ends. */
#ifndef PC_SCRATCH_H
#define PC_SCRATCH_H

#include <stdint.h>

/* A descriptor of the directory; the same for every call. */
int scratch_fd(void);
/* DIRECTORY/NAME; a static text. */
const char *scratch_path(const char *name);
/* A descriptor of /proc/self/fd. */
int scratch_proc_fd(void);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* One run of master, from the first look at the configuration to the last process gone. */
#ifndef PC_MASTER_RUN_H
#define PC_MASTER_RUN_H

#include <stdbool.h>

struct run_options {
	bool foreground; /* stays where it was started */
	bool wait;	 /* in the background; who started it waits until it serves */
	bool test;	 /* only says whether another one runs */
	bool debug;
};

/* Exit status: 0 when no master runs for this configuration, 1 when one does. */
int run_test(void);
int run(const struct run_options *options);

/* daemon_output.c: what daemons write to standard output and error becomes log lines. */
void daemon_output_open(void);
int daemon_output_fd(void);
/* status.c: base_dir/master-status, for doveadm. */
struct generation;
void status_open(const struct generation *g);
void status_close(void);
/* background.c: goes on in a child; the caller's process exits when that is ready, or not. */
void background_begin(void);
/* Standard descriptors are let go. */
void background_ready(void);

#endif

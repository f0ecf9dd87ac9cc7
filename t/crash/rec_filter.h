// SPDX-License-Identifier: BSD-2-Clause
/* rec_filter.h - the seccomp filter that stops tracees at the calls of interest, and only there. */
#ifndef REC_FILTER_H
#define REC_FILTER_H

/* What a stop with this data means: a call through another ABI, whose numbers we do not know. */
#define FILTER_FOREIGN 1

/*
 * Installs the filter in the calling process; all its descendants inherit it. Called in the
 * child before exec. Returns 0 or -1 with errno set.
 */
int filter_install(void);

#endif

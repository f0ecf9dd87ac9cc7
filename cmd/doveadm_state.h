// SPDX-License-Identifier: BSD-2-Clause
/* What a running master tells of itself: lines of words on its socket "master-status". */
#ifndef PC_CMD_DOVEADM_STATE_H
#define PC_CMD_DOVEADM_STATE_H

#include <stddef.h>

#include "conf/dovecot_conf.h"

#define DOVEADM_STATE_WORDS 16

struct doveadm_state_line {
	const char *words[DOVEADM_STATE_WORDS];
	size_t count; /* at least 1 */
};

/* Gives each line to EACH.  Fatal when no master answers. */
void doveadm_state_read(const struct dovecot_settings *settings,
    void (*each)(const struct doveadm_state_line *line, void *arg), void *arg);

#endif

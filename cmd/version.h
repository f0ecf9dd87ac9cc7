// SPDX-License-Identifier: BSD-2-Clause
/* Who we say we are where scripts ask Dovecot's commands for their version. */
#ifndef PC_CMD_VERSION_H
#define PC_CMD_VERSION_H

#define DOVECOT_VERSION	   "2.3.21 (postcote)"
#define PIGEONHOLE_VERSION "0.5.21 (postcote)"

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* What becomes of the programs that master.cf names. */
#ifndef PC_CONF_POSTFIX_PROGRAMS_H
#define PC_CONF_POSTFIX_PROGRAMS_H

#include "conf/postfix_conf.h"

enum postfix_program_kind {
	PROGRAM_RUNS,	/* a program of ours */
	PROGRAM_FOLDED, /* its work is done inside of other programs; the entry still names a role
			 */
	PROGRAM_ABSENT	/* the peer has it, we do not yet */
};

struct postfix_program {
	const char *name;
	enum postfix_program_kind kind;
	const char *inside; /* of which programs, for a folded one */
	const char *does;   /* what is missing while it is absent */
};

/* NULL for a program that the peer does not have either. */
const struct postfix_program *postfix_program_find(const char *name);
/* The program that NAME is most likely meant to be, or NULL. */
const char *postfix_program_nearest(const char *name);
/* The entry is a delivery agent, whose name defines parameters. */
bool postfix_is_transport(const struct postfix_service *service);

#endif

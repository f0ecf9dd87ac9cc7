// SPDX-License-Identifier: BSD-2-Clause
/* What a word that is none is likely meant to be. */
#ifndef PC_CONF_NEAREST_H
#define PC_CONF_NEAREST_H

struct nearest {
	const char *name;  /* borrowed; the word that was written */
	const char *found; /* the nearest so far; NULL: none is near enough */
	unsigned limit;	   /* what comes next must be nearer */
};

/* NAME is near to what a typing error or two make of it. */
void nearest_init(struct nearest *nearest, const char *name);
/* Compares with CANDIDATE, which must live as long as NEAREST: the length of one by the other's. */
void nearest_try(struct nearest *nearest, const char *candidate);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * How many deliveries a destination gets at a time: its *window*, which grows with deliveries that
 * reached it and shrinks with those that did not (the peer's SCHEDULER_README, "Concurrency
 * scheduling").  Pure: no time, no I/O.
 *
 * Positive feedback counts at the end of a sequence of 1/feedback successes, negative feedback at
 * the beginning of one.  Independent of both, a destination is dead when pseudo-cohorts of failures
 * (as many as the window) have reached the limit without a success between them.
 */
#ifndef PC_QMGR_FEEDBACK_H
#define PC_QMGR_FEEDBACK_H

#include <stdbool.h>

#include "base/slice.h"

enum feedback_kind { FEEDBACK_CONSTANT, FEEDBACK_PER_CONCURRENCY, FEEDBACK_PER_SQRT };

struct feedback_form {
	enum feedback_kind kind;
	double number; /* 0..1 */
};

struct feedback_config {
	unsigned initial;      /* at least 1 */
	unsigned limit;	       /* 0: none */
	unsigned cohort_limit; /* 0: never dead */
	struct feedback_form positive, negative;
};

struct feedback {
	unsigned window; /* 0: dead */
	double success, failure, fail_cohorts;
};

/*
 * "1", "1/2", "0.5 / concurrency", "1 / sqrt_concurrency".  False: not of these forms, or not in
 * 0..1.
 */
bool feedback_parse(struct slice text, struct feedback_form *form);
double feedback_value(const struct feedback_form *form, unsigned concurrency);

void feedback_reset(struct feedback *f, const struct feedback_config *config);
/* After a reload: the window stays where the new limit allows it. */
void feedback_fit(struct feedback *f, const struct feedback_config *config);
/*
 * A delivery reached the destination.  RUNNING: deliveries there, this one included; a window that
 * is wider than what is used does not grow.  One that was dead begins anew.
 */
void feedback_succeeded(struct feedback *f, const struct feedback_config *config, unsigned running);
/* One did not.  Nothing happens to a dead one. */
void feedback_failed(struct feedback *f, const struct feedback_config *config);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * smtp_delivery_status_filter and its sisters: what became of a recipient, in other words, or as
 * another kind of failure.  The key is "4.2.1 text", and so is the result; without a text the old
 * one stays.
 *
 * Immutable, for all threads.
 */
#ifndef PC_REWRITE_STATUS_FILTER_H
#define PC_REWRITE_STATUS_FILTER_H

#include "base/reason.h"

struct status_filter;

/* NAME is the parameter's, for the log.  NULL for an empty VALUE. */
struct status_filter *status_filter_new(const char *name, const char *value);
void status_filter_free(struct status_filter *filter); /* NULL is fine */

/*
 * Changes WHY (which has a code) in place.  Success stays success, and failure failure: a result
 * that says otherwise is a warning, and nothing changes; nor does it when a table fails.  FILTER is
 * a struct status_filter, for use as agent_class.filter.
 */
void status_filter_apply(void *filter, struct reason *why);

#endif

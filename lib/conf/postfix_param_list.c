// SPDX-License-Identifier: BSD-2-Clause
/* conf/postfix_params.def as a table that is searched by name. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/nearest.h"
#include "conf/postfix_param_list.h"

#define WORKS_YES true, false
#define WORKS_NO  false, false
#define WORKS_OLD false, true

static const struct postfix_param_row rows[] = {
#define PARAM(type, field, name, def, min, max, readers, works, text)                              \
	{ name, def, readers, text, PARAM_##type, min, max, WORKS_##works },
#include "conf/postfix_params.def"
#undef PARAM
};

static const size_t offsets[] = {
#define PARAM(type, field, name, def, min, max, readers, works, text)                              \
	offsetof(struct postfix_params, field),
#include "conf/postfix_params.def"
#undef PARAM
};

size_t postfix_param_count(void)
{
	return ARRAY_LEN(rows);
}

const struct postfix_param_row *postfix_param_row(size_t i)
{
	ASSERT(i < ARRAY_LEN(rows));
	return &rows[i];
}

static int compare_name(const void *key, const void *row)
{
	return strcmp(key, ((const struct postfix_param_row *)row)->name);
}

const struct postfix_param_row *postfix_param_find(const char *name)
{
	return bsearch(name, rows, ARRAY_LEN(rows), sizeof(rows[0]), compare_name);
}

void *postfix_param_member(struct postfix_params *params, const struct postfix_param_row *row)
{
	return (char *)params + offsets[row - rows];
}

/*
 * What a delivery service X defines: X_destination_concurrency_limit and so on, and what each falls
 * back to.  Where one suffix ends with another the longer one comes first.
 */
static const struct {
	const char *suffix, *fallback;
} transport_forms[] = {
	{ "_delivery_slot_cost", "default_delivery_slot_cost" },
	{ "_delivery_slot_discount", "default_delivery_slot_discount" },
	{ "_delivery_slot_loan", "default_delivery_slot_loan" },
	{ "_destination_concurrency_failed_cohort_limit",
	    "default_destination_concurrency_failed_cohort_limit" },
	{ "_destination_concurrency_limit", "default_destination_concurrency_limit" },
	{ "_destination_concurrency_negative_feedback",
	    "default_destination_concurrency_negative_feedback" },
	{ "_destination_concurrency_positive_feedback",
	    "default_destination_concurrency_positive_feedback" },
	{ "_destination_rate_delay", "default_destination_rate_delay" },
	{ "_destination_recipient_limit", "default_destination_recipient_limit" },
	{ "_extra_recipient_limit", "default_extra_recipient_limit" },
	{ "_initial_destination_concurrency", "initial_destination_concurrency" },
	{ "_minimum_delivery_slots", "default_minimum_delivery_slots" },
	{ "_recipient_refill_delay", "default_recipient_refill_delay" },
	{ "_recipient_refill_limit", "default_recipient_refill_limit" },
	{ "_recipient_limit", "default_recipient_limit" },
	{ "_transport_rate_delay", "default_transport_rate_delay" },
	{ "_time_limit", "command_time_limit" },
};

size_t postfix_transport_form_count(void)
{
	return ARRAY_LEN(transport_forms);
}

const char *postfix_transport_form(size_t i)
{
	ASSERT(i < ARRAY_LEN(transport_forms));
	return transport_forms[i].suffix;
}

const char *postfix_transport_fallback(const char *name, struct slice *transport)
{
	struct slice whole = slice_of(name);
	for (size_t i = 0; i < ARRAY_LEN(transport_forms); i++) {
		size_t len = strlen(transport_forms[i].suffix);
		if (whole.len > len && slice_ends(whole, transport_forms[i].suffix)) {
			*transport = slice_first(whole, whole.len - len);
			return transport_forms[i].fallback;
		}
	}
	return NULL;
}

const char *postfix_param_nearest(const char *name)
{
	struct nearest nearest;
	nearest_init(&nearest, name);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!rows[i].is_old)
			nearest_try(&nearest, rows[i].name);
	return nearest.found;
}

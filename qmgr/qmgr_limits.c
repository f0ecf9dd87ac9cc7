// SPDX-License-Identifier: BSD-2-Clause
#include "qmgr/qmgr_limits.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/postfix_value.h"
#include "log/log.h"
#include "qmgr/qmgr.h"

#define DEFAULT_DELIVERIES 1000 /* where master.cf says nothing */

/* "NAME_WHAT" as configured, or what stands in for it: a text, or NULL. */
static const char *value_of(const char *name, const char *what, char **param)
{
	*param = xasprintf("%s_%s", name, what);
	return postfix_param_lookup(qm.params, *param);
}

static unsigned number_of(const char *name, const char *what, long fallback)
{
	char *param;
	const char *text = value_of(name, what, &param);
	uint64_t value = fallback > 0 ? (uint64_t)fallback : 0;

	if (text && !slice_uint(slice_of(text), INT32_MAX, &value)) {
		log_warning("%s: bad numerical value: %s", param, text);
		value = fallback > 0 ? (uint64_t)fallback : 0;
	}
	free(param);
	return (unsigned)value;
}

static int64_t delay_of(const char *name, const char *what, int64_t fallback_s)
{
	char *param;
	const char *text = value_of(name, what, &param);
	int64_t seconds = fallback_s;

	if (text && !postfix_value_time(text, 's', &seconds)) {
		log_warning("%s: bad time value: %s", param, text);
		seconds = fallback_s;
	}
	free(param);
	return seconds < INT32_MAX ? seconds * 1000 : INT32_MAX * INT64_C(1000);
}

static struct feedback_form feedback_of(
    const char *name, const char *what, const char *fallback_param)
{
	char *param;
	const char *text = value_of(name, what, &param);
	const char *shown =
	    postfix_source_raw(qm.ctx->postfix, param, NULL) ? param : fallback_param;
	struct feedback_form form = { FEEDBACK_CONSTANT, 1 };

	if (text && !feedback_parse(slice_of(text), &form)) {
		log_warning("%s: ignoring malformed or unreasonable feedback: %s", shown, text);
		form = (struct feedback_form){ FEEDBACK_CONSTANT, 1 };
	}
	if (qm.params->destination_concurrency_feedback_debug) {
		int initial = (int)qm.params->initial_destination_concurrency;

		log_info("%s: %s feedback type %d value at %d: %g", name, shown, (int)form.kind,
		    initial, feedback_value(&form, (unsigned)initial));
	}
	free(param);
	return form;
}

static bool is_listed(const char *list, const char *name)
{
	size_t len = strlen(name), at;

	for (; *(list += strspn(list, ", \t\r\n")); list += at) {
		at = strcspn(list, ", \t\r\n");
		if (at == len && memcmp(list, name, len) == 0)
			return true;
	}
	return false;
}

static void read_feedback(struct feedback_config *f, const char *name)
{
	const struct postfix_params *p = qm.params;

	f->initial =
	    number_of(name, "initial_destination_concurrency", p->initial_destination_concurrency);
	if (f->initial < 1)
		f->initial = 1;
	f->limit = number_of(
	    name, "destination_concurrency_limit", p->default_destination_concurrency_limit);
	f->cohort_limit = number_of(name, "destination_concurrency_failed_cohort_limit",
	    p->default_destination_concurrency_failed_cohort_limit);
	f->positive = feedback_of(name, "destination_concurrency_positive_feedback",
	    "default_destination_concurrency_positive_feedback");
	f->negative = feedback_of(name, "destination_concurrency_negative_feedback",
	    "default_destination_concurrency_negative_feedback");
}

static void read_slots(struct schedule_config *s, const char *name)
{
	const struct postfix_params *p = qm.params;

	s->slot_cost = number_of(name, "delivery_slot_cost", p->default_delivery_slot_cost);
	s->slot_loan = number_of(name, "delivery_slot_loan", p->default_delivery_slot_loan);
	s->slot_discount =
	    number_of(name, "delivery_slot_discount", p->default_delivery_slot_discount);
	if (s->slot_discount > 100)
		s->slot_discount = 100;
	s->minimum_slots =
	    number_of(name, "minimum_delivery_slots", p->default_minimum_delivery_slots);
}

static void read_room(struct transport_limits *l, const char *name)
{
	const struct postfix_params *p = qm.params;

	l->recipients_max = number_of(name, "recipient_limit", p->default_recipient_limit);
	l->recipients_max +=
	    number_of(name, "extra_recipient_limit", p->default_extra_recipient_limit);
	l->refill = number_of(name, "recipient_refill_limit", p->default_recipient_refill_limit);
	l->refill_delay_ms =
	    delay_of(name, "recipient_refill_delay", p->default_recipient_refill_delay);
	if (l->refill_delay_ms < 1000)
		l->refill_delay_ms = 1000;
}

void transport_limits_read(struct transport_limits *l, const char *name, unsigned processes)
{
	const struct postfix_params *p = qm.params;

	read_feedback(&l->feedback, name);
	read_slots(&l->slots, name);
	read_room(l, name);
	l->recipient_limit =
	    number_of(name, "destination_recipient_limit", p->default_destination_recipient_limit);
	l->by_recipient = l->recipient_limit == 1;
	if (l->recipient_limit == 0 || l->recipient_limit > DELIVERY_MAX_RECIPIENTS)
		l->recipient_limit = DELIVERY_MAX_RECIPIENTS;
	l->deliveries = processes > 0 ? processes : DEFAULT_DELIVERIES;
	l->destination_delay_ms =
	    delay_of(name, "destination_rate_delay", p->default_destination_rate_delay);
	l->transport_delay_ms =
	    delay_of(name, "transport_rate_delay", p->default_transport_rate_delay);
	/* What is delayed goes one by one. */
	if (l->destination_delay_ms > 0)
		l->feedback.limit = l->feedback.initial = 1;
	if (l->transport_delay_ms > 0)
		l->deliveries = 1;
	l->is_deferred = is_listed(p->defer_transports, name);
}

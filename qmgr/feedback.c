// SPDX-License-Identifier: BSD-2-Clause
#include "qmgr/feedback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 63

/* ---- forms ---- */

static struct slice trim(struct slice s)
{
	while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Digits and a point: strtod takes much more. */
static bool take_number(struct slice text, double *number)
{
	char copy[NUMBER_MAX + 1];
	char *end;

	if (text.len == 0 || text.len > NUMBER_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if ((text.ptr[i] < '0' || text.ptr[i] > '9') && text.ptr[i] != '.')
			return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	*number = strtod(copy, &end);
	return *end == '\0' && end > copy;
}

static bool take_divisor(struct slice text, struct feedback_form *form)
{
	double divisor;

	if (slice_eq_str(text, "concurrency")) {
		form->kind = FEEDBACK_PER_CONCURRENCY;
	} else if (slice_eq_str(text, "sqrt_concurrency")) {
		form->kind = FEEDBACK_PER_SQRT;
	} else {
		if (!take_number(text, &divisor) || divisor <= 0)
			return false;
		form->number /= divisor;
	}
	return true;
}

bool feedback_parse(struct slice text, struct feedback_form *form)
{
	const char *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
	size_t len = slash ? (size_t)(slash - text.ptr) : text.len;

	form->kind = FEEDBACK_CONSTANT;
	if (!take_number(trim(slice_mem(text.ptr, len)), &form->number))
		return false;
	/* What is divided by the concurrency has to be in range before. */
	if (slash && !take_divisor(trim(slice_mem(slash + 1, text.len - len - 1)), form))
		return false;
	return form->number >= 0 && form->number <= 1;
}

double feedback_value(const struct feedback_form *form, unsigned concurrency)
{
	switch (form->kind) {
	case FEEDBACK_PER_CONCURRENCY:
		return form->number / concurrency;
	case FEEDBACK_PER_SQRT:
		return form->number / sqrt(concurrency);
	default:
		return form->number;
	}
}

/* ---- the window ----
 *
 * Sums of fractions are a little off, so half a step is as good as one; which makes the first
 * failure at a feedback of 1 cost two (5, 3, 2, dead), as with the peer.
 */

void feedback_reset(struct feedback *f, const struct feedback_config *config)
{
	*f = (struct feedback){ .window = config->initial };
	if (config->limit > 0 && f->window > config->limit)
		f->window = config->limit;
}

void feedback_fit(struct feedback *f, const struct feedback_config *config)
{
	if (config->limit > 0 && f->window > config->limit)
		f->window = config->limit;
}

void feedback_succeeded(struct feedback *f, const struct feedback_config *config, unsigned running)
{
	double value;

	if (f->window == 0) {
		feedback_reset(f, config);
		return;
	}
	f->fail_cohorts = 0;
	/* A window that nobody fills would make negative feedback come late. */
	if (f->window >= (uint64_t)running + config->initial)
		return;
	if (config->limit > 0 && f->window >= config->limit)
		return;
	value = feedback_value(&config->positive, f->window);
	f->success += value;
	while (f->success + value / 2 >= 1) {
		f->window++;
		f->success -= 1;
		f->failure = 0;
	}
	feedback_fit(f, config);
}

void feedback_failed(struct feedback *f, const struct feedback_config *config)
{
	double value;

	if (f->window == 0)
		return;
	f->fail_cohorts += 1.0 / f->window;
	if (config->cohort_limit > 0 && f->fail_cohorts >= config->cohort_limit) {
		f->window = 0;
		return;
	}
	value = feedback_value(&config->negative, f->window);
	f->failure -= value;
	while (f->failure - value / 2 < 0) {
		f->window -= f->window > 0;
		f->failure += 1;
		f->success = 0;
	}
	if (f->window < 1)
		f->window = 1;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Time is what makes an id unique, the number only parts those who read the same microsecond in
 * different processes; within one process no microsecond is given out twice.
 */
#include "queue/queue_id.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#define US_PER_S	   1000000
#define DEFAULT_LIFETIME_S (5 * 24 * 3600)
/* Ids that may share a microsecond: far more than processors can draw numbers in one. */
#define SHORT_NUMBER_DIGITS 3
#define MAY_BE_MAX	    100
#define MICROSECOND_DIGITS  5 /* in hex */

/* Digits and consonants: 52 of them, 'z' being the last, which base 51 leaves out. */
static const char alphabet[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

/* VALUE in BASE with at least WIDTH digits; returns the end. */
static char *add_digits(char *out, uint64_t value, unsigned base, int width)
{
	char digits[16];
	int count = 0;

	do {
		digits[count++] = alphabet[value % base];
		value /= base;
	} while (value && count < (int)sizeof(digits));
	while (count < width)
		digits[count++] = alphabet[0];
	while (count > 0)
		*out++ = digits[--count];
	*out = '\0';
	return out;
}

static int seconds_digits(int64_t lifetime_s)
{
	uint64_t range = 2 * (uint64_t)(lifetime_s > 0 ? lifetime_s : DEFAULT_LIFETIME_S);
	int digits = 5;

	while (digits < 9 && (range >> (4 * digits)))
		digits++;
	return digits;
}

void queue_id_make(
    const struct queue_id_rules *rules, int64_t wall_us, uint64_t number, char id[QUEUE_ID_SIZE])
{
	uint64_t seconds = (uint64_t)wall_us / US_PER_S, us = (uint64_t)wall_us % US_PER_S;
	char *out = id;
	int digits;

	if (rules->long_form) {
		out = add_digits(out, seconds, 52, 6);
		out = add_digits(out, us, 52, 4);
		*out++ = 'z';
		add_digits(out, number, 51, 1);
		return;
	}
	digits = seconds_digits(rules->lifetime_s);
	snprintf(id, QUEUE_ID_SIZE, "%05X%0*llX%0*llX", (unsigned)us, digits,
	    (unsigned long long)(seconds & ((UINT64_C(1) << (4 * digits)) - 1)),
	    SHORT_NUMBER_DIGITS,
	    (unsigned long long)(number & ((1U << (4 * SHORT_NUMBER_DIGITS)) - 1)));
}

void queue_id_new(const struct queue_id_rules *rules, uint64_t number, char id[QUEUE_ID_SIZE])
{
	static _Atomic int64_t last;
	int64_t before = atomic_load(&last), now = clock_wall_us();

	do {
		/* A clock that was set back goes on from where we are. */
		if (now <= before)
			now = before + 1;
	} while (!atomic_compare_exchange_weak(&last, &before, now));
	queue_id_make(rules, now, number, id);
}

bool queue_id_is_valid(struct slice id)
{
	if (id.len < QUEUE_ID_MIN || id.len >= QUEUE_ID_SIZE)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_isalnum(id.ptr[i]))
			return false;
	return true;
}

bool queue_id_may_be(struct slice id)
{
	if (id.len == 0 || id.len > MAY_BE_MAX)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_isalnum(id.ptr[i]) && id.ptr[i] != '_')
			return false;
	return true;
}

static int digit_of(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

bool queue_id_is_long(struct slice id)
{
	if (id.len < 12 || slice_rfind(id, 'z') < 10)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (digit_of(id.ptr[i]) < 0)
			return false;
	return true;
}

char queue_id_hash_at(struct slice id, unsigned level)
{
	struct slice us;
	uint64_t value = 0;

	ASSERT(id.len > 0);
	if (!queue_id_is_long(id))
		return level < id.len ? id.ptr[level] : '_';
	if (level >= MICROSECOND_DIGITS)
		return '_';
	us = slice_first(slice_from(id, (size_t)slice_rfind(id, 'z') - 4), 4);
	for (size_t i = 0; i < us.len; i++)
		value = value * 52 + (unsigned)digit_of(us.ptr[i]);
	return "0123456789ABCDEF"[value >> (4 * (MICROSECOND_DIGITS - 1 - level)) & 15];
}

char queue_id_hash(struct slice id)
{
	return queue_id_hash_at(id, 0);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names of days and months are ours: strftime would ask the locale.
 */
#include "mail/date.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cursor.h"

static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep",
	"Oct", "Nov", "Dec" };

const char *date_rfc5322(time_t when, char out[DATE_TEXT])
{
	struct tm tm = { 0 };
	long minutes;

	localtime_r(&when, &tm);
	minutes = labs(tm.tm_gmtoff) / 60;
	snprintf(out, DATE_TEXT, "%s, %02d %s %d %02d:%02d:%02d %c%02ld%02ld (%.12s)",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, tm.tm_gmtoff < 0 ? '-' : '+', minutes / 60, minutes % 60,
	    tm.tm_zone ? tm.tm_zone : "UTC");
	return out;
}

const char *date_syslog(time_t when, char out[DATE_TEXT])
{
	struct tm tm = { 0 };

	localtime_r(&when, &tm);
	snprintf(out, DATE_TEXT, "%s %2d %02d:%02d:%02d", months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec);
	return out;
}

/* Blanks, folds and comments (no deeper than 20). */
static void skip_cfws(struct cursor *c)
{
	unsigned depth = 0;
	int ch;

	while ((ch = cursor_peek(c)) >= 0) {
		if (ch == '(')
			depth++;
		else if (depth && ch == ')')
			depth--;
		else if (!depth && !ascii_isspace((char)ch))
			return;
		if (depth > 20)
			return;
		cursor_next(c);
		if (depth && ch == '\\' && !cursor_at_end(c))
			cursor_next(c);
	}
}

static bool take_number(struct cursor *c, size_t min, size_t max, int *value)
{
	struct slice digits = cursor_span(c, "0123456789");
	uint64_t number;

	if (digits.len < min || digits.len > max || !slice_uint(digits, 9999, &number))
		return false;
	*value = (int)number;
	return true;
}

static bool take_name(struct cursor *c, const char (*names)[4], int count, int *index)
{
	for (int i = 0; i < count; i++) {
		if (cursor_caseskip(c, names[i])) {
			*index = i;
			return true;
		}
	}
	return false;
}

/* RFC 5322 4.3: unknown zones and military letters count as -0000. */
static bool take_zone(struct cursor *c, int *minutes)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 }, { "MST", -7 },
		{ "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };
	int sign = cursor_skip(c, "+") ? 1 : cursor_skip(c, "-") ? -1 : 0;
	int number;

	*minutes = 0;
	if (sign) {
		if (!take_number(c, 4, 4, &number) || number % 100 > 59)
			return false;
		*minutes = sign * (number / 100 * 60 + number % 100);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		if (cursor_caseskip(c, zones[i].name))
			*minutes = zones[i].hours * 60;
	}
	return true;
}

static bool take_day(struct cursor *c, struct tm *tm)
{
	skip_cfws(c);
	if (take_name(c, days, 7, &tm->tm_wday)) {
		skip_cfws(c);
		cursor_skip(c, ",");
		skip_cfws(c);
	}
	if (!take_number(c, 1, 2, &tm->tm_mday))
		return false;
	skip_cfws(c);
	if (!take_name(c, months, 12, &tm->tm_mon))
		return false;
	skip_cfws(c);
	if (!take_number(c, 2, 4, &tm->tm_year))
		return false;
	if (tm->tm_year < 50)
		tm->tm_year += 2000;
	else if (tm->tm_year < 1000)
		tm->tm_year += 1900;
	return tm->tm_year >= 1970 && tm->tm_mday >= 1 && tm->tm_mday <= 31;
}

static bool take_time(struct cursor *c, struct tm *tm)
{
	skip_cfws(c);
	if (!take_number(c, 1, 2, &tm->tm_hour))
		return false;
	skip_cfws(c);
	if (!cursor_skip(c, ":"))
		return false;
	skip_cfws(c);
	if (!take_number(c, 2, 2, &tm->tm_min))
		return false;
	skip_cfws(c);
	if (cursor_skip(c, ":")) {
		skip_cfws(c);
		if (!take_number(c, 2, 2, &tm->tm_sec))
			return false;
	}
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

bool date_parse(struct slice text, time_t *when)
{
	struct cursor c = cursor_of(text);
	struct tm tm = { 0 };
	int zone, mday;

	if (!take_day(&c, &tm) || !take_time(&c, &tm))
		return false;
	skip_cfws(&c);
	if (!take_zone(&c, &zone))
		return false;
	mday = tm.tm_mday;
	tm.tm_year -= 1900;
	*when = timegm(&tm) - (time_t)zone * 60;
	/* timegm turned 31 April into 1 May. */
	return tm.tm_mday == mday || tm.tm_sec == 60;
}

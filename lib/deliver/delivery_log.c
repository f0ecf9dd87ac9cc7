// SPDX-License-Identifier: BSD-2-Clause
/* The line that every log reader knows: postfix.md 8.2 and 8.3. */
#include <stdint.h>
#include <string.h>

#include "base/strbuf.h"
#include "deliver/delivery.h"
#include "log/log.h"
#include "mail/address.h"

#define SIGNIFICANT_DIGITS 2
#define LINE_MAX_BYTES	   4096

/* "12.345678" */
static size_t write_seconds(char out[32], uint64_t us)
{
	char text[32];
	size_t at = sizeof(text);

	for (int digit = 0; digit < 7 || us > 0; digit++) {
		if (digit == 6)
			text[--at] = '.';
		text[--at] = (char)('0' + us % 10);
		us /= 10;
	}
	memcpy(out, text + at, sizeof(text) - at);
	return sizeof(text) - at;
}

void delivery_format_delay(int64_t us, int resolution, char out[32])
{
	int digits = resolution;
	int64_t unit = 1000000;
	size_t len;

	if (us < 0)
		us = 0;
	/* 12.3 s has its two digits before the point, 1.23 s needs one behind it. */
	if (us >= 10 * INT64_C(1000000))
		digits = 0;
	else if (us >= INT64_C(1000000) && digits > SIGNIFICANT_DIGITS - 1)
		digits = SIGNIFICANT_DIGITS - 1;
	else if (us >= INT64_C(100000) && digits > SIGNIFICANT_DIGITS)
		digits = SIGNIFICANT_DIGITS;
	for (int i = 0; i < digits && unit > 1; i++)
		unit /= 10;
	us = (us + unit / 2) / unit * unit;
	len = write_seconds(out, (uint64_t)us);
	while (out[len - 1] == '0')
		len--;
	if (out[len - 1] == '.')
		len--;
	out[len] = '\0';
}

static void add_delays(struct strbuf *line, const struct delivery_request *request,
    const struct delivery_outcome *outcome, int64_t started_us, int64_t end_us, int resolution)
{
	int64_t connected = outcome->connected_us ? outcome->connected_us : started_us;
	const int64_t parts[] = { end_us - request->arrival_us,
		request->ready_us - request->arrival_us, started_us - request->ready_us,
		connected - started_us, end_us - connected };
	static const char *const before[] = { "delay=", ", delays=", "/", "/", "/" };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char text[32];

		delivery_format_delay(parts[i], resolution, text);
		strbuf_addstr(line, before[i]);
		strbuf_addstr(line, text);
	}
	strbuf_addstr(line, ", ");
}

static const char *status_name(const struct delivery_outcome *o, bool probe)
{
	static const char *const names[] = { "sent", "deferred", "bounced" };

	if (probe)
		return o->status == DELIVERY_SENT ? "deliverable" : "undeliverable";
	return o->softened ? "SOFTBOUNCE" : names[o->status];
}

void delivery_log(const char *log_name, const struct delivery_request *request,
    const struct delivery_recipient *recipient, const struct delivery_outcome *outcome,
    int64_t started_us, int64_t end_us, int resolution)
{
	struct strbuf line = STRBUF_INIT(LINE_MAX_BYTES);

	strbuf_addstr(&line, request->id);
	strbuf_addstr(&line, ": to=<");
	address_logged(slice_of(recipient->address), &line);
	strbuf_addstr(&line, ">, ");
	if (*recipient->original && strcmp(recipient->original, recipient->address) != 0) {
		strbuf_addstr(&line, "orig_to=<");
		address_logged(slice_of(recipient->original), &line);
		strbuf_addstr(&line, ">, ");
	}
	strbuf_addstr(&line, "relay=");
	strbuf_addstr(&line, outcome->relay ? outcome->relay : "none");
	strbuf_addstr(&line, ", ");
	if (outcome->conn_use > 1)
		strbuf_addf(&line, "conn_use=%u, ", outcome->conn_use);
	add_delays(&line, request, outcome, started_us, end_us, resolution > 0 ? resolution : 2);
	strbuf_addf(&line, "%sdsn=%s, status=%s (%s)", outcome->extra ? outcome->extra : "",
	    outcome->why.dsn, status_name(outcome, request->probe), outcome->why.text);
	log_as(log_name, LOG_LEVEL_INFO, "%s", line.ptr);
	strbuf_release(&line);
}

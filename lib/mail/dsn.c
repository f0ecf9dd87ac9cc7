// SPDX-License-Identifier: BSD-2-Clause
#include "mail/dsn.h"

#include <string.h>

#include "base/check.h"
#include "base/reason.h"

bool dsn_take(struct slice *text, char code[DSN_CODE_TEXT])
{
	char copy[DSN_CODE_TEXT];
	size_t len = 0;

	while (len < text->len && !ascii_isspace(text->ptr[len]))
		len++;
	if (!len || len >= sizeof(copy) || slice_has_nul(slice_first(*text, len)))
		return false;
	memcpy(copy, text->ptr, len);
	copy[len] = '\0';
	if (!dsn_is_valid(copy))
		return false;
	memcpy(code, copy, len + 1);
	while (len < text->len && ascii_isspace(text->ptr[len]))
		len++;
	*text = slice_from(*text, len);
	return true;
}

void dsn_set_class(char code[DSN_CODE_TEXT], unsigned reply_code)
{
	unsigned class = reply_code / 100;

	if (class == 2 || class == 4 || class == 5)
		code[0] = (char)('0' + class);
}

struct word {
	const char *name;
	unsigned bit;
};

static unsigned find_word(const struct word *words, size_t count, struct slice text)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_caseeq_str(text, words[i].name))
			return words[i].bit;
	}
	return 0;
}

bool dsn_notify_parse(struct slice text, unsigned *notify)
{
	static const struct word words[] = {
		{ "NEVER", DSN_NOTIFY_NEVER },
		{ "SUCCESS", DSN_NOTIFY_SUCCESS },
		{ "FAILURE", DSN_NOTIFY_FAILURE },
		{ "DELAY", DSN_NOTIFY_DELAY },
	};
	unsigned sum = 0, bit;

	for (;;) {
		ptrdiff_t comma = slice_find(text, ',');

		bit = find_word(
		    words, ARRAY_LEN(words), comma < 0 ? text : slice_first(text, (size_t)comma));
		if (!bit)
			return false;
		sum |= bit;
		if (comma < 0)
			break;
		text = slice_from(text, (size_t)comma + 1);
	}
	if ((sum & DSN_NOTIFY_NEVER) && sum != DSN_NOTIFY_NEVER)
		return false;
	*notify = sum;
	return true;
}

bool dsn_ret_parse(struct slice text, unsigned *ret)
{
	static const struct word words[] = { { "FULL", DSN_RET_FULL }, { "HDRS", DSN_RET_HDRS } };
	unsigned bit = find_word(words, ARRAY_LEN(words), text);

	if (bit)
		*ret = bit;
	return bit != 0;
}

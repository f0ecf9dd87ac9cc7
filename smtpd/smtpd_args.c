// SPDX-License-Identifier: BSD-2-Clause
#include "smtpd/smtpd_args.h"

#include <string.h>

#include "base/codec.h"

bool smtpd_args_keyword(struct slice *args, const char *keyword)
{
	struct slice rest = *args;

	if (!slice_casestarts(rest, keyword))
		return false;
	rest = slice_from(rest, strlen(keyword));
	if (!slice_starts(rest, ":"))
		return false;
	*args = slice_trim(slice_from(rest, 1), " \t");
	return true;
}

enum address_status smtpd_args_path(struct slice *args, unsigned flags, struct strbuf *out)
{
	enum address_status status = address_take_path(args, flags, out);
	bool empty = out->len == 0 && !(flags & ADDRESS_ALLOW_EMPTY);

	if (status != ADDRESS_OK)
		return status;
	/* `""` is nobody, and "user@" is at no place. */
	if (empty || slice_ends(strbuf_slice(out), "@"))
		return ADDRESS_SYNTAX;
	return args->len == 0 || args->ptr[0] == ' ' || args->ptr[0] == '\t' ? ADDRESS_OK
									     : ADDRESS_SYNTAX;
}

/* RFC 1870 6.1. */
static enum smtpd_option take_size(struct slice value, uint64_t *size)
{
	if (slice_uint(value, INT64_MAX, size))
		return OPTION_SIZE;
	if (value.len > 0 && slice_trim(value, "0123456789").len == 0)
		return OPTION_HUGE_SIZE;
	return OPTION_BAD_SIZE;
}

/* RFC 4954 5: AUTH=<> or an xtext mailbox, which no control character belongs into. */
static enum smtpd_option take_auth(struct slice value, struct strbuf *auth)
{
	if (!xtext_decode(auth, value))
		return OPTION_BAD_AUTH;
	for (size_t i = 0; i < auth->len; i++)
		if (!ascii_isprint(auth->ptr[i]))
			return OPTION_BAD_AUTH;
	return OPTION_AUTH;
}

enum smtpd_option smtpd_args_option(struct slice option, uint64_t *size, struct strbuf *auth)
{
	if (slice_casestarts(option, "SIZE="))
		return take_size(slice_from(option, strlen("SIZE=")), size);
	if (slice_casestarts(option, "AUTH="))
		return take_auth(slice_from(option, strlen("AUTH=")), auth);
	if (slice_caseeq_str(option, "BODY=8BITMIME"))
		return OPTION_BODY_8BIT;
	if (slice_caseeq_str(option, "BODY=7BIT"))
		return OPTION_BODY_7BIT;
	return OPTION_UNKNOWN;
}

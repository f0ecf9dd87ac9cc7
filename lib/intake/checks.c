// SPDX-License-Identifier: BSD-2-Clause
#include "intake/checks.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "log/log.h"

/* The peer counts from another level than one would. */
#define NESTING_EXTRA 2

bool *checks_byte_set(const char *text)
{
	static const char letters[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
	bool *set;

	if (*text == '\0')
		return NULL;
	set = xcalloc(256, sizeof(*set));
	while (*text != '\0') {
		unsigned byte = (unsigned char)*text++;

		if (byte == '\\' && *text >= '0' && *text <= '7') {
			byte = 0;
			for (int i = 0; i < 3 && *text >= '0' && *text <= '7'; i++)
				byte = 8 * byte + (unsigned)(*text++ - '0');
		} else if (byte == '\\' && *text != '\0') {
			const char *letter = strchr(letters, *text);

			byte = (unsigned char)(letter != NULL ? values[letter - letters] : *text);
			text++;
		}
		set[byte & 0xff] = true;
	}
	return set;
}

static unsigned strict_errors(const struct postfix_params *p)
{
	unsigned errors = 0;

	if (p->strict_7bit_headers || p->strict_8bitmime)
		errors |= MIME_ERROR_8BIT_HEADER;
	if (p->strict_8bitmime_body || p->strict_8bitmime)
		errors |= MIME_ERROR_8BIT_BODY;
	if (p->strict_mime_encoding_domain)
		errors |= MIME_ERROR_ENCODING;
	return errors != 0 ? errors | MIME_ERROR_NESTING : 0;
}

struct checks *checks_new(const struct postfix_params *p)
{
	struct checks *c = xcalloc(1, sizeof(*c));
	bool opaque = p->disable_mime_input_processing;
	unsigned errors = opaque ? 0 : strict_errors(p);

	c->header = tables_open("header_checks", p->header_checks, 0);
	c->mime = tables_open("mime_header_checks", p->mime_header_checks, 0);
	c->nested = tables_open("nested_header_checks", p->nested_header_checks, 0);
	c->body = tables_open("body_checks", p->body_checks, 0);
	c->body_limit = p->body_checks_size_limit;
	if (!opaque &&
	    !(tables_is_empty(c->header) && tables_is_empty(c->mime) && tables_is_empty(c->nested)))
		errors |= MIME_ERROR_NESTING;
	c->any = !tables_is_empty(c->header) || !tables_is_empty(c->mime) ||
		 !tables_is_empty(c->nested) || !tables_is_empty(c->body);
	c->need_walk = errors != 0 || !tables_is_empty(c->body) ||
		       (!opaque && (!tables_is_empty(c->mime) || !tables_is_empty(c->nested)));
	c->mime_rules = (struct mime_walk_rules){
		.nesting_max = (unsigned)p->mime_nesting_limit + NESTING_EXTRA,
		.boundary_max = (size_t)p->mime_boundary_length_limit,
		.header_max = (size_t)p->header_size_limit,
		.errors = errors,
		.opaque = opaque,
	};
	if (strcmp(p->non_empty_end_of_header_action, "add_header") == 0)
		c->header_end = HEADER_END_TOLD;
	else if (strcmp(p->non_empty_end_of_header_action, "reject") == 0)
		c->header_end = HEADER_END_REFUSED;
	else if (strcmp(p->non_empty_end_of_header_action, "fix_quietly") != 0)
		log_warning("unknown non_empty_end_of_header_action: \"%s\"",
		    p->non_empty_end_of_header_action);
	c->reject = checks_byte_set(p->message_reject_characters);
	c->strip = checks_byte_set(p->message_strip_characters);
	return c;
}

void checks_free(struct checks *c)
{
	if (c == NULL)
		return;
	free(c->strip);
	free(c->reject);
	tables_free(c->body);
	tables_free(c->nested);
	tables_free(c->mime);
	tables_free(c->header);
	free(c);
}

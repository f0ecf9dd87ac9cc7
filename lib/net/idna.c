// SPDX-License-Identifier: BSD-2-Clause
#include "net/idna.h"

#include <idn2.h>
#include <string.h>

#include "base/slice.h"

static bool is_ascii(const char *text)
{
	while (*text && (unsigned char)*text < 0x80)
		text++;
	return !*text;
}

static bool copy(const char *text, char out[DNS_NAME_SIZE])
{
	size_t len = strlen(text);

	if (len >= DNS_NAME_SIZE)
		return false;
	memcpy(out, text, len + 1);
	return true;
}

bool idna_to_ascii(const char *domain, char out[DNS_NAME_SIZE])
{
	char *ascii = NULL;
	bool fits;

	if (is_ascii(domain))
		return copy(domain, out);
	/* Capitals and wide characters are folded first (RFC 5895), as people write them. */
	if (strlen(domain) >= DNS_NAME_SIZE ||
	    idn2_to_ascii_8z(domain, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
		return false;
	fits = copy(ascii, out);
	idn2_free(ascii);
	return fits;
}

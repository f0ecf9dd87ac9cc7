// SPDX-License-Identifier: BSD-2-Clause
/* One string of types per section, and the text rule for all but content. */
#include <string.h>

#include "queue/maildrop.h"
#include "queue/queue_record.h"

static const struct {
	const char *types;
	int last; /* the type that ends the section */
} sections[] = {
	[MAILDROP_ENVELOPE] = { "TcCFSVAinRM", QR_MESSAGE },
	[MAILDROP_CONTENT] = { "NLX", QR_EXTRACTED },
	[MAILDROP_EXTRACTED] = { "ARE", QR_END },
	[MAILDROP_END] = { "", -1 },
};

/* A control character could begin another record, log line or command somewhere else. */
static bool is_text(struct slice data)
{
	for (size_t i = 0; i < data.len; i++)
		if ((unsigned char)data.ptr[i] < 0x20 || data.ptr[i] == 0x7f)
			return false;
	return true;
}

bool maildrop_accept(enum maildrop_section *section, int type, struct slice data)
{
	if (type <= 0 || type > 0x7f || strchr(sections[*section].types, type) == NULL)
		return false;
	if (*section != MAILDROP_CONTENT && !is_text(data))
		return false;
	if (type == sections[*section].last)
		(*section)++;
	return true;
}

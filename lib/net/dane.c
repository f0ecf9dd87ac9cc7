// SPDX-License-Identifier: BSD-2-Clause
#include "net/dane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Not found in a zone that is not signed is as good as not there. */
static enum dane_result ask(
    const char *name, unsigned port, int64_t deadline, struct dane_records *records)
{
	struct dns_answer answer;
	char full[DNS_NAME_SIZE + 20];

	snprintf(records->base, sizeof(records->base), "%s", name);
	snprintf(full, sizeof(full), "_%u._tcp.%s", port, name);
	if (strlen(full) >= DNS_NAME_SIZE)
		return DANE_NONE;
	if (!records->list)
		records->list = xcalloc(DANE_MAX_RECORDS, sizeof(*records->list));
	records->count = dns_tlsa_of(full, deadline, records->list, DANE_MAX_RECORDS, &answer);
	if (answer.result == DNS_FOUND && answer.secure)
		return DANE_UNUSABLE;
	records->count = 0;
	/* RFC 7672 2.1.1: what could not be validated, or not be asked for, is no "none". */
	return answer.result == DNS_FOUND || answer.result == DNS_NOT_FOUND ? DANE_NONE
									    : DANE_ERROR;
}

/* RFC 7672 2.2.2: the name behind validated CNAMEs first. */
static enum dane_result ask_names(
    const struct dane_host *host, int64_t deadline, struct dane_records *records)
{
	enum dane_result result = DANE_NONE;

	if (host->secure && *host->canonical && strcasecmp(host->canonical, host->name) != 0)
		result = ask(host->canonical, host->port, deadline, records);
	if (result == DANE_NONE)
		result = ask(host->name, host->port, deadline, records);
	return result;
}

enum dane_result dane_find(const struct dane_host *host, const struct tls_context *ctx,
    int64_t deadline, struct dane_records *records)
{
	enum dane_result result = DANE_NONE;

	memset(records, 0, sizeof(*records));
	/* RFC 7672 2.2.2: not for hosts whose addresses are unsigned; some servers choke on it. */
	if (host->secure || host->even_when_insecure)
		result = ask_names(host, deadline, records);
	if (result != DANE_UNUSABLE)
		return result;
	for (size_t i = 0; i < records->count; i++)
		if (tls_tlsa_is_usable(ctx, &records->list[i]))
			return DANE_USABLE;
	return DANE_UNUSABLE;
}

void dane_records_release(struct dane_records *records)
{
	free(records->list);
	memset(records, 0, sizeof(*records));
}

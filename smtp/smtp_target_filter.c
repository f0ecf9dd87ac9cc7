// SPDX-License-Identifier: BSD-2-Clause
/* What the DNS said: smtp_dns_reply_filter, and whether DNSSEC works at all (dnssec_probe). */
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "log/log.h"
#include "net/dns_wire.h"
#include "smtp/smtp_target_internal.h"
#include "table/table.h"

#define PROBE_MS 5000

static struct tables *filter;
static atomic_bool probed;

void target_filter_prepare(void)
{
	filter = tables_open(SMTP_PARAM_NAME("dns_reply_filter"), SMTP_PARAM(dns_reply_filter), 0);
}

bool target_filter_passes(
    const char *name, uint32_t ttl, const char *type, const char *data, bool *broken)
{
	struct strbuf record = STRBUF_INIT(1024), action = STRBUF_INIT(256);
	bool passes = true;

	if (tables_is_empty(filter))
		return true;
	strbuf_addf(&record, "%s. %u IN %s %s", name, ttl, type, data);
	switch (tables_get(filter, strbuf_slice(&record), TABLES_WHOLE_KEY, &action)) {
	case TABLE_NOT_FOUND:
		break;
	case TABLE_ERROR:
		*broken = true;
		passes = false;
		break;
	case TABLE_FOUND:
		passes = !slice_caseeq_str(strbuf_slice(&action), "IGNORE");
		if (passes) {
			log_warning("%s: unknown DNS filter action: \"%s\"", tables_name(filter),
			    action.ptr);
			*broken = true;
			passes = false;
		} else {
			log_info("ignoring DNS RR: %s", record.ptr);
		}
	}
	strbuf_release(&record);
	strbuf_release(&action);
	return passes;
}

void target_filter_failed(
    struct smtp_failure *failure, const char *name, const char *type, bool broken)
{
	target_failed(failure, broken ? "4.4.3" : "4.7.0", "Error looking up name=%s type=%s: %s",
	    name, type,
	    broken ? "Invalid DNS reply filter syntax" : "DNS reply filter drops all results");
}

static unsigned type_of(struct slice name)
{
	static const struct {
		const char *name;
		unsigned type;
	} types[] = { { "a", DNS_TYPE_A }, { "aaaa", DNS_TYPE_AAAA }, { "mx", DNS_TYPE_MX },
		{ "ns", DNS_TYPE_NS }, { "soa", 6 }, { "dnskey", 48 }, { "ds", 43 } };

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (slice_caseeq_str(name, types[i].name))
			return types[i].type;
	return 0;
}

static void probe(const char *parameter)
{
	ptrdiff_t colon = slice_find(slice_of(parameter), ':');
	unsigned type = colon == -1 ? 0 : type_of(slice_first(slice_of(parameter), (size_t)colon));
	struct slice name;
	struct dns_answer answer;
	char text[DNS_NAME_SIZE];

	if (!type) {
		log_warning("malformed dnssec_probe value: %s", parameter);
		return;
	}
	name = slice_from(slice_of(parameter), (size_t)colon + 1);
	if (slice_ends(name, "."))
		name.len--;
	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(name));
	if (dns_exists(text, type, deadline_in(PROBE_MS), &answer) && answer.secure)
		return;
	log_warning("DNSSEC validation may be unavailable");
	if (answer.result == DNS_FOUND)
		log_warning("reason: dnssec_probe '%s' received a response that is not DNSSEC "
			    "validated",
		    parameter);
	else
		log_warning(
		    "reason: dnssec_probe '%s' received no response: %s", parameter, answer.text);
}

void target_probe_dnssec(const struct dns_answer *answer)
{
	if (!target_rules.dnssec || !*smtp_params->dnssec_probe || answer->result == DNS_TEMPORARY)
		return;
	if (!atomic_exchange(&probed, true) && !answer->secure)
		probe(smtp_params->dnssec_probe);
}

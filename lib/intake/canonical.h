// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an address is called outside: canonical(5) maps and masquerading, for envelopes and headers.
 *
 * The map of the address's own kind (sender_canonical_maps, recipient_canonical_maps) comes first,
 * then canonical_maps, then masquerade_domains; each applies to the classes that its ..._classes
 * parameter has.  A map is asked again with its result until it knows no more.
 *
 * Immutable once made, for all threads.
 */
#ifndef PC_INTAKE_CANONICAL_H
#define PC_INTAKE_CANONICAL_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "conf/postfix_conf.h"
#include "rewrite/address_lookup.h"
#include "rewrite/rewrite.h"

struct canonical;

enum canonical_class {
	CANONICAL_ENVELOPE_SENDER = 1,
	CANONICAL_ENVELOPE_RECIPIENT = 2,
	CANONICAL_HEADER_SENDER = 4,
	CANONICAL_HEADER_RECIPIENT = 8
};

/* Opens the tables.  RULES and REWRITER outlive it. */
struct canonical *canonical_new(const struct postfix_params *params,
    const struct address_rules *rules, const struct rewriter *rewriter);
void canonical_free(struct canonical *canonical);

/* Is there anything that could change an address of CLASS? */
bool canonical_applies(const struct canonical *canonical, enum canonical_class class);
/*
 * Appends the canonical form of ADDRESS (internal form, complete) to OUT.  False: a table failed;
 * "ID: ..." in the log, under LOG_NAME, says so.
 */
bool canonical_address(const struct canonical *canonical, enum canonical_class class,
    struct slice address, const char *log_name, const char *id, struct strbuf *out);

#endif

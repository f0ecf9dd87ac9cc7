// SPDX-License-Identifier: BSD-2-Clause
#include "intake/canonical.h"

#include <stdlib.h>

#include "base/check.h"
#include "log/log.h"
#include "mail/address.h"
#include "rewrite/address_map.h"
#include "table/match_list.h"

/* As often a map is asked about its own result. */
#define NESTING_MAX 1000

struct stage {
	struct address_map map;
	unsigned classes; /* enum canonical_class; 0 when there are no tables */
};

struct canonical {
	struct stage sender, recipient, common;
	unsigned masquerade_classes;
	char *masquerade_domains;
	struct match_list *masquerade_exceptions;
};

static const struct {
	const char *word;
	unsigned class;
} class_words[] = {
	{ "envelope_sender", CANONICAL_ENVELOPE_SENDER },
	{ "envelope_recipient", CANONICAL_ENVELOPE_RECIPIENT },
	{ "header_sender", CANONICAL_HEADER_SENDER },
	{ "header_recipient", CANONICAL_HEADER_RECIPIENT },
};

static unsigned classes_of(const char *name, const char *value)
{
	struct slice rest = slice_of(value), word;
	unsigned classes = 0;

	while (slice_token(&rest, " \t\r\n,", &word)) {
		size_t i = 0;

		while (i < ARRAY_LEN(class_words) && !slice_caseeq_str(word, class_words[i].word))
			i++;
		if (i < ARRAY_LEN(class_words))
			classes |= class_words[i].class;
		else
			log_warning(
			    "unknown value \"%.*s\" of parameter %s", SLICE_ARG(word), name);
	}
	return classes;
}

static struct stage stage_of(struct address_map map, const char *name, const char *value,
    const char *classes_name, const char *classes)
{
	struct stage s = { .map = map };

	s.map.tables = tables_open(name, value, 0);
	if (!tables_is_empty(s.map.tables))
		s.classes = classes_of(classes_name, classes);
	return s;
}

struct canonical *canonical_new(const struct postfix_params *p, const struct address_rules *rules,
    const struct rewriter *rewriter)
{
	struct canonical *c = xcalloc(1, sizeof(*c));
	const struct address_map map = {
		.rules = rules,
		.rewriter = rewriter,
		.propagates = address_map_list_has(p->propagate_unmatched_extensions, "canonical"),
	};

	c->sender = stage_of(map, "sender_canonical_maps", p->sender_canonical_maps,
	    "sender_canonical_classes", p->sender_canonical_classes);
	c->recipient = stage_of(map, "recipient_canonical_maps", p->recipient_canonical_maps,
	    "recipient_canonical_classes", p->recipient_canonical_classes);
	c->common = stage_of(
	    map, "canonical_maps", p->canonical_maps, "canonical_classes", p->canonical_classes);
	c->masquerade_domains = xstrdup(p->masquerade_domains);
	if (p->masquerade_domains[0] != '\0')
		c->masquerade_classes = classes_of("masquerade_classes", p->masquerade_classes);
	c->masquerade_exceptions =
	    match_list_new(p, "masquerade_exceptions", p->masquerade_exceptions);
	return c;
}

void canonical_free(struct canonical *c)
{
	if (c == NULL)
		return;
	tables_free(c->sender.map.tables);
	tables_free(c->recipient.map.tables);
	tables_free(c->common.map.tables);
	match_list_free(c->masquerade_exceptions);
	free(c->masquerade_domains);
	free(c);
}

bool canonical_applies(const struct canonical *c, enum canonical_class class)
{
	return ((c->sender.classes | c->recipient.classes | c->common.classes |
		    c->masquerade_classes) &
		   class) != 0;
}

/* One address on its way. */
struct mapping {
	const struct canonical *canonical;
	enum canonical_class class;
	const char *log_name, *id;
	struct strbuf *address;
};

static void set(struct strbuf *address, struct slice value)
{
	strbuf_reset(address);
	strbuf_addslice(address, value);
}

static bool failed(const struct mapping *m, const char *table)
{
	log_as(m->log_name, LOG_LEVEL_WARNING,
	    "%s: %s map lookup problem for %s -- message not accepted, try again later", m->id,
	    table, m->address->ptr);
	return false;
}

/* The first of several addresses counts: one address has one name. */
static void take_first(const struct mapping *m, const struct stage *stage, struct slice results)
{
	struct slice first = slice_of(results.ptr);

	if (results.len > first.len + 1)
		log_as(m->log_name, LOG_LEVEL_WARNING, "%s: multi-valued %s entry for %s", m->id,
		    tables_name(stage->map.tables), m->address->ptr);
	set(m->address, first);
}

/* True: the result is to be looked up again. */
static bool step(const struct mapping *m, const struct stage *stage, struct strbuf *results,
    enum table_result *found)
{
	struct strbuf before = STRBUF_INIT(2 * ADDRESS_MAX);
	bool again = false;

	*found = address_map_get(&stage->map, strbuf_slice(m->address), results);
	if (*found == TABLE_FOUND && results->len > 1) {
		strbuf_addslice(&before, strbuf_slice(m->address));
		take_first(m, stage, strbuf_slice(results));
		again = !slice_caseeq(strbuf_slice(&before), strbuf_slice(m->address));
	}
	strbuf_release(&before);
	return again;
}

static bool run_stage(const struct mapping *m, const struct stage *stage)
{
	struct strbuf results = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result found;
	unsigned count = 0;

	if (!(stage->classes & m->class))
		return true;
	while (step(m, stage, &results, &found))
		/* As with the peer the line lies: the address is taken as it is now. */
		if (++count >= NESTING_MAX) {
			log_as(m->log_name, LOG_LEVEL_WARNING,
			    "%s: unreasonable %s map nesting for %s -- message not accepted, try again later",
			    m->id, tables_name(stage->map.tables), m->address->ptr);
			break;
		}
	strbuf_release(&results);
	return found != TABLE_ERROR || failed(m, tables_name(stage->map.tables));
}

/* Is DOMAIN below PARENT?  "!" before a parent: what is below it stays. */
static bool is_below(struct slice domain, struct slice parent)
{
	return domain.len > parent.len && domain.ptr[domain.len - parent.len - 1] == '.' &&
	       slice_caseeq(slice_from(domain, domain.len - parent.len), parent);
}

static void masquerade_domain(const struct mapping *m, struct slice local, struct slice domain)
{
	struct slice rest = slice_of(m->canonical->masquerade_domains), parent;
	struct strbuf fresh = STRBUF_INIT(2 * ADDRESS_MAX);

	/* The first that fits decides. */
	while (slice_token(&rest, " \t\r\n,", &parent)) {
		bool cuts = true;

		for (; slice_starts(parent, "!"); parent = slice_from(parent, 1))
			cuts = !cuts;
		if (slice_caseeq(domain, parent))
			break;
		if (!is_below(domain, parent))
			continue;
		if (cuts) {
			strbuf_addslice(&fresh, local);
			strbuf_addch(&fresh, '@');
			strbuf_addslice(&fresh, slice_from(domain, domain.len - parent.len));
			set(m->address, strbuf_slice(&fresh));
		}
		break;
	}
	strbuf_release(&fresh);
}

static bool masquerade(const struct mapping *m)
{
	struct slice local, domain;

	if (!(m->canonical->masquerade_classes & m->class) ||
	    !address_split(strbuf_slice(m->address), &local, &domain))
		return true;
	switch (match_list_string(m->canonical->masquerade_exceptions, local)) {
	case MATCH_YES:
		return true;
	case MATCH_ERROR:
		return failed(m, "masquerade_exceptions");
	case MATCH_NO:
		break;
	}
	masquerade_domain(m, local, domain);
	return true;
}

bool canonical_address(const struct canonical *c, enum canonical_class class, struct slice address,
    const char *log_name, const char *id, struct strbuf *out)
{
	struct strbuf work = STRBUF_INIT(2 * ADDRESS_MAX);
	const struct mapping m = { c, class, log_name, id, &work };
	bool sender = class & (CANONICAL_ENVELOPE_SENDER | CANONICAL_HEADER_SENDER);
	bool ok;

	strbuf_addslice(&work, address);
	/* The null sender has no other name. */
	ok = address.len == 0 || (run_stage(&m, sender ? &c->sender : &c->recipient) &&
				     run_stage(&m, &c->common) && masquerade(&m));
	strbuf_addslice(out, strbuf_slice(&work));
	strbuf_release(&work);
	return ok;
}

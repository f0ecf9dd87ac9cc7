// SPDX-License-Identifier: BSD-2-Clause
/* generic(5): addresses that nobody outside knows, as they are to be outside. */
#include "log/log.h"
#include "mail/address.h"
#include "rewrite/address_map.h"
#include "smtp/smtp_content_private.h"

static struct address_map map;

void smtp_content_generic_prepare(const struct postfix_params *params)
{
	static struct address_rules *rules;
	static struct rewriter *rewriter;

	address_rules_free(rules);
	rewriter_free(rewriter);
	tables_free(map.tables);
	rules = address_rules_new(params);
	rewriter = rewriter_new(params);
	map = (struct address_map){
		.rules = rules,
		.rewriter = rewriter,
		.tables = tables_open(SMTP_PARAM_NAME("generic_maps"), SMTP_PARAM(generic_maps), 0),
		.propagates =
		    address_map_list_has(params->propagate_unmatched_extensions, "generic"),
	};
}

bool smtp_content_has_generic(void)
{
	return map.tables != NULL && !tables_is_empty(map.tables);
}

/* Asked once: a result is not looked up again. */
bool smtp_content_generic(struct slice address, struct strbuf *out)
{
	struct strbuf results = STRBUF_INIT(TABLE_VALUE_MAX);
	enum table_result found = address_map_get(&map, address, &results);
	struct slice first = slice_of(results.ptr);
	bool ok = found == TABLE_NOT_FOUND || (found == TABLE_FOUND && first.len > 0);

	if (!ok)
		log_warning(
		    "%s map lookup problem for %.*s", tables_name(map.tables), SLICE_ARG(address));
	else if (found == TABLE_NOT_FOUND)
		strbuf_addslice(out, address);
	else
		strbuf_addslice(out, first);
	if (ok && found == TABLE_FOUND && results.len > first.len + 1)
		log_warning(
		    "multi-valued %s result for %.*s", tables_name(map.tables), SLICE_ARG(address));
	strbuf_release(&results);
	return ok;
}

bool smtp_content_address(const char *address, struct strbuf *out, struct smtp_failure *failure)
{
	if (*address == '\0' || !smtp_content_has_generic()) {
		strbuf_addstr(out, address);
		return true;
	}
	if (smtp_content_generic(slice_of(address), out))
		return true;
	smtp_content_table_failed(NULL, failure);
	return false;
}

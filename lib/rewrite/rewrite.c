// SPDX-License-Identifier: BSD-2-Clause
#include "rewrite/rewrite.h"

#include <stdlib.h>

#include "base/check.h"
#include "mail/address.h"
#include "mail/header.h"

struct rewriter {
	char *myorigin, *mydomain, *remote_domain;
	bool append_at, append_dot, swap_bangpath, percent_hack;
};

struct rewriter *rewriter_new(const struct postfix_params *params)
{
	struct rewriter *r = xcalloc(1, sizeof(*r));

	r->myorigin = xstrdup(params->myorigin);
	r->mydomain = xstrdup(params->mydomain);
	r->remote_domain = xstrdup(params->remote_header_rewrite_domain);
	r->append_at = params->append_at_myorigin;
	r->append_dot = params->append_dot_mydomain;
	r->swap_bangpath = params->swap_bangpath;
	r->percent_hack = params->allow_percent_hack;
	return r;
}

void rewriter_free(struct rewriter *r)
{
	if (!r)
		return;
	free(r->remote_domain);
	free(r->mydomain);
	free(r->myorigin);
	free(r);
}

/*
 * "dom!user" is user@dom, "user%dom" is user@dom; only without an '@'.  What has nothing on one
 * side is no exception: "user%" is "user@", an address of no domain.
 */
static void add_routed(const struct rewriter *r, struct slice address, struct strbuf *out)
{
	ptrdiff_t bang = r->swap_bangpath ? slice_find(address, '!') : -1;
	ptrdiff_t percent = r->percent_hack ? slice_rfind(address, '%') : -1;

	if (bang >= 0) {
		strbuf_addslice(out, slice_from(address, (size_t)bang + 1));
		strbuf_addch(out, '@');
		strbuf_addslice(out, slice_first(address, (size_t)bang));
	} else if (percent >= 0) {
		strbuf_addslice(out, slice_first(address, (size_t)percent));
		strbuf_addch(out, '@');
		strbuf_addslice(out, slice_from(address, (size_t)percent + 1));
	} else {
		strbuf_addslice(out, address);
	}
}

static bool lacks_dot(struct slice domain)
{
	return domain.len && slice_find(domain, '.') < 0 && !slice_starts(domain, "[");
}

static void complete(
    const struct rewriter *r, const char *origin, const char *parent, struct strbuf *address)
{
	struct slice local, domain;

	if (!address_split(strbuf_slice(address), &local, &domain)) {
		if (r->append_at && *origin)
			strbuf_addf(address, "@%s", origin);
		address_split(strbuf_slice(address), &local, &domain);
	}
	if (r->append_dot && *parent && lacks_dot(domain))
		strbuf_addf(address, ".%s", parent);
	address_split(strbuf_slice(address), &local, &domain);
	if (domain.len > 1 && slice_ends(domain, ".") && !slice_ends(domain, ".."))
		strbuf_truncate(address, address->len - 1);
}

void rewrite_address(const struct rewriter *r, enum rewrite_context context, struct slice address,
    struct strbuf *out)
{
	struct strbuf work = STRBUF_INIT(2 * ADDRESS_MAX);
	bool local = context == REWRITE_LOCAL;

	if (!address.len || (!local && !*r->remote_domain)) {
		strbuf_addslice(out, address);
		return;
	}
	/* A source route; as internal form it has lost its brackets. */
	if (address.ptr[0] == '@' && slice_find(address, ':') >= 0)
		address = slice_from(address, (size_t)slice_find(address, ':') + 1);
	if (!address.len)
		return;
	if (slice_find(address, '@') < 0)
		add_routed(r, address, &work);
	else
		strbuf_addslice(&work, address);
	complete(r, local ? r->myorigin : r->remote_domain, local ? r->mydomain : r->remote_domain,
	    &work);
	strbuf_addslice(out, strbuf_slice(&work));
	strbuf_release(&work);
}

struct header_rewriting {
	const struct rewriter *rewriter;
	enum rewrite_context context;
};

static bool rewrite_one(const struct header_address *address, struct strbuf *out, void *arg)
{
	const struct header_rewriting *h = arg;

	rewrite_address(h->rewriter, h->context, address->internal, out);
	return true;
}

bool rewrite_header(
    const struct rewriter *r, enum rewrite_context context, struct slice value, struct strbuf *out)
{
	struct header_rewriting h = { r, context };

	if (context == REWRITE_REMOTE && !*r->remote_domain) {
		strbuf_addslice(out, value);
		return false;
	}
	return header_rewrite_addresses(value, rewrite_one, &h, out);
}

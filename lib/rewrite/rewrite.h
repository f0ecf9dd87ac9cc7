// SPDX-License-Identifier: BSD-2-Clause
/*
 * The canonical form of an address: swap_bangpath, allow_percent_hack, append_at_myorigin,
 * append_dot_mydomain (trivial-rewrite(8)).  Immutable after rewriter_new, for all threads.
 */
#ifndef PC_REWRITE_REWRITE_H
#define PC_REWRITE_REWRITE_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/strbuf.h"
#include "conf/postfix_conf.h"

struct rewriter;

enum rewrite_context {
	REWRITE_LOCAL, /* envelopes always; headers of mail from local_header_rewrite_clients */
	REWRITE_REMOTE /* headers of other mail: $remote_header_rewrite_domain is appended, or, when
			* that is empty, nothing is changed */
};

struct rewriter *rewriter_new(const struct postfix_params *params);
void rewriter_free(struct rewriter *rewriter);

/*
 * Appends the canonical form of ADDRESS; both are in internal form.  The empty address stays empty.
 * Source routes are dropped, one trailing dot of the domain is dropped; "user@" stays what it is,
 * an address that is refused.
 */
void rewrite_address(const struct rewriter *rewriter, enum rewrite_context context,
    struct slice address, struct strbuf *out);

/*
 * Appends the value of a header with its addresses in canonical form, the rest byte for byte.
 * False when nothing had to be changed (OUT then has VALUE too).
 */
bool rewrite_header(const struct rewriter *rewriter, enum rewrite_context context,
    struct slice value, struct strbuf *out);

#endif

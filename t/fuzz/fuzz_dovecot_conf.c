// SPDX-License-Identifier: BSD-2-Clause
/*
 * Any bytes are a dovecot.conf that may be wrong, and never more; what was read comes back the same
 * from its sealed form.  Bytes that begin with the seal's magic word go to its decoder.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "conf/dovecot_tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice lookup(const char *name, void *arg)
{
	(void)arg;
	return strcmp(name, "user") ? SLICE_NULL : SLICE_LIT("Alice@Example.ORG");
}

static void evaluate(const struct dovecot_source *source)
{
	static const struct dovecot_filter filter = { "pop3", "mail.example.org", "192.0.2.1",
		"2001:db8::1" };
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct strbuf out = STRBUF_INIT(1 << 20);
	struct dovecot_settings *settings;

	dovecot_conf_check(source, &errors);
	settings = dovecot_settings_new(source, &filter, NULL);
	dovecot_var_expand(&out, settings->mail_location, lookup, NULL, NULL);
	dovecot_settings_free(settings);
	strbuf_release(&out);
	conf_errors_release(&errors);
}

/* With errors a section may stand where the decoder does not take it. */
static void seal_and_back(const struct dovecot_source *source, bool is_clean)
{
	struct strbuf sealed = STRBUF_INIT((size_t)64 << 20), again = STRBUF_INIT((size_t)64 << 20);
	struct dovecot_source *copy;

	dovecot_source_encode(source, &sealed);
	copy = dovecot_source_decode(strbuf_slice(&sealed));
	ASSERT(copy || !is_clean);
	if (copy) {
		dovecot_source_encode(copy, &again);
		ASSERT(slice_eq(strbuf_slice(&sealed), strbuf_slice(&again)));
	}
	dovecot_source_free(copy);
	strbuf_release(&again);
	strbuf_release(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct dovecot_source *source;

	if (slice_starts(in, "postcote ")) {
		source = dovecot_source_decode(in);
		if (source)
			evaluate(source);
	} else {
		source = dovecot_source_parse(in, &errors);
		evaluate(source);
		seal_and_back(source, errors.error_count == 0);
	}
	dovecot_source_free(source);
	conf_errors_release(&errors);
	return 0;
}

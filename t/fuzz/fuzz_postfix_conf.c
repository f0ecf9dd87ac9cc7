// SPDX-License-Identifier: BSD-2-Clause
/*
 * Any bytes, up to a NUL, are a main.cf that may be wrong, and never more; what follows the NUL is
 * the master.cf.  What was read comes back the same from its sealed form, and an edit is there when
 * the edited text is read again.  Bytes that begin with the seal's magic word go to its decoder.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "conf/postfix_edit.h"
#include "conf/postfix_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEALED_LIMIT ((size_t)64 << 20)

static void evaluate(const struct postfix_source *source)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	struct postfix_params *params = postfix_params_new(source, NULL, &errors);
	for (size_t i = 0; i < postfix_source_set_count(source); i++) {
		const char *name = postfix_source_set_name(source, i);
		postfix_param_lookup(params, name);
		char *expanded =
		    postfix_param_expand(params, postfix_source_raw(source, name, NULL));
		free(expanded);
	}
	postfix_params_free(params);
	postfix_conf_check(source, &errors);
	conf_errors_release(&errors);
}

static void split_list(const char *text)
{
	struct strbuf word = STRBUF_INIT(STRBUF_NO_LIMIT);
	size_t left = strlen(text);
	while (postfix_list_next(&text, &word)) {
		ASSERT(strlen(text) < left);
		left = strlen(text);
	}
	strbuf_release(&word);
}

static void seal_and_back(const struct postfix_source *source)
{
	struct strbuf sealed = STRBUF_INIT(SEALED_LIMIT), again = STRBUF_INIT(SEALED_LIMIT);
	postfix_source_encode(source, &sealed);
	struct postfix_source *copy = postfix_source_decode(strbuf_slice(&sealed));
	ASSERT(copy);
	ASSERT(copy->set_count == source->set_count);
	ASSERT(copy->service_count == source->service_count);
	postfix_source_encode(copy, &again);
	ASSERT(slice_eq(strbuf_slice(&sealed), strbuf_slice(&again)));
	postfix_source_free(copy);
	strbuf_release(&sealed);
	strbuf_release(&again);
}

static void edit_and_read(struct slice text)
{
	struct postfix_edit edit = { (char[]){ "a" }, (char[]){ "new value" }, 0 };
	struct postfix_source *source = postfix_source_new("/x");
	postfix_edit(&source->main_text, text, POSTFIX_EDIT_SET, &edit, 1);
	postfix_main_parse(source, NULL);
	const char *value = postfix_source_raw(source, "a", NULL);
	ASSERT(value && strcmp(value, "new value") == 0);
	postfix_source_free(source);

	source = postfix_source_new("/x");
	postfix_edit(&source->main_text, text, POSTFIX_EDIT_REMOVE, &edit, 1);
	postfix_main_parse(source, NULL);
	ASSERT(!postfix_source_raw(source, "a", NULL));
	postfix_source_free(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_mem(data, size);
	struct postfix_source *source = postfix_source_decode(in);
	if (!source) {
		ptrdiff_t end = slice_find(in, '\0');
		struct slice main_text = end < 0 ? in : slice_first(in, (size_t)end);
		source = postfix_source_new("/x");
		strbuf_addslice(&source->main_text, main_text);
		strbuf_addslice(&source->master_text, slice_from(in, main_text.len + 1));
		strbuf_addstr(
		    &source->environment.addresses, "i 127.0.0.1/8\ni ::1/128\nh n ::1\n");
		postfix_main_parse(source, NULL);
		postfix_master_parse(source, NULL);
		split_list(source->main_text.ptr);
		edit_and_read(main_text);
	}
	evaluate(source);
	seal_and_back(source);
	postfix_source_free(source);
	return 0;
}

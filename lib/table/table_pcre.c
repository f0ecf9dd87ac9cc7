// SPDX-License-Identifier: BSD-2-Clause
/*
 * pcre_table(5): PCRE2, by bytes.  Patterns are compiled to machine code where that is allowed;
 * what is too deep for that code's stack is matched without it.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/check.h"
#include "table/table_pattern.h"

static bool take_flag(struct rules *rules, unsigned line, char c, int *flags)
{
	static const struct {
		char letter;
		uint32_t bit;
	} letters[] = {
		{ 'i', PCRE2_CASELESS },
		{ 'm', PCRE2_MULTILINE },
		{ 's', PCRE2_DOTALL },
		{ 'x', PCRE2_EXTENDED },
		{ 'A', PCRE2_ANCHORED },
		{ 'E', PCRE2_DOLLAR_ENDONLY },
		{ 'U', PCRE2_UNGREEDY },
	};

	for (size_t i = 0; i < ARRAY_LEN(letters); i++) {
		if (letters[i].letter == c) {
			*flags = (int)((uint32_t)*flags ^ letters[i].bit);
			return true;
		}
	}
	if (c != 'X')
		return false;
	rules_warn(rules, line, "ignoring obsolete regexp option \"X\"");
	return true;
}

static void *compile(
    struct rules *rules, unsigned line, const char *pattern, int flags, size_t *groups)
{
	PCRE2_UCHAR message[200];
	PCRE2_SIZE offset;
	uint32_t count;
	int error;
	pcre2_code *code = pcre2_compile(
	    (PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, (uint32_t)flags, &error, &offset, NULL);

	if (!code) {
		pcre2_get_error_message(error, message, ARRAY_LEN(message));
		rules_warn(
		    rules, line, "error in regex at offset %zu: %s", offset, (const char *)message);
		return NULL;
	}
	(void)pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &count);
	*groups = count;
	(void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
	return code;
}

static void code_free(void *code)
{
	pcre2_code_free(code);
}

static int execute(const pcre2_code *code, struct slice key, pcre2_match_data *data)
{
	PCRE2_SPTR text = (PCRE2_SPTR)(key.ptr ? key.ptr : "");
	int result = pcre2_match(code, text, key.len, 0, 0, data, NULL);

	if (result == PCRE2_ERROR_JIT_STACKLIMIT)
		result = pcre2_match(code, text, key.len, 0, PCRE2_NO_JIT, data, NULL);
	return result;
}

static void copy_spans(pcre2_match_data *data, int found, struct pattern_span *spans, size_t count)
{
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);

	for (size_t i = 0; i < count; i++) {
		bool is_set = i < (size_t)found && ends[2 * i] != PCRE2_UNSET &&
			      ends[2 * i] <= ends[2 * i + 1]; /* \K may turn them round */

		spans[i] = is_set ? (struct pattern_span){ (ptrdiff_t)ends[2 * i],
			(ptrdiff_t)ends[2 * i + 1] }
				  : (struct pattern_span){ -1, -1 };
	}
}

static int match(const struct rules *rules, const struct rule *rule, const void *code,
    struct slice key, struct pattern_span *spans, size_t count)
{
	pcre2_match_data *data = pcre2_match_data_create((uint32_t)count, NULL);
	PCRE2_UCHAR message[200];
	int found = data ? execute(code, key, data) : PCRE2_ERROR_NOMEMORY;

	if (found == 0) /* more groups than asked for */
		found = (int)count;
	if (found > 0)
		copy_spans(data, found, spans, count);
	pcre2_match_data_free(data);
	if (found >= 0)
		return 1;
	if (found == PCRE2_ERROR_NOMATCH)
		return 0;
	pcre2_get_error_message(found, message, ARRAY_LEN(message));
	rules_warn(rules, rule->line, "%s", (const char *)message);
	return -1;
}

static const struct pattern_engine engine = {
	.rules = PATTERN_RULES("pcre"),
	.unclosed = "ignoring",
	.zero_index = "out of range",
	.default_flags = PCRE2_CASELESS | PCRE2_DOTALL,
	.take_flag = take_flag,
	.compile = compile,
	.free = code_free,
	.match = match,
};

/* Apart, for the fuzzer. */
void *table_pcre_parse(const char *path, struct slice text, unsigned flags);
void *table_pcre_parse(const char *path, struct slice text, unsigned flags)
{
	return rules_parse(&engine.rules, path, text, flags);
}

static void *pcre_open(const char *name, unsigned flags, char **error)
{
	return rules_open(&engine.rules, name, flags, error);
}

const struct table_type table_type_pcre = {
	.name = "pcre",
	.is_pattern = true,
	.asks_nobody = true,
	.open = pcre_open,
	.free = rules_free,
	.get = pattern_get,
	.refresh = rules_refresh,
};

// SPDX-License-Identifier: BSD-2-Clause
/* Postconf's options, and which of them exclude each other: tables, in the peer's order. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/postconf.h"
#include "conf/postfix_source.h"
#include "log/log.h"

#define BLANKS	 " \t\r\n\v\f"
#define SUBJECTS "aAbFlmMpPtT"

/* In which order a message names them. */
static const char option_order[] = "aAbdefFhHjlmMnopPtTxX#";

/* Of each of these sets at most one. */
static const char *const exclusive[] = { SUBJECTS, "eX#", "denX#", "efX#", "exX#", "deoX#",
	"ehHX#" };

/* With the first, none of the others. */
static const struct {
	char option;
	const char *others;
} forbidden[] = {
	{ 'a', "defhHjnoxX#" },
	{ 'A', "defhHjnoxX#" },
	{ 'b', "defhHjnoxX#" },
	{ 'F', "dnX#" },
	{ 'l', "defhHjnoxX#" },
	{ 'm', "defhHjnoxX#" },
	{ 'M', "dhHn" },
	{ 'P', "dn#" },
	{ 't', "defhHjnoxX#" },
	{ 'T', "defhHjnoxX#" },
	{ 'j', "efhHX#" },
};

static _Noreturn void usage(void)
{
	fatal("usage: postconf [-aAbdeFfHhjlMmnPpqtvXx#] [-C class] [-c config_dir] "
	      "[-o name=value] [-T compile-version|run-version|public-key-algorithms] [name...]");
}

static void check_exclusive(const bool *given, const char *set)
{
	struct strbuf text = STRBUF_INIT(200);
	unsigned count = 0;
	for (const char *p = option_order; *p != '\0'; p++)
		if (given[(unsigned char)*p] && strchr(set, *p))
			strbuf_addf(&text, "%s-%c", count++ > 0 ? ", " : "", *p);
	if (count > 1)
		fatal("specify one of %s", text.ptr);
	strbuf_release(&text);
}

static void check_options(const bool *given)
{
	if (given['b'] && given['t'])
		fatal("specify one of -b and -t");
	for (size_t i = 0; i < ARRAY_LEN(exclusive); i++)
		check_exclusive(given, exclusive[i]);
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		for (const char *p = option_order;
		     *p != '\0' && given[(unsigned char)forbidden[i].option]; p++)
			if (given[(unsigned char)*p] && strchr(forbidden[i].others, *p))
				fatal(
				    "with option -%c, do not specify -%c", forbidden[i].option, *p);
}

static void add_override(struct postconf *pc, const char *text)
{
	struct slice name, value;
	const char *problem = postfix_split_assignment(slice_of(text), &name, &value);
	if (problem)
		fatal("invalid parameter override: %s: %s", text, problem);
	pc->overrides =
	    xreallocarray(pc->overrides, pc->override_count + 1, sizeof(*pc->overrides));
	pc->overrides[pc->override_count++] = (struct postfix_override){
		.name = xstrndup(name.ptr, name.len),
		.value = xstrndup(value.ptr ? value.ptr : "", value.len),
	};
}

static unsigned class_named(struct slice word, const char *whole)
{
	static const struct {
		const char *name;
		unsigned class;
	} classes[] = {
		{ "all", POSTCONF_ALL },
		{ "builtin", POSTCONF_BUILTIN },
		{ "service", POSTCONF_SERVICE },
		{ "user", POSTCONF_USER },
	};
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (slice_eq_str(word, classes[i].name))
			return classes[i].class;
	fatal("unknown -C option value \"%.*s\" in \"%s\"", SLICE_ARG(word), whole);
}

static unsigned parse_classes(const char *text)
{
	struct slice rest = slice_of(text), word;
	unsigned classes = 0;
	while (slice_token(&rest, " ,\t\r\n", &word))
		classes |= class_named(word, text);
	return classes;
}

static void set_flag(struct postconf *pc, int option)
{
	switch (option) {
	case 'd':
		pc->defaults = true;
		break;
	case 'e':
		pc->action = POSTCONF_EDIT;
		break;
	case '#':
		pc->action = POSTCONF_COMMENT;
		break;
	case 'X':
		pc->action = POSTCONF_REMOVE;
		break;
	case 'f':
		pc->fold = true;
		break;
	case 'h':
		pc->no_name = true;
		break;
	case 'H':
		pc->no_value = true;
		break;
	case 'j':
		pc->json = true;
		break;
	case 'n':
		pc->non_default = true;
		break;
	case 'q':
		pc->quiet = true;
		break;
	case 'x':
		pc->expand = true;
		break;
	default:
		pc->subject = (char)option;
		break;
	}
}

static bool has_assignment(char **args)
{
	for (; *args; args++)
		if (strchr(*args, '='))
			return true;
	return false;
}

void postconf_parse_options(struct postconf *pc, int argc, char **argv)
{
	bool given[256] = { false };
	const char *dir = NULL;
	int option;
	pc->classes = POSTCONF_ALL;
	pc->subject = 'p';
	while ((option = getopt(argc, argv, "aAbc:C:deEfFhHjlmMno:pPqtT:vxX#")) != -1) {
		if (option == '?' || option == 'E')
			usage();
		else if (option == 'c')
			dir = optarg;
		else if (option == 'C')
			pc->classes = parse_classes(optarg);
		else if (option == 'o')
			add_override(pc, optarg);
		else if (option == 'v')
			pc->verbose = true;
		else
			set_flag(pc, option);
		if (option == 'T')
			pc->tls_mode = optarg;
		given[option & 0xff] = true;
	}
	/* An assignment is an edit wherever there is something to edit. */
	if (strchr("pMFP", pc->subject) && has_assignment(argv + optind)) {
		given['e'] = true;
		pc->action = POSTCONF_EDIT;
	}
	check_options(given);
	pc->dir = postfix_conf_dir(dir);
}

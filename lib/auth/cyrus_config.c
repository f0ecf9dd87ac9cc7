// SPDX-License-Identifier: BSD-2-Clause
/* Lines are "key: value"; '#' begins one that says nothing.  The first line of a key counts. */
#include "auth/cyrus_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"

#define LINE_MAX_LENGTH 4096

static void take_methods(struct cyrus_config *config, struct slice value)
{
	struct strbuf rest = STRBUF_INIT(LINE_MAX_LENGTH);
	struct slice word;

	while (slice_token(&value, " \t,", &word)) {
		if (slice_caseeq_str(word, "saslauthd")) {
			config->saslauthd = true;
		} else if (slice_caseeq_str(word, "auxprop") ||
			   slice_caseeq_str(word, "auxprop-hashed")) {
			strbuf_addf(&rest, "%s%.*s", rest.len ? " " : "", SLICE_ARG(word));
		} else {
			config->other = true;
		}
	}
	config->methods = xstrdup(rest.len ? rest.ptr : "");
	strbuf_release(&rest);
}

static void take_line(struct cyrus_config *config, struct slice line)
{
	ptrdiff_t colon = slice_find(line, ':');
	struct slice key, value;

	if (colon < 0 || slice_starts(line, "#"))
		return;
	key = slice_trim(slice_first(line, (size_t)colon), " \t");
	value = slice_trim(slice_from(line, (size_t)colon + 1), " \t\r\n");
	if (slice_caseeq_str(key, "pwcheck_method") && !config->methods)
		take_methods(config, value);
	else if (slice_caseeq_str(key, "saslauthd_path") && !config->saslauthd_path)
		config->saslauthd_path = xstrndup(value.ptr, value.len);
	else if (slice_caseeq_str(key, "sasldb_path") && !config->database)
		config->database = xstrndup(value.ptr, value.len);
}

/* False: it is not there. */
static bool read_file(struct cyrus_config *config, const char *path)
{
	char line[LINE_MAX_LENGTH];
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		take_line(config, slice_of(line));
	fclose(file);
	return true;
}

void cyrus_config_read(struct cyrus_config *config, const char *path, const char *name)
{
	struct slice rest = slice_of(path), directory;

	*config = (struct cyrus_config){ .directory = NULL };
	while (!config->directory && slice_token(&rest, ":", &directory)) {
		char *file = xasprintf("%.*s/%s.conf", SLICE_ARG(directory), name);

		if (read_file(config, file))
			config->directory = xstrndup(directory.ptr, directory.len);
		free(file);
	}
	if (!config->saslauthd_path)
		config->saslauthd_path = xstrdup(CYRUS_SASLAUTHD_PATH);
	if (!config->methods)
		config->methods = xstrdup("auxprop"); /* the library's default */
}

void cyrus_config_release(struct cyrus_config *config)
{
	free(config->directory);
	free(config->saslauthd_path);
	free(config->methods);
	free(config->database);
}

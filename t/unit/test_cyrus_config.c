// SPDX-License-Identifier: BSD-2-Clause
#include "auth/cyrus_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit.h"

static const struct config_case {
	const char *text; /* NULL: no file */
	const char *methods, *socket, *database;
	bool saslauthd, other;
} config_cases[] = {
	{ NULL, "auxprop", CYRUS_SASLAUTHD_PATH, NULL, false, false },
	{ "", "auxprop", CYRUS_SASLAUTHD_PATH, NULL, false, false },
	{ "pwcheck_method: saslauthd\n", "", CYRUS_SASLAUTHD_PATH, NULL, true, false },
	{ "  PWCHECK_METHOD:saslauthd auxprop\nsasldb_path: /a b\n", "auxprop",
	    CYRUS_SASLAUTHD_PATH, "/a b", true, false },
	{ "pwcheck_method: auxprop saslauthd\r\nsaslauthd_path:\t/run/mux \n", "auxprop",
	    "/run/mux", NULL, true, false },
	{ "pwcheck_method: authdaemond\n", "", CYRUS_SASLAUTHD_PATH, NULL, false, true },
	{ "# pwcheck_method: saslauthd\nnonsense\n:\n", "auxprop", CYRUS_SASLAUTHD_PATH, NULL,
	    false, false },
	{ "pwcheck_method: auxprop\npwcheck_method: saslauthd\n", "auxprop", CYRUS_SASLAUTHD_PATH,
	    NULL, false, false },
	{ "pwcheck_method: auxprop-hashed\nsaslauthd_path: /1\nsaslauthd_path: /2",
	    "auxprop-hashed", "/1", NULL, false, false },
};

static void test_read(void **state)
{
	char directory[] = "/tmp/postcote-unit-XXXXXX", file[100], path[200];

	(void)state;
	want_int("mkdtemp", mkdtemp(directory) != NULL, true);
	snprintf(file, sizeof(file), "%s/smtpd.conf", directory);
	snprintf(path, sizeof(path), "/nowhere:%s:/usr", directory);
	for (size_t i = 0; i < ARRAY_LEN(config_cases); i++) {
		const struct config_case *c = &config_cases[i];
		const char *name = c->text ? c->text : "no file";
		struct cyrus_config config;

		if (c->text) {
			FILE *f = fopen(file, "w");

			fputs(c->text, f);
			fclose(f);
		}
		cyrus_config_read(&config, path, "smtpd");
		want_str(name, config.directory, c->text ? directory : NULL);
		want_str(name, config.methods, c->methods);
		want_str(name, config.saslauthd_path, c->socket);
		want_str(name, config.database, c->database);
		want_int(name, config.saslauthd, c->saslauthd);
		want_int(name, config.other, c->other);
		cyrus_config_release(&config);
		unlink(file);
	}
	rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

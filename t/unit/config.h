// SPDX-License-Identifier: BSD-2-Clause
/* For tests of what is made from main.cf: parameters from a text. */
#ifndef PC_UNIT_CONFIG_H
#define PC_UNIT_CONFIG_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/postfix_conf.h"
#include "unit.h"

struct config {
	char dir[64];
	struct postfix_source *source;
	struct postfix_params *params;
};

static inline void config_write(const struct config *c, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", c->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void config_path(const struct config *c, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", c->dir, name);
}

static inline void config_dir(struct config *c)
{
	*c = (struct config){ .dir = "/tmp/postcote-unit-XXXXXX" };
	assert_non_null(mkdtemp(c->dir));
}

/* TEXT is the main.cf; host names and interfaces are set so that the machine has no say. */
static inline void config_open(struct config *c, const char *text)
{
	struct conf_errors errors = CONF_ERRORS_INIT;
	char *main_cf = xasprintf("myhostname = mail.example.com\nmydomain = example.com\n"
				  "inet_interfaces = 127.0.0.1, 192.0.2.25\n"
				  "mynetworks = 127.0.0.0/8 [::1]/128\n%s\n",
	    text);

	if (!c->dir[0])
		config_dir(c);
	config_write(c, "main.cf", main_cf);
	config_write(c, "master.cf", "smtp inet n - n - - smtpd\n");
	free(main_cf);
	c->source = postfix_source_read(c->dir, &errors);
	assert_non_null(c->source);
	c->params = postfix_params_new(c->source, NULL, &errors);
	for (size_t i = 0; i < errors.count; i++) {
		if (errors.list[i].severity == CONF_ERROR)
			fail_msg("%s", errors.list[i].text);
	}
	conf_errors_release(&errors);
}

static inline void config_close(struct config *c)
{
	char *command = xasprintf("rm -rf %s", c->dir);

	postfix_params_free(c->params);
	postfix_source_free(c->source);
	assert_int_equal(system(command), 0);
	free(command);
	*c = (struct config){ .dir = "" };
}

#endif

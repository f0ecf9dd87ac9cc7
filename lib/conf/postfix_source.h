// SPDX-License-Identifier: BSD-2-Clause
/*
 * Inside of the readers of main.cf and master.cf; nobody else includes this.
 *
 * A source keeps the two files as text beside what was made of them: a sealed source is that text,
 * read again by whoever loads it, so that there is one parser to trust.
 */
#ifndef PC_CONF_POSTFIX_SOURCE_H
#define PC_CONF_POSTFIX_SOURCE_H

#include "base/map.h"
#include "base/strbuf.h"
#include "conf/postfix_conf.h"

#define POSTFIX_FILE_LIMIT     ((size_t)8 << 20)
#define POSTFIX_HOSTNAME_LIMIT 255
#define POSTFIX_SERVICE_LIMIT  2000

struct postfix_assignment {
	char *name, *value;
	unsigned line;
};

/*
 * What defaults are computed from.  It is part of the source because a process in its jail can no
 * longer ask the system.
 */
struct postfix_environment {
	char *hostname;
	/*
	 * Addresses, one a line: "i 192.0.2.2/24" has an interface, "h NAME 192.0.2.2" is what a
	 * host name in inet_interfaces stands for.
	 */
	struct strbuf addresses;
};

struct postfix_source {
	char *dir;
	char *main_path, *master_path;
	struct strbuf main_text, master_text;
	struct postfix_assignment *set;
	size_t set_count, set_alloc;
	struct map by_name; /* to the index in SET, plus 1 */
	struct postfix_service *services;
	size_t service_count, service_alloc;
	struct postfix_environment environment;
};

struct postfix_source *postfix_source_new(const char *dir);
void postfix_main_parse(struct postfix_source *source, struct conf_errors *errors);
void postfix_master_parse(struct postfix_source *source, struct conf_errors *errors);
void postfix_service_release(struct postfix_service *service);

/*
 * Splits "name = value" in place of the caller: both without blanks at their ends.  NULL, or what
 * is wrong.
 */
const char *postfix_split_assignment(struct slice text, struct slice *name, struct slice *value);

/* Asks the system; NAMES is the value of inet_interfaces. */
void postfix_environment_probe(struct postfix_environment *environment, const char *names);
/*
 * mynetworks for STYLE (host, subnet, class), the addresses that inet_interfaces names, and
 * inet_protocols.  False for a style that is unknown.
 */
bool postfix_environment_networks(const struct postfix_environment *environment, const char *style,
    const char *interfaces, const char *protocols, struct strbuf *out);

/* The insides of postfix_source_seal and postfix_source_load, for tests. */
void postfix_source_encode(const struct postfix_source *source, struct strbuf *out);
struct postfix_source *postfix_source_decode(struct slice data);

/*
 * One parameter at a time, for values that are needed before there are parameters.  The caller
 * frees the text; NULL when undefined.
 */
char *postfix_source_value(const struct postfix_source *source, const char *name);
/* The same as if NAME were not set. */
char *postfix_source_default(const struct postfix_source *source, const char *name);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/* main.cf and master.cf turned into a plan of services and sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "conf/postfix_programs.h"
#include "master/supervisor.h"
#include "sys/priv.h"

struct plan {
	struct generation *g;
	struct conf_errors *errors;
	char *main_cf, *master_cf; /* for findings */
	struct priv_user owner;
	bool ipv4, ipv6;
	struct strbuf absent;
};

/* A folded service whose socket outsiders use is served by the program that does its work. */
static const struct {
	const char *program, *by;
} handed_over[] = {
	{ "flush", "qmgr" },
	{ "showq", "qmgr" },
};

static bool list_has(const char *list, const char *word)
{
	struct strbuf item = STRBUF_INIT(4096);
	bool found = false;

	while (!found && postfix_list_next(&list, &item)) {
		found = strcmp(item.ptr, word) == 0;
		strbuf_reset(&item);
	}
	strbuf_release(&item);
	return found;
}

static void find_owner(struct plan *plan)
{
	const struct postfix_params *params = plan->g->params;
	unsigned line = 0;
	gid_t gid;

	if (!master.as_root) {
		plan->owner.uid = geteuid();
		plan->owner.gid = getegid();
		return;
	}
	(void)postfix_source_raw(plan->g->postfix, "mail_owner", &line);
	if (!priv_find_user(params->mail_owner, &plan->owner))
		conf_report(plan->errors, CONF_ERROR, plan->main_cf, line,
		    "mail_owner: there is no account \"%s\"", params->mail_owner);
	else if (plan->owner.uid == 0)
		conf_report(
		    plan->errors, CONF_ERROR, plan->main_cf, line, "mail_owner: must not be root");
	line = 0;
	(void)postfix_source_raw(plan->g->postfix, "setgid_group", &line);
	if (!priv_find_group(params->setgid_group, &gid))
		conf_report(plan->errors, CONF_ERROR, plan->main_cf, line,
		    "setgid_group: there is no group \"%s\"", params->setgid_group);
}

static void find_protocols(struct plan *plan)
{
	const char *list = plan->g->params->inet_protocols;
	bool all = list_has(list, "all");

	plan->ipv4 = all || list_has(list, "ipv4");
	plan->ipv6 = all || list_has(list, "ipv6");
}

/* "all" and "loopback-only" are words of inet_interfaces only. */
static bool add_interfaces(struct plan *plan, struct bind_list *list, unsigned port, char *why)
{
	const char *rest = plan->g->params->inet_interfaces;
	struct strbuf word = STRBUF_INIT(4096);
	bool ok = true;

	while (ok && postfix_list_next(&rest, &word)) {
		if (strcmp(word.ptr, "all") == 0)
			ok = bind_add(list, "*", port, why);
		else if (strcmp(word.ptr, "loopback-only") == 0)
			ok = bind_add(list, "127.0.0.1", port, why) &&
			     bind_add(list, "::1", port, why);
		else
			ok = bind_add(list, word.ptr, port, why);
		strbuf_reset(&word);
	}
	strbuf_release(&word);
	return ok;
}

static void add_inet(struct plan *plan, struct service *s, const struct postfix_service *entry)
{
	struct bind_list list = { .ipv4 = plan->ipv4, .ipv6 = plan->ipv6 };
	const char *colon = strrchr(entry->name, ':');
	char *host = colon == NULL ? NULL : xstrndup(entry->name, (size_t)(colon - entry->name));
	const char *port_text = colon == NULL ? entry->name : colon + 1;
	char why[256] = "";
	unsigned port;
	bool ok;

	if (!bind_port(port_text, &port) || port == 0) {
		conf_report(plan->errors, CONF_ERROR, plan->master_cf, entry->line,
		    "%s: unknown port or service name \"%s\"", entry->name, port_text);
		free(host);
		return;
	}
	ok = host == NULL || host[0] == '\0' ? add_interfaces(plan, &list, port, why)
					     : bind_add(&list, host, port, why);
	if (ok && list.count == 0) {
		snprintf(why, sizeof(why), "inet_interfaces and inet_protocols leave no address");
		ok = false;
	}
	if (!ok)
		conf_report(plan->errors, CONF_ERROR, plan->master_cf, entry->line, "%s: %s",
		    entry->name, why);
	for (size_t i = 0; i < list.count; i++)
		service_add_socket(s, held_inet(&list.addr[i]), entry->name, "", false);
	free(host);
}

/* A fifo of our own programs is a socket: what writes triggers looks what it finds. */
static void add_local(struct plan *plan, struct service *s, const struct postfix_service *entry)
{
	enum held_type type = strcmp(entry->type, "unix-dgram") == 0 ? HELD_DGRAM : HELD_UNIX;
	char *name = xasprintf("%s/%s", entry->is_private ? "private" : "public", entry->name);
	char *path = xasprintf("%s/%s", plan->g->params->queue_directory, name);
	uid_t uid = master.as_root ? plan->owner.uid : (uid_t)-1;

	service_add_socket(s, held_unix(type, path, 0666, uid, (gid_t)-1), name, "", false);
	free(path);
	free(name);
}

static void add_handed_over(struct plan *plan, struct service *s)
{
	const struct postfix_source *source = plan->g->postfix;

	for (size_t i = 0; i < postfix_service_count(source); i++) {
		const struct postfix_service *entry = postfix_service_at(source, i);

		for (size_t j = 0; j < ARRAY_LEN(handed_over); j++)
			if (strcmp(handed_over[j].program, entry->program) == 0 &&
			    strcmp(handed_over[j].by, s->program) == 0 &&
			    strcmp(entry->type, "inet") != 0)
				add_local(plan, s, entry);
	}
}

/*
 * What the column limits are sessions, over all processes.  The peer's default of 100 was its
 * number of processes; a host that says nothing gets our own.
 */
static void set_limits(struct plan *plan, struct service *s, const struct postfix_service *entry)
{
	const struct postfix_params *params = plan->g->params;
	long column = entry->max_processes;
	bool has_default = postfix_source_raw(plan->g->postfix, "default_process_limit", NULL);

	s->session_limit = (unsigned long)params->postcote_session_limit;
	if (strcmp(entry->type, "inet") != 0) {
		s->max_processes = column > 0 ? (unsigned long)column : 0;
		return;
	}
	if (column > 0)
		s->session_limit = (unsigned long)column;
	else if (column < 0 && has_default)
		s->session_limit = (unsigned long)params->default_process_limit;
}

static bool has_argument(const struct postfix_service *entry, const char *argument)
{
	for (size_t i = 0; entry->args != NULL && entry->args[i] != NULL; i++)
		if (strcmp(entry->args[i], argument) == 0)
			return true;
	return false;
}

static bool is_plain(const struct postfix_service *entry)
{
	return entry->override_count == 0 && (entry->args == NULL || entry->args[0] == NULL);
}

/*
 * Entries of one program that only answers our own daemons, in the same way at each socket (bounce,
 * defer and trace): one process does for those that say nothing special.
 */
static struct service *find_shared(struct plan *plan, const struct postfix_service *entry)
{
	if (strcmp(entry->program, "bounce") != 0 || strcmp(entry->type, "unix") != 0 ||
	    !is_plain(entry))
		return NULL;
	list_for_each(l, &plan->g->services) {
		struct service *s = list_entry(l, struct service, link);

		if (strcmp(s->program, entry->program) == 0 && s->is_plain)
			return s;
	}
	return NULL;
}

static void add_service(struct plan *plan, const struct postfix_service *entry)
{
	struct service *shared = find_shared(plan, entry);

	if (shared != NULL) {
		add_local(plan, shared, entry);
		return;
	}
	struct service *s = service_new(plan->g, entry->name, entry->type, entry->program);
	struct postfix_params *role = postfix_params_new(plan->g->postfix, entry, plan->errors);

	s->log_name = xasprintf("%s/%s", role->syslog_name, entry->program);
	postfix_params_free(role);
	s->is_plain = is_plain(entry);
	s->debug = has_argument(entry, "-v");
	s->uid = plan->owner.uid;
	s->gid = plan->owner.gid;
	/* The socket of saslauthd and sasldb are for a group of their own. */
	if (master.as_root)
		s->extra_count = priv_extra_groups(&plan->owner, s->extra, ARRAY_LEN(s->extra));
	s->wakeup_ms = (int64_t)entry->wakeup_s * 1000;
	set_limits(plan, s, entry);
	if (strcmp(entry->type, "inet") == 0)
		add_inet(plan, s, entry);
	else
		add_local(plan, s, entry);
	add_handed_over(plan, s);
}

static void note_absent(struct plan *plan, const struct postfix_service *entry)
{
	strbuf_addf(&plan->absent, "%s%s/%s (%s)", plan->absent.len ? ", " : "", entry->name,
	    entry->type, entry->program);
}

static bool is_disabled(const struct plan *plan, const struct postfix_service *entry)
{
	const char *list = plan->g->params->master_service_disable;
	char *full = xasprintf("%s/%s", entry->name, entry->type);
	bool disabled = list_has(list, full) || list_has(list, entry->type);

	free(full);
	return disabled;
}

static void add_services(struct plan *plan)
{
	const struct postfix_source *source = plan->g->postfix;

	for (size_t i = 0; i < postfix_service_count(source); i++) {
		const struct postfix_service *entry = postfix_service_at(source, i);
		const struct postfix_program *program = postfix_program_find(entry->program);

		if (is_disabled(plan, entry))
			continue;
		if (program == NULL || program->kind == PROGRAM_ABSENT ||
		    strcmp(entry->type, "pass") == 0)
			note_absent(plan, entry);
		else if (program->kind == PROGRAM_RUNS)
			add_service(plan, entry);
	}
	if (plan->absent.len > 0)
		plan->g->absent = xasprintf(
		    "not started, since Postcote does not have them yet: %s", plan->absent.ptr);
}

/* The three modes that the peer takes. */
static mode_t log_mode(struct plan *plan, const char *text)
{
	static const struct {
		const char *text;
		mode_t mode;
	} modes[] = { { "0600", 0600 }, { "0640", 0640 }, { "0644", 0644 } };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (strcmp(text, modes[i].text) == 0)
			return modes[i].mode;
	conf_report(plan->errors, CONF_ERROR, plan->main_cf, 0,
	    "maillog_file_permissions: %s is none of 0600, 0640 and 0644", text);
	return 0600;
}

static void set_log(struct plan *plan)
{
	const struct postfix_params *params = plan->g->params;
	const char *prefixes = params->maillog_file_prefixes, *path = params->maillog_file;
	struct strbuf prefix = STRBUF_INIT(4096);
	bool allowed = false;

	plan->g->facility = xstrdup(params->syslog_facility);
	if (path[0] == '\0')
		return;
	while (postfix_list_next(&prefixes, &prefix)) {
		allowed |= slice_starts(slice_of(path), prefix.ptr);
		strbuf_reset(&prefix);
	}
	strbuf_release(&prefix);
	if (!allowed)
		conf_report(plan->errors, CONF_ERROR, plan->main_cf, 0,
		    "maillog_file: %s is below none of maillog_file_prefixes", path);
	plan->g->log_path = xstrdup(path);
	plan->g->log_mode = log_mode(plan, params->maillog_file_permissions);
}

static void fill_in(struct plan *plan)
{
	struct generation *g = plan->g;

	g->params = postfix_params_new(g->postfix, NULL, plan->errors);
	g->directory = xstrdup(g->params->queue_directory);
	g->throttle_ms = g->params->service_throttle_time * 1000;
	g->stop_timeout_ms = g->params->postcote_stop_timeout * 1000;
	g->quarantine_ms = g->params->postcote_quarantine_time * 1000;
	g->environment = environment_new(g->params->import_environment);
	find_owner(plan);
	find_protocols(plan);
	set_log(plan);
	add_services(plan);
}

struct generation *plan_postfix(struct conf_errors *errors)
{
	struct plan plan = { .errors = errors, .absent = STRBUF_INIT(65536) };
	struct postfix_source *source = postfix_source_read(master.config, errors);

	if (source == NULL)
		return NULL;
	postfix_conf_check(source, errors);
	plan.g = generation_new();
	plan.g->postfix = source;
	plan.main_cf = xasprintf("%s/main.cf", master.config);
	plan.master_cf = xasprintf("%s/master.cf", master.config);
	fill_in(&plan);
	if (errors->error_count == 0 && (plan.g->config_fd = postfix_source_seal(source)) < 0)
		conf_report(errors, CONF_ERROR, "", 0, "cannot seal the configuration: %s",
		    strerror(errno));
	free(plan.main_cf);
	free(plan.master_cf);
	strbuf_release(&plan.absent);
	if (errors->error_count == 0)
		return plan.g;
	generation_free(plan.g);
	return NULL;
}

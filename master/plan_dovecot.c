// SPDX-License-Identifier: BSD-2-Clause
/* dovecot.conf turned into a plan of services and sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "master/supervisor.h"
#include "sys/priv.h"

#define DEFAULT_SESSIONS 10000
/* The peer's, by which we see that a file says something else. */
#define DEFAULT_CLIENT_LIMIT  1000
#define DEFAULT_PROCESS_LIMIT 100
#define THROTTLE_MS	      2000
#define STOP_TIMEOUT_MS	      5000
#define QUARANTINE_MS	      (3600 * INT64_C(1000))

struct plan {
	struct generation *g;
	struct conf_errors *errors;
	struct strbuf absent;
};

/* Programs that are not called as their service. */
static const struct {
	const char *service, *program;
} programs[] = {
	{ "auth", "authd" },
};

static const char *program_of(const char *service)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (strcmp(programs[i].service, service) == 0)
			return programs[i].program;
	return service;
}

static void report(struct plan *plan, const char *what, const char *name, const char *setting)
{
	conf_report(plan->errors, CONF_ERROR, master.config, 0, "%s: there is no %s \"%s\"",
	    setting, what, name);
}

static bool find_user(struct plan *plan, const char *name, const char *setting, struct priv_user *u)
{
	if (priv_find_user(name, u))
		return true;
	report(plan, "account", name, setting);
	return false;
}

/* Where in service S the name NAME of nobody stands; LISTENER NULL: in the service itself. */
static void report_in(struct plan *plan, const struct service *s, const char *listener,
    const char *setting, const char *what, const char *name)
{
	conf_report(plan->errors, CONF_ERROR, master.config, 0,
	    "service(%s) %s doesn't exist: %s (See service %s {%s%s%s %s %s} setting)", s->name,
	    what, name, s->name, listener ? " unix_listener " : "", listener ? listener : "",
	    listener ? " {" : "", setting, listener ? "} " : "");
}

static void check_accounts(struct plan *plan)
{
	const struct dovecot_settings *set = plan->g->settings;
	struct priv_user user;
	gid_t gid;

	if (!master.as_root)
		return;
	(void)find_user(plan, set->default_internal_user, "default_internal_user", &user);
	(void)find_user(plan, set->default_login_user, "default_login_user", &user);
	if (!priv_find_group(set->default_internal_group, &gid))
		report(plan, "group", set->default_internal_group, "default_internal_group");
}

static const char *get(const struct dovecot_block *block, const char *name)
{
	const char *value = dovecot_block_get(block, name);

	return value == NULL ? "" : value;
}

static void add_extra_groups(struct plan *plan, struct service *s, const char *list)
{
	struct slice rest = slice_of(list), word;

	while (slice_token(&rest, " ,", &word) && s->extra_count < ARRAY_LEN(s->extra)) {
		char *name = xstrndup(word.ptr, word.len);

		if (priv_find_group(name, &s->extra[s->extra_count]))
			s->extra_count++;
		else
			report_in(plan, s, NULL, "extra_groups", "Group", name);
		free(name);
	}
}

/* What it does for authd is what only root may do, unless the file says otherwise. */
static bool may_be_root(const struct service *s)
{
	return strcmp(s->name, "auth-worker") == 0;
}

static void set_user(struct plan *plan, struct service *s, const struct dovecot_block *block)
{
	const char *name = get(block, "user"), *group = get(block, "group");
	struct priv_user user;

	s->uid = geteuid();
	s->gid = getegid();
	if (!master.as_root)
		return;
	/* The mailbox halves have no user: their front is as unprivileged as what asks it. */
	if ((name[0] == '\0' || strcmp(name, "root") == 0) && !may_be_root(s))
		name = plan->g->settings->default_internal_user;
	if (!priv_find_user(name[0] ? name : "root", &user)) {
		report_in(plan, s, NULL, "user", "User", name);
		return;
	}
	s->uid = user.uid;
	s->gid = user.gid;
	if (group[0] != '\0' && !priv_find_group(group, &s->gid))
		report_in(plan, s, NULL, "group", "Group", group);
	add_extra_groups(plan, s, get(block, "extra_groups"));
}

/*
 * An explicit service_count means what it says, process by process.  Without any limit in the
 * file our own holds; else it is sessions over all processes.
 */
static void set_limits(
    struct service *s, const struct dovecot_block *block, const struct dovecot_settings *global)
{
	unsigned long count = dovecot_block_uint(block, "service_count");
	unsigned long clients = dovecot_block_uint(block, "client_limit");
	unsigned long processes = dovecot_block_uint(block, "process_limit");
	bool set = dovecot_block_is_set(block, "client_limit") ||
		   dovecot_block_is_set(block, "process_limit") ||
		   global->default_client_limit != DEFAULT_CLIENT_LIMIT ||
		   global->default_process_limit != DEFAULT_PROCESS_LIMIT;

	if (dovecot_block_is_set(block, "service_count"))
		s->serve_count = count;
	if (!set && s->serve_count == 0) {
		s->session_limit = DEFAULT_SESSIONS;
		return;
	}
	if (clients == 0)
		clients = global->default_client_limit;
	if (processes == 0)
		processes = global->default_process_limit;
	s->session_limit = processes * (count == 1 ? 1 : clients);
}

/* -1: as it is.  Only root can give a socket away. */
static uid_t listener_uid(
    struct plan *plan, const struct service *s, const struct dovecot_block *listener)
{
	const char *name = get(listener, "user");
	struct priv_user user;

	if (!master.as_root || name[0] == '\0')
		return (uid_t)-1;
	if (priv_find_user(name, &user))
		return user.uid;
	report_in(plan, s, dovecot_block_label(listener), "user", "User", name);
	return (uid_t)-1;
}

static gid_t listener_gid(
    struct plan *plan, const struct service *s, const struct dovecot_block *listener)
{
	const char *name = get(listener, "group");
	gid_t gid;

	if (!master.as_root || name[0] == '\0')
		return (gid_t)-1;
	if (priv_find_group(name, &gid))
		return gid;
	report_in(plan, s, dovecot_block_label(listener), "group", "Group", name);
	return (gid_t)-1;
}

/* What the socket speaks: auth's say so by their names. */
static const char *kind_of(const struct service *s, const char *label)
{
	return strcmp(s->name, "auth") == 0 ? dovecot_auth_listener_kind(label) : "";
}

static void add_unix(struct plan *plan, struct service *s, const struct dovecot_block *block)
{
	const char *label = dovecot_block_label(block);
	unsigned long mode = dovecot_block_uint(block, "mode");
	char *path;

	/* Mode 0 is the peer's way to switch one off; nobody logs in with a token's URL. */
	if (mode == 0 || strcmp(label, "token-login/tokenlogin") == 0)
		return;
	path = label[0] == '/' ? xstrdup(label) : xasprintf("%s/%s", plan->g->directory, label);
	service_add_socket(s,
	    held_unix(HELD_UNIX, path, (mode_t)mode & 0777, listener_uid(plan, s, block),
		listener_gid(plan, s, block)),
	    label, kind_of(s, label), false);
	free(path);
}

static void add_inet(struct plan *plan, struct service *s, const struct dovecot_block *block)
{
	struct bind_list list = { .ipv4 = true, .ipv6 = true };
	const char *label = dovecot_block_label(block), *port_text = get(block, "port");
	struct slice rest = slice_of(get(block, "address")), word;
	bool ssl = dovecot_block_bool(block, "ssl");
	char why[256] = "";
	unsigned port;

	if (!bind_port(port_text, &port)) {
		conf_report(plan->errors, CONF_ERROR, master.config, 0,
		    "service(%s): inet_listener %s: unknown port \"%s\"", s->name, label,
		    port_text);
		return;
	}
	if (port == 0 || (ssl && strcmp(plan->g->settings->ssl, "no") == 0))
		return;
	if (rest.len == 0)
		rest = slice_of(plan->g->settings->listen);
	while (slice_token(&rest, " ,", &word)) {
		char *host = xstrndup(word.ptr, word.len);

		/* "*" is all of IPv4 there, "::" all of IPv6. */
		if (!bind_add(&list, strcmp(host, "*") == 0 ? "0.0.0.0" : host, port, why))
			conf_report(plan->errors, CONF_ERROR, master.config, 0, "service(%s): %s",
			    s->name, why);
		free(host);
	}
	for (size_t i = 0; i < list.count; i++)
		service_add_socket(s, held_inet(&list.addr[i]), label,
		    dovecot_block_bool(block, "haproxy") ? "haproxy" : kind_of(s, label), ssl);
}

static void add_service(struct plan *plan, const struct dovecot_block *block)
{
	const char *name = dovecot_block_label(block);
	struct service *s = service_new(plan->g, name, "dovecot", program_of(name));

	s->log_name = xstrdup(name);
	if (strcmp(name, "auth") == 0)
		s->debug = plan->g->settings->auth_debug;
	set_user(plan, s, block);
	set_limits(s, block, plan->g->settings);
	for (size_t i = 0; i < dovecot_subblock_count(block, "unix_listener"); i++)
		add_unix(plan, s, dovecot_subblock_at(block, "unix_listener", i));
	for (size_t i = 0; i < dovecot_subblock_count(block, "inet_listener"); i++)
		add_inet(plan, s, dovecot_subblock_at(block, "inet_listener", i));
}

static bool has_word(const char *list, struct slice want)
{
	struct slice rest = slice_of(list), word;

	while (slice_token(&rest, " ,", &word))
		if (slice_eq(word, want))
			return true;
	return false;
}

static void add_services(struct plan *plan)
{
	const struct dovecot_source *source = plan->g->dovecot;
	const char *protocols = plan->g->settings->protocols;

	for (size_t i = 0; i < dovecot_block_count(source, "service"); i++) {
		const struct dovecot_block *block = dovecot_block_at(source, "service", i);
		const char *protocol = get(block, "protocol");

		if (protocol[0] != '\0' && !has_word(protocols, slice_of(protocol)))
			continue;
		if (dovecot_service_runs(dovecot_block_label(block)))
			add_service(plan, block);
	}
}

/* A protocol is there when a service of it runs. */
static bool protocol_runs(const struct dovecot_source *source, struct slice protocol)
{
	for (size_t i = 0; i < dovecot_block_count(source, "service"); i++) {
		const struct dovecot_block *block = dovecot_block_at(source, "service", i);

		if (slice_eq_str(protocol, get(block, "protocol")) &&
		    dovecot_service_runs(dovecot_block_label(block)))
			return true;
	}
	return false;
}

static void sort_protocols(struct plan *plan)
{
	struct slice rest = slice_of(plan->g->settings->protocols), word;
	struct strbuf runs = STRBUF_INIT(4096);

	while (slice_token(&rest, " ,", &word)) {
		struct strbuf *to = protocol_runs(plan->g->dovecot, word) ? &runs : &plan->absent;

		strbuf_addstr(to, to->len ? ", " : "");
		strbuf_addslice(to, word);
	}
	plan->g->protocols = xstrdup(runs.ptr);
	strbuf_release(&runs);
	if (plan->absent.len > 0)
		plan->g->absent =
		    xasprintf("protocols: Postcote does not serve %s yet, the ports stay closed",
			plan->absent.ptr);
}

/* NULL: syslog. */
static char *log_file(const struct generation *g, enum dovecot_log log)
{
	const char *path = dovecot_log_path(g->settings, log);

	return strcmp(path, "syslog") == 0 ? NULL : xstrdup(path);
}

static void set_log(struct generation *g)
{
	g->log_path = log_file(g, DOVECOT_LOG_ERRORS);
	g->info_log_path = log_file(g, DOVECOT_LOG_INFO);
	g->debug_log_path = log_file(g, DOVECOT_LOG_DEBUG);
	g->log_timestamp = xstrdup(g->settings->log_timestamp);
}

static void fill_in(struct plan *plan)
{
	static const struct dovecot_filter no_filter;
	struct generation *g = plan->g;

	g->settings = dovecot_settings_new(g->dovecot, &no_filter, plan->errors);
	g->directory = xstrdup(g->settings->base_dir);
	g->throttle_ms = THROTTLE_MS;
	g->stop_timeout_ms = STOP_TIMEOUT_MS;
	g->quarantine_ms = QUARANTINE_MS;
	g->environment = environment_new(g->settings->import_environment);
	g->facility = xstrdup(g->settings->syslog_facility);
	set_log(g);
	g->log_mode = 0600;
	check_accounts(plan);
	add_services(plan);
	sort_protocols(plan);
}

struct generation *plan_dovecot(struct conf_errors *errors)
{
	struct plan plan = { .errors = errors, .absent = STRBUF_INIT(4096) };
	struct dovecot_source *source = dovecot_source_read(master.config, errors);

	if (source == NULL)
		return NULL;
	dovecot_conf_check(source, errors);
	plan.g = generation_new();
	plan.g->dovecot = source;
	fill_in(&plan);
	if (errors->error_count == 0 &&
	    ((plan.g->config_fd = dovecot_source_seal(source, DOVECOT_SEAL_PLAIN)) < 0 ||
		(plan.g->auth_config_fd = dovecot_source_seal(source, DOVECOT_SEAL_AUTH)) < 0))
		conf_report(errors, CONF_ERROR, "", 0, "cannot seal the configuration: %s",
		    strerror(errno));
	strbuf_release(&plan.absent);
	if (errors->error_count == 0) {
		plan.g->findings = *errors;
		*errors = (struct conf_errors)CONF_ERRORS_INIT;
		return plan.g;
	}
	generation_free(plan.g);
	return NULL;
}

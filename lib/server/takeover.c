// SPDX-License-Identifier: BSD-2-Clause
/* The first record from master, turned into the daemon's context. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log_ring.h"
#include "server/contract.h"
#include "server/running.h"
#include "server/server_internal.h"
#include "server/shared.h"
#include "sys/socket.h"

#define START_TIMEOUT_MS 10000

static const struct {
	const char *name;
	int type;
} listener_types[] = {
	{ "inet", LISTENER_INET },
	{ "unix", LISTENER_UNIX },
	{ "unix-dgram", LISTENER_DGRAM },
};

static const char *need_str(struct server_process *p, const struct msg *m, const char *name)
{
	const char *value;

	if (!msg_get_str(m, name, &p->arena, &value))
		fatal("master's START has no %s", name);
	return value;
}

static uint64_t need_u64(const struct msg *m, const char *name)
{
	uint64_t value;

	if (!msg_get_u64(m, name, &value))
		fatal("master's START has no %s", name);
	return value;
}

static bool need_bool(const struct msg *m, const char *name)
{
	return need_u64(m, name) != 0;
}

/* "TYPE SSL KIND NAME" */
static bool parse_listener(
    struct server_process *p, struct slice text, struct server_listener *listener)
{
	struct slice type, ssl, kind, rest = text;

	if (!slice_token(&rest, " ", &type) || !slice_token(&rest, " ", &ssl) ||
	    !slice_token(&rest, " ", &kind))
		return false;
	rest = slice_trim(rest, " ");
	listener->ssl = slice_eq_str(ssl, "1");
	listener->kind = arena_slicedup(&p->arena, slice_eq_str(kind, "-") ? SLICE_NULL : kind);
	listener->name = arena_slicedup(&p->arena, rest);
	for (size_t i = 0; i < ARRAY_LEN(listener_types); i++) {
		if (!slice_eq_str(type, listener_types[i].name))
			continue;
		listener->type = listener_types[i].type;
		/* An inet_listener of dovecot.conf need not have a name. */
		return rest.len > 0 || listener->type == LISTENER_INET;
	}
	return false;
}

static void take_listeners(struct server_process *p, const struct msg *m)
{
	struct server_listener *list =
	    arena_alloc(&p->arena, CONTRACT_MAX_LISTENERS * sizeof(*list));
	struct slice text;
	size_t index = 0, n = 0;

	while (msg_each(m, "listener", &index, &text)) {
		if (n == CONTRACT_MAX_LISTENERS || !parse_listener(p, text, &list[n]))
			fatal("master's START has a bad listener: %.*s", SLICE_ARG(text));
		list[n].fd = CONTRACT_LISTEN + (int)n;
		if (socket_cloexec(list[n].fd, true) < 0)
			fatal("listener %s: %s", list[n].name, strerror(errno));
		n++;
	}
	p->ctx.listeners = list;
	p->ctx.listener_count = n;
}

bool takeover_listener(struct server_process *p, const struct msg *m, int fd)
{
	/* The array has room: it is the process's own, const for daemons only. */
	struct server_listener *list = (struct server_listener *)(uintptr_t)p->ctx.listeners;
	size_t n = p->ctx.listener_count;
	struct slice text;

	if (n == CONTRACT_MAX_LISTENERS || !msg_get(m, "listener", &text) ||
	    !parse_listener(p, text, &list[n]))
		return false;
	list[n].fd = fd;
	p->ctx.listener_count++;
	return true;
}

static void take_user(struct server_process *p, const struct msg *m)
{
	struct slice text;
	size_t index = 0;
	uint64_t gid;

	p->ctx.as_root = need_bool(m, "as_root");
	p->ctx.uid = p->ctx.as_root ? (uid_t)need_u64(m, "uid") : geteuid();
	p->ctx.gid = p->ctx.as_root ? (gid_t)need_u64(m, "gid") : getegid();
	while (msg_each(m, "extra_gid", &index, &text)) {
		if (!slice_uint(text, UINT32_MAX, &gid) ||
		    p->extra_gid_count == ARRAY_LEN(p->extra_gids))
			fatal("master's START has a bad extra_gid");
		p->extra_gids[p->extra_gid_count++] = (gid_t)gid;
	}
}

static void take_secret(struct server_process *p, const struct msg *m)
{
	struct slice secret;

	if (!msg_get(m, "secret", &secret) || secret.len != SERVER_SECRET_SIZE)
		fatal("master's START has no secret");
	p->ctx.secret = memcpy(arena_alloc(&p->arena, secret.len), secret.ptr, secret.len);
}

static void take_start(struct server_process *p, const struct msg *m)
{
	const char *want = p->server->language == SERVER_POSTFIX ? "postfix" : "dovecot";

	if (strcmp(need_str(p, m, "language"), want) != 0)
		fatal("this program belongs to the other master (%s)", want);
	p->ctx.service = need_str(p, m, "service");
	p->type = need_str(p, m, "type");
	p->program = need_str(p, m, "program");
	p->ctx.log_name = need_str(p, m, "log_name");
	p->ctx.process = (unsigned)need_u64(m, "process");
	p->ctx.processes = p->server->processes;
	p->ctx.stop_timeout_ms = (int64_t)need_u64(m, "stop_timeout_ms");
	p->service_limit = p->session_limit = need_u64(m, "session_limit");
	p->max_processes = need_u64(m, "max_processes");
	p->serve_count = need_u64(m, "serve_count");
	p->quarantine_ms = (int64_t)need_u64(m, "quarantine_ms");
	p->quarantine = need_bool(m, "quarantine");
	p->log_files = need_u64(m, "log_files");
	p->log_timestamp = need_str(p, m, "log_timestamp");
	p->log_errors = need_bool(m, "log_errors");
	p->log_stderr = need_bool(m, "log_stderr");
	p->debug = need_bool(m, "debug");
	p->facility = need_str(p, m, "facility");
	take_user(p, m);
	take_secret(p, m);
	take_listeners(p, m);
}

static void receive_start(struct server_process *p)
{
	struct msg_in in;

	p->master = channel_new(CONTRACT_CONTROL, p->server->program);
	if (p->master == NULL ||
	    channel_recv(p->master, &in, deadline_in(START_TIMEOUT_MS)) != CHANNEL_RECORD)
		fatal("no word from master: %s", strerror(errno));
	if (!msg_is(&in.msg, CONTRACT_START))
		fatal("master does not begin with START");
	take_start(p, &in.msg);
	msg_in_release(&in);
}

void takeover_log(const struct server_process *p, const char *name)
{
	const struct log_config config = {
		.style =
		    p->server->language == SERVER_POSTFIX ? LOG_STYLE_POSTFIX : LOG_STYLE_DOVECOT,
		.name = name,
		.facility = p->facility,
		.fd = p->log_files & 1 ? CONTRACT_LOG : -1,
		.is_split = true,
		.info_fd = p->log_files & 2 ? CONTRACT_LOG_INFO : -1,
		.debug_fd = p->log_files & 4 ? CONTRACT_LOG_DEBUG : -1,
		.timestamp = p->log_timestamp,
		.to_stderr = p->log_stderr,
		.debug = p->debug,
	};

	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		if (p->log_files & (1u << i))
			(void)socket_cloexec(CONTRACT_LOG + i, true);
	log_open(&config);
}

static bool take_postfix(struct server_process *p, int fd)
{
	struct postfix_source *source = postfix_source_load(fd);
	const struct postfix_service *entry;

	if (source == NULL)
		return false;
	entry = postfix_service_find(source, p->ctx.service, p->type);
	p->ctx.postfix = source;
	p->ctx.params = postfix_params_new(source, entry, NULL);
	return true;
}

static bool take_dovecot(struct server_process *p, int fd)
{
	static const struct dovecot_filter no_filter;
	struct dovecot_source *source = dovecot_source_load(fd);

	if (source == NULL)
		return false;
	p->ctx.dovecot = source;
	p->ctx.settings = dovecot_settings_new(source, &no_filter, NULL);
	return true;
}

bool takeover_config(struct server_process *p, int fd)
{
	bool ok = p->server->language == SERVER_POSTFIX ? take_postfix(p, fd) : take_dovecot(p, fd);

	close(fd);
	return ok;
}

static void take_shared(struct server_process *p)
{
	p->ctx.shared = shared_attach(CONTRACT_SHARED);
	if (p->ctx.shared == NULL)
		fatal("cannot map the shared segment: %s", strerror(errno));
	close(CONTRACT_SHARED);
	p->suspects = suspect_list_attach(CONTRACT_SUSPECTS);
	if (p->suspects == NULL || !running_attach(CONTRACT_RUNNING))
		fatal("cannot map master's tables: %s", strerror(errno));
	close(CONTRACT_SUSPECTS);
	close(CONTRACT_RUNNING);
}

void takeover(struct server_process *p)
{
	const char *env = getenv(CONTRACT_ENV);

	if (env == NULL || strcmp(env, CONTRACT_ENV_VALUE) != 0)
		fatal("this program is started by master(8), see \"postfix start\"");
	unsetenv(CONTRACT_ENV);
	receive_start(p);
	(void)socket_cloexec(CONTRACT_CONTROL, true);
	takeover_log(p, p->ctx.log_name);
	if (p->log_errors) {
		log_keep(log_ring_attach(CONTRACT_ERRORS));
		close(CONTRACT_ERRORS);
	}
	if (!takeover_config(p, CONTRACT_CONFIG))
		fatal("the configuration from master cannot be read");
	take_shared(p);
	p->ctx.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->ctx.proc_fd < 0)
		fatal("open /proc/self/fd: %s", strerror(errno));
}

// SPDX-License-Identifier: BSD-2-Clause
/* server/contract.h, master's side: START, and descriptors at their numbers. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/map.h"
#include "log/log.h"
#include "master/run.h"
#include "master/supervisor.h"
#include "server/contract.h"
#include "server/server.h"
#include "sys/socket.h"

#define SEND_TIMEOUT_MS 1000
#define EXEC_FAILED	127

char *spawn_listener_text(const struct service_socket *socket)
{
	static const char *const types[] = {
		[HELD_INET] = "inet", [HELD_UNIX] = "unix", [HELD_DGRAM] = "unix-dgram"
	};

	return xasprintf("%s %d %s %s", types[socket->held->type], socket->ssl,
	    socket->kind[0] ? socket->kind : "-", socket->name);
}

static void add_listeners(struct msg_out *m, const struct service *s)
{
	for (size_t i = 0; i < s->socket_count; i++) {
		char *text;

		if (s->sockets[i].held->fd < 0)
			continue;
		text = spawn_listener_text(&s->sockets[i]);
		msg_add_str(m, "listener", text);
		free(text);
	}
}

/*
 * One per service, the same as long as this master lives: who takes over a process on port 25 has
 * nothing that opens sessions of port 587.
 */
static const void *secret_of(const struct service *s)
{
	static struct map secrets = MAP_INIT;
	char *name = xasprintf("%s/%s", s->name, s->type);
	void *secret = map_get_str(&secrets, name);

	if (secret == NULL) {
		secret = xmalloc(SERVER_SECRET_SIZE);
		random_bytes(secret, SERVER_SECRET_SIZE);
		map_put_str(&secrets, name, secret);
	}
	free(name);
	return secret;
}

static void write_start(struct msg_out *m, const struct process *p)
{
	const struct service *s = p->service;

	msg_begin(m, CONTRACT_START);
	msg_add_str(m, "language", master.language == MASTER_POSTFIX ? "postfix" : "dovecot");
	msg_add_str(m, "service", s->name);
	msg_add_str(m, "type", s->type);
	msg_add_str(m, "program", s->program);
	msg_add_str(m, "log_name", s->log_name);
	msg_add_u64(m, "process", p->number);
	msg_add_u64(m, "generation", s->generation->number);
	msg_add_u64(m, "session_limit", s->session_limit);
	msg_add_u64(m, "max_processes", s->max_processes);
	msg_add_u64(m, "serve_count", s->serve_count);
	msg_add_i64(m, "stop_timeout_ms", s->generation->stop_timeout_ms);
	msg_add_i64(m, "quarantine_ms", s->generation->quarantine_ms);
	msg_add_u64(m, "quarantine", p->own != 0);
	msg_add_u64(m, "as_root", master.as_root);
	msg_add_u64(m, "uid", s->uid);
	msg_add_u64(m, "gid", s->gid);
	for (size_t i = 0; i < s->extra_count; i++)
		msg_add_u64(m, "extra_gid", s->extra[i]);
	msg_add(m, "secret", slice_mem(secret_of(s), SERVER_SECRET_SIZE));
	msg_add_u64(m, "log_files", master_log_files());
	msg_add_str(m, "log_timestamp",
	    s->generation->log_timestamp ? s->generation->log_timestamp : "%b %d %H:%M:%S ");
	msg_add_u64(m, "log_errors", master.errors_fd >= 0);
	msg_add_u64(m, "log_stderr", 0);
	msg_add_str(m, "facility", s->generation->facility);
	msg_add_u64(m, "debug", s->debug);
	add_listeners(m, s);
}

/* In the child.  First all to numbers above those of the contract, then down to those. */
static bool place_descriptors(const struct process *p, int control)
{
	const struct service *s = p->service;
	int from[CONTRACT_LISTEN + CONTRACT_MAX_LISTENERS], count = CONTRACT_LISTEN;

	from[CONTRACT_CONTROL] = control;
	from[CONTRACT_CONFIG] = generation_config(s);
	from[CONTRACT_SHARED] = master.shared_fd;
	for (int i = 0; i < CONTRACT_LOG_FILES; i++)
		from[CONTRACT_LOG + i] = master.log_fds[i];
	from[CONTRACT_ERRORS] = master.errors_fd;
	from[CONTRACT_RUNNING] = p->running_fd;
	from[CONTRACT_SUSPECTS] = master.suspects_fd;
	for (size_t i = 0; i < s->socket_count; i++)
		if (s->sockets[i].held->fd >= 0)
			from[count++] = s->sockets[i].held->fd;
	for (int i = CONTRACT_CONTROL; i < count; i++) {
		if (from[i] < 0)
			continue;
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, count);
		if (from[i] < 0)
			return false;
	}
	(void)dup2(daemon_output_fd(), STDOUT_FILENO);
	(void)dup2(daemon_output_fd(), STDERR_FILENO);
	for (int i = CONTRACT_CONTROL; i < count; i++)
		if (from[i] >= 0 && dup2(from[i], i) < 0)
			return false;
	return true;
}

/* What "ps" shows: Postfix's arguments, and Dovecot's names. */
static void exec_program(const struct service *s)
{
	char *dovecot_name = xasprintf("dovecot/%s", s->name);
	char *postfix_argv[] = { s->program, "-n", s->name, "-t", s->type, "-u", NULL };
	char *dovecot_argv[] = { dovecot_name, NULL };

	execve(s->path, master.language == MASTER_POSTFIX ? postfix_argv : dovecot_argv,
	    s->generation->environment);
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int signo = 1; signo < NSIG; signo++)
		if (signo != SIGKILL && signo != SIGSTOP)
			(void)signal(signo, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child(const struct process *p, int control)
{
	const struct service *s = p->service;
	int saved;

	if (chdir(s->generation->directory) == 0 && place_descriptors(p, control)) {
		reset_signals();
		exec_program(s);
	}
	saved = errno;
	log_error("cannot run %s: %s", s->path, strerror(saved));
	_exit(EXEC_FAILED);
}

pid_t spawn_daemon(const struct process *p, struct channel **control)
{
	struct msg_out m = { { 0 } };
	struct channel *channel;
	int pair[2];
	pid_t pid = -1;

	if (socket_pair(pair) < 0)
		return -1;
	channel = channel_new(pair[0], "master");
	if (channel == NULL) {
		close(pair[1]);
		return -1;
	}
	write_start(&m, p);
	if (channel_send(channel, &m, NULL, 0, deadline_in(SEND_TIMEOUT_MS)) == 0)
		pid = fork();
	if (pid == 0)
		child(p, pair[1]);
	explicit_bzero(m.buf.ptr, m.buf.len);
	msg_release(&m);
	close(pair[1]);
	if (pid > 0)
		*control = channel;
	else
		channel_free(channel);
	return pid;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The child for one connection: request, driver, answer.
 *
 * A module that the administrator chose runs in here, and may do anything: what it can do most
 * easily by mistake is looked for after each request.  The connection and the log must be what they
 * were (a module may close descriptors that are not its own and open others in their place, which
 * then would be sent what is meant for authd), and the user must be the same.  If not, the child
 * ends without an answer, which is a temporary failure.
 */
#include "authd/worker_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authd/database_list.h"
#include "authd/worker_client.h"
#include "authd/worker_parent.h"
#include "authd/worker_proto.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "ipc/channel.h"
#include "sys/priv.h"
#include "sys/socket.h"

#define ANSWER_MS	5000
#define NAMES_PER_BATCH 500
/* Libraries leak, and a log file may have been moved away: another one goes on then. */
#define LIFE_MS (5 * 60 * 1000)

static struct worker_identity auth_identity;

static struct {
	struct channel *channel;
	struct stat connection, log;
	uid_t uid, euid;
	bool has_log, retires;
	char prefix[128]; /* of log lines, up to the request's number */
} child;

void worker_child_retire(void)
{
	child.retires = true;
}

const struct worker_identity *worker_auth_identity(void)
{
	return &auth_identity;
}

/* As the plan of master: who is named root, or nobody, is the internal user. */
void worker_child_prepare(const struct dovecot_source *source)
{
	const struct dovecot_block *service = dovecot_block_find(source, "service", "auth");
	const char *name = service ? dovecot_block_get(service, "user") : "";
	struct priv_user user;

	auth_identity = (struct worker_identity){ .uid = geteuid(), .gid = getegid() };
	if (geteuid() != 0 || !name || !*name || !strcmp(name, "root"))
		return;
	if (!priv_find_user(name, &user))
		fatal("service auth: there is no account \"%s\"", name);
	auth_identity = (struct worker_identity){ .uid = user.uid, .gid = user.gid };
	auth_identity.switches = true;
}

/* --- is everything still what it was? --- */

static bool is_same_file(int fd, const struct stat *was)
{
	struct stat now;

	return fstat(fd, &now) == 0 && now.st_dev == was->st_dev && now.st_ino == was->st_ino;
}

static bool is_unchanged(void)
{
	if (child.has_log && !is_same_file(server_log_fd(), &child.log))
		return false; /* there is nowhere to say it */
	if (!is_same_file(channel_fd(child.channel), &child.connection)) {
		log_error("a module has closed the connection to authd; ending");
		return false;
	}
	if (getuid() != child.uid || geteuid() != child.euid) {
		log_error("a module has changed the user of the process; ending");
		return false;
	}
	return true;
}

/* --- one request --- */

static const struct database *find_in(
    const struct database *list, const struct worker_request *request)
{
	for (; list; list = list->next)
		if (list->position == request->place &&
		    !strcmp(list->driver_name, request->driver) &&
		    !strcmp(list->args, request->args))
			return list;
	return NULL;
}

static const struct database *find_database(const struct worker_request *request)
{
	const struct database *db;

	if (request->is_userdb)
		return find_in(userdb_list, request);
	db = find_in(passdb_list, request);
	return db ? db : find_in(masterdb_list, request);
}

struct names {
	struct msg_out m;
	size_t count;
	bool failed;
};

static void send_names(struct names *names)
{
	if (names->count && !names->failed)
		names->failed = !is_unchanged() || channel_send(child.channel, &names->m, NULL, 0,
						       deadline_in(ANSWER_MS)) == -1;
	names->count = 0;
	msg_begin(&names->m, WORKER_NAMES);
}

static void take_name(const char *name, void *arg)
{
	struct names *names = arg;

	msg_add_str(&names->m, "name", name);
	if (++names->count == NAMES_PER_BATCH)
		send_names(names);
}

static enum db_result list_users(const struct database *db)
{
	struct names names = { .count = 0 };
	bool ok;

	send_names(&names);
	ok = db->driver->each && db->driver->each(db, take_name, &names);
	send_names(&names);
	msg_release(&names.m);
	return ok && !names.failed ? DB_OK : DB_FAILED;
}

static enum db_result serve_request(
    const struct database *db, struct worker_request *request, struct db_entry *entry)
{
	const struct db_driver *driver = db->driver;

	switch (request->op) {
	case WORKER_FIND_PASSWORD:
		return driver->find_password ? driver->find_password(db, &request->subject, entry)
					     : DB_FAILED;
	case WORKER_VERIFY:
		return driver->verify
			   ? driver->verify(db, &request->subject, request->password, entry)
			   : DB_FAILED;
	case WORKER_FIND_USER:
		/* What other blocks said is for variables; the answer is this block's alone. */
		return driver->find_user
			   ? driver->find_user(db, &request->subject, request->logged_in)
			   : DB_FAILED;
	case WORKER_EACH:
		return list_users(db);
	case WORKER_OPS:
		break;
	}
	return DB_FAILED;
}

/* With the peer, too, programs of checkpassword belong to the service auth. */
static void set_log_name(const struct worker_request *request, const struct database *db)
{
	if (db && db->driver == &checkpassword_driver)
		subject_log_as("auth", "%s", "");
	else
		subject_log_as(
		    NULL, "%sauth-worker<%llu>: ", child.prefix, (unsigned long long)request->id);
}

static void answer(struct worker_request *request)
{
	const struct database *db = find_database(request);
	struct worker_answer reply = { .id = request->id, .result = DB_FAILED };
	struct db_entry entry = { .password = NULL };
	struct msg_out m = { { 0 } };

	set_log_name(request, db);
	if (db)
		reply.result = serve_request(db, request, &entry);
	else
		log_error("%sAuth worker sees different passdbs/userdbs than auth server. "
			  "Maybe config just changed and this goes away automatically?",
		    child.prefix);
	if (!is_unchanged())
		_exit(1);
	reply.last = child.retires;
	reply.user = request->op == WORKER_EACH ? NULL : request->subject.user;
	reply.password = entry.password;
	reply.scheme = entry.scheme;
	reply.fields = entry.fields;
	reply.answer = request->subject.answer;
	worker_answer_write(&m, &reply);
	if (channel_send(child.channel, &m, NULL, 0, deadline_in(ANSWER_MS)) == -1)
		_exit(1);
	secret_clear(m.buf.ptr, m.buf.len);
	msg_release(&m);
}

/* --- the child's life --- */

static int64_t idle_ms(void)
{
	const struct dovecot_block *service =
	    dovecot_block_find(server_context()->dovecot, "service", server_context()->service);
	unsigned long seconds = service ? dovecot_block_uint(service, "idle_kill") : 0;

	return seconds ? (int64_t)seconds * 1000 : WORKER_IDLE_MS;
}

static void note_what_is(void)
{
	if (fstat(channel_fd(child.channel), &child.connection) == -1)
		_exit(1);
	child.has_log = server_log_fd() >= 0 && fstat(server_log_fd(), &child.log) == 0;
	child.uid = getuid();
	child.euid = geteuid();
}

static void make_prefix(int fd)
{
	pid_t pid = -1;
	uid_t uid = (uid_t)-1;
	gid_t gid;

	(void)socket_peer(fd, &uid, &gid, &pid);
	snprintf(child.prefix, sizeof(child.prefix),
	    "conn unix:auth-worker (pid=%ld,uid=%ld): ", (long)pid, (long)uid);
}

/* What a module prints is of no use to anybody, and what it reads is nothing. */
static void close_standard(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = STDIN_FILENO; fd >= 0 && i <= STDOUT_FILENO; i++)
		(void)dup2(fd, i);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void serve(void)
{
	const int64_t idle = idle_ms(), old_at = deadline_in(LIFE_MS);
	struct worker_request request;
	struct msg_in in;

	while (!child.retires &&
	       channel_recv(child.channel, &in, deadline_in(idle)) == CHANNEL_RECORD) {
		struct arena arena = ARENA_INIT;

		if (!worker_request_read(&in.msg, &arena, &request)) {
			log_error("%sinvalid request", child.prefix);
			_exit(1);
		}
		child.retires |= clock_ms() > old_at;
		answer(&request);
		secret_clear((void *)(uintptr_t)request.password.ptr, request.password.len);
		arena_release(&arena);
		msg_in_release(&in);
	}
}

_Noreturn void worker_child_run(int fd)
{
	char name[64];

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof(name), "auth-worker(%ld)", (long)getpid());
	server_become_child(fd, name);
	close_standard();
	(void)socket_cloexec(fd, true);
	make_prefix(fd);
	child.channel = channel_new(fd, "auth-worker");
	note_what_is();
	serve();
	_exit(0);
}

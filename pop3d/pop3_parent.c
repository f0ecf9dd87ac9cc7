// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parent asks authd about the login and checks the ids; the worker takes the session over.
 */
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/master_client.h"
#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "pop3d/pop3.h"
#include "pop3d/pop3_wire.h"
#include "sys/priv.h"
#include "sys/socket.h"

#define AUTH_SOCKET "auth-master"
/* The parent has one thread: an authd that hangs must not hang it for long. */
#define AUTH_MS 10000

/* Directory that all of mail_location's mailboxes have in common; NULL: there is none. */
static const char *mail_root;

static const char *find_mail_root(const char *location)
{
	const char *path = strchr(location, ':');
	size_t len;

	if (path == NULL || path[1] != '/')
		return NULL;
	len = strcspn(++path, "%:");
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len > 1 ? xstrndup(path, len) : NULL;
}

/* A user database may send a user somewhere else. */
static const char *root_of(const char *user, const char *home, const char *mail)
{
	struct store_location location;
	struct reason why;

	if (mail_root == NULL || !pop3_location(&location, user, home, mail, &why) ||
	    !slice_starts(slice_of(location.path), mail_root))
		return NULL;
	return mail_root;
}

static void parent_start(const struct server_context *ctx)
{
	const struct dovecot_filter filter = { .protocol = "pop3" };

	if (pop3_settings == NULL)
		pop3_settings = dovecot_settings_new(ctx->dovecot, &filter, NULL);
	mail_root = find_mail_root(pop3_settings->mail_location);
}

/* A uid or gid of the user database, a number there (or a name). */
static bool number_of(const char *text, uint64_t *id)
{
	return text != NULL && slice_uint(slice_of(text), UINT32_MAX - 1, id);
}

static bool find_uid(struct auth_user *user, uint64_t *uid)
{
	const char *text = auth_user_field(user, "uid");
	struct priv_user account;

	if (text == NULL)
		text = pop3_settings->mail_uid;
	if (number_of(text, uid))
		return true;
	if (text[0] == '\0' || !priv_find_user(text, &account))
		return false;
	*uid = account.uid;
	return true;
}

static bool find_gid(struct auth_user *user, uid_t uid, uint64_t *gid)
{
	const char *text = auth_user_field(user, "gid");
	const struct passwd *pw;
	gid_t found;

	if (text == NULL)
		text = pop3_settings->mail_gid;
	if (number_of(text, gid))
		return true;
	if (text[0] != '\0') {
		if (!priv_find_group(text, &found))
			return false;
	} else if ((pw = getpwuid(uid)) != NULL) {
		found = pw->pw_gid;
	} else {
		return false;
	}
	*gid = found;
	return true;
}

/* first_valid_uid and its like; 0 for the last is no limit. */
static bool check_range(const char *what, const char *user, uint64_t id, uint64_t first,
    uint64_t last, struct reason *why)
{
	if (id != 0 && id >= first && (last == 0 || id <= last))
		return true;
	reason_set(why, "4.3.5",
	    "Mail access for users with %s %llu not permitted (see %s_valid_%s in config file, user %s)",
	    what, (unsigned long long)id, last != 0 && id > last ? "last" : "first", what, user);
	return false;
}

/* mail_access_groups: for shared mailboxes. */
static bool add_groups(struct uid_target *target, struct reason *why)
{
	struct slice rest = slice_of(pop3_settings->mail_access_groups), word;

	while (slice_token(&rest, " ,\t", &word)) {
		char *name = xstrndup(word.ptr, word.len);
		bool ok = target->extra_count < ARRAY_LEN(target->extra) &&
			  priv_find_group(name, &target->extra[target->extra_count]);

		if (!ok)
			reason_set(why, "4.3.5", "mail_access_groups: cannot use group %s", name);
		free(name);
		if (!ok)
			return false;
		target->extra_count++;
	}
	return true;
}

static bool find_target(struct auth_user *user, struct uid_target *target, struct reason *why)
{
	const struct dovecot_settings *set = pop3_settings;
	uint64_t uid, gid;

	if (!find_uid(user, &uid) || !find_gid(user, (uid_t)uid, &gid)) {
		reason_set(why, "4.3.5", "user %s: the userdb gives no uid and gid", user->name);
		return false;
	}
	if (!check_range("uid", user->name, uid, set->first_valid_uid, set->last_valid_uid, why) ||
	    !check_range("gid", user->name, gid, set->first_valid_gid, set->last_valid_gid, why))
		return false;
	target->uid = (uid_t)uid;
	target->gid = (gid_t)gid;
	return add_groups(target, why);
}

static bool ask(const struct msg *request, struct auth_user *user, struct reason *why)
{
	uint64_t pid = 0, id = 0;
	struct slice cookie;

	if (!msg_get_u64(request, POP3_CLIENT_PID, &pid) || pid > UINT32_MAX ||
	    !msg_get_u64(request, POP3_AUTH_ID, &id) || id > UINT32_MAX ||
	    !msg_get(request, POP3_COOKIE, &cookie)) {
		reason_set(why, "4.3.0", "malformed request");
		return false;
	}
	switch (auth_master_request(
	    AUTH_SOCKET, (uint32_t)pid, (uint32_t)id, cookie, deadline_in(AUTH_MS), user, why)) {
	case AUTH_USER_FOUND:
		return true;
	case AUTH_USER_UNKNOWN:
		reason_set(why, "4.3.0", "the auth process knows no such login");
		return false;
	case AUTH_USER_FAILED:
		break;
	}
	return false;
}

static void add_slice(const struct msg *request, struct msg_out *out, const char *name)
{
	struct slice value;

	if (msg_get(request, name, &value))
		msg_add(out, name, value);
}

static bool resolve(
    const struct msg *request, struct uid_target *target, struct msg_out *out, struct reason *why)
{
	struct auth_user user = { .name = NULL };
	bool ok = ask(request, &user, why) && find_target(&user, target, why);

	if (ok && auth_user_field(&user, "chroot") != NULL) {
		reason_set(why, "4.3.5", "user %s: chroot is not supported", user.name);
		ok = false;
	}
	if (ok) {
		const char *home = auth_user_field(&user, "home");
		const char *mail = auth_user_field(&user, "mail");

		target->root = root_of(user.name, home, mail);
		(void)snprintf(target->user, sizeof(target->user), "%s", user.name);
		msg_add_str(out, POP3_USER, user.name);
		msg_add_str(out, POP3_HOME, home);
		msg_add_str(out, POP3_MAIL, mail);
		add_slice(request, out, POP3_SESSION);
		add_slice(request, out, POP3_RIP);
		add_slice(request, out, POP3_LIP);
		add_slice(request, out, POP3_INPUT);
	}
	auth_user_release(&user);
	return ok;
}

/* ---- in the worker ---- */

static const char *text_of(struct msg_in *in, const char *name, struct arena *arena)
{
	const char *text;

	return msg_get_str(&in->msg, name, arena, &text) ? text : NULL;
}

/* Of the login half: for the log alone. */
static void copy_text(struct msg_in *in, const char *name, char *out, size_t size)
{
	const char *text = text_of(in, name, &in->arena);

	(void)snprintf(out, size, "%s", text != NULL ? text : "");
}

static void answer(int fd, bool ok, const char *text)
{
	struct pop3_answer a;

	memset(&a, 0, sizeof(a));
	a.ok = ok;
	a.pid = (int32_t)getpid();
	(void)snprintf(a.text, sizeof(a.text), "%s", text);
	(void)!write(fd, &a, sizeof(a));
}

/* NULL when there is no memory for a stream; takes the client's descriptor. */
static struct pop3 *new_session(struct msg_in *in)
{
	struct stream *stream = stream_new(in->fds[0]);
	struct slice input = SLICE_NULL;
	struct pop3 *p;

	in->fds[0] = -1;
	p = (struct pop3 *)session_new(&pop3_session_class, stream);
	p->arena = (struct arena)ARENA_INIT;
	strbuf_init(&p->line, 4096);
	p->user = text_of(in, POP3_USER, &p->arena);
	p->session.user = p->user;
	copy_text(in, POP3_SESSION, p->session_id, sizeof(p->session_id));
	copy_text(in, POP3_RIP, p->rip, sizeof(p->rip));
	copy_text(in, POP3_LIP, p->lip, sizeof(p->lip));
	p->log_name = pop3_log_name(p);
	if (msg_get(&in->msg, POP3_INPUT, &input) && input.len <= POP3_INPUT_MAX)
		p->input = slice_mem(arena_slicedup(&p->arena, input), input.len);
	p->bytes_in = p->input.len;
	return p;
}

static void worker_serve(struct msg_in *in)
{
	struct store_location location;
	struct reason why;
	struct pop3 *p;
	const char *home, *mail;

	if (in->fd_count != 2)
		return;
	if (text_of(in, POP3_USER, &in->arena) == NULL || !socket_is_connection(in->fds[0])) {
		answer(in->fds[1], false, "malformed request");
		return;
	}
	p = new_session(in);
	home = text_of(in, POP3_HOME, &p->arena);
	mail = text_of(in, POP3_MAIL, &p->arena);
	/* From here on it is for this session to tell the client what is wrong. */
	answer(in->fds[1], true, "");
	pop3_control_begin(p, in->fds[1]);
	in->fds[1] = -1;
	if (!pop3_location(&location, p->user, home, mail, &why)) {
		log_as(p->log_name, LOG_LEVEL_ERROR, "%s", why.text);
		stream_set_deadline(p->session.stream, deadline_in(10000));
		stream_puts(p->session.stream,
		    "-ERR [SYS/PERM] Internal error occurred. Refer to server log for more "
		    "information.\r\n");
		p->end = "Internal error";
	} else {
		(void)pop3_open(p, &location);
	}
	session_start(&p->session);
}

static void worker_walls(const struct uid_target *target, struct sandbox *walls)
{
	static struct sandbox_path paths[200];

	walls->calls = SANDBOX_CALLS_NO_NET;
	if (target->root == NULL)
		return;
	walls->landlock = sandbox_mail_paths(target->root, paths, ARRAY_LEN(paths));
	walls->paths = paths;
}

const struct uid_workers_class pop3_workers = { .name = "pop3",
	.resolve = resolve,
	.parent_start = parent_start,
	.worker_walls = worker_walls,
	.worker_serve = worker_serve,
	.idle_ms = 60000 };

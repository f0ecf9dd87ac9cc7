// SPDX-License-Identifier: BSD-2-Clause
/*
 * checkpassword: a program says whether the password is right, and who the user is.
 *
 * It is started as "PROGRAM ARGS... REPLY" with "user NUL password NUL NUL" at descriptor 3 and, if
 * content, executes REPLY, our checkpassword-reply, which turns environment variables into fields
 * at descriptor 4.  Exit codes: for a password 0 is right and 1 wrong; for a user, who is asked for
 * with an empty password and AUTHORIZED=1, 2 is there and 3 not there.  All else is trouble.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "authd/database_list.h"
#include "authd/worker_args.h"
#include "authd/worker_child.h"
#include "authd/worker_client.h"
#include "authd/worker_program.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"

#define REPLY_PROGRAM "checkpassword-reply"
#define ANSWER_MAX    16384
#define WORDS_MAX     64
#define ENV_MAX	      128
/* Before authd gives up: what went wrong is better said here. */
#define PROGRAM_MS (WORKER_CALL_MS - 5000)

struct run {
	const struct database *db;
	struct subject *subject;
	struct slice password;
	bool is_lookup; /* of a user, without a password */
	bool is_credentials_lookup;
	char *argv[WORDS_MAX + 2], *env[ENV_MAX + 1];
	size_t env_count;
	struct strbuf answer;
};

static enum db_result complain(const struct run *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum db_result complain(const struct run *r, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	subject_log(r->subject, LOG_LEVEL_ERROR, r->db->driver_name, "%s", text);
	return DB_FAILED;
}

static enum db_result tell(const struct run *r, enum db_result result, const char *text)
{
	if (r->db->verbose)
		subject_log(r->subject, LOG_LEVEL_INFO, r->db->driver_name, "%s", text);
	return result;
}

/* --- how it is called --- */

/* It lies where we lie. */
static char *reply_program(struct arena *arena)
{
	char self[512];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	ptrdiff_t slash;

	if (len <= 0)
		return NULL;
	slash = slice_rfind(slice_mem(self, (size_t)len), '/');
	return slash < 0 ? NULL : arena_printf(arena, "%.*s/" REPLY_PROGRAM, (int)slash, self);
}

/* Split first: a blank in a user's name makes no further word. */
static bool set_words(struct run *r)
{
	struct arena *arena = r->subject->arena;
	struct slice rest = slice_of(r->db->args), word;
	const char *error, *text;
	size_t count = 0;

	while (slice_token(&rest, " ", &word)) {
		text = subject_expand(r->subject, arena_slicedup(arena, word), &error);
		if (!text || count == WORDS_MAX) {
			(void)complain(r, "Failed to expand checkpassword_path=%s: %s", r->db->args,
			    text ? "too many words" : error);
			return false;
		}
		r->argv[count++] = arena_strdup(arena, text);
	}
	r->argv[count] = reply_program(arena);
	return count > 0 && r->argv[count];
}

static void set_env(struct run *r, const char *name, const char *value)
{
	if (r->env_count < ENV_MAX && value && *value)
		r->env[r->env_count++] = arena_printf(r->subject->arena, "%s=%s", name, value);
}

/* Names that a program, or the loader, would take for something else are left out. */
static bool is_env_name(const char *name)
{
	static const char *const reserved[] = { "PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV",
		"TZ" };

	if (!*name || ascii_isdigit(*name) || !strncmp(name, "LD_", 3))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (!strcmp(reserved[i], name))
			return false;
	return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

static char *upper(struct arena *arena, const char *prefix, const char *name)
{
	char *text = arena_printf(arena, "%s%s", prefix, name);

	for (char *p = text; *p; p++)
		*p = ascii_upper(*p);
	return text;
}

/* What blocks before this one said of the user. */
static void add_extra_fields(struct run *r)
{
	for (const struct pair *p = r->subject->extra.first; p; p = p->next) {
		const char *name = upper(r->subject->arena, "", p->name);

		if (is_env_name(name))
			set_env(r, name, p->value && *p->value ? p->value : "1");
	}
}

static void add_variables(struct run *r)
{
	static const char *const names[] = { "user", "username", "domain", "service", "lip", "rip",
		"lport", "rport", "mech", "secured", "session", "cert", "auth_user",
		"auth_username", "auth_domain", "orig_user", "orig_username", "orig_domain",
		"login_user", "login_username", "login_domain", "master_user", "real_lip",
		"real_rip", "real_lport", "real_rport", "local_name", "client_id" };
	/* Long names that 2.3 has beside the short ones. */
	static const struct {
		const char *name, *same;
	} aliases[] = { { "local_ip", "lip" }, { "remote_ip", "rip" }, { "local_port", "lport" },
		{ "remote_port", "rport" }, { "mechanism", "mech" },
		{ "original_user", "orig_user" }, { "original_username", "orig_username" },
		{ "original_domain", "orig_domain" }, { "real_local_ip", "real_lip" },
		{ "real_remote_ip", "real_rip" }, { "real_local_port", "real_lport" },
		{ "real_remote_port", "real_rport" } };
	struct arena *arena = r->subject->arena;
	const char *error;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		set_env(r, upper(arena, "AUTH_", names[i]),
		    subject_expand(r->subject, arena_printf(arena, "%%{%s}", names[i]), &error));
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		set_env(r, upper(arena, "AUTH_", aliases[i].name),
		    subject_expand(
			r->subject, arena_printf(arena, "%%{%s}", aliases[i].same), &error));
}

static void set_environment(struct run *r)
{
	const struct subject *s = r->subject;

	set_env(r, "PATH", getenv("PATH"));
	set_env(r, "TZ", getenv("TZ"));
	set_env(r, "PROTO", "TCP");
	set_env(r, "ORIG_UID",
	    arena_printf(s->arena, "%lu", (unsigned long)worker_auth_identity()->uid));
	set_env(r, "SERVICE", s->service);
	set_env(r, "TCPLOCALIP", s->local_ip);
	set_env(r, "LOCAL_IP", s->local_ip);
	set_env(r, "TCPREMOTEIP", s->remote_ip);
	set_env(r, "REMOTE_IP", s->remote_ip);
	set_env(r, "TCPLOCALPORT", s->local_port);
	set_env(r, "TCPREMOTEPORT", s->remote_port);
	set_env(r, "MASTER_USER", s->master_user);
	if (r->is_lookup)
		set_env(r, "AUTHORIZED", "1");
	if (r->is_credentials_lookup)
		set_env(r, "CREDENTIALS_LOOKUP", "1");
	add_variables(r);
	add_extra_fields(r);
	r->env[r->env_count] = NULL;
}

/* --- what it says --- */

static enum db_result judge_status(const struct run *r, const struct program_end *end)
{
	const int good = r->is_lookup ? 2 : 0;
	int code;

	if (end->late) {
		worker_child_retire();
		return complain(r, "Child %ld timed out", (long)end->pid);
	}
	if (WIFSIGNALED(end->status))
		return complain(
		    r, "Child %ld died with signal %d", (long)end->pid, WTERMSIG(end->status));
	code = WEXITSTATUS(end->status);
	if (code == good)
		return r->answer.len ? DB_OK : complain(r, "Received no input");
	if (!r->is_lookup && code == 1)
		return tell(r, DB_MISMATCH, "Login failed (status=1)");
	if (r->is_lookup && code == 3)
		return tell(r, DB_UNKNOWN, "User unknown");
	return complain(r, "Child %ld exited with status %d%s", (long)end->pid, code,
	    !r->is_lookup && code == 2
		? " (tried to use userdb-only checkpassword program for passdb?)"
		: "");
}

static enum db_result judge_answer(const struct run *r)
{
	struct slice answer = strbuf_slice(&r->answer);

	if (slice_has_nul(answer))
		return complain(r, "NUL characters in checkpassword reply");
	if (slice_find(answer, '\n') >= 0)
		return complain(r, "LF characters in checkpassword reply");
	if (r->answer.overflow)
		return complain(r, "checkpassword reply is too long");
	return DB_OK;
}

/* "name=value" between TABs, escaped as in the auth protocol. */
static bool take_answer(const struct run *r, struct pairs *pairs)
{
	struct arena *arena = r->subject->arena;
	struct auth_fields fields;

	if (!auth_fields_split(&fields, strbuf_slice(&r->answer), arena)) {
		(void)complain(r, "checkpassword reply is malformed");
		return false;
	}
	for (size_t i = 0; i < fields.count; i++) {
		struct slice field = fields.list[i];

		if (field.len && !slice_starts(field, "=") && !slice_has_nul(field))
			pairs_set_text(pairs, arena, field);
	}
	return true;
}

static enum db_result run_it(struct run *r)
{
	const struct worker_identity *who = worker_auth_identity();
	struct program program = { .argv = r->argv,
		.env = r->env,
		.switches_user = who->switches,
		.uid = who->uid,
		.gid = who->gid,
		.deadline = deadline_in(PROGRAM_MS) };
	struct strbuf request = STRBUF_INIT(ANSWER_MAX);
	struct program_end end;
	enum db_result result;
	bool ran;

	strbuf_addstr(&request, r->subject->user);
	strbuf_addch(&request, '\0');
	strbuf_addslice(&request, r->password);
	strbuf_add(&request, "\0", 2);
	program.request = strbuf_slice(&request);
	ran = !request.overflow && program_run(&program, &r->answer, &end);
	result = ran ? judge_answer(r) : complain(r, "cannot start it: %s", strerror(errno));
	if (result == DB_OK)
		result = judge_status(r, &end);
	secret_release(&request);
	return result;
}

static enum db_result run_program(struct run *r, struct pairs *fields)
{
	enum db_result result = DB_FAILED;

	strbuf_init(&r->answer, ANSWER_MAX);
	if (set_words(r)) {
		set_environment(r);
		result = run_it(r);
	}
	if (result == DB_OK && !take_answer(r, fields))
		result = DB_FAILED;
	strbuf_release(&r->answer);
	return result;
}

/* --- the driver --- */

static enum db_result checkpassword_verify(const struct database *db, struct subject *subject,
    struct slice password, struct db_entry *entry)
{
	struct run r = { .db = db, .subject = subject, .password = password };

	/* What the program reads ends at the first NUL. */
	if (slice_has_nul(password))
		return DB_MISMATCH;
	return run_program(&r, &entry->fields);
}

static enum db_result checkpassword_find_password(
    const struct database *db, struct subject *subject, struct db_entry *entry)
{
	struct run r = {
		.db = db, .subject = subject, .is_lookup = true, .is_credentials_lookup = true
	};
	enum db_result result = run_program(&r, &entry->fields);
	const struct pair *password = pairs_find(&entry->fields, "password");

	if (password && password->value)
		entry->password = password->value;
	return result;
}

static enum db_result checkpassword_find_user(
    const struct database *db, struct subject *subject, bool logged_in)
{
	struct run r = { .db = db, .subject = subject, .is_lookup = true };
	struct pairs fields = { NULL, NULL };
	enum db_result result = run_program(&r, &fields);

	(void)logged_in;
	for (const struct pair *p = fields.first; p && result == DB_OK; p = p->next) {
		const char *value = p->value ? p->value : "";

		if (!strcmp(p->name, "user") && !userdb_set(db, subject, "user", value))
			result = DB_FAILED;
		if (!strncmp(p->name, "userdb_", 7) && !userdb_set(db, subject, p->name + 7, value))
			result = DB_FAILED;
	}
	return result;
}

const struct db_driver checkpassword_driver = {
	.name = "checkpassword",
	.find_password = checkpassword_find_password,
	.verify = checkpassword_verify,
	.find_user = checkpassword_find_user,
	.parse = worker_parse_checkpassword,
};

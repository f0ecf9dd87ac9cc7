// SPDX-License-Identifier: BSD-2-Clause
#include "auth/master_client.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "net/stream.h"
#include "sys/socket.h"

#define HELLO_LINES 200

/* The number of the only request on a connection. */
#define REQUEST_ID 1

static bool say(struct reason *why, const char *what, const char *detail)
{
	reason_set(why, "4.3.0", "%s%s%s", what, *detail ? ": " : "", detail);
	return false;
}

static bool read_fields(
    struct stream *s, struct auth_fields *fields, struct arena *arena, struct reason *why)
{
	struct slice line;

	switch (stream_read_line(s, AUTH_REPLY_MAX, &line)) {
	case STREAM_READ_LINE:
		break;
	case STREAM_READ_PARTIAL:
		return say(why, "auth server sent a line that is too long", "");
	case STREAM_READ_FAILED:
		return say(why, "auth server", stream_error_text(s));
	}
	if (!auth_fields_split(fields, slice_first(line, line.len - 1), arena))
		return say(why, "auth server sent a malformed line", "");
	return true;
}

/* The hello ends with SPID in 2.3 and has only VERSION in 2.4: what follows is an answer. */
static struct stream *open_connection(const char *path, int64_t deadline, struct reason *why)
{
	int fd = socket_unix_connect(path, deadline);
	struct stream *s;

	if (fd < 0) {
		reason_set(why, "4.3.0", "cannot connect to %s: %s", path, strerror(errno));
		return NULL;
	}
	s = stream_new(fd);
	stream_set_deadline(s, deadline);
	stream_printf(s, "VERSION\t%d\t0\n", AUTH_PROTOCOL_MAJOR);
	return s;
}

/* The next line that answers our request. */
static bool await_answer(
    struct stream *s, struct auth_fields *fields, struct arena *arena, struct reason *why)
{
	uint32_t id;

	for (unsigned i = 0; i < HELLO_LINES; i++) {
		if (!read_fields(s, fields, arena, why))
			return false;
		if (auth_field_is(fields, 0, "VERSION") && !auth_field_is(fields, 1, "1"))
			return say(why, "auth server speaks another protocol", "");
		if (auth_field_is(fields, 0, "VERSION") || auth_field_is(fields, 0, "SPID"))
			continue;
		if (auth_field_id(fields, 1, &id) && id == REQUEST_ID)
			return true;
	}
	return say(why, "auth server does not answer", "");
}

static bool take_user(struct auth_user *user, struct reason *why)
{
	struct slice name = user->fields.count > 2 ? user->fields.list[2] : SLICE_NULL;

	if (!name.len || slice_has_nul(name))
		return say(why, "auth server named no user", "");
	user->name = arena_slicedup(&user->arena, name);
	return true;
}

static void take_reason(const struct auth_fields *fields, struct reason *why)
{
	struct slice text;

	if (auth_field_get(fields, 2, "reason", &text) && text.len)
		reason_set(why, "4.3.0", "%.*s", SLICE_ARG(text));
	else
		say(why, "user database lookup failed", "");
}

static enum auth_user_result ask(const char *path, const struct strbuf *line, int64_t deadline,
    struct auth_user *user, struct reason *why)
{
	struct stream *s = open_connection(path, deadline, why);
	enum auth_user_result result = AUTH_USER_FAILED;

	if (!s)
		return result;
	if (line->overflow) {
		say(why, "name too long for the auth server", "");
		goto close;
	}
	stream_write(s, strbuf_slice(line));
	if (!await_answer(s, &user->fields, &user->arena, why))
		goto close;
	if (auth_field_is(&user->fields, 0, "USER"))
		result = take_user(user, why) ? AUTH_USER_FOUND : AUTH_USER_FAILED;
	else if (auth_field_is(&user->fields, 0, "PASS"))
		result = AUTH_USER_FOUND;
	else if (auth_field_is(&user->fields, 0, "NOTFOUND"))
		result = AUTH_USER_UNKNOWN;
	else if (auth_field_is(&user->fields, 0, "FAIL"))
		take_reason(&user->fields, why);
	else
		say(why, "auth server sent an unknown answer", "");
close:
	stream_free(s);
	return result;
}

enum auth_user_result auth_master_user(const char *path, const char *name, const char *service,
    int64_t deadline, struct auth_user *user, struct reason *why)
{
	/* Servers of 2.3 take lines of 1,024 bytes. */
	struct strbuf line = STRBUF_INIT(1023);
	enum auth_user_result result;

	memset(user, 0, sizeof(*user));
	strbuf_addf(&line, "USER\t%d\t", REQUEST_ID);
	auth_escape(&line, slice_of(name));
	auth_add_field(&line, "service", slice_of(service));
	strbuf_addch(&line, '\n');
	result = ask(path, &line, deadline, user, why);
	strbuf_release(&line);
	return result;
}

enum auth_user_result auth_master_ask(const char *path, const char *verb, const char *name,
    const char *const params[], int64_t deadline, struct auth_user *user, struct reason *why)
{
	struct strbuf line = STRBUF_INIT(1023);
	enum auth_user_result result;

	memset(user, 0, sizeof(*user));
	strbuf_addf(&line, "%s\t%d\t", verb, REQUEST_ID);
	auth_escape(&line, slice_of(name));
	for (; *params; params++) {
		strbuf_addch(&line, '\t');
		auth_escape(&line, slice_of(*params));
	}
	strbuf_addch(&line, '\n');
	result = ask(path, &line, deadline, user, why);
	user->name = user->name ? user->name : arena_strdup(&user->arena, name);
	strbuf_release(&line);
	return result;
}

bool auth_master_flush(
    const char *path, char *const users[], int64_t deadline, uint32_t *flushed, struct reason *why)
{
	struct stream *s = open_connection(path, deadline, why);
	struct strbuf line = STRBUF_INIT(1023);
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	uint64_t count = 0;
	bool good = false;

	if (!s)
		return false;
	strbuf_addf(&line, "CACHE-FLUSH\t%d", REQUEST_ID);
	for (; *users; users++) {
		strbuf_addch(&line, '\t');
		auth_escape(&line, slice_of(*users));
	}
	strbuf_addch(&line, '\n');
	if (line.overflow) {
		say(why, "too many users", "");
		goto close;
	}
	stream_write(s, strbuf_slice(&line));
	if (!await_answer(s, &fields, &arena, why))
		goto close;
	good = auth_field_is(&fields, 0, "OK") && fields.count > 2 &&
	       slice_uint(fields.list[2], UINT32_MAX, &count);
	if (!good)
		say(why, "auth server sent an unknown answer", "");
	*flushed = (uint32_t)count;
close:
	strbuf_release(&line);
	arena_release(&arena);
	stream_free(s);
	return good;
}

enum auth_user_result auth_master_request(const char *path, uint32_t client_pid, uint32_t auth_id,
    struct slice cookie, int64_t deadline, struct auth_user *user, struct reason *why)
{
	struct strbuf line = STRBUF_INIT(1023);
	enum auth_user_result result;

	memset(user, 0, sizeof(*user));
	strbuf_addf(&line, "REQUEST\t%d\t%u\t%u\t", REQUEST_ID, client_pid, auth_id);
	auth_escape(&line, cookie);
	strbuf_addf(&line, "\tsession_pid=%ld\n", (long)getpid());
	result = ask(path, &line, deadline, user, why);
	strbuf_release(&line);
	return result;
}

static bool read_list(
    struct stream *s, void (*each)(const char *name, void *arg), void *arg, struct reason *why)
{
	struct arena arena = ARENA_INIT;
	struct auth_fields fields;
	bool good = true, more = true;

	while (good && more) {
		good = await_answer(s, &fields, &arena, why);
		more = good && auth_field_is(&fields, 0, "LIST");
		if (more && fields.count > 2 && !slice_has_nul(fields.list[2]))
			each(arena_slicedup(&arena, fields.list[2]), arg);
		if (good && !more)
			good =
			    auth_field_is(&fields, 0, "DONE") && !auth_field_is(&fields, 2, "fail");
		if (!good && !more && !*why->dsn)
			say(why, "the user database cannot list its users", "");
		arena_release(&arena);
	}
	return good;
}

bool auth_master_list(const char *path, const char *mask, int64_t deadline,
    void (*each)(const char *name, void *arg), void *arg, struct reason *why)
{
	struct stream *s = open_connection(path, deadline, why);
	struct strbuf line = STRBUF_INIT(1023);
	bool good;

	if (!s)
		return false;
	why->dsn[0] = '\0';
	strbuf_addf(&line, "LIST\t%d", REQUEST_ID);
	auth_add_field(&line, "user", slice_of(mask));
	auth_add_field(&line, "service", SLICE_LIT("doveadm"));
	strbuf_addch(&line, '\n');
	if (line.overflow) {
		good = say(why, "mask too long", "");
	} else {
		stream_write(s, strbuf_slice(&line));
		good = read_list(s, each, arg, why);
	}
	strbuf_release(&line);
	stream_free(s);
	return good;
}

void auth_user_release(struct auth_user *user)
{
	arena_release(&user->arena);
}

const char *auth_user_field(struct auth_user *user, const char *name)
{
	struct slice value;

	if (!auth_field_get(&user->fields, 3, name, &value) || slice_has_nul(value))
		return NULL;
	return arena_slicedup(&user->arena, value);
}

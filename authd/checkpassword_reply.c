// SPDX-License-Identifier: BSD-2-Clause
/*
 * checkpassword-reply: the program that a checkpassword program executes when it is content.  Turns
 * USER, HOME and what EXTRA names into fields at descriptor 4.
 *
 * A process of another user's could be traced by that user, who would then write whatever answer he
 * likes.  So this runs only as the user that started the checkpassword program (ORIG_UID), unless
 * INSECURE_SETUID says that the administrator knows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/auth_proto.h"
#include "log/log.h"

#define ANSWER_FD  4
#define ANSWER_MAX 16384

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_AUTHORIZED = 2, EXIT_TROUBLE = 111 };

static bool is_safe(void)
{
	const char *text = getenv("ORIG_UID");
	uint64_t uid = UINT64_MAX;

	if (getenv("INSECURE_SETUID") || getuid() != geteuid())
		return true;
	if (text && slice_uint(slice_of(text), UINT32_MAX, &uid) && uid == getuid())
		return true;
	log_error("checkpassword: %s", text ? "The checkpassword couldn't be run securely"
					    : "ORIG_UID environment was dropped by checkpassword. "
					      "Can't verify if we're safe to run");
	return false;
}

/* No value of these two may look like two fields. */
static bool add_name(struct strbuf *answer, const char *variable, const char *field)
{
	const char *value = getenv(variable);

	if (!value)
		return true;
	if (strchr(value, '\t')) {
		log_error("checkpassword: %s contains TAB", variable);
		return false;
	}
	strbuf_addstr(answer, field);
	strbuf_addch(answer, '=');
	auth_escape(answer, slice_of(value));
	strbuf_addch(answer, '\t');
	return true;
}

static void add_id(struct strbuf *answer, const char *field, unsigned long id)
{
	strbuf_addf(answer, "%s=%lu\t", field, id);
}

/* The names in EXTRA, in small letters, with their values. */
static void add_extra(struct strbuf *answer, bool *has_uid, bool *has_gid)
{
	struct slice rest = slice_of(getenv("EXTRA")), word;

	while (slice_token(&rest, " ", &word)) {
		char *name = strndup(word.ptr, word.len);
		const char *value = name ? getenv(name) : NULL;

		if (value) {
			ascii_tolower(name, word.len);
			*has_uid |= !strcmp(name, "userdb_uid");
			*has_gid |= !strcmp(name, "userdb_gid");
			strbuf_addstr(answer, name);
			strbuf_addch(answer, '=');
			auth_escape(answer, slice_of(value));
			strbuf_addch(answer, '\t');
		}
		free(name);
	}
}

static bool send_answer(const struct strbuf *answer)
{
	struct slice rest = strbuf_slice(answer);

	while (rest.len) {
		ssize_t n = write(ANSWER_FD, rest.ptr, rest.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_error("checkpassword: write_full() failed: %s", strerror(errno));
			return false;
		}
		rest = slice_from(rest, (size_t)n);
	}
	return true;
}

int main(void)
{
	struct strbuf answer = STRBUF_INIT(ANSWER_MAX);
	bool has_uid = false, has_gid = false;
	const char *authorized = getenv("AUTHORIZED");

	log_command_dovecot("checkpassword-reply");
	if (!is_safe())
		return EXIT_TROUBLE;
	if (!add_name(&answer, "USER", "user") || !add_name(&answer, "HOME", "userdb_home"))
		return EXIT_REFUSED;
	add_extra(&answer, &has_uid, &has_gid);
	if (!has_uid)
		add_id(&answer, "userdb_uid", getuid());
	if (!has_gid)
		add_id(&answer, "userdb_gid", getgid());
	if (answer.overflow || !send_answer(&answer))
		return EXIT_TROUBLE;
	if (!authorized)
		return EXIT_DONE;
	/* Asked for a user without a password, the program says so by another number. */
	if (!strcmp(authorized, "2"))
		return EXIT_AUTHORIZED;
	log_error("checkpassword: Script doesn't support passdb/userdb lookup");
	return EXIT_TROUBLE;
}

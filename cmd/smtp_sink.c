// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/smtp_sink.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/smtp_tool.h"
#include "log/log.h"
#include "sys/priv.h"
#include "sys/socket.h"

struct sink_options sink = {
	.hostname = "smtp-sink",
	.soft_reply = "450 4.3.0 Error: command failed",
	.hard_reply = "500 5.3.0 Error: command failed",
	.timeout_s = 100,
	.max_sessions = 256,
};

/* Not the concern of who serves. */
static struct {
	int family;
	const char *user, *root;
} start;

#define NAME "smtp-sink"

static _Noreturn void usage(void)
{
	fatal("usage: " NAME " [-468acCeEFLNpPv] [-A abort_delay] [-b soft_bounce_reply] "
	      "[-B hard_bounce_reply] [-d dump-template] [-D dump-template] [-f commands] "
	      "[-h hostname] [-H data_read_delay] [-m max_concurrency] [-M message_quit_count] "
	      "[-n quit_count] [-q commands] [-Q commands] [-r commands] [-R root-dir] "
	      "[-s commands] [-S start-string] [-t timeout] [-T window_size] [-u user_privs] "
	      "[-w delay] [-W command:delay[:odds]] [host]:port backlog");
}

static enum sink_verb verb_of(struct slice name)
{
	enum sink_verb verb = sink_verb_find(name);

	if (verb == SINK_VERBS)
		fatal("unknown command: %.*s", SLICE_ARG(name));
	return verb;
}

/* A flag of struct sink_conduct for every verb of the list TEXT. */
#define SET_ALL(text, flag)                                                                        \
	do {                                                                                       \
		struct slice rest_ = slice_of(text), name_;                                        \
		while (slice_token(&rest_, ", \t\r\n", &name_))                                    \
			sink.verbs[verb_of(name_)].flag = true;                                    \
	} while (0)

/* "command:delay" or "command:delay:odds" */
static void set_delay(const char *text)
{
	struct slice rest = slice_of(text), name, delay, odds = SLICE_NULL;
	struct sink_conduct *conduct;
	uint64_t seconds, chance = 0;

	if (!slice_token(&rest, ":", &name) || !slice_token(&rest, ":", &delay))
		fatal("invalid command delay argument: %s", text);
	slice_token(&rest, ":", &odds);
	conduct = &sink.verbs[verb_of(name)];
	if (!slice_uint(delay, INT32_MAX, &seconds) || seconds == 0)
		fatal("non-positive '%.*s' delay", SLICE_ARG(name));
	if (odds.len && (!slice_uint(odds, 99, &chance) || chance == 0))
		fatal("delay odds for '%.*s' out of range", SLICE_ARG(name));
	conduct->delay_s = (int)seconds;
	conduct->odds = (int)chance;
}

static const char *reply_of(const char *text, char class, const char *what)
{
	if (text[0] == class && ascii_isdigit(text[1]) && ascii_isdigit(text[2]) &&
	    (text[3] == ' ' || text[3] == '\0'))
		return text;
	log_error("bad %s error reply: %s", what, text);
	usage();
}

/* The character of an escape sequence behind its backslash; *TEXT moves on. */
static char escaped(const char **text)
{
	static const char letters[] = "abfnrtv", meanings[] = "\a\b\f\n\r\t\v";
	const char *found = strchr(letters, **text);
	int value = 0;

	if (found && *found) {
		(*text)++;
		return meanings[found - letters];
	}
	if (**text < '0' || **text > '7')
		return **text ? *(*text)++ : '\\';
	for (int i = 0; i < 3 && **text >= '0' && **text <= '7'; i++)
		value = value * 8 + *(*text)++ - '0';
	return (char)value;
}

static char *unescape(const char *text)
{
	char *out = xmalloc(strlen(text) + 1);
	size_t len = 0;

	while (*text) {
		if (*text == '\\') {
			text++;
			out[len++] = escaped(&text);
		} else {
			out[len++] = *text++;
		}
	}
	out[len] = '\0';
	return out;
}

/* Options that are a letter alone; false: it is none of them. */
static bool take_switch(int option)
{
	bool *const switches[128] = {
		['8'] = &sink.no_8bitmime,
		['a'] = &sink.no_auth,
		['c'] = &sink.counts,
		['C'] = &sink.verbs[SINK_XCLIENT].is_unknown,
		['e'] = &sink.no_esmtp,
		['E'] = &sink.no_codes,
		['F'] = &sink.verbs[SINK_XFORWARD].is_unknown,
		['L'] = &sink.lmtp,
		['N'] = &sink.no_dsn,
		['p'] = &sink.no_pipelining,
		['v'] = &sink.verbose,
	};

	if (option < 0 || option >= 128 || !switches[option])
		return false;
	*switches[option] = true;
	return true;
}

/* -f, -q, -Q, -r, -s; false: none of them. */
static bool take_list(int option, const char *text)
{
	switch (option) {
	case 'f':
		SET_ALL(text, hard);
		sink.no_pipelining = true;
		return true;
	case 'r':
		SET_ALL(text, soft);
		sink.no_pipelining = true;
		return true;
	case 'q':
		SET_ALL(text, hang_up);
		return true;
	case 'Q':
		SET_ALL(text, say_421);
		return true;
	case 's':
		openlog(NAME, LOG_PID, LOG_MAIL);
		SET_ALL(text, is_logged);
		return true;
	default:
		return false;
	}
}

static bool take_number(int option, const char *text)
{
	switch (option) {
	case 'A':
		sink.aborts = true;
		sink.abort_delay_s = (int)smtp_tool_number(text, 0, "abort delay");
		return true;
	case 'H':
		sink.data_delay_s = (int)smtp_tool_number(text, 1, "data read delay");
		return true;
	case 'm':
		sink.max_sessions = smtp_tool_number(text, 1, "concurrency limit");
		return true;
	case 'M':
		sink.quit_messages = smtp_tool_number(text, 1, "message quit count");
		return true;
	case 'n':
		sink.quit_sessions = smtp_tool_number(text, 1, "quit count");
		return true;
	case 't':
		sink.timeout_s = (int)smtp_tool_number(text, 1, "timeout");
		return true;
	case 'T':
		sink.window = (int)smtp_tool_number(text, 1, "TCP window size");
		return true;
	case 'w':
		sink.verbs[SINK_DATA].delay_s = (int)smtp_tool_number(text, 1, "data delay");
		return true;
	default:
		return false;
	}
}

static void take_text(int option, const char *text)
{
	switch (option) {
	case '4':
		start.family = AF_INET;
		break;
	case '6':
		start.family = AF_INET6;
		break;
	case 'b':
		sink.soft_reply = reply_of(text, '4', "soft");
		break;
	case 'B':
		sink.hard_reply = reply_of(text, '5', "hard");
		break;
	case 'd':
		sink.dump_single = text;
		break;
	case 'D':
		sink.dump_multi = text;
		break;
	case 'h':
		sink.hostname = text;
		break;
	case 'P':
		sink.pix = sink.no_esmtp = true;
		break;
	case 'R':
		start.root = text;
		break;
	case 'S':
		free(sink.dump_start);
		sink.dump_start = unescape(text);
		break;
	case 'u':
		start.user = text;
		break;
	case 'W':
		set_delay(text);
		break;
	default:
		usage();
	}
}

static void take_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv,
		    "468aA:b:B:cCd:D:eEf:Fh:H:Lm:M:n:NpPq:Q:r:R:s:S:t:T:u:vw:W:")) != -1) {
		if (!take_switch(option) && !take_list(option, optarg) &&
		    !take_number(option, optarg))
			take_text(option, optarg);
	}
	if (argc - optind != 2)
		usage();
	if (sink.dump_single && sink.dump_multi)
		fatal("use only one of -d or -D, but not both");
	if (geteuid() == 0 && !start.user)
		fatal("-u option is required if running as root");
	sink.verbs[SINK_HELO].is_unknown = sink.lmtp;
	sink.verbs[SINK_EHLO].is_unknown = sink.lmtp || sink.no_esmtp;
	sink.verbs[SINK_LHLO].is_unknown = !sink.lmtp;
}

static int listen_at(const struct smtp_tool_address *address, int backlog)
{
	const struct sockaddr *sa = (const struct sockaddr *)&address->ss;

	if (address->family == AF_UNIX)
		return socket_unix_listen(((const struct sockaddr_un *)sa)->sun_path, 0666,
		    (uid_t)-1, (gid_t)-1, backlog);
	return socket_inet_listen(sa, address->len, backlog);
}

static size_t open_listeners(const char *target, int backlog, int *listeners)
{
	struct smtp_tool_address list[SMTP_TOOL_ADDRESSES];
	size_t count = smtp_tool_addresses(target, start.family, true, list);

	for (size_t i = 0; i < count; i++) {
		listeners[i] = listen_at(&list[i], backlog);
		if (listeners[i] == -1)
			fatal("listen at %s: %m", target);
		smtp_tool_window(listeners[i], sink.window);
	}
	return count;
}

static void give_rights_away(void)
{
	struct priv_user user;

	if (start.user && !priv_find_user(start.user, &user))
		fatal("unknown user: %s", start.user);
	if (start.root && (chroot(start.root) == -1 || chdir("/") == -1))
		fatal("chroot %s: %m", start.root);
	if (start.user && priv_drop(user.uid, user.gid, NULL, 0) == -1)
		fatal("change to user %s: %m", start.user);
}

/* As many descriptors as sessions need. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	static int listeners[SMTP_TOOL_ADDRESSES];
	size_t count;

	log_command(NAME);
	signal(SIGPIPE, SIG_IGN);
	take_options(argc, argv);
	raise_limit();
	count = open_listeners(
	    argv[optind], (int)smtp_tool_number(argv[optind + 1], 1, "backlog"), listeners);
	give_rights_away();
	sink_serve(listeners, count);
	return 0;
}

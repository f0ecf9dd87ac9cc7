// SPDX-License-Identifier: BSD-2-Clause
/* The commands of a session: one table. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "pop3d/pop3.h"
#include "pop3d/pop3_args.h"

#define FLAG_MS (30 * INT64_C(1000))

enum argument {
	ARG_NONE,	 /* what stands there is not looked at, as with the peer */
	ARG_MESSAGE,	 /* a message that is not deleted, and nothing behind it */
	ARG_MAY_MESSAGE, /* the same, or nothing */
	ARG_MESSAGE_LINES
};

struct call {
	bool has_number;
	size_t number; /* index, which is the message number - 1 */
	uint64_t lines;
};

/* False: the session is over. */
typedef bool handler(struct pop3 *p, const struct call *call);
static handler cmd_capa, cmd_dele, cmd_last, cmd_list, cmd_noop, cmd_quit, cmd_retr, cmd_rset,
    cmd_stat, cmd_top, cmd_uidl;

static const struct command {
	const char *verb;
	handler *run;
	enum argument argument;
	bool if_last_enabled; /* there only with pop3_enable_last */
	const char *rfc;
} commands[] = {
	{ "CAPA", cmd_capa, ARG_NONE, false, "RFC 2449 5" },
	{ "DELE", cmd_dele, ARG_MESSAGE, false, "RFC 1939 5" },
	{ "LAST", cmd_last, ARG_NONE, true, "RFC 1460 4" },
	{ "LIST", cmd_list, ARG_MAY_MESSAGE, false, "RFC 1939 5" },
	{ "NOOP", cmd_noop, ARG_NONE, false, "RFC 1939 5" },
	{ "QUIT", cmd_quit, ARG_NONE, false, "RFC 1939 6" },
	{ "RETR", cmd_retr, ARG_MESSAGE, false, "RFC 1939 5" },
	{ "RSET", cmd_rset, ARG_NONE, false, "RFC 1939 5" },
	{ "STAT", cmd_stat, ARG_NONE, false, "RFC 1939 5" },
	{ "TOP", cmd_top, ARG_MESSAGE_LINES, false, "RFC 1939 7" },
	{ "UIDL", cmd_uidl, ARG_MAY_MESSAGE, false, "RFC 1939 7" },
};

static void reply(struct pop3 *p, const char *text)
{
	stream_printf(p->session.stream, "%s\r\n", text);
}

static uint64_t size_of(const struct pop3 *p, size_t number)
{
	return pop3_size(p, p->messages[number].index);
}

static size_t count_left(const struct pop3 *p, uint64_t *size)
{
	size_t count = 0;

	*size = 0;
	for (size_t i = 0; i < p->count; i++)
		if (!p->messages[i].deleted) {
			count++;
			*size += size_of(p, i);
		}
	return count;
}

static bool cmd_capa(struct pop3 *p, const struct call *call)
{
	(void)call;
	reply(p, "+OK\r\nCAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\n.");
	return true;
}

static bool cmd_stat(struct pop3 *p, const struct call *call)
{
	uint64_t size;
	size_t count = count_left(p, &size);

	(void)call;
	stream_printf(p->session.stream, "+OK %zu %llu\r\n", count, (unsigned long long)size);
	return true;
}

/* Decimal digits, which end before END; returns where they begin. */
static char *digits_before(char *end, uint64_t number)
{
	do
		*--end = (char)('0' + number % 10);
	while (number /= 10);
	return end;
}

/* Without printf(3), which takes more than the rest of a session where a thousand are listed. */
static void list_line(struct stream *s, uint64_t number, uint64_t size)
{
	char text[48], *end = text + sizeof(text), *at = end;

	*--at = '\n';
	*--at = '\r';
	at = digits_before(at, size);
	*--at = ' ';
	at = digits_before(at, number);
	stream_write(s, slice_mem(at, (size_t)(end - at)));
}

static bool cmd_list(struct pop3 *p, const struct call *call)
{
	struct stream *s = p->session.stream;
	uint64_t size;

	if (call->has_number) {
		stream_printf(s, "+OK %zu %llu\r\n", call->number + 1,
		    (unsigned long long)size_of(p, call->number));
		return true;
	}
	stream_printf(s, "+OK %zu messages:\r\n", count_left(p, &size));
	for (size_t i = 0; i < p->count; i++)
		if (!p->messages[i].deleted)
			list_line(s, i + 1, size_of(p, i));
	reply(p, ".");
	return true;
}

static bool cmd_uidl(struct pop3 *p, const struct call *call)
{
	struct stream *s = p->session.stream;
	struct strbuf uidl = STRBUF_INIT(1024);
	size_t end = call->has_number ? call->number + 1 : p->count;
	bool ok = true;

	p->listed_uidls = true;
	if (!call->has_number)
		reply(p, "+OK");
	for (size_t i = call->has_number ? call->number : 0; ok && i < end; i++) {
		if (p->messages[i].deleted)
			continue;
		strbuf_reset(&uidl);
		ok = pop3_uidl(p, i, &uidl);
		if (ok)
			stream_printf(
			    s, "%s%zu %s\r\n", call->has_number ? "+OK " : "", i + 1, uidl.ptr);
	}
	strbuf_release(&uidl);
	if (!ok) {
		/* A list that lacks some would have the client fetch them again. */
		p->end = "POP3 UIDLs couldn't be listed";
		return false;
	}
	if (!call->has_number)
		reply(p, ".");
	return true;
}

static bool cmd_retr(struct pop3 *p, const struct call *call)
{
	char head[64];
	uint64_t sent;

	(void)snprintf(head, sizeof(head), "+OK %llu octets\r\n",
	    (unsigned long long)size_of(p, call->number));
	sent = pop3_send_message(p, call->number, UINT64_MAX, head);
	if (sent == 0)
		return true;
	p->retr_count++;
	p->retr_bytes += sent;
	p->messages[call->number].seen = true;
	if (p->last_seen < call->number + 1)
		p->last_seen = call->number + 1;
	return p->end == NULL;
}

static bool cmd_top(struct pop3 *p, const struct call *call)
{
	char head[64] = "+OK\r\n";
	uint64_t sent;

	if (call->lines == UINT64_MAX)
		(void)snprintf(head, sizeof(head), "+OK %llu octets\r\n",
		    (unsigned long long)size_of(p, call->number));
	sent = pop3_send_message(p, call->number, call->lines, head);
	if (sent == 0)
		return true;
	p->top_count++;
	p->top_bytes += sent;
	return p->end == NULL;
}

static bool cmd_dele(struct pop3 *p, const struct call *call)
{
	p->messages[call->number].deleted = true;
	if (p->last_seen < call->number + 1)
		p->last_seen = call->number + 1;
	reply(p, "+OK Marked to be deleted.");
	return true;
}

static bool cmd_rset(struct pop3 *p, const struct call *call)
{
	(void)call;
	for (size_t i = 0; i < p->count; i++)
		p->messages[i].deleted = p->messages[i].seen = false;
	p->last_seen = 0;
	reply(p, "+OK");
	return true;
}

static bool cmd_last(struct pop3 *p, const struct call *call)
{
	(void)call;
	stream_printf(p->session.stream, "+OK %zu\r\n", p->last_seen);
	return true;
}

static bool cmd_noop(struct pop3 *p, const struct call *call)
{
	(void)call;
	reply(p, "+OK");
	return true;
}

static bool cmd_quit(struct pop3 *p, const struct call *call)
{
	(void)call;
	p->end = "Logged out";
	p->quit = true;
	if (!pop3_expunge(p))
		reply(p, "-ERR [SYS/TEMP] Storage error during logout.");
	else
		reply(p, p->deleted_count > 0 ? "+OK Logging out, messages deleted."
					      : "+OK Logging out.");
	return false;
}

/* pop3_delete_type: what becomes of a message that was deleted. */
static bool remove_message(struct pop3 *p, size_t index, struct reason *why)
{
	const struct dovecot_settings *set = pop3_settings;

	if (set->pop3_deleted_flag[0] == '\0' || strcmp(set->pop3_delete_type, "expunge") == 0)
		return store_expunge(p->box, index, why);
	if (p->deleted_flag == 0 && !store_keyword(p->box, set->pop3_deleted_flag, true,
					deadline_in(FLAG_MS), &p->deleted_flag, why))
		return false;
	return store_change_flags(p->box, index, p->deleted_flag, 0, why);
}

bool pop3_expunge(struct pop3 *p)
{
	struct reason why;
	bool ok = true;

	for (size_t i = 0; i < p->count; i++) {
		if (!p->messages[i].deleted)
			continue;
		if (remove_message(p, p->messages[i].index, &why)) {
			p->deleted_count++;
			p->deleted_bytes += size_of(p, i);
		} else {
			log_as(p->log_name, LOG_LEVEL_ERROR, "%s", why.text);
			ok = false;
		}
	}
	if (p->deleted_count > 0 && !store_sync(p->box, &why)) {
		log_as(p->log_name, LOG_LEVEL_ERROR, "%s", why.text);
		ok = false;
	}
	p->expunged = true;
	return ok;
}

void pop3_mark_seen(struct pop3 *p)
{
	struct reason why;

	if (p->box == NULL || pop3_settings->pop3_no_flag_updates)
		return;
	for (size_t i = 0; i < p->count; i++) {
		const struct pop3_message *m = &p->messages[i];

		if (!m->seen || (m->deleted && p->expunged) ||
		    (store_message(p->box, m->index)->flags & STORE_SEEN) != 0)
			continue;
		if (!store_change_flags(p->box, m->index, STORE_SEEN, 0, &why))
			log_as(p->log_name, LOG_LEVEL_WARNING, "%s", why.text);
	}
}

/* ---- a line ---- */

static const struct command *find_command(struct slice verb)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (slice_caseeq_str(verb, commands[i].verb))
			return commands[i].if_last_enabled && !pop3_settings->pop3_enable_last
				   ? NULL
				   : &commands[i];
	return NULL;
}

static bool take_message(struct pop3 *p, struct slice *args, struct call *call, char error[160])
{
	call->has_number = pop3_take_message(args, p->count, &call->number, error);
	return call->has_number;
}

static bool parse_words(
    struct pop3 *p, enum argument argument, struct slice args, struct call *call, char error[160])
{
	switch (argument) {
	case ARG_NONE:
		return true;
	case ARG_MAY_MESSAGE:
		if (args.len == 0)
			return true;
		/* fall through */
	case ARG_MESSAGE:
		return take_message(p, &args, call, error) &&
		       pop3_no_more(args, "message number", error);
	case ARG_MESSAGE_LINES:
		if (!take_message(p, &args, call, error))
			return false;
		if (args.len == 0) {
			(void)snprintf(error, 160, "Noise after message number: ");
			return false;
		}
		return pop3_take_size(&args, &call->lines, error) &&
		       pop3_no_more(args, "size", error);
	}
	return false;
}

static bool parse_arguments(
    struct pop3 *p, enum argument argument, struct slice args, struct call *call, char error[160])
{
	if (!parse_words(p, argument, args, call, error))
		return false;
	if (!call->has_number || !p->messages[call->number].deleted)
		return true;
	(void)snprintf(error, 160, "Message is deleted.");
	return false;
}

static bool bad_command(struct pop3 *p, struct slice verb)
{
	if (verb.len == 0)
		reply(p, "-ERR Unknown command.");
	else
		stream_printf(p->session.stream, "-ERR Unknown command: %.*s\r\n",
		    (int)(verb.len > 100 ? 100 : verb.len), verb.ptr);
	if (++p->bad_commands <= POP3_MAX_BAD)
		return true;
	reply(p, "-ERR Too many bad commands.");
	p->end = "Too many bad commands.";
	return false;
}

bool pop3_command(struct pop3 *p, struct slice line)
{
	const struct command *command;
	struct call call = { .has_number = false };
	struct slice verb, args;
	char error[160];

	pop3_split(line, &verb, &args);
	command = slice_has_nul(line) ? NULL : find_command(verb);
	if (command == NULL)
		return bad_command(p, slice_has_nul(line) ? SLICE_NULL : verb);
	p->bad_commands = 0;
	if (parse_arguments(p, command->argument, args, &call, error))
		return command->run(p, &call);
	stream_printf(p->session.stream, "-ERR %s\r\n", error);
	return true;
}

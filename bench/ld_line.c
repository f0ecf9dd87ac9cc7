// SPDX-License-Identifier: BSD-2-Clause
/* Lines of the load driver: what it sends, and whether a reply is the one that it waits for. */
#include <ctype.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/ld.h"

#define NUMBER_MAX  32
#define SASL_MAX    512
#define USER_STRIDE 7919 /* a prime, so that neighbours in time are not neighbours in the list */

void output_add(struct output *output, const char *data, size_t length)
{
	if (output->length + length > output->capacity) {
		output->capacity = (output->length + length) * 2;
		output->data = grow(output->data, output->capacity);
	}
	memcpy(output->data + output->length, data, length);
	output->length += length;
}

static void add_text(struct session *session, const char *text)
{
	output_add(&session->output, text, strlen(text));
}

static void add_number(struct session *session, unsigned long long number)
{
	char text[NUMBER_MAX];

	snprintf(text, sizeof(text), "%llu", number);
	add_text(session, text);
}

static const struct user *user_of(const struct driver *driver, size_t index)
{
	if (driver->script.user_count == 0)
		die("the script names users: -U is missing");
	return &driver->script.users[index % driver->script.user_count];
}

/* RFC 4616: authorization identity (none), authentication identity, password. */
static void add_sasl_plain(struct driver *driver, struct session *session)
{
	const struct user *user = user_of(driver, session->user);
	unsigned char encoded[2 * SASL_MAX];
	char plain[SASL_MAX];
	int length = snprintf(plain, sizeof(plain), "%c%s%c%s", 0, user->name, 0, user->password);

	if (length >= (int)sizeof(plain))
		die("name and password too long");
	EVP_EncodeBlock(encoded, (unsigned char *)plain, length);
	add_text(session, (char *)encoded);
}

/* The N of %r{N} and %m{N}; *TEXT then points at the closing brace. */
static unsigned long braced(const char **text)
{
	char *end;
	unsigned long number = (*text)[1] == '{' ? strtoul(*text + 2, &end, 10) : 0;

	if (number == 0 || *end != '}')
		die("%%%c needs {N}", **text);
	*text = end;
	return number;
}

static void add_escape(struct driver *driver, struct session *session, const char **text)
{
	uint64_t messages = driver->totals.messages;

	switch (**text) {
	case '%':
		add_text(session, "%");
		break;
	case 't':
		add_text(session, "A");
		add_number(session, ++session->tag);
		break;
	case 'u':
		add_text(session, user_of(driver, session->user)->name);
		break;
	case 'p':
		add_text(session, user_of(driver, session->user)->password);
		break;
	case 'a':
		add_sasl_plain(driver, session);
		break;
	case 'U':
		add_text(session,
		    user_of(driver, messages * USER_STRIDE + driver->options.first_user)->name);
		break;
	case 's':
		add_number(session, (unsigned long)session->number);
		break;
	case 'i':
		add_number(session, messages);
		break;
	case 'l':
		add_number(
		    session, session->loop_depth > 0
				 ? (unsigned long)session->loops[session->loop_depth - 1].round
				 : 0);
		break;
	case 'r':
		add_number(session, 1 + (unsigned long)random() % braced(text));
		break;
	case 'm':
		add_number(session, 1 + messages % braced(text));
		break;
	case 'L':
		add_number(session, driver->script.literal.length);
		break;
	case 'S':
		add_number(session, driver->script.size);
		break;
	default:
		die("unknown in a script: %%%c", **text);
	}
}

void output_format(struct driver *driver, struct session *session, const char *text)
{
	for (; *text != '\0'; text++) {
		size_t plain = strcspn(text, "%");

		output_add(&session->output, text, plain);
		text += plain;
		if (*text == '\0')
			return;
		text++;
		add_escape(driver, session, &text);
	}
}

static int smtp_line(enum reply_kind kind, const char *line, size_t length)
{
	if (length < 4)
		return -1;
	if (line[3] == '-')
		return 0;
	if ((kind == REPLY_SMTP_2XX && line[0] != '2') ||
	    (kind == REPLY_SMTP_3XX && line[0] != '3'))
		return -1;
	return 1;
}

static int pop_line(struct session *session, const char *line, size_t length)
{
	if (!session->in_pop_lines) {
		session->in_pop_lines = line[0] == '+';
		return session->in_pop_lines ? 0 : -1;
	}
	if (line[0] != '.' || length > 3)
		return 0;
	session->in_pop_lines = false;
	return 1;
}

/* Whether LINE ends with {N}: then N octets follow and the response goes on. */
static bool announces_literal(struct session *session, const char *line, size_t length)
{
	size_t start;

	while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == '\n'))
		length--;
	if (length < 3 || line[length - 1] != '}')
		return false;
	for (start = length - 2; start > 0 && isdigit((unsigned char)line[start]); start--)
		;
	if (line[start] != '{')
		return false;
	session->literal_left = strtoull(line + start + 1, NULL, 10);
	return true;
}

static int tagged_line(
    const struct session *session, const struct op *op, const char *line, size_t length)
{
	char tag[NUMBER_MAX];
	unsigned awaited = session->tag - (unsigned)(session->replies_left - 1);
	size_t tag_length = (size_t)snprintf(tag, sizeof(tag), "A%u ", awaited);

	if (length <= tag_length + 2 || memcmp(line, tag, tag_length) != 0)
		return 0;
	if (op->kind == REPLY_IMAP_ANY)
		return 1;
	return memcmp(line + tag_length, "OK", 2) == 0 ? 1 : -1;
}

static int imap_line(struct session *session, const struct op *op, const char *line, size_t length)
{
	bool is_start = !session->in_response;

	session->in_response = announces_literal(session, line, length);
	if (!is_start)
		return 0;
	if (op->kind == REPLY_IMAP_UNTAGGED)
		return line[0] == '*' && memmem(line, length, op->text, strlen(op->text)) != NULL;
	return tagged_line(session, op, line, length);
}

int reply_line(struct session *session, const struct op *op, const char *line, size_t length)
{
	switch (op->kind) {
	case REPLY_SMTP_2XX:
	case REPLY_SMTP_3XX:
	case REPLY_SMTP_ANY:
		return smtp_line(op->kind, line, length);
	case REPLY_POP:
		return line[0] == '+' ? 1 : -1;
	case REPLY_POP_LINES:
		return pop_line(session, line, length);
	case REPLY_IMAP_CONTINUE:
		return line[0] == '+' ? 1 : line[0] == '*' ? 0 : -1;
	case REPLY_IMAP_OK:
	case REPLY_IMAP_ANY:
	case REPLY_IMAP_UNTAGGED:
		return imap_line(session, op, line, length);
	}
	return -1;
}

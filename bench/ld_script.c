// SPDX-License-Identifier: BSD-2-Clause
/* Scripts, accounts and the message of the load driver. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/ld.h"

#define LINE_LENGTH 70

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

void *grow(void *old, size_t size)
{
	void *memory = realloc(old, size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static char *copy(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(grow(NULL, size), text, size);
}

static int find_measure(struct script *script, const char *name)
{
	int i;

	for (i = 0; i < script->measure_count; i++)
		if (strcmp(script->measures[i].name, name) == 0)
			return i;
	if (i == LD_NAMES_MAX)
		die("too many names of laps and counts");
	script->measures[i].name = copy(name);
	script->measure_count++;
	return i;
}

void script_measure(struct script *script, int index, double seconds)
{
	struct measure *measure = &script->measures[index];

	measure->count++;
	if (measure->length == measure->capacity) {
		measure->capacity = measure->capacity ? measure->capacity * 2 : 1024;
		measure->times = grow(measure->times, measure->capacity * sizeof(*measure->times));
	}
	measure->times[measure->length++] = seconds;
}

static enum reply_kind parse_kind(const char *word)
{
	static const struct {
		const char *word;
		enum reply_kind kind;
	} kinds[] = {
		{ "smtp2", REPLY_SMTP_2XX },
		{ "smtp3", REPLY_SMTP_3XX },
		{ "smtp", REPLY_SMTP_ANY },
		{ "pop", REPLY_POP },
		{ "popm", REPLY_POP_LINES },
		{ "imap", REPLY_IMAP_OK },
		{ "imapany", REPLY_IMAP_ANY },
		{ "cont", REPLY_IMAP_CONTINUE },
		{ "untag", REPLY_IMAP_UNTAGGED },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].word, word) == 0)
			return kinds[i].kind;
	die("unknown kind of reply: %s", word);
}

static const char *variable(const struct script *script, const char *name, size_t length)
{
	for (int i = 0; i < script->variable_count; i++)
		if (strlen(script->variables[i].name) == length &&
		    memcmp(script->variables[i].name, name, length) == 0)
			return script->variables[i].value;
	die("variable %.*s is not set (use -v name=value)", (int)length, name);
}

/* LINE with its ${name}, in new memory. */
static char *expand(const struct script *script, const char *line)
{
	char *result = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&result, &size);

	if (out == NULL)
		die("out of memory");
	while (*line != '\0') {
		const char *end = strncmp(line, "${", 2) == 0 ? strchr(line, '}') : NULL;

		if (end == NULL) {
			fputc(*line++, out);
			continue;
		}
		fputs(variable(script, line + 2, (size_t)(end - line) - 2), out);
		line = end + 1;
	}
	fclose(out);
	return result;
}

/* Ends the word at TEXT and returns what follows it. */
static char *split_word(char *text)
{
	while (*text != '\0' && !isspace((unsigned char)*text))
		text++;
	if (*text != '\0')
		*text++ = '\0';
	while (*text == ' ')
		text++;
	return text;
}

static struct op *add_op(struct script *script, enum op_code code)
{
	struct op *op = &script->ops[script->op_count];

	if (script->op_count == LD_OPS_MAX)
		die("script too long");
	script->op_count++;
	op->code = code;
	return op;
}

static void add_expect(struct script *script, enum reply_kind kind, long number, const char *text)
{
	struct op *op = add_op(script, OP_EXPECT);

	op->kind = kind;
	op->number = number;
	op->text = text != NULL ? copy(text) : NULL;
}

static void parse_send(struct script *script, char *args)
{
	add_op(script, OP_SEND)->text = copy(args);
}

static void parse_put(struct script *script, char *args)
{
	struct op *op = add_op(script, OP_SEND);

	op->text = copy(args);
	op->is_bare = true;
}

static void parse_cmd(struct script *script, char *args)
{
	char *text = split_word(args);
	enum reply_kind kind = parse_kind(args);
	struct op *op = add_op(script, OP_SEND);

	if (kind != REPLY_IMAP_OK && kind != REPLY_IMAP_ANY)
		op->text = copy(text);
	else if (asprintf(&op->text, "%%t %s", text) < 0)
		die("out of memory");
	add_expect(script, kind, 1, NULL);
}

static void parse_expect(struct script *script, char *args)
{
	char *rest = split_word(args);
	enum reply_kind kind = parse_kind(args);

	if (kind == REPLY_IMAP_UNTAGGED)
		add_expect(script, kind, 1, rest);
	else
		add_expect(script, kind, *rest != '\0' ? atol(rest) : 1, NULL);
}

static void parse_loop(struct script *script, char *args)
{
	struct op *op = add_op(script, OP_LOOP);

	op->number = atol(args);
	op->other = -1;
}

static void parse_end(struct script *script, char *args)
{
	int start = script->op_count - 1;

	(void)args;
	while (start >= 0 && (script->ops[start].code != OP_LOOP || script->ops[start].other >= 0))
		start--;
	if (start < 0)
		die("end without loop");
	script->ops[start].other = script->op_count;
	add_op(script, OP_END)->other = start;
}

static void parse_lap(struct script *script, char *args)
{
	add_op(script, OP_LAP)->measured = find_measure(script, args);
}

static void parse_count(struct script *script, char *args)
{
	add_op(script, OP_COUNT)->measured = find_measure(script, args);
}

static void parse_sleep(struct script *script, char *args)
{
	add_op(script, OP_SLEEP)->number = atol(args);
	script->sleeps = true;
}

static const struct {
	const char *word;
	void (*parse)(struct script *script, char *args); /* or only the code */
	enum op_code code;
} words[] = {
	{ "send", parse_send, OP_SEND },
	{ "put", parse_put, OP_SEND },
	{ "cmd", parse_cmd, OP_SEND },
	{ "expect", parse_expect, OP_EXPECT },
	{ "loop", parse_loop, OP_LOOP },
	{ "end", parse_end, OP_END },
	{ "lap", parse_lap, OP_LAP },
	{ "count", parse_count, OP_COUNT },
	{ "sleep", parse_sleep, OP_SLEEP },
	{ "payload", NULL, OP_PAYLOAD },
	{ "literal", NULL, OP_LITERAL },
	{ "tls", NULL, OP_TLS },
	{ "mark", NULL, OP_MARK },
	{ "hold", NULL, OP_HOLD },
	{ "close", NULL, OP_CLOSE },
};

static void parse_line(struct script *script, char *line)
{
	char *args;

	while (isspace((unsigned char)*line))
		line++;
	if (*line == '\0' || *line == '#')
		return;
	args = split_word(line);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, line) != 0)
			continue;
		if (words[i].parse != NULL)
			words[i].parse(script, args);
		else
			add_op(script, words[i].code);
		return;
	}
	die("unknown word in script: %s", line);
}

static void check_loops(const struct script *script)
{
	int depth = 0;

	for (int i = 0; i < script->op_count; i++) {
		depth += script->ops[i].code == OP_LOOP;
		depth -= script->ops[i].code == OP_END;
		if (depth > LD_NEST_MAX)
			die("loops nested too deep");
	}
	if (depth != 0)
		die("loop without end");
}

void script_load(struct script *script, const char *path)
{
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;

	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while ((length = getline(&line, &capacity, file)) > 0) {
		char *expanded;

		line[strcspn(line, "\r\n")] = '\0';
		expanded = expand(script, line);
		parse_line(script, expanded);
		free(expanded);
	}
	free(line);
	fclose(file);
	check_loops(script);
	add_op(script, OP_CLOSE);
}

void script_load_users(struct script *script, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[512];
	size_t capacity = 0;

	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL) {
		char *colon = strchr(line, ':');

		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] == '#' || colon == NULL)
			continue;
		*colon = '\0';
		if (script->user_count == capacity) {
			capacity = capacity ? capacity * 2 : 256;
			script->users = grow(script->users, capacity * sizeof(*script->users));
		}
		script->users[script->user_count++] = (struct user){ copy(line), copy(colon + 1) };
	}
	fclose(file);
	if (script->user_count == 0)
		die("no users in %s", path);
}

/* Lines of words, each a little further on in them than the last. */
static void fill_line(char *line, size_t number)
{
	static const char text[] =
	    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
	    "nu xi omicron pi rho sigma tau upsilon phi chi psi omega ";

	for (size_t i = 0; i < LINE_LENGTH; i++)
		line[i] = text[(number * 37 + i) % (sizeof(text) - 1)];
	memcpy(line + LINE_LENGTH, "\r\n", 2);
}

/* A header and as many lines as fit into the size, at least one. */
void script_make_message(struct script *script)
{
	char *data = NULL, line[LINE_LENGTH + 2];
	size_t size = 0, number = 0;
	FILE *out = open_memstream(&data, &size);

	if (out == NULL)
		die("out of memory");
	fprintf(out,
	    "From: Bench Sender <sender@bench.example>\r\n"
	    "To: Bench Recipient <rcpt@bench.example>\r\n"
	    "Subject: load test message of %zu bytes\r\n"
	    "Date: Thu, 01 Jan 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
	    script->size);
	do {
		fill_line(line, number++);
		fwrite(line, 1, sizeof(line), out);
		fflush(out);
	} while (size + sizeof(line) <= script->size);
	fclose(out);
	script->literal = (struct message){ data, size };
	script->payload = (struct message){ grow(NULL, size + 3), size + 3 };
	memcpy(script->payload.data, data, size);
	memcpy(script->payload.data + size, ".\r\n", 3);
}

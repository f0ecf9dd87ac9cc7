// SPDX-License-Identifier: BSD-2-Clause
/*
 * sendmail: the command that other programs submit mail with (sendmail(1)).
 *
 * The table says of every option of the peer's whether it is honoured, accepted without effect, or
 * refused: none is dropped in silence that would change what becomes of the mail.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/command_log.h"
#include "cmd/programs.h"
#include "cmd/sendmail.h"
#include "log/log.h"
#include "mail/dsn.h"
#include "mail/verp.h"
#include "queue/envelope.h"
#include "queue/queue_file.h"

enum mode { MODE_SUBMIT, MODE_LIST, MODE_ALIASES, MODE_START, MODE_FLUSH, MODE_SMTP, MODE_NOTHING };

struct run {
	struct sendmail sm;
	enum mode mode;
	bool verbose; /* -v */
	const char *config, *flush_id, *flush_site;
	char **rest; /* the command line without options */
};

static struct postfix_source *source;
static struct postfix_params *params;

enum argument { ARG_NONE, ARG_WORD, ARG_ATTACHED };

static void open_log(void)
{
	(void)command_log_open(
	    params, &(struct command_log){ .stderr_name = "sendmail", .to_stderr = true });
}

/* A mistake on the command line belongs in the log, too, whatever becomes of the configuration. */
static void open_log_early(void)
{
	if (source != NULL || (source = postfix_source_read(postfix_conf_dir(NULL), NULL)) == NULL)
		return;
	params = postfix_params_new(source, NULL, NULL);
	open_log();
}

static void free_configuration(void)
{
	if (source == NULL)
		return;
	postfix_params_free(params);
	postfix_source_free(source);
	params = NULL;
	source = NULL;
}

_Noreturn void sendmail_die(const char *format, ...)
{
	va_list args;

	open_log_early();
	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_FATAL, format, args);
	va_end(args);
	exit(SENDMAIL_FAILED);
}

__attribute__((format(printf, 1, 2))) static void warn(const char *format, ...)
{
	va_list args;

	open_log_early();
	va_start(args, format);
	log_vas(NULL, LOG_LEVEL_WARNING, format, args);
	va_end(args);
}

static void take_body(struct run *run, const char *value)
{
	if (strcasecmp(value, "8BITMIME") == 0)
		run->sm.encoding = "8bit";
	else if (strcasecmp(value, "7BIT") == 0)
		run->sm.encoding = "7bit";
	else
		sendmail_die("-B option needs 8BITMIME or 7BIT");
}

static void take_mode(struct run *run, const char *value)
{
	switch (value[0]) {
	case 'm':
		run->mode = MODE_SUBMIT;
		break;
	case 'p':
		run->mode = MODE_LIST;
		break;
	case 'i':
		run->mode = MODE_ALIASES;
		break;
	case 'd':
	case 'l':
		run->mode = MODE_START;
		break;
	case 'h':
	case 'H':
		run->mode = MODE_NOTHING; /* there is no list of hosts that are down */
		break;
	case 's':
		run->mode = MODE_SMTP;
		break;
	case 'v':
		run->mode = MODE_SUBMIT;
		run->sm.trace = ENVELOPE_TRACE_USER_PROBE;
		break;
	default:
		sendmail_die("unsupported: -b%c", value[0]);
	}
}

static void take_aliases(struct run *run, const char *value)
{
	(void)value;
	run->mode = MODE_ALIASES;
}

static void take_config(struct run *run, const char *value)
{
	run->config = value;
}

static void take_name(struct run *run, const char *value)
{
	run->sm.full_name = value;
}

static void take_sender(struct run *run, const char *value)
{
	run->sm.sender = value;
}

static void take_remote(struct run *run, const char *value)
{
	(void)value;
	run->sm.remote = true;
}

static void take_dots(struct run *run, const char *value)
{
	(void)value;
	run->sm.ignore_dots = true;
}

static void take_extract(struct run *run, const char *value)
{
	(void)value;
	run->sm.extract = true;
}

static void take_notify(struct run *run, const char *value)
{
	if (!dsn_notify_parse(slice_of(value), &run->sm.notify))
		warn("bad -N option value: '%s' -- ignored", value);
}

static void take_return(struct run *run, const char *value)
{
	if (!dsn_ret_parse(slice_of(value), &run->sm.ret))
		warn("bad -R option value -- ignored");
}

static void take_envelope_id(struct run *run, const char *value)
{
	run->sm.envelope_id = value;
}

static const struct {
	const char *word;
	unsigned sendopt;
	const char *parameter; /* that has to be "yes" */
} named_options[] = {
	{ "smtputf8", QUEUE_SENDOPT_SMTPUTF8, "smtputf8_enable" },
	{ "requiretls", QUEUE_SENDOPT_REQUIRETLS, "requiretls_enable" },
};

/* Only what we know to be without effect here is without effect. */
static void take_named_option(struct run *run, const char *value)
{
	const char *eq = strchr(value, '=');

	for (size_t i = 0; eq && i < ARRAY_LEN(named_options); i++) {
		const char *word = named_options[i].word;

		if (strlen(word) != (size_t)(eq - value) ||
		    strncasecmp(value, word, strlen(word)) != 0)
			continue;
		if (strcasecmp(eq + 1, "yes") == 0)
			run->sm.sendopts |= named_options[i].sendopt;
		else if (strcasecmp(eq + 1, "no") == 0)
			run->sm.sendopts &= ~named_options[i].sendopt;
		else
			warn("bad -O option: '%s' -- ignored", value);
	}
}

/* A probe has no content of its own, and one report in any case. */
static void check_trace(struct run *run)
{
	struct sendmail *sm = &run->sm;

	if (sm->trace == 0) {
		sm->trace = run->verbose ? ENVELOPE_TRACE_RECORD : 0;
		return;
	}
	const char *option = sm->extract       ? "-t"
			     : sm->notify != 0 ? "-N"
			     : sm->ret != 0    ? "-R"
			     : run->verbose    ? "-v"
					       : NULL;
	if (option)
		sendmail_die("%s option cannot be used with -bv", option);
}

static void check_verp(struct run *run)
{
	const char *given = run->sm.verp;

	if (given == NULL)
		return;
	if (given[0] == '\0')
		run->sm.verp = params->default_verp_delimiters;
	else if (!verp_is_valid(slice_of(given), params->verp_delimiter_filter))
		sendmail_die("-V requires two characters from %s", params->verp_delimiter_filter);
}

/* What the configuration does not allow is not asked for. */
static void check_named_options(struct run *run)
{
	for (size_t i = 0; i < ARRAY_LEN(named_options); i++) {
		const char *value = postfix_param_lookup(params, named_options[i].parameter);

		if (!(run->sm.sendopts & named_options[i].sendopt) || !value ||
		    strcasecmp(value, "no") != 0)
			continue;
		warn("'-O %s=yes' was requested, but the configuration is '%s = %s'",
		    named_options[i].word, named_options[i].parameter, value);
		run->sm.sendopts &= ~named_options[i].sendopt;
	}
}

static void take_old_option(struct run *run, const char *value)
{
	if (strcmp(value, "i") == 0)
		run->sm.ignore_dots = true;
}

static void take_queue(struct run *run, const char *value)
{
	if (value[0] == 'S')
		sendmail_die("-qS is not implemented");
	if (value[0] == 'I' || value[0] == 'R') {
		if (value[1] == '\0')
			sendmail_die(
			    "specify: -q%c%s", value[0], value[0] == 'I' ? "queueid" : "sitename");
		*(value[0] == 'I' ? &run->flush_id : &run->flush_site) = value + 1;
		run->mode = MODE_FLUSH;
	} else if (value[0] == '\0') {
		run->mode = MODE_FLUSH;
	} /* an interval: qmgr has its own */
}

static void take_x(struct run *run, const char *value)
{
	if (value[0] == 'V')
		run->sm.verp = value + 1;
}

static void take_verbose(struct run *run, const char *value)
{
	(void)value;
	run->verbose = true;
}

static void take_none(struct run *run, const char *value)
{
	(void)run;
	(void)value;
	sendmail_die("-n option not supported");
}

static const struct option_row {
	char letter;
	enum argument argument;
	void (*take)(struct run *run, const char *value); /* NULL: accepted, without effect */
} rows[] = {
	{ 'A', ARG_WORD, NULL },
	{ 'B', ARG_WORD, take_body },
	{ 'C', ARG_WORD, take_config },
	{ 'F', ARG_WORD, take_name },
	{ 'G', ARG_NONE, take_remote },
	{ 'I', ARG_NONE, take_aliases },
	{ 'L', ARG_WORD, NULL },
	{ 'N', ARG_WORD, take_notify },
	{ 'O', ARG_WORD, take_named_option },
	{ 'R', ARG_WORD, take_return },
	{ 'U', ARG_NONE, NULL },
	{ 'V', ARG_WORD, take_envelope_id },
	{ 'X', ARG_WORD, take_x },
	{ 'b', ARG_WORD, take_mode },
	{ 'c', ARG_NONE, NULL },
	{ 'e', ARG_WORD, NULL },
	{ 'f', ARG_WORD, take_sender },
	{ 'h', ARG_WORD, NULL },
	{ 'i', ARG_NONE, take_dots },
	{ 'm', ARG_NONE, NULL },
	{ 'n', ARG_NONE, take_none },
	{ 'o', ARG_WORD, take_old_option },
	{ 'p', ARG_WORD, NULL },
	{ 'q', ARG_ATTACHED, take_queue },
	{ 'r', ARG_WORD, take_sender },
	{ 't', ARG_NONE, take_extract },
	{ 'v', ARG_NONE, take_verbose },
	{ 'x', ARG_NONE, NULL },
};

static const struct option_row *find_row(char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].letter == letter)
			return &rows[i];
	sendmail_die("unknown option -%c", letter);
}

/* One word of options, "-ti" or "-fuser" or "-f" with *NEXT; returns how many words it took. */
static int take_word(struct run *run, const char *word, const char *next)
{
	for (const char *p = word + 1; *p != '\0'; p++) {
		const struct option_row *row = find_row(*p);
		const char *value = p + 1;
		int taken = 1;

		if (row->argument == ARG_WORD && *value == '\0') {
			if (next == NULL)
				sendmail_die("option -%c requires a value", *p);
			value = next;
			taken = 2;
		}
		if (row->take != NULL)
			row->take(run, row->argument == ARG_NONE ? "" : value);
		if (row->argument != ARG_NONE)
			return taken;
	}
	return 1;
}

/*
 * -V was VERP once, and not the envelope id: "-V" before a word of two characters, which is a
 * recipient then, and "-V" with two characters.
 */
static void use_new_form(char **word)
{
	char *old = *word;

	if (old[1] != 'V' ||
	    !(old[2] == '\0' ? word[1] != NULL && strlen(word[1]) == 2 : strlen(old) == 4))
		return;
	*word = xasprintf("-X%s", old + 1);
	warn("option %s is deprecated with Postfix 2.3; specify %s instead", old, *word);
}

static void take_options(struct run *run, int argc, char **argv)
{
	int i = 1;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		use_new_form(&argv[i]);
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		i += take_word(run, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
	}
	run->rest = argv + i;
	/* Not an address, and an option only to getopt(3)s that look behind addresses. */
	for (; i < argc && i > 0 && strcmp(argv[i - 1], "--") != 0; i++)
		if (argv[i][0] == '-')
			sendmail_die("%s: options come before the recipients", argv[i]);
}

/* -C names the directory, or main.cf in it; the commands that we run read it, too. */
static void use_configuration(const char *path)
{
	struct stat st;
	char *dir = xstrdup(path), *slash;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode) && (slash = strrchr(dir, '/')) != NULL)
		*slash = '\0';
	if (setenv("MAIL_CONFIG", dir, 1) < 0)
		sendmail_die("-C %s: %s", path, strerror(errno));
	free(dir);
}

static void read_configuration(void)
{
	const char *dir = postfix_conf_dir(NULL);

	free_configuration();
	source = postfix_source_read(dir, NULL);
	if (source == NULL)
		sendmail_die("open %s/main.cf: %s", dir, strerror(errno));
	params = postfix_params_new(source, NULL, NULL);
	open_log();
}

/* Returns only when the program could not be run. */
static _Noreturn void become(const char *program, char *option, char *value)
{
	char *argv[] = { (char *)program, option, value, NULL };
	char *path = programs_command(program);

	execv(path, argv);
	sendmail_die("cannot run %s: %s", path, strerror(errno));
}

static void run_postqueue(const struct run *run)
{
	if (run->mode == MODE_LIST)
		become("postqueue", "-p", NULL);
	if (run->flush_id != NULL)
		become("postqueue", "-i", (char *)run->flush_id);
	if (run->flush_site != NULL)
		become("postqueue", "-s", (char *)run->flush_site);
	become("postqueue", "-f", NULL);
}

static int rebuild_aliases(void)
{
	struct strbuf element = STRBUF_INIT(4096);
	char *program = programs_command("postalias");
	const char *list;
	int status = 0;

	read_configuration();
	list = params->alias_database;
	while (postfix_list_next(&list, &element)) {
		char *argv[] = { "postalias", element.ptr, NULL };

		if (programs_run(program, argv) != 0)
			status = SENDMAIL_FAILED;
		strbuf_reset(&element);
	}
	strbuf_release(&element);
	free(program);
	free_configuration();
	return status;
}

/* The names that the program is called by. */
static void take_program_name(struct run *run, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;

	if (strcmp(name, "mailq") == 0)
		run->mode = MODE_LIST;
	else if (strcmp(name, "newaliases") == 0)
		run->mode = MODE_ALIASES;
}

int main(int argc, char **argv)
{
	struct run run = { .mode = MODE_SUBMIT };

	programs_standard_files();
	log_command("sendmail");
	take_program_name(&run, argv[0]);
	take_options(&run, argc, argv);
	if (run.config != NULL)
		use_configuration(run.config);
	switch (run.mode) {
	case MODE_LIST:
	case MODE_FLUSH:
		run_postqueue(&run);
		break;
	case MODE_ALIASES:
		return rebuild_aliases();
	case MODE_START:
		become("postfix", "start", NULL);
	case MODE_NOTHING:
		return 0;
	case MODE_SMTP:
		if (run.rest[0] != NULL)
			sendmail_die("stand-alone mode requires no recipient");
		read_configuration();
		sendmail_smtp(params);
		free_configuration();
		return 0;
	case MODE_SUBMIT:
		break;
	}
	run.sm.recipients = run.rest;
	read_configuration();
	run.sm.params = params;
	check_named_options(&run);
	check_verp(&run);
	check_trace(&run);
	sendmail_submit(&run.sm);
	free_configuration();
	return 0;
}

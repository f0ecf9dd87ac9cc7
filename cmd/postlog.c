// SPDX-License-Identifier: BSD-2-Clause
/*
 * postlog: lines of scripts into the mail log.  Who may not write to maillog_file reaches the
 * service public/postlog, where one is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/command_log.h"
#include "cmd/programs.h"
#include "cmd/queue_client.h"
#include "log/log.h"

static const struct {
	const char *name;
	enum log_level level;
} severities[] = {
	{ "info", LOG_LEVEL_INFO },
	{ "warn", LOG_LEVEL_WARNING },
	{ "warning", LOG_LEVEL_WARNING },
	{ "error", LOG_LEVEL_ERROR },
	{ "err", LOG_LEVEL_ERROR },
	{ "fatal", LOG_LEVEL_FATAL },
	{ "crit", LOG_LEVEL_FATAL },
	{ "panic", LOG_LEVEL_FATAL },
};

struct postlog {
	const struct postfix_params *params;
	const char *tag;
	size_t severity;
};

static size_t find_severity(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(severities); i++)
		if (strcasecmp(name, severities[i].name) == 0)
			return i;
	queue_client_fatal("bad severity: \"%s\"", name);
}

static void put_line(const struct postlog *log, const char *text)
{
	enum log_level level = severities[log->severity].level;

	if (strcmp(severities[log->severity].name, "panic") == 0)
		log_as(NULL, LOG_LEVEL_ERROR, "panic: %s", text);
	else
		log_as(NULL, level, "%s", text);
}

static void open_log(const struct postlog *log)
{
	const struct command_log to = {
		.tag = log->tag, .stderr_name = "postlog", .to_stderr = isatty(STDERR_FILENO)
	};

	if (!command_log_open(log->params, &to))
		queue_client_fatal("open %s: %s", log->params->maillog_file, strerror(errno));
}

static void copy_lines(const struct postlog *log)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) != -1) {
		line[strcspn(line, "\n")] = '\0';
		put_line(log, line);
	}
	free(line);
}

static void put_words(const struct postlog *log, char **words)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);

	for (; *words; words++)
		strbuf_addf(&text, "%s%s", text.len ? " " : "", *words);
	put_line(log, text.ptr);
	strbuf_release(&text);
}

int main(int argc, char **argv)
{
	struct postlog log = { .tag = getenv("MAIL_LOGTAG") };
	const char *dir = NULL, *severity = "info";
	int opt;

	programs_standard_files();
	log_command("postlog");
	while ((opt = getopt(argc, argv, "+c:ip:t:v")) != -1) {
		if (opt == 'c')
			dir = optarg;
		else if (opt == 'p')
			severity = optarg;
		else if (opt == 't')
			log.tag = optarg;
		else if (opt ==
			 '?') /* -i and -v: our lines have the pid, and say all that we know */
			queue_client_fatal(
			    "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text]");
	}
	log.severity = find_severity(severity);
	log.params = queue_client_params(dir);
	open_log(&log);
	if (optind < argc)
		put_words(&log, argv + optind);
	else
		copy_lines(&log);
	queue_client_end();
	return 0;
}

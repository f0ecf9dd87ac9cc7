// SPDX-License-Identifier: BSD-2-Clause
/* doveadm log: where the log is, a line of each level into it, and what went wrong lately. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "cmd/doveadm.h"
#include "cmd/doveadm_print.h"
#include "cmd/doveadm_state.h"
#include "log/log.h"
#include "sys/file.h"

#define TAIL_BYTES (64 * 1024)
#define SYSLOG_MS  1000

const char doveadm_log_errors_usage[] = "[-s <min_timestamp>]";

static const struct {
	enum log_level level;
	const char *name, *word;
} levels[] = {
	{ LOG_LEVEL_DEBUG, "Debug", "debug" },
	{ LOG_LEVEL_INFO, "Info", "info" },
	{ LOG_LEVEL_WARNING, "Warning", "warning" },
	{ LOG_LEVEL_ERROR, "Error", "error" },
	{ LOG_LEVEL_FATAL, "Fatal", "fatal" },
};

static const char *path_of(const struct dovecot_settings *settings, enum log_level level)
{
	if (level == LOG_LEVEL_DEBUG)
		return dovecot_log_path(settings, DOVECOT_LOG_DEBUG);
	return dovecot_log_path(
	    settings, level == LOG_LEVEL_INFO ? DOVECOT_LOG_INFO : DOVECOT_LOG_ERRORS);
}

static int open_path(const char *path)
{
	if (!strcmp(path, "syslog"))
		return -1;
	if (!strcmp(path, "/dev/stderr"))
		return STDERR_FILENO;
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void write_test(
    const struct dovecot_settings *settings, enum log_level level, const char *word, time_t now)
{
	const char *path = path_of(settings, level);
	int fd = open_path(path);
	struct log_config config = { .style = LOG_STYLE_DOVECOT,
		.name = "doveadm",
		.facility = settings->syslog_facility,
		.timestamp = settings->log_timestamp,
		.fd = fd,
		.debug = true };

	if (fd < 0 && strcmp(path, "syslog") != 0)
		doveadm_die(EX_TEMPFAIL, "open(%s) failed: %s", path, strerror(errno));
	log_open(&config);
	log_as(NULL, level, "This is Dovecot's %s log (%lld)", word, (long long)now);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void write_tests(const struct dovecot_settings *settings, time_t now)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		write_test(settings, levels[i].level, levels[i].word, now);
}

int doveadm_log_test(int argc, char **argv)
{
	struct dovecot_settings *settings;

	doveadm_no_arguments(argc, argv);
	settings = doveadm_settings(NULL);
	write_tests(settings, time(NULL));
	dovecot_settings_free(settings);
	return 0;
}

int doveadm_log_reopen(int argc, char **argv)
{
	struct dovecot_settings *settings;

	doveadm_no_arguments(argc, argv);
	settings = doveadm_settings(NULL);
	doveadm_signal_master(settings, SIGUSR1);
	dovecot_settings_free(settings);
	return 0;
}

/* --- find --- */

static bool ends_with(int fd, const char *text)
{
	struct strbuf tail = STRBUF_INIT(TAIL_BYTES + 1);
	char buf[4096];
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n;
	bool found;

	(void)lseek(fd, size > TAIL_BYTES ? size - TAIL_BYTES : 0, SEEK_SET);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		strbuf_add(&tail, buf, (size_t)n);
	found = tail.len && memmem(tail.ptr, tail.len, text, strlen(text)) != NULL;
	strbuf_release(&tail);
	return found;
}

/* The file in DIRECTORY, or one level below it, that got TEXT; the caller frees it. */
static char *find_file(const char *directory, const char *text, int depth)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	char *found = NULL;

	while (dir && !found && (entry = readdir(dir)) != NULL) {
		char *path = xasprintf("%s/%s", directory, entry->d_name);
		struct stat st;
		int fd = -1;

		if (entry->d_name[0] == '.' || stat(path, &st) < 0)
			st.st_mode = 0;
		if (S_ISDIR(st.st_mode) && depth > 0)
			found = find_file(path, text, depth - 1);
		else if (S_ISREG(st.st_mode))
			fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && ends_with(fd, text))
			found = xstrdup(path);
		if (fd >= 0)
			close(fd);
		free(path);
	}
	if (dir)
		closedir(dir);
	return found;
}

static void find_in_syslog(const char *directory, time_t now)
{
	printf("Looking for log files from %s\n", directory);
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		char text[100], *path;

		snprintf(text, sizeof(text), "This is Dovecot's %s log (%lld)", levels[i].word,
		    (long long)now);
		path = find_file(directory, text, 1);
		fflush(stdout);
		if (path)
			printf("%s: %s\n", levels[i].name, path);
		else
			printf("%s: Not found\n", levels[i].name);
		free(path);
	}
}

int doveadm_log_find(int argc, char **argv)
{
	const struct timespec pause = { SYSLOG_MS / 1000, 0 };
	struct dovecot_settings *settings;
	time_t now = time(NULL);

	if (argc > 2)
		doveadm_usage();
	settings = doveadm_settings(NULL);
	if (strcmp(settings->log_path, "syslog") != 0) {
		for (size_t i = 0; i < ARRAY_LEN(levels); i++)
			printf("%s: %s\n", levels[i].name, path_of(settings, levels[i].level));
	} else {
		write_tests(settings, now);
		nanosleep(&pause, NULL);
		find_in_syslog(argc == 2 ? argv[1] : "/var/log", now);
	}
	dovecot_settings_free(settings);
	return 0;
}

/* --- errors --- */

static const struct doveadm_column columns[] = { { "timestamp", "timestamp", false, false },
	{ "prefix", "prefix", false, false }, { "type", "type", false, false },
	{ "text", "text", false, false } };

struct error_query {
	uint64_t since;
	bool has_table;
};

static void print_error(const struct doveadm_state_line *line, void *arg)
{
	const struct error_query *query = arg;
	uint64_t when;
	char stamp[64];
	struct tm local;
	time_t t;

	if (strcmp(line->words[0], "ERROR") != 0 || line->count < 5 ||
	    !slice_uint(slice_of(line->words[1]), INT64_MAX, &when) || when < query->since)
		return;
	t = (time_t)when;
	localtime_r(&t, &local);
	strftime(stamp, sizeof(stamp), "%b %d %H:%M:%S", &local);
	if (!query->has_table) {
		printf("%s %s: %s: %s\n", stamp, line->words[2], line->words[3], line->words[4]);
		return;
	}
	doveadm_print(stamp);
	doveadm_print(line->words[3]);
	doveadm_print(line->words[2]);
	doveadm_print(line->words[4]);
}

int doveadm_log_errors(int argc, char **argv)
{
	struct error_query query = { 0, doveadm_print_is_chosen() };
	struct dovecot_settings *settings;
	int option;

	while ((option = getopt(argc, argv, "+s:")) != -1) {
		if (option != 's')
			exit(EX_USAGE);
		if (!slice_uint(slice_of(optarg), INT64_MAX, &query.since))
			query.since = 0;
	}
	settings = doveadm_settings(NULL);
	if (query.has_table)
		doveadm_print_begin("flow", columns, ARRAY_LEN(columns));
	doveadm_state_read(settings, print_error, &query);
	if (query.has_table)
		doveadm_print_end();
	dovecot_settings_free(settings);
	return 0;
}

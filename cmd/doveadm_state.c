// SPDX-License-Identifier: BSD-2-Clause
/*
 * doveadm service status, process status and instance list.  master answers whoever may connect
 * with one sealed file that holds all it has to say (master/status.c): no side waits for the other.
 */
#include "cmd/doveadm_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "cmd/control.h"
#include "cmd/doveadm.h"
#include "cmd/doveadm_print.h"
#include "sys/file.h"
#include "sys/instances.h"
#include "sys/socket.h"

#define ANSWER_MS (5 * 1000)
#define STATE_MAX ((size_t)16 * 1024 * 1024)

static int receive(const char *path)
{
	int fd = socket_unix_connect(path, deadline_in(ANSWER_MS)), file = -1;
	size_t count = 1;
	char byte;

	if (fd < 0)
		doveadm_die(EX_TEMPFAIL, "connect(%s) failed: %s", path, strerror(errno));
	if (socket_wait(fd, 1, deadline_in(ANSWER_MS)) != 1 ||
	    socket_recv_fds(fd, &byte, 1, &file, &count, false) != 1 || count != 1)
		doveadm_die(EX_TEMPFAIL, "read(%s) failed: no answer from master", path);
	close(fd);
	return file;
}

void doveadm_state_read(const struct dovecot_settings *settings,
    void (*each)(const struct doveadm_state_line *line, void *arg), void *arg)
{
	char *path = doveadm_socket_path(settings, "master-status");
	struct strbuf text = STRBUF_INIT(STATE_MAX);
	int fd = receive(path);
	char *rest, *next;

	(void)lseek(fd, 0, SEEK_SET);
	if (file_read_fd(fd, &text) < 0)
		doveadm_die(EX_TEMPFAIL, "read(%s) failed: %s", path, strerror(errno));
	for (rest = text.ptr; rest && *rest; rest = next) {
		struct doveadm_state_line line = { .count = 0 };

		next = strchr(rest, '\n');
		if (next)
			*next++ = '\0';
		while (rest && line.count < DOVEADM_STATE_WORDS)
			line.words[line.count++] = strsep(&rest, "\t");
		each(&line, arg);
	}
	close(fd);
	strbuf_release(&text);
	free(path);
}

/* --- service status, process status --- */

struct selection {
	const char *kind;
	char **names; /* ends with NULL; empty: all */
	size_t words;
};

static void print_selected(const struct doveadm_state_line *line, void *arg)
{
	const struct selection *s = arg;
	bool wanted = !s->names[0];

	if (strcmp(line->words[0], s->kind) != 0 || line->count < s->words + 1)
		return;
	for (size_t i = 0; s->names[i]; i++)
		wanted |= strcmp(s->names[i], line->words[1]) == 0;
	for (size_t i = 1; wanted && i <= s->words; i++)
		doveadm_print(line->words[i]);
}

static int print_state(const char *kind, const char *format, const struct doveadm_column *columns,
    size_t count, char **argv)
{
	struct dovecot_settings *settings = doveadm_settings(NULL);
	struct selection s = { kind, argv + 1, count };

	doveadm_print_begin(format, columns, count);
	doveadm_state_read(settings, print_selected, &s);
	doveadm_print_end();
	dovecot_settings_free(settings);
	return 0;
}

#define COLUMN(name)                                                                               \
	{                                                                                          \
		name, name, false, false                                                           \
	}

int doveadm_service_status(int argc, char **argv)
{
	static const struct doveadm_column columns[] = { COLUMN("name"), COLUMN("process_count"),
		COLUMN("process_avail"), COLUMN("process_limit"), COLUMN("client_limit"),
		COLUMN("throttle_secs"), COLUMN("exit_failure_last"),
		COLUMN("exit_failures_in_sec"), COLUMN("last_drop_warning"),
		COLUMN("listen_pending"), COLUMN("listening"), COLUMN("doveadm_stop"),
		COLUMN("process_total") };

	(void)argc;
	return print_state("SERVICE", "pager", columns, ARRAY_LEN(columns), argv);
}

int doveadm_process_status(int argc, char **argv)
{
	static const struct doveadm_column columns[] = { COLUMN("name"), COLUMN("pid"),
		COLUMN("available_count"), COLUMN("total_count"), COLUMN("idle_start"),
		COLUMN("last_status_update"), COLUMN("last_kill_sent") };

	(void)argc;
	return print_state("PROCESS", "table", columns, ARRAY_LEN(columns), argv);
}

/* --- instances --- */

static bool is_running(const char *base_dir)
{
	char *pid_file = xasprintf("%s/master.pid", base_dir);
	bool running = control_running(pid_file) != 0;

	free(pid_file);
	return running;
}

static void print_instance(const struct instance *instance)
{
	char when[64];
	struct tm local;

	localtime_r(&instance->last_used, &local);
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &local);
	doveadm_print(instance->base_dir);
	doveadm_print(instance->name);
	doveadm_print(when);
	doveadm_print(is_running(instance->base_dir) ? "yes" : "no");
}

static void read_instances(const struct dovecot_settings *settings, struct instance_list *list)
{
	char *path = xasprintf("%s/instances", settings->state_dir);

	if (!instances_read(path, list))
		doveadm_die(EX_TEMPFAIL, "open(%s) failed: %s", path, strerror(errno));
	free(path);
}

int doveadm_instance_list(int argc, char **argv)
{
	static const struct doveadm_column columns[] = { { "path", "path", true, false },
		COLUMN("name"), COLUMN("last used"), COLUMN("running") };
	struct dovecot_settings *settings;
	struct instance_list list;
	bool only_config = false;
	const char *name;
	int option;

	while ((option = getopt(argc, argv, "+c")) != -1) {
		if (option != 'c')
			exit(EX_USAGE);
		only_config = true;
	}
	name = argv[optind];
	settings = doveadm_settings(NULL);
	read_instances(settings, &list);
	if (!only_config)
		doveadm_print_begin("table", columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < list.count; i++) {
		if (name && strcmp(name, list.list[i].name) != 0)
			continue;
		if (only_config)
			puts(list.list[i].config);
		else
			print_instance(&list.list[i]);
	}
	if (!only_config)
		doveadm_print_end();
	instances_release(&list);
	dovecot_settings_free(settings);
	return 0;
}

int doveadm_instance_remove(int argc, char **argv)
{
	struct dovecot_settings *settings;
	char *path;
	int removed;

	if (argc != 2)
		doveadm_usage();
	settings = doveadm_settings(NULL);
	path = xasprintf("%s/instances", settings->state_dir);
	removed = instances_remove(path, argv[1]);
	if (removed < 0)
		doveadm_die(EX_TEMPFAIL, "write(%s) failed: %s", path, strerror(errno));
	if (removed == 0)
		fputs("Error: Instance already didn't exist\n", stderr);
	free(path);
	dovecot_settings_free(settings);
	return removed ? 0 : 68; /* the peer's "not found" */
}

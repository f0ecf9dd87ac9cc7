// SPDX-License-Identifier: BSD-2-Clause
/*
 * Tables that no one has compiled for us yet: after a move from Postfix there are Berkeley files
 * (vusers.db) and texts, but none of ours.  The words TYPE:PATH of all parameters that work name
 * the tables; postmap makes the file, as the owner of the text.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "master/supervisor.h"

#define COMPILE_MS 60000
#define SEPARATORS " ,\t\r\n{}"

static const char *const types[] = { "hash:", "btree:", "lmdb:" };

/* The program beside us in the tree that was installed, wherever that lies. */
static char *postmap_path(void)
{
	char *path = xasprintf("%s/../../sbin/postmap", master.program_dir);

	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return xstrdup(PC_SBINDIR "/postmap");
}

static bool newer(const struct stat *a, const struct stat *b)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
}

/* A table without a text is somebody else's to make. */
static bool needs_compiling(const char *path, const char **why)
{
	char *compiled = xasprintf("%s.lmdb", path);
	struct stat text, table;
	bool have = stat(compiled, &table) == 0;

	free(compiled);
	if (stat(path, &text) < 0 || !S_ISREG(text.st_mode))
		return false;
	*why = have ? "older than its text" : "missing";
	return !have || newer(&text, &table);
}

/* Waits for PID; its exit status, or -1 when it had to be killed. */
static int wait_for(pid_t pid)
{
	int64_t deadline = deadline_in(COMPILE_MS);
	const struct timespec pause = { .tv_nsec = 2000000 };
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (deadline_left(deadline) == 0) {
			kill(pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void compile(const char *table, const char *why)
{
	char *program = postmap_path();
	char *argv[] = { "postmap", "-c", (char *)(uintptr_t)master.config,
		(char *)(uintptr_t)table, NULL };
	pid_t pid;
	int rc = posix_spawn(&pid, program, NULL, NULL, argv, environ);

	if (rc != 0)
		log_warning(
		    "table %s is %s, and %s cannot be run: %s", table, why, program, strerror(rc));
	else if (wait_for(pid) != 0)
		log_warning("table %s is %s, and could not be compiled", table, why);
	else
		log_info("table %s was %s: compiled", table, why);
	free(program);
}

static void look_at(const char *word, struct map *seen)
{
	const char *why;

	if (strncmp(word, "proxy:", 6) == 0)
		word += 6;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strncmp(word, types[i], strlen(types[i])) != 0)
			continue;
		if (map_put_str(seen, word, seen) == NULL &&
		    needs_compiling(word + strlen(types[i]), &why))
			compile(word, why);
	}
}

static void look_at_value(const char *value, struct map *seen)
{
	struct slice rest = slice_of(value), word;

	while (slice_token(&rest, SEPARATORS, &word)) {
		char *text = xstrndup(word.ptr, word.len);

		look_at(text, seen);
		free(text);
	}
}

static bool names_tables(const struct postfix_param_row *row)
{
	return row->works && (row->type == PARAM_STR || row->type == PARAM_RAW);
}

/* Texts of aliases are postalias's, wherever else their tables are named. */
static void leave_aliases_out(const struct postfix_params *params, struct map *seen)
{
	static const char *const names[] = { "alias_maps", "alias_database" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = postfix_param_lookup(params, names[i]);
		struct slice rest = slice_of(value), word;

		while (slice_token(&rest, SEPARATORS, &word))
			(void)map_put(seen, word, seen);
	}
}

static void look_at_role(const struct postfix_params *params, struct map *seen)
{
	leave_aliases_out(params, seen);
	for (size_t i = 0; i < postfix_param_count(); i++) {
		const struct postfix_param_row *row = postfix_param_row(i);
		const char *value =
		    names_tables(row) ? postfix_param_lookup(params, row->name) : NULL;

		if (value != NULL)
			look_at_value(value, seen);
	}
}

void compile_tables(const struct postfix_source *source)
{
	struct map seen = MAP_INIT;

	for (size_t i = 0; i < postfix_service_count(source); i++) {
		struct postfix_params *role =
		    postfix_params_new(source, postfix_service_at(source, i), NULL);

		look_at_role(role, &seen);
		postfix_params_free(role);
	}
	map_release(&seen, NULL);
}

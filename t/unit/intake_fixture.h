// SPDX-License-Identifier: BSD-2-Clause
/* For tests of lib/intake: a service of a main.cf, messages given to it, and what became of them.
 */
#ifndef PC_UNIT_INTAKE_FIXTURE_H
#define PC_UNIT_INTAKE_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "config.h"
#include "intake/intake.h"
#include "queue/envelope.h"

static struct config config;
static struct intake_service *service;
static int proc_fd;

static inline uint64_t next_number(void *arg)
{
	static uint64_t number;

	(void)arg;
	return ++number;
}

static inline void open_service(const char *main_cf)
{
	char path[160];
	struct reason why;

	if (config.dir[0] == '\0')
		config_dir(&config);
	char *text = xasprintf("queue_directory = %s\n%s", config.dir, main_cf);

	config_open(&config, text);
	free(text);
	config_path(&config, "incoming", path, sizeof(path));
	assert_int_equal(mkdir(path, 0700), 0);
	config_path(&config, "public", path, sizeof(path));
	assert_int_equal(mkdir(path, 0700), 0);
	proc_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	service = intake_service_new(
	    &(struct intake_service_config){
		.params = config.params,
		.log_name = "postfix/cleanup",
		.program = "test",
		.proc_fd = proc_fd,
		.next_number = next_number,
	    },
	    &why);
	assert_non_null(service);
}

static inline void close_service(void)
{
	intake_service_free(service);
	close(proc_fd);
	config_close(&config);
}

static inline struct intake *begin(const struct intake_origin *origin)
{
	struct reason why;
	struct intake *in = intake_begin(service, origin, SLICE_LIT("s@example.com"), &why);
	struct intake_recipient rcpt = { .address = SLICE_LIT("r@example.com") };

	assert_non_null(in);
	assert_true(intake_recipient(in, &rcpt, &why));
	return in;
}

/* The lines of TEXT, each a whole one; a line that ends with '\\' has its next piece behind it. */
static inline bool feed(struct intake *in, const char *text, struct reason *why)
{
	struct slice rest = slice_of(text);
	bool ok = true;

	while (ok && rest.len > 0) {
		ptrdiff_t lf = slice_find(rest, '\n');
		struct slice line = slice_first(rest, (size_t)lf);
		bool whole = !slice_ends(line, "\\");

		if (!whole)
			line.len--;
		ok = intake_line(in, line, whole, why);
		rest = slice_from(rest, (size_t)lf + 1);
	}
	return ok;
}

/* The content of the named file in incoming. */
static inline char *content_of(const char *id, struct envelope **envelope)
{
	char name[100], path[200];
	struct strbuf text = STRBUF_INIT(1000000);
	struct content_reader reader;
	struct slice line;
	struct reason why;
	bool whole;

	snprintf(name, sizeof(name), "incoming/%s", id);
	config_path(&config, name, path, sizeof(path));
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	*envelope = envelope_read(fd, id, ENVELOPE_VERIFY, &why);
	if (*envelope == NULL)
		fail_msg("%s", why.text);
	content_reader_init(&reader, fd, (*envelope)->data_offset);
	while (content_reader_next(&reader, &line, &whole) == CONTENT_LINE) {
		strbuf_addslice(&text, line);
		if (whole)
			strbuf_addch(&text, '\n');
	}
	content_reader_release(&reader);
	close(fd);
	return strbuf_detach(&text);
}

static inline unsigned incoming_count(void)
{
	char path[200];
	struct dirent *entry;
	unsigned count = 0;

	config_path(&config, "incoming", path, sizeof(path));
	DIR *dir = opendir(path);

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* A message that is committed, or refused with "DSN text". */
static inline void check_content(const char *name, const char *text, const char *want)
{
	struct intake *in =
	    begin(&(struct intake_origin){ .origin = "local", .protocol = "ESMTP" });
	struct envelope *env;
	struct reason why;

	if (!feed(in, text, &why) || !intake_commit(in, &why)) {
		char *got = xasprintf("%s %s", why.dsn, why.text);

		want_str(name, got, want);
		free(got);
		intake_free(in);
		return;
	}
	char *got = content_of(intake_id(in), &env);

	want_str(name, got, want);
	free(got);
	envelope_free(env);
	intake_free(in);
}

#endif

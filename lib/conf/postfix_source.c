// SPDX-License-Identifier: BSD-2-Clause
#include "conf/postfix_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "conf/conf_lines.h"
#include "sys/file.h"

#define BLANKS		   " \t\r\n\v\f"
#define READ_ATTEMPTS	   5
#define DEFAULT_CONFIG_DIR PC_SYSCONFDIR "/postfix"

const char *postfix_conf_dir(const char *option)
{
	if (option)
		return option;
	const char *env = getenv("MAIL_CONFIG");
	return env && env[0] != '\0' ? env : DEFAULT_CONFIG_DIR;
}

struct postfix_source *postfix_source_new(const char *dir)
{
	struct postfix_source *source = xcalloc(1, sizeof(*source));
	source->dir = xstrdup(dir);
	source->main_path = xasprintf("%s/main.cf", dir);
	source->master_path = xasprintf("%s/master.cf", dir);
	strbuf_init(&source->main_text, POSTFIX_FILE_LIMIT);
	strbuf_init(&source->master_text, POSTFIX_FILE_LIMIT);
	source->environment.hostname = xstrdup("");
	strbuf_init(&source->environment.addresses, POSTFIX_FILE_LIMIT);
	return source;
}

void postfix_source_free(struct postfix_source *source)
{
	if (!source)
		return;
	for (size_t i = 0; i < source->set_count; i++) {
		free(source->set[i].name);
		free(source->set[i].value);
	}
	free(source->set);
	map_release(&source->by_name, NULL);
	for (size_t i = 0; i < source->service_count; i++)
		postfix_service_release(&source->services[i]);
	free(source->services);
	strbuf_release(&source->main_text);
	strbuf_release(&source->master_text);
	free(source->environment.hostname);
	strbuf_release(&source->environment.addresses);
	free(source->main_path);
	free(source->master_path);
	free(source->dir);
	free(source);
}

const char *postfix_split_assignment(struct slice text, struct slice *name, struct slice *value)
{
	text = slice_trim(text, BLANKS);
	size_t len = 0;
	while (len < text.len && text.ptr[len] != '=' && !ascii_isspace(text.ptr[len]))
		len++;
	*name = slice_first(text, len);
	struct slice rest = slice_trim(slice_from(text, len), BLANKS);
	if (name->len == 0)
		return "missing attribute name";
	if (rest.len == 0 || rest.ptr[0] != '=')
		return "missing '=' after attribute name";
	*value = slice_trim(slice_from(rest, 1), BLANKS);
	return NULL;
}

static struct postfix_assignment *find_assignment(
    const struct postfix_source *source, struct slice name)
{
	uintptr_t index = (uintptr_t)map_get(&source->by_name, name);
	return index == 0 ? NULL : &source->set[index - 1];
}

static void add_assignment(
    struct postfix_source *source, struct slice name, struct slice value, unsigned line)
{
	if (source->set_count == source->set_alloc) {
		source->set_alloc = source->set_alloc ? 2 * source->set_alloc : 64;
		source->set = xreallocarray(source->set, source->set_alloc, sizeof(*source->set));
	}
	source->set[source->set_count++] = (struct postfix_assignment){
		.name = xstrndup(name.ptr, name.len),
		.value = xstrndup(value.ptr ? value.ptr : "", value.len),
		.line = line,
	};
	map_put(&source->by_name, name, (void *)(uintptr_t)source->set_count);
}

/* The last assignment counts; the peer warns when it says something else than the one before. */
static void assign(struct postfix_source *source, struct slice name, struct slice value,
    unsigned line, struct conf_errors *errors)
{
	struct postfix_assignment *old = find_assignment(source, name);
	if (!old) {
		add_assignment(source, name, value, line);
		return;
	}
	if (!slice_eq_str(value, old->value))
		conf_report(errors, CONF_WARNING, source->main_path, line,
		    "overriding earlier entry: %s=%s (line %u)", old->name, old->value, old->line);
	free(old->value);
	old->value = xstrndup(value.ptr ? value.ptr : "", value.len);
	old->line = line;
}

void postfix_main_parse(struct postfix_source *source, struct conf_errors *errors)
{
	struct conf_lines lines;
	struct strbuf line = STRBUF_INIT(POSTFIX_FILE_LIMIT);
	conf_lines_init(&lines, strbuf_slice(&source->main_text));
	while (conf_lines_next(&lines, &line)) {
		struct slice name, value, text = strbuf_slice(&line);
		const char *problem = NULL;
		if (slice_has_nul(text))
			problem = "NUL byte in line";
		else if (ascii_isspace(text.ptr[0])) {
			conf_report(errors, CONF_WARNING, source->main_path, lines.first,
			    "logical line must not start with whitespace, ignored: \"%.60s\"",
			    text.ptr);
			continue;
		} else
			problem = postfix_split_assignment(text, &name, &value);
		if (problem)
			conf_report(errors, CONF_ERROR, source->main_path, lines.first,
			    "%s: \"%.60s\"", problem, text.ptr);
		else
			assign(source, name, value, lines.first, errors);
	}
	strbuf_release(&line);
}

static bool is_same_version(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Reads once; *WHOLE tells whether nobody wrote to the file meanwhile. */
static int read_once(const char *path, struct strbuf *text, bool *whole)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	struct stat before, after;
	int rc = fstat(fd, &before);
	if (rc == 0)
		rc = file_read_fd(fd, text);
	if (rc == 0)
		rc = fstat(fd, &after);
	int error = errno;
	close(fd);
	errno = error;
	if (rc == 0)
		*whole = is_same_version(&before, &after);
	return rc;
}

/* An editor that is just writing the file must not make us run on half of it. */
static int read_whole(const char *path, struct strbuf *text)
{
	bool whole = false;
	for (unsigned i = 0; i < READ_ATTEMPTS && !whole; i++) {
		strbuf_reset(text);
		if (read_once(path, text, &whole) < 0)
			return -1;
		if (!whole)
			usleep(20000);
	}
	return 0;
}

static void parse_texts(struct postfix_source *source, struct conf_errors *errors)
{
	postfix_main_parse(source, errors);
	char *interfaces = postfix_source_value(source, "inet_interfaces");
	postfix_environment_probe(&source->environment, interfaces ? interfaces : "");
	free(interfaces);
	postfix_master_parse(source, errors);
}

struct postfix_source *postfix_source_defaults(const char *dir)
{
	struct postfix_source *source = postfix_source_new(dir);
	if (read_whole(source->master_path, &source->master_text) < 0)
		strbuf_reset(&source->master_text);
	parse_texts(source, NULL);
	return source;
}

struct postfix_source *postfix_source_read(const char *dir, struct conf_errors *errors)
{
	struct postfix_source *source = postfix_source_new(dir);
	if (read_whole(source->main_path, &source->main_text) < 0) {
		int error = errno;
		conf_report(errors, CONF_ERROR, source->main_path, 0, "cannot be read: %s",
		    strerror(error));
		postfix_source_free(source);
		errno = error;
		return NULL;
	}
	if (read_whole(source->master_path, &source->master_text) < 0)
		conf_report(errors, CONF_ERROR, source->master_path, 0, "cannot be read: %s",
		    strerror(errno));
	parse_texts(source, errors);
	return source;
}

const char *postfix_source_dir(const struct postfix_source *source)
{
	return source->dir;
}

const char *postfix_source_raw(
    const struct postfix_source *source, const char *name, unsigned *line)
{
	const struct postfix_assignment *found = find_assignment(source, slice_of(name));
	if (found && line)
		*line = found->line;
	return found ? found->value : NULL;
}

size_t postfix_source_set_count(const struct postfix_source *source)
{
	return source->set_count;
}

const char *postfix_source_set_name(const struct postfix_source *source, size_t i)
{
	ASSERT(i < source->set_count);
	return source->set[i].name;
}

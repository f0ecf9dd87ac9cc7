// SPDX-License-Identifier: BSD-2-Clause
/* The types that are a line or two: static, fail, environ, unix. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "table/table_type.h"

/* static:TEXT or static:{ TEXT }: the same answer for all keys. */
static void *static_open(const char *name, unsigned flags, char **error)
{
	struct slice text = slice_of(name);

	(void)flags;
	if (!table_unbrace(&text)) {
		*error = xasprintf("bad static:name syntax: missing '}' in \"%s\"", name);
		return NULL;
	}
	return xstrndup(text.len ? text.ptr : "", text.len);
}

static enum table_result static_get(void *impl, struct slice key, struct strbuf *value)
{
	(void)key;
	strbuf_addstr(value, impl);
	return TABLE_FOUND;
}

static void *fail_open(const char *name, unsigned flags, char **error)
{
	(void)flags;
	(void)error;
	return xstrdup(name);
}

static enum table_result fail_get(void *impl, struct slice key, struct strbuf *value)
{
	(void)impl;
	(void)key;
	(void)value;
	return TABLE_ERROR;
}

/* Variables of our environment, which nothing changes while we serve. */
static void *environ_open(const char *name, unsigned flags, char **error)
{
	(void)flags;
	(void)error;
	return xstrdup(name);
}

static enum table_result environ_get(void *impl, struct slice key, struct strbuf *value)
{
	char *name;
	const char *text;

	(void)impl;
	if (!key.len || slice_has_nul(key) || slice_find(key, '=') >= 0)
		return TABLE_NOT_FOUND;
	name = xstrndup(key.ptr, key.len);
	text = getenv(name);
	free(name);
	if (!text)
		return TABLE_NOT_FOUND;
	strbuf_addstr(value, text);
	return TABLE_FOUND;
}

enum unix_kind { UNIX_PASSWD = 1, UNIX_GROUP = 2 };

/*
 * The modules of NSS are loaded at the first look-up; it is made here, before the jail.
 */
static void *unix_open(const char *name, unsigned flags, char **error)
{
	enum unix_kind *kind = xmalloc(sizeof(*kind));

	(void)flags;
	if (strcmp(name, "passwd.byname") == 0) {
		*kind = UNIX_PASSWD;
		(void)getpwnam("root");
	} else if (strcmp(name, "group.byname") == 0) {
		*kind = UNIX_GROUP;
		(void)getgrnam("root");
	} else {
		*error = xasprintf("unknown table: unix:%s", name);
		free(kind);
		return NULL;
	}
	return kind;
}

/* getpwnam(3): these mean that the name was not found. */
static enum table_result unix_failure(int error)
{
	if (error == 0 || error == ENOENT || error == ESRCH)
		return TABLE_NOT_FOUND;
	return TABLE_ERROR;
}

static enum table_result get_passwd(const char *name, char *buf, size_t size, struct strbuf *value)
{
	struct passwd pw, *found = NULL;
	int error = getpwnam_r(name, &pw, buf, size, &found);

	if (error || !found)
		return unix_failure(error);
	/* The second field is never the hash, even if it is there to be read. */
	strbuf_addf(value, "%s:x:%ld:%ld:%s:%s:%s", pw.pw_name, (long)pw.pw_uid, (long)pw.pw_gid,
	    pw.pw_gecos, pw.pw_dir, pw.pw_shell);
	return TABLE_FOUND;
}

static enum table_result get_group(const char *name, char *buf, size_t size, struct strbuf *value)
{
	struct group gr, *found = NULL;
	int error = getgrnam_r(name, &gr, buf, size, &found);

	if (error || !found)
		return unix_failure(error);
	strbuf_addf(value, "%s:x:%ld:", gr.gr_name, (long)gr.gr_gid);
	for (char **member = gr.gr_mem; *member; member++)
		strbuf_addf(value, "%s%s", member == gr.gr_mem ? "" : ",", *member);
	return TABLE_FOUND;
}

static enum table_result unix_get(void *impl, struct slice key, struct strbuf *value)
{
	const enum unix_kind *kind = impl;
	enum table_result result;
	size_t size = 64 * 1024;
	char *name, *buf;

	/* No user's name is longer, and none has these. */
	if (!key.len || key.len > 255 || slice_has_nul(key) || slice_find(key, ':') >= 0)
		return TABLE_NOT_FOUND;
	name = xstrndup(key.ptr, key.len);
	buf = xmalloc(size);
	result = *kind == UNIX_PASSWD ? get_passwd(name, buf, size, value)
				      : get_group(name, buf, size, value);
	free(buf);
	free(name);
	return result;
}

static const char *unix_directory(void *impl)
{
	(void)impl;
	return "/etc";
}

const struct table_type table_type_static = {
	.name = "static",
	.asks_nobody = true,
	.open = static_open,
	.free = free,
	.get = static_get,
};

const struct table_type table_type_fail = {
	.name = "fail",
	.asks_nobody = true,
	.open = fail_open,
	.free = free,
	.get = fail_get,
};

const struct table_type table_type_environ = {
	.name = "environ",
	.asks_nobody = true,
	.open = environ_open,
	.free = free,
	.get = environ_get,
};

const struct table_type table_type_unix = {
	.name = "unix",
	.open = unix_open,
	.free = free,
	.get = unix_get,
	.directory = unix_directory,
};

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What an installer or a new version asks of "postfix".  The spool belongs to mail_owner in part,
 * so names in it are followed nowhere: every step is by the descriptor of the directory before.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/postfix.h"
#include "cmd/programs.h"
#include "log/log.h"
#include "server/spool_layout.h"
#include "sys/file.h"
#include "sys/priv.h"

/* Queue files lie in directories of up to hash_queue_depth, and those in their queue's. */
#define DEPTH_MAX 8

struct owners {
	struct priv_user owner;
	gid_t drop;
};

static _Noreturn void failed(const char *path)
{
	fatal("%s: %s", path, strerror(errno));
}

/* --- set-permissions --- */

static void own_below(int dirfd, const char *path, const struct owners *o, int depth);

/* A link is given away as a link. */
static void own_entry(
    int dirfd, const char *path, const char *name, const struct owners *o, int depth)
{
	char *below;
	int fd;

	if (fchownat(dirfd, name, o->owner.uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno != ENOENT)
		log_warning("%s/%s: %s", path, name, strerror(errno));
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return;
	below = xasprintf("%s/%s", path, name);
	own_below(fd, below, o, depth + 1);
	free(below);
}

/* Takes DIRFD over. */
static void own_below(int dirfd, const char *path, const struct owners *o, int depth)
{
	const struct dirent *entry;
	DIR *list = depth < DEPTH_MAX ? fdopendir(dirfd) : NULL;

	if (list == NULL) {
		close(dirfd);
		return;
	}
	while ((entry = readdir(list)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			own_entry(dirfd, path, entry->d_name, o, depth);
	closedir(list);
}

static void set_directory(
    int parent, const char *path, const char *name, mode_t mode, uid_t uid, gid_t gid, int *fd)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		failed(path);
	*fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0 || fchown(*fd, uid, gid) < 0 || fchmod(*fd, mode) < 0)
		failed(path);
}

/* Files in maildrop are their senders', and sockets whose the service is. */
static bool owns_content(const struct spool_directory *d)
{
	return d->of_owner && !d->of_drop_group && strcmp(d->name, "private") != 0;
}

static void set_spool(const struct postfix_params *params, const struct owners *o)
{
	int fd, spool;

	if (dir_make(AT_FDCWD, params->queue_directory, 0755) < 0)
		failed(params->queue_directory);
	spool = open(params->queue_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool < 0 || fchown(spool, 0, 0) < 0 || fchmod(spool, 0755) < 0)
		failed(params->queue_directory);
	for (const struct spool_directory *d = spool_directories; d->name != NULL; d++) {
		char *path = xasprintf("%s/%s", params->queue_directory, d->name);

		set_directory(spool, path, d->name, d->mode, d->of_owner ? o->owner.uid : 0,
		    d->of_drop_group ? o->drop : (gid_t)-1, &fd);
		if (owns_content(d))
			own_below(fd, path, o, 0);
		else
			close(fd);
		free(path);
	}
	close(spool);
	if (dir_make(AT_FDCWD, params->data_directory, 0700) < 0)
		failed(params->data_directory);
	set_directory(AT_FDCWD, params->data_directory, params->data_directory, 0700, o->owner.uid,
	    (gid_t)-1, &fd);
	close(fd);
}

static void set_file(const char *path, gid_t gid, mode_t mode)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return;
	/* The mode last: a new owner takes set-gid away. */
	if (fd < 0 || fchown(fd, 0, gid) < 0 || fchmod(fd, mode) < 0)
		failed(path);
	close(fd);
}

static void set_programs(const struct owners *o)
{
	static const char *const set_gid[] = { "postdrop", "postqueue", "postlog" };

	for (size_t i = 0; i < ARRAY_LEN(set_gid); i++) {
		char *path = programs_command(set_gid[i]);

		set_file(path, o->drop, 02755);
		free(path);
	}
}

static void set_configuration(const char *dir)
{
	static const char *const files[] = { "main.cf", "master.cf" };

	set_file(dir, (gid_t)-1, 0755);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *path = xasprintf("%s/%s", dir, files[i]);

		set_file(path, (gid_t)-1, 0644);
		free(path);
	}
}

/* "mail_owner=x" changes main.cf first. */
static void take_settings(const struct postfix_command *pf)
{
	char *program = programs_command("postconf");

	for (char **arg = pf->rest; *arg != NULL; arg++) {
		char *argv[] = { "postconf", "-c", (char *)(uintptr_t)pf->dir, "-e", *arg, NULL };

		if (strchr(*arg, '=') == NULL)
			fatal("usage: postfix set-permissions [name=value...]");
		if (programs_run(program, argv) != 0)
			fatal("%s: main.cf could not be changed", *arg);
	}
	free(program);
}

int postfix_set_permissions(struct postfix_command *pf)
{
	struct postfix_source *source;
	struct postfix_params *params;
	struct owners o;

	if (geteuid() != 0)
		fatal("set-permissions: only root can give files to others");
	take_settings(pf);
	source = postfix_source_read(pf->dir, NULL);
	if (source == NULL)
		failed(pf->dir);
	params = postfix_params_new(source, NULL, NULL);
	if (!priv_find_user(params->mail_owner, &o.owner) || o.owner.uid == 0)
		fatal(
		    "mail_owner: there is no account \"%s\", or it is root's", params->mail_owner);
	if (!priv_find_group(params->setgid_group, &o.drop))
		fatal("setgid_group: there is no group \"%s\"", params->setgid_group);
	set_configuration(pf->dir);
	set_spool(params, &o);
	set_programs(&o);
	postfix_params_free(params);
	postfix_source_free(source);
	return 0;
}

/* --- upgrade-configuration --- */

/* What came to the peer's master.cf over the years. */
static const struct {
	const char *name, *line;
} services[] = {
	{ "relay", "relay     unix  -       -       n       -       -       smtp" },
	{ "flush", "flush     unix  n       -       n       1000?   0       flush" },
	{ "trace", "trace     unix  -       -       n       -       0       bounce" },
	{ "verify", "verify    unix  -       -       n       -       1       verify" },
	{ "proxymap", "proxymap  unix  -       -       n       -       -       proxymap" },
	{ "anvil", "anvil     unix  -       -       n       -       1       anvil" },
	{ "scache", "scache    unix  -       -       n       -       1       scache" },
	{ "discard", "discard   unix  -       -       n       -       -       discard" },
	{ "tlsmgr", "tlsmgr    unix  -       -       n       1000?   1       tlsmgr" },
	{ "retry", "retry     unix  -       -       n       -       -       error" },
	{ "proxywrite", "proxywrite unix -       -       n       -       1       proxymap" },
	{ "postlog", "postlog   unix-dgram n -     n       -       1       postlogd" },
};

static bool has_service(const struct postfix_source *source, const char *name)
{
	for (size_t i = 0; i < postfix_service_count(source); i++)
		if (strcmp(postfix_service_at(source, i)->name, name) == 0)
			return true;
	return false;
}

static void add_missing(const struct postfix_command *pf, const char *path, struct strbuf *text)
{
	if (text->len > 0 && text->ptr[text->len - 1] != '\n')
		strbuf_addch(text, '\n');
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		if (has_service(pf->source, services[i].name))
			continue;
		printf("Editing %s, adding missing entry for %s service\n", path, services[i].name);
		strbuf_addf(text, "%s\n", services[i].line);
	}
}

int postfix_upgrade_configuration(struct postfix_command *pf)
{
	char *named = xasprintf("%s/master.cf", pf->dir);
	/* A link stays one. */
	char *path = realpath(named, NULL);
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);
	size_t before;
	struct stat st;

	if (path == NULL || stat(path, &st) < 0 || file_read(AT_FDCWD, path, &text) < 0)
		failed(named);
	before = text.len;
	add_missing(pf, named, &text);
	if (text.len > before + 1 &&
	    file_replace(AT_FDCWD, path, strbuf_slice(&text), st.st_mode & 07777) < 0)
		failed(named);
	strbuf_release(&text);
	free(path);
	free(named);
	return 0;
}

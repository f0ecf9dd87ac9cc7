// SPDX-License-Identifier: BSD-2-Clause
/*
 * The directories and pid files that must be there before a daemon starts.  What exists is left
 * as it is ("postfix check" looks at owners and modes); only what is missing is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "master/supervisor.h"
#include "server/pid_file.h"
#include "server/spool_layout.h"
#include "sys/file.h"
#include "sys/instances.h"
#include "sys/priv.h"

/* True when it was missing. */
static bool make_directory(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return false;
	if (dir_make(AT_FDCWD, path, mode) < 0)
		fatal("create directory %s: %s", path, strerror(errno));
	if (master.as_root && chown(path, uid, gid) < 0)
		fatal("change owner of %s: %s", path, strerror(errno));
	/* What the umask took away. */
	if (chmod(path, mode) < 0)
		fatal("change mode of %s: %s", path, strerror(errno));
	return true;
}

/*
 * Mail in a directory without a durable name is lost in a power cut, whatever is synced below it.
 * The queue directory is synced at every start, as the one that made a queue may have ended before
 * it came here.  When it is new itself, so may directories above it be.
 */
static void sync_queues(const char *path, bool is_new)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || file_sync(fd) < 0 || (is_new && syncfs(fd) < 0))
		fatal("sync %s: %s", path, strerror(errno));
	close(fd);
}

static void lock_pid_file(const char *path, const char *running)
{
	char text[32];
	int rc;

	if (master.language == MASTER_POSTFIX)
		snprintf(text, sizeof(text), "%16ld\n", (long)getpid());
	else
		snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	rc = pid_file_lock(path, text);
	if (rc > 0)
		fatal("%s", running);
	if (rc < 0)
		fatal("open lock file %s: %s", path, strerror(errno));
}

static void make_spool(
    const struct postfix_params *params, const struct priv_user *owner, gid_t drop)
{
	bool is_new = make_directory(params->queue_directory, 0755, 0, 0);

	for (const struct spool_directory *d = spool_directories; d->name != NULL; d++) {
		char *path = xasprintf("%s/%s", params->queue_directory, d->name);

		make_directory(
		    path, d->mode, d->of_owner ? owner->uid : 0, d->of_drop_group ? drop : 0);
		free(path);
	}
	sync_queues(params->queue_directory, is_new);
	make_directory(params->data_directory, 0700, owner->uid, 0);
}

void spool_prepare(const struct generation *g)
{
	const struct postfix_params *params = g->params;
	struct priv_user owner = { .uid = geteuid(), .gid = getegid() };
	gid_t drop = getegid();
	char *path;

	if (master.as_root) {
		(void)priv_find_user(params->mail_owner, &owner);
		(void)priv_find_group(params->setgid_group, &drop);
	}
	make_spool(params, &owner, drop);
	path = xasprintf("%s/pid/master.pid", params->queue_directory);
	lock_pid_file(path, "the Postfix mail system is already running");
	free(path);
	path = xasprintf("%s/master.lock", params->data_directory);
	lock_pid_file(path, "data_directory is in use by another instance's master");
	free(path);
}

static gid_t login_group(const struct dovecot_settings *set)
{
	struct priv_user user;

	return priv_find_user(set->default_login_user, &user) ? user.gid : getegid();
}

/* For "doveadm instance list"; a server runs as well without. */
static void note_instance(const struct generation *g)
{
	char *path = xasprintf("%s/instances", g->settings->state_dir);

	(void)mkdir(g->settings->state_dir, 0755);
	if (instances_note(path, g->settings->instance_name, g->directory,
		dovecot_source_path(g->dovecot), time(NULL)) < 0 &&
	    master.as_root)
		log_warning("cannot write %s: %s", path, strerror(errno));
	free(path);
}

void base_dir_prepare(const struct generation *g)
{
	char *login = xasprintf("%s/login", g->directory);
	char *pid_file = xasprintf("%s/master.pid", g->directory);
	char *link_name = xasprintf("%s/dovecot.conf", g->directory);

	make_directory(g->directory, 0755, 0, 0);
	make_directory(login, 0750, 0, login_group(g->settings));
	lock_pid_file(pid_file, "Dovecot is already running with this base_dir");
	(void)unlink(link_name);
	if (symlink(dovecot_source_path(g->dovecot), link_name) < 0)
		log_warning("symlink %s: %s", link_name, strerror(errno));
	note_instance(g);
	free(login);
	free(pid_file);
	free(link_name);
}

void base_dir_leave(const struct generation *g)
{
	char *pid_file = xasprintf("%s/master.pid", g->directory);

	(void)unlink(pid_file);
	free(pid_file);
}

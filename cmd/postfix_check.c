// SPDX-License-Identifier: BSD-2-Clause
/* postfix check.  The lines about owners and modes are the peer's. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "cmd/postfix.h"
#include "conf/postfix_programs.h"
#include "log/log.h"
#include "server/spool_layout.h"
#include "sys/priv.h"
#include "sys/sandbox.h"

#define TREE_DEPTH 8

struct check {
	struct postfix_command *pf;
	unsigned errors;
	struct priv_user owner;
	gid_t drop;
};

static void print_finding(enum conf_severity severity, const char *line, void *arg)
{
	struct check *check = arg;

	if (severity == CONF_WARNING) {
		log_warning("%s", line);
		return;
	}
	log_error("%s", line);
	check->errors++;
}

static void look_at_file(const char *path, const struct stat *st, uid_t uid, const char *owner)
{
	if (st->st_uid != uid)
		log_warning("not owned by %s: %s", owner, path);
	if (!S_ISLNK(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH)))
		log_warning("group or other writable: %s", path);
}

/* DIR and all below it: who can write there has the mail system. */
static void look_at_tree(const char *dir, uid_t uid, const char *owner, unsigned depth)
{
	const struct dirent *entry;
	struct stat st;
	DIR *list;

	if (lstat(dir, &st) < 0)
		return;
	look_at_file(dir, &st, uid, owner);
	if (!S_ISDIR(st.st_mode) || depth == TREE_DEPTH)
		return;
	list = opendir(dir);
	while (list != NULL && (entry = readdir(list)) != NULL) {
		char *path;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		path = xasprintf("%s/%s", dir, entry->d_name);
		look_at_tree(path, uid, owner, depth + 1);
		free(path);
	}
	if (list != NULL)
		closedir(list);
}

static void find_accounts(struct check *check)
{
	const struct postfix_params *params = check->pf->params;

	if (!priv_find_user(params->mail_owner, &check->owner)) {
		log_error("mail_owner: there is no account \"%s\"", params->mail_owner);
		check->errors++;
	}
	if (!priv_find_group(params->setgid_group, &check->drop)) {
		log_error("setgid_group: there is no group \"%s\"", params->setgid_group);
		check->errors++;
	}
}

/* What is missing is made by the start. */
static void look_at_spool_dir(const struct check *check, const struct spool_directory *d)
{
	const struct postfix_params *params = check->pf->params;
	char *path = xasprintf("%s/%s", params->queue_directory, d->name);
	struct stat st;

	if (stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			log_warning("not a directory: %s", path);
		if (d->of_owner && st.st_uid != check->owner.uid)
			log_warning("not owned by %s: %s", params->mail_owner, path);
		if (!d->of_owner && st.st_uid != 0)
			log_warning("not owned by root: %s", path);
		if (d->of_drop_group && st.st_gid != check->drop)
			log_warning("not owned by group %s: %s", params->setgid_group, path);
		/*
		 * More than it should be is what matters: who may enter may use the sockets.
		 * Set-gid and sticky directories, as Debian's Postfix has them, give nobody more.
		 */
		if (st.st_mode & 0777 & ~d->mode)
			log_warning("mode %04o instead of %04o: %s", (unsigned)(st.st_mode & 07777),
			    (unsigned)d->mode, path);
	} else if (errno != ENOENT) {
		log_warning("%s: %s", path, strerror(errno));
	}
	free(path);
}

/* Users come into maildrop and public by these alone. */
static void look_at_set_gid(const struct check *check, const char *name)
{
	const struct postfix_params *params = check->pf->params;
	char *path = xasprintf("%s/%s", params->command_directory, name);
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		if (st.st_gid != check->drop)
			log_warning("not owned by group %s: %s", params->setgid_group, path);
		if ((st.st_mode & 02111) != 02111)
			log_warning("not set-gid or not owner+group+world executable: %s", path);
	}
	free(path);
}

/* What the daemons have put aside. */
static void look_for_damaged(const char *queue_directory)
{
	char *path = xasprintf("%s/corrupt", queue_directory);
	const struct dirent *entry;
	DIR *list = opendir(path);

	while (list != NULL && (entry = readdir(list)) != NULL)
		if (entry->d_name[0] != '.')
			log_warning("damaged message: %s/%s", path, entry->d_name);
	if (list != NULL)
		closedir(list);
	free(path);
}

static void look_at_queue_directory(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	if (!S_ISDIR(st.st_mode))
		log_warning("not a directory: %s", path);
	look_at_file(path, &st, 0, "root");
}

static void look_at_files(struct check *check)
{
	const struct postfix_params *params = check->pf->params;
	static const char *const set_gid[] = { "postqueue", "postdrop", "postlog" };

	find_accounts(check);
	look_at_tree(check->pf->dir, 0, "root", 0);
	look_at_queue_directory(params->queue_directory);
	for (const struct spool_directory *d = spool_directories; d->name != NULL; d++)
		look_at_spool_dir(check, d);
	if (check->errors == 0) {
		look_at_tree(params->data_directory, check->owner.uid, params->mail_owner, 0);
		for (size_t i = 0; i < ARRAY_LEN(set_gid); i++)
			look_at_set_gid(check, set_gid[i]);
	}
	look_for_damaged(params->queue_directory);
}

/* In a child, since walls do not come down again. */
static _Noreturn void try_walls(void)
{
	static const struct sandbox_path no_paths[] = { { NULL, SANDBOX_READ } };
	const struct sandbox walls = {
		.paths = no_paths, .landlock = true, .calls = SANDBOX_CALLS_NO_NET
	};
	struct sandbox_report report;

	sandbox_enter(&walls, &report);
	_exit(report.landlock | report.seccomp << 1 | report.no_new_privs << 2);
}

/* What each kind of process asks for; t/walls.t tries whether it gets that. */
static const struct {
	const char *process, *user;
	bool network, landlock, jail;
} programs[] = {
	{ "smtpd", "the mail owner", true, true, false },
	{ "qmgr", "the mail owner", false, true, false },
	{ "pickup", "the mail owner", false, true, false },
	{ "bounce", "the mail owner", false, true, false },
	{ "postlogd", "the mail owner", false, true, false },
	{ "smtp", "the mail owner", true, true, false },
	{ "virtual", "the mail owner", false, true, false },
	{ "virtual, parent of workers", "root", false, false, false },
	{ "virtual, worker", "the mailbox's uid", false, true, false },
	{ "authd", "default_internal_user", false, true, false },
	{ "pop3-login", "default_login_user", false, true, true },
	{ "pop3", "default_internal_user", false, true, false },
	{ "pop3, parent of workers", "root", false, false, false },
	{ "pop3, worker", "the mailbox's uid", false, true, false },
};

static void print_programs(int stand)
{
	bool as_root = geteuid() == 0;

	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		log_info("walls: %s: user: %s%s%s%s%s", programs[i].process,
		    as_root ? programs[i].user : "whoever starts the suite",
		    stand & 2 ? ", system calls" : "",
		    stand & 2 && !programs[i].network ? ", no network" : "",
		    stand & 1 && programs[i].landlock ? ", paths" : "",
		    as_root && programs[i].jail ? ", root directory" : "");
}

static void print_walls(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		try_walls();
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		log_warning("walls: cannot be tried: %s", strerror(errno));
		return;
	}
	status = WEXITSTATUS(status);
	log_info("walls: processes under their own users: %s",
	    geteuid() == 0 ? "yes" : "no, when not started by root");
	log_info("walls: no new privileges (prctl): %s", status & 4 ? "yes" : "no");
	log_info("walls: forbidden system calls (seccomp): %s", status & 2 ? "yes" : "no");
	if (status & 1)
		log_info(
		    "walls: forbidden paths (Landlock): yes, version %d", sandbox_landlock_abi());
	else
		log_info("walls: forbidden paths (Landlock): no");
	print_programs(status);
}

/* Those that stand in every master.cf, so that nobody is warned of them. */
static void print_absent(const struct postfix_source *source)
{
	for (size_t i = 0; i < postfix_service_count(source); i++) {
		const struct postfix_service *service = postfix_service_at(source, i);
		const struct postfix_program *program = postfix_program_find(service->program);

		if (program && program->kind == PROGRAM_ABSENT)
			log_info("service %s %s: program %s is not supported yet: %s",
			    service->name, service->type, service->program, program->does);
	}
}

int postfix_check(struct postfix_command *pf)
{
	struct check check = { .pf = pf };

	postfix_conf_check(pf->source, &pf->errors);
	postfix_check_tables(pf);
	conf_errors_each(&pf->errors, print_finding, &check);
	/* A private instance belongs to whoever runs it, from top to bottom. */
	if (geteuid() == 0)
		look_at_files(&check);
	if (pf->verbose) {
		print_absent(pf->source);
		print_walls();
	}
	return check.errors > 0;
}

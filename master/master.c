// SPDX-License-Identifier: BSD-2-Clause
/*
 * master: the supervisor.  In two shapes: "master -c DIR" over main.cf and master.cf, and
 * "master -D FILE" over a dovecot.conf.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log.h"
#include "master/run.h"
#include "master/supervisor.h"
#include "server/shared.h"
#include "sys/file.h"

struct master master = { .log_fds = { -1, -1, -1 },
	.errors_fd = -1,
	.ready_fd = -1,
	.shared_fd = -1,
	.suspects_fd = -1,
	.generations = LIST_INIT(master.generations),
	.held = LIST_INIT(master.held) };

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: master [-c config_dir | -D dovecot.conf] [-istvw]\n");
	exit(1);
}

/* We do not stay where we were started. */
static const char *absolute(const char *path)
{
	const char *full = realpath(path, NULL);

	return full == NULL ? path : full;
}

static void take_options(int argc, char **argv, struct run_options *options)
{
	const char *dir = NULL, *file = NULL;
	int option;

	while ((option = getopt(argc, argv, "c:D:istvw")) != -1) {
		switch (option) {
		case 'c':
			dir = optarg;
			break;
		case 'D':
			file = optarg;
			break;
		case 'i':
		case 's':
			options->foreground = true;
			break;
		case 't':
			options->test = true;
			break;
		case 'v':
			options->debug = true;
			break;
		case 'w':
			options->wait = true;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || (dir != NULL && file != NULL))
		usage();
	master.language = file != NULL ? MASTER_DOVECOT : MASTER_POSTFIX;
	master.config = absolute(file != NULL ? file : postfix_conf_dir(dir));
	master.log_name = file != NULL ? "master" : "postfix/master";
}

/* Who looks with ps or ss finds the names that the peers have. */
static void take_name(void)
{
	(void)prctl(PR_SET_NAME, master.language == MASTER_DOVECOT ? "dovecot" : "master");
	if (master.language == MASTER_DOVECOT)
		log_command_dovecot("dovecot");
	else
		log_command("postfix/master");
}

/* Many sessions per process: whatever the shell's soft limit is. */
static void raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

static void make_shared_things(void)
{
	master.shared = shared_new(&master.shared_fd);
	if (master.shared == NULL)
		fatal("cannot make the shared segment: %s", strerror(errno));
	quarantine_prepare();
}

int main(int argc, char **argv)
{
	struct run_options options = { 0 };

	take_options(argc, argv, &options);
	take_name();
	umask(022);
	master.as_root = geteuid() == 0;
	master.program_dir = self_directory();
	if (master.program_dir == NULL)
		fatal("cannot find our own program: %s", strerror(errno));
	if (options.test)
		return run_test();
	raise_file_limit();
	make_shared_things();
	return run(&options);
}

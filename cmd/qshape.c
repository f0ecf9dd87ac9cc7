// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/qshape.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/slice.h"
#include "cmd/queue_client.h"
#include "log/log.h"

#define BUCKETS_MAX 10000
#define DEPTH_MAX   20
#define SCREEN_MIN  80
#define CLEAR	    "\033[H\033[2J\033[3J"

struct qshape_options qshape = {
	.min_subdomains = 5,
	.buckets = 10,
	.minutes = 5,
	.width = SCREEN_MIN,
};

static bool is_terminal;
static long messages;

static _Noreturn void usage(void)
{
	fputs("Usage: qshape [ -s ] [ -p ] [ -m <min_subdomains> ] [ -l ]\n"
	      "\t[ -b <bucket_count> ] [ -t <bucket_time> ] [ -w <terminal_width> ]\n"
	      "\t[ -N <batch_msg_count> ] [ -n <batch_top_domains> ]\n"
	      "\t[ -c <config_directory> ] [ <queue_name> ... ]\n"
	      "Counts the recipients (-s: senders) of queued mail by domain and age.\n",
	    stderr);
	exit(1);
}

/* What is not positive leaves *VALUE as it is. */
static void take_number(const char *text, long least, long most, long *value)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (end == text || *end || errno || number > most)
		usage();
	if (number >= least)
		*value = number;
}

static void take_option(int option, const char *text)
{
	switch (option) {
	case 's':
		qshape.senders = true;
		break;
	case 'p':
		qshape.parents = true;
		break;
	case 'l':
		qshape.linear = true;
		break;
	case 'm':
		take_number(text, 1, INT32_MAX, &qshape.min_subdomains);
		break;
	case 'b':
		take_number(text, 1, BUCKETS_MAX, &qshape.buckets);
		break;
	case 't':
		take_number(text, 1, INT32_MAX, &qshape.minutes);
		break;
	case 'w':
		take_number(text, SCREEN_MIN, INT16_MAX, &qshape.width);
		break;
	case 'N':
		take_number(text, 0, INT32_MAX, &qshape.show_every);
		break;
	case 'n':
		take_number(text, 0, INT32_MAX, &qshape.show_top);
		break;
	default:
		usage();
	}
}

static const char *take_options(int argc, char **argv)
{
	const char *directory = NULL;
	int option;

	qshape.show_every = 1000;
	qshape.show_top = 20;
	while ((option = getopt(argc, argv, "lhc:psw:b:t:m:n:N:")) != -1) {
		if (option == 'c')
			directory = optarg;
		else
			take_option(option, optarg);
	}
	is_terminal = isatty(STDOUT_FILENO);
	if (!is_terminal)
		qshape.show_every = qshape.show_top = 0;
	return directory;
}

static void show(void)
{
	if (is_terminal && qshape.show_every)
		fputs(CLEAR, stdout);
	qshape_show();
}

static void take_file(int dirfd, const char *name)
{
	if (qshape_file(dirfd, name, qshape_count) && qshape.show_every &&
	    ++messages % qshape.show_every == 0)
		show();
}

static bool is_directory(int dirfd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void walk(int dirfd, const char *path, int depth)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		log_warning("%s: %m", path);
		if (fd != -1)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (!is_directory(fd, entry))
			take_file(fd, entry->d_name);
		else if (depth < DEPTH_MAX)
			walk(fd, entry->d_name, depth + 1);
	}
	closedir(dir);
}

static bool all_absolute(char *const *queues)
{
	while (*queues && **queues == '/')
		queues++;
	return !*queues;
}

static void enter_spool(const char *config)
{
	const char *spool = queue_client_params(config)->queue_directory;

	if (chdir(spool) == -1)
		fatal("chdir(%s): %m", spool);
	queue_client_end();
}

int main(int argc, char **argv)
{
	static char *usual[] = { "incoming", "active", NULL };
	const char *config;
	char **queues;

	log_command("qshape");
	config = take_options(argc, argv);
	queues = optind < argc ? argv + optind : usual;
	if (!all_absolute(queues))
		enter_spool(config);
	for (; *queues; queues++)
		walk(AT_FDCWD, *queues, 0);
	show();
	qshape_release();
	return 0;
}

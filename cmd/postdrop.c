// SPDX-License-Identifier: BSD-2-Clause
/*
 * postdrop: leaves a submission in maildrop (queue/maildrop.h).
 *
 * It is set-gid, so that maildrop and public need not be open to everybody; what it is given it
 * does not believe: the records go into an unnamed file, and only a file that was read again from
 * its first to its last byte gets a name.  So nothing is left by a signal or a failure.
 *
 * The group may write to maildrop, not list it, and so cannot sync the directory either: then the
 * whole file system is synced, for a mail that was submitted must survive a power cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/command_log.h"
#include "cmd/programs.h"
#include "conf/postfix_conf.h"
#include "log/log.h"
#include "queue/maildrop.h"
#include "queue/queue_control.h"
#include "queue/queue_id.h"
#include "queue/queue_record.h"
#include "sys/file.h"
#include "table/match_list.h"

/* Envelope and record heads beside the content. */
#define OVERHEAD_MAX (32LL * 1024 * 1024)
/* When message_size_limit is 0. */
#define FILE_MAX (1LL << 40)
/* The owner's x bit says that it is complete; pickup is neither owner nor group. */
#define COMPLETE_MODE	0744
#define MAX_NAMES	100
#define TRIGGER_TIME_MS 1000

static struct tmpfile temporary = { .fd = -1 };

/* A file system without O_TMPFILE gave the file a name; here it goes again. */
static void remove_temporary(void)
{
	if (temporary.name[0] != '\0')
		unlinkat(temporary.dirfd, temporary.name, 0);
}

static void on_signal(int signo)
{
	(void)signo;
	remove_temporary();
	_exit(1);
}

static void handle_signals(void)
{
	static const int final[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(final); i++)
		if (signal(final[i], on_signal) == SIG_IGN)
			signal(final[i], SIG_IGN);
}

static struct postfix_source *source;
static struct postfix_params *params;

static void free_params(void)
{
	postfix_params_free(params);
	postfix_source_free(source);
	params = NULL;
	source = NULL;
}

/* In the place of what was read before. */
static void read_params(const char *dir)
{
	free_params();
	source = postfix_source_read(dir, NULL);
	if (source == NULL)
		fatal("open %s/main.cf: %s", dir, strerror(errno));
	params = postfix_params_new(source, NULL, NULL);
}

static bool is_listed(const char *list, const char *dir)
{
	struct strbuf element = STRBUF_INIT(4096);
	bool found = false;

	while (!found && postfix_list_next(&list, &element)) {
		found = strcmp(element.ptr, dir) == 0;
		strbuf_reset(&element);
	}
	strbuf_release(&element);
	return found;
}

/*
 * Who runs a set-gid program may not choose its configuration: it says where the program writes
 * with the group's rights.
 */
static void open_configuration(const char *option)
{
	const char *dir = postfix_conf_dir(option), *standard = PC_SYSCONFDIR "/postfix";

	if (getauxval(AT_SECURE) && getuid() != 0 && strcmp(dir, standard) != 0) {
		read_params(standard);
		if (!is_listed(params->alternate_config_directories, dir) &&
		    !is_listed(params->multi_instance_directories, dir))
			fatal("unauthorized configuration directory name: %s", dir);
	}
	read_params(dir);
}

static void check_user(void)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *name = pw != NULL ? pw->pw_name : "unknown";
	struct match_list *list =
	    match_list_new(params, "authorized_submit_users", params->authorized_submit_users);

	enum match_result may = match_list_string(list, slice_of(name));

	match_list_free(list);
	if (may != MATCH_YES)
		fatal("User %s(%lu) is not allowed to submit mail", name, (unsigned long)getuid());
}

static void open_temporary(int dirfd)
{
	if (tmpfile_open(&temporary, dirfd, 0600) < 0)
		fatal("create file in maildrop: %s", strerror(errno));
	atexit(remove_temporary);
}

static void write_time(void)
{
	struct strbuf record = STRBUF_INIT(100);
	char text[64];
	int64_t now = clock_wall_us();

	snprintf(
	    text, sizeof(text), "%lld %lld", (long long)now / 1000000, (long long)now % 1000000);
	queue_record_add(&record, QR_TIME, slice_of(text));
	if (file_write_all(temporary.fd, strbuf_slice(&record)) < 0)
		fatal("write maildrop file: %s", strerror(errno));
	strbuf_release(&record);
}

static void copy_input(long long max)
{
	static char buffer[65536];
	long long total = 0;
	ssize_t n;

	while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			fatal("read submission: %s", strerror(errno));
		if ((total += n) > max)
			fatal("message file too big");
		if (file_write_all(temporary.fd, slice_mem(buffer, (size_t)n)) < 0)
			fatal("write maildrop file: %s", strerror(errno));
	}
}

/* The name comes to the disk before we say that it is there. */
static void sync_directory(const char *maildrop)
{
	int fd = open(maildrop, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 ? syncfs(temporary.fd) < 0 : file_sync(fd) < 0)
		fatal("sync %s: %s", maildrop, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void give_name(int dirfd, const char *maildrop, char id[QUEUE_ID_SIZE])
{
	const struct queue_id_rules rules = { .lifetime_s = 0 };
	int proc_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc, tries = 0;

	/* The content first, then the bit that says so, both before the name. */
	if (file_sync(temporary.fd) < 0 || fchmod(temporary.fd, COMPLETE_MODE) < 0 ||
	    file_sync(temporary.fd) < 0)
		fatal("sync maildrop file: %s", strerror(errno));
	do {
		queue_id_new(&rules, (uint64_t)getpid(), id);
		rc = tmpfile_link(&temporary, proc_fd, dirfd, id);
	} while (rc < 0 && errno == EEXIST && ++tries < MAX_NAMES);
	if (rc < 0)
		fatal("name file in maildrop: %s", strerror(errno));
	sync_directory(maildrop);
	if (proc_fd >= 0)
		close(proc_fd);
}

/* A pickup that is not there finds the file when it starts. */
static void wake_pickup(const char *service)
{
	char *path = xasprintf("public/%s", service);

	queue_trigger(path, SLICE_LIT("W"), deadline_in(TRIGGER_TIME_MS));
	free(path);
}

static _Noreturn void usage(void)
{
	fatal("usage: postdrop [-c config_dir] [-rv]");
}

int main(int argc, char **argv)
{
	const char *dir = NULL;
	bool report = false;
	char id[QUEUE_ID_SIZE];
	struct reason why;
	int c;

	programs_standard_files();
	log_command("postdrop");
	while ((c = getopt(argc, argv, "c:rv")) >= 0)
		if (c == 'c')
			dir = optarg;
		else if (c == 'r')
			report = true;
		else if (c != 'v')
			usage();
	if (optind < argc)
		usage();
	handle_signals();
	umask(022);

	open_configuration(dir);
	(void)command_log_open(
	    params, &(struct command_log){ .stderr_name = "postdrop", .to_stderr = true });

	long long limit = params->message_size_limit;

	check_user();
	if (chdir(params->queue_directory) < 0)
		fatal("open directory %s: %s", params->queue_directory, strerror(errno));
	int dirfd = open("maildrop", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		fatal("open directory %s/maildrop: %s", params->queue_directory, strerror(errno));
	open_temporary(dirfd);
	write_time();
	copy_input(limit > 0 && limit < FILE_MAX ? 2 * limit + OVERHEAD_MAX : FILE_MAX);
	if (!maildrop_check(temporary.fd, limit, &why))
		fatal("uid=%lu: %s", (unsigned long)getuid(), why.text);
	give_name(dirfd, "maildrop", id);
	wake_pickup(params->pickup_service_name);
	free_params();
	if (report)
		puts(id);
	return 0;
}

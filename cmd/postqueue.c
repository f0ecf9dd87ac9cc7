// SPDX-License-Identifier: BSD-2-Clause
/*
 * postqueue: show and flush the queue; called as mailq it shows.  Layouts and exit statuses are the
 * peer's (postfix.md 2.6): whatever goes wrong is 69.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "cmd/programs.h"
#include "cmd/queue_client.h"
#include "log/log.h"
#include "mail/hostname.h"
#include "net/addr.h"
#include "queue/showq.h"
#include "sys/socket.h"
#include "table/match_list.h"

#define FATAL_STATUS	 69
#define FLUSH_LIMIT_MS	 30000
#define READ_LIMIT_MS	 300000
#define REASON_COLUMN	 76
#define RECIPIENT_INDENT 41
#define LONG_INDENT	 47 /* with long queue ids */

struct listing {
	const struct postfix_params *params;
	bool json;
	unsigned long count;
	long long bytes;
};

/* ---- for people ---- */

/* What stands directly behind the id. */
static const char *status_of(const struct showq_message *m)
{
	if (strcmp(m->queue, "active") == 0)
		return m->forced_expire ? "*#" : "*";
	if (strcmp(m->queue, "hold") == 0)
		return m->forced_expire ? "!#" : "!";
	return m->forced_expire ? "#" : "";
}

static void print_head(const struct listing *list)
{
	puts(list->params->enable_long_queue_ids
		 ? "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
		 : "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------");
}

static void print_message(struct listing *list, const struct showq_message *m)
{
	time_t when = (time_t)m->arrival_s;
	char id[QUEUE_ID_SIZE + 2], date[32];
	const char *reason = "";

	snprintf(id, sizeof(id), "%s%s", m->id, status_of(m));
	if (!ctime_r(&when, date))
		snprintf(date, sizeof(date), "?");
	if (list->params->enable_long_queue_ids)
		printf("%-17s %8lld %19.19s %s\n", id, (long long)m->size, date, m->sender);
	else
		printf("%-11s %7lld %20.20s %s\n", id, (long long)m->size, date, m->sender);
	for (size_t i = 0; i < m->count; i++) {
		const struct showq_recipient *r = &m->recipients[i];

		if (*r->reason && strcmp(r->reason, reason) != 0) {
			int blanks = REASON_COLUMN - (int)strlen(r->reason);

			printf("%*s(%s)\n", blanks > 0 ? blanks : 0, "", r->reason);
			reason = r->reason;
		}
		printf("%*s%s\n",
		    list->params->enable_long_queue_ids ? LONG_INDENT : RECIPIENT_INDENT, "",
		    r->address);
	}
	putchar('\n');
}

/* ---- for programs ---- */

static void print_json_member(const char *name, const char *value)
{
	static struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);

	strbuf_reset(&text);
	json_add_text(&text, slice_of(value));
	printf("\"%s\": %s", name, text.ptr);
}

static void print_json(const struct showq_message *m)
{
	putchar('{');
	print_json_member("queue_name", m->queue);
	fputs(", ", stdout);
	print_json_member("queue_id", m->id);
	printf(", \"arrival_time\": %lld, \"message_size\": %lld, \"forced_expire\": %s, ",
	    (long long)m->arrival_s, (long long)m->size, m->forced_expire ? "true" : "false");
	print_json_member("sender", m->sender);
	fputs(", \"recipients\": [", stdout);
	for (size_t i = 0; i < m->count; i++) {
		const struct showq_recipient *r = &m->recipients[i];

		fputs(i ? ", {" : "{", stdout);
		print_json_member("orig_address", r->original);
		fputs(", ", stdout);
		print_json_member("address", r->address);
		if (*r->reason) {
			fputs(", ", stdout);
			print_json_member(r->failed ? "bounce_reason" : "delay_reason", r->reason);
		}
		putchar('}');
	}
	puts("]}");
}

/* ---- the listing ---- */

static void on_message(struct listing *list, const struct showq_message *m)
{
	if (list->json) {
		print_json(m);
	} else {
		if (list->count == 0)
			print_head(list);
		print_message(list, m);
	}
	list->count++;
	list->bytes += m->size;
}

static void finish_listing(const struct listing *list)
{
	if (!list->json && list->count == 0)
		puts("Mail queue is empty");
	else if (!list->json)
		printf("-- %lld Kbytes in %lu Request%s.\n", list->bytes / 1024, list->count,
		    list->count == 1 ? "" : "s");
	if (fflush(stdout) != 0)
		queue_client_fatal("write output: %s", strerror(errno));
}

static void list_from_qmgr(struct listing *list, int fd)
{
	struct showq_reader reader;
	struct showq_message m;
	struct arena arena = ARENA_INIT;
	char bytes[16384];

	showq_reader_init(&reader);
	while (!reader.ended && !reader.failed) {
		ssize_t got;

		if (socket_wait(fd, POLLIN, deadline_in(READ_LIMIT_MS)) <= 0)
			queue_client_fatal("malformed showq server response: timeout");
		got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got == -1 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			break;
		showq_reader_feed(&reader, slice_mem(bytes, (size_t)got));
		while (showq_reader_next(&reader, &arena, &m)) {
			on_message(list, &m);
			arena_release(&arena);
		}
	}
	if (!reader.ended)
		queue_client_fatal("malformed showq server response");
	showq_reader_release(&reader);
}

struct file_scan {
	struct listing *list;
	struct spool *spool;
	enum spool_queue queue;
};

static bool list_file(const char *id, int dirfd, void *arg)
{
	struct file_scan *scan = arg;
	struct arena arena = ARENA_INIT;
	struct showq_message m;

	(void)dirfd;
	if (showq_read_file(scan->spool, scan->queue, id,
		scan->list->params->empty_address_recipient, &arena, &m))
		on_message(scan->list, &m);
	arena_release(&arena);
	return true;
}

/* qmgr is down: who may read the files sees them. */
static void list_from_files(struct listing *list)
{
	static const enum spool_queue order[] = { SPOOL_MAILDROP, SPOOL_ACTIVE, SPOOL_INCOMING,
		SPOOL_DEFERRED, SPOOL_HOLD };
	struct file_scan scan = { .list = list };
	int error = errno;

	if (access(list->params->queue_directory, R_OK) == -1 ||
	    (geteuid() != 0 && getegid() != getgid()))
		queue_client_fatal("Queue report unavailable - mail system is down (Connect to the "
				   "public %s service: %s)",
		    list->params->showq_service_name, strerror(error));
	log_warning("Mail system is down -- accessing queue directly (Connect to the public %s "
		    "service: %s)",
	    list->params->showq_service_name, strerror(error));
	scan.spool = queue_client_spool(list->params);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		scan.queue = order[i];
		spool_scan(scan.spool, order[i], list_file, &scan);
	}
	spool_free(scan.spool);
}

static void show_queue(const struct postfix_params *params, bool json)
{
	struct listing list = { .params = params, .json = json };
	int fd;

	if (!queue_client_may(params, "authorized_mailq_users", params->authorized_mailq_users))
		queue_client_fatal(
		    "User %s is not allowed to view the mail queue", queue_client_user());
	fd = queue_client_connect(params, params->showq_service_name);
	if (fd == -1) {
		list_from_files(&list);
	} else {
		list_from_qmgr(&list, fd);
		close(fd);
	}
	finish_listing(&list);
}

/* ---- flushing ---- */

static _Noreturn void cannot_flush(void)
{
	queue_client_fatal("Cannot flush mail queue - mail system is down");
}

static void flush_queue(const struct postfix_params *params)
{
	static const char triggers[] = { QUEUE_TRIGGER_FLUSH, QUEUE_TRIGGER_SCAN_ALL,
		QUEUE_TRIGGER_SCAN_DEFERRED, QUEUE_TRIGGER_SCAN_INCOMING };
	char *path = queue_client_socket(params, params->queue_service_name);
	int result =
	    queue_trigger(path, slice_mem(triggers, sizeof(triggers)), deadline_in(FLUSH_LIMIT_MS));

	free(path);
	if (result == -1)
		cannot_flush();
	/* Submissions are tried, too; a pickup that is down is none of a flush's business. */
	path = queue_client_socket(params, params->pickup_service_name);
	queue_trigger(path, SLICE_LIT("W"), deadline_in(FLUSH_LIMIT_MS));
	free(path);
}

static void flush_one(const struct postfix_params *params, const char *id)
{
	struct queue_control request = { .op = QUEUE_CONTROL_FLUSH };

	if (!queue_id_may_be(slice_of(id)))
		queue_client_fatal("Cannot flush queue ID - invalid name: \"%.100s%s\"", id,
		    strlen(id) > 100 ? "..." : "");
	if (!queue_id_is_valid(slice_of(id)))
		return; /* no message has such a short one */
	snprintf(request.id, sizeof(request.id), "%s", id);
	if (!queue_client_control(params, &request, NULL, NULL))
		cannot_flush();
}

static bool is_site(const char *site)
{
	size_t len = strlen(site);
	bool is_v6 = strncasecmp(site, "[ipv6:", 6) == 0;
	struct net_addr addr;

	if (site[0] != '[')
		return len < QUEUE_SITE_SIZE && hostname_is_valid(slice_of(site));
	return len > 2 && site[len - 1] == ']' &&
	       net_addr_parse(slice_mem(site + (is_v6 ? 6 : 1), len - (is_v6 ? 7 : 2)), 0, &addr);
}

static void flush_site(const struct postfix_params *params, const char *site)
{
	struct match_list *sites;
	enum match_result known;
	char *path;

	if (!is_site(site))
		queue_client_fatal("Cannot flush mail queue - invalid destination: \"%.100s%s\"",
		    site, strlen(site) > 100 ? "..." : "");
	sites = match_list_new(params, "fast_flush_domains", params->fast_flush_domains);
	known = match_list_domain(sites, slice_of(site));
	match_list_free(sites);
	if (known == MATCH_NO)
		queue_client_fatal("Flush service is not configured for destination \"%s\"", site);
	path = queue_client_socket(params, params->queue_service_name);
	if (known == MATCH_ERROR ||
	    !queue_control_flush_site(path, site, deadline_in(FLUSH_LIMIT_MS)))
		cannot_flush();
	free(path);
}

static void flush(const struct postfix_params *params, int mode, const char *argument)
{
	if (!queue_client_may(params, "authorized_flush_users", params->authorized_flush_users))
		queue_client_fatal(
		    "User %s is not allowed to flush the mail queue", queue_client_user());
	if (mode == 'f')
		flush_queue(params);
	else if (mode == 'i')
		flush_one(params, argument);
	else
		flush_site(params, argument);
}

static _Noreturn void usage(void)
{
	queue_client_fatal("usage: postqueue -f | postqueue -i queueid | postqueue -j | "
			   "postqueue -p | postqueue -s site");
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	const char *dir = NULL, *argument = NULL;
	const struct postfix_params *params;
	int mode = 0, opt;

	name = name ? name + 1 : argv[0];
	programs_standard_files();
	log_command("postqueue");
	queue_client_status = FATAL_STATUS;
	if (strcmp(name, "mailq") == 0)
		mode = 'p';
	while ((opt = getopt(argc, argv, "+c:fi:jps:v")) != -1) {
		if (opt == 'c') {
			dir = optarg;
		} else if (opt == '?' || (mode && mode != opt && opt != 'v')) {
			usage();
		} else if (opt != 'v') { /* our messages say all that we know */
			mode = opt;
			argument = optarg;
		}
	}
	if (!mode || optind < argc)
		usage();
	params = queue_client_params(dir);
	queue_client_log(params, "postqueue");
	if (mode == 'p' || mode == 'j')
		show_queue(params, mode == 'j');
	else
		flush(params, mode, argument);
	queue_client_end();
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parts around qmgr, for t/queue.t: intake, an agent, and the bounce service.
 *
 *   queue_tool inject [-w MS] [-h] [-x STAGE] [-F FILTER] [-R ADDRESS] SPOOL ID SENDER RCPT...
 *	writes a message and offers it; prints "DONE", "SPOOLED" or "REFUSED".  -w: time limit, -h:
 *hold, -F, -R: with a filter or redirect record, -x: dies after "offer", "spooling" or "link", or
 *gives it up ("abandon") queue_tool agent SOCKET LOG delivers as the recipient's local part says:
 *ok..., defer..., bounce..., slow... (500 ms; slow-... gets a line when it begins), once... (defers
 *the first time), site... (the whole destination fails), stored... (gets a line, gives its place
 *up, and ends when LOG.go is there), never... (dies); LOG gets a line for each queue_tool bounce
 *SOCKET LOG LOG gets a line for each notice; refuses those for a sender no-notice@...
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "deliver/delivery.h"
#include "deliver/notice.h"
#include "log/log.h"
#include "queue/offer.h"
#include "queue/queue_file.h"

/* ---- inject ---- */

struct injection {
	const char *spool, *id, *sender, *filter, *redirect;
	char **recipients;
	int64_t wait_ms;
	unsigned flags;
	const char *stage;
	struct tmpfile file;
	off_t size;
	unsigned long count;
};

static bool dies_after(const struct injection *in, const char *stage)
{
	return in->stage && strcmp(in->stage, stage) == 0;
}

static void write_message(struct injection *in)
{
	struct queue_writer w;

	queue_writer_init(&w, in->file.fd);
	queue_writer_begin(&w, clock_wall_us(), slice_of(in->sender));
	for (char **r = in->recipients; *r; r++)
		queue_writer_recipient(&w, slice_of(*r), SLICE_NULL, SLICE_NULL, 0);
	queue_writer_content(&w);
	queue_writer_line(&w, SLICE_LIT("Subject: test"), true);
	queue_writer_line(&w, SLICE_LIT(""), true);
	queue_writer_line(&w, SLICE_LIT("body"), true);
	queue_writer_extracted(&w);
	/* As intakes do, for whoever has not heard the offer. */
	if (in->flags & OFFER_HOLD)
		queue_writer_attribute(&w, QUEUE_HOLD_ATTRIBUTE, SLICE_LIT("1"));
	if (in->filter)
		queue_writer_record(&w, QR_FILTER, slice_of(in->filter));
	if (in->redirect)
		queue_writer_record(&w, QR_REDIRECT, slice_of(in->redirect));
	if (queue_writer_finish(&w, 0) != 0)
		fatal("write: %s", strerror(errno));
	in->size = queue_writer_size(&w);
	in->count = w.recipient_count;
	queue_writer_release(&w);
}

static const char *offer_it(
    struct injection *in, struct offer_client *client, int proc_fd, int incoming)
{
	struct offer_request request = { .id = in->id,
		.file = &in->file,
		.size = in->size,
		.recipient_count = in->count,
		.flags = in->flags };
	struct offer *offer = offer_new(client, &request);
	struct reason why;
	const char *said = "DONE";

	if (dies_after(in, "offer")) {
		usleep(300000);
		_exit(9);
	}
	if (dies_after(in, "abandon")) {
		offer_free(offer);
		return "REFUSED";
	}
	if (offer_wait(offer, deadline_in(in->wait_ms)) != OFFER_DONE) {
		if (dies_after(in, "link")) {
			tmpfile_link(&in->file, proc_fd, incoming, in->id);
			_exit(9);
		}
		said = offer_spool(offer, &why) ? "SPOOLED" : "REFUSED";
	}
	offer_free(offer);
	return said;
}

static int inject(struct injection *in)
{
	char *incoming = xasprintf("%s/incoming", in->spool);
	char *socket = xasprintf("%s/public/qmgr", in->spool);
	int dirfd = open(incoming, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct dirsync *sync = dirsync_new(dup(dirfd));
	struct offer_client_config config = { "queue_tool", socket, sync, proc_fd };
	struct offer_client *client = offer_client_new(&config);
	const char *said;

	if (tmpfile_open(&in->file, dirfd, QUEUE_FILE_MODE) == -1)
		fatal("%s: %s", incoming, strerror(errno));
	write_message(in);
	said = offer_it(in, client, proc_fd, dirfd);
	puts(said);
	offer_client_free(client);
	tmpfile_close(&in->file);
	dirsync_free(sync);
	close(proc_fd);
	close(dirfd);
	free(incoming);
	free(socket);
	return strcmp(said, "REFUSED") == 0;
}

/* ---- services ---- */

static FILE *record;
static pthread_mutex_t record_lock = PTHREAD_MUTEX_INITIALIZER;

static void *call(void *arg)
{
	void **pair = arg;

	((void (*)(void *))(uintptr_t)pair[0])(pair[1]);
	free(pair);
	return NULL;
}

static void run_in_thread(void (*fn)(void *), void *arg)
{
	void **pair = xcalloc(2, sizeof(*pair));
	pthread_t thread;

	pair[0] = (void *)(uintptr_t)fn;
	pair[1] = arg;
	if (pthread_create(&thread, NULL, call, pair) != 0)
		fatal("thread");
	pthread_detach(thread);
}

static void note(const char *id, const char *what, const char *whom)
{
	pthread_mutex_lock(&record_lock);
	fprintf(record, "%s %s %s\n", id, what, whom);
	fflush(record);
	pthread_mutex_unlock(&record_lock);
}

static char *go_path;

static bool seen_before(const char *whom)
{
	static char *seen[100];
	static size_t count;
	bool found = false;

	pthread_mutex_lock(&record_lock);
	for (size_t i = 0; i < count; i++)
		found |= strcmp(seen[i], whom) == 0;
	if (!found && count < ARRAY_LEN(seen))
		seen[count++] = xstrdup(whom);
	pthread_mutex_unlock(&record_lock);
	return found;
}

static void deliver_one(struct delivery *d, size_t i)
{
	const char *whom = d->request->recipients[i].address;
	struct delivery_outcome o = { .status = DELIVERY_SENT, .relay = "test" };

	if (strncmp(whom, "never", 5) == 0) {
		note(d->request->id, "dies", whom);
		_exit(1);
	}
	if (strncmp(whom, "slow", 4) == 0) {
		if (whom[4] == '-')
			note(d->request->id, "begins", whom);
		usleep(500000);
	}
	if (strncmp(whom, "stored", 6) == 0) {
		note(d->request->id, "begins", whom);
		delivery_stored(d);
		while (access(go_path, F_OK) == -1)
			usleep(10000);
	}
	reason_set(&o.why, "2.0.0", "delivered");
	if (strncmp(whom, "bounce", 6) == 0) {
		o.status = DELIVERY_BOUNCED;
		reason_set(&o.why, "5.1.1", "no such user");
	} else if (strncmp(whom, "defer", 5) == 0 ||
		   (strncmp(whom, "once", 4) == 0 && !seen_before(whom))) {
		o.status = DELIVERY_DEFERRED;
		reason_set(&o.why, "4.2.2", "mailbox full");
	} else if (strncmp(whom, "site", 4) == 0) {
		o.status = DELIVERY_DEFERRED;
		reason_set(&o.why, "4.4.1", "connection refused");
		delivery_site_failed(d, &o.why);
	}
	note(d->request->id, o.status == DELIVERY_SENT ? "delivered" : "failed", whom);
	delivery_result(d, i, &o);
}

static void deliver(struct delivery *d)
{
	for (size_t i = 0; i < d->request->recipient_count && !delivery_should_stop(d); i++)
		deliver_one(d, i);
}

static void serve_agent(void *arg)
{
	static const struct agent_class class = {
		.name = "test", .deliver = deliver, .run = run_in_thread
	};

	delivery_serve((int)(intptr_t)arg, &class);
}

static bool notice(
    const struct notice_request *request, int fd, char notice_id[QUEUE_ID_SIZE], struct reason *why)
{
	(void)fd;
	if (strncmp(request->sender, "no-notice", 9) == 0) {
		reason_set(why, "4.3.0", "not today");
		return false;
	}
	for (size_t i = 0; i < request->recipient_count; i++)
		note(request->id, request->expired ? "expired" : "notice",
		    request->recipients[i].why.text);
	strcpy(notice_id, "ABCDEF012345");
	log_info("%s: sender non-delivery notification: %s", request->id, notice_id);
	return true;
}

static void serve_bounce(void *arg)
{
	static const struct notice_class class = { "bounce", notice, run_in_thread };

	notice_serve((int)(intptr_t)arg, &class);
}

static int serve(const char *path, const char *log, void (*fn)(void *))
{
	int listener = socket_unix_listen(path, 0666, (uid_t)-1, (gid_t)-1, 100);

	record = fopen(log, "ae");
	go_path = xasprintf("%s.go", log);
	if (listener == -1 || !record)
		fatal("%s: %s", path, strerror(errno));
	for (;;) {
		int fd;

		socket_wait(listener, 1 /* POLLIN */, DEADLINE_NEVER);
		fd = socket_accept(listener, NULL, NULL, true);
		if (fd != -1)
			run_in_thread(fn, (void *)(intptr_t)fd);
	}
}

int main(int argc, char **argv)
{
	struct injection in = { .wait_ms = 5000 };
	int opt;

	signal(SIGPIPE, SIG_IGN);
	log_command("queue_tool");
	if (argc == 4 && strcmp(argv[1], "agent") == 0)
		return serve(argv[2], argv[3], serve_agent);
	if (argc == 4 && strcmp(argv[1], "bounce") == 0)
		return serve(argv[2], argv[3], serve_bounce);
	if (argc < 2 || strcmp(argv[1], "inject") != 0)
		return 64;
	optind = 2;
	while ((opt = getopt(argc, argv, "w:hx:F:R:")) != -1) {
		if (opt == 'w')
			in.wait_ms = atoi(optarg);
		else if (opt == 'F')
			in.filter = optarg;
		else if (opt == 'R')
			in.redirect = optarg;
		else if (opt == 'h')
			in.flags |= OFFER_HOLD;
		else if (opt == 'x')
			in.stage = optarg;
		else
			return 64;
	}
	if (argc - optind < 4)
		return 64;
	in.spool = argv[optind];
	in.id = argv[optind + 1];
	in.sender = argv[optind + 2];
	in.recipients = argv + optind + 3;
	return inject(&in);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * postsuper: delete messages, put them on hold, release them.  While qmgr runs it does that for all
 * that it owns; the hold queue, which nobody owns, and everything when qmgr is down, is done here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "cmd/queue_client.h"
#include "log/log.h"
#include "sys/priv.h"

struct work {
	const struct postfix_params *params;
	struct spool *spool;
	bool queues[SPOOL_QUEUES];
	bool by_hand; /* qmgr is down, and we hold its lock */
};

/* One of the things that can be asked for. */
struct operation {
	char option;
	enum queue_control_op op;
	const char *done;  /* "ID: removed" */
	const char *total; /* "Deleted: 2 messages" */
	const char *ids[1000];
	size_t id_count;
	struct map told; /* a message that moves meanwhile may be met twice */
};

static struct operation operations[] = {
	{ .option = 'd', .op = QUEUE_CONTROL_DELETE, .done = "removed", .total = "Deleted" },
	{ .option = 'h',
	    .op = QUEUE_CONTROL_HOLD,
	    .done = "placed on hold",
	    .total = "Placed on hold" },
	{ .option = 'H',
	    .op = QUEUE_CONTROL_RELEASE,
	    .done = "released from hold",
	    .total = "Released from hold" },
};

static void tell(const char *id, void *arg)
{
	struct operation *o = arg;

	if (!map_put_str(&o->told, id, o))
		log_info("%s: %s", id, o->done);
}

/* ---- by hand ---- */

static bool apply_to_file(
    struct work *work, struct operation *o, enum spool_queue queue, const char *id)
{
	int result;

	if (o->op == QUEUE_CONTROL_DELETE)
		result = spool_unlink(work->spool, queue, id);
	else if (o->op == QUEUE_CONTROL_HOLD)
		result = spool_move(work->spool, id, queue, SPOOL_HOLD, -1);
	else
		result =
		    spool_move(work->spool, id, queue, SPOOL_DEFERRED, clock_wall_us() / 1000000);
	if (result == -1) {
		if (errno != ENOENT)
			log_warning("%s: %s: %s", id, o->done, strerror(errno));
		return false;
	}
	if (o->op == QUEUE_CONTROL_DELETE) {
		spool_unlink(work->spool, SPOOL_DEFER, id);
		spool_unlink(work->spool, SPOOL_BOUNCE, id);
	}
	return true;
}

/* Does the operation concern this queue? */
static bool concerns(const struct work *work, const struct operation *o, enum spool_queue queue)
{
	if (!work->queues[queue])
		return false;
	if (o->op == QUEUE_CONTROL_DELETE)
		return true;
	return (o->op == QUEUE_CONTROL_RELEASE) == (queue == SPOOL_HOLD);
}

struct id_list {
	char **ids;
	size_t count;
};

static bool add_id(const char *id, int dirfd, void *arg)
{
	struct id_list *list = arg;

	(void)dirfd;
	list->ids = xreallocarray(list->ids, list->count + 1, sizeof(*list->ids));
	list->ids[list->count++] = xstrdup(id);
	return true;
}

/* The names first: a directory that changes while it is read may show a name twice, or not. */
static void apply_to_queue(struct work *work, struct operation *o, enum spool_queue queue)
{
	struct id_list list = { NULL, 0 };

	if (spool_scan(work->spool, queue, add_id, &list) == -1)
		log_warning("scan %s: %s", spool_queue_name(queue), strerror(errno));
	for (size_t i = 0; i < list.count; i++) {
		if (apply_to_file(work, o, queue, list.ids[i]))
			tell(list.ids[i], o);
		free(list.ids[i]);
	}
	free(list.ids);
}

static void apply_to_files(struct work *work, struct operation *o, const char *id)
{
	for (int i = 0; i < SPOOL_QUEUES; i++) {
		enum spool_queue queue = (enum spool_queue)i;

		if (!concerns(work, o, queue))
			continue;
		if (!id)
			apply_to_queue(work, o, queue);
		else if (apply_to_file(work, o, queue, id))
			tell(id, o);
	}
}

/* ---- both ---- */

static void ask_qmgr(struct work *work, struct operation *o, const char *id)
{
	struct queue_control request = { .op = o->op };

	memcpy(request.queues, work->queues, sizeof(request.queues));
	if (id)
		snprintf(request.id, sizeof(request.id), "%s", id);
	if (!queue_client_control(work->params, &request, tell, o))
		queue_client_fatal("the queue manager does not answer");
}

static void apply(struct work *work, struct operation *o, const char *id)
{
	if (strcmp(id, "ALL") == 0) {
		id = NULL;
	} else if (!queue_id_is_valid(slice_of(id))) {
		log_warning("invalid mail queue id: %s", id);
		return;
	}
	if (work->by_hand)
		apply_to_files(work, o, id);
	else
		ask_qmgr(work, o, id);
}

static void apply_from_stdin(struct work *work, struct operation *o)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) != -1) {
		/* mailq's status characters may stand behind the id. */
		line[strcspn(line, " \t\r\n*!#")] = '\0';
		if (*line)
			apply(work, o, line);
	}
	free(line);
}

static void perform(struct work *work, struct operation *o)
{
	for (size_t i = 0; i < o->id_count; i++) {
		if (strcmp(o->ids[i], "-") == 0)
			apply_from_stdin(work, o);
		else
			apply(work, o, o->ids[i]);
	}
	if (o->id_count > 0)
		log_info(
		    "%s: %zu message%s", o->total, o->told.count, o->told.count == 1 ? "" : "s");
}

/* Directories that are made on the way are for qmgr to write to. */
static void become_mail_owner(const struct postfix_params *params)
{
	struct priv_user owner;

	if (geteuid() != 0)
		return;
	if (!priv_find_user(params->mail_owner, &owner) ||
	    priv_drop(owner.uid, owner.gid, NULL, 0) == -1)
		queue_client_fatal("cannot become %s, the mail_owner", params->mail_owner);
}

/* Is qmgr there?  If not, it stays away while we work. */
static void find_qmgr(struct work *work)
{
	int fd = queue_client_connect(work->params, "qmgr");

	if (fd != -1) {
		close(fd);
		return;
	}
	if (flock(spool_queue_fd(work->spool, SPOOL_ACTIVE), LOCK_EX | LOCK_NB) == -1)
		queue_client_fatal("the queue manager runs and does not answer");
	become_mail_owner(work->params);
	work->by_hand = true;
}

static void choose_queues(struct work *work, char **names)
{
	static const enum spool_queue usual[] = { SPOOL_HOLD, SPOOL_INCOMING, SPOOL_ACTIVE,
		SPOOL_DEFERRED };
	enum spool_queue queue;

	for (size_t i = 0; i < ARRAY_LEN(usual) && !*names; i++)
		work->queues[usual[i]] = true;
	for (; *names; names++) {
		if (!spool_queue_by_name(*names, &queue) || queue >= SPOOL_BOUNCE)
			queue_client_fatal("invalid directory name: %s", *names);
		work->queues[queue] = true;
	}
}

static void add_request(char option, const char *id)
{
	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		struct operation *o = &operations[i];

		if (o->option != option)
			continue;
		if (o->id_count == ARRAY_LEN(o->ids))
			queue_client_fatal("too many -%c options", option);
		o->ids[o->id_count++] = id;
	}
}

int main(int argc, char **argv)
{
	struct work work = { .by_hand = false };
	const char *dir = NULL;
	int opt, asked = 0;

	log_command("postsuper");
	while ((opt = getopt(argc, argv, "c:d:h:H:v")) != -1) {
		switch (opt) {
		case 'c':
			dir = optarg;
			break;
		case 'd':
		case 'h':
		case 'H':
			add_request((char)opt, optarg);
			asked++;
			break;
		case 'v': /* our messages say all that we know */
			break;
		default:
			queue_client_fatal("usage: postsuper [-c config_dir] [-d queue_id] "
					   "[-h queue_id] [-H queue_id] [-v] [queue ...]");
		}
	}
	if (!asked)
		queue_client_fatal("nothing to do: -d, -h or -H is what this postsuper knows");
	work.params = queue_client_params(dir);
	work.spool = queue_client_spool(work.params);
	if (geteuid() != 0 && access(work.params->queue_directory, W_OK) == -1)
		queue_client_fatal("use of this command is reserved for the superuser");
	choose_queues(&work, argv + optind);
	find_qmgr(&work);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		perform(&work, &operations[i]);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		map_release(&operations[i].told, NULL);
	spool_free(work.spool);
	queue_client_end();
	return 0;
}

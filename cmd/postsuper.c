// SPDX-License-Identifier: BSD-2-Clause
/*
 * postsuper: delete messages, put them on hold, release, expire, requeue them, mend the spool's
 * structure and purge what was never finished.  While qmgr runs it does all that with messages;
 * when it is down it is done here, under its lock.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/map.h"
#include "cmd/queue_client.h"
#include "log/log.h"
#include "sys/priv.h"

/* What is not complete by then has nobody who completes it. */
#define STALE_S (7 * 24 * 3600)

/* Totals, in the order in which they are told. */
enum total { TOTAL_REQUEUED, TOTAL_DELETED, TOTAL_EXPIRED, TOTAL_HELD, TOTAL_RELEASED, TOTALS };

static const struct {
	const char *done;  /* "ID: removed" */
	const char *total; /* "Deleted: 2 messages" */
} words[TOTALS] = {
	[TOTAL_REQUEUED] = { "requeued", "Requeued" },
	[TOTAL_DELETED] = { "removed", "Deleted" },
	[TOTAL_EXPIRED] = { "expired", "Force-expired" },
	[TOTAL_HELD] = { "placed on hold", "Placed on hold" },
	[TOTAL_RELEASED] = { "released from hold", "Released from hold" },
};

/* One of the things that can be asked for. */
struct operation {
	char option;
	enum queue_control_op op;
	enum total total;
	const char *ids[1000];
	size_t id_count;
};

/* In the order in which they are done. */
static struct operation operations[] = {
	{ .option = 'r', .op = QUEUE_CONTROL_REQUEUE, .total = TOTAL_REQUEUED },
	{ .option = 'd', .op = QUEUE_CONTROL_DELETE, .total = TOTAL_DELETED },
	{ .option = 'e', .op = QUEUE_CONTROL_EXPIRE, .total = TOTAL_EXPIRED },
	{ .option = 'f', .op = QUEUE_CONTROL_EXPIRE_RELEASE, .total = TOTAL_EXPIRED },
	{ .option = 'h', .op = QUEUE_CONTROL_HOLD, .total = TOTAL_HELD },
	{ .option = 'H', .op = QUEUE_CONTROL_RELEASE, .total = TOTAL_RELEASED },
};

struct work {
	const struct postfix_params *params;
	struct spool *spool;
	bool queues[SPOOL_QUEUES];
	bool by_hand; /* qmgr is down, and we hold its lock */
	bool all;     /* of the messages at once: single ones are not told */
	bool structure, purge;
	enum total total; /* of the operation that is under way */
	/* By id: a message that moves meanwhile may be met twice. */
	struct map told[TOTALS];
};

static void tell(const char *id, bool released, void *arg)
{
	struct work *work = arg;
	enum total total = released ? TOTAL_RELEASED : work->total;

	if (!map_put_str(&work->told[total], id, work) && !work->all)
		log_info("%s: %s", id, words[total].done);
}

/* ---- by hand ---- */

static void remove_logs(struct work *work, const char *id)
{
	static const enum spool_queue logs[] = { SPOOL_DEFER, SPOOL_BOUNCE, SPOOL_TRACE };

	for (size_t i = 0; i < ARRAY_LEN(logs); i++)
		spool_unlink(work->spool, logs[i], id);
}

static bool move(struct work *work, enum spool_queue from, const char *id, enum spool_queue to)
{
	int64_t mtime = to == SPOOL_DEFERRED ? clock_wall_us() / 1000000 : -1;

	if (spool_move(work->spool, id, from, to, mtime) == 0)
		return true;
	if (errno != ENOENT)
		log_warning("rename file %s/%s as %s/%s: %s", spool_queue_name(from), id,
		    spool_queue_name(to), id, strerror(errno));
	return false;
}

static void apply_to_file(
    struct work *work, const struct operation *o, enum spool_queue queue, const char *id)
{
	switch (o->op) {
	case QUEUE_CONTROL_DELETE:
		if (spool_unlink(work->spool, queue, id) == -1)
			return;
		remove_logs(work, id);
		break;
	case QUEUE_CONTROL_HOLD:
		if (!move(work, queue, id, SPOOL_HOLD))
			return;
		break;
	case QUEUE_CONTROL_RELEASE:
		if (!move(work, queue, id, SPOOL_DEFERRED))
			return;
		break;
	case QUEUE_CONTROL_REQUEUE:
		if (!move(work, queue, id, SPOOL_MAILDROP))
			return;
		remove_logs(work, id);
		break;
	default:
		if (spool_expire(work->spool, queue, id) == 1)
			tell(id, false, work);
		if (o->op == QUEUE_CONTROL_EXPIRE_RELEASE && queue == SPOOL_HOLD &&
		    move(work, queue, id, SPOOL_DEFERRED))
			tell(id, true, work);
		return;
	}
	tell(id, false, work);
}

/* Does the operation concern this queue? */
static bool concerns(const struct work *work, const struct operation *o, enum spool_queue queue)
{
	if (!work->queues[queue])
		return false;
	switch (o->op) {
	case QUEUE_CONTROL_DELETE:
		return true;
	case QUEUE_CONTROL_HOLD:
		return queue != SPOOL_HOLD && queue != SPOOL_MAILDROP;
	case QUEUE_CONTROL_RELEASE:
		return queue == SPOOL_HOLD;
	case QUEUE_CONTROL_REQUEUE:
		return queue != SPOOL_MAILDROP;
	default:
		return queue != SPOOL_MAILDROP && queue != SPOOL_CORRUPT;
	}
}

struct id_list {
	struct work *work;
	enum spool_queue queue;
	bool misplaced; /* only these */
	char **ids;
	size_t count;
};

static bool add_id(const char *id, int dirfd, void *arg)
{
	struct id_list *list = arg;

	if (list->misplaced && !spool_is_misplaced(list->work->spool, list->queue, id, dirfd))
		return true;
	list->ids = xreallocarray(list->ids, list->count + 1, sizeof(*list->ids));
	list->ids[list->count++] = xstrdup(id);
	return true;
}

/* The names first: a directory that changes while it is read may show a name twice, or not. */
static struct id_list list_queue(struct work *work, enum spool_queue queue, bool misplaced)
{
	struct id_list list = { .work = work, .queue = queue, .misplaced = misplaced };

	if (spool_scan(work->spool, queue, add_id, &list) == -1)
		log_warning("scan %s: %s", spool_queue_name(queue), strerror(errno));
	return list;
}

static void free_list(struct id_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->ids[i]);
	free(list->ids);
}

static void apply_to_files(struct work *work, const struct operation *o, const char *id)
{
	for (int i = 0; i < SPOOL_QUEUES; i++) {
		enum spool_queue queue = (enum spool_queue)i;
		struct id_list list;

		if (!concerns(work, o, queue))
			continue;
		if (id) {
			apply_to_file(work, o, queue, id);
			continue;
		}
		list = list_queue(work, queue, false);
		for (size_t k = 0; k < list.count; k++)
			apply_to_file(work, o, queue, list.ids[k]);
		free_list(&list);
	}
}

static void mend_structure(struct work *work)
{
	for (int i = 0; i < SPOOL_QUEUES; i++) {
		enum spool_queue queue = (enum spool_queue)i;
		struct id_list list;

		if (!work->queues[queue] || queue == SPOOL_MAILDROP)
			continue;
		list = list_queue(work, queue, true);
		for (size_t k = 0; k < list.count; k++)
			if (spool_replace(work->spool, queue, list.ids[k]) == -1)
				log_warning("rename file %s/%s: %s", spool_queue_name(queue),
				    list.ids[k], strerror(errno));
		free_list(&list);
	}
}

/* ---- purging ---- */

static bool purge_one(const char *name, int dirfd, void *arg)
{
	const struct work *work = arg;
	struct stat st;

	(void)work;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    !(st.st_mode & S_IXUSR) && st.st_mtime < time(NULL) - STALE_S &&
	    unlinkat(dirfd, name, 0) == -1)
		log_warning("remove file %s: %s", name, strerror(errno));
	return true;
}

/* Nobody works on these: it makes no difference whether qmgr runs. */
static void purge(struct work *work)
{
	for (int i = 0; i < SPOOL_BOUNCE; i++)
		if (work->queues[i] && i != SPOOL_CORRUPT &&
		    spool_scan_all(work->spool, (enum spool_queue)i, purge_one, work) == -1)
			log_warning(
			    "scan %s: %s", spool_queue_name((enum spool_queue)i), strerror(errno));
}

/* ---- both ---- */

static void ask_qmgr(struct work *work, enum queue_control_op op, const char *id)
{
	struct queue_control request = { .op = op };

	memcpy(request.queues, work->queues, sizeof(request.queues));
	if (id)
		snprintf(request.id, sizeof(request.id), "%s", id);
	if (!queue_client_control(work->params, &request, tell, work))
		queue_client_fatal("the queue manager does not answer");
}

static void apply(struct work *work, const struct operation *o, const char *id)
{
	work->all = strcmp(id, "ALL") == 0;
	if (work->all) {
		id = NULL;
	} else if (!queue_id_may_be(slice_of(id))) {
		log_warning("invalid mail queue id: %s", id);
		return;
	} else if (!queue_id_is_valid(slice_of(id))) {
		return; /* no message has such a short one */
	}
	if (work->by_hand)
		apply_to_files(work, o, id);
	else
		ask_qmgr(work, o->op, id);
}

static void apply_from_stdin(struct work *work, const struct operation *o)
{
	char *line = NULL, *id;
	size_t size = 0;

	while (getline(&line, &size, stdin) != -1) {
		id = line + strspn(line, " \t");
		/* mailq's status characters may stand behind the id. */
		id[strcspn(id, " \t\r\n*!#")] = '\0';
		apply(work, o, id);
	}
	free(line);
}

static void perform(struct work *work, const struct operation *o)
{
	work->total = o->total;
	for (size_t i = 0; i < o->id_count; i++) {
		if (strcmp(o->ids[i], "-") == 0)
			apply_from_stdin(work, o);
		else
			apply(work, o, o->ids[i]);
	}
}

static bool is_asked_for(enum total total)
{
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		if (operations[i].total == total && operations[i].id_count > 0)
			return true;
	return false;
}

static void tell_totals(struct work *work)
{
	for (int i = 0; i < TOTALS; i++) {
		size_t count = work->told[i].count;

		if (count > 0 || is_asked_for((enum total)i))
			log_info("%s: %zu message%s", words[i].total, count, count == 1 ? "" : "s");
		map_release(&work->told[i], NULL);
	}
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
	/* Of what was only submitted, or put back, nothing can be done but to delete it. */
	static const enum spool_queue usual[] = { SPOOL_MAILDROP, SPOOL_HOLD, SPOOL_INCOMING,
		SPOOL_ACTIVE, SPOOL_DEFERRED };
	static const enum spool_queue more[] = { SPOOL_BOUNCE, SPOOL_DEFER, SPOOL_TRACE };
	enum spool_queue queue;
	bool tidying = work->structure || work->purge;

	for (size_t i = 0; i < ARRAY_LEN(usual) && !*names; i++)
		work->queues[usual[i]] = true;
	for (size_t i = 0; i < ARRAY_LEN(more) && !*names && tidying; i++)
		work->queues[more[i]] = true;
	for (; *names; names++) {
		if (!spool_queue_by_name(*names, &queue))
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

static _Noreturn void usage(void)
{
	queue_client_fatal("usage: postsuper [-c config_dir] [-d queue_id (delete)] "
			   "[-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] "
			   "[-h queue_id (hold)] [-H queue_id (un-hold)] "
			   "[-p (purge temporary files)] [-r queue_id (requeue)] "
			   "[-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] "
			   "[queue...]");
}

static const char *take_options(struct work *work, int argc, char **argv)
{
	const char *dir = NULL;
	bool asked = false;
	int opt;

	while ((opt = getopt(argc, argv, "+c:d:e:f:h:H:pr:sSv")) != -1) {
		if (opt == 'c') {
			dir = optarg;
		} else if (opt == 's' || opt == 'S' || opt == 'p') {
			*(opt == 'p' ? &work->purge : &work->structure) = asked = true;
		} else if (opt == '?') {
			usage();
		} else if (opt != 'v') { /* our messages say all that we know */
			add_request((char)opt, optarg);
			asked = true;
		}
	}
	if (!asked)
		work->structure = work->purge = true;
	return dir;
}

int main(int argc, char **argv)
{
	struct work work = { .by_hand = false };
	const char *dir;

	log_command("postsuper");
	dir = take_options(&work, argc, argv);
	work.params = queue_client_params(dir);
	work.spool = queue_client_spool(work.params);
	if (geteuid() != 0 && access(work.params->queue_directory, W_OK) == -1)
		queue_client_fatal("use of this command is reserved for the superuser");
	queue_client_log(work.params, "postsuper");
	choose_queues(&work, argv + optind);
	find_qmgr(&work);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		perform(&work, &operations[i]);
	if (work.structure && work.by_hand)
		mend_structure(&work);
	else if (work.structure)
		ask_qmgr(&work, QUEUE_CONTROL_STRUCTURE, NULL);
	if (work.purge) {
		become_mail_owner(work.params);
		purge(&work);
	}
	tell_totals(&work);
	spool_free(work.spool);
	queue_client_end();
	return 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/* Intake's side against a qmgr that says what the case wants, or nothing, or goes away. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ipc/channel.h"
#include "queue/offer.h"
#include "scratch.h"

enum behaviour { SAYS_DONE, SAYS_SPOOL, SAYS_NOTHING, GOES_AWAY, IS_NOT_THERE, SAYS_DONE_LATE };

struct owner {
	enum behaviour behaviour;
	int listener;
	char heard[200]; /* the kinds of records, in order */
	unsigned offers;
	uint64_t seen; /* of the last OFFER */
	pthread_t thread;
};

static void answer(struct channel *channel, const struct offer_record *to, bool done)
{
	struct offer_record record = *to;
	struct msg_out out = { 0 };

	record.kind = done ? OFFER_R_DONE : OFFER_R_SPOOL;
	offer_record_write(&out, &record);
	channel_send(channel, &out, NULL, 0, deadline_in(5000));
	msg_release(&out);
}

static void *serve(void *arg)
{
	static const char *const names[] = { "OFFER ", "SPOOLING ", "SPOOLED ", "FAILED " };
	struct owner *owner = arg;
	struct offer_record record;
	struct channel *channel;
	struct msg_in in;

	socket_wait(owner->listener, 1 /* POLLIN */, deadline_in(5000));
	channel = channel_new(socket_accept(owner->listener, NULL, NULL, true), "qmgr");
	while (channel_recv(channel, &in, deadline_in(5000)) == CHANNEL_RECORD) {
		size_t len = strlen(owner->heard);

		assert_true(offer_record_parse(&in.msg, &record));
		snprintf(owner->heard + len, sizeof(owner->heard) - len, "%s", names[record.kind]);
		want_int("descriptors", in.fd_count, record.kind == OFFER_R_OFFER);
		msg_in_release(&in);
		/* Both the first one's, which nobody waits for any more, and the second's. */
		if (owner->behaviour == SAYS_DONE_LATE && record.kind == OFFER_R_SPOOLED)
			answer(channel, &record, true);
		if (record.kind != OFFER_R_OFFER)
			continue;
		owner->seen = record.seen;
		if (owner->behaviour == SAYS_DONE_LATE && owner->offers++ == 0)
			continue;
		if (owner->behaviour == GOES_AWAY)
			break;
		if (owner->behaviour != SAYS_NOTHING)
			answer(channel, &record, owner->behaviour != SAYS_SPOOL);
	}
	channel_free(channel);
	return NULL;
}

static void start_owner(struct owner *owner, enum behaviour behaviour)
{
	*owner = (struct owner){ .behaviour = behaviour };
	unlinkat(scratch_fd(), "qmgr", 0);
	if (behaviour == IS_NOT_THERE)
		return;
	owner->listener = socket_unix_listen(scratch_path("qmgr"), 0600, (uid_t)-1, (gid_t)-1, 10);
	assert_true(owner->listener != -1);
	assert_int_equal(pthread_create(&owner->thread, NULL, serve, owner), 0);
}

static void stop_owner(struct owner *owner)
{
	if (owner->behaviour == IS_NOT_THERE)
		return;
	pthread_join(owner->thread, NULL);
	close(owner->listener);
}

static bool has_name(const char *id)
{
	char path[100];

	snprintf(path, sizeof(path), "incoming/%s", id);
	return faccessat(scratch_fd(), path, F_OK, 0) == 0;
}

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		enum behaviour behaviour;
		unsigned flags;
		unsigned long recipients;
		int64_t wait_ms;
		enum offer_answer want;
		const char *heard;
		bool abandon, named;
	} cases[] = {
		{ "done", SAYS_DONE, 0, 1, 5000, OFFER_DONE, "OFFER ", false, false },
		{ "spool", SAYS_SPOOL, 0, 1, 5000, OFFER_SPOOL, "OFFER SPOOLING SPOOLED ", false,
		    true },
		{ "too slow", SAYS_NOTHING, 0, 1, 20, OFFER_SPOOL, "OFFER SPOOLING SPOOLED ", false,
		    true },
		{ "never waits", SAYS_NOTHING, OFFER_NEVER_WAIT, 1, 5000, OFFER_SPOOL,
		    "OFFER SPOOLED ", false, true },
		{ "as many as the caller lets wait", SAYS_DONE, 0, 11, 5000, OFFER_DONE, "OFFER ",
		    false, false },
		{ "given up", SAYS_NOTHING, 0, 1, 20, OFFER_SPOOL, "OFFER FAILED ", true, false },
		{ "goes away", GOES_AWAY, 0, 1, 5000, OFFER_SPOOL, "OFFER ", false, true },
		{ "is not there", IS_NOT_THERE, 0, 1, 5000, OFFER_SPOOL, "", false, true },
	};
	int incoming, proc = scratch_proc_fd();

	(void)state;
	mkdirat(scratch_fd(), "incoming", 0700);
	incoming = openat(scratch_fd(), "incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct dirsync *sync = dirsync_new(dup(incoming));
		char *path = xstrdup(scratch_path("qmgr"));
		struct offer_client_config config = { "test", path, sync, proc };
		struct offer_client *client = offer_client_new(&config);
		char id[QUEUE_ID_SIZE];
		struct reason why;
		struct tmpfile file;
		struct owner owner;
		struct offer *offer;

		snprintf(id, sizeof(id), "ABCDEF%06zu", i);
		start_owner(&owner, cases[i].behaviour);
		assert_int_equal(tmpfile_open(&file, incoming, 0700), 0);
		offer = offer_new(client, &(struct offer_request){ .id = id,
					      .file = &file,
					      .recipient_count = cases[i].recipients,
					      .flags = cases[i].flags });
		want_int(
		    cases[i].name, offer_wait(offer, deadline_in(cases[i].wait_ms)), cases[i].want);
		if (cases[i].abandon)
			offer_abandon(offer);
		else if (cases[i].want == OFFER_SPOOL)
			want_int(cases[i].name, offer_spool(offer, &why), true);
		offer_free(offer);
		offer_client_free(client);
		stop_owner(&owner);
		want_str(cases[i].name, owner.heard, cases[i].heard);
		want_int(cases[i].name, has_name(id), cases[i].named);
		tmpfile_close(&file);
		dirsync_free(sync);
		free(path);
	}
	close(incoming);
}

/* One connection serves one offer after the other; an answer that comes too late is the first's. */
static void test_late_answer(void **state)
{
	static const enum offer_answer want[] = { OFFER_SPOOL, OFFER_DONE, OFFER_DONE };
	int incoming = openat(scratch_fd(), "incoming", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirsync *sync = dirsync_new(incoming);
	char *path = xstrdup(scratch_path("qmgr"));
	struct offer_client_config config = { "test", path, sync, scratch_proc_fd() };
	struct offer_client *client = offer_client_new(&config);
	struct owner owner;

	(void)state;
	start_owner(&owner, SAYS_DONE_LATE);
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct offer_request request = { .recipient_count = 1 };
		char id[QUEUE_ID_SIZE];
		struct reason why;
		struct tmpfile file;
		struct offer *offer;

		snprintf(id, sizeof(id), "ABCDE1%06zu", i);
		assert_int_equal(tmpfile_open(&file, incoming, 0700), 0);
		request.id = id;
		request.file = &file;
		offer = offer_new(client, &request);
		want_int(id, offer_wait(offer, deadline_in(i == 0 ? 20 : 5000)), want[i]);
		if (want[i] == OFFER_SPOOL)
			want_int(id, offer_spool(offer, &why), true);
		offer_free(offer);
		tmpfile_close(&file);
	}
	offer_client_free(client);
	stop_owner(&owner);
	want_str("one connection", owner.heard, "OFFER SPOOLING SPOOLED OFFER OFFER ");
	want_int("seen", owner.seen, 2);
	dirsync_free(sync);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_late_answer),
	};

	return cmocka_run_group_tests_name("offer", tests, NULL, NULL);
}

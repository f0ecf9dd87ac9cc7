// SPDX-License-Identifier: BSD-2-Clause
/* The commit, with a qmgr of our own that says DONE, SPOOL, or nothing. */
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "intake_fixture.h"
#include "ipc/channel.h"
#include "queue/offer.h"
#include "sys/socket.h"

struct peer {
	int listener;
	int answer; /* kind of offer_record, or -1: none */
	pthread_t thread;
	struct strbuf seen; /* kinds that came, a letter each */
};

static void answer(struct peer *peer, struct channel *ch, const struct offer_record *record)
{
	struct offer_record reply = { .kind = (unsigned)peer->answer };
	struct msg_out m = { 0 };

	memcpy(reply.id, record->id, sizeof(reply.id));
	offer_record_write(&m, &reply);
	channel_send(ch, &m, NULL, 0, deadline_in(5000));
	msg_release(&m);
}

static void *peer_run(void *arg)
{
	struct peer *peer = arg;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int fd;

	if (socket_wait(peer->listener, POLLIN, deadline_in(5000)) != 1)
		return NULL;
	fd = socket_accept(peer->listener, &from, &len, true);
	struct channel *ch = channel_new(fd, "qmgr");
	struct offer_record record;
	struct msg_in in;

	while (channel_recv(ch, &in, deadline_in(5000)) == CHANNEL_RECORD) {
		if (offer_record_parse(&in.msg, &record)) {
			strbuf_addch(&peer->seen, "OGDFds"[record.kind]);
			if (record.kind == OFFER_R_OFFER && peer->answer >= 0)
				answer(peer, ch, &record);
		}
		msg_in_release(&in);
	}
	channel_free(ch);
	return NULL;
}

static void commit_with(const char *main_cf, int kind, const char *want, unsigned named)
{
	struct peer peer = { .answer = kind };
	char path[200];
	struct reason why;

	open_service(main_cf);
	config_path(&config, "public/qmgr", path, sizeof(path));
	peer.listener = socket_unix_listen(path, 0600, (uid_t)-1, (gid_t)-1, 5);
	assert_true(peer.listener >= 0);
	strbuf_init(&peer.seen, 100);
	assert_int_equal(pthread_create(&peer.thread, NULL, peer_run, &peer), 0);
	struct intake *in = begin(&(struct intake_origin){ .origin = "local" });

	assert_true(feed(in, "A: b\n\nc\n", &why));
	assert_true(intake_commit(in, &why));
	assert_int_equal(incoming_count(), named);
	intake_free(in);
	intake_service_free(service);
	service = NULL;
	assert_int_equal(pthread_join(peer.thread, NULL), 0);
	assert_string_equal(peer.seen.ptr, want);
	strbuf_release(&peer.seen);
	close(peer.listener);
	close_service();
}

static void test_done(void **state)
{
	(void)state;
	commit_with("", OFFER_R_DONE, "O", 0);
}

static void test_spool(void **state)
{
	(void)state;
	commit_with("", OFFER_R_SPOOL, "OGD", 1);
}

static void test_silence(void **state)
{
	(void)state;
	commit_with("postcote_deliver_time_limit_ms = 50\n", -1, "OGD", 1);
}

/* doc/QUEUE.md 2.4 */
static void test_who_waits(void **state)
{
	(void)state;
	commit_with("postcote_deliver_recipient_limit = 0\n", -1, "OD", 1);
	commit_with("postcote_deliver_size_limit = 3\n", -1, "OD", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_done),
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

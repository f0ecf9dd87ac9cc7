// SPDX-License-Identifier: BSD-2-Clause
/*
 * The parker.  Each session has a slot that outlives it: slots are never freed, so that a late
 * event of epoll or of a timer can always look at one.  The slot's word holds the number of the
 * slot's present use (which a session that closes moves on) and these bits:
 *
 *   PARKED_INPUT, PARKED_EVENT   nobody runs the session.  Whoever takes the bit away, by one
 *                                compare-and-swap, has the session.
 *   WOKEN                        session_wake came while it ran
 *   READY                        epoll reported input while it ran
 *
 * Parking is: arm the timer, arm epoll, then set PARKED, unless WOKEN or READY was set meanwhile:
 * then the session goes on.  So an event is either kept in a bit or finds the session parked;
 * forbidden is to touch a session, or anything of it but the word, after PARKED was set.
 *
 * A timer is set and PARKED in one critical section, and it expires in another, so an expiring
 * timer never meets a session that is about to park with it.  A timer that expires while its
 * session runs is just dropped, since parking sets it again; so is nothing undone when a session is
 * taken.  The loop's timer is armed for the earliest deadline that was seen and may fire too early
 * for nothing.
 */
#include "server/session.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/list.h"
#include "server/pool.h"
#include "server/running.h"

#define SESSION_MAGIC 0x73657373u

#define BIT_PARKED_INPUT 1u
#define BIT_PARKED_EVENT 2u
#define BIT_WOKEN	 4u
#define BIT_READY	 8u
#define BITS_PARKED	 (BIT_PARKED_INPUT | BIT_PARKED_EVENT)
#define WORD_USE	 16u /* added for each use of a slot */

#define SLOTS_PER_CHUNK 256
#define MAX_CHUNKS	4096

/* A client that answers at once is served by the thread it has, when few do so. */
#define LINGER_MAX 32
/* Less than this before a deadline nobody lingers. */
#define LINGER_LEFT_MS 20

struct session_state {
	atomic_uint_fast64_t word;
	uint32_t number;
	int epoll_fd; /* the descriptor that epoll knows, or -1 */
	struct session *session;
	enum session_wake why; /* for the thread that takes it over */
	unsigned short empty;  /* wake-ups in a row without application bytes */
	bool failed;
	int told_draining; /* the value of parker.draining that it was told */
	struct heap_node timer;
	struct session_state *next_free;
};

static struct {
	struct loop *loop;
	void (*closed)(void);
	atomic_size_t count;
	atomic_int draining; /* 0, 1 (reload or stop), 2 (first reload, then stop) */
	atomic_bool close_posted, tell_closed;
	atomic_int lingering;
	_Atomic(struct session_state *) chunks[MAX_CHUNKS];

	pthread_mutex_t lock; /* for all that follows, and session_state.timer */
	uint32_t slots;
	struct session_state *free_slots;
	struct heap timers;
	struct loop_timer alarm;
	int64_t alarm_at;
} parker = { .lock = PTHREAD_MUTEX_INITIALIZER, .alarm_at = DEADLINE_NEVER };

static struct session_state *slot_at(uint32_t number)
{
	struct session_state *chunk = atomic_load(&parker.chunks[number / SLOTS_PER_CHUNK]);

	return &chunk[number % SLOTS_PER_CHUNK];
}

/* With the lock. */
static void add_chunk(void)
{
	struct session_state *chunk = xcalloc(SLOTS_PER_CHUNK, sizeof(*chunk));

	ASSERT(parker.slots / SLOTS_PER_CHUNK < MAX_CHUNKS);
	atomic_store(&parker.chunks[parker.slots / SLOTS_PER_CHUNK], chunk);
	for (unsigned i = SLOTS_PER_CHUNK; i-- > 0;) {
		chunk[i].number = parker.slots + i;
		chunk[i].next_free = parker.free_slots;
		parker.free_slots = &chunk[i];
	}
	parker.slots += SLOTS_PER_CHUNK;
}

static struct session_state *slot_get(void)
{
	struct session_state *slot;

	pthread_mutex_lock(&parker.lock);
	if (parker.free_slots == NULL)
		add_chunk();
	slot = parker.free_slots;
	parker.free_slots = slot->next_free;
	pthread_mutex_unlock(&parker.lock);
	slot->epoll_fd = -1;
	slot->empty = 0;
	slot->told_draining = 0;
	slot->failed = false;
	return slot;
}

static void slot_put(struct session_state *slot)
{
	uint64_t word = atomic_load(&slot->word);

	/* The next use begins: whatever comes late for this one finds another number. */
	while (!atomic_compare_exchange_weak(
	    &slot->word, &word, (word & ~(uint64_t)(WORD_USE - 1)) + WORD_USE))
		;
	pthread_mutex_lock(&parker.lock);
	heap_remove(&parker.timers, &slot->timer);
	slot->session = NULL;
	slot->next_free = parker.free_slots;
	parker.free_slots = slot;
	pthread_mutex_unlock(&parker.lock);
}

/* Of the use, 31 bits go into the tag: enough for events that were fetched just now. */
static uint64_t slot_tag(const struct session_state *slot, uint64_t word)
{
	return (word / WORD_USE & 0x7fffffff) << 33 | (uint64_t)slot->number << 1 | 1;
}

/* Takes the session if it is parked as one of BITS says, in the use of WORD. */
static bool slot_claim(struct session_state *slot, uint64_t word, unsigned bits)
{
	while (word & bits)
		if (atomic_compare_exchange_weak(&slot->word, &word, word & ~BITS_PARKED))
			return true;
	return false;
}

static void session_run(void *arg);

static void slot_hand_over(struct session_state *slot, enum session_wake why)
{
	slot->why = why;
	pool_run(session_run, slot->session);
}

void session_wake(struct session *session)
{
	struct session_state *slot = session->state;
	uint64_t word = atomic_load(&slot->word);

	ASSERT(session->magic == SESSION_MAGIC);
	for (;;) {
		if (word & BITS_PARKED) {
			if (atomic_compare_exchange_weak(&slot->word, &word, word & ~BITS_PARKED)) {
				slot_hand_over(slot, SESSION_WOKEN);
				return;
			}
		} else if (atomic_compare_exchange_weak(&slot->word, &word, word | BIT_WOKEN)) {
			return;
		}
	}
}

static void on_input(uint64_t tag, void *arg)
{
	struct session_state *slot = slot_at((uint32_t)(tag >> 1));
	uint64_t word = atomic_load(&slot->word);

	(void)arg;
	while (slot_tag(slot, word) == tag) {
		if (word & BIT_PARKED_INPUT) {
			if (atomic_compare_exchange_weak(&slot->word, &word, word & ~BITS_PARKED)) {
				slot_hand_over(slot, SESSION_HAS_INPUT);
				return;
			}
		} else if (atomic_compare_exchange_weak(&slot->word, &word, word | BIT_READY)) {
			return;
		}
	}
}

/* In the loop's thread; with the lock. */
static void set_alarm(void)
{
	struct heap_node *first = heap_min(&parker.timers);

	parker.alarm_at = first == NULL ? DEADLINE_NEVER : first->key;
	if (first == NULL)
		loop_timer_cancel(parker.loop, &parker.alarm);
	else
		loop_timer_set(parker.loop, &parker.alarm, first->key);
}

static void alarm_moved(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&parker.lock);
	set_alarm();
	pthread_mutex_unlock(&parker.lock);
}

static void on_alarm(struct loop_timer *timer)
{
	int64_t now = clock_ms();
	struct heap_node *first;

	(void)timer;
	pthread_mutex_lock(&parker.lock);
	while ((first = heap_min(&parker.timers)) != NULL && first->key <= now) {
		struct session_state *slot = list_entry(first, struct session_state, timer);

		heap_remove(&parker.timers, first);
		if (slot_claim(slot, atomic_load(&slot->word), BITS_PARKED))
			slot_hand_over(slot, SESSION_EXPIRED);
	}
	set_alarm();
	pthread_mutex_unlock(&parker.lock);
}

void sessions_init(struct loop *loop, void (*closed)(void))
{
	parker.loop = loop;
	parker.closed = closed;
	parker.alarm.expired = on_alarm;
	loop_on_tagged(loop, on_input, NULL);
}

void sessions_tell_closed(bool wanted)
{
	atomic_store(&parker.tell_closed, wanted);
}

size_t sessions_count(void)
{
	return atomic_load(&parker.count);
}

bool session_draining(const struct session *session)
{
	(void)session;
	return atomic_load(&parker.draining) > 0;
}

/* The session is the caller's; true when it has to hear that the process drains. */
static bool tell_draining(struct session_state *slot)
{
	int level = atomic_load(&parker.draining);

	if (slot->told_draining >= level)
		return false;
	slot->told_draining = level;
	return true;
}

void sessions_drain(void)
{
	uint32_t slots;

	atomic_fetch_add(&parker.draining, 1);
	pthread_mutex_lock(&parker.lock);
	slots = parker.slots;
	pthread_mutex_unlock(&parker.lock);
	for (uint32_t i = 0; i < slots; i++) {
		struct session_state *slot = slot_at(i);

		if (!slot_claim(slot, atomic_load(&slot->word), BIT_PARKED_INPUT))
			continue;
		/* One that parked since the counter moved, and took itself back, knows already. */
		slot_hand_over(slot, tell_draining(slot) ? SESSION_DRAINING : SESSION_HAS_INPUT);
	}
}

struct session *session_new(const struct session_class *class, struct stream *stream)
{
	struct session *session;

	ASSERT(class->size >= sizeof(*session));
	session = xcalloc(1, class->size);
	session->magic = SESSION_MAGIC;
	session->class = class;
	session->stream = stream;
	session->started = clock_ms();
	session->state = slot_get();
	session->state->session = session;
	atomic_fetch_add(&parker.count, 1);
	return session;
}

void session_start(struct session *session)
{
	slot_hand_over(session->state, SESSION_OPENED);
}

static void forget_fd(struct session_state *slot)
{
	if (slot->epoll_fd >= 0)
		(void)epoll_ctl(loop_epoll_fd(parker.loop), EPOLL_CTL_DEL, slot->epoll_fd, NULL);
	slot->epoll_fd = -1;
}

struct stream *session_take_stream(struct session *session)
{
	struct stream *stream = session->stream;

	ASSERT(session->magic == SESSION_MAGIC);
	forget_fd(session->state);
	session->stream = NULL;
	return stream;
}

static void closed_posted(void *arg)
{
	(void)arg;
	atomic_store(&parker.close_posted, false);
	parker.closed();
}

static void session_close(struct session *session)
{
	struct session_state *slot = session->state;

	if (session->class->close != NULL)
		session->class->close(session);
	forget_fd(slot);
	stream_free(session->stream);
	session->magic = 0;
	free(session);
	slot_put(slot);
	atomic_fetch_sub(&parker.count, 1);
	if (atomic_load(&parker.tell_closed) && !atomic_exchange(&parker.close_posted, true))
		loop_post(parker.loop, closed_posted, NULL);
}

/* True when input came within a moment, in which the thread was not worth giving back. */
static bool linger(struct session *session)
{
	int left = deadline_left(session->deadline);
	bool came;

	running_end();
	if (atomic_fetch_add(&parker.lingering, 1) < LINGER_MAX &&
	    (left < 0 || left >= LINGER_LEFT_MS))
		came = stream_linger(session->stream);
	else
		came = stream_poll_input(session->stream);
	running_again();
	atomic_fetch_sub(&parker.lingering, 1);
	return came;
}

/* Arms epoll for one event.  False when the kernel refuses (no memory, too many watches). */
static bool arm_input(struct session *session)
{
	struct session_state *slot = session->state;
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT };
	int op = slot->epoll_fd < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	ev.data.u64 = slot_tag(slot, atomic_load(&slot->word));
	if (epoll_ctl(loop_epoll_fd(parker.loop), op, stream_fd(session->stream), &ev) < 0)
		return false;
	slot->epoll_fd = stream_fd(session->stream);
	return true;
}

/* With the lock; true when the loop has to be told that it must wake earlier. */
static bool set_timer(struct session_state *slot, int64_t deadline)
{
	if (deadline == DEADLINE_NEVER) {
		heap_remove(&parker.timers, &slot->timer);
		return false;
	}
	heap_set(&parker.timers, &slot->timer, deadline);
	if (deadline >= parker.alarm_at)
		return false;
	parker.alarm_at = deadline;
	return true;
}

/*
 * Sets the timer and BIT, and returns 0; or, when one was set, takes WOKEN or (if BIT is the one
 * for input) READY off and returns it: the session stays with the caller.
 */
static unsigned publish(struct session_state *slot, unsigned bit, int64_t deadline)
{
	unsigned stops = BIT_WOKEN | (bit == BIT_PARKED_INPUT ? BIT_READY : 0), stopped;
	uint64_t word, next;
	bool earlier;

	pthread_mutex_lock(&parker.lock);
	earlier = set_timer(slot, deadline);
	word = atomic_load(&slot->word);
	do {
		stopped = word & BIT_WOKEN ? BIT_WOKEN : (unsigned)word & stops;
		next = stopped ? word & ~(uint64_t)stopped : word | bit;
	} while (!atomic_compare_exchange_weak(&slot->word, &word, next));
	pthread_mutex_unlock(&parker.lock);
	if (earlier)
		loop_post(parker.loop, alarm_moved, NULL);
	return stopped;
}

/* A parking for input that came after sessions_drain had looked; the session may be gone. */
static bool take_back_to_drain(struct session_state *slot, uint64_t use, int told)
{
	uint64_t word = use | BIT_PARKED_INPUT;

	return told < atomic_load(&parker.draining) &&
	       atomic_compare_exchange_strong(&slot->word, &word, use);
}

/* True: the session parked (or was taken by another thread since) and is no longer ours. */
static bool park_for_input(struct session *session, enum session_wake *why)
{
	struct session_state *slot = session->state;
	const uint64_t use = atomic_load(&slot->word) & ~(uint64_t)(WORD_USE - 1);
	const int told = slot->told_draining;
	unsigned stopped;

	*why = SESSION_HAS_INPUT;
	do {
		if (!arm_input(session)) {
			*why = SESSION_EXPIRED;
			return false;
		}
		stopped = publish(slot, BIT_PARKED_INPUT, session->deadline);
		/* READY may be a late word about input that was read long ago. */
	} while (stopped == BIT_READY && !stream_poll_input(session->stream));
	if (stopped == BIT_WOKEN)
		*why = SESSION_WOKEN;
	if (stopped != 0)
		return false;
	if (take_back_to_drain(slot, use, told)) {
		(void)tell_draining(slot);
		*why = SESSION_DRAINING;
		return false;
	}
	return true;
}

static bool park_for_event(struct session *session, enum session_wake *why)
{
	*why = SESSION_WOKEN;
	return publish(session->state, BIT_PARKED_EVENT, session->deadline) == 0;
}

/* The stream of a session that wants to wait must be sound, sent and empty. */
static bool stream_is_ready_to_park(struct session *session, enum session_next next)
{
	struct stream *stream = session->stream;

	ASSERT(stream != NULL || next == SESSION_EVENT);
	if (stream == NULL)
		return true;
	if (stream_flush(stream) && next == SESSION_INPUT && !stream_has_input(stream))
		return !linger(session);
	return stream_error(stream) == STREAM_OK && next == SESSION_EVENT;
}

static bool park(struct session *session, enum session_next next, enum session_wake *why)
{
	struct session_state *slot = session->state;

	ASSERT(session->deadline > 0);
	if (!stream_is_ready_to_park(session, next)) {
		*why = SESSION_HAS_INPUT;
		return false;
	}
	if (next == SESSION_EVENT)
		return park_for_event(session, why);
	if (tell_draining(slot)) {
		*why = SESSION_DRAINING;
		return false;
	}
	stream_shrink(session->stream);
	return park_for_input(session, why);
}

/* Input woke the session; true when it is worth calling SERVE, perhaps with another reason. */
static bool has_application_input(struct session *session, enum session_wake *why)
{
	struct session_state *slot = session->state;

	if (stream_poll_input(session->stream)) {
		slot->empty = 0;
		return true;
	}
	if (++slot->empty < SESSION_MAX_EMPTY)
		return false;
	*why = SESSION_EXPIRED;
	return true;
}

/* A session that does not close although its stream has failed would come back for ever. */
static bool is_stuck(struct session *session)
{
	struct session_state *slot = session->state;

	if (session->stream == NULL || stream_error(session->stream) == STREAM_OK)
		return false;
	if (slot->failed)
		return true;
	slot->failed = true;
	return false;
}

static void begin_running(const struct session *session)
{
	const struct running_who who = { .client = &session->peer, .user = session->user };

	running_begin(&who);
}

static void session_run(void *arg)
{
	struct session *session = arg;
	enum session_wake why = session->state->why;
	enum session_next next = SESSION_INPUT;

	ASSERT(session->magic == SESSION_MAGIC);
	do {
		begin_running(session);
		if (why != SESSION_HAS_INPUT || has_application_input(session, &why))
			next = session->class->serve(session, why);
		else
			next = SESSION_INPUT;
		if (next == SESSION_CLOSE || is_stuck(session)) {
			session_close(session);
			break;
		}
	} while (!park(session, next, &why));
	running_end();
}

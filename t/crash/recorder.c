// SPDX-License-Identifier: BSD-2-Clause
/*
 * recorder.c - runs a command and writes down all that it and its descendants do to the watched
 * directories:
 *
 *	recorder [-t SECONDS] [-m REGEX] [-s MILLISECONDS] [-f N] -o TRACE -w DIR [-w DIR ...] --
 *COMMAND...
 *
 * -t kills the whole tree after that time (exit status 124); -m says which replies promise that
 * a message is safe; -s lets every sync take that much longer, so that code which trusts a
 * sync that was already under way shows it; -f lets every Nth sync fail with EIO (it takes place,
 * but nobody may count on it). The exit status is the command's, or 125 if the recording failed.
 * SIGTERM, SIGINT and SIGHUP go to the command, or after its end to the oldest process left (a
 * daemon). The recorder ends when nobody is left.
 *
 * Order. A call takes effect somewhere between its entry and its exit, and the trace is one
 *sequence. What makes that sound:
 *
 * - Calls that change a watched directory have turns: while one is in the kernel, the others wait
 *at their entry. They are written when they leave, so their order is the order of their effects.
 *   None of them can wait for another process; splice can, and has no turn: it is
 *   written at its exit, later than its effect.
 * - Syncs run at any time, also beside each other, since the programs under test mean them to.
 *"begin" is written at the entry, "end" at the exit. What "end" makes durable is what was written
 *   *before* "begin": a change that was in the kernel at that moment is written later and does not
 *count. A real disk may be luckier; a program cannot know.
 * - A mark is written at the entry of the call that sends it. All that the sender can know to
 *   be done has left the kernel before, and so stands before it.
 *
 * So whatever a program can rely on is before the mark in the trace, and whatever is durable in the
 * model is durable on the disk.
 *
 * Stops. A seccomp filter with SECCOMP_RET_TRACE stops the tracees at the calls of rec_table.c
 * alone, and only those about watched files stop again at their exit.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rec_calls.h"
#include "rec_files.h"
#include "rec_filter.h"
#include "rec_mark.h"
#include "rec_proc.h"
#include "rec_trace.h"

#define BUCKETS	    1024
#define MAX_WATCHES 16
#define TICK_MS	    20
#define OPTIONS                                                                                    \
	(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |     \
	    PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACESECCOMP)

enum tracee_state {
	TRACEE_RUNS,
	TRACEE_WAITS,	/* at the entry of a call, for its turn */
	TRACEE_IN_CALL, /* we will see the end of it */
	TRACEE_SLOW,	/* its sync has returned, but it does not know yet (-s) */
};

struct tracee {
	struct tracee *chain; /* in its bucket */
	struct tracee *queue; /* next to wait for a turn */
	pid_t tid;
	unsigned long born; /* order of first sight */
	enum tracee_state state;
	char who[48];
	struct timespec due; /* TRACEE_SLOW */
	struct call call;
};

static struct {
	const char *trace;
	const char *watch[MAX_WATCHES];
	int watches;
	const char *regex;
	long deadline;
	long slow_ms;
	long fail_each;
} opt = { .regex = "^250 2\\.0\\.0 Ok: queued as ([0-9A-Za-z]+)" };

static struct tracee *table[BUCKETS];
static struct tracee *turn; /* who changes the disk now */
static struct tracee *waiting, **last = &waiting;
static pid_t first;
static int first_status;
static unsigned slow_count;
static volatile sig_atomic_t forward;

/* ---- tracees ---- */

static struct tracee **slot_of(pid_t tid)
{
	struct tracee **p = &table[(unsigned)tid % BUCKETS];

	while (*p && (*p)->tid != tid)
		p = &(*p)->chain;
	return p;
}

static struct tracee *tracee_get(pid_t tid)
{
	static unsigned long births;
	struct tracee **p = slot_of(tid);

	if (!*p) {
		*p = calloc(1, sizeof(**p));
		if (!*p)
			die("out of memory");
		(*p)->tid = tid;
		(*p)->born = ++births;
	}
	return *p;
}

static void unqueue(const struct tracee *t)
{
	for (struct tracee **p = &waiting; *p; p = &(*p)->queue) {
		if (*p != t)
			continue;
		*p = t->queue;
		break;
	}
	for (last = &waiting; *last; last = &(*last)->queue)
		;
}

/* A tracee may be killed at any moment, so that it is gone is no error; we are told soon. */
static void resume(const struct tracee *t, int signo)
{
	int how = t->state == TRACEE_IN_CALL ? PTRACE_SYSCALL : PTRACE_CONT;

	if (ptrace(how, t->tid, NULL, (void *)(long)signo) != 0 && errno != ESRCH)
		die("cannot resume %d: %s", (int)t->tid, strerror(errno));
}

/* ---- calls ---- */

/* @t has its turn; returns false if it does not need it after all. */
static bool start(struct tracee *t)
{
	bool ours = calls_prepare(&t->call);

	t->state = ours ? TRACEE_IN_CALL : TRACEE_RUNS;
	resume(t, 0);
	return ours;
}

static void next_turn(void)
{
	turn = NULL;
	while (!turn && waiting) {
		struct tracee *t = waiting;

		waiting = t->queue;
		if (!waiting)
			last = &waiting;
		t->queue = NULL;
		if (start(t))
			turn = t;
	}
}

static void wait_for_turn(struct tracee *t)
{
	t->state = TRACEE_WAITS;
	t->queue = NULL;
	*last = t;
	last = &t->queue;
	if (!turn)
		next_turn();
}

static bool syscall_info(pid_t tid, struct __ptrace_syscall_info *info)
{
	return ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(*info), info) > 0;
}

static void on_entry(struct tracee *t)
{
	struct __ptrace_syscall_info info;
	struct call *c = &t->call;

	if (!syscall_info(t->tid, &info))
		return; /* killed meanwhile */
	if (info.op != PTRACE_SYSCALL_INFO_SECCOMP)
		die("unexpected stop of %d", (int)t->tid);
	proc_name(t->tid, t->who);
	if (info.seccomp.ret_data == FILTER_FOREIGN)
		die("%s uses a foreign system call interface", t->who);
	memset(c, 0, sizeof(*c));
	c->desc = calls_find(info.seccomp.nr);
	c->tid = t->tid;
	c->who = t->who;
	if (!c->desc)
		die("unexpected system call %llu", (unsigned long long)info.seccomp.nr);
	memcpy(c->args, info.seccomp.args, sizeof(c->args));
	switch (calls_enter(c)) {
	case CALL_PASS:
		resume(t, 0);
		break;
	case CALL_FOLLOW:
		t->state = TRACEE_IN_CALL;
		resume(t, 0);
		break;
	case CALL_TURN:
		wait_for_turn(t);
		break;
	}
}

static bool is_sync(const struct call *c)
{
	return c->desc->kind == CALL_SYNC || c->desc->kind == CALL_SYNC_ALL;
}

static void slow_down(struct tracee *t)
{
	t->state = TRACEE_SLOW;
	slow_count++;
	clock_gettime(CLOCK_MONOTONIC, &t->due);
	t->due.tv_nsec += opt.slow_ms % 1000 * 1000000;
	t->due.tv_sec += opt.slow_ms / 1000 + t->due.tv_nsec / 1000000000;
	t->due.tv_nsec %= 1000000000;
}

/* The kernel is done with the call; its caller sees an error. */
static void make_it_fail(const struct tracee *t, int error)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, t->tid, (void *)NT_PRSTATUS, &iov) != 0)
		return; /* killed meanwhile */
#if defined(__x86_64__)
	regs.rax = (unsigned long long)-error;
#elif defined(__aarch64__)
	regs.regs[0] = (unsigned long long)-error;
#else
	(void)error;
	die("-f is not known on this architecture");
#endif
	ptrace(PTRACE_SETREGSET, t->tid, (void *)NT_PRSTATUS, &iov);
}

static bool is_to_fail(const struct tracee *t)
{
	static long count;

	return opt.fail_each && is_sync(&t->call) && ++count % opt.fail_each == 0;
}

static void finish(struct tracee *t, long long rval, bool failed)
{
	calls_done(&t->call, rval, failed);
	t->state = TRACEE_RUNS;
	resume(t, 0);
}

static void on_exit_stop(struct tracee *t)
{
	struct __ptrace_syscall_info info;

	if (t->state != TRACEE_IN_CALL) {
		resume(t, 0);
		return;
	}
	if (!syscall_info(t->tid, &info) || info.op != PTRACE_SYSCALL_INFO_EXIT)
		return; /* killed meanwhile: on_gone deals with the call */
	if (is_to_fail(t)) {
		make_it_fail(t, EIO);
		finish(t, -EIO, true);
	} else if (opt.slow_ms && is_sync(&t->call) && !info.exit.is_error) {
		slow_down(t);
	} else {
		finish(t, info.exit.rval, info.exit.is_error);
	}
	if (turn == t)
		next_turn();
}

static void release_slow(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (int i = 0; slow_count && i < BUCKETS; i++) {
		for (struct tracee *t = table[i]; t; t = t->chain) {
			if (t->state != TRACEE_SLOW || now.tv_sec < t->due.tv_sec ||
			    (now.tv_sec == t->due.tv_sec && now.tv_nsec < t->due.tv_nsec))
				continue;
			slow_count--;
			finish(t, 0, false);
		}
	}
}

/* ---- events ---- */

static void on_gone(pid_t tid)
{
	struct tracee **p = slot_of(tid);
	struct tracee *t = *p;

	if (!t)
		return;
	*p = t->chain;
	if (t->state == TRACEE_WAITS)
		unqueue(t);
	if (t->state == TRACEE_SLOW)
		slow_count--;
	if (t->state == TRACEE_IN_CALL)
		calls_dead(&t->call);
	if (turn == t)
		next_turn();
	free(t);
}

/*
 * The thread that calls exec gets the number of its process, and all others are gone: the first
 * one, whose number that was, without further notice, even in the middle of a call.
 */
static void on_exec(const struct tracee *leader)
{
	pid_t tid = leader->tid;
	unsigned long born = leader->born;
	unsigned long former = 0;
	struct tracee *t;

	if (ptrace(PTRACE_GETEVENTMSG, tid, NULL, &former) == 0 && (pid_t)former != tid)
		on_gone((pid_t)former);
	on_gone(tid);
	t = tracee_get(tid);
	t->born = born;
	resume(t, 0);
}

/* Both the end of a new tracee's creation and a stop by job control. */
static void on_stop_event(struct tracee *t, int signo)
{
	if (signo == SIGSTOP || signo == SIGTSTP || signo == SIGTTIN || signo == SIGTTOU)
		ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
	else
		resume(t, 0);
}

static void on_stop(struct tracee *t, int status)
{
	int signo = WSTOPSIG(status);

	switch (status >> 16) {
	case PTRACE_EVENT_SECCOMP:
		on_entry(t);
		break;
	case PTRACE_EVENT_EXEC:
		on_exec(t);
		break;
	case PTRACE_EVENT_STOP:
		on_stop_event(t, signo);
		break;
	case 0:
		if (signo == (SIGTRAP | 0x80))
			on_exit_stop(t);
		else
			resume(t, signo);
		break;
	default: /* fork and the like: the new tracee stops by itself */
		resume(t, 0);
		break;
	}
}

static void kill_all(void)
{
	for (int i = 0; i < BUCKETS; i++) {
		for (struct tracee *t = table[i]; t; t = t->chain)
			kill(t->tid, SIGKILL);
	}
}

static pid_t oldest(void)
{
	const struct tracee *best = NULL;

	if (*slot_of(first))
		return first;
	for (int i = 0; i < BUCKETS; i++) {
		for (const struct tracee *t = table[i]; t; t = t->chain) {
			if (!best || t->born < best->born)
				best = t;
		}
	}
	return best ? best->tid : -1;
}

static void on_tick(const struct timespec *began)
{
	struct timespec now;
	pid_t pid;

	if (forward) {
		pid = oldest();
		if (pid > 0)
			kill(pid, forward);
		forward = 0;
	}
	if (slow_count)
		release_slow();
	clock_gettime(CLOCK_MONOTONIC, &now);
	now.tv_sec -= began->tv_sec + (now.tv_nsec < began->tv_nsec);
	if (opt.deadline && now.tv_sec >= opt.deadline) {
		kill_all();
		trace_flush();
		fprintf(stderr, "recorder: not finished after %ld s\n", opt.deadline);
		_exit(124);
	}
}

static void loop(void)
{
	struct timespec began;
	unsigned count = 0;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &began);
	for (;;) {
		pid_t tid = waitpid(-1, &status, __WALL);

		/* a busy tree may never let us be interrupted */
		if (tid < 0 || ++count % 256 == 0 || forward)
			on_tick(&began);
		if (tid < 0 && errno == ECHILD)
			return;
		if (tid < 0)
			continue;
		if (WIFSTOPPED(status)) {
			on_stop(tracee_get(tid), status);
			continue;
		}
		if (tid == first)
			first_status =
			    WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		on_gone(tid);
	}
}

/* ---- start ---- */

static void note_signal(int signo)
{
	if (signo != SIGALRM)
		forward = signo;
}

/* Without SA_RESTART: a tick ends waitpid. */
static void set_signals(void)
{
	static const int signals[] = { SIGALRM, SIGTERM, SIGINT, SIGHUP };
	struct sigaction sa = { .sa_handler = note_signal };
	struct itimerval tick = { { 0, TICK_MS * 1000 }, { 0, TICK_MS * 1000 } };

	if (opt.slow_ms && opt.slow_ms < TICK_MS)
		tick.it_interval.tv_usec = tick.it_value.tv_usec = opt.slow_ms * 1000;
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
}

static void child(int go, char **argv)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(125);
	close(go);
	if (filter_install() != 0) {
		fprintf(stderr, "recorder: seccomp: %s\n", strerror(errno));
		_exit(125);
	}
	execvp(argv[0], argv);
	fprintf(stderr, "recorder: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/*
 * The child waits until it is seized: a filter that traces, without a tracer, refuses. It is forked
 * before we take more descriptors than it shall have. Returns the pipe that lets it go.
 */
static int fork_child(char **argv)
{
	int go[2];

	if (pipe2(go, O_CLOEXEC) != 0)
		die("pipe: %s", strerror(errno));
	first = fork();
	if (first < 0)
		die("fork: %s", strerror(errno));
	if (first == 0) {
		close(go[1]);
		child(go[0], argv);
	}
	close(go[0]);
	return go[1];
}

static void seize_child(int go)
{
	if (ptrace(PTRACE_SEIZE, first, NULL, (void *)(long)OPTIONS) != 0)
		die("ptrace: %s", strerror(errno));
	tracee_get(first);
	if (write(go, "", 1) != 1)
		die("the command is gone");
	close(go);
}

static void snapshot(void)
{
	files_raise_limit();
	for (int i = 0; i < opt.watches; i++)
		files_watch(opt.watch[i]);
	trace_plain("start");
	trace_end();
}

static void usage(void)
{
	fputs("usage: recorder [-t seconds] [-m regex] [-s milliseconds] [-f n] -o trace -w dir "
	      "[-w dir ...] -- command [argument ...]\n",
	    stderr);
	exit(125);
}

static void read_options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+o:w:m:t:s:f:")) != -1) {
		switch (c) {
		case 'o':
			opt.trace = optarg;
			break;
		case 'w':
			if (opt.watches == MAX_WATCHES)
				die("too many directories to watch");
			opt.watch[opt.watches++] = optarg;
			break;
		case 'm':
			opt.regex = optarg;
			break;
		case 't':
			opt.deadline = atol(optarg);
			break;
		case 's':
			opt.slow_ms = atol(optarg);
			break;
		case 'f':
			opt.fail_each = atol(optarg);
			break;
		default:
			usage();
		}
	}
	if (!opt.trace || !opt.watches || optind == argc)
		usage();
}

int main(int argc, char **argv)
{
	int go;

	read_options(argc, argv);
	mark_pattern(opt.regex);
	trace_open(opt.trace);
	go = fork_child(argv + optind);
	snapshot();
	seize_child(go);
	set_signals();
	loop();
	trace_close(first_status);
	return first_status;
}

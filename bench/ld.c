// SPDX-License-Identifier: BSD-2-Clause
/* The load driver's options, its event loop, and what it reports: one JSON object.  A script with
 * `hold` makes it print "HELD n" before, when all sessions are there. */
#include "bench/ld.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_MAX     200000
#define EVENTS_MAX    512
#define SCAN_SECONDS  2 /* between looks for silent sessions */
#define TICK_MS	      200
#define TICK_HELD_MS  50
#define TICK_SLEEP_MS 5

static const char usage_text[] =
    "usage: ld [-h host] -p port | -x socket  [-c at-a-time] [-n sessions | -d seconds]\n"
    "          [-T] [-R] [-A ca] [-U users] [-k first-user] [-s size] [-a max-active]\n"
    "          [-b addresses] [-H hold-seconds] [-t idle-timeout] [-v name=value]... script";

static void set_variable(struct script *script, char *assignment)
{
	char *equals = strchr(assignment, '=');

	if (equals == NULL || script->variable_count == LD_NAMES_MAX)
		die("%s", usage_text);
	*equals = '\0';
	script->variables[script->variable_count].name = assignment;
	script->variables[script->variable_count++].value = equals + 1;
}

/* Returns the name of the script. */
static const char *parse_options(struct driver *driver, int argc, char **argv)
{
	struct options *options = &driver->options;
	int option;

	*options = (struct options){
		.host = "127.0.0.1", .slots = 1, .sessions = 1, .timeout = 120, .hold = -1
	};
	driver->script.size = 1024;
	while ((option = getopt(argc, argv, "h:p:x:c:n:d:A:U:k:s:Ta:b:v:H:Rt:")) != -1) {
		switch (option) {
		case 'h':
			options->host = optarg;
			break;
		case 'p':
			options->port = atoi(optarg);
			break;
		case 'x':
			options->unix_path = optarg;
			break;
		case 'c':
			options->slots = atoi(optarg);
			break;
		case 'n':
			options->sessions = atol(optarg);
			break;
		case 'd':
			options->duration = atof(optarg);
			break;
		case 'A':
			options->ca_file = optarg;
			break;
		case 'U':
			script_load_users(&driver->script, optarg);
			break;
		case 'k':
			options->first_user = strtoul(optarg, NULL, 10);
			break;
		case 's':
			driver->script.size = strtoul(optarg, NULL, 10);
			break;
		case 'T':
			options->implicit_tls = true;
			break;
		case 'R':
			options->resume_tls = true;
			break;
		case 'a':
			options->active_max = atoi(optarg);
			break;
		case 'b':
			options->addresses = (unsigned)atoi(optarg);
			break;
		case 'H':
			options->hold = atof(optarg);
			break;
		case 't':
			options->timeout = atof(optarg);
			break;
		case 'v':
			set_variable(&driver->script, optarg);
			break;
		default:
			die("%s", usage_text);
		}
	}
	if (optind + 1 != argc || options->slots < 1)
		die("%s", usage_text);
	if (options->active_max == 0)
		options->active_max = options->slots;
	return argv[optind];
}

static void raise_file_limit(void)
{
	struct rlimit limit = { FILES_MAX, FILES_MAX };

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static SSL_CTX *make_tls(const char *ca_file)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (tls == NULL)
		die("out of memory for TLS");
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (ca_file != NULL) {
		if (SSL_CTX_load_verify_locations(tls, ca_file, NULL) != 1)
			die("%s: no certificates of authorities", ca_file);
		SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	}
	return tls;
}

static bool wants_more(const struct driver *driver)
{
	if (driver->end > 0)
		return driver->now < driver->end;
	return driver->totals.started < driver->options.sessions;
}

static void open_sessions(struct driver *driver)
{
	const struct options *options = &driver->options;
	const struct totals *totals = &driver->totals;
	static int next;

	for (int i = 0; i < options->slots; i++) {
		if (!wants_more(driver) || totals->active >= options->active_max ||
		    totals->alive >= options->slots)
			return;
		if (!driver->sessions[next].is_live)
			session_open(driver, &driver->sessions[next]);
		next = (next + 1) % options->slots;
	}
}

static void release(struct driver *driver)
{
	driver->is_releasing = true;
	for (int i = 0; i < driver->options.slots; i++) {
		struct session *session = &driver->sessions[i];

		if (!session->is_live || !session->is_held)
			continue;
		session->is_held = false;
		driver->totals.held--;
		driver->totals.active++;
		session->last_input = driver->now;
		session_run(driver, session);
	}
}

static bool has_line_on_stdin(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[64];

	return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, line, sizeof(line)) >= 0;
}

struct holding {
	double since; /* when all were there, or 0 */
};

/* Says once that all sessions are there, and lets them go on when it is time. */
static void watch_held(struct driver *driver, struct holding *holding)
{
	const struct totals *totals = &driver->totals;

	if (holding->since == 0 && totals->held > 0 && totals->active == 0 &&
	    (!wants_more(driver) || totals->alive == driver->options.slots)) {
		holding->since = driver->now;
		printf("HELD %d\n", totals->held);
		fflush(stdout);
	}
	if (holding->since == 0 || driver->is_releasing)
		return;
	if (driver->options.hold >= 0 ? driver->now >= holding->since + driver->options.hold
				      : has_line_on_stdin())
		release(driver);
}

static void wake_sleepers(struct driver *driver)
{
	for (int i = 0; i < driver->options.slots; i++) {
		struct session *session = &driver->sessions[i];

		if (session->is_live && session->wake > 0 && session->wake <= driver->now)
			session_run(driver, session);
	}
}

static void drop_silent(struct driver *driver)
{
	static double last;

	if (driver->now - last < SCAN_SECONDS)
		return;
	last = driver->now;
	for (int i = 0; i < driver->options.slots; i++) {
		struct session *session = &driver->sessions[i];

		if (session->is_live && !session->is_held &&
		    driver->now - session->last_input > driver->options.timeout)
			session_close(driver, session, "timeout", "", 0);
	}
}

/* Returns when all sessions had been held, or 0. */
static double drive(struct driver *driver)
{
	struct epoll_event events[EVENTS_MAX];
	struct holding holding = { 0 };

	for (;;) {
		int count, tick = TICK_MS;

		driver->now = seconds_now();
		if (!driver->is_releasing)
			open_sessions(driver);
		if (driver->totals.alive == 0 && (driver->is_releasing || !wants_more(driver)))
			return holding.since;
		watch_held(driver, &holding);
		if (driver->script.sleeps)
			tick = TICK_SLEEP_MS;
		else if (holding.since > 0 && !driver->is_releasing)
			tick = TICK_HELD_MS;
		count = epoll_wait(driver->epoll, events, EVENTS_MAX, tick);
		driver->now = seconds_now();
		for (int i = 0; i < count; i++)
			session_event(driver, events[i].data.ptr, events[i].events);
		if (driver->script.sleeps)
			wake_sleepers(driver);
		drop_silent(driver);
	}
}

static void print_string(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ')
			printf("\\u%04x", (unsigned char)*text);
		else if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static void print_measure(struct measure *measure, double elapsed)
{
	double *times = measure->times, sum = 0;
	size_t length = measure->length;

	print_string(measure->name);
	printf(":{\"count\":%llu,\"rate\":%.2f", (unsigned long long)measure->count,
	    (double)measure->count / elapsed);
	if (length > 0) {
		qsort(times, length, sizeof(*times), compare);
		for (size_t i = 0; i < length; i++)
			sum += times[i];
		printf(",\"mean\":%.6f,\"p50\":%.6f,\"p95\":%.6f,\"p99\":%.6f,\"max\":%.6f",
		    sum / (double)length, times[length / 2], times[length * 95 / 100],
		    times[length * 99 / 100], times[length - 1]);
	}
	putchar('}');
}

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void report(struct driver *driver, double elapsed, double until_held)
{
	const struct totals *totals = &driver->totals;
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("{\"elapsed\":%.6f,\"sessions\":%ld,\"failed\":%ld,\"handshakes\":%ld,", elapsed,
	    totals->finished, totals->failed, totals->handshakes);
	printf("\"rx\":%llu,\"tx\":%llu,\"held_all\":%.4f,\"client_cpu\":%.4f,\"error\":",
	    (unsigned long long)totals->received, (unsigned long long)totals->sent, until_held,
	    seconds(&usage.ru_utime) + seconds(&usage.ru_stime));
	print_string(totals->first_error);
	printf(",\"stats\":{");
	for (int i = 0; i < driver->script.measure_count; i++) {
		if (i > 0)
			putchar(',');
		print_measure(&driver->script.measures[i], elapsed);
	}
	printf("}}\n");
}

int main(int argc, char **argv)
{
	static struct driver driver;
	double start, held;

	script_load(&driver.script, parse_options(&driver, argc, argv));
	script_make_message(&driver.script);
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	driver.tls = make_tls(driver.options.ca_file);
	driver.sessions = grow(NULL, (size_t)driver.options.slots * sizeof(*driver.sessions));
	memset(driver.sessions, 0, (size_t)driver.options.slots * sizeof(*driver.sessions));
	driver.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (driver.epoll < 0)
		die("epoll_create1: %s", strerror(errno));
	start = seconds_now();
	if (driver.options.duration > 0)
		driver.end = start + driver.options.duration;
	held = drive(&driver);
	report(&driver, seconds_now() - start, held > 0 ? held - start : 0);
	return driver.totals.failed > 0 ? 1 : 0;
}

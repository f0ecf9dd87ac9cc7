// SPDX-License-Identifier: BSD-2-Clause
/* limits: what the machine itself can do, to be kept beside every result.
 *
 *	limits fsync DIR THREADS SECONDS SIZE	create, write, fsync, rename; an older file unlinked
 *	limits append DIR THREADS SECONDS SIZE	append and fdatasync, one file per thread
 *	limits accept SECONDS			connect, accept, close over the loopback
 *	limits echo SECONDS			round trips on one connection
 *	limits fork SECONDS			fork and wait; exec of true(1)
 *	limits scan DIR				open, read, close every file; where its header ends
 *	limits parse SIZE SECONDS		undo dot-stuffing of a message and hash field names
 *	limits tls CERT KEY SECONDS		handshakes in memory
 *	limits hash SECONDS			password schemes
 *
 * One JSON object on standard output. */
#include <arpa/inet.h>
#include <crypt.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 256
#define KEPT_FILES  50 /* per thread of `fsync` */
#define PATH_LENGTH 512
#define READ_SIZE   65536

static double read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds_now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static double cpu_now(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct {
	const char *directory;
	double until;
	size_t size;
	char *data;
	atomic_long done;
} disk;

static void numbered(char *path, char kind, long thread, long number)
{
	snprintf(path, PATH_LENGTH, "%s/%c.%ld.%ld", disk.directory, kind, thread, number);
}

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, disk.data, disk.size) != (ssize_t)disk.size || fsync(fd) < 0)
		die(path);
	close(fd);
}

static void *create_files(void *argument)
{
	long thread = (long)(intptr_t)argument, number = 0, oldest = 0;
	char temporary[PATH_LENGTH], final[PATH_LENGTH];

	while (seconds_now() < disk.until) {
		numbered(temporary, 't', thread, number);
		numbered(final, 'm', thread, number++);
		write_file(temporary);
		if (rename(temporary, final) < 0)
			die(final);
		if (number - oldest > KEPT_FILES) {
			numbered(final, 'm', thread, oldest++);
			unlink(final);
		}
	}
	while (oldest < number) {
		numbered(final, 'm', thread, oldest++);
		unlink(final);
	}
	disk.done += number;
	return NULL;
}

static void *append_records(void *argument)
{
	char path[PATH_LENGTH];
	long number = 0;
	int fd;

	numbered(path, 'a', (long)(intptr_t)argument, 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	while (seconds_now() < disk.until) {
		if (write(fd, disk.data, disk.size) != (ssize_t)disk.size || fdatasync(fd) < 0)
			die(path);
		number++;
	}
	close(fd);
	unlink(path);
	disk.done += number;
	return NULL;
}

static void measure_disk(char **args, void *(*work)(void *))
{
	pthread_t threads[THREADS_MAX];
	int count = atoi(args[1]);
	double start = seconds_now(), elapsed;
	long done;

	if (count < 1 || count > THREADS_MAX)
		exit(2);
	disk.directory = args[0];
	disk.until = start + atof(args[2]);
	disk.size = strtoul(args[3], NULL, 10);
	disk.data = malloc(disk.size);
	if (disk.data == NULL)
		die("memory");
	memset(disk.data, 'x', disk.size);
	for (int i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) != 0)
			die("pthread_create");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	elapsed = seconds_now() - start;
	done = disk.done;
	printf("{\"threads\":%d,\"size\":%zu,\"ops\":%ld,\"per_s\":%.1f,\"cpu_us_per_op\":%.1f}\n",
	    count, disk.size, done, (double)done / elapsed,
	    done > 0 ? cpu_now() * 1e6 / (double)done : 0);
	free(disk.data);
}

static void measure_fsync(char **args)
{
	measure_disk(args, create_files);
}

static void measure_append(char **args)
{
	measure_disk(args, append_records);
}

static int listen_any(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET };
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)address, &length) < 0)
		die("listen");
	return fd;
}

static int connect_to(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static _Noreturn void accept_forever(int listener)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0)
			close(fd);
	}
}

static _Noreturn void echo_one(int listener)
{
	int fd = accept(listener, NULL, NULL), one = 1;
	char octets[64];
	ssize_t length;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while ((length = read(fd, octets, sizeof(octets))) > 0)
		if (write(fd, octets, (size_t)length) < 0)
			break;
	_exit(0);
}

static pid_t fork_server(int listener, void (*serve)(int listener))
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		serve(listener);
	return pid;
}

static void end_server(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void print_rate(const char *name, long count, double elapsed)
{
	printf("{\"%s\":%ld,\"per_s\":%.0f}\n", name, count, (double)count / elapsed);
}

static void measure_accept(char **args)
{
	struct linger reset = { 1, 0 }; /* no TIME-WAIT: ports would run out */
	struct sockaddr_in address;
	int listener = listen_any(&address);
	pid_t pid = fork_server(listener, accept_forever);
	double start = seconds_now();
	long count = 0;

	for (; seconds_now() - start < atof(args[0]); count++) {
		int fd = connect_to(&address);
		char octet;

		if (read(fd, &octet, 1) < 0)
			die("read");
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
	print_rate("accepts", count, seconds_now() - start);
	end_server(pid);
}

static void measure_echo(char **args)
{
	struct sockaddr_in address;
	int listener = listen_any(&address), fd;
	pid_t pid = fork_server(listener, echo_one);
	char octets[16] = "x";
	double start;
	long count = 0;

	fd = connect_to(&address);
	start = seconds_now();
	for (; seconds_now() - start < atof(args[0]); count++)
		if (write(fd, octets, sizeof(octets)) < 0 || read(fd, octets, sizeof(octets)) <= 0)
			die("echo");
	print_rate("roundtrips", count, seconds_now() - start);
	close(fd);
	end_server(pid);
}

static pid_t start_true(void)
{
	char *argv[] = { "true", NULL };
	pid_t pid;

	return posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) == 0 ? pid : -1;
}

static pid_t start_nothing(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static double start_rate(double seconds, pid_t (*start_one)(void))
{
	double start = seconds_now();
	long count = 0;

	for (; seconds_now() - start < seconds; count++) {
		pid_t pid = start_one();

		if (pid < 0)
			die("start");
		waitpid(pid, NULL, 0);
	}
	return (double)count / (seconds_now() - start);
}

static void measure_fork(char **args)
{
	double half = atof(args[0]) / 2, forks = start_rate(half, start_nothing);

	printf("{\"fork_per_s\":%.0f,\"exec_per_s\":%.0f}\n", forks, start_rate(half, start_true));
}

static size_t header_length(const char *data, size_t length)
{
	const char *end = memmem(data, length, "\n\n", 2);

	if (end == NULL)
		end = memmem(data, length, "\r\n\r\n", 4);
	return end != NULL ? (size_t)(end - data) : length;
}

static void measure_scan(char **args)
{
	static char data[READ_SIZE];
	unsigned long long octets = 0, header_octets = 0;
	DIR *directory = opendir(args[0]);
	double start = seconds_now(), cpu = cpu_now(), elapsed;
	struct dirent *entry;
	long files = 0;

	if (directory == NULL)
		die(args[0]);
	while ((entry = readdir(directory)) != NULL) {
		int fd = entry->d_name[0] == '.'
			     ? -1
			     : openat(dirfd(directory), entry->d_name, O_RDONLY | O_CLOEXEC);
		ssize_t length;

		if (fd < 0)
			continue;
		length = read(fd, data, sizeof(data));
		close(fd);
		files++;
		octets += length > 0 ? (unsigned long long)length : 0;
		header_octets += length > 0 ? header_length(data, (size_t)length) : 0;
	}
	closedir(directory);
	elapsed = seconds_now() - start;
	printf("{\"files\":%ld,\"bytes\":%llu,\"header_bytes\":%llu,\"seconds\":%.4f,"
	       "\"cpu\":%.4f,\"per_s\":%.0f}\n",
	    files, octets, header_octets, elapsed, cpu_now() - cpu, (double)files / elapsed);
}

static char *make_lines(size_t size)
{
	char *text = malloc(size);

	if (text == NULL)
		die("memory");
	for (size_t i = 0; i < size; i++)
		text[i] = i % 72 == 70 ? '\r' : i % 72 == 71 ? '\n' : (char)('a' + i % 26);
	return text;
}

/* FNV-1a of the name of a field; what is no field counts as one, too. */
static uint64_t hash_name(uint64_t hash, const char *line, size_t length)
{
	for (size_t i = 0; i < length && line[i] != ':'; i++)
		hash = (hash ^ (unsigned char)line[i]) * 1099511628211u;
	return hash;
}

static uint64_t parse_message(char *to, const char *from, size_t size)
{
	const char *end = from + size;
	uint64_t hash = 14695981039346656037u;

	while (from < end) {
		const char *newline = memchr(from, '\n', (size_t)(end - from));
		const char *next = newline != NULL ? newline + 1 : end;

		from += *from == '.';
		memcpy(to, from, (size_t)(next - from));
		to += next - from;
		hash = hash_name(hash, from, (size_t)(next - from));
		from = next;
	}
	return hash;
}

static void measure_parse(char **args)
{
	size_t size = strtoul(args[0], NULL, 10);
	char *message = make_lines(size), *copy = make_lines(size);
	double start = seconds_now(), elapsed;
	volatile uint64_t result;
	long count = 0;

	while (seconds_now() - start < atof(args[1])) {
		for (int i = 0; i < 16; i++)
			result = parse_message(copy, message, size);
		count += 16;
	}
	(void)result;
	elapsed = seconds_now() - start;
	printf("{\"size\":%zu,\"messages_per_s\":%.0f,\"us_per_message\":%.2f}\n", size,
	    (double)count / elapsed, elapsed * 1e6 / (double)count);
	free(message);
	free(copy);
}

static SSL_CTX *server_context(const char *certificate, const char *key)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "%s: no certificate\n", certificate);
		exit(1);
	}
	SSL_CTX_set_num_tickets(context, 0);
	return context;
}

/* One handshake; returns the server's CPU seconds. */
static double shake_hands(SSL_CTX *server_context, SSL_CTX *client_context)
{
	SSL *server = SSL_new(server_context), *client = SSL_new(client_context);
	int server_done = 0, client_done = 0;
	double spent = 0;
	BIO *near, *far;

	if (server == NULL || client == NULL || BIO_new_bio_pair(&near, 0, &far, 0) != 1)
		die("memory");
	SSL_set_bio(server, near, near);
	SSL_set_bio(client, far, far);
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int i = 0; i < 20 && (server_done != 1 || client_done != 1); i++) {
		double before;

		client_done = SSL_do_handshake(client);
		before = cpu_now();
		server_done = SSL_do_handshake(server);
		spent += cpu_now() - before;
	}
	if (server_done != 1 || client_done != 1)
		die("handshake");
	SSL_free(server);
	SSL_free(client);
	return spent;
}

static void measure_tls(char **args)
{
	SSL_CTX *server = server_context(args[0], args[1]);
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	double start = seconds_now(), spent = 0, elapsed;
	long count = 0;

	for (; seconds_now() - start < atof(args[2]); count++)
		spent += shake_hands(server, client);
	elapsed = seconds_now() - start;
	printf("{\"both_sides_per_s\":%.0f,\"server_us\":%.1f,\"server_per_core_s\":%.0f}\n",
	    (double)count / elapsed, spent * 1e6 / (double)count, (double)count / spent);
}

static double crypt_rate(double seconds, const char *setting)
{
	static struct crypt_data data;
	double start = seconds_now();
	long count = 0;

	for (; seconds_now() - start < seconds; count++)
		if (crypt_r("secret", setting, &data) == NULL)
			die("crypt");
	return (double)count / (seconds_now() - start);
}

static void measure_hash(char **args)
{
	double seconds = atof(args[0]), sha512 = crypt_rate(seconds, "$6$abcdefghijklmnop$");

	printf("{\"sha512crypt_per_core_s\":%.0f,\"bcrypt05_per_core_s\":%.0f}\n", sha512,
	    crypt_rate(seconds, "$2b$05$abcdefghijklmnopqrstuu"));
}

static const struct {
	const char *name;
	int args;
	void (*measure)(char **args);
} measures[] = {
	{ "fsync", 4, measure_fsync },
	{ "append", 4, measure_append },
	{ "accept", 1, measure_accept },
	{ "echo", 1, measure_echo },
	{ "fork", 1, measure_fork },
	{ "scan", 1, measure_scan },
	{ "parse", 2, measure_parse },
	{ "tls", 3, measure_tls },
	{ "hash", 1, measure_hash },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(measures) / sizeof(measures[0]); i++) {
		if (strcmp(measures[i].name, argv[1]) != 0 || argc != measures[i].args + 2)
			continue;
		measures[i].measure(argv + 2);
		return 0;
	}
	fprintf(stderr, "usage: limits MEASURE ARGUMENT..., see limits.c\n");
	return 2;
}

// SPDX-License-Identifier: BSD-2-Clause
/* A scripted load driver for line protocols: SMTP, LMTP, POP3, IMAP.
 *
 * One thread and epoll.  Every session runs the same script from top to bottom (README.md, "ld
 * scripts"); when it ends its slot opens the next session, until there have been enough. */
#ifndef POSTCOTE_BENCH_LD_H
#define POSTCOTE_BENCH_LD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LD_OPS_MAX   256
#define LD_NAMES_MAX 64
#define LD_NEST_MAX  8
#define LD_INPUT_MAX (1 << 20) /* of one reply line */

/* What ends the wait of `expect`. */
enum reply_kind {
	REPLY_SMTP_2XX,
	REPLY_SMTP_3XX,
	REPLY_SMTP_ANY,
	REPLY_POP,
	REPLY_POP_LINES,
	REPLY_IMAP_OK,
	REPLY_IMAP_ANY,
	REPLY_IMAP_CONTINUE,
	REPLY_IMAP_UNTAGGED,
};

enum op_code {
	OP_SEND,
	OP_EXPECT,
	OP_PAYLOAD,
	OP_LITERAL,
	OP_TLS,
	OP_LOOP,
	OP_END,
	OP_MARK,
	OP_LAP,
	OP_COUNT,
	OP_HOLD,
	OP_SLEEP,
	OP_CLOSE,
};

struct op {
	enum op_code code;
	enum reply_kind kind;
	char *text;   /* of send; of expect untag */
	bool is_bare; /* sent without a line end */
	long number;  /* replies, rounds, milliseconds */
	int other;    /* the end of a loop, the loop of an end */
	int measured; /* index of a measure */
};

/* A counter, or a histogram of times in seconds. */
struct measure {
	char *name;
	double *times;
	size_t length, capacity;
	uint64_t count;
};

struct user {
	char *name, *password;
};

struct message {
	char *data;
	size_t length;
};

struct script {
	struct op ops[LD_OPS_MAX];
	int op_count;
	struct measure measures[LD_NAMES_MAX];
	int measure_count;
	struct {
		const char *name, *value;
	} variables[LD_NAMES_MAX];
	int variable_count;
	struct user *users;
	size_t user_count;
	struct message payload; /* dot-safe, with the final dot */
	struct message literal; /* the same without it */
	size_t size;		/* asked for */
	bool sleeps;
};

/* All of these end the program on an error. */
void script_load(struct script *script, const char *path);
void script_load_users(struct script *script, const char *path);
void script_make_message(struct script *script);
void script_measure(struct script *script, int index, double seconds);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *grow(void *old, size_t size);
double seconds_now(void);

struct options {
	const char *host, *unix_path, *ca_file;
	int port;
	int slots;	    /* sessions at a time */
	long sessions;	    /* in all, unless there is a duration */
	double duration;    /* seconds */
	double timeout;	    /* seconds of silence after which a session has failed */
	double hold;	    /* seconds, or negative: until a line on standard input */
	bool implicit_tls;  /* handshake at connect */
	bool resume_tls;    /* with the first session's parameters */
	int active_max;	    /* sessions that are not held */
	unsigned addresses; /* of 127.0.1.0/24 to connect from; 0: whatever the system takes */
	size_t first_user;
};

struct output {
	char *data;
	size_t length, sent, capacity;
};

struct session {
	int fd, position; /* position: index of the current op */
	SSL *ssl;
	long number; /* of this session */
	bool is_live, is_connecting, in_handshake, is_held;
	struct output output;
	const char *bulk; /* after the output: the script's message, not copied */
	size_t bulk_length, bulk_sent;
	char *input; /* the beginning of a line */
	size_t input_length, input_capacity;
	uint64_t literal_left; /* octets of an IMAP literal to skip */
	bool in_response;      /* a line that goes on after a literal */
	bool in_pop_lines;     /* after the first line of a multi-line reply */
	struct {
		long round;
	} loops[LD_NEST_MAX];
	int loop_depth;
	long replies_left;
	unsigned tag;
	size_t user;
	uint32_t events;
	double marked, last_input, wake;
};

struct totals {
	long started, finished, failed, handshakes;
	int alive, active, held;
	uint64_t received, sent, messages;
	char first_error[400];
};

struct driver {
	struct options options;
	struct script script;
	struct totals totals;
	struct session *sessions;
	SSL_CTX *tls;
	SSL_SESSION *tls_session; /* to resume */
	int epoll;
	double now, end; /* end: 0 without a duration */
	bool is_releasing;
};

/* session: one connection */
void session_open(struct driver *driver, struct session *session);
void session_close(struct driver *driver, struct session *session, const char *error,
    const char *line, size_t length);
void session_event(struct driver *driver, struct session *session, uint32_t events);
void session_run(struct driver *driver, struct session *session);

/* Whether LINE ends the wait of OP: 1 yes, 0 not yet, -1 it is the wrong reply. */
int reply_line(struct session *session, const struct op *op, const char *line, size_t length);

/* Appends TEXT to the output with what %-letters stand for. */
void output_format(struct driver *driver, struct session *session, const char *text);
void output_add(struct output *output, const char *data, size_t length);

#endif

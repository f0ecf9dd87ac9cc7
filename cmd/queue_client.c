// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/queue_client.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/command_log.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "sys/socket.h"
#include "table/match_list.h"

#define CONNECT_LIMIT_MS 10000
#define ANSWER_LIMIT_MS	 300000

int queue_client_status = 1;

static struct postfix_source *source;
static struct postfix_params *params_read;

void queue_client_fatal(const char *format, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, format);
	if (vasprintf(&text, format, args) == -1)
		text = NULL;
	va_end(args);
	log_as(NULL, LOG_LEVEL_FATAL, "%s", text ? text : format);
	exit(queue_client_status);
}

/* A set-gid program must not be led to another configuration by who calls it. */
static void check_directory(const char *dir)
{
	if (getegid() != getgid() && getuid() != 0 && (dir || getenv("MAIL_CONFIG")))
		queue_client_fatal("not permitted: another configuration directory");
}

static void report(enum conf_severity severity, const char *line, void *arg)
{
	(void)arg;
	if (severity == CONF_ERROR)
		log_as(NULL, LOG_LEVEL_ERROR, "%s", line);
}

const struct postfix_params *queue_client_params(const char *dir)
{
	struct conf_errors errors = CONF_ERRORS_INIT;

	check_directory(dir);
	dir = postfix_conf_dir(dir);
	source = postfix_source_read(dir, &errors);
	if (!source)
		queue_client_fatal("open %s/main.cf: %s", dir, strerror(errno));
	params_read = postfix_params_new(source, NULL, &errors);
	conf_errors_each(&errors, report, NULL);
	if (errors.error_count > 0)
		queue_client_fatal("%s/main.cf has errors", dir);
	conf_errors_release(&errors);
	return params_read;
}

void queue_client_end(void)
{
	postfix_params_free(params_read);
	postfix_source_free(source);
	params_read = NULL;
	source = NULL;
}

void queue_client_log(const struct postfix_params *params, const char *program)
{
	const struct command_log to = { .stderr_name = program, .to_stderr = true };

	(void)command_log_open(params, &to);
}

bool queue_client_may(const struct postfix_params *params, const char *name, const char *list)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *user = pw ? pw->pw_name : "unknown";
	struct match_list *users;
	enum match_result may;

	if (getuid() == 0 || strcmp(user, params->mail_owner) == 0)
		return true;
	users = match_list_new(params, name, list);
	may = match_list_string(users, slice_of(user));
	match_list_free(users);
	return may == MATCH_YES;
}

const char *queue_client_user(void)
{
	static char text[300];
	const struct passwd *pw = getpwuid(getuid());

	snprintf(text, sizeof(text), "%s(%ld)", pw ? pw->pw_name : "unknown", (long)getuid());
	return text;
}

char *queue_client_socket(const struct postfix_params *params, const char *name)
{
	return xasprintf("%s/public/%s", params->queue_directory, name);
}

struct spool *queue_client_spool(const struct postfix_params *params)
{
	struct spool_config config = { .directory = params->queue_directory,
		.hash_names = params->hash_queue_names,
		.hash_depth = (int)params->hash_queue_depth };
	struct reason why = { .dsn = "" };
	struct spool *spool = spool_open(&config, &why);

	if (!spool)
		queue_client_fatal("%s", why.text);
	return spool;
}

int queue_client_connect(const struct postfix_params *params, const char *name)
{
	char *path = queue_client_socket(params, name);
	int fd = socket_unix_connect(path, deadline_in(CONNECT_LIMIT_MS));

	free(path);
	return fd;
}

static void take_ids(const struct msg *msg, const char *name, queue_client_each *each, void *arg)
{
	struct slice value;
	size_t index = 0;

	while (msg_each(msg, name, &index, &value)) {
		char id[QUEUE_ID_SIZE];

		if (!queue_id_is_valid(value))
			continue;
		snprintf(id, sizeof(id), "%.*s", SLICE_ARG(value));
		if (each)
			each(id, strcmp(name, "released") == 0, arg);
	}
}

/* One answer; false at the last one. */
static bool take_answer(const struct msg_in *in, queue_client_each *each, void *arg)
{
	uint64_t end;

	take_ids(&in->msg, "id", each, arg);
	take_ids(&in->msg, "released", each, arg);
	return !msg_get_u64(&in->msg, "end", &end);
}

bool queue_client_control(const struct postfix_params *params, const struct queue_control *request,
    queue_client_each *each, void *arg)
{
	int fd = queue_client_connect(params, "qmgr");
	struct msg_out out = { 0 };
	struct channel *channel;
	struct msg_in in;
	bool more, answered = false;

	if (fd == -1)
		return false;
	channel = channel_new(fd, "postsuper");
	queue_control_write(&out, request);
	more = channel_send(channel, &out, NULL, 0, deadline_in(CONNECT_LIMIT_MS)) == 0;
	msg_release(&out);
	while (more && channel_recv(channel, &in, deadline_in(ANSWER_LIMIT_MS)) == CHANNEL_RECORD) {
		more = take_answer(&in, each, arg);
		answered = !more;
		msg_in_release(&in);
	}
	channel_free(channel);
	return answered;
}

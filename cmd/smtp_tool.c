// SPDX-License-Identifier: BSD-2-Clause
#include "cmd/smtp_tool.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/slice.h"
#include "log/log.h"
#include "sys/socket.h"

long smtp_tool_number(const char *text, long least, const char *what)
{
	uint64_t value;

	if (!slice_uint(slice_of(text), INT32_MAX, &value) || (long)value < least)
		fatal("bad %s: %s", what, text);
	return (long)value;
}

void smtp_tool_window(int fd, int bytes)
{
	if (bytes > 0 && socket_buffers(fd, bytes) == -1)
		log_warning("setsockopt TCP window size %d: %m", bytes);
}

static size_t unix_address(const char *path, struct smtp_tool_address *address)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&address->ss;

	if (strlen(path) >= sizeof(un->sun_path))
		fatal("unix-domain name too long: %s", path);
	memset(address, 0, sizeof(*address));
	address->family = un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	address->len = sizeof(*un);
	return 1;
}

/* HOST and PORT of TEXT, each on the heap or NULL. */
static void split(const char *text, char **host, char **port)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
	const char *colon = strrchr(end ? end : text, ':');

	*host = *port = NULL;
	if (end)
		*host = xstrndup(text + 1, (size_t)(end - text - 1));
	else if (colon != text && *text)
		*host = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
	if (colon)
		*port = xstrdup(colon + 1);
}

size_t smtp_tool_addresses(
    const char *text, int family, bool passive, struct smtp_tool_address list[SMTP_TOOL_ADDRESSES])
{
	struct addrinfo hints = { .ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = passive ? AI_PASSIVE : 0 };
	struct addrinfo *found;
	char *host, *port;
	size_t count = 0;
	int error;

	if (slice_starts(slice_of(text), "unix:"))
		return unix_address(text + strlen("unix:"), list);
	if (slice_starts(slice_of(text), "inet:"))
		text += strlen("inet:");
	split(text, &host, &port);
	if (passive && !port)
		fatal("%s: a port is missing", text);
	error = getaddrinfo(host, port ? port : "smtp", &hints, &found);
	if (error)
		fatal("%s: %s", text, gai_strerror(error));
	for (const struct addrinfo *a = found; a && count < SMTP_TOOL_ADDRESSES; a = a->ai_next) {
		list[count].family = a->ai_family;
		list[count].len = a->ai_addrlen;
		memcpy(&list[count++].ss, a->ai_addr, a->ai_addrlen);
	}
	freeaddrinfo(found);
	free(host);
	free(port);
	return count;
}

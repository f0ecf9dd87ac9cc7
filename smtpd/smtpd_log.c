// SPDX-License-Identifier: BSD-2-Clause
/* The log lines that end a session (postfix.md 8.2's "connection errors", "disconnect"). */
#include <stdio.h>
#include <string.h>

#include "log/log.h"
#include "smtpd/smtpd_commands.h"

/* Says why the client is gone, unless the end was ours or it has all that it waited for. */
void smtpd_log_connection_end(struct smtpd *s)
{
	const char *id = smtpd_queue_id(s);
	enum stream_error error = stream_error(s->session.stream);
	char bytes[64] = "";

	if (error == STREAM_OK || s->where == NULL ||
	    (error != STREAM_TIMEOUT && strcmp(s->where, "END-OF-MESSAGE") == 0))
		return;
	if (s->data_bytes >= 0)
		snprintf(bytes, sizeof(bytes), " (%lld bytes)", (long long)s->data_bytes);
	log_info("%s: %s after %s%s from %s", id != NULL ? id : "NOQUEUE",
	    error == STREAM_TIMEOUT ? "timeout" : "lost connection", s->where, bytes, s->name_addr);
}

void smtpd_log_disconnect(const struct smtpd *s)
{
	struct strbuf line = STRBUF_INIT(1024);
	unsigned ok = 0, total = 0;

	for (size_t i = 0; i < smtpd_command_count; i++) {
		const struct smtpd_counter *c = &s->counters[i];

		ok += c->ok;
		total += c->total;
		if (c->total == 0)
			continue;
		strbuf_addch(&line, ' ');
		for (const char *v = smtpd_commands[i].verb; *v != '\0'; v++)
			strbuf_addch(&line, ascii_lower(*v));
		strbuf_addf(&line, "=%u", c->ok);
		if (c->ok != c->total)
			strbuf_addf(&line, "/%u", c->total);
	}
	strbuf_addf(&line, " commands=%u", ok);
	if (ok != total || total == 0)
		strbuf_addf(&line, "/%u", total);
	if (s->bare_lf_seen && smtpd_server.bare_newline != BARE_NEWLINE_NO)
		strbuf_addstr(&line, " notes=bare_lf");
	log_info("disconnect from %s%s", s->name_addr, line.ptr);
	strbuf_release(&line);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * UIDLs.  What the list of UIDs has recorded for a message is its UIDL, whatever the format says:
 * so they survive a move from another server.  Next comes X-UIDL, if it is wanted, then the format.
 * Where a message's UIDL may depend on others or has to be looked for, all are made at once, in the
 * order of UIDs, and kept for the session.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/map.h"
#include "log/log.h"
#include "pop3d/pop3.h"

#define HEADER_MAX 65536 /* bytes in which X-UIDL is looked for */
#define UIDL_MAX   255	 /* RFC 1939 7 says 70; recorded ones may be longer */
#define SAVE_MS	   (30 * INT64_C(1000))

/* RFC 1939 7: characters from 0x21 to 0x7e. */
static bool is_uidl(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
			return false;
	return text.len > 0 && text.len <= UIDL_MAX;
}

struct lookup {
	const struct store_message *message;
	char uid[16], uidvalidity[16];
	const char *missing; /* what the storage does not have */
};

static struct slice look_up(const char *name, void *arg)
{
	struct lookup *l = arg;
	const struct store_message *m = l->message;

	if (strcmp(name, "user") == 0) /* %u */
		return slice_of(l->uid);
	if (strcmp(name, "v") == 0)
		return slice_of(l->uidvalidity);
	if (strcmp(name, "f") == 0)
		return slice_of(m->name);
	if (strcmp(name, "g") == 0)
		return slice_of(m->guid != NULL ? m->guid : m->name);
	if (strcmp(name, "mech") == 0) /* %m: mbox's alone */
		l->missing = "Header MD5 not found (pop3_uidl_format=%m not supported by storage?)";
	return SLICE_LIT("");
}

static bool by_format(struct pop3 *p, size_t index, struct strbuf *out)
{
	struct lookup l = { .message = store_message(p->box, index) };
	char *error = NULL;
	size_t before = out->len;
	bool ok;

	(void)snprintf(l.uid, sizeof(l.uid), "%lu", (unsigned long)l.message->uid);
	(void)snprintf(
	    l.uidvalidity, sizeof(l.uidvalidity), "%lu", (unsigned long)store_uidvalidity(p->box));
	ok = dovecot_var_expand(out, pop3_settings->pop3_uidl_format, look_up, &l, &error);
	if (!ok)
		log_as(p->log_name, LOG_LEVEL_ERROR,
		    "UIDL: Failed to expand pop3_uidl_format=%s: %s",
		    pop3_settings->pop3_uidl_format, error != NULL ? error : "bad variable");
	else if (l.missing != NULL)
		log_as(p->log_name, LOG_LEVEL_ERROR, "UIDL: %s", l.missing);
	free(error);
	return ok && l.missing == NULL && is_uidl(slice_from(strbuf_slice(out), before));
}

/* The first X-UIDL of the header in TEXT that a client could take for one. */
static struct slice find_xuidl(struct slice text)
{
	struct cursor c = cursor_of(text);

	while (!cursor_at_end(&c)) {
		struct slice line = cursor_until(&c, "\n");

		if (!cursor_skip(&c, "\n") || slice_trim(line, "\r").len == 0)
			break;
		if (line.len > 7 && slice_caseeq_str(slice_first(line, 7), "x-uidl:")) {
			line = slice_trim(slice_from(line, 7), " \t\r");
			return is_uidl(line) ? line : SLICE_NULL;
		}
	}
	return SLICE_NULL;
}

static bool by_header(struct pop3 *p, size_t index, struct strbuf *out)
{
	struct reason why;
	int fd = store_message_open(p->box, index, &why);
	char *text = xmalloc(HEADER_MAX);
	struct slice found = SLICE_NULL;
	size_t len = 0;
	ssize_t n = 0;

	if (fd >= 0) {
		while (len < HEADER_MAX && (n = read(fd, text + len, HEADER_MAX - len)) > 0)
			len += (size_t)n;
		close(fd);
		found = find_xuidl(slice_mem(text, len));
		strbuf_addslice(out, found);
	}
	free(text);
	return found.len > 0;
}

static bool make_uidl(struct pop3 *p, size_t index, struct strbuf *out)
{
	const struct store_message *m = store_message(p->box, index);

	if (m->uidl != NULL) {
		strbuf_addstr(out, m->uidl);
		return true;
	}
	if (pop3_settings->pop3_reuse_xuidl && by_header(p, index, out))
		return true;
	return by_format(p, index, out);
}

/* ---- all of them ---- */

/* "-2" for the second that has it, and so on. */
static void rename_duplicate(struct map *seen, struct strbuf *uidl)
{
	uintptr_t count = (uintptr_t)map_get(seen, strbuf_slice(uidl)) + 1;

	(void)map_put(seen, strbuf_slice(uidl), (void *)count);
	if (count > 1)
		strbuf_addf(uidl, "-%lu", (unsigned long)count);
}

/* Those that are not recorded yet. */
static void save(struct pop3 *p, const char **by_index, size_t count)
{
	struct store_uidl *uidls = xcalloc(count + 1, sizeof(*uidls));
	struct reason why;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (by_index[i] != NULL && store_message(p->box, i)->uidl == NULL)
			uidls[n++] = (struct store_uidl){ i, by_index[i] };
	if (!store_record_uidls(p->box, uidls, n, deadline_in(SAVE_MS), &why))
		log_as(p->log_name, LOG_LEVEL_ERROR, "%s", why.text);
	free(uidls);
}

static bool make_all(struct pop3 *p)
{
	struct strbuf uidl = STRBUF_INIT(1024);
	size_t count = store_count(p->box);
	struct map seen = MAP_INIT;
	bool renames = pop3_settings->pop3_uidl_duplicates[0] == 'r', ok = true;

	p->uidls = arena_alloc(&p->arena, (count + 1) * sizeof(p->uidls[0]));
	for (size_t i = 0; ok && i < count; i++) {
		strbuf_reset(&uidl);
		ok = make_uidl(p, i, &uidl);
		if (ok && renames)
			rename_duplicate(&seen, &uidl);
		p->uidls[i] = ok ? arena_slicedup(&p->arena, strbuf_slice(&uidl)) : NULL;
	}
	if (ok && pop3_settings->pop3_save_uidl)
		save(p, p->uidls, count);
	if (!ok)
		p->uidls = NULL;
	map_release(&seen, NULL);
	strbuf_release(&uidl);
	return ok;
}

bool pop3_uidl(struct pop3 *p, size_t number, struct strbuf *out)
{
	const struct dovecot_settings *set = pop3_settings;
	size_t index = p->messages[number].index;

	if (p->uidls == NULL && !set->pop3_save_uidl && !set->pop3_reuse_xuidl &&
	    set->pop3_uidl_duplicates[0] != 'r')
		return make_uidl(p, index, out);
	if (p->uidls == NULL && !make_all(p))
		return false;
	strbuf_addstr(out, p->uidls[index]);
	return true;
}

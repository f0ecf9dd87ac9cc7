// SPDX-License-Identifier: BSD-2-Clause
/* The table of formats, and what all of them share. */
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "store/store_driver.h"

static const struct store_driver *const drivers[] = { &maildir_driver };

static const struct store_driver *find_driver(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (slice_eq_str(name, drivers[i]->name))
			return drivers[i];
	return NULL;
}

/* PATH with HEAD in front, without slashes at the end. */
static bool set_path(
    struct store_location *location, const char *head, struct slice path, struct reason *why)
{
	int len;

	len = snprintf(location->path, sizeof(location->path), "%s%.*s", head, SLICE_ARG(path));
	if (len < 0 || (size_t)len >= sizeof(location->path) || slice_has_nul(path)) {
		reason_set(why, "5.3.5", "the mailbox path is too long");
		return false;
	}
	while (len > 1 && location->path[len - 1] == '/')
		location->path[--len] = '\0';
	if (location->path[0] == '/' && len > 1)
		return true;
	reason_set(why, "5.3.5", "the mailbox path \"%s\" is not absolute", location->path);
	return false;
}

/*
 * Options tell where Dovecot keeps what belongs to a mailbox.  Those that only place its indexes,
 * which we do not have, are of no concern; one that moves the list of UIDs must not be overlooked.
 */
static bool check_options(struct slice options, struct reason *why)
{
	struct slice option;

	while (slice_token(&options, ":", &option)) {
		if (slice_starts(option, "INDEX=") || slice_starts(option, "INDEXCACHE=") ||
		    slice_eq_str(option, "LAYOUT=Maildir++") ||
		    slice_eq_str(option, "LAYOUT=maildir++"))
			continue;
		reason_set(why, "5.3.5", "mail_location: the option %.*s is not supported",
		    SLICE_ARG(option));
		return false;
	}
	return true;
}

bool store_location_parse(
    struct store_location *location, const char *text, const char *home, struct reason *why)
{
	struct slice all = slice_of(text), format, path;
	ptrdiff_t colon = slice_find(all, ':');

	*location = (struct store_location){ .driver = NULL };
	if (colon < 0) {
		reason_set(why, "5.3.5", "mail_location: \"%s\" names no format", text);
		return false;
	}
	format = slice_first(all, (size_t)colon);
	path = slice_from(all, (size_t)colon + 1);
	location->driver = find_driver(format);
	if (location->driver == NULL) {
		reason_set(why, "5.3.5", "mail_location: the format %.*s is not supported",
		    SLICE_ARG(format));
		return false;
	}
	colon = slice_find(path, ':');
	if (colon >= 0) {
		if (!check_options(slice_from(path, (size_t)colon + 1), why))
			return false;
		path = slice_first(path, (size_t)colon);
	}
	if (!slice_eq_str(path, "~") && !slice_starts(path, "~/"))
		return set_path(location, "", path, why);
	if (home == NULL || home[0] != '/') {
		reason_set(why, "5.3.5", "mail_location needs a home directory, and there is none");
		return false;
	}
	return set_path(location, home, slice_from(path, 1), why);
}

bool store_location_virtual(
    struct store_location *location, const char *base, const char *path, struct reason *why)
{
	char head[sizeof(location->path)];
	size_t base_len = strlen(base);

	*location = (struct store_location){ .driver = &maildir_driver };
	if (!slice_ends(slice_of(path), "/")) {
		reason_set(why, "4.3.5",
		    "mailbox \"%s\" is of the mbox format, which is not supported: a Maildir's "
		    "name ends in \"/\"",
		    path);
		return false;
	}
	while (base_len > 0 && base[base_len - 1] == '/')
		base_len--;
	if (base_len >= sizeof(head) - 1) {
		reason_set(why, "4.3.5", "mail system configuration error");
		return false;
	}
	(void)snprintf(head, sizeof(head), "%.*s%s", (int)base_len, base,
	    base_len > 0 || path[0] != '/' ? "/" : "");
	if (!set_path(location, head, slice_of(path), why)) {
		reason_set(why, "4.3.5", "mail system configuration error: %s", why->text);
		return false;
	}
	location->base_len = base_len;
	return true;
}

uint64_t store_virtual_size(struct slice data, char *last)
{
	uint64_t size = data.len;
	const char *at = data.ptr;

	for (size_t left = data.len; left > 0;) {
		const char *lf = memchr(at, '\n', left);

		if (lf == NULL)
			break;
		if ((lf == data.ptr ? *last : lf[-1]) != '\r')
			size++;
		left -= (size_t)(lf - at) + 1;
		at = lf + 1;
	}
	if (data.len > 0)
		*last = data.ptr[data.len - 1];
	return size;
}

bool store_deliver(
    const struct store_location *location, const struct store_source *source, struct reason *why)
{
	return location->driver->deliver(location, source, why);
}

struct store_box *store_open(
    const struct store_location *location, unsigned flags, int64_t deadline, struct reason *why)
{
	return location->driver->open(location, flags, deadline, why);
}

void store_close(struct store_box *box)
{
	if (box != NULL)
		box->driver->close(box);
}

uint32_t store_uidvalidity(const struct store_box *box)
{
	return box->uidvalidity;
}

size_t store_count(const struct store_box *box)
{
	return box->count;
}

const struct store_message *store_message(const struct store_box *box, size_t i)
{
	ASSERT(i < box->count);
	return &box->messages[i];
}

bool store_measure(struct store_box *box, bool roughly, int64_t deadline, struct reason *why)
{
	return box->driver->measure(box, roughly, deadline, why);
}

int store_message_open(struct store_box *box, size_t i, struct reason *why)
{
	ASSERT(i < box->count);
	return box->driver->message_open(box, i, why);
}

bool store_received(struct store_box *box, size_t i, int64_t *received)
{
	ASSERT(i < box->count);
	return box->driver->received(box, i, received);
}

bool store_change_flags(
    struct store_box *box, size_t i, unsigned add, unsigned remove, struct reason *why)
{
	ASSERT(i < box->count);
	return box->driver->change_flags(box, i, add, remove, why);
}

bool store_keyword(struct store_box *box, const char *name, bool create, int64_t deadline,
    unsigned *flag, struct reason *why)
{
	return box->driver->keyword(box, name, create, deadline, flag, why);
}

bool store_record_uidls(struct store_box *box, const struct store_uidl *uidls, size_t count,
    int64_t deadline, struct reason *why)
{
	return box->driver->record_uidls(box, uidls, count, deadline, why);
}

bool store_expunge(struct store_box *box, size_t i, struct reason *why)
{
	ASSERT(i < box->count);
	return box->driver->expunge(box, i, why);
}

bool store_sync(struct store_box *box, struct reason *why)
{
	return box->driver->sync(box, why);
}

bool store_lock(struct store_box *box, int64_t deadline, struct reason *why)
{
	return box->driver->lock(box, deadline, why);
}

void store_lock_touch(struct store_box *box)
{
	box->driver->lock_touch(box);
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * One submission: read through once to see that it is whole and who is to get it (recipients may
 * stand behind the content), then once more for its content.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "pickup/pickup.h"
#include "queue/maildrop.h"
#include "queue/queue_id.h"
#include "queue/queue_record.h"

#define MAX_RECIPIENTS 100000

struct submission {
	struct arena arena;
	const char *name; /* of the file */
	int fd;
	uid_t uid;
	int64_t arrival_us;
	struct slice sender; /* internal form */
	bool has_sender;
	const char *full_name, *encoding;
	struct slice *recipients; /* internal form, as given */
	size_t recipient_count, recipient_alloc;
	off_t content; /* offset of the first content record */
};

enum verdict { SUBMISSION_GOOD, SUBMISSION_BAD, SUBMISSION_LATER };

static bool take_address(struct submission *sub, struct slice text, struct slice *out)
{
	struct strbuf internal = STRBUF_INIT(ADDRESS_MAX);
	bool ok = text.len == 0 || address_internal(text, ADDRESS_UTF8 | ADDRESS_ALLOW_EMPTY,
				       &internal) == ADDRESS_OK;

	*out = slice_mem(arena_slicedup(&sub->arena, strbuf_slice(&internal)), internal.len);
	strbuf_release(&internal);
	return ok;
}

static bool add_recipient(struct submission *sub, struct slice text)
{
	struct slice address;

	if (sub->recipient_count == MAX_RECIPIENTS || text.len == 0 ||
	    !take_address(sub, text, &address))
		return false;
	if (sub->recipient_count == sub->recipient_alloc) {
		sub->recipient_alloc = sub->recipient_alloc * 2 + 16;
		sub->recipients =
		    xreallocarray(sub->recipients, sub->recipient_alloc, sizeof(*sub->recipients));
	}
	sub->recipients[sub->recipient_count++] = address;
	return true;
}

static bool take_record(struct submission *sub, const struct queue_record *record)
{
	switch (record->type) {
	case QR_SENDER:
		sub->has_sender = true;
		return take_address(sub, record->data, &sub->sender);
	case QR_RECIPIENT:
		return add_recipient(sub, record->data);
	case QR_FULL_NAME:
		sub->full_name = arena_slicedup(&sub->arena, record->data);
		return true;
	case QR_ATTRIBUTE:
		if (slice_eq_str(record->data, "encoding=8bit"))
			sub->encoding = "8bit";
		else if (slice_eq_str(record->data, "encoding=7bit"))
			sub->encoding = "7bit";
		return true;
	case QR_MESSAGE:
		sub->content = record->next;
		return true;
	default:
		return true;
	}
}

/* The first reading. */
static enum verdict read_envelope(struct submission *sub)
{
	enum maildrop_section section = MAILDROP_ENVELOPE;
	struct queue_reader reader;
	struct queue_record record;
	enum verdict verdict = SUBMISSION_GOOD;

	queue_reader_init(&reader, sub->fd, 0);
	reader.raw = true;
	while (verdict == SUBMISSION_GOOD && section != MAILDROP_END) {
		enum queue_read result = queue_reader_next(&reader, &record);

		if (result == QUEUE_READ_IO)
			verdict = SUBMISSION_LATER;
		else if (result != QUEUE_READ_RECORD ||
			 !maildrop_accept(&section, record.type, record.data) ||
			 !take_record(sub, &record))
			verdict = SUBMISSION_BAD;
	}
	queue_reader_release(&reader);
	if (verdict == SUBMISSION_GOOD && (!sub->has_sender || sub->recipient_count == 0))
		return SUBMISSION_BAD;
	return verdict;
}

static bool copy_content(const struct submission *sub, struct intake *in, struct reason *why)
{
	struct queue_reader reader;
	struct queue_record record;
	bool ok = true;

	queue_reader_init(&reader, sub->fd, sub->content);
	reader.raw = true;
	for (;;) {
		enum queue_read result = queue_reader_next(&reader, &record);

		if (result != QUEUE_READ_RECORD) {
			reason_set(why, "4.3.0", "cannot read the submission again");
			ok = false;
		}
		if (!ok || record.type == QR_EXTRACTED)
			break;
		ok = intake_line(in, record.data, record.type == QR_LINE, why);
	}
	queue_reader_release(&reader);
	return ok;
}

static bool add_recipients(const struct pickup *pickup, const struct submission *sub,
    struct intake *in, struct reason *why)
{
	struct strbuf rewritten = STRBUF_INIT(2 * ADDRESS_MAX);
	bool ok = true;

	for (size_t i = 0; ok && i < sub->recipient_count; i++) {
		strbuf_reset(&rewritten);
		rewrite_address(pickup->rewriter, REWRITE_LOCAL, sub->recipients[i], &rewritten);
		struct intake_recipient rcpt = {
			.address = strbuf_slice(&rewritten),
			.original = sub->recipients[i],
		};
		ok = intake_recipient(in, &rcpt, why);
	}
	strbuf_release(&rewritten);
	return ok;
}

static bool add_received(const struct pickup *pickup, const struct submission *sub,
    struct intake *in, struct reason *why)
{
	char date[DATE_TEXT];
	char *header = xasprintf("Received: by %s (%s, from userid %lu)\n\tid %s; %s",
	    pickup->params->myhostname, pickup->params->mail_name, (unsigned long)sub->uid,
	    intake_id(in), date_rfc5322((time_t)(sub->arrival_us / 1000000), date));
	bool ok = intake_prepend(in, slice_of(header), why);

	free(header);
	return ok;
}

static struct intake *begin(
    const struct pickup *pickup, const struct submission *sub, struct reason *why)
{
	struct strbuf sender = STRBUF_INIT(2 * ADDRESS_MAX);
	struct intake_origin origin = {
		.origin = "local",
		.local_rewrite = true,
		.add_missing_headers = true,
		.never_wait = true,
		.full_name = sub->full_name,
		.arrival_us = sub->arrival_us,
	};

	rewrite_address(pickup->rewriter, REWRITE_LOCAL, sub->sender, &sender);
	struct intake *in = intake_begin(pickup->intake, &origin, strbuf_slice(&sender), why);

	if (in != NULL) {
		struct strbuf external = STRBUF_INIT(2 * ADDRESS_MAX);

		address_external(strbuf_slice(&sender), &external);
		log_info(
		    "%s: uid=%lu from=<%s>", intake_id(in), (unsigned long)sub->uid, external.ptr);
		strbuf_release(&external);
		if (sub->encoding != NULL)
			intake_set_encoding(in, sub->encoding);
	}
	strbuf_release(&sender);
	return in;
}

static enum verdict submit(const struct pickup *pickup, const struct submission *sub)
{
	struct reason why;
	struct intake *in = begin(pickup, sub, &why);
	enum verdict verdict = SUBMISSION_LATER;

	if (in == NULL) {
		log_warning("maildrop/%s: %s", sub->name, why.text);
		return SUBMISSION_LATER;
	}
	if (add_recipients(pickup, sub, in, &why) && add_received(pickup, sub, in, &why) &&
	    copy_content(sub, in, &why) && intake_commit(in, &why)) {
		verdict = SUBMISSION_GOOD;
	} else {
		log_warning("%s: maildrop/%s: %s", intake_id(in), sub->name, why.text);
		if (reason_is_permanent(&why))
			verdict = SUBMISSION_BAD;
	}
	intake_free(in);
	return verdict;
}

/*
 * A finished submission is a regular file with one name, not writable by others, with the x bit
 * that postdrop sets last.
 */
static bool is_finished(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_nlink == 1 && (st->st_mode & S_IXUSR) &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/*
 * Into corrupt/, as the peer does: kept for the administrator, never read again.  The directory is
 * in the same file system.
 */
static void set_aside(const struct pickup *pickup, const char *name)
{
	log_warning("maildrop/%s: not a mail submission: moved to corrupt", name);
	if (renameat(pickup->maildrop_fd, name, pickup->corrupt_fd, name) < 0 && errno != ENOENT)
		log_warning("maildrop/%s: %s", name, strerror(errno));
}

static void pick_up(const struct pickup *pickup, const char *name)
{
	struct submission sub = { .name = name, .arena = ARENA_INIT };
	struct stat st;

	sub.fd = openat(pickup->maildrop_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (sub.fd < 0) {
		if (errno != ENOENT)
			log_warning("maildrop/%s: %s", name, strerror(errno));
		return;
	}
	if (fstat(sub.fd, &st) == 0 && is_finished(&st)) {
		sub.uid = st.st_uid;
		sub.arrival_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
		enum verdict verdict = read_envelope(&sub);

		if (verdict == SUBMISSION_GOOD)
			verdict = submit(pickup, &sub);
		if (verdict == SUBMISSION_GOOD && unlinkat(pickup->maildrop_fd, name, 0) < 0)
			log_warning("remove maildrop/%s: %s", name, strerror(errno));
		if (verdict == SUBMISSION_BAD)
			set_aside(pickup, name);
	}
	close(sub.fd);
	free(sub.recipients);
	arena_release(&sub.arena);
}

void pickup_scan(const struct pickup *pickup)
{
	int fd = openat(pickup->maildrop_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		log_warning("read maildrop: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (queue_id_is_valid(slice_of(entry->d_name)))
			pick_up(pickup, entry->d_name);
	closedir(dir);
}

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
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "log/log.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/dsn.h"
#include "mail/verp.h"
#include "pickup/pickup.h"
#include "queue/maildrop.h"
#include "queue/queue_file.h"
#include "queue/queue_id.h"
#include "queue/queue_record.h"
#include "sys/file.h"

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

	if (sub->recipient_count == MAILDROP_RECIPIENTS_MAX || text.len == 0 ||
	    !take_address(sub, text, &address))
		return false;
	if (sub->recipient_count == sub->recipient_alloc) {
		sub->recipient_alloc = sub->recipient_alloc * 2 + 16;
		sub->recipients =
		    xreallocarray(sub->recipients, sub->recipient_alloc, sizeof(*sub->recipients));
	}
	sub->recipients[sub->recipient_count++] =
	    (struct submission_recipient){ .address = address, .notify = sub->notify };
	sub->notify = 0;
	return true;
}

static bool take_number(struct slice text, uint64_t max, unsigned *out)
{
	uint64_t n;

	if (!slice_uint(text, max, &n))
		return false;
	*out = (unsigned)n;
	return true;
}

/* Those that a local user may set; any other one is none of a user's business. */
static bool take_attribute(struct submission *sub, struct slice data)
{
	if (slice_eq_str(data, "encoding=8bit"))
		sub->encoding = "8bit";
	else if (slice_eq_str(data, "encoding=7bit"))
		sub->encoding = "7bit";
	else if (slice_eq_str(data, "rewrite_context=remote"))
		sub->remote_rewrite = true;
	else if (slice_eq_str(data, "trace_flags=512"))
		sub->trace = ENVELOPE_TRACE_USER_PROBE;
	else if (slice_eq_str(data, "trace_flags=1024"))
		sub->trace = ENVELOPE_TRACE_RECORD;
	else if (slice_starts(data, "ret_flags="))
		return take_number(
		    slice_from(data, strlen("ret_flags=")), DSN_RET_FULL | DSN_RET_HDRS, &sub->ret);
	return true;
}

/* Of the sizes a user says nothing that counts; behind them stands what is asked for. */
static bool take_sizes(struct submission *sub, struct slice data)
{
	ptrdiff_t blank = slice_rfind(slice_trim(data, " "), ' ');
	uint64_t n;

	if (blank >= 0 &&
	    slice_uint(slice_from(slice_trim(data, " "), (size_t)blank + 1), UINT32_MAX, &n))
		sub->sendopts = (unsigned)n & (QUEUE_SENDOPT_SMTPUTF8 | QUEUE_SENDOPT_REQUIRETLS);
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
	case QR_SIZE:
		return take_sizes(sub, record->data);
	case QR_FULL_NAME:
		sub->full_name = arena_slicedup(&sub->arena, record->data);
		return true;
	case QR_ATTRIBUTE:
		return take_attribute(sub, record->data);
	case QR_DSN_ENVID:
		sub->envelope_id =
		    slice_mem(arena_slicedup(&sub->arena, record->data), record->data.len);
		return record->data.len <= MAILDROP_ENVELOPE_ID_MAX;
	case QR_DSN_NOTIFY:
		return take_number(record->data, 15, &sub->notify);
	case QR_VERP:
		sub->verp = arena_slicedup(&sub->arena, record->data);
		return true;
	case QR_MESSAGE:
		sub->content = record->next;
		return true;
	default:
		return true;
	}
}

enum submission_verdict submission_read(struct submission *sub)
{
	enum maildrop_section section = MAILDROP_ENVELOPE;
	struct queue_reader reader;
	struct queue_record record;
	enum submission_verdict verdict = SUBMISSION_GOOD;

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

void submission_release(struct submission *sub)
{
	free(sub->recipients);
	envelope_free(sub->requeued);
	arena_release(&sub->arena);
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
		struct slice address = sub->recipients[i].address;
		struct slice original = sub->recipients[i].original;

		rewrite_address(pickup->rewriter, REWRITE_LOCAL, address, &rewritten);
		struct intake_recipient rcpt = {
			.address = strbuf_slice(&rewritten),
			.original = original.len > 0 ? original : address,
			.dsn_orcpt = sub->recipients[i].orcpt,
			.notify = sub->recipients[i].notify,
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

static void set_trace(struct intake *in, unsigned flags)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", flags);
	intake_set_attribute(in, "trace_flags", slice_of(text));
}

static struct intake *begin(
    const struct pickup *pickup, const struct submission *sub, struct reason *why)
{
	struct strbuf sender = STRBUF_INIT(2 * ADDRESS_MAX);
	struct intake_origin origin = {
		.origin = "local",
		.local_rewrite = !sub->remote_rewrite,
		.add_missing_headers = !sub->remote_rewrite,
		.never_wait = true,
		.smtputf8 = (sub->sendopts & QUEUE_SENDOPT_SMTPUTF8) != 0,
		.require_tls = (sub->sendopts & QUEUE_SENDOPT_REQUIRETLS) != 0,
		.overrides = intake_overrides(pickup->params->receive_override_options),
		.verp = sub->verp,
		.full_name = sub->full_name,
		.arrival_us = sub->arrival_us,
	};

	rewrite_address(pickup->rewriter, REWRITE_LOCAL, sub->sender, &sender);
	struct intake *in = intake_begin(pickup->intake, &origin, strbuf_slice(&sender), why);

	if (in != NULL) {
		struct strbuf logged = STRBUF_INIT(2 * ADDRESS_MAX);

		/* As it was submitted. */
		address_logged(sub->sender, &logged);
		log_info("%s: uid=%lu from=<%s>%s%s", intake_id(in), (unsigned long)sub->uid,
		    logged.ptr, sub->requeued ? " orig_id=" : "",
		    sub->requeued ? sub->requeued->id : "");
		strbuf_release(&logged);
		if (pickup->params->content_filter[0] != '\0')
			intake_set_filter(in, pickup->params->content_filter);
		if (sub->encoding != NULL)
			intake_set_encoding(in, sub->encoding);
		if (sub->envelope_id.len > 0)
			intake_set_envelope_id(in, sub->envelope_id);
		if (sub->ret != 0)
			intake_set_ret(in, sub->ret);
		if (sub->trace != 0)
			set_trace(in, sub->trace);
		if (sub->requeued)
			requeue_attributes(sub, in);
	}
	strbuf_release(&sender);
	return in;
}

static enum submission_verdict submit(const struct pickup *pickup, const struct submission *sub)
{
	struct reason why;
	struct intake *in = begin(pickup, sub, &why);
	enum submission_verdict verdict = SUBMISSION_LATER;

	if (in == NULL) {
		log_warning("maildrop/%s: %s", sub->name, why.text);
		return SUBMISSION_LATER;
	}
	if (add_recipients(pickup, sub, in, &why) && add_received(pickup, sub, in, &why) &&
	    (sub->requeued ? requeue_content(sub, in, &why) : copy_content(sub, in, &why)) &&
	    intake_commit(in, &why)) {
		verdict = SUBMISSION_GOOD;
	} else {
		log_warning("%s: maildrop/%s: %s", intake_id(in), sub->name, why.text);
		if (reason_is_permanent(&why))
			verdict = pickup_tell_sender(pickup, sub, intake_id(in), &why);
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

/* Does NAME lie in corrupt already? */
static bool is_same(const struct pickup *pickup, const char *name)
{
	struct stat here, there;
	int saved = errno;
	bool same = fstatat(pickup->maildrop_fd, name, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
		    fstatat(pickup->corrupt_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
		    here.st_ino == there.st_ino && here.st_dev == there.st_dev;

	errno = saved;
	return same;
}

/*
 * Into corrupt/: kept for the administrator, never read again.  Its submitter was told that it is
 * safe, so one of the two names lasts at every moment.
 */
static void set_aside(const struct pickup *pickup, const char *name)
{
	log_warning("maildrop/%s: not a submission that can be taken in: moved to corrupt", name);
	if (linkat(pickup->maildrop_fd, name, pickup->corrupt_fd, name, 0) < 0 &&
	    !(errno == EEXIST && is_same(pickup, name))) {
		if (errno != ENOENT)
			log_warning("maildrop/%s: %s", name, strerror(errno));
		return;
	}
	if (file_sync(pickup->corrupt_fd) < 0 || unlinkat(pickup->maildrop_fd, name, 0) < 0)
		log_warning("maildrop/%s: %s", name, strerror(errno));
}

/*
 * What was taken in and cannot be removed (a file system that became read-only) must not be taken
 * in once a minute for ever.
 */
static void remove_taken(struct pickup *pickup, const char *name)
{
	if (unlinkat(pickup->maildrop_fd, name, 0) == 0 || errno == ENOENT) {
		map_remove(&pickup->taken, slice_of(name));
		return;
	}
	log_warning("remove maildrop/%s: %s", name, strerror(errno));
	map_put_str(&pickup->taken, name, pickup);
}

/* Only who is the mail owner can have put it there: postdrop's files begin with another record. */
static bool is_requeued(const struct submission *sub)
{
	return sub->uid == geteuid() && requeue_is_one(sub->fd);
}

static bool has_good_verp(const struct pickup *pickup, const struct submission *sub)
{
	return sub->verp == NULL ||
	       (sub->sender.len > 0 &&
		   verp_is_valid(slice_of(sub->verp), pickup->params->verp_delimiter_filter));
}

static void take_in(struct pickup *pickup, struct submission *sub)
{
	enum submission_verdict verdict =
	    is_requeued(sub) ? requeue_read(sub) : submission_read(sub);

	if (verdict == SUBMISSION_GOOD && !sub->requeued && !has_good_verp(pickup, sub))
		verdict = SUBMISSION_BAD;
	/* Of a message that was put back all recipients may be done. */
	if (verdict == SUBMISSION_GOOD && sub->recipient_count > 0)
		verdict = submit(pickup, sub);
	if (verdict == SUBMISSION_GOOD)
		remove_taken(pickup, sub->name);
	if (verdict == SUBMISSION_BAD)
		set_aside(pickup, sub->name);
}

static void pick_up(struct pickup *pickup, const char *name)
{
	struct submission sub = { .name = name, .arena = ARENA_INIT };
	struct stat st;

	if (map_get_str(&pickup->taken, name) != NULL) {
		remove_taken(pickup, name);
		return;
	}
	sub.fd = openat(pickup->maildrop_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (sub.fd < 0) {
		if (errno != ENOENT)
			log_warning("maildrop/%s: %s", name, strerror(errno));
		return;
	}
	/*
	 * At a reload the process that leaves and the one that comes look at once.  Who gets the
	 * lock when the other is done finds that the file has no name any more.
	 */
	if (flock(sub.fd, LOCK_EX | LOCK_NB) == 0 && fstat(sub.fd, &st) == 0 && is_finished(&st)) {
		int64_t now = clock_wall_us();

		sub.uid = st.st_uid;
		sub.size = st.st_size;
		sub.arrival_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
		if (sub.arrival_us > now)
			sub.arrival_us = now;
		take_in(pickup, &sub);
	}
	close(sub.fd);
	submission_release(&sub);
}

void pickup_scan(struct pickup *pickup)
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

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Records of a queue file (postfix.md 6.3): a type byte, a length in base 128 (low bits first, high
 * bit: more follows), data.  This is the one place that knows their shape on disk.
 */
#ifndef PC_QUEUE_QUEUE_RECORD_H
#define PC_QUEUE_QUEUE_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/reason.h"
#include "base/slice.h"
#include "base/strbuf.h"

enum queue_record_type {
	QR_SIZE = 'C',
	QR_TIME = 'T',
	QR_CREATE_TIME = 'c',
	QR_FULL_NAME = 'F',
	QR_INSPECTOR = 'I',
	QR_FILTER = 'L', /* in the envelope; in the content it is QR_PARTIAL */
	QR_PARTIAL = 'L',
	QR_SENDER = 'S',
	QR_ATTRIBUTE = 'A',
	QR_VERP = 'V',
	QR_WARN_TIME = 'W',
	QR_REDIRECT = '>',
	QR_KILLED = 'K',
	QR_DONE = 'D',
	QR_RECIPIENT = 'R',
	QR_ORIGINAL = 'O',
	QR_CANCELLED = '/',
	QR_PRIORITY = 'P',
	QR_DSN_RET = '<',
	QR_DSN_ENVID = 'i',
	QR_DSN_ORCPT = 'o',
	QR_DSN_NOTIFY = 'n',
	QR_MESSAGE = 'M',
	QR_LINE = 'N',
	QR_PADDING = 'w',
	QR_EXTRACTED = 'X',
	QR_RETURN_RECEIPT = 'r',
	QR_ERRORS_TO = 'e',
	QR_POINTER = 'p',
	QR_END = 'E'
};

/* The digits of QR_WARN_TIME, blanks in front. */
#define QUEUE_WARN_TIME_LEN 15

/* A record may have this many bytes of data; ours have far fewer. */
#define QUEUE_RECORD_MAX (256 * 1024)

/* Is that type known, and what does postcat call it ("message_size")?  NULL when unknown. */
const char *queue_record_name(int type);

/* Appends a record.  DATA is at most QUEUE_RECORD_MAX bytes (ASSERT). */
void queue_record_add(struct strbuf *out, int type, struct slice data);

struct queue_record {
	int type;
	struct slice data; /* valid until the next call */
	off_t offset;	   /* of the type byte */
	off_t next;	   /* of the record behind it */
};

/*
 * A file's records by pread(2), in order; pointers are followed unless RAW.  A reader does not own
 * its descriptor.
 */
struct queue_reader {
	int fd;
	bool raw;
	off_t at; /* of the next record */
	struct strbuf window;
	off_t window_at;
	off_t end;	   /* of the file, once it was seen; 0: not yet */
	unsigned backward; /* pointers that led backwards, at most 10,000 */
};
void queue_reader_init(struct queue_reader *r, int fd, off_t at);
void queue_reader_release(struct queue_reader *r);
void queue_reader_seek(struct queue_reader *r, off_t at);

enum queue_read {
	QUEUE_READ_RECORD,
	QUEUE_READ_EOF,	    /* the file ends between two records */
	QUEUE_READ_DAMAGED, /* unknown type, bad length, end inside of a record, pointer loop */
	QUEUE_READ_IO	    /* errno */
};
/* One system call per 8 KiB of small records. */
enum queue_read queue_reader_next(struct queue_reader *r, struct queue_record *record);

/*
 * Checksum over records as verified by envelope.h: D and / count as R, K as A; C and W, which
 * are written later, do not count.
 */
uint32_t queue_record_crc(uint32_t crc, int type, struct slice data);

#endif

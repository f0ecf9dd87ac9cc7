// SPDX-License-Identifier: BSD-2-Clause
/*
 * Messages between our processes: a kind and named attributes in a length-framed record.
 *
 * On the wire: 4 bytes big-endian length of what follows (so the first byte of a record is always
 * 0, which tells a record from the one-byte triggers of Postfix's sockets), 1 byte number of
 * descriptors that come with it, then the kind and the attributes, each name as 1 byte length and
 * bytes, each value as 4 bytes big-endian length and bytes.  An attribute may repeat.  A record has
 * at most MSG_MAX bytes.  The decoder refuses trailing bytes, empty names and names outside of
 * [a-z0-9_] (kinds: [A-Z0-9_]).
 */
#ifndef PC_IPC_MSG_H
#define PC_IPC_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"

#define MSG_MAX	    (1024 * 1024)
#define MSG_VERSION 1
#define MSG_FRONT   5 /* bytes before the kind */

/*
 * A record being written.  Too large shows in buf.overflow, and sending it fails with EMSGSIZE.
 * Starts as { 0 }.  Names and kinds outside of the alphabets above are bugs (ASSERT).
 */
struct msg_out {
	struct strbuf buf;
};
void msg_begin(struct msg_out *m, const char *kind); /* M is { 0 } or was begun before */
void msg_release(struct msg_out *m);
void msg_add(struct msg_out *m, const char *name, struct slice value);
void msg_add_str(struct msg_out *m, const char *name, const char *value); /* NULL: left out */
void msg_add_u64(struct msg_out *m, const char *name, uint64_t value);	  /* as decimal digits */
void msg_add_i64(struct msg_out *m, const char *name, int64_t value);

struct msg_attr {
	struct slice name, value;
};
/* A record that was read.  Slices point into the buffer it was parsed from. */
struct msg {
	struct slice kind;
	struct msg_attr *attrs;
	size_t attr_count;
};
/* BODY is the record without its first 5 bytes; the array comes from ARENA. */
bool msg_parse(struct msg *m, struct slice body, struct arena *arena);
bool msg_is(const struct msg *m, const char *kind);
/* The first attribute of that name. False when absent. */
bool msg_get(const struct msg *m, const char *name, struct slice *value);
/* A NUL-free copy in ARENA; false when absent or with a NUL. */
bool msg_get_str(const struct msg *m, const char *name, struct arena *arena, const char **value);
bool msg_get_u64(const struct msg *m, const char *name, uint64_t *value);
bool msg_get_i64(const struct msg *m, const char *name, int64_t *value);
/* The next attribute of that name at or after *INDEX, which moves past it. */
bool msg_each(const struct msg *m, const char *name, size_t *index, struct slice *value);

#endif

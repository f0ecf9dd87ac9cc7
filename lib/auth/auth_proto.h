// SPDX-License-Identifier: BSD-2-Clause
/*
 * Lines of Dovecot's auth protocol: fields between TABs, ended by LF.  In a field the byte 001
 * escapes: 001 '0' is NUL, 001 '1' is 001, 001 't' TAB, 001 'r' CR, 001 'n' LF.
 */
#ifndef PC_AUTH_AUTH_PROTO_H
#define PC_AUTH_AUTH_PROTO_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"

#define AUTH_LINE_MAX	     8192  /* that a client may send, with its LF */
#define AUTH_REPLY_MAX	     16384 /* that we take from a server */
#define AUTH_FIELDS_MAX	     128
#define AUTH_PROTOCOL_MAJOR  1
#define AUTH_CLIENT_MINOR    2 /* of the client protocol that we speak */
#define AUTH_MASTER_MINOR    1
#define AUTH_MECHANISMS_MAX  32
#define AUTH_REQUEST_LIFE_MS (150 * 1000) /* a request that nobody ends is dropped */

void auth_escape(struct strbuf *out, struct slice in);
/* False (something may be appended) for a 001 with none of the letters above after it. */
bool auth_unescape(struct strbuf *out, struct slice in);

struct auth_fields {
	struct slice list[AUTH_FIELDS_MAX]; /* unescaped */
	size_t count;
};
/*
 * Splits LINE (without LF; a CR before it is dropped, and so is one empty field at the end, which
 * Dovecot 2.3 sends).  The fields lie in ARENA.  False: too many fields or a bad escape.
 */
bool auth_fields_split(struct auth_fields *fields, struct slice line, struct arena *arena);
/* Whether field AT is there and is the word NAME. */
bool auth_field_is(const struct auth_fields *fields, size_t at, const char *name);
/* The value of the first "NAME=value" at FROM or later; the bare word NAME is an empty value. */
bool auth_field_get(
    const struct auth_fields *fields, size_t from, const char *name, struct slice *value);
/* The request number in field AT: 1 to 2^32 - 1. */
bool auth_field_id(const struct auth_fields *fields, size_t at, uint32_t *id);

/* TAB and "NAME=VALUE", escaped; without a value ("" and VALUE.ptr NULL) the bare word. */
void auth_add_field(struct strbuf *out, const char *name, struct slice value);

/* What a mechanism is, by the words of a MECH line, in their order there. */
enum auth_mechanism_flag {
	AUTH_MECH_PRIVATE = 1,
	AUTH_MECH_ANONYMOUS = 2,
	AUTH_MECH_PLAINTEXT = 4,
	AUTH_MECH_DICTIONARY = 8,
	AUTH_MECH_ACTIVE = 16,
	AUTH_MECH_FORWARD_SECRECY = 32,
	AUTH_MECH_MUTUAL_AUTH = 64,
	AUTH_MECH_CHANNEL_BINDING = 128
};
const char *auth_mechanism_flag_word(unsigned flag);
/* All flags of the words at FROM and later; unknown words are passed over. */
unsigned auth_mechanism_flags(const struct auth_fields *fields, size_t from);

#endif

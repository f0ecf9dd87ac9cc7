// SPDX-License-Identifier: BSD-2-Clause
/* Encodings of bytes as text.  Decoders are strict and refuse what no encoder makes. */
#ifndef PC_BASE_CODEC_H
#define PC_BASE_CODEC_H

#include "base/strbuf.h"

/* RFC 4648 4, with padding, no line breaks. */
void base64_encode(struct strbuf *out, struct slice in);
/* False (nothing appended) for a wrong length, alphabet or padding, or non-zero spare bits. */
bool base64_decode(struct strbuf *out, struct slice in);

void hex_encode(struct strbuf *out, struct slice in); /* lower case */
bool hex_decode(struct strbuf *out, struct slice in); /* either case */

/* RFC 3461 4: xtext.  Decoding refuses characters outside of the grammar. */
void xtext_encode(struct strbuf *out, struct slice in);
bool xtext_decode(struct strbuf *out, struct slice in);

/* Foreign bytes as log lines show them: "EHLO x\r\n", "\000", "a\\b". */
void escape_encode(struct strbuf *out, struct slice in);

/* RFC 3629; refuses overlong forms, surrogates and what lies beyond U+10FFFF. */
bool utf8_is_valid(struct slice in);
bool ascii_is_valid(struct slice in); /* no byte above 0x7f */

#endif

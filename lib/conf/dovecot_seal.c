// SPDX-License-Identifier: BSD-2-Clause
/*
 * The tree as bytes in a sealed memory file.  After a magic word come the path and then the root
 * block; a block is its label, file, line and flag, its assignments, and the blocks inside, each
 * with its kind.  Numbers are 4 bytes big-endian, texts a number and that many bytes without NUL.
 * The decoder refuses everything else, trailing bytes too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cursor.h"
#include "conf/dovecot_tree.h"
#include "sys/file.h"

#define MAGIC	 "postcote dovecot.conf 1\n"
#define SEALS	 (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SEAL_MAX ((size_t)64 * 1024 * 1024)

enum item { ITEM_END, ITEM_ENTRY, ITEM_BLOCK };

static void put_number(struct strbuf *out, size_t number)
{
	unsigned char bytes[4] = { (unsigned char)(number >> 24), (unsigned char)(number >> 16),
		(unsigned char)(number >> 8), (unsigned char)number };

	strbuf_add(out, bytes, sizeof(bytes));
}

static void put_text(struct strbuf *out, const char *text)
{
	put_number(out, strlen(text));
	strbuf_addstr(out, text);
}

static void put_place(struct strbuf *out, const char *file, unsigned line, bool is_builtin)
{
	put_text(out, file);
	put_number(out, line);
	strbuf_addch(out, is_builtin);
}

/*
 * Which process gets what: nobody is given a password that it has no use for.  Plug-ins, dicts and
 * the like are not ours yet, and their blocks are full of secrets.
 */
static bool is_for_plain(const struct dovecot_block *block)
{
	return block->kind != DOVECOT_PASSDB && block->kind != DOVECOT_USERDB;
}

static bool is_for_auth(const struct dovecot_block *block)
{
	return !dovecot_kinds[block->kind].is_free;
}

static bool is_used(const struct dovecot_block *block, const struct dovecot_entry *e)
{
	struct dovecot_spec spec;

	return !dovecot_kinds[block->kind].is_filter ||
	       (dovecot_spec_find(block->kind, e->name, &spec) && spec.works);
}

enum extent { EXTENT_PLAIN = DOVECOT_SEAL_PLAIN, EXTENT_AUTH = DOVECOT_SEAL_AUTH, EXTENT_ALL };

static bool has_entry(
    enum extent extent, const struct dovecot_block *block, const struct dovecot_entry *e)
{
	return extent == EXTENT_ALL || is_used(block, e);
}

static bool has_block(enum extent extent, const struct dovecot_block *block)
{
	return extent == EXTENT_ALL ||
	       (is_for_auth(block) && (extent == EXTENT_AUTH || is_for_plain(block)));
}

static void put_block(struct strbuf *out, const struct dovecot_block *block, enum extent extent)
{
	put_text(out, block->label);
	put_place(out, block->file, block->line, block->is_builtin);
	for (const struct dovecot_entry *e = block->entries; e; e = e->next) {
		if (!has_entry(extent, block, e))
			continue;
		strbuf_addch(out, ITEM_ENTRY);
		put_text(out, e->name);
		put_text(out, e->value);
		put_place(out, e->file, e->line, e->is_builtin);
	}
	for (const struct dovecot_block *b = block->children; b; b = b->next) {
		if (!has_block(extent, b))
			continue;
		strbuf_addch(out, ITEM_BLOCK);
		strbuf_addch(out, (char)b->kind);
		put_block(out, b, extent);
	}
	strbuf_addch(out, ITEM_END);
}

static void encode(const struct dovecot_source *source, enum extent extent, struct strbuf *out)
{
	strbuf_addstr(out, MAGIC);
	put_text(out, source->path);
	put_block(out, source->root, extent);
}

void dovecot_source_encode(const struct dovecot_source *source, struct strbuf *out)
{
	encode(source, EXTENT_ALL, out);
}

int dovecot_source_seal(const struct dovecot_source *source, enum dovecot_seal what)
{
	struct strbuf out = STRBUF_INIT(SEAL_MAX);
	int fd = -1, saved;

	encode(source, (enum extent)what, &out);
	if (out.overflow) {
		errno = EFBIG;
		goto release;
	}
	fd = memfd_create("dovecot.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		goto release;
	if (file_write_all(fd, strbuf_slice(&out)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
release:
	strbuf_release(&out);
	return fd;
}

struct decoder {
	struct cursor in;
	struct dovecot_source *source;
};

static const char *get_text(struct decoder *d)
{
	struct slice text = cursor_take(&d->in, cursor_be32(&d->in));

	if (slice_has_nul(text))
		d->in.failed = true;
	return d->in.failed ? "" : arena_slicedup(&d->source->arena, text);
}

static bool get_flag(struct decoder *d)
{
	uint8_t byte = cursor_u8(&d->in);

	if (byte > 1)
		d->in.failed = true;
	return byte == 1;
}

static void get_entry(struct decoder *d, struct dovecot_block *block)
{
	struct dovecot_entry entry = { 0 };

	entry.name = get_text(d);
	entry.value = get_text(d);
	entry.file = get_text(d);
	entry.line = cursor_be32(&d->in);
	entry.is_builtin = get_flag(d);
	if (!d->in.failed)
		dovecot_tree_add(block, &entry);
}

static void get_items(struct decoder *d, struct dovecot_block *block, unsigned depth);

static void get_block(struct decoder *d, struct dovecot_block *parent, unsigned depth)
{
	int kind = cursor_u8(&d->in);
	const char *label = get_text(d), *file = get_text(d);
	unsigned line = cursor_be32(&d->in);
	bool is_builtin = get_flag(d);
	struct dovecot_block *block;

	if (d->in.failed || depth > DOVECOT_DEPTH_MAX + 1 || kind <= DOVECOT_ROOT ||
	    kind >= DOVECOT_KIND_COUNT ||
	    dovecot_tree_kind(parent, slice_of(dovecot_kinds[kind].name)) != kind) {
		d->in.failed = true;
		return;
	}
	block = dovecot_tree_open(parent, (enum dovecot_kind)kind, label, file, line, is_builtin);
	get_items(d, block, depth);
}

static void get_items(struct decoder *d, struct dovecot_block *block, unsigned depth)
{
	while (!d->in.failed) {
		switch (cursor_u8(&d->in)) {
		case ITEM_END:
			return;
		case ITEM_ENTRY:
			get_entry(d, block);
			break;
		case ITEM_BLOCK:
			get_block(d, block, depth + 1);
			break;
		default:
			d->in.failed = true;
		}
	}
}

struct dovecot_source *dovecot_source_decode(struct slice bytes)
{
	struct decoder d = { .in = cursor_of(bytes) };

	if (!cursor_skip(&d.in, MAGIC))
		return NULL;
	d.source = dovecot_tree_new("");
	d.source->path = get_text(&d);
	d.source->root->label = get_text(&d);
	d.source->root->file = get_text(&d);
	d.source->root->line = cursor_be32(&d.in);
	d.source->root->is_builtin = get_flag(&d);
	get_items(&d, d.source->root, 0);
	if (!d.in.failed && cursor_at_end(&d.in))
		return d.source;
	dovecot_source_free(d.source);
	return NULL;
}

struct dovecot_source *dovecot_source_load(int fd)
{
	struct strbuf bytes = STRBUF_INIT(SEAL_MAX);
	struct dovecot_source *source = NULL;
	int seals = fcntl(fd, F_GET_SEALS);

	/* What is not sealed could change under the parser. */
	if (seals < 0 || (seals & SEALS) != SEALS)
		return NULL;
	if (file_read_fd(fd, &bytes) == 0)
		source = dovecot_source_decode(strbuf_slice(&bytes));
	strbuf_release(&bytes);
	return source;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The sealed form of a source: a magic word, then the directory, the host name, the addresses, the
 * text of main.cf and of master.cf, each as a big-endian 32-bit length and bytes; nothing else and
 * nothing behind.  The memory file can no longer be changed once it is handed out, by us neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cursor.h"
#include "conf/postfix_source.h"
#include "sys/file.h"

#define MAGIC	   "PCPFXC01"
#define SEALED_MAX (4 * POSTFIX_FILE_LIMIT)
#define SEALS	   (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static void put(struct strbuf *out, struct slice s)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		strbuf_addch(out, (char)(s.len >> shift));
	strbuf_addslice(out, s);
}

void postfix_source_encode(const struct postfix_source *source, struct strbuf *out)
{
	strbuf_addstr(out, MAGIC);
	put(out, slice_of(source->dir));
	put(out, slice_of(source->environment.hostname));
	put(out, strbuf_slice(&source->environment.addresses));
	put(out, strbuf_slice(&source->main_text));
	put(out, strbuf_slice(&source->master_text));
}

int postfix_source_seal(const struct postfix_source *source)
{
	struct strbuf data = STRBUF_INIT(SEALED_MAX);
	postfix_source_encode(source, &data);
	int fd = -1, error = EFBIG;
	if (data.overflow)
		goto release;
	fd = memfd_create("postfix-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	error = errno;
	if (fd < 0)
		goto release;
	if (file_write_all(fd, strbuf_slice(&data)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		error = errno;
		close(fd);
		fd = -1;
	}
release:
	strbuf_release(&data);
	errno = error;
	return fd;
}

static struct slice take(struct cursor *c, size_t max)
{
	uint32_t len = cursor_be32(c);
	if (len > max)
		c->failed = true;
	return c->failed ? SLICE_NULL : cursor_take(c, len);
}

struct postfix_source *postfix_source_decode(struct slice data)
{
	struct cursor c = cursor_of(data);
	if (!cursor_skip(&c, MAGIC))
		return NULL;
	struct slice dir = take(&c, PATH_MAX), host = take(&c, POSTFIX_HOSTNAME_LIMIT);
	struct slice addresses = take(&c, POSTFIX_FILE_LIMIT);
	struct slice main_text = take(&c, POSTFIX_FILE_LIMIT);
	struct slice master_text = take(&c, POSTFIX_FILE_LIMIT);
	if (c.failed || !cursor_at_end(&c) || dir.len == 0 || slice_has_nul(dir) ||
	    slice_has_nul(host) || slice_has_nul(addresses))
		return NULL;
	char *path = xstrndup(dir.ptr, dir.len);
	struct postfix_source *source = postfix_source_new(path);
	free(path);
	free(source->environment.hostname);
	source->environment.hostname = xstrndup(host.ptr ? host.ptr : "", host.len);
	strbuf_addslice(&source->environment.addresses, addresses);
	strbuf_addslice(&source->main_text, main_text);
	strbuf_addslice(&source->master_text, master_text);
	/* Whoever sealed it has reported what is wrong in it. */
	postfix_main_parse(source, NULL);
	postfix_master_parse(source, NULL);
	return source;
}

struct postfix_source *postfix_source_load(int fd)
{
	/* What is not sealed could change under the parser. */
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS)
		return NULL;
	struct strbuf data = STRBUF_INIT(SEALED_MAX);
	struct postfix_source *source = NULL;
	if (file_read_fd(fd, &data) == 0)
		source = postfix_source_decode(strbuf_slice(&data));
	strbuf_release(&data);
	return source;
}

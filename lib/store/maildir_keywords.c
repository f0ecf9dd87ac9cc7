// SPDX-License-Identifier: BSD-2-Clause
/*
 * dovecot-keywords: which name each of the letters a to z in file names stands for.  It is replaced
 * under the lock of the list of UIDs, as Dovecot does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cursor.h"
#include "store/maildir_box.h"
#include "sys/file.h"

#define KEYWORDS      "dovecot-keywords"
#define KEYWORDS_MAX  65536 /* bytes of the file */
#define KEYWORD_BYTES 50    /* of one name */

struct keywords {
	struct slice names[STORE_KEYWORDS]; /* a NULL pointer: not given */
	struct strbuf text;
};

/* RFC 3501 9 (flag-keyword): an atom. */
static bool is_keyword(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] >= 0x7f ||
		    strchr("(){%*\"\\]", name.ptr[i]) != NULL)
			return false;
	return name.len > 0 && name.len <= KEYWORD_BYTES;
}

/* "0 $Label1"; lines that are something else are passed over. */
static void parse(struct keywords *k)
{
	struct cursor c = cursor_of(strbuf_slice(&k->text));

	while (!cursor_at_end(&c)) {
		struct slice line = cursor_until(&c, "\n");
		ptrdiff_t blank = slice_find(line, ' ');
		uint64_t number;

		(void)cursor_skip(&c, "\n");
		if (blank > 0 &&
		    slice_uint(slice_first(line, (size_t)blank), STORE_KEYWORDS - 1, &number))
			k->names[number] = slice_from(line, (size_t)blank + 1);
	}
}

static bool read_keywords(const struct maildir_box *m, struct keywords *k, struct reason *why)
{
	*k = (struct keywords){ .text = STRBUF_INIT(KEYWORDS_MAX) };
	if (file_read(m->root_fd, KEYWORDS, &k->text) < 0 && errno != ENOENT) {
		maildir_reason(why, m, KEYWORDS);
		return false;
	}
	parse(k);
	return true;
}

/* STORE_KEYWORDS: not there. */
static size_t find(const struct keywords *k, struct slice name)
{
	size_t i = 0;

	while (i < STORE_KEYWORDS && !slice_caseeq(k->names[i], name))
		i++;
	return i;
}

static bool write_keywords(
    const struct maildir_box *m, const struct keywords *k, struct reason *why)
{
	struct strbuf text = STRBUF_INIT(KEYWORDS_MAX);
	struct stat st;
	mode_t mode = fstat(m->root_fd, &st) == 0 ? st.st_mode & 0666 : 0600;
	bool ok;

	for (size_t i = 0; i < STORE_KEYWORDS; i++)
		if (k->names[i].ptr != NULL)
			strbuf_addf(&text, "%zu %.*s\n", i, SLICE_ARG(k->names[i]));
	ok = !text.overflow &&
	     file_replace(m->root_fd, KEYWORDS, strbuf_slice(&text), mode | 0600) == 0;
	if (!ok)
		maildir_reason(why, m, "cannot write " KEYWORDS);
	strbuf_release(&text);
	return ok;
}

/* Under the lock. */
static bool add(struct maildir_box *m, struct slice name, size_t *number, struct reason *why)
{
	struct keywords k;
	bool ok = read_keywords(m, &k, why);
	size_t i = ok ? find(&k, name) : 0;

	if (ok && i == STORE_KEYWORDS) {
		for (i = 0; i < STORE_KEYWORDS && k.names[i].ptr != NULL; i++)
			continue;
		ok = i < STORE_KEYWORDS;
		if (ok) {
			k.names[i] = name;
			ok = write_keywords(m, &k, why);
		} else {
			reason_set(why, "5.2.0", "%s: all keywords are used up", m->path);
		}
	}
	*number = i;
	strbuf_release(&k.text);
	return ok;
}

bool maildir_keyword(struct store_box *box, const char *name, bool create, int64_t deadline,
    unsigned *flag, struct reason *why)
{
	struct maildir_box *m = (struct maildir_box *)(void *)box;
	struct slice word = slice_of(name);
	struct keywords k;
	size_t number;
	bool ok;

	*flag = 0;
	if (!is_keyword(word)) {
		reason_set(
		    why, "5.2.0", "Invalid keyword '%s': Invalid characters in keyword", name);
		return false;
	}
	ok = read_keywords(m, &k, why);
	number = find(&k, word);
	strbuf_release(&k.text);
	if (ok && number == STORE_KEYWORDS && create && !m->read_only) {
		ok = maildir_lock(m, deadline, why);
		if (ok) {
			ok = add(m, word, &number, why);
			maildir_unlock(m);
		}
	}
	if (ok && number < STORE_KEYWORDS)
		*flag = STORE_KEYWORD(number);
	return ok;
}

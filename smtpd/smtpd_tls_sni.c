// SPDX-License-Identifier: BSD-2-Clause
/*
 * tls_server_sni_maps: certificates by the name that a client asks for.  Tables that postmap -F
 * made hold the files' content in base64.  The others name files, which are read here, before the
 * jail.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/digest.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "log/log.h"
#include "smtpd/smtpd_tls.h"
#include "sys/file.h"
#include "table/table.h"

#define CHAIN_MAX (1024 * 1024)

struct sni_table {
	struct table *table;
	struct map *texts; /* by name, of a table that names files; else NULL */
	char *text;	   /* of a static: table */
	struct sni_table *next;
};

struct reader {
	const char *spec;
	struct map *texts;
};

/* The files of a value, one after the other; NULL when one cannot be read. */
static char *read_files(const char *spec, struct slice names)
{
	struct strbuf text = STRBUF_INIT(CHAIN_MAX);
	struct slice name;
	char *copy = NULL;

	while (slice_token(&names, " \t\r\n,", &name)) {
		char *path = xstrndup(name.ptr, name.len);

		if (file_read(AT_FDCWD, path, &text) == -1) {
			log_warning("%s: open %s: %s", spec, path, strerror(errno));
			free(path);
			strbuf_release(&text);
			return NULL;
		}
		strbuf_addch(&text, '\n');
		free(path);
	}
	copy = xstrndup(text.ptr != NULL ? text.ptr : "", text.len);
	strbuf_release(&text);
	return copy;
}

static bool read_entry(struct slice key, struct slice value, void *arg)
{
	struct reader *reader = arg;
	char *text = read_files(reader->spec, value), *name = xstrndup(key.ptr, key.len);

	ascii_tolower(name, key.len);
	/* An empty text is a failure when somebody asks for that name. */
	free(map_put_str(reader->texts, name, text != NULL ? text : xstrdup("")));
	free(name);
	return true;
}

static bool is_type(struct slice spec, const char *type)
{
	return slice_casestarts(spec, type) && spec.len > strlen(type) &&
	       spec.ptr[strlen(type)] == ':';
}

static struct sni_table *open_one(struct slice spec)
{
	struct sni_table *t = xcalloc(1, sizeof(*t));
	char *text = xstrndup(spec.ptr, spec.len);

	t->table = table_open(text, 0);
	if (slice_casestarts(spec, "proxy:"))
		spec = slice_from(spec, strlen("proxy:"));
	if (is_type(spec, "static")) {
		t->text = read_files(text, slice_from(spec, strlen("static:")));
		if (t->text == NULL)
			t->text = xstrdup("");
	} else if (is_type(spec, "inline") || is_type(spec, "texthash")) {
		struct reader reader = { text, xcalloc(1, sizeof(struct map)) };

		t->texts = reader.texts;
		if (!table_each(t->table, read_entry, &reader))
			log_warning("%s: cannot be read for tls_server_sni_maps", text);
	}
	free(text);
	return t;
}

struct sni_table *smtpd_sni_open(const char *value)
{
	struct slice rest = slice_of(value), word;
	struct sni_table *first = NULL, **last = &first;

	while (table_list_next(&rest, &word)) {
		*last = open_one(word);
		last = &(*last)->next;
	}
	return first;
}

static enum tls_found take_text(const char *text, struct strbuf *pem)
{
	if (text[0] == '\0')
		return TLS_FIND_ERROR;
	strbuf_addstr(pem, text);
	return TLS_FOUND;
}

static enum tls_found ask_table(struct sni_table *t, const char *name, struct strbuf *pem)
{
	struct strbuf value = STRBUF_INIT(TABLE_VALUE_MAX);
	enum tls_found found = TLS_FIND_ERROR;

	switch (table_get(t->table, slice_of(name), &value)) {
	case TABLE_FOUND:
		if (base64_decode(pem, strbuf_slice(&value)) && pem->len > 0)
			found = TLS_FOUND;
		else
			log_warning("table %s: key %s: malformed BASE64 value: %.100s",
			    table_spec(t->table), name, value.ptr != NULL ? value.ptr : "");
		break;
	case TABLE_NOT_FOUND:
		found = TLS_NOT_FOUND;
		break;
	case TABLE_ERROR:
		break;
	}
	secret_clear(value.ptr, value.ptr != NULL ? value.len : 0);
	strbuf_release(&value);
	return found;
}

enum tls_found smtpd_sni_find(const char *name, struct strbuf *pem, void *arg)
{
	char key[300];
	size_t len = strlen(name);

	if (len >= sizeof(key))
		return TLS_NOT_FOUND;
	memcpy(key, name, len + 1);
	ascii_tolower(key, len);
	for (struct sni_table *t = arg; t != NULL; t = t->next) {
		enum tls_found found = TLS_NOT_FOUND;
		const char *text = t->text;

		if (t->texts != NULL)
			text = map_get_str(t->texts, key);
		if (text != NULL)
			found = take_text(text, pem);
		else if (t->texts == NULL)
			found = ask_table(t, key, pem);
		if (found != TLS_NOT_FOUND)
			return found;
	}
	return TLS_NOT_FOUND;
}

// SPDX-License-Identifier: BSD-2-Clause
#include "sys/instances.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "sys/file.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define INSTANCES_MAX  10000

static bool take_line(struct slice line, struct instance *instance)
{
	struct slice word[4];
	uint64_t when;

	for (size_t i = 0; i < 4; i++) {
		ptrdiff_t tab = slice_find(line, '\t');

		word[i] = slice_first(line, tab < 0 ? line.len : (size_t)tab);
		line = slice_from(line, tab < 0 ? line.len : (size_t)tab + 1);
	}
	if (!word[2].len || !slice_uint(word[0], INT64_MAX, &when))
		return false;
	instance->last_used = (time_t)when;
	instance->name = xstrndup(word[1].ptr, word[1].len);
	instance->base_dir = xstrndup(word[2].ptr, word[2].len);
	instance->config = xstrndup(word[3].ptr, word[3].len);
	return true;
}

bool instances_read(const char *path, struct instance_list *list)
{
	struct strbuf text = STRBUF_INIT(FILE_MAX_BYTES);
	struct slice rest, line;

	*list = (struct instance_list){ NULL, 0 };
	if (file_read(AT_FDCWD, path, &text) < 0) {
		strbuf_release(&text);
		return errno == ENOENT;
	}
	rest = strbuf_slice(&text);
	while (!slice_has_nul(rest) && list->count < INSTANCES_MAX &&
	       slice_token(&rest, "\n", &line)) {
		list->list = xreallocarray(list->list, list->count + 1, sizeof(*list->list));
		if (take_line(line, &list->list[list->count]))
			list->count++;
	}
	strbuf_release(&text);
	return true;
}

static void release_one(struct instance *instance)
{
	free(instance->name);
	free(instance->base_dir);
	free(instance->config);
}

void instances_release(struct instance_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		release_one(&list->list[i]);
	free(list->list);
	*list = (struct instance_list){ NULL, 0 };
}

static int write_list(const char *path, const struct instance_list *list)
{
	struct strbuf out = STRBUF_INIT(2 * FILE_MAX_BYTES);
	int rc;

	for (size_t i = 0; i < list->count; i++)
		strbuf_addf(&out, "%lld\t%s\t%s\t%s\n", (long long)list->list[i].last_used,
		    list->list[i].name, list->list[i].base_dir, list->list[i].config);
	rc = file_replace(AT_FDCWD, path, strbuf_slice(&out), 0600);
	strbuf_release(&out);
	return rc;
}

int instances_note(
    const char *path, const char *name, const char *base_dir, const char *config, time_t now)
{
	struct instance_list list;
	struct instance *mine = NULL;
	int rc;

	if (!instances_read(path, &list))
		return -1;
	for (size_t i = 0; i < list.count && !mine; i++)
		if (!strcmp(list.list[i].base_dir, base_dir))
			mine = &list.list[i];
	if (mine) {
		release_one(mine);
	} else {
		list.list = xreallocarray(list.list, list.count + 1, sizeof(*list.list));
		mine = &list.list[list.count++];
	}
	*mine = (struct instance){ now, xstrdup(name), xstrdup(base_dir), xstrdup(config) };
	rc = write_list(path, &list);
	instances_release(&list);
	return rc;
}

int instances_remove(const char *path, const char *what)
{
	struct instance_list list;
	size_t kept = 0;
	int removed, rc = 0;

	if (!instances_read(path, &list))
		return -1;
	for (size_t i = 0; i < list.count; i++)
		if (!strcmp(list.list[i].name, what) || !strcmp(list.list[i].base_dir, what))
			release_one(&list.list[i]);
		else
			list.list[kept++] = list.list[i];
	removed = (int)(list.count - kept);
	list.count = kept;
	if (removed)
		rc = write_list(path, &list);
	instances_release(&list);
	return rc < 0 ? -1 : removed;
}

// SPDX-License-Identifier: BSD-2-Clause
#include <string.h>

#include "authd/subject.h"

const struct pair *pairs_find(const struct pairs *pairs, const char *name)
{
	for (const struct pair *p = pairs->first; p; p = p->next)
		if (!strcmp(p->name, name))
			return p;
	return NULL;
}

static void put(
    struct pairs *pairs, struct arena *arena, const char *name, const char *value, bool hidden)
{
	struct pair *pair = pairs->first;

	while (pair && strcmp(pair->name, name) != 0)
		pair = pair->next;
	if (!pair) {
		pair = ARENA_NEW(arena, struct pair);
		pair->name = arena_strdup(arena, name);
		if (pairs->last)
			pairs->last->next = pair;
		else
			pairs->first = pair;
		pairs->last = pair;
	}
	pair->value = arena_strdup(arena, value);
	pair->hidden = hidden;
}

void pairs_set(struct pairs *pairs, struct arena *arena, const char *name, const char *value)
{
	put(pairs, arena, name, value, false);
}

void pairs_set_hidden(struct pairs *pairs, struct arena *arena, const char *name, const char *value)
{
	put(pairs, arena, name, value, true);
}

void pairs_set_text(struct pairs *pairs, struct arena *arena, struct slice text)
{
	ptrdiff_t equals = slice_find(text, '=');
	struct slice name = equals < 0 ? text : slice_first(text, (size_t)equals);

	pairs_set(pairs, arena, arena_slicedup(arena, name),
	    equals < 0 ? NULL : arena_slicedup(arena, slice_from(text, (size_t)equals + 1)));
}

void pairs_set_words(struct pairs *pairs, struct arena *arena, const char *words)
{
	struct slice rest = slice_of(words), word;

	while (slice_token(&rest, " \t", &word))
		pairs_set_text(pairs, arena, word);
}

void pairs_set_default(
    struct pairs *pairs, struct arena *arena, const char *name, const char *value)
{
	if (!pairs_find(pairs, name))
		pairs_set(pairs, arena, name, value);
}

void pairs_remove(struct pairs *pairs, const char *name)
{
	struct pair *before = NULL;

	for (struct pair *p = pairs->first; p; before = p, p = p->next) {
		if (strcmp(p->name, name) != 0)
			continue;
		if (before)
			before->next = p->next;
		else
			pairs->first = p->next;
		if (pairs->last == p)
			pairs->last = before;
		return;
	}
}

void pairs_copy(struct pairs *to, const struct pairs *from, struct arena *arena)
{
	*to = (struct pairs){ NULL, NULL };
	for (const struct pair *p = from->first; p; p = p->next)
		put(to, arena, p->name, p->value, p->hidden);
}

void pairs_write(const struct pairs *pairs, struct strbuf *line)
{
	bool any = false;

	for (const struct pair *p = pairs->first; p; p = p->next) {
		if (p->hidden)
			continue;
		auth_add_field(
		    line, p->name, p->value && *p->value ? slice_of(p->value) : SLICE_NULL);
		any = true;
	}
	/* Where there would be fields if none were hidden, the peer writes an empty one. */
	if (pairs->first && !any)
		strbuf_addch(line, '\t');
}

bool pair_name_ends(const char *name, const char *suffix, struct arena *arena, const char **stem)
{
	struct slice whole = slice_of(name);

	if (whole.len <= strlen(suffix) || !slice_ends(whole, suffix))
		return false;
	*stem = arena_slicedup(arena, slice_first(whole, whole.len - strlen(suffix)));
	return true;
}

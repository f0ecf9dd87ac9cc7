// SPDX-License-Identifier: BSD-2-Clause
/*
 * A row per domain, the oldest shape of which users' scripts read: counts are right-aligned in
 * columns as wide as the totals, the name takes what is left of the line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "cmd/qshape.h"

#define NAME_WIDTH_MIN 18
#define TOTAL	       "TOTAL"
#define NOBODY	       "MAILER-DAEMON"

struct row {
	const char *name; /* the map's key */
	unsigned long subdomains;
	unsigned long counts[]; /* the sum, then by age */
};

static struct map rows = MAP_INIT;

static struct row *row_of(struct slice name)
{
	struct row *row = map_get(&rows, name);

	if (!row) {
		row = xcalloc(
		    1, sizeof(*row) + ((size_t)qshape.buckets + 1) * sizeof(row->counts[0]));
		map_put(&rows, name, row);
	}
	return row;
}

/* From 1 to the number of buckets: [0, 1), [1, 2), [2, 4), [4, 8) ... units of time. */
static long bucket_of(time_t arrived)
{
	static time_t now;
	long units, bucket = 1;

	if (!now)
		now = time(NULL);
	units = arrived < now ? (long)(now - arrived) / (60 * qshape.minutes) : 0;
	if (qshape.linear)
		bucket += units;
	else
		for (; units && bucket < qshape.buckets; units /= 2)
			bucket++;
	return bucket < qshape.buckets ? bucket : qshape.buckets;
}

/* True: the row is new. */
static bool add(struct slice name, long bucket)
{
	struct row *row = row_of(name);

	row->counts[bucket]++;
	return row->counts[0]++ == 0;
}

/* What stands behind the last '@', in lower case, with single dots and none at its ends. */
static void domain_of(struct slice address, struct strbuf *out)
{
	ptrdiff_t at = slice_rfind(address, '@');
	struct slice domain = slice_from(address, (size_t)(at + 1));

	for (size_t i = 0; i < domain.len; i++)
		if (domain.ptr[i] != '.' || (i && domain.ptr[i - 1] != '.'))
			strbuf_addch(out, ascii_lower(domain.ptr[i]));
	if (out->len > 1 && out->ptr[0] == '.')
		strbuf_consume(out, 1);
	if (out->len > 1 && out->ptr[out->len - 1] == '.')
		strbuf_truncate(out, out->len - 1);
	if (!address.len)
		strbuf_addstr(out, NOBODY);
}

/* ".example.com" of "a.example.com" and of ".a.example.com"; false: it would have no dot inside. */
static bool to_parent(struct strbuf *name)
{
	struct slice rest = strbuf_slice(name);
	ptrdiff_t dot;

	if (slice_starts(rest, "."))
		rest = slice_from(rest, 1);
	dot = slice_find(rest, '.');
	if (dot <= 0 || slice_find(slice_from(rest, (size_t)dot + 1), '.') < 0)
		return false;
	strbuf_consume(name, name->len - (rest.len - (size_t)dot));
	return true;
}

void qshape_count(time_t arrived, struct slice address)
{
	struct strbuf name = STRBUF_INIT(STRBUF_NO_LIMIT);
	long bucket = bucket_of(arrived);
	bool is_new;

	domain_of(address, &name);
	add(SLICE_LIT(TOTAL), bucket);
	is_new = add(strbuf_slice(&name), bucket);
	while (qshape.parents && to_parent(&name)) {
		if (is_new)
			row_of(strbuf_slice(&name))->subdomains++;
		is_new = add(strbuf_slice(&name), bucket);
	}
	strbuf_release(&name);
}

/* ---- output ---- */

struct layout {
	char (*heads)[24];
	int *widths;
	int name_width;
};

static void make_head(const struct layout *layout, long i, long *minutes)
{
	char *head = layout->heads[i];

	if (i == 0)
		strcpy(head, "T");
	else
		snprintf(head, sizeof(layout->heads[i]), "%ld%s", *minutes,
		    i == qshape.buckets ? "+" : "");
	if (i + 1 < qshape.buckets)
		*minutes += *minutes && !qshape.linear ? *minutes : qshape.minutes;
}

static void make_layout(struct layout *layout)
{
	const struct row *total = row_of(SLICE_LIT(TOTAL));
	long minutes = 0;

	layout->heads = xcalloc((size_t)qshape.buckets + 1, sizeof(layout->heads[0]));
	layout->widths = xcalloc((size_t)qshape.buckets + 1, sizeof(layout->widths[0]));
	layout->name_width = (int)qshape.width;
	for (long i = 0; i <= qshape.buckets; i++) {
		int count = snprintf(NULL, 0, "%lu", total->counts[i]), head;

		make_head(layout, i, &minutes);
		head = (int)strlen(layout->heads[i]);
		if (head > count)
			count = head;
		layout->widths[i] = count > 2 ? count + 1 : 3;
		layout->name_width -= layout->widths[i];
	}
	if (layout->name_width < NAME_WIDTH_MIN)
		layout->name_width = NAME_WIDTH_MIN;
}

static void print_name(const char *name, int width)
{
	int len = (int)strlen(name);

	if (len <= width)
		printf("%*s", width, name);
	else if (name[0] == '.')
		printf(".+%s", name + len - width + 2);
	else
		printf("+%s", name + len - width + 1);
}

static void print_row(const struct row *row, const struct layout *layout)
{
	print_name(row->name, layout->name_width);
	for (long i = 0; i <= qshape.buckets; i++)
		printf("%*lu", layout->widths[i], row->counts[i]);
	putchar('\n');
}

/* The most first, short names before long ones. */
static int compare(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
	size_t x_len = strlen(x->name), y_len = strlen(y->name);

	if (x->counts[0] != y->counts[0])
		return x->counts[0] > y->counts[0] ? -1 : 1;
	if (x_len != y_len)
		return x_len < y_len ? -1 : 1;
	return strcmp(x->name, y->name);
}

static struct row **sorted(size_t *count)
{
	struct row **list = xcalloc(rows.count, sizeof(*list));

	*count = 0;
	for (struct map_entry *e = map_next(&rows, NULL); e; e = map_next(&rows, e)) {
		list[*count] = e->value;
		list[(*count)++]->name = e->key;
	}
	qsort(list, *count, sizeof(*list), compare);
	return list;
}

void qshape_show(void)
{
	struct layout layout;
	struct row **list;
	size_t count;
	long shown = 0;

	make_layout(&layout);
	list = sorted(&count);
	print_name("", layout.name_width);
	for (long i = 0; i <= qshape.buckets; i++)
		printf("%*s", layout.widths[i], layout.heads[i]);
	putchar('\n');
	for (size_t i = 0; i < count; i++) {
		if (list[i]->name[0] == '.' &&
		    list[i]->subdomains < (unsigned long)qshape.min_subdomains)
			continue;
		if (qshape.show_top && shown++ == qshape.show_top)
			break;
		print_row(list[i], &layout);
	}
	free(list);
	free(layout.heads);
	free(layout.widths);
	fflush(stdout);
}

void qshape_release(void)
{
	map_release(&rows, free);
}

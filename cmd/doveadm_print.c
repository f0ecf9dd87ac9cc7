// SPDX-License-Identifier: BSD-2-Clause
/* All cells are kept until the end: a table's widths come from all of them. */
#include "cmd/doveadm_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/json.h"

#define SCREEN_WIDTH 80
#define COLUMNS_MAX  16

static struct {
	const char *chosen, *format;
	const struct doveadm_column *columns;
	size_t column_count;
	char **cells;
	size_t count, alloc;
} out;

static size_t rows(void)
{
	return out.count / out.column_count;
}

static const char *cell(size_t row, size_t column)
{
	return out.cells[row * out.column_count + column];
}

static void print_flow(void)
{
	for (size_t i = 0; i < rows(); i++)
		for (size_t c = 0; c < out.column_count; c++)
			printf("%s=%s%c", out.columns[c].title, cell(i, c),
			    c + 1 < out.column_count ? ' ' : '\n');
}

static void print_tab(void)
{
	for (size_t c = 0; c < out.column_count; c++)
		printf("%s%c", out.columns[c].title, c + 1 < out.column_count ? '\t' : '\n');
	for (size_t i = 0; i < rows(); i++)
		for (size_t c = 0; c < out.column_count; c++)
			printf("%s%c", cell(i, c), c + 1 < out.column_count ? '\t' : '\n');
}

static void print_pager(void)
{
	for (size_t i = 0; i < rows(); i++) {
		if (i)
			puts("\f");
		for (size_t c = 0; c < out.column_count; c++)
			printf("%s: %s\n", out.columns[c].title, cell(i, c));
	}
}

static void print_json(void)
{
	struct strbuf text = STRBUF_INIT(STRBUF_NO_LIMIT);

	strbuf_addch(&text, '[');
	for (size_t i = 0; i < rows(); i++) {
		strbuf_addstr(&text, i ? ",{" : "{");
		for (size_t c = 0; c < out.column_count; c++) {
			if (c)
				strbuf_addch(&text, ',');
			json_add_text(&text, slice_of(out.columns[c].key));
			strbuf_addch(&text, ':');
			json_add_text(&text, slice_of(cell(i, c)));
		}
		strbuf_addch(&text, '}');
	}
	strbuf_addch(&text, ']');
	fputs(text.ptr, stdout);
	strbuf_release(&text);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Columns that expand share half of what the screen has left, as the peer's do. */
static void measure(size_t widths[COLUMNS_MAX])
{
	size_t total = out.column_count - 1, expanding = 0;

	for (size_t c = 0; c < out.column_count; c++) {
		widths[c] = strlen(out.columns[c].title);
		for (size_t i = 0; i < rows(); i++)
			widths[c] = larger(widths[c], strlen(cell(i, c)));
		total += widths[c];
		expanding += out.columns[c].expands;
	}
	for (size_t c = 0; total < SCREEN_WIDTH && c < out.column_count; c++)
		if (out.columns[c].expands)
			widths[c] += (SCREEN_WIDTH - total) / (expanding + 1);
}

static void print_cell(size_t column, const char *text, size_t width)
{
	printf(out.columns[column].is_right ? "%*s" : "%-*s", (int)width, text);
	putchar(column + 1 < out.column_count ? ' ' : '\n');
}

static void print_table(void)
{
	size_t widths[COLUMNS_MAX];

	measure(widths);
	for (size_t c = 0; c < out.column_count; c++)
		print_cell(c, out.columns[c].title, widths[c]);
	for (size_t i = 0; i < rows(); i++)
		for (size_t c = 0; c < out.column_count; c++)
			print_cell(c, cell(i, c), widths[c]);
}

static const struct {
	const char *name;
	void (*print)(void);
} formats[] = {
	{ "flow", print_flow },
	{ "json", print_json },
	{ "pager", print_pager },
	{ "tab", print_tab },
	{ "table", print_table },
};

bool doveadm_print_format(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (!strcmp(formats[i].name, name)) {
			out.chosen = formats[i].name;
			return true;
		}
	return false;
}

bool doveadm_print_is_chosen(void)
{
	return out.chosen != NULL;
}

void doveadm_print_begin(const char *format, const struct doveadm_column *columns, size_t count)
{
	ASSERT(count > 0 && count <= COLUMNS_MAX);
	out.format = out.chosen ? out.chosen : format;
	out.columns = columns;
	out.column_count = count;
	out.count = 0;
}

void doveadm_print(const char *text)
{
	if (out.count == out.alloc) {
		out.alloc = out.alloc ? 2 * out.alloc : 64;
		out.cells = xreallocarray(out.cells, out.alloc, sizeof(*out.cells));
	}
	out.cells[out.count++] = xstrdup(text);
}

void doveadm_print_number(long long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", number);
	doveadm_print(text);
}

void doveadm_print_end(void)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (!strcmp(formats[i].name, out.format))
			formats[i].print();
	for (size_t i = 0; i < out.count; i++)
		free(out.cells[i]);
	free(out.cells);
	out.cells = NULL;
	out.count = out.alloc = 0;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Entries of master.cf as they are written, for showing and editing them.  struct postfix_service
 * is what an entry means; this is what it says, with all that a program would refuse in its
 * arguments.
 */
#ifndef PC_CONF_POSTFIX_ENTRY_H
#define PC_CONF_POSTFIX_ENTRY_H

#include "base/strbuf.h"
#include "conf/postfix_conf.h"

/* An entry has no more words than these. */
#define POSTFIX_ENTRY_WORDS 1000

struct postfix_entry {
	char *columns[POSTFIX_COLUMNS];
	/*
	 * The program and its arguments without the braces around them; "-o" is a word of its own,
	 * and what stands behind it has no blanks around its equals sign.
	 */
	char **words;
	size_t count;
	size_t option_count; /* the program and the options right behind it */
};

/* The names of the columns, and "command" as the last one. */
extern const char *const postfix_entry_columns[POSTFIX_COLUMNS + 1];

/*
 * Takes LINE, a logical line, apart.  False, with PROBLEM, for one that is no entry: too few
 * columns, or a value that a column does not have.  What is wrong in an argument is no reason;
 * WARN, when there is one, gets it.
 */
bool postfix_entry_parse(struct postfix_entry *entry, struct slice line, struct strbuf *problem,
    void (*warn)(const char *text));
void postfix_entry_release(struct postfix_entry *entry);

/* TEXT, written as it is, would be one word that ends where TEXT ends. */
bool postfix_entry_is_word(const char *text);
/* The word is the value of an option -o. */
bool postfix_entry_is_override(const struct postfix_entry *entry, size_t word);
/* NAME's value among the options -o; the last one counts; NULL when there is none. */
const char *postfix_entry_find(const struct postfix_entry *entry, struct slice name);
/* Replaces each -o NAME=..., or adds one behind the other options. */
void postfix_entry_set(struct postfix_entry *entry, const char *name, const char *value);
void postfix_entry_unset(struct postfix_entry *entry, const char *name);
/* False when TEXT has no program. */
bool postfix_entry_set_command(struct postfix_entry *entry, const char *text);

/* How an entry is laid out: columns under the heading that master.cf has, options a line each. */
void postfix_entry_print(const struct postfix_entry *entry, bool fold, struct strbuf *out);
/* The command alone, behind COLUMN characters of the line. */
void postfix_entry_print_command(
    const struct postfix_entry *entry, bool fold, size_t column, struct strbuf *out);
/* Words with single blanks between them, broken before they pass the width of a terminal. */
void postfix_entry_print_words(struct slice text, bool fold, size_t column, struct strbuf *out);

#endif

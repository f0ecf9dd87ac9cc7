// SPDX-License-Identifier: BSD-2-Clause
/* What dovecot_read.c and dovecot_assign.c share. */
#ifndef PC_CONF_DOVECOT_READ_INTERNAL_H
#define PC_CONF_DOVECOT_READ_INTERNAL_H

#include "conf/dovecot_tree.h"

struct reader {
	struct dovecot_source *source;
	struct conf_errors *errors;
	struct dovecot_block *block; /* the innermost open one */
	const char *file;
	unsigned line;
	unsigned files_read;
	unsigned include_depth;
	bool is_builtin;
	bool no_files;	    /* includes and "<file" are not followed: for tests */
	bool is_translated; /* the assignment stands for an obsolete one */
	bool is_lazy;	    /* for showing: values of other settings and files are not needed */
	bool has_version;   /* a file of Dovecot 2.4: further findings would all be the same one */
};

/* A finding at the line that is being read. */
void reader_report(struct reader *r, enum conf_severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool reader_is_quoted(struct slice value);
/* Takes the quotes off a value that is quoted as a whole. */
void reader_unquote(struct slice value, struct strbuf *out);
/* PATH relative to the directory of the file that is being read. */
void reader_resolve_path(const struct reader *r, struct slice path, struct strbuf *out);
/* A copy that lives as long as the source. */
const char *reader_keep(struct reader *r, const struct strbuf *text);
/* "NAME = VALUE" in the innermost open block; NAME may be a path of blocks. */
void reader_assign(struct reader *r, const char *name, struct slice value);
/* Replaces what built-in values below BLOCK refer to. */
void reader_expand_builtin(struct reader *r, struct dovecot_block *block);

#endif

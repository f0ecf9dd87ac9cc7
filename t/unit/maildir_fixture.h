// SPDX-License-Identifier: BSD-2-Clause
/* Maildirs in a directory of the test's own; names are relative to it.  Failures end the test. */
#ifndef PC_MAILDIR_FIXTURE_H
#define PC_MAILDIR_FIXTURE_H

#include "store/store.h"

extern char maildir_top[64];
int maildir_fixture_setup(void **state);
int maildir_fixture_teardown(void **state);

void path_of(char out[256], const char *rest);
void put_file(const char *rest, const char *text);
void want_file(const char *rest, const char *text);
void make_maildir(const char *name);
/* How many there are, and the name of one. */
size_t count_files(const char *rest, char name[256]);
struct store_box *open_box(const char *name, unsigned flags, struct reason *why);
/* The piece "broken" is an error of the source. */
bool deliver(const char *path, const char *const *pieces, uint64_t limit, struct reason *why);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_files.h - the inodes of the watched directories.
 *
 * Every inode that was ever seen there has a struct file for the rest of the recording and is
 * held open (O_PATH), so that its number is never used again: (dev, ino) names it for good, through
 * renames, hard links, passed descriptors and O_TMPFILE.
 */
#ifndef REC_FILES_H
#define REC_FILES_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

struct file {
	struct file *next; /* in its hash chain */
	dev_t dev;
	ino_t ino;
	unsigned id; /* in the trace, from 1 */
	int pin;     /* O_PATH descriptor */
	mode_t type;
	bool unsafe; /* said so in the trace */
};

/* Lets the recorder alone (not the command) hold as many descriptors as the system allows. */
void files_raise_limit(void);

/* Writes the directory @path and all below into the trace. */
void files_watch(const char *path);

struct file *files_find(const struct stat *st);

/* The inode of an open descriptor or name, NULL if it is not watched. @st is filled if found. */
struct file *files_stat(const char *path, struct stat *st);

/* A new inode, which @name in @dirfd leads to. Writes nothing into the trace. */
struct file *files_add(int dirfd, const char *name, bool follow);

/* What @name in @dir leads to (no symlink is followed), adopted if unknown; NULL if nothing. */
struct file *files_child(struct file *dir, const char *name);

/* The watched directory that @path lies in, NULL if none; names that are unknown are adopted. */
struct file *files_by_path(const char *path);

/* Whether every watched directory is on that file system. */
bool files_all_on(dev_t dev);

/* A descriptor to read the contents with. */
int files_open(const struct file *f);

/* One letter for the trace. */
const char *files_type(mode_t mode);

#endif

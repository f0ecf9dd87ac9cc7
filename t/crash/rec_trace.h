// SPDX-License-Identifier: BSD-2-Clause
/*
 * rec_trace.h - the trace file of the power-cut recorder.
 *
 * A trace is a sequence of records. A record is one line, "verb key=value ...\n"; bytes outside
 * of printable ASCII, blanks, '%' and '=' in a value are written %XX. A record that has len=N
 *(always its last key) is followed by N raw bytes and a newline. The first line is "postcote-trace
 *1".
 *
 * Before "start" (the disk when the recording began, all of it taken as synced) and whenever
 * a name is met that no recorded process made ("adopted": taken as synced too):
 *	watch id= path=			a watched directory
 *	node id= type= mode= uid= gid= mtime= [target=] [len=]	an inode; type f d l p s c
 *	entry dir= name= id=		a name
 * After "start" every record has n= (its number, from 1), t= (seconds), who=NAME[TID], call=:
 *	create dir= name= id= type= mode= uid= gid= [target=]
 *	tmpfile id= mode= uid= gid=	an inode without a name
 *	link dir= name= id=
 *	unlink dir= name= id=
 *	rename odir= oname= ndir= nname= id= [victim=] [xchg=1]
 *	write id= off= sync=0|1 len=	sync=1: O_DSYNC and the like, durable at once
 *	trunc id= size=
 *	meta id= mode= uid= gid= mtime=
 *	begin s= id= what=file|data|all	a sync enters the kernel; id=0 for sync and syncfs
 *	end s= ok=0|1			and has returned
 *	unsafe id= what=		the file changes in ways that are not recorded
 *	mark id= text=			about to be said to a peer
 *	exit status=			everybody is gone; a trace without it is incomplete
 */
#ifndef REC_TRACE_H
#define REC_TRACE_H

#include <stddef.h>
#include <sys/stat.h>

void trace_open(const char *path);

/* Ends the trace: "exit", flushed to the file. */
void trace_close(int status);

/* For a trace that will not be ended. */
void trace_flush(void);

/* Opens a record without number, and one that gets the next number; @who and @call say who did it.
 */
void trace_plain(const char *verb);
void trace_op(const char *verb, const char *who, const char *call);

void trace_num(const char *key, long long value);
void trace_str(const char *key, const char *value);
void trace_stat(const struct stat *st);

/* Each of these ends the record. */
void trace_end(void);
void trace_data(const void *data, size_t len);

/* Says why on stderr and exits with status 125; the kernel kills the tracees. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif

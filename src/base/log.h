/*
 * base/log.h - lines for the person who runs the mount: to standard error or to the system's log.
 * Any thread; a line is written whole. Owned by app, lent to engine and fs; rooms below engine do
 * not log.
 */
#ifndef IMAPFS_BASE_LOG_H
#define IMAPFS_BASE_LOG_H

#include <stdbool.h>

#include "base/cleanup.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log;

/* Lines above `most` are dropped. With `to_syslog` they go to syslog(3) as facility mail, else to
 * standard error. */
struct log *log_create(enum log_level most, bool to_syslog) MUST_USE;
void log_destroy(struct log **log);
/* From now on write to syslog (the program leaves the terminal). */
void log_use_syslog(struct log *log);
/* One line without its end; what the format brings in is made printable, and more than 1,100 bytes
 * are cut. A NULL log drops it. */
void log_line(struct log *log, enum log_level level, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/alloc.h"
#include "base/lock.h"
#include "base/text.h"

enum { LINE_SIZE = 1200, DRAFT_SIZE = 3 * LINE_SIZE };

struct log {
    /* const after create */
    enum log_level most;
    struct lock lock;

    /* guarded by lock */
    bool to_syslog;
};

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error: ";
    case LOG_LEVEL_WARNING:
        return "warning: ";
    case LOG_LEVEL_INFO:
        return "";
    case LOG_LEVEL_DEBUG:
        return "debug: ";
    }
    return "";
}

static int level_priority(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return LOG_MAIL | LOG_ERR;
    case LOG_LEVEL_WARNING:
        return LOG_MAIL | LOG_WARNING;
    case LOG_LEVEL_INFO:
        return LOG_MAIL | LOG_INFO;
    case LOG_LEVEL_DEBUG:
        return LOG_MAIL | LOG_DEBUG;
    }
    return LOG_MAIL | LOG_ERR;
}

struct log *log_create(enum log_level most, bool to_syslog)
{
    struct log *log = alloc_zeroed(1, sizeof *log);
    lock_init(&log->lock, RANK_LOG, "log");
    log->most = most;
    if (to_syslog) {
        log_use_syslog(log);
    }
    return log;
}

void log_destroy(struct log **log)
{
    if (*log != NULL) {
        lock_finish(&(*log)->lock);
        free(*log);
        *log = NULL;
    }
}

void log_use_syslog(struct log *log)
{
    lock_take(&log->lock);
    if (!log->to_syslog) {
        openlog("imapfs", LOG_PID, LOG_MAIL);
        log->to_syslog = true;
    }
    lock_release(&log->lock);
}

void log_line(struct log *log, enum log_level level, const char *fmt, ...)
{
    if (log == NULL || level > log->most) {
        return;
    }
    char draft[DRAFT_SIZE];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(draft, sizeof draft, fmt, args);
    va_end(args);
    char line[LINE_SIZE];
    (void)text_clean(
        line, sizeof line, draft, len < 0 ? 0 : strlen(draft)); /* the rest is left out */

    lock_take(&log->lock);
    bool to_syslog = log->to_syslog;
    lock_release(&log->lock);
    if (to_syslog) {
        syslog(level_priority(level), "%s%s", level_name(level), line);
        return;
    }
    /* one write, so that lines of two threads or programs never mix; the lock is not held, for a
     * pipe may be full */
    char whole[LINE_SIZE + 32];
    int whole_len = snprintf(whole, sizeof whole, "imapfs: %s%s\n", level_name(level), line);
    ssize_t done = write(STDERR_FILENO, whole, (size_t)whole_len);
    (void)done; /* there is nobody left to tell */
}

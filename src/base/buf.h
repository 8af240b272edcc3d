/*
 * base/buf.h - a byte buffer that grows.
 * One owner, no locks. Exhausted memory ends the process; use a limit where a stranger decides the
 * size.
 */
#ifndef IMAPFS_BASE_BUF_H
#define IMAPFS_BASE_BUF_H

#include <stddef.h>

#include "base/cleanup.h"

struct buf {
    char *data; /* len bytes, followed by a NUL that is not counted; NULL until the first append */
    size_t len;
    size_t capacity;
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        NULL, 0, 0                                                                                 \
    }

/* Appends `len` bytes, which must not lie inside the buffer itself. `data` may be NULL when `len`
 * is 0. */
void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Forgets what is beyond the first `len` bytes; keeps all if there are not so many. */
void buf_cut(struct buf *buf, size_t len);
/* Empties the buffer but keeps its memory. */
void buf_reset(struct buf *buf);
/* Frees the memory and leaves an empty buffer. */
void buf_finish(struct buf *buf);
/* The buffer's text, the caller frees it; the buffer is empty afterwards. Never NULL. */
char *buf_steal(struct buf *buf) MUST_USE;

/* The content as a text, "" if nothing was ever appended; valid until the buffer changes. */
static inline const char *buf_text(const struct buf *buf)
{
    return buf->data == NULL ? "" : buf->data;
}

static inline void cleanup_buf(struct buf *buf)
{
    buf_finish(buf);
}

#endif

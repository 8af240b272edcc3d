/*
 * base/buf.h - a byte buffer that grows.
 * One owner, no locks. Small allocations abort on exhaustion; use a limit where a stranger decides the size.
 */
#ifndef IMAPFS_BASE_BUF_H
#define IMAPFS_BASE_BUF_H

#include <stddef.h>

#include "base/cleanup.h"

struct buf {
    char *data; /* len bytes, followed by a NUL that is not counted; NULL while empty and never filled */
    size_t len;
    size_t capacity;
};

#define BUF_INIT {NULL, 0, 0}

void buf_append(struct buf *buf, const void *data, size_t len);
void buf_append_text(struct buf *buf, const char *text);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Empties the buffer but keeps its memory. */
void buf_reset(struct buf *buf);
/* Frees the memory and leaves an empty buffer. */
void buf_finish(struct buf *buf);
/* The buffer's text, the caller frees it; the buffer is empty afterwards. Never NULL. */
char *buf_steal(struct buf *buf) MUST_USE;

static inline void cleanup_buf(struct buf *buf)
{
    buf_finish(buf);
}

#endif

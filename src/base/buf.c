#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { CAPACITY_MIN = 64 };

/* Makes room for `more` bytes and the NUL behind them. */
static void reserve(struct buf *buf, size_t more)
{
    if (more >= SIZE_MAX / 2 - buf->len) {
        abort(); /* no memory can hold it */
    }
    size_t needed = buf->len + more + 1;
    if (needed <= buf->capacity) {
        return;
    }
    size_t capacity = buf->capacity < CAPACITY_MIN ? CAPACITY_MIN : buf->capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    buf->data = alloc_resize(buf->data, capacity, 1);
    buf->capacity = capacity;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    reserve(buf, len);
    if (len > 0) {
        memcpy(buf->data + buf->len, data, len);
    }
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0) {
        abort(); /* only a wrong format or a text over 2 GiB: our own mistake */
    }
    reserve(buf, (size_t)len);
    va_start(args, fmt);
    (void)vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, args); /* the length is known */
    va_end(args);
    buf->len += (size_t)len;
}

void buf_cut(struct buf *buf, size_t len)
{
    if (len < buf->len) {
        buf->len = len;
        buf->data[len] = '\0';
    }
}

void buf_reset(struct buf *buf)
{
    buf_cut(buf, 0);
}

void buf_finish(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf)BUF_INIT;
}

char *buf_steal(struct buf *buf)
{
    reserve(buf, 0);
    buf->data[buf->len] = '\0';
    char *text = buf->data;
    *buf = (struct buf)BUF_INIT;
    return text;
}

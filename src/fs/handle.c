#include "fs/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

struct handle {
    /* const after create */
    int fd; /* -1: a text */
    char *text;
    size_t text_len;

    /* guarded by the mount's lock */
    struct handle *next;
    struct handle *prev;
};

static void add(struct fs *fs, struct handle *handle)
{
    lock_take(&fs->lock);
    handle->next = fs->handles;
    if (fs->handles != NULL) {
        fs->handles->prev = handle;
    }
    fs->handles = handle;
    lock_release(&fs->lock);
}

static void remove_locked(struct fs *fs, struct handle *handle) REQUIRES(fs->lock)
{
    lock_assert_held(&fs->lock);
    if (handle->prev != NULL) {
        handle->prev->next = handle->next;
    } else {
        fs->handles = handle->next;
    }
    if (handle->next != NULL) {
        handle->next->prev = handle->prev;
    }
}

struct handle *handle_of_body(struct fs *fs, int fd)
{
    struct handle *handle = alloc_zeroed(1, sizeof *handle);
    handle->fd = fd;
    add(fs, handle);
    return handle;
}

struct handle *handle_of_text(struct fs *fs, char *text)
{
    struct handle *handle = alloc_zeroed(1, sizeof *handle);
    handle->fd = -1;
    handle->text = text;
    handle->text_len = strlen(text);
    add(fs, handle);
    return handle;
}

ssize_t handle_read(const struct handle *handle, void *dst, size_t size, off_t off)
{
    if (off < 0) {
        return -EINVAL;
    }
    if (handle->fd < 0) {
        if ((uint64_t)off >= handle->text_len) {
            return 0;
        }
        size_t left = handle->text_len - (size_t)off;
        size_t len = size < left ? size : left;
        memcpy(dst, handle->text + off, len);
        return (ssize_t)len;
    }
    size_t len = 0;
    while (len < size) { /* a short answer would be taken for the end of the file */
        ssize_t n = pread(handle->fd, (char *)dst + len, size - len, off + (off_t)len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static void destroy(struct handle *handle)
{
    if (handle->fd >= 0) {
        (void)close(handle->fd); /* only read from: nothing is lost */
    }
    free(handle->text);
    free(handle);
}

void handle_close(struct fs *fs, struct handle *handle)
{
    lock_take(&fs->lock);
    remove_locked(fs, handle);
    lock_release(&fs->lock);
    destroy(handle);
}

void handle_close_all(struct fs *fs)
{
    for (;;) {
        lock_take(&fs->lock);
        struct handle *handle = fs->handles;
        if (handle != NULL) {
            remove_locked(fs, handle);
        }
        lock_release(&fs->lock);
        if (handle == NULL) {
            return;
        }
        destroy(handle);
    }
}

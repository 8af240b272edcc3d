/*
 * fs/handle.h - what an open file reads from: a body's descriptor, or a text made at the open.
 *
 * A handle belongs to the kernel from a successful reply to open until RELEASE; those left when the
 * mount ends are closed by handle_close_all. Any thread; reading waits for this disk only.
 */
#ifndef IMAPFS_FS_HANDLE_H
#define IMAPFS_FS_HANDLE_H

#include <stddef.h>
#include <sys/types.h>

#include "fs/fs_inside.h"

/* Takes the descriptor. */
struct handle *handle_of_body(struct fs *fs, int fd) MUST_USE;
/* Takes the malloc'ed text. */
struct handle *handle_of_text(struct fs *fs, char *text) MUST_USE;
/* At most `size` bytes from `off`: their number, 0 at the end, or -errno of the disk. */
ssize_t handle_read(const struct handle *handle, void *dst, size_t size, off_t off) MUST_USE;
void handle_close(struct fs *fs, struct handle *handle);
void handle_close_all(struct fs *fs);

static inline uint64_t handle_number(const struct handle *handle)
{
    return (uint64_t)(uintptr_t)handle;
}

static inline struct handle *handle_from(const struct fuse_file_info *fi)
{
    return (
        struct handle *)(uintptr_t)fi->fh; /* NOLINT(performance-no-int-to-ptr): our own number */
}

#endif

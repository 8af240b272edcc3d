/*
 * store/dirs.h - directories that are ours alone, locks that last as long as a descriptor, and
 * small files that are replaced whole. Any thread; waits for this disk.
 */
#ifndef IMAPFS_STORE_DIRS_H
#define IMAPFS_STORE_DIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Opens a directory, making it and missing parents (0700). EACCES: it is a symbolic link, belongs
 * to another user, or others may enter it. */
int dir_open_private(const char *path, int *ret_fd, struct err *why) MUST_USE;
/* Opens a directory of ours below another of ours, making it when missing. */
int dir_open_below(int parent_fd, const char *name, int *ret_fd, struct err *why) MUST_USE;
/* Holds `name` in that directory locked until the descriptor is closed; our pid is in it. EBUSY
 * names the pid of the holder. `path` is for the sentence. */
int dir_lock(int dir_fd, const char *name, const char *path, int *ret_fd, struct err *why) MUST_USE;

/* Replaces a small file whole and waits until that is on the disk. */
int note_write(int dir_fd, const char *name, const char *text, struct err *why) MUST_USE;
/* Its text; false when there is none. */
bool note_read(int dir_fd, const char *name, char *ret, size_t size);
/* Removes it, and waits until that is on the disk. */
int note_remove(int dir_fd, const char *name, struct err *why) MUST_USE;

/* A failed call on this disk as LOCAL: errnum is kept where it tells a program something (ENOSPC,
 * EDQUOT, EFBIG, EROFS, EACCES, EMFILE, ENFILE, ENOMEM), else EIO. */
int disk_failed(int errnum, const char *doing, struct err *why);

#endif

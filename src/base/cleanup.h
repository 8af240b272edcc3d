/*
 * base/cleanup.h - attributes of the compilers behind names, and locals that clean up after
 * themselves. Anybody may use it; nothing here waits or owns anything.
 */
#ifndef IMAPFS_BASE_CLEANUP_H
#define IMAPFS_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define MUST_USE __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))
/* CLEANUP(fd_close) int fd = -1; runs cleanup_fd_close(&fd) when the scope ends. */
#define CLEANUP(what) __attribute__((cleanup(cleanup_##what)))

static inline void cleanup_fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* a reader's descriptor: nothing is lost */
    }
}

static inline void cleanup_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

static inline void cleanup_file_close(FILE **file)
{
    if (*file != NULL) {
        (void)fclose(*file);
    }
}

/* Takes the descriptor out of a CLEANUP variable: the caller owns it now. */
static inline int steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif

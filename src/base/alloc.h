/*
 * base/alloc.h - small allocations that end the process when memory is exhausted.
 * Any thread. Not for sizes that a stranger decides, nor for what grows with a mailbox: those ask
 * malloc and return -ENOMEM.
 */
#ifndef IMAPFS_BASE_ALLOC_H
#define IMAPFS_BASE_ALLOC_H

#include <stddef.h>

#include "base/cleanup.h"

/* `count` zeroed elements of `size` bytes; the caller frees them. Never NULL. */
void *alloc_zeroed(size_t count, size_t size) MUST_USE;
/* realloc() to `count` elements of `size` bytes, `count` > 0. Never NULL. */
void *alloc_resize(void *old, size_t count, size_t size) MUST_USE;
/* A copy of the text; NULL gives NULL. */
char *alloc_text(const char *text) MUST_USE;

#endif

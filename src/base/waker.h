/*
 * base/waker.h - a descriptor that another thread makes readable: how a wait in poll(2) is ended early.
 * waker_wake may be called by any thread at any time; the rest by the owner.
 */
#ifndef IMAPFS_BASE_WAKER_H
#define IMAPFS_BASE_WAKER_H

#include <stdbool.h>

#include "base/cleanup.h"

struct waker {
    int fd; /* an eventfd, readable from waker_wake until waker_clear */
};

int waker_init(struct waker *waker) MUST_USE; /* 0 or -errno (EMFILE, ENFILE) */
void waker_finish(struct waker *waker);
void waker_wake(struct waker *waker);
void waker_clear(struct waker *waker);
bool waker_is_set(const struct waker *waker);

#endif

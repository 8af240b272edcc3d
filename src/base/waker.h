/*
 * base/waker.h - a descriptor that another thread makes readable: how a wait in poll(2) is ended
 * early. waker_wake may be called by any thread at any time; the rest by the owner.
 */
#ifndef IMAPFS_BASE_WAKER_H
#define IMAPFS_BASE_WAKER_H

#include <stdbool.h>

#include "base/cleanup.h"

struct waker {
    int fd; /* an eventfd, readable from waker_wake until waker_clear */
};

/* 0 or -errno (EMFILE, ENFILE): then the descriptor is -1 and waker_finish has nothing to do. */
int waker_init(struct waker *waker) MUST_USE;
void waker_finish(struct waker *waker);
/* Never waits, however often it is called. */
void waker_wake(struct waker *waker);
void waker_clear(struct waker *waker);
bool waker_is_set(const struct waker *waker);

#endif

#include "base/waker.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>

int waker_init(struct waker *waker)
{
    waker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return waker->fd < 0 ? -errno : 0;
}

void waker_finish(struct waker *waker)
{
    if (waker->fd >= 0) {
        (void)close(waker->fd); /* nothing is buffered */
        waker->fd = -1;
    }
}

void waker_wake(struct waker *waker)
{
    uint64_t one = 1;
    ssize_t done = write(waker->fd, &one, sizeof one);
    (void)done; /* only a full counter refuses, and that one is readable already */
}

void waker_clear(struct waker *waker)
{
    uint64_t count = 0;
    ssize_t done = read(waker->fd, &count, sizeof count);
    (void)done; /* only an empty counter refuses: nothing to clear */
}

bool waker_is_set(const struct waker *waker)
{
    struct pollfd ask = {.fd = waker->fd, .events = POLLIN, .revents = 0};
    return poll(&ask, 1, 0) == 1 && (ask.revents & POLLIN) != 0;
}

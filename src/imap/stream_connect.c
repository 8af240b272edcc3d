#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "imap/stream_inside.h"

#define ADDRESSES_MAX 16
#define STAGGER_MS 250 /* RFC 8305 5, "Connection Attempt Delay" */
#define NOT_LEFT (-1)

/* All addresses of a host being tried, each a while after the one before it. */
struct race {
    const struct addrinfo *addresses[ADDRESSES_MAX]; /* in the order of trying */
    int fds[ADDRESSES_MAX];                          /* -1: not on the way */
    size_t count;
    size_t started;
    size_t on_the_way;
    int64_t next_start_ms;
    int last_errno;
};

/* RFC 8305 4: the resolver's order, but families in turn, so that one broken family costs one
 * stagger only. */
static void line_up(struct race *race, const struct addrinfo *first)
{
    const struct addrinfo *same = first;
    const struct addrinfo *other = first;
    bool want_same = true;
    while (race->count < ADDRESSES_MAX && (same != NULL || other != NULL)) {
        while (same != NULL && same->ai_family != first->ai_family) {
            same = same->ai_next;
        }
        while (other != NULL && other->ai_family == first->ai_family) {
            other = other->ai_next;
        }
        const struct addrinfo **from =
            (want_same || other == NULL) && same != NULL ? &same : &other;
        if (*from != NULL) {
            race->fds[race->count] = -1;
            race->addresses[race->count++] = *from;
            *from = (*from)->ai_next;
        }
        want_same = !want_same;
    }
}

static void drop(struct race *race, size_t i, int reason)
{
    (void)close(race->fds[i]); /* nothing was sent */
    race->fds[i] = -1;
    race->on_the_way--;
    race->last_errno = reason;
}

/* Index of the attempt, if it is connected at once; NOT_LEFT otherwise. */
static int start_next(struct race *race)
{
    size_t i = race->started++;
    race->next_start_ms = deadline_in(STAGGER_MS);
    const struct addrinfo *address = race->addresses[i];
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) {
        race->last_errno = errno;
        return NOT_LEFT;
    }
    race->fds[i] = fd;
    race->on_the_way++;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
        return (int)i;
    }
    if (errno != EINPROGRESS && errno != EINTR) {
        drop(race, i, errno);
    }
    return NOT_LEFT;
}

/* Starts what is due: always one while none is on the way. */
static int start_due(struct race *race)
{
    while (race->started < race->count &&
           (race->on_the_way == 0 || clock_now_ms() >= race->next_start_ms)) {
        int winner = start_next(race);
        if (winner != NOT_LEFT) {
            return winner;
        }
    }
    return NOT_LEFT;
}

/* The first that got through; those that failed are dropped. */
static int look_for_winner(struct race *race, const struct pollfd *waits)
{
    for (size_t i = 0; i < race->started; i++) {
        if (race->fds[i] < 0 || waits[i].revents == 0) {
            continue;
        }
        int failure = 0;
        socklen_t len = sizeof failure;
        if (getsockopt(race->fds[i], SOL_SOCKET, SO_ERROR, &failure, &len) != 0) {
            failure = errno;
        }
        if (failure == 0) {
            return (int)i;
        }
        drop(race, i, failure);
    }
    return NOT_LEFT;
}

static int wait_for_any(
    const struct race *race, struct pollfd *waits, const struct waker *cancel, int64_t deadline_ms)
{
    for (size_t i = 0; i < race->started; i++) {
        waits[i] = (struct pollfd){.fd = race->fds[i], .events = POLLOUT, .revents = 0};
    }
    waits[race->started] =
        (struct pollfd){.fd = cancel != NULL ? cancel->fd : -1, .events = POLLIN, .revents = 0};
    int64_t until_ms = deadline_ms;
    if (race->started < race->count && race->next_start_ms < until_ms) {
        until_ms = race->next_start_ms;
    }
    lock_assert_none_held();
    return poll(waits, race->started + 1, deadline_poll_ms(until_ms));
}

static int cannot_connect(const struct stream_options *options, int reason, struct err *why)
{
    bool ours = reason == EMFILE || reason == ENFILE || reason == ENOMEM || reason == ENOBUFS;
    return err_set(why, ours ? ERR_LOCAL : ERR_RETRY, ours ? reason : EHOSTDOWN,
        "cannot connect to %s port %s: %s", options->host, options->port, strerrordesc_np(reason));
}

/* Index of the winner, or -errno. */
static int run_race(
    struct race *race, const struct stream_options *options, int64_t deadline_ms, struct err *why)
{
    struct pollfd waits[ADDRESSES_MAX + 1];
    for (;;) {
        int winner = start_due(race);
        if (winner != NOT_LEFT) {
            return winner;
        }
        if (race->on_the_way == 0) {
            return cannot_connect(options, race->last_errno, why);
        }
        int n = wait_for_any(race, waits, options->cancel, deadline_ms);
        if (n > 0 && waits[race->started].revents != 0) {
            return stream_check_cancel(options->cancel, why);
        }
        winner = n > 0 ? look_for_winner(race, waits) : NOT_LEFT;
        if (winner != NOT_LEFT) {
            return winner;
        }
        if (deadline_poll_ms(deadline_ms) == 0) {
            return cannot_connect(options, ETIMEDOUT, why);
        }
    }
}

static int set_number(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

/* A dead path is noticed within about a minute idle and 20 s while data is on the way; without
 * these the connection would work all the same, so a refusal is no failure. */
static void set_options(int fd)
{
    (void)set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    (void)set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    (void)set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    (void)set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
    (void)set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 20000);
    (void)set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int stream_connect(const struct stream_options *options, const struct addrinfo *addresses,
    int64_t deadline_ms, struct err *why)
{
    struct race race = {.count = 0, .last_errno = EADDRNOTAVAIL};
    line_up(&race, addresses);
    int winner = run_race(&race, options, deadline_ms, why);
    int fd = winner;
    if (winner >= 0) {
        fd = steal_fd(&race.fds[winner]);
        set_options(fd);
    }
    for (size_t i = 0; i < race.started; i++) {
        if (race.fds[i] >= 0) {
            (void)close(race.fds[i]); /* nothing was sent */
        }
    }
    return fd;
}

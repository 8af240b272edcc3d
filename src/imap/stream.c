#include "imap/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "imap/stream_inside.h"

int stream_check_cancel(const struct waker *cancel, struct err *why)
{
    if (cancel != NULL && waker_is_set(cancel)) {
        return err_set(why, ERR_CANCELLED, EINTR, "the wait for the server was ended from here");
    }
    return 0;
}

int stream_wait(const struct stream *stream, short events, int64_t deadline_ms, struct err *why)
{
    struct pollfd waits[2] = {{.fd = stream->fd, .events = events, .revents = 0},
        {.fd = stream->cancel != NULL ? stream->cancel->fd : -1, .events = POLLIN, .revents = 0}};
    for (;;) {
        lock_assert_none_held();
        int n = poll(waits, 2, deadline_poll_ms(deadline_ms));
        if (n > 0 && waits[1].revents != 0) {
            return stream_check_cancel(stream->cancel, why);
        }
        if (n > 0) {
            return 0;
        }
        if (deadline_poll_ms(deadline_ms) == 0) {
            return err_set(why, ERR_RETRY, ETIMEDOUT, "%s did not answer in time", stream->host);
        }
    }
}

int stream_open(struct stream **ret, const struct stream_options *options, struct err *why)
{
    if (options->host == NULL || options->host[0] == '\0') {
        return err_set(why, ERR_LOCAL, EINVAL, "no host is given to connect to");
    }
    int r = stream_check_cancel(options->cancel, why);
    if (r < 0) {
        return r;
    }
    int64_t deadline_ms = deadline_in(options->connect_ms);
    struct addrinfo *addresses = NULL;
    r = stream_resolve(options, deadline_ms, &addresses, why);
    if (r < 0) {
        return r;
    }
    int fd = stream_connect(options, addresses, deadline_ms, why);
    freeaddrinfo(addresses);
    if (fd < 0) {
        return fd;
    }
    struct stream *stream = alloc_zeroed(1, sizeof *stream);
    stream->fd = fd;
    stream->host = alloc_text(options->host);
    stream->port = alloc_text(options->port);
    stream->tls_ms = options->tls_ms;
    stream->tls = options->tls;
    stream->cancel = options->cancel;
    *ret = stream;
    return 0;
}

void stream_destroy(struct stream **stream)
{
    if (*stream == NULL) {
        return;
    }
    stream_tls_close(*stream);
    (void)close((*stream)->fd); /* what was written is with the kernel */
    free((*stream)->host);
    free((*stream)->port);
    free(*stream);
    *stream = NULL;
}

bool stream_is_tls(const struct stream *stream)
{
    return stream->secure;
}

/* A handshake that failed leaves no way back to the clear. */
static int check_usable(const struct stream *stream, struct err *why)
{
    if (stream->ssl != NULL && !stream->secure) {
        return err_set(why, ERR_BUG, EIO,
            "the connection to %s was used without TLS after TLS failed", stream->host);
    }
    return stream_check_cancel(stream->cancel, why);
}

static int broke_off(struct stream *stream, int reason, struct err *why)
{
    stream->failed = true;
    return err_set(why, ERR_RETRY, EHOSTDOWN, "the connection to %s broke off: %s", stream->host,
        strerrordesc_np(reason));
}

static int64_t clear_read(
    struct stream *stream, void *data, size_t size, int64_t deadline_ms, struct err *why)
{
    for (;;) {
        ssize_t n = recv(stream->fd, data, size, 0);
        if (n > 0) {
            return n;
        }
        if (n == 0) {
            return err_set(why, ERR_RETRY, EHOSTDOWN, "%s closed the connection", stream->host);
        }
        if (errno != EAGAIN && errno != EINTR) {
            return broke_off(stream, errno, why);
        }
        int r = stream_wait(stream, POLLIN, deadline_ms, why);
        if (r < 0) {
            return r;
        }
    }
}

static int clear_write(
    struct stream *stream, const void *data, size_t len, int64_t deadline_ms, struct err *why)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = send(stream->fd, at, len, MSG_NOSIGNAL);
        if (n >= 0) {
            at += n;
            len -= (size_t)n;
            stream->bytes_out += (uint64_t)n;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return broke_off(stream, errno, why);
        }
        int r = stream_wait(stream, POLLOUT, deadline_ms, why);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int64_t stream_read(
    struct stream *stream, void *data, size_t size, int64_t deadline_ms, struct err *why)
{
    int r = check_usable(stream, why);
    if (r < 0) {
        return r;
    }
    int64_t n = stream->ssl != NULL ? stream_tls_read(stream, data, size, deadline_ms, why)
                                    : clear_read(stream, data, size, deadline_ms, why);
    if (n > 0) {
        stream->bytes_in += (uint64_t)n;
    }
    return n;
}

int stream_write(
    struct stream *stream, const void *data, size_t len, int64_t deadline_ms, struct err *why)
{
    int r = check_usable(stream, why);
    if (r < 0) {
        return r;
    }
    return stream->ssl != NULL ? stream_tls_write(stream, data, len, deadline_ms, why)
                               : clear_write(stream, data, len, deadline_ms, why);
}

bool stream_has_input(struct stream *stream)
{
    if (stream->ssl != NULL) {
        return stream_tls_has_input(stream);
    }
    char byte;
    ssize_t n = recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EAGAIN && errno != EINTR);
}

uint64_t stream_bytes_in(const struct stream *stream)
{
    return stream->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *stream)
{
    return stream->bytes_out;
}

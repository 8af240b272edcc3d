/*
 * imap/stream.h - bytes to and from the server: TCP and TLS, every wait with a deadline and a way
 * out.
 *
 * One thread at a time uses a stream; another thread may end its waits through the waker given to
 * stream_open. The room's only owner of sockets and OpenSSL. TLS is never optional: nothing but
 * STARTTLS's own exchange is sent or believed in the clear.
 */
#ifndef IMAPFS_IMAP_STREAM_H
#define IMAPFS_IMAP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/waker.h"

/* What all connections of an account share: the trust store, the pin, resumable TLS sessions. Any
 * thread. */
struct tls_context;

struct tls_options {
    const char *ca_file; /* PEM file of the only trusted roots; NULL for the system's */
    const char *pin;     /* "sha256//<base64>" of the server's public key (SPKI), besides the chain;
                            NULL for none */
};

/* LOCAL ENOENT/EINVAL: the file cannot be read or the pin is none. TLS >= 1.2, chain and name
 * always verified, no compression, no renegotiation, an end without close_notify is an error. */
int tls_context_create(
    struct tls_context **ret, const struct tls_options *options, struct err *why) MUST_USE;
void tls_context_destroy(struct tls_context **context);

struct stream_options {
    const char *host;        /* name or IP literal; what the certificate must name (never empty) */
    const char *port;        /* decimal or service name */
    int64_t connect_ms;      /* for resolving and connecting, all addresses together */
    int64_t tls_ms;          /* for the handshake */
    struct tls_context *tls; /* borrowed for the stream's life */
    struct waker *cancel;    /* borrowed, may be NULL: while it is set everything that could wait
                                returns CANCELLED EINTR */
};

struct stream;

/*
 * Resolves (in a thread that may be left behind when the resolver stalls), connects (addresses
 * raced, RFC 8305: families interleaved, 250 ms apart), sets keepalive and TCP_USER_TIMEOUT and
 * TCP_NODELAY. No TLS yet. RETRY EHOSTDOWN (unknown host, refused, unreachable, deadline) with one
 * sentence that names host and port; CANCELLED EINTR; LOCAL EINVAL (no host), EMFILE, EAGAIN.
 */
int stream_open(
    struct stream **ret, const struct stream_options *options, struct err *why) MUST_USE;

/* The TLS handshake on what is connected. Bytes that were received before it and not yet consumed
 * are an error (HOSTILE EPROTO). A certificate that does not verify is RETRY, because a captive
 * portal is "offline", with errno EKEYREJECTED so that a first mount can tell: the sentence says
 * expired, not yet valid, self-signed, unknown authority, another name, or pin, and what to do.
 * Anything else that goes wrong is RETRY EHOSTDOWN/ETIMEDOUT or CANCELLED EINTR. After a failure
 * the stream is good for stream_destroy only: reading and writing are refused. */
int stream_start_tls(struct stream *stream, struct err *why) MUST_USE;
bool stream_is_tls(const struct stream *stream);

/*
 * Reads at least 1 and at most `size` bytes into `data`: their number. 0 never; the end of the
 * stream is RETRY EHOSTDOWN. Waits until the deadline (RETRY ETIMEDOUT). Each call is one TLS
 * record at most.
 */
int64_t stream_read(
    struct stream *stream, void *data, size_t size, int64_t deadline_ms, struct err *why) MUST_USE;

/* Writes all of it, or fails as stream_read does. Reading goes on inside when TLS asks for it. */
int stream_write(struct stream *stream, const void *data, size_t len, int64_t deadline_ms,
    struct err *why) MUST_USE;

/* Whether bytes or an end are waiting, without waiting itself: a sign that an idle connection has
 * something to say. */
bool stream_has_input(struct stream *stream);

/* Bytes of application data moved so far. */
uint64_t stream_bytes_in(const struct stream *stream);
uint64_t stream_bytes_out(const struct stream *stream);

/* Says close_notify if that can be done at once, and closes. */
void stream_destroy(struct stream **stream);

#endif

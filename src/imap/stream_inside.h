/*
 * imap/stream_inside.h - what the stream's own files share. Only stream*.c includes this.
 */
#ifndef IMAPFS_IMAP_STREAM_INSIDE_H
#define IMAPFS_IMAP_STREAM_INSIDE_H

#include <netdb.h>
#include <openssl/ssl.h>

#include "base/lock.h"
#include "imap/stream.h"

#define TLS_SESSIONS_MAX 16
#define TLS_PIN_TEXT_MAX 64

/* A TLS session that may be resumed, and the only endpoint it may be resumed with. */
struct tls_session {
    char *host;
    char *port;
    SSL_SESSION *session;
};

struct tls_context {
    /* const after create */
    SSL_CTX *ssl_ctx;
    BIO_METHOD *socket_method;
    char pin[TLS_PIN_TEXT_MAX]; /* base64 of the SHA-256 of the server's SPKI; "" for none */

    /* guarded by lock; oldest first */
    struct lock lock;
    struct tls_session sessions[TLS_SESSIONS_MAX];
    size_t session_count;
};

struct stream {
    int fd;
    SSL *ssl;    /* NULL in the clear */
    bool secure; /* the handshake is done and everything about the certificate is right */
    bool failed; /* TLS must not say goodbye any more */
    bool at_end; /* the socket gave its end */
    int failure; /* errno with which the socket failed below TLS, or 0 */
    char *host;
    char *port;
    int64_t tls_ms;
    struct tls_context *tls;
    struct waker *cancel;
    uint64_t bytes_in, bytes_out;
};

/* stream.c: waits until the descriptor is ready. CANCELLED EINTR, RETRY ETIMEDOUT. */
int stream_wait(
    const struct stream *stream, short events, int64_t deadline_ms, struct err *why) MUST_USE;
int stream_check_cancel(const struct waker *cancel, struct err *why) MUST_USE;

/* stream_resolve.c: the addresses of host and port, for freeaddrinfo(). RETRY EHOSTDOWN,
 * CANCELLED EINTR. */
int stream_resolve(const struct stream_options *options, int64_t deadline_ms, struct addrinfo **ret,
    struct err *why) MUST_USE;

/* stream_connect.c: a connected, non-blocking socket with its options set, or as stream_open. */
int stream_connect(const struct stream_options *options, const struct addrinfo *addresses,
    int64_t deadline_ms, struct err *why) MUST_USE;

/* stream_tls_context.c */
void tls_context_remember(struct tls_context *context, const struct stream *stream,
    SSL_SESSION *session); /* takes the reference */
/* The newest session for this endpoint or NULL; the caller frees it. */
SSL_SESSION *tls_context_recall(struct tls_context *context, const struct stream *stream);

/* stream_tls.c: as stream_read and stream_write, with TLS. */
BIO_METHOD *stream_bio_method(void);
int64_t stream_tls_read(
    struct stream *stream, void *data, size_t size, int64_t deadline_ms, struct err *why) MUST_USE;
int stream_tls_write(struct stream *stream, const void *data, size_t len, int64_t deadline_ms,
    struct err *why) MUST_USE;
bool stream_tls_has_input(struct stream *stream);
void stream_tls_close(struct stream *stream);

#endif

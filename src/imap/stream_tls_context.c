#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "imap/stream_inside.h"

#define PIN_PREFIX "sha256//"
#define PIN_BASE64_LEN 44 /* of 32 bytes */

/* The pin's base64 if it is that of 32 bytes, written as everybody writes it. */
static int read_pin(const char *pin, char *ret, struct err *why)
{
    unsigned char digest[48];
    unsigned char again[TLS_PIN_TEXT_MAX];
    const char *base64 = pin + strlen(PIN_PREFIX);
    if (strncmp(pin, PIN_PREFIX, strlen(PIN_PREFIX)) != 0 || strlen(base64) != PIN_BASE64_LEN ||
        EVP_DecodeBlock(digest, (const unsigned char *)base64, PIN_BASE64_LEN) != 33 ||
        EVP_EncodeBlock(again, digest, 32) != PIN_BASE64_LEN ||
        memcmp(again, base64, PIN_BASE64_LEN) != 0) {
        ERR_clear_error();
        return err_set(why, ERR_LOCAL, EINVAL,
            "tls_pin is not \"" PIN_PREFIX "\" and 44 characters of base64: %s", pin);
    }
    memcpy(ret, base64, PIN_BASE64_LEN + 1);
    return 0;
}

static int load_roots(SSL_CTX *ssl_ctx, const char *ca_file, struct err *why)
{
    if (ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(ssl_ctx) != 1) {
            ERR_clear_error();
            return err_set(
                why, ERR_LOCAL, EINVAL, "the system's certificate authorities cannot be read");
        }
        return 0;
    }
    CLEANUP(fd_close) int fd = open(ca_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(why, ERR_LOCAL, errno, "cannot read the certificate authorities in %s: %s",
            ca_file, strerrordesc_np(errno));
    }
    if (SSL_CTX_load_verify_file(ssl_ctx, ca_file) != 1) {
        ERR_clear_error();
        return err_set(
            why, ERR_LOCAL, EINVAL, "%s holds no certificate authority in PEM form", ca_file);
    }
    return 0;
}

/* A ticket came: kept for the next connection to the same place. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    const struct stream *stream = SSL_get_app_data(ssl);
    tls_context_remember(stream->tls, stream, session);
    return 1; /* the reference is ours now */
}

static void set_policy(SSL_CTX *ssl_ctx)
{
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    /* Not SSL_OP_IGNORE_UNEXPECTED_EOF: an end without close_notify is a cut answer. */
    SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ssl_ctx, 1);
    SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl_ctx, on_new_session);
}

int tls_context_create(struct tls_context **ret, const struct tls_options *options, struct err *why)
{
    struct tls_context *context = alloc_zeroed(1, sizeof *context);
    lock_init(&context->lock, RANK_STREAM, "tls sessions");
    int r = options->pin != NULL ? read_pin(options->pin, context->pin, why) : 0;
    if (r < 0) {
        goto fail;
    }
    context->ssl_ctx = SSL_CTX_new(TLS_client_method());
    context->socket_method = stream_bio_method();
    if (context->ssl_ctx == NULL || context->socket_method == NULL ||
        SSL_CTX_set_min_proto_version(context->ssl_ctx, TLS1_2_VERSION) != 1) {
        ERR_clear_error();
        r = err_set(why, ERR_LOCAL, ENOMEM, "cannot prepare TLS");
        goto fail;
    }
    set_policy(context->ssl_ctx);
    r = load_roots(context->ssl_ctx, options->ca_file, why);
    if (r < 0) {
        goto fail;
    }
    *ret = context;
    return 0;
fail:
    tls_context_destroy(&context);
    return r;
}

static void session_finish(struct tls_session *session)
{
    free(session->host);
    free(session->port);
    SSL_SESSION_free(session->session);
}

void tls_context_destroy(struct tls_context **context) NO_LOCK_ANALYSIS /* nobody else is left */
{
    if (*context == NULL) {
        return;
    }
    for (size_t i = 0; i < (*context)->session_count; i++) {
        session_finish(&(*context)->sessions[i]);
    }
    SSL_CTX_free((*context)->ssl_ctx);
    BIO_meth_free((*context)->socket_method);
    lock_finish(&(*context)->lock);
    free(*context);
    *context = NULL;
}

static struct tls_session take_out_locked(struct tls_context *context, size_t i)
    REQUIRES(context->lock)
{
    lock_assert_held(&context->lock);
    struct tls_session taken = context->sessions[i];
    context->session_count--;
    memmove(&context->sessions[i], &context->sessions[i + 1],
        (context->session_count - i) * sizeof context->sessions[0]);
    return taken;
}

void tls_context_remember(
    struct tls_context *context, const struct stream *stream, SSL_SESSION *session)
{
    struct tls_session forgotten = {NULL, NULL, NULL};
    struct tls_session added = {alloc_text(stream->host), alloc_text(stream->port), session};
    lock_take(&context->lock);
    if (context->session_count == TLS_SESSIONS_MAX) {
        forgotten = take_out_locked(context, 0);
    }
    context->sessions[context->session_count++] = added;
    lock_release(&context->lock);
    session_finish(&forgotten);
}

/* A ticket of TLS 1.3 should be used once only (RFC 8446 C.4): it leaves the context, and the
 * connection brings new ones. A session of TLS 1.2 is not always replaced: it stays. */
static SSL_SESSION *lend_locked(struct tls_context *context, size_t i) REQUIRES(context->lock)
{
    SSL_SESSION *session = context->sessions[i].session;
    (void)SSL_SESSION_up_ref(session); /* a counter, it cannot fail */
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
        struct tls_session used = take_out_locked(context, i);
        session_finish(&used);
    }
    return session;
}

SSL_SESSION *tls_context_recall(struct tls_context *context, const struct stream *stream)
{
    SSL_SESSION *found = NULL;
    lock_take(&context->lock);
    for (size_t i = context->session_count; i > 0 && found == NULL; i--) {
        const struct tls_session *kept = &context->sessions[i - 1];
        if (strcmp(kept->host, stream->host) == 0 && strcmp(kept->port, stream->port) == 0) {
            found = lend_locked(context, i - 1);
        }
    }
    lock_release(&context->lock);
    return found;
}

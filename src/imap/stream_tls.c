#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "imap/stream_inside.h"

/* ---- the socket below OpenSSL: its own would raise SIGPIPE ---- */

static int socket_write(BIO *bio, const char *data, size_t len, size_t *ret_written)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(stream->fd, data, len, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            BIO_set_retry_write(bio);
        } else {
            stream->failure = errno;
        }
        return 0;
    }
    *ret_written = (size_t)n;
    return 1;
}

static int socket_read(BIO *bio, char *data, size_t size, size_t *ret_read)
{
    struct stream *stream = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = recv(stream->fd, data, size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        BIO_set_retry_read(bio);
    } else if (n < 0) {
        stream->failure = errno;
    }
    if (n == 0) {
        stream->at_end = true;
    }
    if (n <= 0) {
        return 0;
    }
    *ret_read = (size_t)n;
    return 1;
}

static long socket_control(BIO *bio, int what, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    const struct stream *stream = BIO_get_data(bio);
    switch (what) {
    case BIO_CTRL_FLUSH:
        return 1; /* nothing is held back */
    case BIO_CTRL_EOF:
        return stream->at_end ? 1 : 0;
    default:
        return 0;
    }
}

BIO_METHOD *stream_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "imapfs socket");
    if (method != NULL && (BIO_meth_set_write_ex(method, socket_write) != 1 ||
                              BIO_meth_set_read_ex(method, socket_read) != 1 ||
                              BIO_meth_set_ctrl(method, socket_control) != 1)) {
        BIO_meth_free(method);
        method = NULL;
    }
    return method;
}

/* ---- what went wrong, in words ---- */

/* What to do about it stands behind the colon. */
static const char *verify_trouble(long code)
{
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "has expired: the server needs a new one, or this machine's clock is wrong";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "is not yet valid: check this machine's clock";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "is self-signed: if it is the right one, trust it with tls_ca=FILE";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "is from an unknown authority: if it is the right one, trust the authority with "
               "tls_ca=FILE";
    default:
        return NULL;
    }
}

/* A captive portal looks the same: whoever has a cache goes on with it, whoever mounts for the
 * first time is told by EKEYREJECTED. */
static int bad_certificate(const struct stream *stream, long code, struct err *why)
{
    if (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        return err_set(why, ERR_RETRY, EKEYREJECTED,
            "the certificate is for another name than %s: use the name that the server's "
            "certificate is for",
            stream->host);
    }
    const char *trouble = verify_trouble(code);
    if (trouble != NULL) {
        return err_set(
            why, ERR_RETRY, EKEYREJECTED, "the certificate of %s %s", stream->host, trouble);
    }
    return err_set(why, ERR_RETRY, EKEYREJECTED, "the certificate of %s cannot be trusted: %s",
        stream->host, X509_verify_cert_error_string(code));
}

/* The sentence for an operation of OpenSSL that failed for good. */
static int tls_failure(struct stream *stream, int ssl_error, struct err *why)
{
    stream->failed = true;
    unsigned long code = ERR_peek_error();
    const char *words = ERR_reason_error_string(code);
    int number = ERR_GET_REASON(code);
    ERR_clear_error();
    if (ssl_error == SSL_ERROR_ZERO_RETURN) {
        return err_set(why, ERR_RETRY, EHOSTDOWN, "%s closed the connection", stream->host);
    }
    if (stream->failure != 0) {
        return err_set(why, ERR_RETRY, EHOSTDOWN, "the connection to %s broke off: %s",
            stream->host, strerrordesc_np(stream->failure));
    }
    if (stream->at_end && !stream->secure) {
        return err_set(why, ERR_RETRY, EHOSTDOWN,
            "%s closed the connection while TLS was being set up", stream->host);
    }
    if (stream->at_end) {
        return err_set(why, ERR_RETRY, EHOSTDOWN,
            "the connection to %s was cut without TLS's goodbye", stream->host);
    }
    if (number == SSL_R_UNSUPPORTED_PROTOCOL || number == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION) {
        return err_set(
            why, ERR_RETRY, EHOSTDOWN, "%s offers no TLS of version 1.2 or newer", stream->host);
    }
    if (number == SSL_R_WRONG_VERSION_NUMBER) {
        return err_set(why, ERR_RETRY, EHOSTDOWN,
            "%s does not speak TLS at port %s: it may be a port for STARTTLS", stream->host,
            stream->port);
    }
    return err_set(why, ERR_RETRY, EHOSTDOWN, "TLS with %s failed: %s", stream->host,
        words != NULL ? words : "unknown reason");
}

/* Waits for what OpenSSL needs after `result`: 0 to try again, or the failure. */
static int wait_for_tls(struct stream *stream, int result, int64_t deadline_ms, struct err *why)
{
    int ssl_error = SSL_get_error(stream->ssl, result);
    if (ssl_error == SSL_ERROR_WANT_READ) {
        return stream_wait(stream, POLLIN, deadline_ms, why);
    }
    if (ssl_error == SSL_ERROR_WANT_WRITE) {
        return stream_wait(stream, POLLOUT, deadline_ms, why);
    }
    long verified = SSL_get_verify_result(stream->ssl);
    if (!stream->secure && ssl_error == SSL_ERROR_SSL && verified != X509_V_OK) {
        stream->failed = true;
        ERR_clear_error();
        return bad_certificate(stream, verified, why);
    }
    return tls_failure(stream, ssl_error, why);
}

/* ---- the handshake ---- */

/* Whom the certificate must name: the configured host, never what a resolver or server says. */
static bool expect_host(SSL *ssl, char *host)
{
    struct in6_addr address;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    }
    /* RFC 9525: a name counts in subjectAltName only, never in the subject's CN. */
    SSL_set_hostflags(
        ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int prepare(struct stream *stream, struct err *why)
{
    stream->ssl = SSL_new(stream->tls->ssl_ctx);
    BIO *bio = stream->ssl != NULL ? BIO_new(stream->tls->socket_method) : NULL;
    if (bio == NULL || !expect_host(stream->ssl, stream->host)) {
        BIO_free(bio);
        ERR_clear_error();
        stream->failed = true;
        return err_set(why, ERR_LOCAL, EINVAL, "TLS cannot be told to expect %s", stream->host);
    }
    BIO_set_data(bio, stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(stream->ssl, bio, bio);
    SSL_set_app_data(stream->ssl, stream);
    SSL_SESSION *session = tls_context_recall(stream->tls, stream);
    if (session != NULL) {
        (void)SSL_set_session(stream->ssl, session); /* without it the handshake is a full one */
        SSL_SESSION_free(session);
    }
    SSL_set_connect_state(stream->ssl);
    return 0;
}

static int check_pin(const struct stream *stream, const X509 *certificate, struct err *why)
{
    if (stream->tls->pin[0] == '\0') {
        return 0;
    }
    unsigned char *spki = NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char text[TLS_PIN_TEXT_MAX] = "";
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
    if (len > 0 && EVP_Digest(spki, (size_t)len, digest, NULL, EVP_sha256(), NULL) == 1) {
        (void)EVP_EncodeBlock(text, digest, 32); /* 44 characters and NUL fit */
    }
    OPENSSL_free(spki);
    if (strcmp((const char *)text, stream->tls->pin) != 0) {
        return err_set(why, ERR_RETRY, EKEYREJECTED,
            "the key of %s is not the one of tls_pin: if the server has a new key, the pin must "
            "change",
            stream->host);
    }
    return 0;
}

/* The handshake refuses bad certificates itself; this holds even if it was resumed or misled. */
static int check_peer(const struct stream *stream, struct err *why)
{
    const X509 *certificate = SSL_get0_peer_certificate(stream->ssl);
    long verified = SSL_get_verify_result(stream->ssl);
    if (certificate == NULL) {
        return err_set(why, ERR_RETRY, EKEYREJECTED, "%s shows no certificate", stream->host);
    }
    if (verified != X509_V_OK) {
        return bad_certificate(stream, verified, why);
    }
    return check_pin(stream, certificate, why);
}

/* Who speaks before TLS began wants his words taken for the server's. */
static int check_nothing_waits(struct stream *stream, struct err *why)
{
    char byte;
    if (recv(stream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0) {
        return err_set(why, ERR_HOSTILE, EPROTO,
            "%s port %s sent something before TLS could start%s", stream->host, stream->port,
            stream->bytes_in == 0 ? ": it may be a port for STARTTLS" : "");
    }
    return 0;
}

int stream_start_tls(struct stream *stream, struct err *why)
{
    if (stream->tls == NULL || stream->ssl != NULL) {
        return err_set(why, ERR_BUG, EIO, "TLS was to be started twice, or without settings");
    }
    int r = check_nothing_waits(stream, why);
    if (r == 0) {
        r = prepare(stream, why);
    }
    if (r < 0) {
        return r;
    }
    int64_t deadline_ms = deadline_in(stream->tls_ms);
    for (;;) {
        ERR_clear_error();
        int result = SSL_do_handshake(stream->ssl);
        if (result == 1) {
            break;
        }
        r = wait_for_tls(stream, result, deadline_ms, why);
        if (r < 0) {
            stream->failed = true;
            return r;
        }
    }
    r = check_peer(stream, why);
    if (r < 0) {
        return r;
    }
    stream->secure = true;
    return 0;
}

/* ---- once it is done ---- */

int64_t stream_tls_read(
    struct stream *stream, void *data, size_t size, int64_t deadline_ms, struct err *why)
{
    for (;;) {
        ERR_clear_error();
        size_t n = 0;
        int result = SSL_read_ex(stream->ssl, data, size, &n);
        if (result == 1 && n > 0) {
            return (int64_t)n;
        }
        int r = wait_for_tls(stream, result, deadline_ms, why);
        if (r < 0) {
            return r;
        }
    }
}

int stream_tls_write(
    struct stream *stream, const void *data, size_t len, int64_t deadline_ms, struct err *why)
{
    const char *at = data;
    while (len > 0) {
        ERR_clear_error();
        size_t n = 0;
        int result = SSL_write_ex(stream->ssl, at, len, &n);
        if (result == 1) {
            at += n;
            len -= n;
            stream->bytes_out += n;
            continue;
        }
        int r = wait_for_tls(stream, result, deadline_ms, why);
        if (r < 0) {
            stream->failed = true; /* half a record may be on its way: nothing may follow */
            return r;
        }
    }
    return 0;
}

/* Peeking reads over what is not data, such as new tickets. */
bool stream_tls_has_input(struct stream *stream)
{
    if (!stream->secure || stream->failed) {
        return true;
    }
    char byte;
    size_t n = 0;
    ERR_clear_error();
    int result = SSL_peek_ex(stream->ssl, &byte, 1, &n);
    int ssl_error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(stream->ssl, result);
    if (ssl_error == SSL_ERROR_SSL || ssl_error == SSL_ERROR_SYSCALL) {
        stream->failed = true;
    }
    ERR_clear_error();
    return ssl_error != SSL_ERROR_WANT_READ && ssl_error != SSL_ERROR_WANT_WRITE;
}

void stream_tls_close(struct stream *stream)
{
    if (stream->ssl == NULL) {
        return;
    }
    if (stream->secure && !stream->failed) {
        (void)SSL_shutdown(stream->ssl); /* if it cannot be said at once it is not said */
    }
    SSL_free(stream->ssl);
    stream->ssl = NULL;
    ERR_clear_error();
}

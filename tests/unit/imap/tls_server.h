/*
 * tls_server.h - certificates made on the spot, and a server in a thread that does with each
 * connection what the test wants. It listens on 127.0.0.1 only.
 */
#ifndef IMAPFS_TESTS_TLS_SERVER_H
#define IMAPFS_TESTS_TLS_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/waker.h"

/* ---- certificates ---- */

struct cert {
    EVP_PKEY *key;
    X509 *x509;
};

struct cert_wish {
    const char *names;         /* as in an openssl.cnf: "DNS:a,IP:1.2.3.4"; NULL for an authority */
    const struct cert *issuer; /* NULL: signs itself */
    long from_s, to_s;         /* from now; both 0: a day around now */
};

static inline void cert_extend(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline struct cert cert_make(const struct cert_wish *wish)
{
    bool always = wish->from_s == 0 && wish->to_s == 0;
    struct cert cert = {EVP_EC_gen("P-256"), X509_new()};
    ck_assert(cert.key != NULL && cert.x509 != NULL);
    const char *subject = wish->names == NULL ? "Some Authority" : "some server";
    (void)X509_set_version(cert.x509, X509_VERSION_3);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert.x509), wish->names == NULL ? 1 : 2);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert.x509), always ? -86400 : wish->from_s);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert.x509), always ? 86400 : wish->to_s);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.x509), "CN", MBSTRING_ASC,
        (const unsigned char *)subject, -1, -1, 0);
    const struct cert *issuer = wish->issuer != NULL ? wish->issuer : &cert;
    (void)X509_set_issuer_name(cert.x509, X509_get_subject_name(issuer->x509));
    (void)X509_set_pubkey(cert.x509, cert.key);
    if (wish->names != NULL) {
        cert_extend(cert.x509, NID_subject_alt_name, wish->names);
    } else {
        cert_extend(cert.x509, NID_basic_constraints, "critical,CA:TRUE");
        cert_extend(cert.x509, NID_key_usage, "critical,keyCertSign");
    }
    ck_assert_int_gt(X509_sign(cert.x509, issuer->key, EVP_sha256()), 0);
    return cert;
}

static inline void cert_finish(struct cert *cert)
{
    EVP_PKEY_free(cert->key);
    X509_free(cert->x509);
}

/* Writes it where the client can read it; the file is gone with forget_file. */
static inline void cert_write(const struct cert *cert, char *ret_path, size_t path_size)
{
    const char *folder = getenv("TMPDIR");
    (void)snprintf(ret_path, path_size, "%s/imapfs-ca-XXXXXX", folder != NULL ? folder : "/tmp");
    int fd = mkstemp(ret_path);
    ck_assert_int_ge(fd, 0);
    FILE *out = fdopen(fd, "w");
    ck_assert_int_eq(PEM_write_X509(out, cert->x509), 1);
    ck_assert_int_eq(fclose(out), 0);
}

/* ---- the server ---- */

enum behaviour {
    GREET,       /* TLS, a greeting, then reads until the client goes */
    GREET_CLOSE, /* TLS, a greeting, goodbye */
    GREET_CUT,   /* TLS, a greeting, and the connection is cut */
    MUTE,        /* never says anything, not even TLS */
    MUTE_TLS,    /* TLS, then nothing */
    CLEAR_GREET, /* a greeting in the clear */
    UPGRADE,     /* a line in the clear each way, then as GREET */
    SWALLOW,     /* TLS, reads SWALLOW_BYTES and says how it was */
    POUR,        /* TLS, sends SWALLOW_BYTES */
    RESET,       /* TLS, then a reset */
    CLEAR_RESET  /* a reset in the clear */
};

#define GREETING "* OK hello\r\n"
#define SWALLOW_BYTES ((size_t)3 << 20)

struct server {
    /* const while it runs */
    enum behaviour behaviour;
    int max_version;    /* 0: any */
    struct waker *wake; /* woken once the client is there and waits */
    const struct cert *cert;
    int fd;
    char port[8];
    SSL_CTX *ssl_ctx;
    pthread_t thread;
    /* thread: the server's, anybody's after server_stop */
    unsigned connections;
    char asked_name[64]; /* SNI of the last connection */
};

static inline unsigned char pour_byte(size_t at)
{
    return (unsigned char)((at * 2654435761U) >> 13);
}

static inline void read_to_end(SSL *ssl)
{
    char data[4096];
    while (SSL_read(ssl, data, sizeof data) > 0) {
    }
}

static inline void swallow(SSL *ssl)
{
    char data[8192];
    size_t got = 0;
    bool right = true;
    while (got < SWALLOW_BYTES) {
        int n = SSL_read(ssl, data, sizeof data);
        if (n <= 0) {
            return;
        }
        for (int i = 0; i < n; i++) {
            right = right && (unsigned char)data[i] == pour_byte(got + (size_t)i);
        }
        got += (size_t)n;
    }
    (void)SSL_write(ssl, right ? "right" : "wrong", 5);
    read_to_end(ssl);
}

static inline void pour(SSL *ssl)
{
    unsigned char data[10000];
    size_t sent = 0;
    while (sent < SWALLOW_BYTES) {
        size_t n = SWALLOW_BYTES - sent < sizeof data ? SWALLOW_BYTES - sent : sizeof data;
        for (size_t i = 0; i < n; i++) {
            data[i] = pour_byte(sent + i);
        }
        if (SSL_write(ssl, data, (int)n) <= 0) {
            return;
        }
        sent += n;
    }
    read_to_end(ssl);
}

static inline void reset_on_close(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static inline void serve_tls(struct server *server, SSL *ssl)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(server->asked_name, sizeof server->asked_name, "%s", name != NULL ? name : "");
    if (server->behaviour != MUTE_TLS && server->behaviour != SWALLOW &&
        server->behaviour != POUR) {
        (void)SSL_write(ssl, GREETING, (int)strlen(GREETING));
    }
    if (server->wake != NULL) {
        waker_wake(server->wake);
    }
    switch (server->behaviour) {
    case GREET:
    case MUTE_TLS:
    case UPGRADE:
        read_to_end(ssl);
        (void)SSL_shutdown(ssl);
        break;
    case GREET_CLOSE:
        (void)SSL_shutdown(ssl);
        break;
    case SWALLOW:
        swallow(ssl);
        break;
    case POUR:
        pour(ssl);
        break;
    case RESET:
        reset_on_close(SSL_get_fd(ssl));
        break;
    case GREET_CUT:
    case MUTE:
    case CLEAR_GREET:
    case CLEAR_RESET:
        break;
    }
}

/* Reads in the clear until the client goes, or for UPGRADE a line of his. */
static inline bool serve_clear(struct server *server, int fd)
{
    char data[512];
    if (server->behaviour == CLEAR_GREET || server->behaviour == UPGRADE) {
        (void)send(fd, GREETING, strlen(GREETING), MSG_NOSIGNAL);
    }
    if (server->behaviour == CLEAR_RESET) {
        (void)recv(fd, data, sizeof data, 0);
        reset_on_close(fd);
        return false;
    }
    if (server->behaviour == UPGRADE) {
        ssize_t n = recv(fd, data, sizeof data, 0);
        return n > 0 && data[n - 1] == '\n' && send(fd, "a OK\r\n", 6, MSG_NOSIGNAL) == 6;
    }
    if (server->behaviour != MUTE && server->behaviour != CLEAR_GREET) {
        return true;
    }
    bool woken = false;
    while (recv(fd, data, sizeof data, 0) > 0) {
        if (server->wake != NULL && !woken) {
            waker_wake(server->wake);
            woken = true;
        }
    }
    return false;
}

static inline void *server_main(void *arg)
{
    struct server *server = arg;
    sigset_t pipe_only;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    for (;;) {
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        server->connections++;
        if (serve_clear(server, fd)) {
            SSL *ssl = SSL_new(server->ssl_ctx);
            (void)SSL_set_fd(ssl, fd);
            if (SSL_accept(ssl) == 1) {
                serve_tls(server, ssl);
            }
            SSL_free(ssl);
        }
        (void)close(fd);
    }
}

static inline int listen_somewhere(int backlog, char *ret_port, size_t port_size)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = 0};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(ret_port, port_size, "%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

static inline void server_start(struct server *server)
{
    server->ssl_ctx = SSL_CTX_new(TLS_server_method());
    ck_assert_ptr_nonnull(server->ssl_ctx);
    /* what is too old must be refused by the client, not by this side's own policy */
    ck_assert_int_eq(SSL_CTX_set_cipher_list(server->ssl_ctx, "DEFAULT:@SECLEVEL=0"), 1);
    (void)SSL_CTX_set_min_proto_version(server->ssl_ctx, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(server->ssl_ctx, server->max_version);
    if (server->cert != NULL) {
        ck_assert_int_eq(SSL_CTX_use_certificate(server->ssl_ctx, server->cert->x509), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(server->ssl_ctx, server->cert->key), 1);
    }
    server->fd = listen_somewhere(16, server->port, sizeof server->port);
    ck_assert_int_eq(pthread_create(&server->thread, NULL, server_main, server), 0);
}

/* All streams to it must be closed before. */
static inline void server_stop(struct server *server)
{
    (void)shutdown(server->fd, SHUT_RDWR);
    ck_assert_int_eq(pthread_join(server->thread, NULL), 0);
    (void)close(server->fd);
    SSL_CTX_free(server->ssl_ctx);
}

#endif

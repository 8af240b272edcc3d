#include "imap_script.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fnmatch.h>
#include <glib.h>
#include <gsasl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imap/stream.h"

enum { LINKS_MAX = 128, BOUND_S = 60, COMMANDS_MAX = 64, RECEIVED_MAX = 4 << 20 };

struct link {
    struct imap_script *script;
    const char *text;
    pthread_t thread;
    int fd; /* guarded by the mutex: -1 when closed */
    SSL *ssl;
    char in[8192];
    size_t in_at, in_end;
    char *tags[COMMANDS_MAX];
    size_t tag_count;
    char *rest; /* of the last command */
};

struct imap_script {
    const char *const *scripts;
    size_t count;
    int listener;
    char port[8];
    SSL_CTX *context;
    char *ca_path;
    struct tls_context *client;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct link links[LINKS_MAX];
    unsigned link_count, marks, allowed;
    bool stopping;
    char *failure;
    GString *clear, *secret;
};

/* ---- certificates --------------------------------------------------------------------------- */

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ck_assert_ptr_nonnull(extension);
    ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    ck_assert_ptr_nonnull(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC, (const unsigned char *)"a test server", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
    return certificate;
}

static void make_tls(struct imap_script *script)
{
    struct err why = ERR_INIT;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    ck_assert_ptr_nonnull(key);
    X509 *certificate = make_certificate(key);
    script->context = SSL_CTX_new(TLS_server_method());
    ck_assert_int_eq(SSL_CTX_use_certificate(script->context, certificate), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(script->context, key), 1);
    int fd = g_file_open_tmp("imap-script-XXXXXX", &script->ca_path, NULL);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    ck_assert_int_eq(PEM_write_X509(file, certificate), 1);
    ck_assert_int_eq(fclose(file), 0);
    X509_free(certificate);
    EVP_PKEY_free(key);
    struct tls_options options = {.ca_file = script->ca_path};
    ck_assert_msg(tls_context_create(&script->client, &options, &why) == 0, "%s", why.text);
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void fail_script(struct link *link, const char *format, ...) PRINTF_LIKE(2, 3);
static void fail_script(struct link *link, const char *format, ...)
{
    struct imap_script *script = link->script;
    va_list args;
    va_start(args, format);
    char *text = g_strdup_vprintf(format, args);
    va_end(args);
    pthread_mutex_lock(&script->mutex);
    if (script->failure == NULL && !script->stopping) {
        script->failure =
            g_strdup_printf("connection %d: %s", (int)(link - script->links) + 1, text);
    }
    pthread_cond_broadcast(&script->changed);
    pthread_mutex_unlock(&script->mutex);
    g_free(text);
}

static bool fill_link(struct link *link)
{
    ssize_t got = link->ssl != NULL ? SSL_read(link->ssl, link->in, sizeof link->in)
                                    : recv(link->fd, link->in, sizeof link->in, 0);
    if (got <= 0) {
        return false;
    }
    link->in_at = 0;
    link->in_end = (size_t)got;
    struct imap_script *script = link->script;
    pthread_mutex_lock(&script->mutex);
    GString *heard = link->ssl != NULL ? script->secret : script->clear;
    if (heard->len < RECEIVED_MAX) {
        g_string_append_len(heard, link->in, got);
    }
    pthread_mutex_unlock(&script->mutex);
    return true;
}

/* The next line without CRLF, or NULL at the end of the connection. */
static char *read_line(struct link *link)
{
    GString *line = g_string_new(NULL);
    for (;;) {
        if (link->in_at == link->in_end && !fill_link(link)) {
            g_string_free(line, TRUE);
            return NULL;
        }
        char c = link->in[link->in_at++];
        if (c == '\n') {
            if (line->len > 0 && line->str[line->len - 1] == '\r') {
                g_string_truncate(line, line->len - 1);
            }
            return g_string_free(line, FALSE);
        }
        g_string_append_c(line, c);
    }
}

static bool send_bytes(struct link *link, const char *data, size_t len)
{
    while (len > 0) {
        size_t piece = len < 16384 ? len : 16384;
        ssize_t sent = link->ssl != NULL ? SSL_write(link->ssl, data, (int)piece)
                                         : send(link->fd, data, piece, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* ---- steps ---------------------------------------------------------------------------------- */

static void expand(const struct link *link, const char *text, GString *ret)
{
    char *plain = g_strcompress(text);
    for (const char *at = plain; *at != '\0'; at++) {
        if (*at == '$' && at[1] == 'T' && link->tag_count > 0) {
            g_string_append(ret, link->tags[link->tag_count - 1]);
            at++;
        } else if (*at == '$' && g_ascii_isdigit(at[1])) {
            char *behind;
            size_t number = strtoul(at + 1, &behind, 10);
            bool known = number >= 1 && number <= link->tag_count;
            g_string_append(ret, known ? link->tags[number - 1] : "?");
            at = behind - 1;
        } else {
            g_string_append_c(ret, *at);
        }
    }
    g_free(plain);
}

static bool step_send(struct link *link, const char *text, bool line)
{
    GString *out = g_string_new(NULL);
    expand(link, text, out);
    if (line) {
        g_string_append(out, "\r\n");
    }
    /* The client may have left already: what it does about what was sent is asked elsewhere. */
    (void)send_bytes(link, out->str, out->len);
    g_string_free(out, TRUE);
    return true;
}

static bool take_command(struct link *link, char *line)
{
    char *space = strchr(line, ' ');
    if (space == NULL || link->tag_count == COMMANDS_MAX) {
        fail_script(link, "no command: %s", line);
        return false;
    }
    *space = '\0';
    link->tags[link->tag_count++] = g_strdup(line);
    g_free(link->rest);
    link->rest = g_strdup(space + 1);
    return true;
}

static bool step_expect(struct link *link, const char *pattern, bool command)
{
    char *line = read_line(link);
    bool good = line != NULL && (!command || take_command(link, line));
    if (line == NULL) {
        fail_script(link, "the client left instead of: %s", pattern);
    } else if (good) {
        const char *said = command ? link->rest : line;
        good = fnmatch(pattern, said, 0) == 0;
        if (!good) {
            fail_script(link, "awaited: %s but heard: %s", pattern, said);
        }
    }
    g_free(line);
    return good;
}

static bool step_tls(struct link *link)
{
    SSL *ssl = SSL_new(link->script->context);
    SSL_set_fd(ssl, link->fd);
    if (SSL_accept(ssl) != 1) { /* the client may refuse: what it does is asked elsewhere */
        SSL_free(ssl);
        return false;
    }
    link->ssl = ssl;
    return true;
}

static bool step_auto(struct link *link)
{
    for (;;) {
        char *line = read_line(link);
        bool going = line != NULL && take_command(link, line);
        g_free(line);
        if (!going) {
            return false;
        }
        bool logout = strcmp(link->rest, "LOGOUT") == 0;
        step_send(link, logout ? "* BYE then\\r\\n$T OK" : "$T OK done", true);
        g_free(link->tags[--link->tag_count]);
        if (logout) {
            return false;
        }
    }
}

static void step_eof(struct link *link)
{
    char *line;
    while ((line = read_line(link)) != NULL) {
        g_free(line);
    }
}

static void step_mark(struct imap_script *script)
{
    pthread_mutex_lock(&script->mutex);
    script->marks++;
    pthread_cond_broadcast(&script->changed);
    pthread_mutex_unlock(&script->mutex);
}

static void bound(struct timespec *ret)
{
    clock_gettime(CLOCK_REALTIME, ret);
    ret->tv_sec += BOUND_S;
}

static void step_wait(struct imap_script *script, unsigned times)
{
    struct timespec until;
    bound(&until);
    pthread_mutex_lock(&script->mutex);
    while (script->allowed < times && !script->stopping &&
           pthread_cond_timedwait(&script->changed, &script->mutex, &until) == 0) {
    }
    pthread_mutex_unlock(&script->mutex);
}

/* The last member of base64 "a=b,v=signature" made wrong. */
static char *forge(const char *out)
{
    size_t len;
    guchar *plain = g_base64_decode(out, &len);
    char *signature = g_strstr_len((char *)plain, (gssize)len, "v=");
    if (signature != NULL) {
        signature[2] = signature[2] == 'A' ? 'B' : 'A';
    }
    char *forged = g_base64_encode(plain, len);
    g_free(plain);
    return forged;
}

static bool sasl_turns(struct link *link, Gsasl_session *sasl, const char *how)
{
    char *space = strrchr(link->rest, ' ');
    bool initial = space != NULL && strchr(link->rest, ' ') != space;
    char *said = initial ? g_strdup(space + 1) : NULL;
    for (;;) {
        char *out = NULL;
        if (said == NULL) {
            step_send(link, "+ ", true);
            said = read_line(link);
        }
        if (said == NULL) {
            return false;
        }
        int rc = gsasl_step64(sasl, said, &out);
        g_free(said);
        said = NULL;
        if (rc != GSASL_OK && rc != GSASL_NEEDS_MORE) {
            step_send(link, "$T NO [AUTHENTICATIONFAILED] wrong", true);
            return false;
        }
        if (rc == GSASL_OK && strcmp(how, "silent") == 0) {
            gsasl_free(out);
            return true;
        }
        char *sent = rc == GSASL_OK && strcmp(how, "forged") == 0 ? forge(out) : g_strdup(out);
        gsasl_free(out);
        char *line = g_strdup_printf("+ %s", sent);
        step_send(link, line, true);
        g_free(line);
        g_free(sent);
        said = read_line(link);
        if (rc == GSASL_OK) {
            bool empty = said != NULL && said[0] == '\0';
            g_free(said);
            return empty;
        }
    }
}

static bool step_sasl(struct link *link, const char *words)
{
    char **word = g_strsplit(words, " ", 0);
    Gsasl *context = NULL;
    Gsasl_session *sasl = NULL;
    ck_assert_int_eq(gsasl_init(&context), GSASL_OK);
    ck_assert_int_eq(gsasl_server_start(context, word[0], &sasl), GSASL_OK);
    gsasl_property_set(sasl, GSASL_PASSWORD, word[1]);
    gsasl_property_set(sasl, GSASL_SCRAM_ITER, word[2]);
    gsasl_property_set(sasl, GSASL_SCRAM_SALT, "QSXCR+Q6sek8bf92");
    bool good = sasl_turns(link, sasl, word[3]);
    gsasl_finish(sasl);
    gsasl_done(context);
    g_strfreev(word);
    return good;
}

/* False: the connection is over. */
static bool play(struct link *link, const char *line)
{
    const char *text = strchr(line, ' ');
    text = text != NULL ? text + 1 : "";
    if (g_str_has_prefix(line, "S ")) {
        return step_send(link, text, true);
    }
    if (g_str_has_prefix(line, "R ")) {
        return step_send(link, text, false);
    }
    if (g_str_has_prefix(line, "C ") || g_str_has_prefix(line, "L ")) {
        return step_expect(link, text, line[0] == 'C');
    }
    if (g_str_has_prefix(line, "SASL ")) {
        return step_sasl(link, text);
    }
    if (g_str_has_prefix(line, "WAIT ")) {
        step_wait(link->script, (unsigned)atoi(text));
    } else if (strcmp(line, "TLS") == 0) {
        return step_tls(link);
    } else if (strcmp(line, "MARK") == 0) {
        step_mark(link->script);
    } else if (strcmp(line, "AUTO") == 0) {
        return step_auto(link);
    } else if (strcmp(line, "EOF") == 0) {
        step_eof(link);
        return false;
    } else if (strcmp(line, "CLOSE") == 0) {
        if (link->ssl != NULL) {
            SSL_set_quiet_shutdown(link->ssl, 1);
        }
        return false;
    } else if (line[0] != '\0') {
        fail_script(link, "no step: %s", line);
    }
    return true;
}

static void *run_link(void *arg)
{
    struct link *link = arg;
    const char *at = link->text;
    const char *end = at + strlen(at);
    bool going = true;
    while (going && at < end) {
        const char *behind = memchr(at, '\n', (size_t)(end - at));
        behind = behind != NULL ? behind : end;
        char *line = g_strndup(at, (size_t)(behind - at));
        going = play(link, line);
        g_free(line);
        at = behind < end ? behind + 1 : end;
    }
    if (link->ssl != NULL) {
        (void)SSL_shutdown(link->ssl);
        SSL_free(link->ssl);
    }
    pthread_mutex_lock(&link->script->mutex);
    close(link->fd);
    link->fd = -1;
    pthread_mutex_unlock(&link->script->mutex);
    for (size_t i = 0; i < link->tag_count; i++) {
        g_free(link->tags[i]);
    }
    g_free(link->rest);
    return NULL;
}

/* ---- the listener --------------------------------------------------------------------------- */

static void start_link(struct imap_script *script, int fd)
{
    const struct timeval bound_s = {.tv_sec = BOUND_S};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound_s, sizeof bound_s);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound_s, sizeof bound_s);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    pthread_mutex_lock(&script->mutex);
    if (script->stopping || script->link_count == LINKS_MAX) {
        pthread_mutex_unlock(&script->mutex);
        close(fd);
        return;
    }
    size_t which = script->link_count < script->count ? script->link_count : script->count - 1;
    struct link *link = &script->links[script->link_count];
    link->script = script;
    link->text = script->scripts[which];
    link->fd = fd;
    ck_assert_int_eq(pthread_create(&link->thread, NULL, run_link, link), 0);
    script->link_count++;
    pthread_cond_broadcast(&script->changed);
    pthread_mutex_unlock(&script->mutex);
}

static void *run_listener(void *arg)
{
    struct imap_script *script = arg;
    for (;;) {
        pthread_mutex_lock(&script->mutex);
        int listener = script->listener;
        pthread_mutex_unlock(&script->mutex);
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        start_link(script, fd);
    }
}

static void listen_on(struct imap_script *script, unsigned port)
{
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof address;
    script->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(script->listener, 0);
    setsockopt(script->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ck_assert_int_eq(bind(script->listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(script->listener, 64), 0);
    ck_assert_int_eq(getsockname(script->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(script->port, sizeof script->port, "%u", ntohs(address.sin_port));
    ck_assert_int_eq(pthread_create(&script->thread, NULL, run_listener, script), 0);
}

struct imap_script *imap_script_start(const char *const *scripts, size_t count)
{
    struct imap_script *script = g_new0(struct imap_script, 1);
    (void)signal(SIGPIPE, SIG_IGN);
    script->scripts = scripts;
    script->count = count;
    script->clear = g_string_new(NULL);
    script->secret = g_string_new(NULL);
    pthread_mutex_init(&script->mutex, NULL);
    pthread_cond_init(&script->changed, NULL);
    make_tls(script);
    listen_on(script, 0);
    return script;
}

void imap_script_refuse(struct imap_script *script)
{
    shutdown(script->listener, SHUT_RDWR);
    pthread_join(script->thread, NULL);
    close(script->listener);
    script->listener = -1;
}

void imap_script_listen_again(struct imap_script *script)
{
    listen_on(script, (unsigned)atoi(script->port));
}

char *imap_script_stop(struct imap_script **pointer)
{
    struct imap_script *script = *pointer;
    pthread_mutex_lock(&script->mutex);
    script->stopping = true;
    pthread_cond_broadcast(&script->changed);
    for (unsigned i = 0; i < script->link_count; i++) {
        if (script->links[i].fd >= 0) {
            shutdown(script->links[i].fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&script->mutex);
    if (script->listener >= 0) {
        imap_script_refuse(script);
    }
    for (unsigned i = 0; i < script->link_count; i++) {
        pthread_join(script->links[i].thread, NULL);
    }
    char *failure = script->failure;
    tls_context_destroy(&script->client);
    SSL_CTX_free(script->context);
    unlink(script->ca_path);
    g_free(script->ca_path);
    g_string_free(script->clear, TRUE);
    g_string_free(script->secret, TRUE);
    pthread_cond_destroy(&script->changed);
    pthread_mutex_destroy(&script->mutex);
    g_free(script);
    *pointer = NULL;
    return failure;
}

const char *imap_script_port(const struct imap_script *script)
{
    return script->port;
}

struct tls_context *imap_script_tls(const struct imap_script *script)
{
    return script->client;
}

void imap_script_await(struct imap_script *script, unsigned marks)
{
    struct timespec until;
    bound(&until);
    int rc = 0;
    pthread_mutex_lock(&script->mutex);
    while (script->marks < marks && script->failure == NULL && rc == 0) {
        rc = pthread_cond_timedwait(&script->changed, &script->mutex, &until);
    }
    bool reached = script->marks >= marks;
    char *failure = g_strdup(script->failure);
    pthread_mutex_unlock(&script->mutex);
    ck_assert_msg(reached, "mark %u was not reached: %s", marks, failure);
    g_free(failure);
}

void imap_script_allow(struct imap_script *script)
{
    pthread_mutex_lock(&script->mutex);
    script->allowed++;
    pthread_cond_broadcast(&script->changed);
    pthread_mutex_unlock(&script->mutex);
}

unsigned imap_script_connections(struct imap_script *script)
{
    pthread_mutex_lock(&script->mutex);
    unsigned count = script->link_count;
    pthread_mutex_unlock(&script->mutex);
    return count;
}

static char *copy_heard(struct imap_script *script, const GString *heard)
{
    pthread_mutex_lock(&script->mutex);
    char *copy = g_strndup(heard->str, heard->len);
    pthread_mutex_unlock(&script->mutex);
    return copy;
}

char *imap_script_heard_clear(struct imap_script *script)
{
    return copy_heard(script, script->clear);
}

char *imap_script_heard_tls(struct imap_script *script)
{
    return copy_heard(script, script->secret);
}

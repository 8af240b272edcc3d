/*
 * bare - the least a client can do: fetches the same items over the same kind of connections as a
 * mount, and throws them away.
 *
 *   bare rows   HOST PORT CA USER PASSWORD_FILE MAILBOX                       listing items of all
 * messages bare bodies HOST PORT CA USER PASSWORD_FILE MAILBOX CONNECTIONS BATCH     BODY.PEEK[] of
 * all messages
 *
 * Prints one line "seconds messages bytes", the time being from the first connection's login on.
 * Commands of BATCH messages (rows: 1,000) are eight deep on each connection; what comes back is
 * scanned for line ends and literals only.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH = 8, BUFFER = 65536, CONNECTIONS_MAX = 16 };

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "bare: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct server {
    char *host; /* not const for the sake of a macro of OpenSSL */
    const char *port, *user, *mailbox;
    char password[256];
    SSL_CTX *tls;
};

struct client {
    const struct server *server;
    SSL *tls;
    char buffer[BUFFER];
    size_t at, end;
    uint64_t bytes;
    uint32_t exists;
    uint32_t first, last, batch; /* sequence numbers to fetch */
    const char *items;
    pthread_t thread;
};

static void say(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct client *client, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line || SSL_write(client->tls, line, len) != len) {
        fail("cannot write");
    }
}

static void fill(struct client *client)
{
    int got = SSL_read(client->tls, client->buffer, sizeof client->buffer);
    if (got <= 0) {
        fail("the connection ended");
    }
    client->at = 0;
    client->end = (size_t)got;
    client->bytes += (uint64_t)got;
}

/* Reads one line (its first bytes kept) without its literals' bytes; returns the literal size that
 * follows it, or -1. */
static int64_t read_line(struct client *client, char *line, size_t size)
{
    char tail[24] = "";
    size_t len = 0;
    for (;;) {
        if (client->at == client->end) {
            fill(client);
        }
        char *start = client->buffer + client->at;
        char *newline = memchr(start, '\n', client->end - client->at);
        size_t piece = newline != NULL ? (size_t)(newline - start) : client->end - client->at;
        size_t keep = len < size - 1 ? (piece < size - 1 - len ? piece : size - 1 - len) : 0;
        memcpy(line + len, start, keep);
        len += keep;
        size_t have = strlen(tail);
        size_t add = piece < sizeof tail - 1 ? piece : sizeof tail - 1;
        if (have + add > sizeof tail - 1) {
            size_t drop = have + add - (sizeof tail - 1);
            memmove(tail, tail + drop, have - drop + 1);
            have -= drop;
        }
        memcpy(tail + have, start + piece - add, add);
        tail[have + add] = '\0';
        client->at += piece + (newline != NULL ? 1 : 0);
        if (newline != NULL) {
            break;
        }
    }
    line[len] = '\0';
    char *brace = strrchr(tail, '{');
    char *closing = brace != NULL ? strstr(brace, "}\r") : NULL;
    return closing != NULL && closing[2] == '\0' ? strtoll(brace + 1, NULL, 10) : -1;
}

static void skip(struct client *client, int64_t count)
{
    while (count > 0) {
        if (client->at == client->end) {
            fill(client);
        }
        size_t have = client->end - client->at;
        size_t take = (int64_t)have < count ? have : (size_t)count;
        client->at += take;
        count -= (int64_t)take;
    }
}

/* Reads to the tagged answer of `tag`, which must be OK. */
static void expect(struct client *client, const char *tag)
{
    char line[512];
    size_t len = strlen(tag);
    for (bool begins = true;;) {
        int64_t literal = read_line(client, line, sizeof line);
        if (begins && strncmp(line, tag, len) == 0 && line[len] == ' ') {
            if (strncmp(line + len + 1, "OK", 2) != 0) {
                fail(line);
            }
            return;
        }
        unsigned long number = begins && line[0] == '*' ? strtoul(line + 2, NULL, 10) : 0;
        if (number > 0 && strstr(line, " EXISTS") != NULL) {
            client->exists = (uint32_t)number;
        }
        begins = literal < 0;
        if (literal >= 0) {
            skip(client, literal);
        }
    }
}

static void connect_client(struct client *client, const struct server *server)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    client->server = server;
    if (getaddrinfo(server->host, server->port, &hints, &found) != 0) {
        fail("no such host");
    }
    int fd = -1;
    for (struct addrinfo *a = found; a != NULL; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
            break;
        }
        if (fd >= 0) {
            (void)close(fd);
        }
        fd = -1;
    }
    freeaddrinfo(found);
    int one = 1;
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) {
        fail("cannot connect");
    }
    client->tls = SSL_new(server->tls);
    if (client->tls == NULL || SSL_set_fd(client->tls, fd) != 1 ||
        SSL_set_tlsext_host_name(client->tls, server->host) != 1 ||
        SSL_set1_host(client->tls, server->host) != 1 || SSL_connect(client->tls) != 1) {
        fail("no TLS");
    }
    char line[512];
    (void)read_line(client, line, sizeof line);
    say(client, "L LOGIN \"%s\" \"%s\"\r\n", server->user, server->password);
    expect(client, "L");
}

static void examine(struct client *client)
{
    say(client, "E EXAMINE \"%s\"\r\n", client->server->mailbox);
    expect(client, "E");
}

static void fetch(struct client *client)
{
    unsigned sent = 0, answered = 0;
    uint32_t next = client->first;
    while (next <= client->last || answered < sent) {
        if (next <= client->last && sent - answered < DEPTH) {
            uint32_t end =
                client->last - next < client->batch ? client->last : next + client->batch - 1;
            say(client, "F%u FETCH %u:%u (%s)\r\n", sent, next, end, client->items);
            next = end + 1;
            sent++;
            continue;
        }
        char tag[16];
        (void)snprintf(tag, sizeof tag, "F%u", answered);
        expect(client, tag);
        answered++;
    }
}

static void *fetch_thread(void *arg)
{
    struct client *client = arg;
    if (client->tls == NULL) {
        connect_client(client, client->server);
        examine(client);
    }
    fetch(client);
    return NULL;
}

static void read_password(struct server *server, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(server->password, sizeof server->password, file) == NULL) {
        fail("no password file");
    }
    server->password[strcspn(server->password, "\r\n")] = '\0';
    (void)fclose(file);
}

int main(int argc, char **argv)
{
    if (argc < 8) {
        fail("usage: bare rows|bodies HOST PORT CA USER PASSWORD_FILE MAILBOX [CONNECTIONS BATCH]");
    }
    bool rows = strcmp(argv[1], "rows") == 0;
    struct server server = {.host = argv[2], .port = argv[3], .user = argv[5], .mailbox = argv[7]};
    read_password(&server, argv[6]);
    server.tls = SSL_CTX_new(TLS_client_method());
    if (server.tls == NULL || SSL_CTX_load_verify_locations(server.tls, argv[4], NULL) != 1) {
        fail("no CA");
    }
    SSL_CTX_set_verify(server.tls, SSL_VERIFY_PEER, NULL);
    uint32_t connections = argc > 8 ? (uint32_t)strtoul(argv[8], NULL, 10) : 1;
    uint32_t batch = argc > 9 ? (uint32_t)strtoul(argv[9], NULL, 10) : (rows ? 1000 : 50);
    if (connections < 1 || connections > CONNECTIONS_MAX || batch < 1) {
        fail("1 to 16 connections, a batch of 1 or more");
    }
    struct client *clients = calloc(connections, sizeof *clients);
    if (clients == NULL) {
        fail("no memory");
    }
    connect_client(&clients[0], &server);
    double begin = now();
    uint64_t before = clients[0].bytes;
    examine(&clients[0]);
    uint32_t exists = clients[0].exists;
    for (uint32_t i = 0; i < connections; i++) {
        clients[i].server = &server;
        clients[i].first = (uint32_t)((uint64_t)exists * i / connections) + 1;
        clients[i].last = (uint32_t)((uint64_t)exists * (i + 1) / connections);
        clients[i].batch = batch;
        clients[i].items = rows ? "UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS "
                                  "(DATE SUBJECT FROM MESSAGE-ID)]"
                                : "UID BODY.PEEK[]";
        if (pthread_create(&clients[i].thread, NULL, fetch_thread, &clients[i]) != 0) {
            fail("no thread");
        }
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < connections; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        bytes += clients[i].bytes;
    }
    printf("%.4f %u %llu\n", now() - begin, exists, (unsigned long long)(bytes - before));
    for (uint32_t i = 0; i < connections; i++) {
        SSL_free(clients[i].tls);
    }
    SSL_CTX_free(server.tls);
    free(clients);
    return 0;
}

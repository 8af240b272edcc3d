#include <check.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "imap/stream_inside.h"
#include "tls_server.h"

#define LONG_MS 60000

/* One authority, trusted by the client, and a certificate of a server. */
struct world {
    struct cert authority;
    struct cert cert;
    struct server server;
    char ca_path[128];
    struct tls_context *tls;
    struct err why;
};

static void world_begin(struct world *world, const char *names, const char *pin)
{
    memset(world, 0, sizeof *world);
    struct cert_wish authority = {.names = NULL};
    world->authority = cert_make(&authority);
    struct cert_wish wish = {.names = names, .issuer = &world->authority};
    world->cert = cert_make(&wish);
    cert_write(&world->authority, world->ca_path, sizeof world->ca_path);
    struct tls_options options = {world->ca_path, pin};
    ck_assert_int_eq(tls_context_create(&world->tls, &options, &world->why), 0);
    world->server.cert = &world->cert;
}

static void world_end(struct world *world)
{
    server_stop(&world->server);
    tls_context_destroy(&world->tls);
    ck_assert_int_eq(unlink(world->ca_path), 0);
    cert_finish(&world->cert);
    cert_finish(&world->authority);
}

/* Connects to the server and expects of it the name `host`, which need not resolve. */
static struct stream *open_as(struct world *world, const char *host)
{
    struct stream_options options = {.host = "127.0.0.1",
        .port = world->server.port,
        .connect_ms = LONG_MS,
        .tls_ms = LONG_MS,
        .tls = world->tls};
    struct stream *stream = NULL;
    ck_assert_int_eq(stream_open(&stream, &options, &world->why), 0);
    free(stream->host);
    stream->host = strdup(host);
    return stream;
}

/* The handshake's result; the sentence of a failure stands in world->why. */
static int shake_hands(struct world *world, const char *host)
{
    struct stream *stream = open_as(world, host);
    world->why = (struct err)ERR_INIT;
    int r = stream_start_tls(stream, &world->why);
    ck_assert(stream_is_tls(stream) == (r == 0));
    stream_destroy(&stream);
    ck_assert_ptr_null(stream);
    return r;
}

static void assert_rejected(const struct world *world, int r, const char *words)
{
    ck_assert_int_eq(r, -EKEYREJECTED);
    ck_assert_int_eq(world->why.class, ERR_RETRY);
    ck_assert_int_eq(world->why.errnum, EKEYREJECTED);
    ck_assert_msg(
        strstr(world->why.text, words) != NULL, "\"%s\" lacks \"%s\"", world->why.text, words);
}

/* ---- whose certificate it is ---- */

START_TEST(a_right_certificate_lets_bytes_through)
{
    struct world world;
    world_begin(&world, "DNS:mail.example.org", NULL);
    server_start(&world.server);
    struct stream *stream = open_as(&world, "mail.example.org");
    ck_assert_int_eq(stream_start_tls(stream, &world.why), 0);
    char data[100] = "";
    int64_t n = stream_read(stream, data, sizeof data, deadline_in(LONG_MS), &world.why);
    ck_assert_int_eq(n, (int64_t)strlen(GREETING));
    ck_assert_mem_eq(data, GREETING, strlen(GREETING));
    ck_assert_int_eq(stream_write(stream, "bye", 3, deadline_in(LONG_MS), &world.why), 0);
    ck_assert_uint_eq(stream_bytes_in(stream), strlen(GREETING));
    ck_assert_uint_eq(stream_bytes_out(stream), 3);
    ck_assert_int_ge(SSL_version(stream->ssl), TLS1_2_VERSION);
    stream_destroy(&stream);
    world_end(&world);
    ck_assert_str_eq(world.server.asked_name, "mail.example.org");
}
END_TEST

/* RFC 9525 6.3: one whole label, the leftmost, and never a top-level domain alone. */
static const struct {
    const char *names;
    const char *host;
    bool right;
} names_table[] = {
    {"DNS:mail.example.org", "mail.example.org", true},
    {"DNS:mail.example.org", "MAIL.Example.ORG", true},
    {"DNS:other.example.org,DNS:mail.example.org", "mail.example.org", true},
    {"DNS:mail.example.org", "example.org", false},
    {"DNS:example.org", "mail.example.org", false},
    {"DNS:mail.example.org.evil.net", "mail.example.org", false},
    {"DNS:*.example.org", "mail.example.org", true},
    {"DNS:*.example.org", "example.org", false},
    {"DNS:*.example.org", "a.mail.example.org", false},
    {"DNS:m*.example.org", "mail.example.org", false},
    {"DNS:*l.example.org", "mail.example.org", false},
    {"DNS:mail.*.org", "mail.example.org", false},
    {"DNS:*.org", "example.org", false},
    {"DNS:*", "localhost", false},
    {"IP:127.0.0.1", "127.0.0.1", true},
    {"IP:127.0.0.2", "127.0.0.1", false},
    {"DNS:127.0.0.1", "127.0.0.1", false},
    {"DNS:*.0.0.1", "127.0.0.1", false},
    {"IP:0:0:0:0:0:0:0:1", "::1", true},
    {"IP:0:0:0:0:0:0:0:2", "::1", false},
    {"DNS:mail.example.org", "127.0.0.1", false},
    {"IP:127.0.0.1", "mail.example.org", false},
};

START_TEST(a_certificate_must_name_the_host)
{
    struct world world;
    world_begin(&world, names_table[_i].names, NULL);
    server_start(&world.server);
    int r = shake_hands(&world, names_table[_i].host);
    if (names_table[_i].right) {
        ck_assert_int_eq(r, 0);
    } else {
        assert_rejected(&world, r, "the certificate is for another name than ");
        assert_rejected(&world, r, names_table[_i].host);
    }
    world_end(&world);
}
END_TEST

START_TEST(an_address_is_not_sent_as_a_name)
{
    struct world world;
    world_begin(&world, "IP:127.0.0.1", NULL);
    server_start(&world.server);
    struct stream *stream = open_as(&world, "127.0.0.1");
    ck_assert_int_eq(stream_start_tls(stream, &world.why), 0);
    stream_destroy(&stream);
    world_end(&world);
    ck_assert_str_eq(world.server.asked_name, "");
}
END_TEST

/* ---- who signed it, and when ---- */

/* Whether the client takes this certificate; frees it. */
static int try_certificate(struct world *world, const struct cert_wish *wish)
{
    struct cert other = cert_make(wish);
    world->server.cert = &other;
    server_start(&world->server);
    int r = shake_hands(world, "mail.example.org");
    world_end(world);
    cert_finish(&other);
    return r;
}

START_TEST(an_expired_certificate_is_refused)
{
    struct world world;
    world_begin(&world, "DNS:x", NULL);
    struct cert_wish wish = {"DNS:mail.example.org", &world.authority, -86400, -3600};
    assert_rejected(&world, try_certificate(&world, &wish), "has expired");
}
END_TEST

START_TEST(a_certificate_of_the_future_is_refused)
{
    struct world world;
    world_begin(&world, "DNS:x", NULL);
    struct cert_wish wish = {"DNS:mail.example.org", &world.authority, 3600, 86400};
    assert_rejected(&world, try_certificate(&world, &wish), "not yet valid");
}
END_TEST

START_TEST(a_self_signed_certificate_is_refused)
{
    struct world world;
    world_begin(&world, "DNS:x", NULL);
    struct cert_wish wish = {.names = "DNS:mail.example.org"};
    assert_rejected(&world, try_certificate(&world, &wish), "self-signed");
    ck_assert_ptr_nonnull(strstr(world.why.text, "tls_ca="));
}
END_TEST

START_TEST(a_self_signed_certificate_is_taken_when_it_is_the_trusted_one)
{
    struct world world;
    world_begin(&world, "DNS:mail.example.org", NULL);
    struct cert_wish wish = {.names = "DNS:mail.example.org"};
    struct cert own = cert_make(&wish);
    char path[128];
    cert_write(&own, path, sizeof path);
    tls_context_destroy(&world.tls);
    struct tls_options options = {path, NULL};
    ck_assert_int_eq(tls_context_create(&world.tls, &options, &world.why), 0);
    world.server.cert = &own;
    server_start(&world.server);
    ck_assert_int_eq(shake_hands(&world, "mail.example.org"), 0);
    assert_rejected(&world, shake_hands(&world, "example.org"), "another name");
    world_end(&world);
    ck_assert_int_eq(unlink(path), 0);
    cert_finish(&own);
}
END_TEST

START_TEST(a_certificate_of_an_unknown_authority_is_refused)
{
    struct world world;
    world_begin(&world, "DNS:x", NULL);
    struct cert_wish root_wish = {.names = NULL};
    struct cert root = cert_make(&root_wish); /* it has the same name, but not the key */
    struct cert_wish wish = {.names = "DNS:mail.example.org", .issuer = &root};
    int r = try_certificate(&world, &wish);
    ck_assert_int_eq(r, -EKEYREJECTED);
    ck_assert_int_eq(world.why.class, ERR_RETRY);
    cert_finish(&root);
}
END_TEST

START_TEST(an_authority_that_is_not_in_the_file_is_named_as_the_reason)
{
    struct world world;
    world_begin(&world, "DNS:mail.example.org", NULL);
    tls_context_destroy(&world.tls);
    struct cert_wish wish = {.names = "DNS:somebody.else"};
    struct cert trusted = cert_make(&wish);
    char path[128];
    cert_write(&trusted, path, sizeof path);
    struct tls_options options = {path, NULL};
    ck_assert_int_eq(tls_context_create(&world.tls, &options, &world.why), 0);
    server_start(&world.server);
    assert_rejected(&world, shake_hands(&world, "mail.example.org"), "unknown authority");
    ck_assert_ptr_nonnull(strstr(world.why.text, "tls_ca="));
    world_end(&world);
    ck_assert_int_eq(unlink(path), 0);
    cert_finish(&trusted);
}
END_TEST

START_TEST(a_stream_whose_certificate_was_refused_moves_no_bytes)
{
    struct world world;
    world_begin(&world, "DNS:other.example.org", NULL);
    server_start(&world.server);
    struct stream *stream = open_as(&world, "mail.example.org");
    ck_assert_int_eq(stream_start_tls(stream, &world.why), -EKEYREJECTED);
    char byte;
    ck_assert_int_lt(stream_read(stream, &byte, 1, deadline_in(LONG_MS), &world.why), 0);
    ck_assert_int_lt(stream_write(stream, "a LOGIN", 7, deadline_in(LONG_MS), &world.why), 0);
    ck_assert_uint_eq(stream_bytes_out(stream), 0);
    ck_assert(stream_has_input(stream));
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

/* ---- pins ---- */

static char *pin_of(const struct cert *cert)
{
    unsigned char *spki = NULL;
    int len = i2d_PUBKEY(cert->key, &spki);
    ck_assert_int_gt(len, 0);
    guint8 digest[32];
    gsize digest_len = sizeof digest;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, spki, len);
    g_checksum_get_digest(sum, digest, &digest_len);
    g_checksum_free(sum);
    OPENSSL_free(spki);
    char *base64 = g_base64_encode(digest, digest_len);
    char *pin = g_strconcat("sha256//", base64, NULL);
    g_free(base64);
    return pin;
}

static int shake_hands_pinned(struct world *world, const char *host, const char *pin)
{
    tls_context_destroy(&world->tls);
    struct tls_options options = {world->ca_path, pin};
    ck_assert_int_eq(tls_context_create(&world->tls, &options, &world->why), 0);
    return shake_hands(world, host);
}

START_TEST(a_pin_must_fit_besides_the_chain)
{
    struct world world;
    world_begin(&world, "DNS:mail.example.org", NULL);
    server_start(&world.server);
    char *right = pin_of(&world.cert);
    char *wrong = pin_of(&world.authority);
    ck_assert_int_eq(shake_hands_pinned(&world, "mail.example.org", right), 0);
    assert_rejected(&world, shake_hands_pinned(&world, "mail.example.org", wrong), "tls_pin");
    assert_rejected(&world, shake_hands_pinned(&world, "example.org", right), "another name");
    world_end(&world);
    g_free(right);
    g_free(wrong);
}
END_TEST

START_TEST(settings_that_cannot_be_used_are_refused)
{
    static const char *const pins[] = {"", "sha256//",
        "sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "2jmj7l5rSw0yVb/vlWAYkK/YBwk2jmj7l5rSw0yVb/vlW==",
        "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
        "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF*=",
        "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=x"};
    struct tls_context *context = NULL;
    struct err why = ERR_INIT;
    for (size_t i = 0; i < sizeof pins / sizeof pins[0]; i++) {
        struct tls_options options = {NULL, pins[i]};
        ck_assert_int_eq(tls_context_create(&context, &options, &why), -EINVAL);
        ck_assert_int_eq(why.class, ERR_LOCAL);
    }
    struct tls_options good = {NULL, "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="};
    ck_assert_int_eq(tls_context_create(&context, &good, &why), 0);
    tls_context_destroy(&context);
    struct tls_options missing = {"/nonexistent/ca.pem", NULL};
    ck_assert_int_eq(tls_context_create(&context, &missing, &why), -ENOENT);
    struct tls_options not_pem = {"/dev/null", NULL};
    ck_assert_int_eq(tls_context_create(&context, &not_pem, &why), -EINVAL);
    ck_assert_int_eq(why.class, ERR_LOCAL);
    ck_assert_ptr_null(context);
}
END_TEST

/* ---- versions ---- */

START_TEST(versions_below_1_2_are_refused)
{
    static const struct {
        int version;
        bool right;
    } versions[] = {{TLS1_VERSION, false}, {TLS1_1_VERSION, false}, {TLS1_2_VERSION, true},
        {TLS1_3_VERSION, true}};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct world world;
        world_begin(&world, "DNS:mail.example.org", NULL);
        world.server.max_version = versions[i].version;
        server_start(&world.server);
        int r = shake_hands(&world, "mail.example.org");
        ck_assert_int_eq(r, versions[i].right ? 0 : -EHOSTDOWN);
        if (!versions[i].right) {
            ck_assert_int_eq(world.why.class, ERR_RETRY);
            ck_assert_ptr_nonnull(strstr(world.why.text, "1.2"));
        }
        world_end(&world);
    }
}
END_TEST

/* ---- resumption ---- */

/* Whether a connection that expects `host` was resumed; it reads the greeting, and so the tickets.
 */
static bool is_resumed(struct world *world, const char *host)
{
    struct stream *stream = open_as(world, host);
    ck_assert_int_eq(stream_start_tls(stream, &world->why), 0);
    char data[100];
    ck_assert_int_gt(stream_read(stream, data, sizeof data, deadline_in(LONG_MS), &world->why), 0);
    bool resumed = SSL_session_reused(stream->ssl) == 1;
    ck_assert_int_eq(SSL_get_verify_result(stream->ssl), X509_V_OK);
    stream_destroy(&stream);
    return resumed;
}

START_TEST(a_session_is_resumed_with_the_same_endpoint_only)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct world world;
        world_begin(&world, "DNS:*.example.org", NULL);
        world.server.max_version = versions[i];
        server_start(&world.server);
        ck_assert(!is_resumed(&world, "a.example.org"));
        ck_assert(is_resumed(&world, "a.example.org"));
        ck_assert(!is_resumed(&world, "b.example.org"));
        ck_assert(is_resumed(&world, "b.example.org"));
        for (int j = 0; j < 40; j++) { /* more than are kept */
            ck_assert(is_resumed(&world, "a.example.org"));
        }
        world_end(&world);
    }
}
END_TEST

START_TEST(a_resumed_session_must_fit_the_pin_too)
{
    struct world world;
    world_begin(&world, "DNS:mail.example.org", NULL);
    server_start(&world.server);
    ck_assert(!is_resumed(&world, "mail.example.org"));
    ck_assert(is_resumed(&world, "mail.example.org"));
    char *wrong = pin_of(&world.authority);
    (void)snprintf(world.tls->pin, sizeof world.tls->pin, "%s", wrong + strlen("sha256//"));
    assert_rejected(&world, shake_hands(&world, "mail.example.org"), "tls_pin");
    world_end(&world);
    g_free(wrong);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls");
    TCase *tcase = tcase_create("tls");
    tcase_add_test(tcase, a_right_certificate_lets_bytes_through);
    tcase_add_loop_test(tcase, a_certificate_must_name_the_host, 0,
        (int)(sizeof names_table / sizeof names_table[0]));
    tcase_add_test(tcase, an_address_is_not_sent_as_a_name);
    tcase_add_test(tcase, an_expired_certificate_is_refused);
    tcase_add_test(tcase, a_certificate_of_the_future_is_refused);
    tcase_add_test(tcase, a_self_signed_certificate_is_refused);
    tcase_add_test(tcase, a_self_signed_certificate_is_taken_when_it_is_the_trusted_one);
    tcase_add_test(tcase, a_certificate_of_an_unknown_authority_is_refused);
    tcase_add_test(tcase, an_authority_that_is_not_in_the_file_is_named_as_the_reason);
    tcase_add_test(tcase, a_stream_whose_certificate_was_refused_moves_no_bytes);
    tcase_add_test(tcase, a_pin_must_fit_besides_the_chain);
    tcase_add_test(tcase, settings_that_cannot_be_used_are_refused);
    tcase_add_test(tcase, versions_below_1_2_are_refused);
    tcase_add_test(tcase, a_session_is_resumed_with_the_same_endpoint_only);
    tcase_add_test(tcase, a_resumed_session_must_fit_the_pin_too);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

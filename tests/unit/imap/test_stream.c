#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "imap/stream_inside.h"
#include "tls_server.h"

#define LONG_MS INT64_C(60000)
#define SHORT_MS 30 /* where what is waited for never comes */

/* A server with a certificate for 127.0.0.1 and a client that trusts it. */
struct world {
    struct cert cert;
    struct server server;
    char ca_path[128];
    struct tls_context *tls;
    struct waker cancel;
    struct stream_options options;
    struct err why;
};

static void world_begin(struct world *world, enum behaviour behaviour)
{
    memset(world, 0, sizeof *world);
    struct cert_wish wish = {.names = "IP:127.0.0.1,DNS:localhost"};
    world->cert = cert_make(&wish);
    cert_write(&world->cert, world->ca_path, sizeof world->ca_path);
    struct tls_options options = {world->ca_path, NULL};
    ck_assert_int_eq(tls_context_create(&world->tls, &options, &world->why), 0);
    ck_assert_int_eq(waker_init(&world->cancel), 0);
    world->server.cert = &world->cert;
    world->server.behaviour = behaviour;
    world->options = (struct stream_options){.host = "127.0.0.1",
        .port = world->server.port,
        .connect_ms = LONG_MS,
        .tls_ms = LONG_MS,
        .tls = world->tls,
        .cancel = &world->cancel};
}

static void world_end(struct world *world)
{
    server_stop(&world->server);
    tls_context_destroy(&world->tls);
    waker_finish(&world->cancel);
    ck_assert_int_eq(unlink(world->ca_path), 0);
    cert_finish(&world->cert);
}

static struct stream *open_clear(struct world *world)
{
    struct stream *stream = NULL;
    ck_assert_int_eq(stream_open(&stream, &world->options, &world->why), 0);
    return stream;
}

static struct stream *open_tls(struct world *world)
{
    struct stream *stream = open_clear(world);
    ck_assert_int_eq(stream_start_tls(stream, &world->why), 0);
    return stream;
}

static void read_exactly(struct world *world, struct stream *stream, const char *expected)
{
    char data[100];
    size_t want = strlen(expected);
    size_t got = 0;
    while (got < want) {
        int64_t n = stream_read(stream, data + got, want - got, deadline_in(LONG_MS), &world->why);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_mem_eq(data, expected, want);
}

static void assert_failed(
    const struct world *world, int64_t r, enum err_class class, int errnum, const char *words)
{
    ck_assert_int_eq(r, -errnum);
    ck_assert_int_eq(world->why.class, class);
    ck_assert_int_eq(world->why.errnum, errnum);
    ck_assert_msg(
        strstr(world->why.text, words) != NULL, "\"%s\" lacks \"%s\"", world->why.text, words);
}

static int64_t read_once(struct world *world, struct stream *stream, int64_t wait_ms)
{
    char data[100];
    return stream_read(stream, data, sizeof data, deadline_in(wait_ms), &world->why);
}

/* ---- connecting ---- */

START_TEST(a_connection_has_its_options_set)
{
    static const struct {
        int level, name, value;
    } wanted[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 15},
        {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 4},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 20000},
        {IPPROTO_TCP, TCP_NODELAY, 1},
    };
    struct world world;
    world_begin(&world, MUTE);
    server_start(&world.server);
    struct stream *stream = open_clear(&world);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        int value = -1;
        socklen_t len = sizeof value;
        ck_assert_int_eq(getsockopt(stream->fd, wanted[i].level, wanted[i].name, &value, &len), 0);
        ck_assert_int_eq(value, wanted[i].value);
    }
    ck_assert_int_eq(fcntl(stream->fd, F_GETFD), FD_CLOEXEC);
    ck_assert(!stream_is_tls(stream));
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

/* "localhost" may be ::1 first, where nobody listens. */
START_TEST(a_name_is_looked_up_and_each_of_its_addresses_tried)
{
    struct world world;
    world_begin(&world, GREET);
    server_start(&world.server);
    world.options.host = "localhost";
    struct stream *stream = open_tls(&world);
    read_exactly(&world, stream, GREETING);
    stream_destroy(&stream);
    world_end(&world);
    ck_assert_str_eq(world.server.asked_name, "localhost");
}
END_TEST

START_TEST(a_refused_connection_names_host_and_port)
{
    struct world world;
    world_begin(&world, MUTE);
    server_start(&world.server);
    char port[8];
    int fd = listen_somewhere(1, port, sizeof port);
    ck_assert_int_eq(close(fd), 0); /* now nobody listens there */
    struct stream *stream = NULL;
    world.options.port = port;
    int r = stream_open(&stream, &world.options, &world.why);
    assert_failed(&world, r, ERR_RETRY, EHOSTDOWN, "127.0.0.1 port ");
    assert_failed(&world, r, ERR_RETRY, EHOSTDOWN, port);
    ck_assert_ptr_null(stream);
    world_end(&world);
}
END_TEST

START_TEST(an_unknown_host_is_named)
{
    struct world world;
    world_begin(&world, MUTE);
    server_start(&world.server);
    static const char *const hosts[] = {"no such host", "-.-", "a..b"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct stream *stream = NULL;
        world.options.host = hosts[i];
        int r = stream_open(&stream, &world.options, &world.why);
        assert_failed(&world, r, ERR_RETRY, EHOSTDOWN, hosts[i]);
    }
    struct stream *stream = NULL;
    world.options.host = "";
    int r = stream_open(&stream, &world.options, &world.why);
    assert_failed(&world, r, ERR_LOCAL, EINVAL, "host");
    world_end(&world);
}
END_TEST

START_TEST(an_unknown_service_is_a_failure_too)
{
    struct world world;
    world_begin(&world, MUTE);
    server_start(&world.server);
    static const char *const ports[] = {"no-such-service", "99999", ""};
    for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++) {
        struct stream *stream = NULL;
        world.options.port = ports[i];
        int r = stream_open(&stream, &world.options, &world.why);
        ck_assert_int_eq(r, -EHOSTDOWN);
        ck_assert_int_eq(world.why.class, ERR_RETRY);
    }
    world_end(&world);
}
END_TEST

/* Connections to a port whose queue is full are neither taken nor refused. */
static void fill_queue(const char *port, int *fds, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    for (size_t i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fds[i], 0);
        (void)connect(fds[i], (struct sockaddr *)&address, sizeof address);
        if (i == 0) {
            struct pollfd wait = {.fd = fds[i], .events = POLLOUT, .revents = 0};
            ck_assert_int_eq(poll(&wait, 1, (int)LONG_MS), 1);
        }
    }
}

static void *wake_it(void *arg)
{
    waker_wake(arg);
    return NULL;
}

START_TEST(a_connection_that_nobody_takes_ends_at_its_deadline_or_when_it_is_cancelled)
{
    struct world world;
    world_begin(&world, MUTE);
    server_start(&world.server);
    char port[8];
    int fd = listen_somewhere(0, port, sizeof port);
    int fillers[3];
    fill_queue(port, fillers, 3);
    world.options.port = port;
    world.options.connect_ms = SHORT_MS;
    struct stream *stream = NULL;
    int r = stream_open(&stream, &world.options, &world.why);
    assert_failed(&world, r, ERR_RETRY, EHOSTDOWN, "timed out");
    world.options.connect_ms = LONG_MS * 10;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wake_it, &world.cancel), 0);
    r = stream_open(&stream, &world.options, &world.why);
    assert_failed(&world, r, ERR_CANCELLED, EINTR, "");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < 3; i++) {
        (void)close(fillers[i]);
    }
    (void)close(fd);
    world_end(&world);
}
END_TEST

/* ---- ends ---- */

START_TEST(a_server_that_says_goodbye_closed_the_connection)
{
    struct world world;
    world_begin(&world, GREET_CLOSE);
    server_start(&world.server);
    struct stream *stream = open_tls(&world);
    read_exactly(&world, stream, GREETING);
    assert_failed(&world, read_once(&world, stream, LONG_MS), ERR_RETRY, EHOSTDOWN, "closed");
    ck_assert(stream_has_input(stream));
    assert_failed(&world, read_once(&world, stream, LONG_MS), ERR_RETRY, EHOSTDOWN, "");
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

START_TEST(an_end_without_goodbye_is_told_apart)
{
    struct world world;
    world_begin(&world, GREET_CUT);
    server_start(&world.server);
    struct stream *stream = open_tls(&world);
    read_exactly(&world, stream, GREETING);
    assert_failed(&world, read_once(&world, stream, LONG_MS), ERR_RETRY, EHOSTDOWN, "cut");
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

/* Writes until it fails; SIGPIPE would end this program. */
static int write_until_failure(struct world *world, struct stream *stream)
{
    for (;;) {
        int r = stream_write(stream, "0123456789", 10, deadline_in(LONG_MS), &world->why);
        if (r < 0) {
            return r;
        }
    }
}

START_TEST(writing_to_a_lost_server_fails_and_raises_no_signal)
{
    static const enum behaviour behaviours[] = {RESET, CLEAR_RESET, GREET_CUT};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        struct world world;
        world_begin(&world, behaviours[i]);
        server_start(&world.server);
        struct stream *stream =
            behaviours[i] == CLEAR_RESET ? open_clear(&world) : open_tls(&world);
        int r = write_until_failure(&world, stream);
        assert_failed(&world, r, ERR_RETRY, EHOSTDOWN, "127.0.0.1");
        r = stream_write(stream, "x", 1, deadline_in(LONG_MS), &world.why);
        assert_failed(&world, r, ERR_RETRY, EHOSTDOWN, "127.0.0.1");
        stream_destroy(&stream);
        world_end(&world);
    }
}
END_TEST

/* ---- waits ---- */

START_TEST(a_silent_server_is_left_at_the_deadline)
{
    struct world world;
    world_begin(&world, MUTE);
    server_start(&world.server);
    world.options.tls_ms = SHORT_MS;
    struct stream *stream = open_clear(&world);
    assert_failed(&world, read_once(&world, stream, SHORT_MS), ERR_RETRY, ETIMEDOUT, "127.0.0.1");
    int r = stream_start_tls(stream, &world.why);
    assert_failed(&world, r, ERR_RETRY, ETIMEDOUT, "127.0.0.1");
    ck_assert(!stream_is_tls(stream));
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

START_TEST(a_read_that_timed_out_can_be_tried_again)
{
    struct world world;
    world_begin(&world, MUTE_TLS);
    server_start(&world.server);
    struct stream *stream = open_tls(&world);
    for (int i = 0; i < 3; i++) {
        assert_failed(&world, read_once(&world, stream, SHORT_MS), ERR_RETRY, ETIMEDOUT, "in time");
    }
    ck_assert_int_eq(stream_write(stream, "x", 1, deadline_in(LONG_MS), &world.why), 0);
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

START_TEST(another_thread_ends_a_wait)
{
    static const enum behaviour behaviours[] = {MUTE, MUTE_TLS};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        struct world world;
        world_begin(&world, behaviours[i]);
        world.server.wake = &world.cancel; /* by the server's thread, in the middle */
        server_start(&world.server);
        struct stream *stream = open_clear(&world);
        int64_t r = stream_start_tls(stream, &world.why);
        if (r == 0) {
            r = read_once(&world, stream, LONG_MS * 10);
        }
        assert_failed(&world, r, ERR_CANCELLED, EINTR, "");
        stream_destroy(&stream);
        world_end(&world);
    }
}
END_TEST

START_TEST(while_it_is_cancelled_nothing_is_done)
{
    struct world world;
    world_begin(&world, GREET);
    server_start(&world.server);
    struct stream *stream = open_tls(&world);
    read_exactly(&world, stream, GREETING);
    waker_wake(&world.cancel);
    assert_failed(&world, read_once(&world, stream, LONG_MS), ERR_CANCELLED, EINTR, "");
    int r = stream_write(stream, "x", 1, deadline_in(LONG_MS), &world.why);
    assert_failed(&world, r, ERR_CANCELLED, EINTR, "");
    struct stream *second = NULL;
    r = stream_open(&second, &world.options, &world.why);
    assert_failed(&world, r, ERR_CANCELLED, EINTR, "");
    ck_assert_ptr_null(second);
    waker_clear(&world.cancel);
    ck_assert_int_eq(stream_write(stream, "x", 1, deadline_in(LONG_MS), &world.why), 0);
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

/* ---- TLS on what is connected ---- */

START_TEST(tls_is_started_after_an_exchange_in_the_clear)
{
    struct world world;
    world_begin(&world, UPGRADE);
    server_start(&world.server);
    struct stream *stream = open_clear(&world);
    read_exactly(&world, stream, GREETING);
    ck_assert_int_eq(
        stream_write(stream, "a STARTTLS\r\n", 12, deadline_in(LONG_MS), &world.why), 0);
    read_exactly(&world, stream, "a OK\r\n");
    ck_assert_int_eq(stream_start_tls(stream, &world.why), 0);
    ck_assert(stream_is_tls(stream));
    read_exactly(&world, stream, GREETING);
    ck_assert_int_eq(stream_start_tls(stream, &world.why), -EIO);
    ck_assert_int_eq(world.why.class, ERR_BUG);
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

START_TEST(what_waits_in_the_clear_when_tls_starts_is_an_attack)
{
    struct world world;
    world_begin(&world, CLEAR_GREET);
    server_start(&world.server);
    struct stream *stream = open_clear(&world);
    read_exactly(&world, stream, "* OK"); /* the rest is there, or comes at once */
    struct pollfd wait = {.fd = stream->fd, .events = POLLIN, .revents = 0};
    ck_assert_int_eq(poll(&wait, 1, (int)LONG_MS), 1);
    ck_assert(stream_has_input(stream));
    int r = stream_start_tls(stream, &world.why);
    assert_failed(&world, r, ERR_HOSTILE, EPROTO, "before TLS");
    ck_assert(!stream_is_tls(stream));
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

START_TEST(a_server_that_does_not_speak_tls_is_told_so)
{
    struct world world;
    world_begin(&world, CLEAR_GREET);
    server_start(&world.server);
    struct stream *stream = open_clear(&world);
    int r = stream_start_tls(stream, &world.why); /* the greeting comes before it or during it */
    ck_assert(r == -EPROTO || r == -EHOSTDOWN);
    ck_assert_ptr_nonnull(strstr(world.why.text, "it may be a port for STARTTLS"));
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

/* ---- amounts ---- */

START_TEST(much_is_written_whole)
{
    struct world world;
    world_begin(&world, SWALLOW);
    server_start(&world.server);
    struct stream *stream = open_tls(&world);
    unsigned char *data = malloc(SWALLOW_BYTES);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < SWALLOW_BYTES; i++) {
        data[i] = pour_byte(i);
    }
    ck_assert_int_eq(
        stream_write(stream, data, SWALLOW_BYTES, deadline_in(LONG_MS), &world.why), 0);
    read_exactly(&world, stream, "right");
    ck_assert_uint_eq(stream_bytes_out(stream), SWALLOW_BYTES);
    free(data);
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

START_TEST(much_is_read_in_order)
{
    static const size_t sizes[] = {1000, 16384, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct world world;
        world_begin(&world, POUR);
        server_start(&world.server);
        struct stream *stream = open_tls(&world);
        unsigned char *data = malloc(sizes[i]);
        size_t got = 0;
        bool right = true;
        while (got < SWALLOW_BYTES) {
            int64_t n = stream_read(stream, data, sizes[i], deadline_in(LONG_MS), &world.why);
            ck_assert_int_gt(n, 0);
            for (int64_t j = 0; j < n; j++) {
                right = right && data[j] == pour_byte(got + (size_t)j);
            }
            got += (size_t)n;
        }
        ck_assert(right);
        ck_assert_uint_eq(stream_bytes_in(stream), SWALLOW_BYTES);
        free(data);
        stream_destroy(&stream);
        world_end(&world);
    }
}
END_TEST

START_TEST(only_data_or_an_end_is_input)
{
    struct world world;
    world_begin(&world, MUTE_TLS);
    server_start(&world.server);
    struct stream *stream = open_tls(&world);
    struct pollfd wait = {.fd = stream->fd, .events = POLLIN, .revents = 0};
    ck_assert_int_eq(poll(&wait, 1, (int)LONG_MS), 1); /* the tickets */
    ck_assert(!stream_has_input(stream));
    stream_destroy(&stream);
    world_end(&world);

    world_begin(&world, GREET);
    server_start(&world.server);
    stream = open_tls(&world);
    read_exactly(&world, stream, "* ");
    ck_assert(stream_has_input(stream)); /* the rest of the record, which no poll shows */
    read_exactly(&world, stream, "OK hello\r\n");
    ck_assert(!stream_has_input(stream));
    stream_destroy(&stream);
    world_end(&world);
}
END_TEST

START_TEST(a_stream_that_never_was_is_destroyed_without_harm)
{
    struct stream *stream = NULL;
    stream_destroy(&stream);
    struct tls_context *context = NULL;
    tls_context_destroy(&context);
    ck_assert_ptr_null(stream);
    ck_assert_ptr_null(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *tcase = tcase_create("stream");
    tcase_add_test(tcase, a_connection_has_its_options_set);
    tcase_add_test(tcase, a_name_is_looked_up_and_each_of_its_addresses_tried);
    tcase_add_test(tcase, a_refused_connection_names_host_and_port);
    tcase_add_test(tcase, an_unknown_host_is_named);
    tcase_add_test(tcase, an_unknown_service_is_a_failure_too);
    tcase_add_test(
        tcase, a_connection_that_nobody_takes_ends_at_its_deadline_or_when_it_is_cancelled);
    tcase_add_test(tcase, a_server_that_says_goodbye_closed_the_connection);
    tcase_add_test(tcase, an_end_without_goodbye_is_told_apart);
    tcase_add_test(tcase, writing_to_a_lost_server_fails_and_raises_no_signal);
    tcase_add_test(tcase, a_silent_server_is_left_at_the_deadline);
    tcase_add_test(tcase, a_read_that_timed_out_can_be_tried_again);
    tcase_add_test(tcase, another_thread_ends_a_wait);
    tcase_add_test(tcase, while_it_is_cancelled_nothing_is_done);
    tcase_add_test(tcase, tls_is_started_after_an_exchange_in_the_clear);
    tcase_add_test(tcase, what_waits_in_the_clear_when_tls_starts_is_an_attack);
    tcase_add_test(tcase, a_server_that_does_not_speak_tls_is_told_so);
    tcase_add_test(tcase, much_is_written_whole);
    tcase_add_test(tcase, much_is_read_in_order);
    tcase_add_test(tcase, only_data_or_an_end_is_input);
    tcase_add_test(tcase, a_stream_that_never_was_is_destroyed_without_harm);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/waker.h"
#include "imap/stream.h"

#define LONG_MS 60000
#define SHORT_MS 30 /* where what is waited for never comes */
#define ANSWERS_MAX 4

/* The resolver of this program: what it answers, and when. Set before anybody asks. */
static struct addrinfo answers[ANSWERS_MAX];
static struct sockaddr_storage addresses[ANSWERS_MAX];
static size_t answer_count;
static int answer_result;
static struct waker may_answer; /* set: at once */
static struct waker freed;      /* set once an answer was given back */
static struct waker *asked;     /* woken by whoever asks, may be NULL */

int getaddrinfo(const char *restrict host, const char *restrict port,
    const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
    struct pollfd wait = {.fd = may_answer.fd, .events = POLLIN, .revents = 0};
    if (asked != NULL) {
        waker_wake(asked);
    }
    (void)poll(&wait, 1, -1);
    if (host == NULL || port == NULL || hints->ai_socktype != SOCK_STREAM) {
        return EAI_FAIL;
    }
    *ret = answers;
    return answer_result;
}

void freeaddrinfo(struct addrinfo *list)
{
    ck_assert_ptr_eq(list, answers);
    waker_wake(&freed);
}

static void resolver_begin(void)
{
    answer_count = 0;
    answer_result = 0;
    asked = NULL;
    ck_assert_int_eq(waker_init(&may_answer), 0);
    ck_assert_int_eq(waker_init(&freed), 0);
}

static void resolver_end(void)
{
    waker_finish(&may_answer);
    waker_finish(&freed);
}

static void add_answer(int family, const char *address, uint16_t port)
{
    size_t i = answer_count++;
    memset(&addresses[i], 0, sizeof addresses[i]);
    answers[i] = (struct addrinfo){.ai_family = family,
        .ai_socktype = SOCK_STREAM,
        .ai_protocol = IPPROTO_TCP,
        .ai_addr = (struct sockaddr *)&addresses[i]};
    if (family == AF_INET6) {
        struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        ck_assert_int_eq(inet_pton(family, address, &six.sin6_addr), 1);
        memcpy(&addresses[i], &six, sizeof six);
        answers[i].ai_addrlen = sizeof six;
    } else {
        struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
        ck_assert_int_eq(inet_pton(family, address, &four.sin_addr), 1);
        memcpy(&addresses[i], &four, sizeof four);
        answers[i].ai_addrlen = sizeof four;
    }
    if (i > 0) {
        answers[i - 1].ai_next = &answers[i];
    }
}

static int listen_at(int backlog, uint16_t *ret_port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = 0};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* Where connections are neither taken nor refused: the queue is full. */
static void open_black_hole(int *fds, size_t count, uint16_t *ret_port)
{
    fds[0] = listen_at(0, ret_port);
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(*ret_port)};
    for (size_t i = 1; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fds[i], 0);
        (void)connect(fds[i], (struct sockaddr *)&address, sizeof address);
        if (i == 1) {
            struct pollfd wait = {.fd = fds[i], .events = POLLOUT, .revents = 0};
            ck_assert_int_eq(poll(&wait, 1, LONG_MS), 1);
        }
    }
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
}

static int open_named(struct waker *cancel, int64_t connect_ms, struct err *why)
{
    struct stream_options options = {.host = "mail.example.org",
        .port = "993",
        .connect_ms = connect_ms,
        .tls_ms = LONG_MS,
        .cancel = cancel};
    struct stream *stream = NULL;
    int r = stream_open(&stream, &options, why);
    ck_assert((stream != NULL) == (r == 0));
    stream_destroy(&stream);
    return r;
}

/* ---- the resolver ---- */

static void wait_until_freed(void)
{
    struct pollfd wait = {.fd = freed.fd, .events = POLLIN, .revents = 0};
    ck_assert_int_eq(poll(&wait, 1, LONG_MS), 1);
    waker_clear(
        &freed); /* a read orders what the other thread did before this one, a poll does not */
}

START_TEST(a_resolver_that_stalls_is_left_at_the_deadline_and_cleans_up_after_itself)
{
    resolver_begin();
    add_answer(AF_INET, "127.0.0.1", 1);
    struct err why = ERR_INIT;
    ck_assert_int_eq(open_named(NULL, SHORT_MS, &why), -EHOSTDOWN);
    ck_assert_int_eq(why.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(why.text, "mail.example.org"));
    waker_wake(&may_answer); /* too late: nobody wants it any more */
    wait_until_freed();
    resolver_end();
}
END_TEST

START_TEST(a_resolver_that_stalls_is_left_when_somebody_says_so)
{
    resolver_begin();
    add_answer(AF_INET, "127.0.0.1", 1);
    struct waker cancel;
    ck_assert_int_eq(waker_init(&cancel), 0);
    asked = &cancel;
    struct err why = ERR_INIT;
    ck_assert_int_eq(open_named(&cancel, INT64_C(600000), &why), -EINTR);
    ck_assert_int_eq(why.class, ERR_CANCELLED);
    waker_wake(&may_answer);
    wait_until_freed();
    waker_finish(&cancel);
    resolver_end();
}
END_TEST

START_TEST(what_the_resolver_says_stands_in_the_sentence)
{
    resolver_begin();
    answer_result = EAI_NONAME;
    waker_wake(&may_answer);
    struct err why = ERR_INIT;
    ck_assert_int_eq(open_named(NULL, LONG_MS, &why), -EHOSTDOWN);
    ck_assert_int_eq(why.class, ERR_RETRY);
    ck_assert_ptr_nonnull(strstr(why.text, "mail.example.org"));
    ck_assert_ptr_nonnull(strstr(why.text, gai_strerror(EAI_NONAME)));
    resolver_end();
}
END_TEST

/* ---- several addresses ---- */

START_TEST(an_address_that_does_not_answer_holds_up_the_next_for_a_moment_only)
{
    resolver_begin();
    int hole[4];
    uint16_t hole_port = 0;
    uint16_t port = 0;
    open_black_hole(hole, 4, &hole_port);
    int fd = listen_at(4, &port);
    add_answer(AF_INET, "127.0.0.1", hole_port);
    add_answer(AF_INET, "127.0.0.1", hole_port);
    add_answer(AF_INET, "127.0.0.1", port);
    waker_wake(&may_answer);
    struct err why = ERR_INIT;
    ck_assert_int_eq(open_named(NULL, INT64_C(600000), &why), 0);
    (void)close(fd);
    close_all(hole, 4);
    resolver_end();
}
END_TEST

START_TEST(addresses_that_refuse_are_passed_over_at_once)
{
    resolver_begin();
    uint16_t port = 0;
    uint16_t closed_port = 0;
    int fd = listen_at(4, &port);
    ck_assert_int_eq(close(listen_at(1, &closed_port)), 0);
    add_answer(AF_INET6, "::1", closed_port);
    add_answer(AF_INET6, "2001:db8::1", closed_port); /* no route, or a silent one */
    add_answer(AF_INET, "127.0.0.1", closed_port);
    add_answer(AF_INET, "127.0.0.1", port);
    waker_wake(&may_answer);
    struct err why = ERR_INIT;
    ck_assert_int_eq(open_named(NULL, INT64_C(600000), &why), 0);
    (void)close(fd);
    resolver_end();
}
END_TEST

START_TEST(when_all_refuse_the_host_and_port_are_named)
{
    resolver_begin();
    uint16_t closed_port = 0;
    ck_assert_int_eq(close(listen_at(1, &closed_port)), 0);
    add_answer(AF_INET, "127.0.0.1", closed_port);
    add_answer(AF_INET, "127.0.0.1", closed_port);
    waker_wake(&may_answer);
    struct err why = ERR_INIT;
    ck_assert_int_eq(open_named(NULL, INT64_C(600000), &why), -EHOSTDOWN);
    ck_assert_int_eq(why.class, ERR_RETRY);
    ck_assert_str_eq(why.text, "cannot connect to mail.example.org port 993: Connection refused");
    resolver_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream names");
    TCase *tcase = tcase_create("stream names");
    tcase_add_test(
        tcase, a_resolver_that_stalls_is_left_at_the_deadline_and_cleans_up_after_itself);
    tcase_add_test(tcase, what_the_resolver_says_stands_in_the_sentence);
    tcase_add_test(tcase, an_address_that_does_not_answer_holds_up_the_next_for_a_moment_only);
    tcase_add_test(tcase, addresses_that_refuse_are_passed_over_at_once);
    tcase_add_test(tcase, when_all_refuse_the_host_and_port_are_named);
    tcase_add_test(tcase, a_resolver_that_stalls_is_left_when_somebody_says_so);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "base/waker.h"
#include "unit.h"

START_TEST(a_waker_is_set_from_a_wake_until_it_is_cleared)
{
    struct waker waker;
    ck_assert_int_eq(waker_init(&waker), 0);
    ck_assert(!waker_is_set(&waker));
    waker_wake(&waker);
    ck_assert(waker_is_set(&waker));
    ck_assert(waker_is_set(&waker));
    waker_clear(&waker);
    ck_assert(!waker_is_set(&waker));
    waker_finish(&waker);
}
END_TEST

START_TEST(many_wakes_are_cleared_at_once_and_none_waits)
{
    struct waker waker;
    ck_assert_int_eq(waker_init(&waker), 0);
    for (int i = 0; i < 1000; i++) {
        waker_wake(&waker);
    }
    uint64_t full = UINT64_MAX - 1 - 1000; /* the counter's limit: the next write is refused */
    ck_assert_int_eq(write(waker.fd, &full, sizeof full), sizeof full);
    waker_wake(&waker);
    waker_clear(&waker);
    ck_assert(!waker_is_set(&waker));
    waker_clear(&waker);
    waker_finish(&waker);
}
END_TEST

START_TEST(the_descriptor_is_not_inherited_and_gone_after_the_end)
{
    struct waker waker;
    ck_assert_int_eq(waker_init(&waker), 0);
    int fd = waker.fd;
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    waker_finish(&waker);
    ck_assert_int_eq(waker.fd, -1);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    waker_finish(&waker);
}
END_TEST

static void *wake_it(void *waker)
{
    waker_wake(waker);
    return NULL;
}

START_TEST(another_thread_ends_a_wait_in_poll)
{
    struct waker waker;
    ck_assert_int_eq(waker_init(&waker), 0);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, wake_it, &waker), 0);
    struct pollfd wait = {.fd = waker.fd, .events = POLLIN, .revents = 0};
    ck_assert_int_eq(poll(&wait, 1, 60000), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    waker_finish(&waker);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("waker");
    tcase_add_test(tests, a_waker_is_set_from_a_wake_until_it_is_cleared);
    tcase_add_test(tests, many_wakes_are_cleared_at_once_and_none_waits);
    tcase_add_test(tests, the_descriptor_is_not_inherited_and_gone_after_the_end);
    tcase_add_test(tests, another_thread_ends_a_wait_in_poll);
    return unit_run("waker", tests);
}

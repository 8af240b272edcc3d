#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/lock.h"
#include "unit.h"

struct counter {
    struct lock lock;
    struct cond turned;
    long value GUARDED_BY(lock);
};

static void counter_init(struct counter *counter) NO_LOCK_ANALYSIS
{
    lock_init(&counter->lock, RANK_ENGINE, "counter");
    cond_init(&counter->turned);
    counter->value = 0;
}

static void counter_finish(struct counter *counter)
{
    cond_finish(&counter->turned);
    lock_finish(&counter->lock);
}

static long counter_value(struct counter *counter)
{
    lock_take(&counter->lock);
    long value = counter->value;
    lock_release(&counter->lock);
    return value;
}

enum { ROUNDS = 2000, PING_PONG = 200 };

static void *count(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < ROUNDS; i++) {
        lock_take(&counter->lock);
        counter->value++;
        lock_release(&counter->lock);
    }
    return NULL;
}

START_TEST(a_lock_keeps_threads_apart)
{
    struct counter counter;
    counter_init(&counter);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(thread_start(&threads[i], "count", count, &counter), 0);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    ck_assert_int_eq(counter_value(&counter), 3L * ROUNDS);
    counter_finish(&counter);
}
END_TEST

START_TEST(locks_of_rising_rank_are_taken_and_released_in_any_order)
{
    struct lock low;
    struct lock middle;
    struct lock high;
    lock_init(&low, RANK_FS, "low");
    lock_init(&middle, RANK_POOL, "middle");
    lock_init(&high, RANK_LOG, "high");
    lock_take(&low);
    lock_take(&middle);
    lock_take(&high);
    lock_assert_held(&low);
    lock_assert_held(&high);
    lock_release(&middle);
    lock_release(&low);
    lock_assert_held(&high);
    lock_release(&high);
    lock_assert_none_held();
    lock_take(&middle); /* a lower rank than the last, which is held no more */
    lock_release(&middle);
    lock_finish(&low);
    lock_finish(&middle);
    lock_finish(&high);
}
END_TEST

static void *wait_for_odd(void *arg)
{
    struct counter *counter = arg;
    lock_take(&counter->lock);
    for (int i = 0; i < PING_PONG; i++) {
        while (counter->value % 2 == 0) {
            (void)cond_wait(&counter->turned, &counter->lock, DEADLINE_NEVER);
        }
        counter->value++;
        cond_wake_one(&counter->turned);
    }
    lock_release(&counter->lock);
    return NULL;
}

START_TEST(two_threads_wake_each_other_in_turn)
{
    struct counter counter;
    counter_init(&counter);
    pthread_t thread;
    ck_assert_int_eq(thread_start(&thread, "odd", wait_for_odd, &counter), 0);
    lock_take(&counter.lock);
    for (int i = 0; i < PING_PONG; i++) {
        counter.value++;
        cond_wake_all(&counter.turned);
        while (counter.value % 2 != 0) {
            ck_assert(cond_wait(&counter.turned, &counter.lock, deadline_in(60000)));
        }
    }
    lock_release(&counter.lock);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(counter_value(&counter), 2L * PING_PONG);
    counter_finish(&counter);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline_and_not_before)
{
    struct counter counter;
    counter_init(&counter);
    static const int64_t waits_ms[] = {1, 30};
    lock_take(&counter.lock);
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        int64_t deadline = deadline_in(waits_ms[i]);
        while (cond_wait(&counter.turned, &counter.lock, deadline)) {
            /* woken without reason, which is allowed */
        }
        ck_assert_int_ge(clock_now_ms(), deadline);
    }
    lock_assert_held(&counter.lock);
    lock_release(&counter.lock);
    counter_finish(&counter);
}
END_TEST

START_TEST(a_wait_for_what_is_past_does_not_wait)
{
    struct counter counter;
    counter_init(&counter);
    lock_take(&counter.lock);
    ck_assert(!cond_wait(&counter.turned, &counter.lock, 0));
    ck_assert(!cond_wait(&counter.turned, &counter.lock, INT64_MIN));
    ck_assert(!cond_wait(&counter.turned, &counter.lock, clock_now_ms()));
    lock_release(&counter.lock);
    counter_finish(&counter);
}
END_TEST

struct report {
    char name[16];
    bool usr1_blocked;
    bool term_blocked;
    bool segv_blocked;
};

static void *report_self(void *arg)
{
    struct report *report = arg;
    sigset_t mask;
    if (pthread_getname_np(pthread_self(), report->name, sizeof report->name) != 0 ||
        pthread_sigmask(SIG_BLOCK, NULL, &mask) != 0) {
        return NULL;
    }
    report->usr1_blocked = sigismember(&mask, SIGUSR1) == 1;
    report->term_blocked = sigismember(&mask, SIGTERM) == 1;
    report->segv_blocked = sigismember(&mask, SIGSEGV) == 1;
    return report;
}

START_TEST(a_thread_has_its_name_and_leaves_signals_to_main)
{
    struct report report = {"", false, false, true};
    pthread_t thread;
    void *result = NULL;
    ck_assert_int_eq(thread_start(&thread, "a-name-that-is-too-long", report_self, &report), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, &report);
    ck_assert_str_eq(report.name, "a-name-that-is-");
    ck_assert(report.usr1_blocked && report.term_blocked);
    ck_assert(!report.segv_blocked);
    sigset_t mask;
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGUSR1), 0);
}
END_TEST

#ifndef NDEBUG
/* Each of these is a mistake that an assertion ends with SIGABRT; the analysis would refuse them as
 * well. */
static void silence_stderr(void)
{
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
}

START_TEST(a_lower_rank_after_a_higher_is_a_mistake)
{
    struct lock low;
    struct lock high;
    lock_init(&low, RANK_FS, "low");
    lock_init(&high, RANK_LOG, "high");
    silence_stderr();
    lock_take(&high);
    lock_take(&low);
    lock_release(&low);
    lock_release(&high);
}
END_TEST

START_TEST(the_same_rank_twice_is_a_mistake)
{
    struct lock one;
    struct lock other;
    lock_init(&one, RANK_STORE, "one");
    lock_init(&other, RANK_STORE, "other");
    silence_stderr();
    lock_take(&one);
    lock_take(&other);
    lock_release(&other);
    lock_release(&one);
}
END_TEST

START_TEST(a_held_lock_before_a_network_wait_is_a_mistake)
{
    struct lock lock;
    lock_init(&lock, RANK_STORE, "lock");
    silence_stderr();
    lock_take(&lock);
    lock_assert_none_held();
    lock_release(&lock);
}
END_TEST

START_TEST(a_claim_to_hold_a_lock_that_is_free_is_a_mistake)
{
    struct lock lock;
    lock_init(&lock, RANK_STORE, "lock");
    silence_stderr();
    lock_assert_held(&lock);
}
END_TEST

START_TEST(a_wait_that_keeps_another_lock_is_a_mistake)
{
    struct counter counter;
    struct lock outer;
    counter_init(&counter);
    lock_init(&outer, RANK_FS, "outer");
    silence_stderr();
    lock_take(&outer);
    lock_take(&counter.lock);
    (void)cond_wait(&counter.turned, &counter.lock, 0);
    lock_release(&counter.lock);
    lock_release(&outer);
}
END_TEST

/* A process of its own dies in these: without one there is nothing to try. */
static void add_death_tests(TCase *tests)
{
    const char *fork_mode = getenv("CK_FORK");
    if (fork_mode != NULL && strcmp(fork_mode, "no") == 0) {
        return;
    }
    tcase_add_test_raise_signal(tests, a_lower_rank_after_a_higher_is_a_mistake, SIGABRT);
    tcase_add_test_raise_signal(tests, the_same_rank_twice_is_a_mistake, SIGABRT);
    tcase_add_test_raise_signal(tests, a_held_lock_before_a_network_wait_is_a_mistake, SIGABRT);
    tcase_add_test_raise_signal(tests, a_claim_to_hold_a_lock_that_is_free_is_a_mistake, SIGABRT);
    tcase_add_test_raise_signal(tests, a_wait_that_keeps_another_lock_is_a_mistake, SIGABRT);
}
#else
static void add_death_tests(TCase *tests)
{
    (void)tests;
}
#endif

int main(void)
{
    TCase *tests = unit_case("lock");
    tcase_add_test(tests, a_lock_keeps_threads_apart);
    tcase_add_test(tests, locks_of_rising_rank_are_taken_and_released_in_any_order);
    tcase_add_test(tests, two_threads_wake_each_other_in_turn);
    tcase_add_test(tests, a_wait_ends_at_its_deadline_and_not_before);
    tcase_add_test(tests, a_wait_for_what_is_past_does_not_wait);
    tcase_add_test(tests, a_thread_has_its_name_and_leaves_signals_to_main);
    add_death_tests(tests);
    return unit_run("lock", tests);
}

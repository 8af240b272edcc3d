/*
 * unit.h - what every unit test shares: one way to run its cases, and random numbers that are the
 * same on every run.
 */
#ifndef IMAPFS_TESTS_UNIT_H
#define IMAPFS_TESTS_UNIT_H

#include <check.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* libcheck's own limit of 4 s is too short for a sanitizer on a loaded machine. */
enum { UNIT_TIMEOUT_S = 300 };

/* ck_assert() for loops: it tells libcheck nothing while the fact holds, which costs a system call
 * each time. */
#define unit_require(fact)                                                                         \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            ck_abort_msg("this does not hold: %s", #fact);                                         \
        }                                                                                          \
    } while (0)

/* A case whose tests are added next. */
static inline TCase *unit_case(const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, UNIT_TIMEOUT_S);
    return tests;
}

/* Runs the case; the result of main(). */
static inline int unit_run(const char *name, TCase *tests)
{
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A sequence of numbers that only its seed decides (splitmix64). */
struct unit_random {
    uint64_t state;
};

static inline uint64_t unit_random_next(struct unit_random *random)
{
    uint64_t mixed = random->state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

/* 0 .. below - 1 */
static inline uint32_t unit_random_below(struct unit_random *random, uint32_t below)
{
    return (uint32_t)(unit_random_next(random) % below);
}

#endif

#include <limits.h>

#include "base/clock.h"
#include "unit.h"

START_TEST(the_clock_never_goes_back)
{
    int64_t before = clock_now_ms();
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_now_ms();
        ck_assert_int_ge(now, before);
        before = now;
    }
    ck_assert_int_gt(before, 0);
}
END_TEST

START_TEST(the_calendar_knows_this_century)
{
    ck_assert_int_gt(clock_wall_s(), 1577836800); /* 2020-01-01 */
}
END_TEST

START_TEST(a_deadline_lies_its_wait_after_now)
{
    int64_t before = clock_now_ms();
    int64_t deadline = deadline_in(5000);
    int64_t after = clock_now_ms();
    ck_assert_int_ge(deadline, before + 5000);
    ck_assert_int_le(deadline, after + 5000);
}
END_TEST

START_TEST(a_wait_beyond_all_numbers_is_for_ever)
{
    ck_assert_int_eq(deadline_in(INT64_MAX), DEADLINE_NEVER);
    ck_assert_int_eq(deadline_in(INT64_MAX - 1), DEADLINE_NEVER);
}
END_TEST

START_TEST(a_negative_wait_is_over)
{
    ck_assert_int_eq(deadline_left_ms(deadline_in(0)), 0);
    ck_assert_int_eq(deadline_left_ms(deadline_in(-1)), 0);
    ck_assert_int_eq(deadline_left_ms(deadline_in(INT64_MIN)), 0);
}
END_TEST

START_TEST(what_is_left_fits_poll)
{
    ck_assert_int_eq(deadline_poll_ms(DEADLINE_NEVER), -1);
    ck_assert_int_eq(deadline_poll_ms(0), 0);
    ck_assert_int_eq(deadline_poll_ms(INT64_MIN), 0);
    ck_assert_int_eq(deadline_poll_ms(clock_now_ms()), 0);
    ck_assert_int_eq(deadline_poll_ms(DEADLINE_NEVER - 1), INT_MAX);
    int left = deadline_poll_ms(deadline_in(3600000));
    ck_assert_int_le(left, 3600000);
    ck_assert_int_gt(left, 0);
}
END_TEST

START_TEST(what_is_left_of_for_ever_is_for_ever)
{
    ck_assert_int_eq(deadline_left_ms(DEADLINE_NEVER), INT64_MAX);
    ck_assert_int_eq(deadline_left_ms(INT64_MIN), 0);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("clock");
    tcase_add_test(tests, the_clock_never_goes_back);
    tcase_add_test(tests, the_calendar_knows_this_century);
    tcase_add_test(tests, a_deadline_lies_its_wait_after_now);
    tcase_add_test(tests, a_wait_beyond_all_numbers_is_for_ever);
    tcase_add_test(tests, a_negative_wait_is_over);
    tcase_add_test(tests, what_is_left_fits_poll);
    tcase_add_test(tests, what_is_left_of_for_ever_is_for_ever);
    return unit_run("clock", tests);
}

#include <stdio.h>
#include <string.h>

#include "model/imap_date.h"
#include "unit.h"

/* The seconds were computed with another program's calendar. */
static const struct {
    const char *text;
    int64_t seconds;
} sound[] = {
    {"17-Jul-1996 02:44:25 -0700", 837596665},
    {"01-Jan-1970 00:00:00 +0000", 0},
    {"29-Feb-2000 12:00:00 +0000", 951825600},
    {"29-Feb-2024 23:59:59 +0530", 1709231399},
    {" 1-Jan-2023 00:00:00 +1400", 1672480800},
    {"01-Jan-2023 00:00:00 +1400", 1672480800},
    {"01-jan-2023 00:00:00 +1400", 1672480800},
    {"01-JAN-2023 00:00:00 +1400", 1672480800},
    {"01-Jan-2038 00:00:00 -1200", 2145960000},
    {"19-Jan-2038 03:14:08 +0000", 2147483648},
    {"31-Dec-9999 23:59:59 +0000", 253402300799},
    {"31-Dec-2016 23:59:60 +0000", 1483228800},
    {"31-Dec-1969 23:59:59 +0000", 0},
    {"01-Jan-1970 00:00:00 +0100", 0},
    {"01-Jan-0001 00:00:00 +0000", 0},
    {"01-Jan-1970 00:00:00 -0001", 60},
};

START_TEST(a_real_date_is_read)
{
    int64_t seconds = -1;
    ck_assert(imap_date_read(sound[_i].text, strlen(sound[_i].text), &seconds));
    ck_assert_int_eq(seconds, sound[_i].seconds);
}
END_TEST

static const char *const unsound[] = {
    "",
    "17-Jul-1996",
    "17-Jul-1996 02:44:25",
    "17-Jul-1996 02:44:25 ",
    "17-Jul-1996 02:44:25 GMT",
    "17-Jul-1996 02:44:25 -070",
    "17-Jul-1996 02:44:25 -07000",
    "17-Jul-1996 02:44:25 07000",
    "17-Jul-1996 02:44:25 -0760",
    "17-Jul-1996 02:44:25 -2400",
    "17-Jul-1996 02:44:25 -07:0",
    "17-Jul-1996T02:44:25 -0700",
    "17 Jul 1996 02:44:25 -0700",
    "17-Jul-1996 02:44:25--0700",
    "17-Jux-1996 02:44:25 -0700",
    "00-Jan-0000 00:00:00 +0000",
    "00-Jul-1996 02:44:25 -0700",
    "32-Jul-1996 02:44:25 -0700",
    "31-Jun-1996 02:44:25 -0700",
    "30-Feb-2000 02:44:25 -0700",
    "29-Feb-1900 02:44:25 -0700",
    "29-Feb-2023 02:44:25 -0700",
    "17-Jul-1996 24:00:00 -0700",
    "17-Jul-1996 02:60:25 -0700",
    "17-Jul-1996 02:44:61 -0700",
    "17-Jul-199x 02:44:25 -0700",
    "17-Jul--996 02:44:25 -0700",
    "  -Jul-1996 02:44:25 -0700",
    "1 -Jul-1996 02:44:25 -0700",
    "1-Jul-1996 02:44:25 -0700",
    "\"7-Jul-1996 02:44:25 -0700",
};

START_TEST(what_is_no_date_is_refused_and_writes_nothing)
{
    int64_t seconds = -1;
    ck_assert(!imap_date_read(unsound[_i], strlen(unsound[_i]), &seconds));
    ck_assert_int_eq(seconds, -1);
}
END_TEST

START_TEST(every_day_of_a_century_follows_the_one_before)
{
    static const char *const months[] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int64_t before = 0;
    unsigned int days = 0;
    for (unsigned int year = 1970; year < 2070; year++) {
        for (size_t month = 0; month < 12; month++) {
            for (unsigned int day = 1; day <= 31; day++) {
                char text[40];
                (void)snprintf(
                    text, sizeof text, "%02u-%s-%04u 00:00:00 +0000", day, months[month], year);
                int64_t seconds = -1;
                if (imap_date_read(text, strlen(text), &seconds)) {
                    ck_assert_int_eq(seconds, days == 0 ? 0 : before + 86400);
                    before = seconds;
                    days++;
                }
            }
        }
    }
    ck_assert_uint_eq(days, 36525); /* 100 years with 25 leap days, 1972 to 2068 */
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("imap_date");
    tcase_add_loop_test(tests, a_real_date_is_read, 0, sizeof sound / sizeof sound[0]);
    tcase_add_loop_test(tests, what_is_no_date_is_refused_and_writes_nothing, 0,
        sizeof unsound / sizeof unsound[0]);
    tcase_add_test(tests, every_day_of_a_century_follows_the_one_before);
    return unit_run("imap_date", tests);
}

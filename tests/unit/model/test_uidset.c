#include <errno.h>
#include <string.h>

#include "model/uidset.h"
#include "unit.h"

static const char *format(const struct uidset *set, struct buf *text)
{
    buf_reset(text);
    uidset_format(set, text);
    return buf_text(text);
}

static const struct {
    const char *text;
    const char *canonical;
    uint64_t size;
} sound[] = {
    {"1", "1", 1},
    {"4294967295", "4294967295", 1},
    {"1:4294967295", "1:4294967295", 4294967295},
    {"4294967295:1", "1:4294967295", 4294967295},
    {"5:5", "5", 1},
    {"3,2,1", "1:3", 3},
    {"1,3,5", "1,3,5", 3},
    {"1:3,4:6", "1:6", 6},
    {"1:3,5:6", "1:3,5:6", 5},
    {"10:12,11:20,5", "5,10:20", 12},
    {"12:10", "10:12", 3},
    {"1:100,50", "1:100", 100},
    {"50,1:100", "1:100", 100},
    {"4294967294,4294967295", "4294967294:4294967295", 2},
    {"7,7,7", "7", 1},
};

START_TEST(a_sound_text_becomes_sorted_disjoint_ranges)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    ck_assert_int_eq(uidset_parse(&set, sound[_i].text, strlen(sound[_i].text)), 0);
    ck_assert_str_eq(format(&set, &text), sound[_i].canonical);
    ck_assert_uint_eq(uidset_size(&set), sound[_i].size);
}
END_TEST

static const char *const unsound[] = {"", "0", "0:5", "5:0", "*", "1:*", "1,", ",1", "1,,2",
    "1:", ":1", "1:2:3", "a", "1 ", " 1", "-1", "+1", "4294967296", "1:4294967296",
    "99999999999999999999999", "01", "1;2", "1,2\r\n"};

START_TEST(an_unsound_text_is_refused_and_changes_nothing)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    ck_assert_int_eq(uidset_add(&set, 7, 9), 0);
    ck_assert_int_eq(uidset_parse(&set, unsound[_i], strlen(unsound[_i])), -EINVAL);
    ck_assert_str_eq(format(&set, &text), "7:9");
}
END_TEST

START_TEST(a_nul_inside_a_text_is_refused)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    ck_assert_int_eq(uidset_parse(&set, "1\0", 2), -EINVAL);
    ck_assert_int_eq(uidset_parse(&set, "1,\0", 3), -EINVAL);
    ck_assert_uint_eq(set.count, 0);
}
END_TEST

START_TEST(only_the_given_length_of_a_text_is_read)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    ck_assert_int_eq(uidset_parse(&set, "1:234", 3), 0);
    ck_assert_str_eq(format(&set, &text), "1:2");
}
END_TEST

START_TEST(a_text_is_added_to_what_is_there)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    ck_assert_int_eq(uidset_parse(&set, "1:5,20", 6), 0);
    ck_assert_int_eq(uidset_parse(&set, "19,6,30:31", 10), 0);
    ck_assert_str_eq(format(&set, &text), "1:6,19:20,30:31");
}
END_TEST

START_TEST(zero_is_no_uid)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    ck_assert_int_eq(uidset_add(&set, 0, 0), -EINVAL);
    ck_assert_int_eq(uidset_add(&set, 0, 5), -EINVAL);
    ck_assert_int_eq(uidset_add(&set, 5, 0), -EINVAL);
    ck_assert_uint_eq(set.count, 0);
    ck_assert(!uidset_has(&set, 0));
    ck_assert_int_eq(uidset_add(&set, 1, UINT32_MAX), 0);
    ck_assert(!uidset_has(&set, 0));
}
END_TEST

START_TEST(a_hundred_thousand_members_in_any_order_are_read)
{
    enum { MEMBERS = 100000 };
    CLEANUP(buf) struct buf descending = BUF_INIT;
    CLEANUP(buf) struct buf mixed = BUF_INIT;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        buf_printf(&descending, "%s%u", i == 0 ? "" : ",", 2 * (MEMBERS - i));
        /* 7919 has no divisor in common with MEMBERS, so each number comes once */
        buf_printf(&mixed, "%s%u", i == 0 ? "" : ",", 2 * (i * 7919 % MEMBERS + 1));
    }
    CLEANUP(uidset) struct uidset first = UIDSET_INIT;
    CLEANUP(uidset) struct uidset second = UIDSET_INIT;
    ck_assert_int_eq(uidset_parse(&first, descending.data, descending.len), 0);
    ck_assert_int_eq(uidset_parse(&second, mixed.data, mixed.len), 0);
    ck_assert_uint_eq(first.count, MEMBERS);
    ck_assert_uint_eq(second.count, MEMBERS);
    ck_assert_mem_eq(first.ranges, second.ranges, MEMBERS * sizeof first.ranges[0]);
    ck_assert_uint_eq(first.ranges[0].first, 2);
    ck_assert_uint_eq(first.ranges[MEMBERS - 1].last, 2 * MEMBERS);
}
END_TEST

START_TEST(the_highest_uids_are_taken_block_by_block)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    CLEANUP(uidset) struct uidset block = UIDSET_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    static const struct {
        uint64_t n;
        const char *taken;
        const char *left;
    } steps[] = {
        {0, "", "1:10,20,30:40"},
        {5, "36:40", "1:10,20,30:35"},
        {6, "30:35", "1:10,20"},
        {3, "9:10,20", "1:8"},
        {UINT64_MAX, "1:8", ""},
        {1, "", ""},
    };
    ck_assert_int_eq(uidset_parse(&set, "1:10,20,30:40", 13), 0);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        uidset_take_highest(&set, steps[i].n, &block);
        ck_assert_str_eq(format(&block, &text), steps[i].taken);
        ck_assert_str_eq(format(&set, &text), steps[i].left);
    }
}
END_TEST

static const struct {
    const char *a;
    const char *b;
    const char *difference;
} subtractions[] = {
    {"1:10", "5", "1:4,6:10"},
    {"1:10", "1:10", ""},
    {"1:10", "1:4294967295", ""},
    {"1:4294967295", "2:4294967294", "1,4294967295"},
    {"1:4294967295", "4294967295", "1:4294967294"},
    {"1:3,7:9,12", "3:7,9:12", "1:2,8"},
    {"5:6", "1:2,9", "5:6"},
    {"1:2,4:5,7:8", "2:7", "1,8"},
    {"1:20", "2,4,6:7,20", "1,3,5,8:19"},
};

START_TEST(a_difference_holds_what_is_only_in_the_first)
{
    CLEANUP(uidset) struct uidset a = UIDSET_INIT;
    CLEANUP(uidset) struct uidset b = UIDSET_INIT;
    CLEANUP(uidset) struct uidset difference = UIDSET_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    ck_assert_int_eq(uidset_parse(&a, subtractions[_i].a, strlen(subtractions[_i].a)), 0);
    ck_assert_int_eq(uidset_parse(&b, subtractions[_i].b, strlen(subtractions[_i].b)), 0);
    ck_assert_int_eq(uidset_add(&difference, 99, 99), 0); /* what ret held is forgotten */
    uidset_subtract(&difference, &a, &b);
    ck_assert_str_eq(format(&difference, &text), subtractions[_i].difference);
}
END_TEST

START_TEST(nothing_subtracted_leaves_all_and_from_nothing_nothing_is_left)
{
    CLEANUP(uidset) struct uidset a = UIDSET_INIT;
    CLEANUP(uidset) struct uidset none = UIDSET_INIT;
    CLEANUP(uidset) struct uidset difference = UIDSET_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT;
    ck_assert_int_eq(uidset_add(&a, 3, 5), 0);
    uidset_subtract(&difference, &a, &none);
    ck_assert_str_eq(format(&difference, &text), "3:5");
    uidset_subtract(&difference, &none, &a);
    ck_assert_uint_eq(difference.count, 0);
}
END_TEST

enum { UNIVERSE = 200 };

/* The set as the bitmap of its numbers, in a form that needs no function under test but the ranges.
 */
static void check_against(const struct uidset *set, const bool *bitmap)
{
    uint64_t size = 0;
    for (uint32_t uid = 1; uid <= UNIVERSE; uid++) {
        unit_require(uidset_has(set, uid) == bitmap[uid]);
        size += bitmap[uid] ? 1 : 0;
    }
    unit_require(uidset_size(set) == size);
    for (size_t i = 0; i < set->count; i++) {
        unit_require(set->ranges[i].first <= set->ranges[i].last);
        unit_require(i == 0 || set->ranges[i - 1].last + 1 < set->ranges[i].first);
    }
}

static void add_at_random(struct unit_random *random, struct uidset *set, bool *bitmap)
{
    uint32_t first = 1 + unit_random_below(random, UNIVERSE);
    uint32_t last = first + unit_random_below(random, 8);
    last = last > UNIVERSE ? UNIVERSE : last;
    bool backwards = unit_random_below(random, 2) == 0;
    ck_assert_int_eq(uidset_add(set, backwards ? last : first, backwards ? first : last), 0);
    for (uint32_t uid = first; uid <= last; uid++) {
        bitmap[uid] = true;
    }
}

START_TEST(a_set_behaves_as_a_bitmap)
{
    struct unit_random random = {2};
    for (int round = 0; round < 300; round++) {
        CLEANUP(uidset) struct uidset a = UIDSET_INIT;
        CLEANUP(uidset) struct uidset b = UIDSET_INIT;
        CLEANUP(uidset) struct uidset result = UIDSET_INIT;
        CLEANUP(buf) struct buf text = BUF_INIT;
        bool bits_a[UNIVERSE + 1] = {false};
        bool bits_b[UNIVERSE + 1] = {false};
        for (uint32_t i = unit_random_below(&random, 40); i > 0; i--) {
            add_at_random(&random, &a, bits_a);
            add_at_random(&random, &b, bits_b);
        }
        check_against(&a, bits_a);

        (void)format(&a, &text);
        ck_assert_int_eq(uidset_parse(&result, buf_text(&text), text.len), a.count ? 0 : -EINVAL);
        check_against(&result, bits_a);

        bool difference[UNIVERSE + 1] = {false};
        for (uint32_t uid = 1; uid <= UNIVERSE; uid++) {
            difference[uid] = bits_a[uid] && !bits_b[uid];
        }
        uidset_subtract(&result, &a, &b);
        check_against(&result, difference);

        uint32_t left = unit_random_below(&random, UNIVERSE);
        uidset_take_highest(&a, left, &result);
        bool taken[UNIVERSE + 1] = {false};
        for (uint32_t uid = UNIVERSE; uid >= 1 && left > 0; uid--) {
            taken[uid] = bits_a[uid];
            left -= bits_a[uid] ? 1 : 0;
            bits_a[uid] = false;
        }
        check_against(&result, taken);
        check_against(&a, bits_a);
    }
}
END_TEST

START_TEST(a_reset_set_is_empty_and_usable)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    ck_assert_int_eq(uidset_add(&set, 5, 9), 0);
    uidset_reset(&set);
    ck_assert_uint_eq(uidset_size(&set), 0);
    ck_assert(!uidset_has(&set, 5));
    ck_assert_int_eq(uidset_add(&set, 1, 1), 0);
    ck_assert(uidset_has(&set, 1));
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("uidset");
    tcase_add_loop_test(
        tests, a_sound_text_becomes_sorted_disjoint_ranges, 0, sizeof sound / sizeof sound[0]);
    tcase_add_loop_test(tests, an_unsound_text_is_refused_and_changes_nothing, 0,
        sizeof unsound / sizeof unsound[0]);
    tcase_add_test(tests, a_nul_inside_a_text_is_refused);
    tcase_add_test(tests, only_the_given_length_of_a_text_is_read);
    tcase_add_test(tests, a_text_is_added_to_what_is_there);
    tcase_add_test(tests, zero_is_no_uid);
    tcase_add_test(tests, a_hundred_thousand_members_in_any_order_are_read);
    tcase_add_test(tests, the_highest_uids_are_taken_block_by_block);
    tcase_add_loop_test(tests, a_difference_holds_what_is_only_in_the_first, 0,
        sizeof subtractions / sizeof subtractions[0]);
    tcase_add_test(tests, nothing_subtracted_leaves_all_and_from_nothing_nothing_is_left);
    tcase_add_test(tests, a_set_behaves_as_a_bitmap);
    tcase_add_test(tests, a_reset_set_is_empty_and_usable);
    return unit_run("uidset", tests);
}

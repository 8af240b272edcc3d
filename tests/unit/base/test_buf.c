#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "unit.h"

START_TEST(a_new_buffer_reads_as_an_empty_text)
{
    struct buf buf = BUF_INIT;
    ck_assert_ptr_null(buf.data);
    ck_assert_str_eq(buf_text(&buf), "");
    buf_finish(&buf);
}
END_TEST

START_TEST(what_is_appended_stands_in_order_and_ends_with_a_nul)
{
    CLEANUP(buf) struct buf buf = BUF_INIT;
    buf_append(&buf, "ab", 2);
    buf_append_text(&buf, "cd");
    buf_append_char(&buf, 'e');
    buf_printf(&buf, "%d-%s", 42, "x");
    ck_assert_str_eq(buf.data, "abcde42-x");
    ck_assert_uint_eq(buf.len, 9);
}
END_TEST

START_TEST(an_append_of_nothing_makes_an_empty_text)
{
    CLEANUP(buf) struct buf buf = BUF_INIT;
    buf_append(&buf, NULL, 0);
    ck_assert_ptr_nonnull(buf.data);
    ck_assert_str_eq(buf.data, "");
    ck_assert_uint_eq(buf.len, 0);
}
END_TEST

START_TEST(bytes_that_are_nul_are_counted)
{
    CLEANUP(buf) struct buf buf = BUF_INIT;
    buf_append(&buf, "a\0b", 3);
    ck_assert_uint_eq(buf.len, 3);
    ck_assert_mem_eq(buf.data, "a\0b", 4);
}
END_TEST

START_TEST(growing_keeps_every_byte)
{
    CLEANUP(buf) struct buf buf = BUF_INIT;
    for (int i = 0; i < 100000; i++) {
        buf_append_char(&buf, (char)('a' + i % 26));
    }
    ck_assert_uint_eq(buf.len, 100000);
    ck_assert_uint_gt(buf.capacity, buf.len);
    for (int i = 0; i < 100000; i++) {
        unit_require(buf.data[i] == 'a' + i % 26);
    }
}
END_TEST

START_TEST(a_long_format_is_not_cut)
{
    CLEANUP(buf) struct buf buf = BUF_INIT;
    buf_printf(&buf, "%05000d|%s", 7, "end");
    ck_assert_uint_eq(buf.len, 5004);
    ck_assert_str_eq(buf.data + 4999, "7|end");
}
END_TEST

START_TEST(a_cut_forgets_the_end_and_never_lengthens)
{
    CLEANUP(buf) struct buf buf = BUF_INIT;
    buf_append_text(&buf, "abcdef");
    buf_cut(&buf, 3);
    ck_assert_str_eq(buf.data, "abc");
    buf_cut(&buf, 9);
    ck_assert_uint_eq(buf.len, 3);
}
END_TEST

START_TEST(a_reset_keeps_the_memory)
{
    CLEANUP(buf) struct buf buf = BUF_INIT;
    buf_append_text(&buf, "abc");
    char *before = buf.data;
    buf_reset(&buf);
    ck_assert_ptr_eq(buf.data, before);
    ck_assert_str_eq(buf.data, "");
    ck_assert_uint_eq(buf.len, 0);
}
END_TEST

START_TEST(a_stolen_text_outlives_the_buffer)
{
    struct buf buf = BUF_INIT;
    buf_append_text(&buf, "abc");
    CLEANUP(free) char *text = buf_steal(&buf);
    ck_assert_str_eq(text, "abc");
    ck_assert_ptr_null(buf.data);
    ck_assert_uint_eq(buf.len, 0);
    CLEANUP(free) char *empty = buf_steal(&buf);
    ck_assert_str_eq(empty, "");
}
END_TEST

START_TEST(allocations_are_zeroed_and_texts_are_copies)
{
    CLEANUP(free) int *numbers = alloc_zeroed(3, sizeof *numbers);
    ck_assert_int_eq(numbers[0] | numbers[1] | numbers[2], 0);
    char original[] = "abc";
    CLEANUP(free) char *copy = alloc_text(original);
    original[0] = 'x';
    ck_assert_str_eq(copy, "abc");
    ck_assert_ptr_null(alloc_text(NULL));
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("buf");
    tcase_add_test(tests, a_new_buffer_reads_as_an_empty_text);
    tcase_add_test(tests, what_is_appended_stands_in_order_and_ends_with_a_nul);
    tcase_add_test(tests, an_append_of_nothing_makes_an_empty_text);
    tcase_add_test(tests, bytes_that_are_nul_are_counted);
    tcase_add_test(tests, growing_keeps_every_byte);
    tcase_add_test(tests, a_long_format_is_not_cut);
    tcase_add_test(tests, a_cut_forgets_the_end_and_never_lengthens);
    tcase_add_test(tests, a_reset_keeps_the_memory);
    tcase_add_test(tests, a_stolen_text_outlives_the_buffer);
    tcase_add_test(tests, allocations_are_zeroed_and_texts_are_copies);
    return unit_run("buf", tests);
}

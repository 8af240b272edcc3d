#include "model/ids.h"
#include "unit.h"

START_TEST(an_inode_number_tells_its_table_and_its_row)
{
    static const enum inode_kind kinds[] = {
        INODE_MESSAGE, INODE_SPECIAL, INODE_MAILBOX, INODE_UID_DIR};
    static const int64_t rows[] = {0, 1, 2, 4711, INT64_C(1) << 32, (INT64_C(1) << 61) - 1};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            struct inode_no ino = inode_make(kinds[k], rows[r]);
            ck_assert_int_eq(inode_kind(ino), kinds[k]);
            ck_assert_int_eq(inode_row(ino), rows[r]);
        }
    }
}
END_TEST

START_TEST(the_root_is_what_the_kernel_calls_one)
{
    ck_assert_uint_eq(INODE_ROOT.value, 1);
    ck_assert_uint_eq(inode_make(INODE_SPECIAL, SPECIAL_ROOT).value, 1);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("ids");
    tcase_add_test(tests, an_inode_number_tells_its_table_and_its_row);
    tcase_add_test(tests, the_root_is_what_the_kernel_calls_one);
    return unit_run("ids", tests);
}

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "unit.h"

START_TEST(an_error_holds_its_class_its_errno_and_its_sentence)
{
    struct err why = ERR_INIT;
    ck_assert_int_eq(err_set(&why, ERR_AUTH, EACCES, "%s refused %d", "the server", 3), -EACCES);
    ck_assert_int_eq(why.class, ERR_AUTH);
    ck_assert_int_eq(why.errnum, EACCES);
    ck_assert_str_eq(why.text, "the server refused 3");
}
END_TEST

START_TEST(without_a_place_for_the_reason_only_the_errno_is_given)
{
    ck_assert_int_eq(err_set(NULL, ERR_LOCAL, ENOENT, "%s", "no such thing"), -ENOENT);
}
END_TEST

START_TEST(a_text_of_the_server_is_made_printable)
{
    struct err why = ERR_INIT;
    (void)err_set(&why, ERR_REFUSED, EIO, "it says: %s", "\x1B[2Jno\r\n\xFF\xC2\x9B");
    ck_assert_str_eq(why.text, "it says: ?[2Jno????");
}
END_TEST

START_TEST(a_reason_can_be_told_in_the_words_of_itself)
{
    struct err why = ERR_INIT;
    (void)err_set(&why, ERR_RETRY, EHOSTDOWN, "no route");
    (void)err_set(&why, why.class, why.errnum, "cannot connect: %s", why.text);
    ck_assert_str_eq(why.text, "cannot connect: no route");
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters)
{
    struct err why = ERR_INIT;
    char text[2 * sizeof why.text + 2] = "x"; /* then two bytes each, so that one does not fit */
    for (size_t i = 1; i + 2 < sizeof text; i += 2) {
        memcpy(text + i, "\xC3\xBC", 3);
    }
    (void)err_set(&why, ERR_LOCAL, EIO, "%s", text);
    ck_assert_uint_eq(strlen(why.text), sizeof why.text - 1);
    ck_assert_mem_eq(why.text, text, sizeof why.text - 1);
    (void)err_set(&why, ERR_LOCAL, EIO, "y%s", text);
    ck_assert_uint_eq(strlen(why.text), sizeof why.text - 2);
}
END_TEST

START_TEST(a_text_that_shrinks_when_cleaned_still_fills_the_sentence)
{
    struct err why = ERR_INIT;
    char text[3 * sizeof why.text + 1] = "";
    for (size_t i = 0; i + 3 < sizeof text; i += 3) {
        memcpy(text + i, "\xE2\x80\xAE", 4);
    }
    (void)err_set(&why, ERR_LOCAL, EIO, "%s", text);
    ck_assert_uint_eq(strlen(why.text), sizeof why.text - 1);
    ck_assert_uint_eq(strspn(why.text, "?"), sizeof why.text - 1);
}
END_TEST

static const struct {
    enum err_class class;
    int errnum;
    const char *name;
} classes[] = {
    {ERR_NONE, 0, "none"},
    {ERR_RETRY, EHOSTDOWN, "retry"},
    {ERR_AUTH, EACCES, "auth"},
    {ERR_GONE, ESTALE, "gone"},
    {ERR_REFUSED, EIO, "refused"},
    {ERR_CONFLICT, ESTALE, "conflict"},
    {ERR_HOSTILE, EPROTO, "hostile"},
    {ERR_CANCELLED, EINTR, "cancelled"},
    {ERR_LOCAL, EIO, "local"},
    {ERR_BUG, EIO, "bug"},
};

START_TEST(each_class_has_an_errno_and_a_word)
{
    ck_assert_int_eq(err_errno(classes[_i].class), classes[_i].errnum);
    ck_assert_str_eq(err_class_name(classes[_i].class), classes[_i].name);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("err");
    tcase_add_test(tests, an_error_holds_its_class_its_errno_and_its_sentence);
    tcase_add_test(tests, without_a_place_for_the_reason_only_the_errno_is_given);
    tcase_add_test(tests, a_text_of_the_server_is_made_printable);
    tcase_add_test(tests, a_reason_can_be_told_in_the_words_of_itself);
    tcase_add_test(tests, a_long_text_is_cut_between_characters);
    tcase_add_test(tests, a_text_that_shrinks_when_cleaned_still_fills_the_sentence);
    tcase_add_loop_test(
        tests, each_class_has_an_errno_and_a_word, 0, sizeof classes / sizeof classes[0]);
    return unit_run("err", tests);
}

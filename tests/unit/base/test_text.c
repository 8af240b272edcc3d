#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "unit.h"

/* The table of well-formed sequences is Unicode's (chapter 3, table 3-7), written out at its
 * corners. */
static const struct {
    const char *bytes;
    size_t len; /* of the first character; 0 where there is none */
    uint32_t character;
} characters[] = {
    {"A", 1, 'A'},
    {"\x7F", 1, 0x7F},
    {"\x80", 0, 0},
    {"\xBF", 0, 0},
    {"\xC0\x80", 0, 0},
    {"\xC1\xBF", 0, 0},
    {"\xC2\x80", 2, 0x80},
    {"\xC2", 0, 0},
    {"\xC2\x41", 0, 0},
    {"\xDF\xBF", 2, 0x7FF},
    {"\xE0\x9F\xBF", 0, 0},
    {"\xE0\xA0\x80", 3, 0x800},
    {"\xE2\x82", 0, 0},
    {"\xE2\x82\xAC", 3, 0x20AC},
    {"\xED\x9F\xBF", 3, 0xD7FF},
    {"\xED\xA0\x80", 0, 0},
    {"\xED\xBF\xBF", 0, 0},
    {"\xEE\x80\x80", 3, 0xE000},
    {"\xEF\xBF\xBF", 3, 0xFFFF},
    {"\xF0\x8F\xBF\xBF", 0, 0},
    {"\xF0\x90\x80\x80", 4, 0x10000},
    {"\xF0\x9F\x98", 0, 0},
    {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
    {"\xF4\x90\x80\x80", 0, 0},
    {"\xF5\x80\x80\x80", 0, 0},
    {"\xFF", 0, 0},
    {"", 0, 0},
};

START_TEST(only_well_formed_characters_are_read)
{
    uint32_t character = 0;
    size_t len = text_char(characters[_i].bytes, strlen(characters[_i].bytes), &character);
    ck_assert_uint_eq(len, characters[_i].len);
    ck_assert_uint_eq(character, characters[_i].character);
}
END_TEST

static const struct {
    const char *from;
    const char *to;
} cleanings[] = {
    {"plain", "plain"},
    {"", ""},
    {"gr\xC3\xBC\xC3\x9F", "gr\xC3\xBC\xC3\x9F"},
    {"a\r\nb\tc", "a??b?c"},
    {"\x1B[31mred", "?[31mred"},
    {"a\x7F"
     "b",
        "a?b"},
    {"a\xC2\x9B"
     "b",
        "a?b"},
    {"a\xE2\x80\xAE"
     "b",
        "a?b"},
    {"a\xE2\x81\xA6"
     "b",
        "a?b"},
    {"a\xE2\x80\xA8"
     "b",
        "a?b"},
    {"a\xE2\x80\x8E"
     "b",
        "a?b"},
    {"\xEF\xBB\xBF"
     "b",
        "?b"},
    {"a\xE2\x80\x8D"
     "b",
        "a\xE2\x80\x8D"
        "b"},
    {"a\xC3", "a?"},
    {"a\xFF\xFE"
     "b",
        "a??b"},
    {"a\xED\xA0\x80"
     "b",
        "a???b"},
};

START_TEST(what_steers_a_terminal_or_is_no_character_becomes_a_question_mark)
{
    char to[64];
    size_t len = text_clean(to, sizeof to, cleanings[_i].from, strlen(cleanings[_i].from));
    ck_assert_str_eq(to, cleanings[_i].to);
    ck_assert_uint_eq(len, strlen(cleanings[_i].to));
}
END_TEST

START_TEST(a_nul_inside_becomes_a_question_mark)
{
    char to[8];
    ck_assert_uint_eq(text_clean(to, sizeof to, "a\0b", 3), 3);
    ck_assert_str_eq(to, "a?b");
}
END_TEST

START_TEST(a_character_that_does_not_fit_is_left_out_whole)
{
    static const char text[] = "a\xE2\x82\xAC"
                               "b"; /* a, euro sign, b */
    static const char *const by_size[] = {"", "a", "a", "a", "a\xE2\x82\xAC"};
    for (size_t size = 1; size <= 5; size++) {
        char to[8] = "#######";
        ck_assert_uint_eq(text_clean(to, size, text, strlen(text)), strlen(by_size[size - 1]));
        ck_assert_str_eq(to, by_size[size - 1]);
        ck_assert_int_eq(to[size], '#');
    }
}
END_TEST

START_TEST(no_room_writes_nothing)
{
    char to[2] = "#";
    ck_assert_uint_eq(text_clean(to, 0, "abc", 3), 0);
    ck_assert_str_eq(to, "#");
}
END_TEST

START_TEST(whatever_comes_in_valid_printable_text_comes_out)
{
    struct unit_random random = {1};
    for (int round = 0; round < 20000; round++) {
        unsigned char from[40];
        char to[30];
        size_t len = unit_random_below(&random, sizeof from + 1);
        for (size_t i = 0; i < len; i++) {
            from[i] = (unsigned char)unit_random_next(&random);
        }
        size_t written = text_clean(to, sizeof to, from, len);
        unit_require(written == strlen(to));
        for (size_t at = 0; at < written;) {
            uint32_t character = 0;
            size_t step = text_char(to + at, written - at, &character);
            unit_require(step > 0);
            unit_require(!text_is_unprintable(character));
            at += step;
        }
    }
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("text");
    tcase_add_loop_test(
        tests, only_well_formed_characters_are_read, 0, sizeof characters / sizeof characters[0]);
    tcase_add_loop_test(tests, what_steers_a_terminal_or_is_no_character_becomes_a_question_mark, 0,
        sizeof cleanings / sizeof cleanings[0]);
    tcase_add_test(tests, a_nul_inside_becomes_a_question_mark);
    tcase_add_test(tests, a_character_that_does_not_fit_is_left_out_whole);
    tcase_add_test(tests, no_room_writes_nothing);
    tcase_add_test(tests, whatever_comes_in_valid_printable_text_comes_out);
    return unit_run("text", tests);
}

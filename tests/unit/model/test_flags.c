#include <string.h>

#include "model/flags.h"
#include "unit.h"

enum { LIST_MAX = 8 };

static const struct {
    const char *flags[LIST_MAX]; /* ends with NULL */
    const char *canonical;
} lists[] = {
    {{NULL}, ""},
    {{"\\Seen", NULL}, "\\Seen"},
    {{"$Forwarded", "\\Seen", "\\Answered", NULL}, "\\Answered \\Seen $Forwarded"},
    {{"b", "a", "\\b", "\\a", NULL}, "\\a \\b a b"},
    {{"B", "a", "C", NULL}, "B C a"},
    {{"\\Seen", "\\SEEN", "\\seen", NULL}, "\\Seen"},
    {{"\\SEEN", "\\Seen", NULL}, "\\SEEN"},
    {{"Work", "work", "WORK", NULL}, "Work"},
    {{"Seen", "\\Seen", NULL}, "\\Seen Seen"},
    {{"\\Recent", "\\RECENT", "\\Flagged", NULL}, "\\Flagged"},
    {{"Recent", NULL}, "Recent"},
    {{"", "\\", "\\\\x", "a b", "a(b", "a)b", "a{b", NULL}, ""},
    {{"a%b", "\\*", "a*b", "a\"b", "a\\b", "a\x7F", "\xC3\xA4", NULL}, ""},
    {{"a\r\nb", "a\tb", "\x01", NULL}, ""},
    {{"a]b", "[x", "$MDNSent", "}", "#1", NULL}, "#1 $MDNSent [x a]b }"},
};

START_TEST(flags_become_one_canonical_text)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    size_t n = 0;
    while (lists[_i].flags[n] != NULL) {
        n++;
    }
    buf_append_text(&text, "what the buffer held is forgotten");
    flags_canonical(&text, lists[_i].flags, n);
    ck_assert_ptr_nonnull(text.data);
    ck_assert_str_eq(text.data, lists[_i].canonical);
}
END_TEST

START_TEST(the_order_in_which_flags_came_does_not_show)
{
    const char *flags[] = {"\\Seen", "b", "\\Draft", "a", "$x", "\\Answered"};
    struct unit_random random = {3};
    for (int round = 0; round < 200; round++) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        for (uint32_t i = 5; i > 0; i--) {
            uint32_t other = unit_random_below(&random, i + 1);
            const char *kept = flags[i];
            flags[i] = flags[other];
            flags[other] = kept;
        }
        flags_canonical(&text, flags, 6);
        ck_assert_str_eq(buf_text(&text), "\\Answered \\Draft \\Seen $x a b");
    }
}
END_TEST

START_TEST(the_longest_flag_is_kept_and_a_longer_one_dropped)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    char longest[FLAG_LENGTH_MAX + 1];
    char longer[FLAG_LENGTH_MAX + 2];
    memset(longest, 'x', FLAG_LENGTH_MAX);
    memset(longer, 'y', FLAG_LENGTH_MAX + 1);
    longest[FLAG_LENGTH_MAX] = longer[FLAG_LENGTH_MAX + 1] = '\0';
    flags_canonical(&text, (const char *const[]){longer, longest}, 2);
    ck_assert_str_eq(buf_text(&text), longest);
}
END_TEST

START_TEST(more_flags_than_any_sound_message_has_are_cut)
{
    enum { MANY = FLAGS_MAX + 500 };
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(buf) struct buf names = BUF_INIT;
    const char *flags[MANY];
    for (int i = 0; i < MANY; i++) {
        buf_printf(&names, "k%04d%c", MANY - 1 - i, '\0');
    }
    for (size_t i = 0; i < MANY; i++) {
        flags[i] = names.data + i * 6;
    }
    flags_canonical(&text, flags, MANY);
    ck_assert_uint_eq(text.len, FLAGS_MAX * 6 - 1);
    ck_assert_int_eq(strncmp(text.data, "k0000 k0001 ", 12), 0);
    ck_assert_str_eq(text.data + text.len - 5, "k1023");
}
END_TEST

static const struct {
    const char *text;
    const char *flag;
    bool has;
} askings[] = {
    {"", "\\Seen", false},
    {"\\Seen", "\\Seen", true},
    {"\\Seen", "\\SEEN", true},
    {"\\Seen", "Seen", false},
    {"\\Seen", "\\See", false},
    {"\\Seen", "\\Seenx", false},
    {"\\Answered \\Seen $Forwarded", "\\seen", true},
    {"\\Answered \\Seen $Forwarded", "$forwarded", true},
    {"\\Answered \\Seen $Forwarded", "forwarded", false},
    {"\\Answered \\Seen", "\\Answered \\Seen", false},
    {"\\Seen", "", false},
};

START_TEST(a_canonical_text_tells_its_flags)
{
    ck_assert_int_eq(flags_has(askings[_i].text, askings[_i].flag), askings[_i].has);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("flags");
    tcase_add_loop_test(tests, flags_become_one_canonical_text, 0, sizeof lists / sizeof lists[0]);
    tcase_add_test(tests, the_order_in_which_flags_came_does_not_show);
    tcase_add_test(tests, the_longest_flag_is_kept_and_a_longer_one_dropped);
    tcase_add_test(tests, more_flags_than_any_sound_message_has_are_cut);
    tcase_add_loop_test(
        tests, a_canonical_text_tells_its_flags, 0, sizeof askings / sizeof askings[0]);
    return unit_run("flags", tests);
}

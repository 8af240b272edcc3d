#include <errno.h>
#include <glib.h>
#include <iconv.h>
#include <string.h>

#include "base/text.h"
#include "model/mailbox_name.h"
#include "unit.h"

/* Written down from the scheme in mailbox_name.h; the modified UTF-7 comes from RFC 3501 or was
 * encoded with Python. */
static const struct {
    const char *level;
    const char *component;
    bool first;
} pairs[] = {
    /* plain */
    {"Sent", "Sent", true},
    {"Sent Items", "Sent Items", false},
    {" -~$'\"\\*?", " -~$'\"\\*?", false},
    {"Trash.", "Trash.", false},
    {"a.eml.b", "a.eml.b", false},
    {"a.EML", "a.EML", false},
    {"eml", "eml", false},
    /* INBOX */
    {"INBOX", "INBOX", true},
    {"INBOX", "INBOX", false},
    {"inbox", "inbox", false},
    {"INBOXES", "INBOXES", true},
    {"INBO", "INBO", true},
    /* decoded */
    {"~peter", "~peter", true},
    {"&U,BTFw-", "台北", false},
    {"&ZeVnLIqe-", "日本語", false},
    {"Hi Mom -&Jjo--!", "Hi Mom -☺-!", false},
    {"Entw&APw-rfe", "Entwürfe", false},
    {"&2D3eAA-", "😀", false},
    {"R&-D", "R&D", false},
    /* escaped */
    {"", "%empty", false},
    {"", "%empty", true},
    {".", "%2E", false},
    {"..", "%2E.", false},
    {"...", "%2E..", false},
    {".uid", "%2Euid", false},
    {".imapfs", "%2Eimapfs", true},
    {".eml", "%2Eeml", false},
    {"a.eml", "a%2Eeml", false},
    {"a.eml.eml", "a.eml%2Eeml", false},
    {"a/b", "a%2Fb", false},
    {"/", "%2F", false},
    {"100%", "100%25", false},
    {"%2F", "%252F", false},
    {"%%", "%25%25", false},
    {"%empty", "%25empty", false},
    {"%~", "%25~", false},
    {"&AAo-", "%0A", false},
    {"&IC4-", "%E2%80%AE", false},
    {"&,v8-", "%EF%BB%BF", false},
    {"&AIU-", "%C2%85", false},
    {"lost+found", "%6Cost+found", true},
    {"lost+found", "lost+found", false},
    {"lost+found2", "lost+found2", true},
    /* raw */
    {"&", "%%&", false},
    {"a&b", "%%a&b", false},
    {"&APw", "%%&APw", false},
    {"&APw-&APw-", "%%&APw-&APw-", false},
    {"&AGE-", "%%&AGE-", false},
    {"&AEkATgBCAE8AWA-", "%%&AEkATgBCAE8AWA-", true},
    {"&2AA-", "%%&2AA-", false},
    {"a\nb", "%%a%0Ab", false},
    {"a\tb/c%", "%%a%09b%2Fc%25", false},
    {"\x7F", "%%%7F", false},
    {"\xC3\xBC", "%%%C3%BC", false},
    {".\xFF", "%%.%FF", false},
    {"\xFF.eml", "%%%FF%2Eeml", false},
};

START_TEST(a_level_and_its_component_are_found_from_each_other)
{
    CLEANUP(buf) struct buf component = BUF_INIT;
    CLEANUP(buf) struct buf level = BUF_INIT;
    buf_append_text(&component, "what the buffer held is forgotten");
    buf_append_text(&level, "here too");
    mailbox_component(&component, pairs[_i].level, strlen(pairs[_i].level), pairs[_i].first);
    ck_assert_str_eq(buf_text(&component), pairs[_i].component);
    ck_assert_int_eq(mailbox_level(&level, pairs[_i].component, pairs[_i].first), 0);
    ck_assert_str_eq(buf_text(&level), pairs[_i].level);
    ck_assert_uint_eq(level.len, strlen(pairs[_i].level));
}
END_TEST

START_TEST(the_first_level_inbox_is_the_same_in_any_case)
{
    static const char *const spellings[] = {"inbox", "Inbox", "iNBOX", "INBOX"};
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        CLEANUP(buf) struct buf component = BUF_INIT;
        mailbox_component(&component, spellings[i], 5, true);
        ck_assert_str_eq(buf_text(&component), "INBOX");
        mailbox_component(&component, spellings[i], 5, false);
        ck_assert_str_eq(buf_text(&component), spellings[i]);
    }
}
END_TEST

static const struct {
    const char *component;
    bool first;
} impossible[] = {
    {"", false},
    {".", false},
    {"..", false},
    {".uid", false},
    {"a.eml", false},
    {".eml", false},
    {"a/b", false},
    {"/", false},
    {"inbox", true},
    {"Inbox", true},
    {"lost+found", true},
    {"%6Cost+found", false},
    {"%", false},
    {"%2", false},
    {"a%", false},
    {"%2G", false},
    {"%2e", false},
    {"%2f", false},
    {"%41", false},
    {"%C3%BC", false},
    {"%FF", false},
    {"%%", false},
    {"%%abc", false},
    {"%%&APw-", false},
    {"%%%41&", false},
    {"%%a%0ab", false},
    {"%%a/b", false},
    {"%%\xC3\xBC", false},
    {"%Empty", false},
    {"%empty2", false},
    {"a%empty", false},
    {"\xFF", false},
    {"\xC3", false},
    {"\xED\xA0\x80", false},
    {"a\nb", false},
    {"\xE2\x80\xAE", false},
    {"a%~0123456789abcdef01234567", false},
};

START_TEST(a_component_that_no_level_gives_is_refused)
{
    CLEANUP(buf) struct buf level = BUF_INIT;
    buf_append_text(&level, "untouched");
    ck_assert_int_eq(
        mailbox_level(&level, impossible[_i].component, impossible[_i].first), -EINVAL);
    ck_assert_str_eq(buf_text(&level), "untouched");
}
END_TEST

static char *repeat(const char *text, size_t times, const char *tail)
{
    struct buf buf = BUF_INIT;
    for (size_t i = 0; i < times; i++) {
        buf_append_text(&buf, text);
    }
    buf_append_text(&buf, tail);
    return buf_steal(&buf);
}

/* The digits are those of Python's hashlib.sha256(level).hexdigest()[:24]. */
static const struct {
    const char *text; /* of the level, so many times, and a tail */
    size_t times;
    const char *tail;
    const char *shown; /* in the component, so many times, and a tail */
    size_t shown_times;
    const char *shown_tail;
} cuts[] = {
    {"a", 256, "", "a", 229, "%~02d7160d77e18c6447be80c2"},
    {".", 300, "", "", 0,
        "%2E......................................................................................."
        ".........................................................................................."
        ".................................................%~a0bd2a8e33bc6f14d52eed38"},
    {"%", 100, "", "%25", 76, "%~02f4ccf09d1f5740e28864c4"},
    {"a", 228, "%%%%%%%%%%", "a", 228, "%~76d15f37557c26a97664b250"},
    {"a", 229, "%%%%%%%%%%", "a", 229, "%~d85ca3f3382e67a9bb049a6e"},
    {"\xFF", 100, "", "", 0,
        "%%%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%"
        "FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%"
        "FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%FF%~da6f14970ce356ce01a5b340"},
    {"a", 300, ".eml", "a", 229, "%~b6bc0ced677862d628762cf4"},
    {"&APw-a", 150, "", "üa", 76, "%~a7b701b517f4b2094273c980"},
    {"&2D3eAA-a", 100, "", "😀a", 45, "😀%~24e99505f1e0ec7313afca47"},
};

START_TEST(an_over_long_level_is_cut_at_a_character_and_told_by_its_hash)
{
    CLEANUP(free) char *level = repeat(cuts[_i].text, cuts[_i].times, cuts[_i].tail);
    CLEANUP(free) char *shown = repeat(cuts[_i].shown, cuts[_i].shown_times, cuts[_i].shown_tail);
    CLEANUP(buf) struct buf component = BUF_INIT;
    CLEANUP(buf) struct buf back = BUF_INIT;
    mailbox_component(&component, level, strlen(level), false);
    ck_assert_str_eq(buf_text(&component), shown);
    ck_assert_uint_le(component.len, MAILBOX_COMPONENT_MAX);
    ck_assert_int_eq(mailbox_level(&back, component.data, false), -ENAMETOOLONG);
}
END_TEST

START_TEST(the_longest_component_is_not_cut)
{
    CLEANUP(free) char *level = repeat("a", MAILBOX_COMPONENT_MAX, "");
    CLEANUP(buf) struct buf component = BUF_INIT;
    CLEANUP(buf) struct buf back = BUF_INIT;
    mailbox_component(&component, level, MAILBOX_COMPONENT_MAX, false);
    ck_assert_str_eq(buf_text(&component), level);
    ck_assert_int_eq(mailbox_level(&back, level, false), 0);
    CLEANUP(free) char *longer = repeat("a", MAILBOX_COMPONENT_MAX + 1, "");
    ck_assert_int_eq(mailbox_level(&back, longer, false), -EINVAL);
}
END_TEST

/* What was given so far: component -> level, both with the place in the text. */
struct seen {
    GHashTable *levels;
    size_t count;
};

static void assert_component_form(const struct buf *component)
{
    const char *text = component->data;
    size_t len = component->len;
    unit_require(len >= 1);
    unit_require(len <= MAILBOX_COMPONENT_MAX);
    unit_require(strlen(text) == len);
    unit_require(text[0] != '.');
    unit_require(len < 4 || strcmp(text + len - 4, ".eml") != 0);
    unit_require(strchr(text, '/') == NULL);
    for (size_t at = 0; at < len;) {
        uint32_t character = 0;
        size_t step = text_char(text + at, len - at, &character);
        unit_require(step > 0);
        unit_require(!text_is_unprintable(character));
        at += step;
    }
}

/* The four promises: a valid component, the same one again, another for another level, and the way
 * back. */
static void try_level(struct seen *seen, const char *level, size_t len, bool first)
{
    CLEANUP(buf) struct buf component = BUF_INIT;
    CLEANUP(buf) struct buf back = BUF_INIT;
    mailbox_component(&component, level, len, first);
    assert_component_form(&component);
    if (first && len == 5 && g_ascii_strncasecmp(level, "INBOX", 5) == 0) {
        level = "INBOX";
    }
    int rc = mailbox_level(&back, component.data, first);
    if (rc == 0) {
        unit_require(back.len == len);
        unit_require(memcmp(buf_text(&back), level, len) == 0);
    } else {
        unit_require(rc == -ENAMETOOLONG);
        unit_require(len > 60); /* three bytes each at most, or base64 of three for two */
    }
    const GBytes *known = g_hash_table_lookup(seen->levels, component.data);
    if (known != NULL) {
        gsize known_len = 0;
        const void *known_level = g_bytes_get_data((GBytes *)(uintptr_t)known, &known_len);
        unit_require(known_len == len);
        unit_require(len == 0 || memcmp(known_level, level, len) == 0);
        return;
    }
    (void)g_hash_table_insert(
        seen->levels, g_strndup(component.data, component.len), g_bytes_new(level, len));
    seen->count++;
}

static void seen_begin(struct seen *seen)
{
    seen->levels =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    seen->count = 0;
}

static void seen_end(struct seen *seen)
{
    g_hash_table_destroy(seen->levels);
}

START_TEST(every_byte_and_every_two_bytes_have_a_component_of_their_own)
{
    struct seen seen;
    seen_begin(&seen);
    for (int first = 0; first < 256; first++) {
        char level[2] = {(char)first, 0};
        try_level(&seen, level, 1, false);
        for (int second = 0; second < 256; second++) {
            level[1] = (char)second;
            try_level(&seen, level, 2, false);
        }
    }
    ck_assert_uint_eq(seen.count, 256 + 65536);
    seen_end(&seen);
}
END_TEST

static const char *const specials[] = {"%", "%%", "%~", "%empty", "%2E", "%2F", "%41", ".", "..",
    ".eml", ".uid", "/", "&", "&-", "&APw-", "&APw", "-", "&AGE-", "&AC8-", "&2D3eAA-", "&2D0-",
    "&IC4-", "&AAo-", "&,v8-", "INBOX", "inbox", "lost+found", " ", "a", "A", "~", "\\", "\x01",
    "\x7F", "\x80", "\xC3", "\xC3\xBC", "\xFF", "0123456789abcdef01234567"};
enum { SPECIALS = sizeof specials / sizeof specials[0] };

START_TEST(specials_next_to_each_other_do_not_collide)
{
    struct seen seen[2]; /* for other levels and for first ones */
    seen_begin(&seen[0]);
    seen_begin(&seen[1]);
    for (size_t i = 0; i < (size_t)SPECIALS * SPECIALS * SPECIALS; i++) {
        char level[100];
        const char *one = specials[i % SPECIALS];
        const char *two = specials[i / SPECIALS % SPECIALS];
        const char *three = i % 2 == 0 ? "" : specials[i / SPECIALS / SPECIALS];
        int len = g_snprintf(level, sizeof level, "%s%s%s", one, two, three);
        try_level(&seen[i % 3 == 0], level, (size_t)len, i % 3 == 0);
    }
    ck_assert_uint_gt(seen[0].count, 10000);
    ck_assert_uint_gt(seen[1].count, 5000);
    seen_end(&seen[0]);
    seen_end(&seen[1]);
}
END_TEST

/* A text of any characters in modified UTF-7, or 0 where it holds what has no encoding. */
static size_t encode(const struct buf *text, char *ret_level, size_t size)
{
    iconv_t converter = iconv_open("UTF-7-IMAP", "UTF-8");
    unit_require(converter != (iconv_t)-1);
    char *in = text->data;
    size_t in_left = text->len;
    char *out = ret_level;
    size_t out_left = size;
    bool done = iconv(converter, &in, &in_left, &out, &out_left) == 0 &&
                iconv(converter, NULL, NULL, &out, &out_left) == 0;
    (void)iconv_close(converter);
    return done ? size - out_left : 0;
}

START_TEST(random_levels_of_every_kind_keep_the_promises)
{
    enum { ROUNDS = 30000 };
    struct seen seen;
    struct unit_random random = {6};
    size_t decoded = 0;
    seen_begin(&seen);
    for (int round = 0; round < ROUNDS; round++) {
        CLEANUP(buf) struct buf text = BUF_INIT;
        char level[4096];
        uint32_t parts = unit_random_below(&random, round % 20 == 0 ? 300 : 12);
        buf_append_text(&text, "");
        for (uint32_t i = 0; i < parts; i++) {
            char utf8[8] = "";
            if (round % 3 == 0) {
                buf_append_char(&text, (char)unit_random_next(&random));
            } else if (round % 3 == 1 && unit_random_below(&random, 2) == 0) {
                buf_append_text(&text, specials[unit_random_below(&random, SPECIALS)]);
            } else {
                uint32_t limits[] = {0x80, 0x100, 0x800, 0x3000, 0x10000, 0x110000};
                uint32_t character =
                    1 + unit_random_below(&random, limits[unit_random_below(&random, 6)] - 1);
                (void)g_unichar_to_utf8(character, utf8);
                buf_append_text(&text, utf8);
            }
        }
        size_t len = round % 3 == 2 ? encode(&text, level, sizeof level) : 0;
        if (len > 0) {
            try_level(&seen, level, len, false);
            decoded++;
        } else {
            try_level(&seen, text.data, text.len, false);
        }
    }
    ck_assert_uint_gt(seen.count, 20000);
    ck_assert_uint_gt(decoded, 5000);
    seen_end(&seen);
}
END_TEST

START_TEST(a_nul_in_a_level_is_escaped)
{
    CLEANUP(buf) struct buf component = BUF_INIT;
    CLEANUP(buf) struct buf back = BUF_INIT;
    mailbox_component(&component, "a\0b", 3, true);
    ck_assert_str_eq(buf_text(&component), "%%a%00b");
    ck_assert_int_eq(mailbox_level(&back, component.data, true), 0);
    ck_assert_uint_eq(back.len, 3);
    ck_assert_mem_eq(back.data, "a\0b", 3);
}
END_TEST

START_TEST(this_machine_converts_modified_utf_7)
{
    ck_assert(mailbox_name_works());
}
END_TEST

struct walk {
    struct buf text;
    int stop_at; /* the level that ends the walk, from 1; 0 for none */
    int count;
};

static int note_level(void *arg, const char *level, size_t level_len, size_t prefix_len)
{
    struct walk *walk = arg;
    buf_printf(&walk->text, "[%.*s|%zu]", (int)level_len, level, prefix_len);
    return ++walk->count == walk->stop_at ? 42 : 0;
}

static const struct {
    const char *raw;
    char delimiter;
    const char *levels;
} names[] = {
    {"INBOX", '/', "[INBOX|5]"},
    {"a/b/c", '/', "[a|1][b|3][c|5]"},
    {"a/b/c", '.', "[a/b/c|5]"},
    {"a/b/c", '\0', "[a/b/c|5]"},
    {"INBOX.Sent.2024", '.', "[INBOX|5][Sent|10][2024|15]"},
    {"a//b", '/', "[a|1][|2][b|4]"},
    {"a/", '/', "[a|1][|2]"},
    {"/a", '/', "[|0][a|2]"},
    {"/", '/', "[|0][|1]"},
    {"", '/', "[|0]"},
    {"", '\0', "[|0]"},
    {"a\\b", '\\', "[a|1][b|3]"},
};

START_TEST(a_name_is_split_into_its_levels)
{
    struct walk walk = {BUF_INIT, 0, 0};
    ck_assert_int_eq(mailbox_levels(names[_i].raw, strlen(names[_i].raw), names[_i].delimiter,
                         note_level, &walk),
        0);
    ck_assert_str_eq(buf_text(&walk.text), names[_i].levels);
    buf_finish(&walk.text);
}
END_TEST

START_TEST(a_walk_over_levels_ends_where_it_is_told)
{
    struct walk walk = {BUF_INIT, 2, 0};
    ck_assert_int_eq(mailbox_levels("a/b/c", 5, '/', note_level, &walk), 42);
    ck_assert_str_eq(buf_text(&walk.text), "[a|1][b|3]");
    buf_finish(&walk.text);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("mailbox_name");
    tcase_add_loop_test(tests, a_level_and_its_component_are_found_from_each_other, 0,
        sizeof pairs / sizeof pairs[0]);
    tcase_add_test(tests, the_first_level_inbox_is_the_same_in_any_case);
    tcase_add_loop_test(tests, a_component_that_no_level_gives_is_refused, 0,
        sizeof impossible / sizeof impossible[0]);
    tcase_add_loop_test(tests, an_over_long_level_is_cut_at_a_character_and_told_by_its_hash, 0,
        sizeof cuts / sizeof cuts[0]);
    tcase_add_test(tests, the_longest_component_is_not_cut);
    tcase_add_test(tests, every_byte_and_every_two_bytes_have_a_component_of_their_own);
    tcase_add_test(tests, specials_next_to_each_other_do_not_collide);
    tcase_add_test(tests, random_levels_of_every_kind_keep_the_promises);
    tcase_add_test(tests, a_nul_in_a_level_is_escaped);
    tcase_add_test(tests, this_machine_converts_modified_utf_7);
    tcase_add_loop_test(tests, a_name_is_split_into_its_levels, 0, sizeof names / sizeof names[0]);
    tcase_add_test(tests, a_walk_over_levels_ends_where_it_is_told);
    return unit_run("mailbox_name", tests);
}

#include <glib.h>
#include <gmime/gmime.h>
#include <string.h>
#include <unictype.h>
#include <uninorm.h>

#include "base/text.h"
#include "model/file_name.h"
#include "model/header.h"
#include "unit.h"

#define DATE "Thu, 22 Aug 2002 18:26:25 +0700"
#define FROM "Ann <ann@example.org>"
#define ID "<m1@example.org>"

/*
 * Dates and slugs were written down from the definition in file_name.h; the six characters were
 * computed apart from it with Python: base64.b32encode(hashlib.sha256(lines).digest())[:6].lower().
 */
static const struct {
    struct name_fields fields; /* Date, Subject, From, Message-ID */
    int64_t internaldate_s;
    int64_t size_bytes;
    const char *name;
} messages[] = {
    {{DATE, "Re: New Sequences Window", FROM, "<13258.1030015585@munnari.example>"}, 0, 4711,
        "2002-08-22.Re-New-Sequences-Window.3wgk57.eml"},
    /* the size counts */
    {{DATE, "Re: New Sequences Window", FROM, "<13258.1030015585@munnari.example>"}, 0, 4712,
        "2002-08-22.Re-New-Sequences-Window.kzoep3.eml"},
    /* the day is that of UTC */
    {{"Sat, 31 Dec 2005 23:30:00 -0100", "eve", FROM, ID}, 0, 1, "2006-01-01.eve.vcjzj2.eml"},
    {{"Sun, 1 Jan 2006 00:30:00 +0100", "eve", FROM, ID}, 0, 1, "2005-12-31.eve.vcjzj2.eml"},
    /* without a subject */
    {{DATE, NULL, FROM, ID}, 0, 1, "2002-08-22.no-subject.vcjzj2.eml"},
    {{DATE, "", FROM, ID}, 0, 1, "2002-08-22.no-subject.vcjzj2.eml"},
    {{DATE, "!!! ... (?)", FROM, ID}, 0, 1, "2002-08-22.no-subject.vcjzj2.eml"},
    /* without a sound Date */
    {{NULL, "x", FROM, ID}, 837596665, 1, "1996-07-17.x.vcjzj2.eml"},
    {{"soon", "x", FROM, ID}, 837596665, 1, "1996-07-17.x.vcjzj2.eml"},
    {{"Sat, 1 Jan 1966 00:00:00 +0000", "x", FROM, ID}, 837596665, 1, "1996-07-17.x.vcjzj2.eml"},
    {{NULL, "x", FROM, ID}, 0, 1, "1970-01-01.x.vcjzj2.eml"},
    {{NULL, "x", FROM, ID}, -5, 1, "1970-01-01.x.vcjzj2.eml"},
    {{NULL, "x", FROM, ID}, INT64_MAX, 1, "9999-12-31.x.vcjzj2.eml"},
    /* without a Message-ID */
    {{DATE, "x", FROM, NULL}, 0, 100, "2002-08-22.x.flj65c.eml"},
    {{DATE, "x", FROM, ""}, 0, 100, "2002-08-22.x.flj65c.eml"},
    {{NULL, NULL, NULL, NULL}, 0, 0, "1970-01-01.no-subject.2cjx36.eml"},
    /* encoded words */
    {{DATE, "=?iso-8859-1?Q?Gr=FC=DFe?= aus =?iso-8859-1?Q?K=F6ln?=", FROM, ID}, 0, 1,
        "2002-08-22.Grüße-aus-Köln.vcjzj2.eml"},
    {{DATE, "=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?= 2", FROM, ID}, 0, 1,
        "2002-08-22.日本語-2.vcjzj2.eml"},
    /* the same letter, composed */
    {{DATE, "=?utf-8?q?Cafe=CC=81=20cre=CC=80me?=", FROM, ID}, 0, 1,
        "2002-08-22.Café-crème.vcjzj2.eml"},
    /* marks stay on their letters */
    {{DATE,
         "=?utf-8?q?=E0=A4=A8=E0=A4=AE=E0=A4=B8=E0=A5=8D=E0=A4=A4=E0=A5=87=2C=20=E0=A4=A6=E0=A5=81="
         "E0=A4=A8=E0=A4=BF=E0=A4=AF=E0=A4=BE=21?=",
         FROM, ID},
        0, 1, "2002-08-22.नमस्ते-दुनिया.vcjzj2.eml"},
    {{DATE, "=?utf-8?q?=D9=85=D8=B1=D8=AD=D8=A8=D8=A7=20=D9=A1=D9=A2=D9=A3?=", FROM, ID}, 0, 1,
        "2002-08-22.مرحبا-١٢٣.vcjzj2.eml"},
    /* a mark on nothing */
    {{DATE, "=?utf-8?q?=CC=81abc=20=2D=CC=81=2D=20d?=", FROM, ID}, 0, 1,
        "2002-08-22.abc-d.vcjzj2.eml"},
    /* no letters: pictures, powers, fractions, Roman numerals */
    {{DATE, "=?utf-8?q?=F0=9F=8E=89=20Party=20=E2=9D=A4=EF=B8=8F=202024?=", FROM, ID}, 0, 1,
        "2002-08-22.Party-2024.vcjzj2.eml"},
    {{DATE, "=?utf-8?q?x=C2=B2=20=C2=BD=20=E2=85=A3=20y?=", FROM, ID}, 0, 1,
        "2002-08-22.x-y.vcjzj2.eml"},
    /* a letter that no font shows */
    {{DATE, "=?utf-8?q?=E3=85=A4?=", FROM, ID}, 0, 1, "2002-08-22.no-subject.vcjzj2.eml"},
    /* what would mean something elsewhere */
    {{DATE, "../../etc/passwd", FROM, ID}, 0, 1, "2002-08-22.etc-passwd.vcjzj2.eml"},
    {{DATE, "a; rm -rf $HOME `id` | \"b\" & 'c' > <d> *[e]? {f} !g #h \\i ~j", FROM, ID}, 0, 1,
        "2002-08-22.a-rm-rf-HOME-id-b-c-d-e-f-g-h-i-j.vcjzj2.eml"},
    {{DATE, "=?utf-8?q?invoice=E2=80=AEfdp=2Eexe=0D=0Ax?=", FROM, ID}, 0, 1,
        "2002-08-22.invoice-fdp-exe-x.vcjzj2.eml"},
    {{DATE, "~2.eml", FROM, ID}, 0, 1, "2002-08-22.2-eml.vcjzj2.eml"},
    {{DATE, "=?../../../x?q?abc?=", FROM, ID}, 0, 1, "2002-08-22.abc.vcjzj2.eml"},
    /* raw bytes */
    {{DATE,
         "Gr\xC3\xBC\xC3\x9F"
         "e",
         FROM, ID},
        0, 1, "2002-08-22.Grüße.vcjzj2.eml"},
    {{DATE,
         "Gr\xFC\xDF"
         "e",
         FROM, ID},
        0, 1, "2002-08-22.Grüße.vcjzj2.eml"},
    /* exactly as much as fits */
    {{DATE,
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaab",
         FROM, ID},
        0, 1,
        "2002-08-22."
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaa.vcjzj2.eml"},
    {{DATE,
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaa bc",
         FROM, ID},
        0, 1,
        "2002-08-22."
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaa-b.vcjzj2.eml"},
    {{DATE,
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaa bc",
         FROM, ID},
        0, 1,
        "2002-08-22."
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaa.vcjzj2.eml"},
    {{DATE,
         "a\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
         "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
         "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
         "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
         "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC"
         "\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC",
         FROM, ID},
        0, 1, "2002-08-22.aüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü.vcjzj2.eml"},
};

START_TEST(a_message_has_the_name_that_the_definition_gives)
{
    CLEANUP(buf) struct buf name = BUF_INIT;
    struct name_fields fields = {.date = messages[_i].fields.date,
        .subject = messages[_i].fields.subject,
        .from = messages[_i].fields.from,
        .message_id = messages[_i].fields.message_id};
    buf_append_text(&name, "what the buffer held is forgotten");
    file_name_make(&name, &fields, messages[_i].internaldate_s, messages[_i].size_bytes);
    ck_assert_str_eq(buf_text(&name), messages[_i].name);
}
END_TEST

START_TEST(folding_and_the_case_of_field_names_do_not_change_a_name)
{
    static const char *const blocks[] = {
        "Date: " DATE "\r\nSubject: a b c\r\nFrom: " FROM "\r\nMessage-ID: " ID "\r\n\r\n",
        "MESSAGE-ID:\n " ID "\nSUBJECT: a\n b\n c\nDATE: " DATE "\n",
    };
    CLEANUP(buf) struct buf first = BUF_INIT;
    CLEANUP(buf) struct buf second = BUF_INIT;
    CLEANUP(header_fields) struct header_fields fields = HEADER_FIELDS_INIT;
    header_read(&fields, blocks[0], strlen(blocks[0]));
    file_name_make(&first, &fields.fields, 0, 1);
    header_read(&fields, blocks[1], strlen(blocks[1]));
    file_name_make(&second, &fields.fields, 0, 1);
    ck_assert_str_eq(buf_text(&first), buf_text(&second));
}
END_TEST

/* "dddd-dd-dd.", the slug, ".xxxxxx.eml": what holds for a name whatever the message. */
static void assert_name_form(const char *name)
{
    enum { HEAD = 11, TAIL = 11 };
    size_t len = strlen(name);
    unit_require(len >= HEAD + 1 + TAIL);
    unit_require(len <= 128);
    for (size_t i = 0; i < HEAD; i++) {
        unit_require(i == 4 || i == 7 || i == 10 || g_ascii_isdigit(name[i]));
    }
    unit_require(name[4] == '-' && name[7] == '-' && name[10] == '.');
    unit_require(strncmp(name, "1970-01-01", 10) >= 0);
    const char *tail = name + len - TAIL;
    unit_require(tail[0] == '.');
    unit_require(strspn(tail + 1, "abcdefghijklmnopqrstuvwxyz234567") == 6);
    ck_assert_str_eq(tail + 7, ".eml");

    unit_require(name[HEAD] != '-' && tail[-1] != '-');
    for (const char *at = name + HEAD; at < tail;) {
        uint32_t character = 0;
        size_t step = text_char(at, (size_t)(tail - at), &character);
        unit_require(step > 0);
        unit_require(character == '-'
                         ? at[1] != '-'
                         : uc_is_general_category_withtable(character,
                               UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_Nd));
        at += step;
    }
    size_t nfc_len = 0;
    CLEANUP(free)
    uint8_t *nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)name, len, NULL, &nfc_len);
    unit_require(nfc_len == len);
    unit_require(memcmp(nfc, name, len) == 0);
}

/* A character of any kind, more often one that is likely to matter. */
static void append_any(struct unit_random *random, struct buf *text)
{
    static const char *const pieces[] = {" ", "-", "/", ".", "a", "Z", "9", "\xCC\x81", "e\xCC\x81",
        "\xEF\xB8\x8F", "\xE2\x80\x8D", "\xF0\x9F\x8E\x89", "\xE0\xA4\xB8\xE0\xA5\x8D",
        "\xE1\x84\x80", "\xE1\x85\xA1", "\xE1\x86\xA8", "\xEF\xBC\xA1", "\xE2\x80\xAE", "\xFF",
        "\xC3", "=?utf-8?q?", "=C3=BC", "?=", "=?", "\t", "\x7F"};
    if (unit_random_below(random, 3) > 0) {
        buf_append_text(text, pieces[unit_random_below(random, sizeof pieces / sizeof pieces[0])]);
    } else {
        char utf8[8] = "";
        uint32_t character = 1 + unit_random_below(random, 0x2FFFF);
        (void)g_unichar_to_utf8(
            character, utf8); /* a surrogate becomes three bytes that are none */
        buf_append_text(text, utf8);
    }
}

START_TEST(whatever_the_subject_the_name_is_sound)
{
    struct unit_random random = {5};
    for (int round = 0; round < 20000; round++) {
        CLEANUP(buf) struct buf subject = BUF_INIT;
        CLEANUP(buf) struct buf name = BUF_INIT;
        buf_append_text(&subject, "");
        for (uint32_t i = unit_random_below(&random, round % 10 == 0 ? 300 : 20); i > 0; i--) {
            append_any(&random, &subject);
        }
        struct name_fields fields = {NULL, subject.data, NULL, NULL};
        file_name_make(
            &name, &fields, (int64_t)unit_random_next(&random), (int64_t)unit_random_next(&random));
        assert_name_form(name.data);
    }
}
END_TEST

START_TEST(a_value_of_any_length_gives_a_name)
{
    CLEANUP(buf) struct buf huge = BUF_INIT;
    CLEANUP(buf) struct buf name = BUF_INIT;
    for (int i = 0; i < 500000; i++) {
        buf_append_text(&huge, "=?utf-8?q?=C3");
    }
    struct name_fields fields = {huge.data, huge.data, huge.data, huge.data};
    file_name_make(&name, &fields, 0, 1);
    assert_name_form(name.data);
}
END_TEST

static const struct {
    const char *name;
    uint32_t rank;
    const char *ranked;
} rankings[] = {
    {"x.eml", 1, "x.eml"},
    {"x.eml", 2, "x~2.eml"},
    {"x.eml", 4294967295, "x~4294967295.eml"},
    {"2002-08-22.a-b.k3f9q2.eml", 12, "2002-08-22.a-b.k3f9q2~12.eml"},
    {"a~b.eml", 3, "a~b~3.eml"},
};

START_TEST(a_rank_is_added_and_split_off_again)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    uint32_t rank = 0;
    file_name_ranked(&text, rankings[_i].name, rankings[_i].rank);
    ck_assert_str_eq(buf_text(&text), rankings[_i].ranked);
    file_name_split(&text, &rank, rankings[_i].ranked);
    ck_assert_str_eq(buf_text(&text), rankings[_i].name);
    ck_assert_uint_eq(rank, rankings[_i].rank);
}
END_TEST

START_TEST(a_rank_of_nought_is_none)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    file_name_ranked(&text, "x.eml", 0);
    ck_assert_str_eq(buf_text(&text), "x.eml");
}
END_TEST

static const char *const unranked[] = {"", "x", "x.eml", "x~0.eml", "x~1.eml", "x~01.eml",
    "x~02.eml", "x~.eml", "x~2", "x~2.emlx", "x~2.EML", "x~a.eml", "x~2a.eml", "x~+2.eml",
    "x~-2.eml", "x~4294967296.eml", "x~99999999999999999999.eml", ".eml", "~2.eml", "x~2~.eml",
    "x~2.eml~"};

START_TEST(a_name_without_a_mark_is_returned_whole)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    uint32_t rank = 0;
    file_name_split(&text, &rank, unranked[_i]);
    ck_assert_str_eq(buf_text(&text), unranked[_i]);
    ck_assert_uint_eq(rank, 1);
}
END_TEST

static const struct {
    const char *component;
    bool message;
    uint32_t uid;
} components[] = {
    {"1042.eml", true, 1042},
    {"1.eml", true, 1},
    {"4294967295.eml", true, 4294967295},
    {"4294967296.eml", true, 0},
    {"99999999999999999999.eml", true, 0},
    {"0.eml", true, 0},
    {"01.eml", true, 0},
    {"-1.eml", true, 0},
    {"+1.eml", true, 0},
    {" 1.eml", true, 0},
    {"1 .eml", true, 0},
    {"1x.eml", true, 0},
    {".eml", true, 0},
    {"1042.EML", false, 0},
    {"1042", false, 0},
    {"1042.eml~", false, 0},
    {"eml", false, 0},
    {"", false, 0},
};

START_TEST(the_names_of_the_uid_folder_are_strict)
{
    ck_assert_int_eq(file_name_is_message(components[_i].component), components[_i].message);
    ck_assert_uint_eq(file_name_uid(components[_i].component), components[_i].uid);
}
END_TEST

int main(void)
{
    g_mime_init();
    TCase *tests = unit_case("file_name");
    tcase_add_loop_test(tests, a_message_has_the_name_that_the_definition_gives, 0,
        sizeof messages / sizeof messages[0]);
    tcase_add_test(tests, folding_and_the_case_of_field_names_do_not_change_a_name);
    tcase_add_test(tests, whatever_the_subject_the_name_is_sound);
    tcase_add_test(tests, a_value_of_any_length_gives_a_name);
    tcase_add_loop_test(
        tests, a_rank_is_added_and_split_off_again, 0, sizeof rankings / sizeof rankings[0]);
    tcase_add_test(tests, a_rank_of_nought_is_none);
    tcase_add_loop_test(
        tests, a_name_without_a_mark_is_returned_whole, 0, sizeof unranked / sizeof unranked[0]);
    tcase_add_loop_test(
        tests, the_names_of_the_uid_folder_are_strict, 0, sizeof components / sizeof components[0]);
    int result = unit_run("file_name", tests);
    g_mime_shutdown();
    return result;
}

#include <gmime/gmime.h>
#include <string.h>

#include "base/text.h"
#include "model/header.h"
#include "unit.h"

static const struct {
    const char *block;
    struct name_fields fields;
} blocks[] = {
    {"", {NULL, NULL, NULL, NULL}},
    {"Date: d\r\nSubject: s\r\nFrom: f\r\nMessage-ID: <m>\r\n\r\nbody\r\n", {"d", "s", "f", "<m>"}},
    {"Date: d\nSubject: s\nFrom: f\nMessage-ID: <m>\n\nbody\n", {"d", "s", "f", "<m>"}},
    {"dATE:d\r\nSUBJECT:s\r\nfrom:f\r\nmessage-id:<m>", {"d", "s", "f", "<m>"}},
    {"Subject: first\r\nSubject: second\r\n", {NULL, "first", NULL, NULL}},
    {"Subject: first\r\nSubject: second\r\n third\r\n", {NULL, "first", NULL, NULL}},
    {"Subject:\r\nSubject: second\r\n", {NULL, "", NULL, NULL}},
    {"Subject: a\r\n b\r\n\tc\r\nFrom: f\r\n", {NULL, "a b c", "f", NULL}},
    {"Subject:\r\n a\r\n", {NULL, "a", NULL, NULL}},
    {"Subject: a\r\n \r\n b\r\n", {NULL, "a  b", NULL, NULL}},
    {"Subject: \t a \t \r\n", {NULL, "a", NULL, NULL}},
    {"Subject : s\r\nFrom\t: f\r\n", {NULL, "s", "f", NULL}},
    {" Subject: s\r\nFrom: f\r\n", {NULL, NULL, "f", NULL}},
    {"X-Subject: s\r\nSubjects: t\r\nSubjec: u\r\n", {NULL, NULL, NULL, NULL}},
    {"X-Long: a\r\n Subject: hidden\r\nSubject: s\r\n", {NULL, "s", NULL, NULL}},
    {"no colon here\r\nSubject: s\r\n", {NULL, "s", NULL, NULL}},
    {"From a@b Thu Aug 22 12:36:23 2002\nFrom: f\n", {NULL, NULL, "f", NULL}},
    {"Subject s\r\n: t\r\nFrom: f\r\n", {NULL, NULL, "f", NULL}},
    {"\r\nSubject: body\r\n", {NULL, NULL, NULL, NULL}},
    {"Date: d\r\n\r\nSubject: body\r\n", {"d", NULL, NULL, NULL}},
    {"Subject: a:b: c\r\n", {NULL, "a:b: c", NULL, NULL}},
    {"Subject: a\rb\r\n", {NULL, "a b", NULL, NULL}},
    {"Subject: gr\xC3\xBC\xC3\x9F \xFF\r\n", {NULL, "gr\xC3\xBC\xC3\x9F \xFF", NULL, NULL}},
    {"Subject", {NULL, NULL, NULL, NULL}},
    {"Subject:", {NULL, "", NULL, NULL}},
};

static void assert_field(const char *field, const char *expected)
{
    ck_assert_int_eq(field == NULL, expected == NULL);
    if (field != NULL && expected != NULL) {
        ck_assert_str_eq(field, expected);
    }
}

START_TEST(the_first_of_each_field_is_read_and_unfolded)
{
    CLEANUP(header_fields) struct header_fields read = HEADER_FIELDS_INIT;
    header_read(&read, "Date: old\r\nFrom: old\r\n", 22);
    header_read(&read, blocks[_i].block, strlen(blocks[_i].block));
    assert_field(read.fields.date, blocks[_i].fields.date);
    assert_field(read.fields.subject, blocks[_i].fields.subject);
    assert_field(read.fields.from, blocks[_i].fields.from);
    assert_field(read.fields.message_id, blocks[_i].fields.message_id);
}
END_TEST

START_TEST(a_nul_counts_as_a_space)
{
    static const char block[] = "Subject: a\0b\0\r\nFrom: f\r\n";
    CLEANUP(header_fields) struct header_fields read = HEADER_FIELDS_INIT;
    header_read(&read, block, sizeof block - 1);
    ck_assert_str_eq(read.fields.subject, "a b");
    ck_assert_str_eq(read.fields.from, "f");
}
END_TEST

START_TEST(a_long_value_is_cut_and_the_next_field_is_found)
{
    CLEANUP(buf) struct buf block = BUF_INIT;
    CLEANUP(header_fields) struct header_fields read = HEADER_FIELDS_INIT;
    buf_append_text(&block, "Subject:");
    for (int i = 0; i < 3000; i++) {
        buf_append_text(&block, i % 50 == 0 ? "\r\n x" : "x");
    }
    buf_append_text(&block, "\r\nFrom: f\r\n");
    header_read(&read, block.data, block.len);
    ck_assert_uint_eq(strlen(read.fields.subject), HEADER_VALUE_MAX);
    ck_assert_str_eq(read.fields.from, "f");
}
END_TEST

static const struct {
    const char *value;
    const char *shown;
} decodings[] = {
    {"", ""},
    {"plain", "plain"},
    {"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"},
    {"=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"},
    {"=?iso-8859-1?Q?Gr=FC=DFe?= aus =?iso-8859-1?Q?K=F6ln?=", "Grüße aus Köln"},
    {"=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"},
    {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
    {"=?utf-8?q?one_word?=", "one word"},
    /* Padded base64 words, each whole, or with a character split between them. */
    {"=?utf-8?b?YQ==?= =?utf-8?b?Yg==?= end", "ab end"},
    {"=?utf-8?B?YWI=?= =?utf-8?B?Y2Q=?=", "abcd"},
    {"=?utf-8?B?w6k=?= =?utf-8?B?w6lhYg==?= and =?iso-8859-1?B?6Q==?=",
        "\303\251\303\251ab and \303\251"},
    {"=?utf-8?B?YcM=?= =?utf-8?B?qWI=?=", "a\303\251b"},
    {"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "\346\227\245\346\234\254"},
    {"=?utf-8?B?YQ==", "=?utf-8?B?YQ=="},
    {"=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=", "日本語"},
    {"Gr\xFC\xDF"
     "e",
        "Grüße"},
    {"=?utf-8?q?a=0D=0Ab?=", "a??b"},
    {"=?utf-8?q?=1B[2J?=", "?[2J"},
    {"=?utf-8?q?a=E2=80=AEb?=", "a?b"},
    {"=?no-such-charset?q?abc?=", "abc"},
    {"=?../../../x?q?abc?=", "abc"},
    {"=?/etc/passwd?q?abc?=", "abc"},
    {"=?utf-8//TRANSLIT?q?abc?=", "abc"},
    {"=?koi8-r?q?=C1?=", "а"},
    {"=?koi8-r//?q?=C1?=", "Á"}, /* of no known charset: not UTF-8, so taken for Latin-1 */
    {"=?broken", "=?broken"},
};

START_TEST(encoded_words_are_decoded_to_printable_text)
{
    CLEANUP(free) char *shown = header_decode(decodings[_i].value);
    ck_assert_str_eq(shown, decodings[_i].shown);
}
END_TEST

START_TEST(whatever_comes_in_decodes_to_valid_printable_text)
{
    static const char *const pieces[] = {"=?utf-8?q?", "=?utf-8?b?", "?=", "=?", "?", "=E2=80",
        "=00", "=?iso-2022-jp?b?", "GyRC", " ", "a", "\xC3", "\xBC", "=?utf-7?q?", "+AGE-", "//",
        "\x1B", "=?big5?q?", "=A4=A4", "=?x?q?"};
    struct unit_random random = {4};
    for (int round = 0; round < 5000; round++) {
        CLEANUP(buf) struct buf value = BUF_INIT;
        buf_append_text(&value, "");
        for (uint32_t i = unit_random_below(&random, 12); i > 0; i--) {
            buf_append_text(&value, pieces[unit_random_below(&random, 20)]);
        }
        CLEANUP(free) char *shown = header_decode(value.data);
        size_t len = strlen(shown);
        for (size_t at = 0; at < len;) {
            uint32_t character = 0;
            size_t step = text_char(shown + at, len - at, &character);
            unit_require(step > 0);
            unit_require(!text_is_unprintable(character));
            at += step;
        }
    }
}
END_TEST

/* The seconds were computed with another program's calendar. */
static const struct {
    const char *value;
    int64_t seconds; /* -1: none */
} dates[] = {
    {"Thu, 22 Aug 2002 18:26:25 +0700", 1030015585},
    {"22 Aug 2002 18:26:25 +0700", 1030015585},
    {"Thu, 22 Aug 2002 18:26:25 +0700 (ICT)", 1030015585},
    {"Thu, 22 Aug 2002 11:26 GMT", 1030015560},
    {"Thu, 22 Aug 02 11:26:25 -0000", 1030015585},
    {"Tue, 29 Feb 2000 12:00:00 +0000", 951825600},
    {"Thu, 1 Jan 1970 00:00:00 +0000", 0},
    {"Wed, 31 Dec 1969 23:59:59 +0000", -1},
    {"Fri, 31 Dec 9999 23:59:59 +0000", 253402300799},
    {"", -1},
    {"yesterday", -1},
    {"Thu, 99 Foo 2002", -1},
};

START_TEST(a_date_is_read_only_where_it_names_a_moment)
{
    int64_t seconds = -1;
    ck_assert_int_eq(header_date(dates[_i].value, &seconds), dates[_i].seconds >= 0);
    ck_assert_int_eq(seconds, dates[_i].seconds);
}
END_TEST

int main(void)
{
    g_mime_init();
    TCase *tests = unit_case("header");
    tcase_add_loop_test(
        tests, the_first_of_each_field_is_read_and_unfolded, 0, sizeof blocks / sizeof blocks[0]);
    tcase_add_test(tests, a_nul_counts_as_a_space);
    tcase_add_test(tests, a_long_value_is_cut_and_the_next_field_is_found);
    tcase_add_loop_test(tests, encoded_words_are_decoded_to_printable_text, 0,
        sizeof decodings / sizeof decodings[0]);
    tcase_add_test(tests, whatever_comes_in_decodes_to_valid_printable_text);
    tcase_add_loop_test(
        tests, a_date_is_read_only_where_it_names_a_moment, 0, sizeof dates / sizeof dates[0]);
    int result = unit_run("header", tests);
    g_mime_shutdown();
    return result;
}

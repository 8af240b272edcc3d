#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command_reader.h"
#include "imap/command.h"

/* ---- exact bytes ---- */

struct row {
    const char *data;
    size_t len;
    bool literal_plus;
    const char *sent; /* behind "a1 X " and before CRLF */
    size_t waits;
};

#define ROW(data, literal_plus, sent, waits)                                                       \
    {                                                                                              \
        data, sizeof(data) - 1, literal_plus, sent, waits                                          \
    }

static const struct row rows[] = {
    ROW("", false, "\"\"", 0),
    ROW("", true, "\"\"", 0),
    ROW("INBOX", false, "\"INBOX\"", 0),
    ROW("a b", false, "\"a b\"", 0),
    ROW("a\"b", false, "\"a\\\"b\"", 0),
    ROW("a\\b", false, "\"a\\\\b\"", 0),
    ROW("\"", false, "\"\\\"\"", 0),
    ROW("\\", false, "\"\\\\\"", 0),
    ROW("{5}", false, "\"{5}\"", 0),
    ROW("%*()[]", false, "\"%*()[]\"", 0),
    ROW("NIL", false, "\"NIL\"", 0),
    ROW("~", false, "\"~\"", 0),
    ROW("\r\n9 DELETE INBOX", false, "{16}\r\n\r\n9 DELETE INBOX", 1),
    ROW("a\rb", false, "{3}\r\na\rb", 1),
    ROW("a\nb", true, "{3+}\r\na\nb", 0),
    ROW("a\tb", false, "{3}\r\na\tb", 1),
    ROW("a\x7f", false, "{2}\r\na\x7f", 1),
    ROW("\xc3\xa4", false, "{2}\r\n\xc3\xa4", 1),
    ROW("\xc3\xa4", true, "{2+}\r\n\xc3\xa4", 0),
    ROW("\x80", true, "{1+}\r\n\x80", 0),
};

START_TEST(a_string_is_quoted_where_it_can_be_and_else_a_literal)
{
    const struct row *row = &rows[_i];
    struct command command;
    command_begin(&command, "a1", row->literal_plus);
    command_word(&command, "X");
    command_mailbox(&command, row->data, row->len);
    ck_assert_int_eq(command_finish(&command), 0);
    struct buf expected = BUF_INIT;
    buf_printf(&expected, "a1 X %s\r\n", row->sent);
    ck_assert_uint_eq(command.bytes.len, expected.len);
    ck_assert_mem_eq(command.bytes.data, expected.data, expected.len);
    ck_assert_uint_eq(command.piece_count, row->waits);
    if (row->waits > 0) {
        const char *behind = strchr(expected.data, '\n') + 1;
        ck_assert_uint_eq(command.piece_ends[0], (size_t)(behind - expected.data));
    }
    buf_finish(&expected);
    command_release(&command);
}
END_TEST

/* What is sent for `len` times "x" behind `first`. */
static char *send_long(const char *first, size_t len, bool literal_plus, size_t *ret_waits)
{
    struct buf data = BUF_INIT;
    buf_append_text(&data, first);
    while (data.len < len) {
        buf_append_char(&data, 'x');
    }
    struct command command;
    command_begin(&command, "t", literal_plus);
    command_string(&command, data.data, data.len);
    ck_assert_int_eq(command_finish(&command), 0);
    *ret_waits = command.piece_count;
    char *sent = buf_steal(&command.bytes);
    command_release(&command);
    buf_finish(&data);
    return sent;
}

START_TEST(long_strings_are_literals_and_long_literals_are_waited_for)
{
    static const struct {
        const char *first;
        size_t len;
        bool literal_plus;
        const char *start;
        size_t waits;
    } lengths[] = {
        {"x", 998, false, "t \"xx", 0},
        {"x", 999, false, "t \"xx", 0},
        {"x", 1000, false, "t {1000}\r\nxx", 1},
        {"x", 1000, true, "t {1000+}\r\nxx", 0},
        {"\n", 4095, true, "t {4095+}\r\n\nx", 0},
        {"\n", 4096, true, "t {4096+}\r\n\nx", 0},
        {"\n", 4097, true, "t {4097}\r\n\nx", 1},
        {"\n", 4097, false, "t {4097}\r\n\nx", 1},
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t waits = 77;
        char *sent = send_long(lengths[i].first, lengths[i].len, lengths[i].literal_plus, &waits);
        ck_assert_int_eq(strncmp(sent, lengths[i].start, strlen(lengths[i].start)), 0);
        ck_assert_uint_eq(waits, lengths[i].waits);
        free(sent);
    }
}
END_TEST

START_TEST(words_numbers_and_uids_are_sent_as_they_are)
{
    struct uidset set = UIDSET_INIT;
    ck_assert_int_eq(uidset_add(&set, 1, 5), 0);
    ck_assert_int_eq(uidset_add(&set, UINT32_MAX, UINT32_MAX), 0);
    struct command command;
    command_begin(&command, "q7", true);
    command_word(&command, "UID");
    command_word(&command, "FETCH");
    command_uidset(&command, &set);
    command_word(&command, "(UID BODY.PEEK[])");
    command_word(&command, "(CHANGEDSINCE");
    command_number(&command, UINT64_MAX);
    command_word(&command, ")");
    ck_assert_int_eq(command_finish(&command), 0);
    ck_assert_str_eq(command.bytes.data,
        "q7 UID FETCH 1:5,4294967295 (UID BODY.PEEK[]) (CHANGEDSINCE 18446744073709551615 )\r\n");
    ck_assert_uint_eq(command.piece_count, 0);
    command_release(&command);
    uidset_finish(&set);
}
END_TEST

START_TEST(what_cannot_be_said_is_refused)
{
    struct command command;
    command_begin(&command, "t", false);
    command_string(&command, "a\0b", 3);
    command_word(&command, "X");
    ck_assert_int_eq(command_finish(&command), -EINVAL);
    command_release(&command);
    command_begin(&command, "t", true);
    command_string(&command, "\0", 1);
    ck_assert_int_eq(command_finish(&command), -EINVAL);
    command_release(&command);
    struct uidset nothing = UIDSET_INIT;
    command_begin(&command, "t", false);
    command_uidset(&command, &nothing);
    ck_assert_int_eq(command_finish(&command), -EINVAL);
    command_release(&command);
    command_begin(&command, "t", false); /* and the next one is as good as new */
    command_word(&command, "NOOP");
    ck_assert_int_eq(command_finish(&command), 0);
    ck_assert_str_eq(command.bytes.data, "t NOOP\r\n");
    command_release(&command);
}
END_TEST

/* ---- the property ---- */

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(*state >> 33);
}

/* Mostly bytes that could end a string, a literal or a line. */
static void fill_random(struct buf *data, uint64_t *state)
{
    static const char odd[] = "\r\n\"\\{}+() *%~\x7f\x80\xff";
    static const char *const pieces[] = {"\r\n", "{3}\r\n", "{9+}\r\n", "\" x\r\na1 DELETE y\r\n",
        "\\\"", "9 LOGOUT\r\n", "{0}", "\r\n\r\n"};
    uint32_t len =
        next_random(state) % 8 == 0 ? next_random(state) % 6000 : next_random(state) % 24;
    while (data->len < len) {
        switch (next_random(state) % 4) {
        case 0:
            buf_append_char(data, odd[next_random(state) % (sizeof odd - 1)]);
            break;
        case 1:
            buf_append_text(data, pieces[next_random(state) % 8]);
            break;
        case 2:
            buf_append_char(data, (char)(1 + next_random(state) % 255));
            break;
        default:
            buf_append_char(data, (char)('a' + next_random(state) % 26));
            break;
        }
    }
}

START_TEST(whatever_is_said_is_read_back_as_one_command_with_the_same_arguments)
{
    uint64_t state = 20261128;
    for (int round = 0; round < 30000; round++) {
        struct buf data[ARGS_MAX - 1] = {BUF_INIT};
        size_t count = 1 + next_random(&state) % 4;
        bool literal_plus = next_random(&state) % 2 == 0;
        struct command command;
        command_begin(&command, "a1", literal_plus);
        for (size_t i = 0; i < count; i++) {
            fill_random(&data[i], &state);
            command_string(&command, data[i].data, data[i].len);
        }
        ck_assert_int_eq(command_finish(&command), 0);
        struct parsed parsed = {.count = 0};
        ck_assert(parse_command(command.bytes.data, command.bytes.len, &parsed));
        ck_assert_uint_eq(parsed.count, count + 1);
        for (size_t i = 0; i < count; i++) {
            ck_assert(parsed.is_string[i + 1]);
            ck_assert_uint_eq(parsed.args[i + 1].len, data[i].len);
            ck_assert(data[i].len == 0 ||
                      memcmp(parsed.args[i + 1].data, data[i].data, data[i].len) == 0);
            buf_finish(&data[i]);
        }
        ck_assert_uint_eq(parsed.wait_count, command.piece_count);
        for (size_t i = 0; i < parsed.wait_count; i++) {
            ck_assert_uint_eq(parsed.waits[i], command.piece_ends[i]);
        }
        ck_assert_uint_le(parsed.unwaited_max, literal_plus ? 4096 : 0);
        parsed_finish(&parsed);
        command_release(&command);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command");
    TCase *tcase = tcase_create("command");
    tcase_add_loop_test(tcase, a_string_is_quoted_where_it_can_be_and_else_a_literal, 0,
        (int)(sizeof rows / sizeof rows[0]));
    tcase_add_test(tcase, long_strings_are_literals_and_long_literals_are_waited_for);
    tcase_add_test(tcase, words_numbers_and_uids_are_sent_as_they_are);
    tcase_add_test(tcase, what_cannot_be_said_is_refused);
    tcase_add_test(tcase, whatever_is_said_is_read_back_as_one_command_with_the_same_arguments);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

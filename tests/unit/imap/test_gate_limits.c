#include <check.h>
#include <stdlib.h>

#include "gate_feed.h"

#define END "E retry EHOSTDOWN\n"
#define HOSTILE "E hostile EPROTO\n"

static void expect(const char *wire, size_t len, const struct gate_limits *limits, const char *told)
{
    static const size_t pieces[] = {0, 1, 5};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct feed feed = {.data = wire, .len = len, .most = pieces[i]};
        char *got = tell_all(&feed, limits, NULL);
        ck_assert_str_eq(got, told);
        free(got);
    }
}

START_TEST(a_line_may_be_as_long_as_its_limit)
{
    static const char line[] = "* X abcdefg\r\n";
    size_t len = strlen(line);
    struct gate_limits limits = {.line_bytes = len};
    expect(line, len, &limits, "D X abcdefg\n" END);
    limits.line_bytes = len + 1;
    expect(line, len, &limits, "D X abcdefg\n" END);
    limits.line_bytes = len - 1;
    expect(line, len, &limits, HOSTILE);
    expect("* X abcdefghijklmnopq", 21, &limits, HOSTILE); /* before its end has come */
}
END_TEST

START_TEST(the_lines_of_one_answer_count_together_and_its_literals_do_not)
{
    static const char wire[] = "* X {8}\r\n12345678 b\r\n* Y {8}\r\n12345678 b\r\n";
    struct gate_limits limits = {.line_bytes = 9 + 4};
    expect(wire, strlen(wire), &limits, "D X \"12345678\" b\nD Y \"12345678\" b\n" END);
    limits.line_bytes--;
    expect(wire, strlen(wire), &limits, HOSTILE);
}
END_TEST

START_TEST(a_literal_may_be_as_large_as_its_limit)
{
    struct gate_limits limits = {.literal_bytes = 5};
    expect("* X {4}\r\nabcd\r\n", 15, &limits, "D X \"abcd\"\n" END);
    expect("* X {5}\r\nabcde\r\n", 16, &limits, "D X \"abcde\"\n" END);
    expect("* X {6}\r\nabcdef\r\n", 17, &limits, HOSTILE);
    struct gate_limits usual = {0};
    expect("* X {2147483647}\r\nabc", 21, &usual, END);
    expect("* X {2147483648}\r\nabc", 21, &usual, HOSTILE);
    struct gate_limits wide = {.literal_bytes = UINT64_MAX};
    expect("* X {18446744073709551615}\r\nabc", 31, &wide, END);
    expect("* X {18446744073709551616}\r\nabc", 31, &wide, HOSTILE);
}
END_TEST

START_TEST(what_is_beyond_the_kept_part_of_a_literal_is_read_over)
{
    struct gate_limits limits = {.keep_bytes = 5};
    expect("* X {4}\r\nabcd y\r\n", 17, &limits, "D X \"abcd\" y\n" END);
    expect("* X {5}\r\nabcde y\r\n", 18, &limits, "D X \"abcde\" y\n" END);
    expect("* X {6}\r\nabcdef y\r\n", 19, &limits, "D X \"abcde\"/6 y\n" END);
    expect("* X {9}\r\nabcde\r\n\r\n y\r\n* 1 EXISTS\r\n", 34, &limits,
        "D X \"abcde\"/9 y\nD 1 EXISTS\n" END);
}
END_TEST

START_TEST(kept_text_counts_with_a_nul_for_each_token)
{
    static const char wire[] = "* ab cde (f)\r\n"; /* 3 + 4 + 2 */
    struct gate_limits limits = {.response_bytes = 9};
    expect(wire, strlen(wire), &limits, "D ab cde ( f )\n" END);
    limits.response_bytes = 8;
    expect(wire, strlen(wire), &limits, HOSTILE);
    static const char literal[] = "* X {4}\r\nabcd\r\n"; /* 2 + 5 */
    limits.response_bytes = 7;
    expect(literal, strlen(literal), &limits, "D X \"abcd\"\n" END);
    limits.response_bytes = 6;
    expect(literal, strlen(literal), &limits, HOSTILE);
    static const char status[] = "* OK abcd\r\n"; /* 5 */
    limits.response_bytes = 5;
    expect(status, strlen(status), &limits, "S OK abcd\n" END);
    limits.response_bytes = 4;
    expect(status, strlen(status), &limits, HOSTILE);
}
END_TEST

START_TEST(parentheses_may_be_as_deep_as_their_limit)
{
    struct gate_limits limits = {.depth = 3};
    expect("* ((x)(y))\r\n", 12, &limits, "D ( ( x ) ( y ) )\n" END);
    expect("* (((x)(y)))\r\n", 14, &limits, "D ( ( ( x ) ( y ) ) )\n" END);
    expect("* ((((x))))\r\n", 13, &limits, HOSTILE);
    expect("* OK [X ((((x))))] y\r\n", 22, &limits, HOSTILE);
    struct buf wire = BUF_INIT;
    buf_append_text(&wire, "* ");
    for (int i = 0; i < 32; i++) {
        buf_append_char(&wire, '(');
    }
    char *told = tell_text(wire.data, wire.len, NULL);
    ck_assert_str_eq(told, END);
    free(told);
    buf_append_text(&wire, "(\r\n");
    told = tell_text(wire.data, wire.len, NULL);
    ck_assert_str_eq(told, HOSTILE);
    free(told);
    buf_finish(&wire);
}
END_TEST

START_TEST(tokens_may_be_as_many_as_their_limit)
{
    struct gate_limits limits = {.tokens = 5};
    expect("* a (b)\r\n", 9, &limits, "D a ( b )\n" END);
    expect("* a (b) c\r\n", 11, &limits, "D a ( b ) c\n" END);
    expect("* a (b) c d\r\n", 13, &limits, HOSTILE);
    expect("* a b c d {1}\r\ne\r\n", 18, &limits, "D a b c d \"e\"\n" END);
    expect("* a b c d e {1}\r\nf\r\n", 20, &limits, HOSTILE);
    expect("* OK [a b c d e] x\r\n", 20, &limits, "S OK [a b c d e] x\n" END);
    expect("* OK [a b c d e f] x\r\n", 22, &limits, HOSTILE);
}
END_TEST

/* ---- work and memory ---- */

/* Each would take hours if anything were looked at again and again. */
START_TEST(hostile_lines_take_time_in_proportion_to_their_length)
{
    static const char *const patterns[] = {"BODY[ ", "BODY[\" ", "{", "{1", "\"\\\" ", "() ", "[",
        "x[\"", "~{", "a{9", "BODY[]<1 ", "\\", "\"a\"", "]"};
    const struct gate_limits limits = {.line_bytes = (size_t)32 << 20,
        .response_bytes = (size_t)128 << 20,
        .tokens = (size_t)32 << 20,
        .depth = 32};
    const char *pattern = patterns[_i];
    struct buf wire = BUF_INIT;
    buf_append_text(&wire, "* OK [");
    for (int part = 0; part < 2; part++) {
        while (wire.len < (size_t)(part + 1) * (4 << 20)) {
            buf_append_text(&wire, pattern);
        }
        buf_append_text(&wire, part == 0 ? "\r\n* X " : "\r\n");
    }
    static const size_t pieces[] = {0, 100};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct feed feed = {.data = wire.data, .len = wire.len, .most = pieces[i]};
        struct gate_source source = {feed_read, &feed};
        struct gate *gate = gate_create(&source, &limits);
        struct response response;
        ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, NULL), 0);
        ck_assert_int_eq(response.kind, RESPONSE_STATUS);
        ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, NULL), 0);
        ck_assert_int_eq(response.kind, RESPONSE_DATA);
        ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, NULL), -EHOSTDOWN);
        gate_destroy(&gate);
    }
    buf_finish(&wire);
}
END_TEST

static int stream_all(void *arg, const struct response *so_far, uint64_t size, struct err *why)
{
    (void)size;
    (void)why;
    *(size_t *)arg += so_far->count;
    return 1;
}

static int drop_all(void *arg, const void *data, size_t len, struct err *why)
{
    (void)arg;
    (void)data;
    (void)len;
    (void)why;
    return 0;
}

START_TEST(many_small_literals_take_time_in_proportion_to_their_number)
{
    struct buf wire = BUF_INIT;
    buf_append_text(&wire, "* X");
    for (int i = 0; i < 100000; i++) {
        buf_append_text(&wire, " {1}\r\ny");
    }
    buf_append_text(&wire, "\r\n");
    struct feed feed = {.data = wire.data, .len = wire.len, .most = 11};
    struct gate_source source = {feed_read, &feed};
    size_t seen = 0;
    struct gate_sink sink = {stream_all, drop_all, &seen};
    struct gate *gate = gate_create(&source, NULL);
    struct response response;
    ck_assert_int_eq(gate_read(gate, &response, &sink, DEADLINE_NEVER, NULL), 0);
    ck_assert_uint_eq(response.count, 100001);
    ck_assert_uint_eq(seen, 100000ULL * 100001 / 2);
    gate_destroy(&gate);
    buf_finish(&wire);
}
END_TEST

/* ---- deadlines ---- */

START_TEST(bytes_that_trickle_do_not_keep_an_answer_going_past_its_deadline)
{
    static const char wire[] = "* 1 EXISTS\r\n";
    struct feed feed = {.data = wire, .len = strlen(wire), .most = 1};
    struct gate_source source = {feed_read, &feed};
    struct gate *gate = gate_create(&source, NULL);
    struct response response;
    struct err why = ERR_INIT;
    ck_assert_int_eq(gate_read(gate, &response, NULL, clock_now_ms() - 1, &why), -ETIMEDOUT);
    ck_assert_int_eq(why.class, ERR_RETRY);
    ck_assert_uint_eq(feed.at, 1);
    gate_destroy(&gate);
}
END_TEST

START_TEST(an_answer_that_is_there_is_read_even_when_its_deadline_has_passed)
{
    static const char wire[] = "* 1 EXISTS\r\n";
    struct feed feed = {.data = wire, .len = strlen(wire)};
    struct gate_source source = {feed_read, &feed};
    struct gate *gate = gate_create(&source, NULL);
    struct response response;
    ck_assert_int_eq(gate_read(gate, &response, NULL, clock_now_ms() - 1, NULL), 0);
    gate_destroy(&gate);
}
END_TEST

/* Gives a literal, and its last two pieces only when the first deadline has passed. */
struct slow_feed {
    struct feed feed;
    int64_t deadline_ms;
    int64_t last_deadline_ms;
};

static int64_t slow_read(void *arg, void *data, size_t size, int64_t deadline_ms, struct err *why)
{
    struct slow_feed *slow = arg;
    slow->last_deadline_ms = deadline_ms;
    if (slow->feed.len - slow->feed.at <= 70000) {
        while (clock_now_ms() <= slow->deadline_ms) {
        }
    }
    return feed_read(&slow->feed, data, size, deadline_ms, why);
}

START_TEST(the_bytes_of_a_literal_move_the_deadline_on)
{
    struct buf wire = BUF_INIT;
    size_t size = (size_t)16 << 20;
    buf_printf(&wire, "* 1 FETCH (BODY[] {%zu}\r\n", size);
    size_t start = wire.len;
    while (wire.len < start + size) {
        buf_append_text(&wire, "0123456789abcdef");
    }
    buf_append_text(&wire, ")\r\n");
    struct slow_feed slow = {.feed = {.data = wire.data, .len = wire.len}};
    struct gate_source source = {slow_read, &slow};
    size_t seen = 0;
    struct gate_sink sink = {stream_all, drop_all, &seen};
    struct gate *gate = gate_create(&source, NULL);
    struct response response;
    slow.deadline_ms = deadline_in(20);
    ck_assert_int_eq(gate_read(gate, &response, &sink, slow.deadline_ms, NULL), 0);
    ck_assert_int_gt(slow.last_deadline_ms, slow.deadline_ms);
    gate_destroy(&gate);
    buf_finish(&wire);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate limits");
    TCase *tcase = tcase_create("gate limits");
    tcase_add_test(tcase, a_line_may_be_as_long_as_its_limit);
    tcase_add_test(tcase, the_lines_of_one_answer_count_together_and_its_literals_do_not);
    tcase_add_test(tcase, a_literal_may_be_as_large_as_its_limit);
    tcase_add_test(tcase, what_is_beyond_the_kept_part_of_a_literal_is_read_over);
    tcase_add_test(tcase, kept_text_counts_with_a_nul_for_each_token);
    tcase_add_test(tcase, parentheses_may_be_as_deep_as_their_limit);
    tcase_add_test(tcase, tokens_may_be_as_many_as_their_limit);
    tcase_add_loop_test(tcase, hostile_lines_take_time_in_proportion_to_their_length, 0, 14);
    tcase_add_test(tcase, many_small_literals_take_time_in_proportion_to_their_number);
    tcase_add_test(tcase, bytes_that_trickle_do_not_keep_an_answer_going_past_its_deadline);
    tcase_add_test(tcase, an_answer_that_is_there_is_read_even_when_its_deadline_has_passed);
    tcase_add_test(tcase, the_bytes_of_a_literal_move_the_deadline_on);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

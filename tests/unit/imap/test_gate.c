#include <check.h>
#include <stdlib.h>

#include "gate_feed.h"

#define END "E retry EHOSTDOWN\n"

struct row {
    const char *wire;
    const char *told;
    size_t len; /* 0: strlen */
};

static size_t row_len(const struct row *row)
{
    return row->len != 0 ? row->len : strlen(row->wire);
}

/* RFC 9051 9; what differs from it is what servers in use send. */
static const struct row rows[] = {
    /* data */
    {"* 23 EXISTS\r\n", "D 23 EXISTS\n" END, 0},
    {"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "D CAPABILITY IMAP4rev1 AUTH=PLAIN\n" END, 0},
    {"* SEARCH\r\n", "D SEARCH\n" END, 0},
    {"* SEARCH 2 3 6 \r\n", "D SEARCH 2 3 6\n" END, 0},
    {"* XFOO bar\r\n", "D XFOO bar\n" END, 0},
    {"* 1 FETCH (UID 5 FLAGS (\\Seen \\*))\r\n", "D 1 FETCH ( UID 5 FLAGS ( \\Seen \\* ) )\n" END,
        0},
    {"* 1 FETCH (FLAGS ())\r\n", "D 1 FETCH ( FLAGS ( ) )\n" END, 0},
    {"* FLAGS (a]b $x[y \xc3\xa4 BODY \\)\r\n", "D FLAGS ( a]b $x[y \\xc3\\xa4 BODY \\ )\n" END, 0},
    {"* LIST (\\Noselect) \"/\" ~/Mail/foo\r\n", "D LIST ( \\Noselect ) \"/\" ~/Mail/foo\n" END, 0},
    {"* LIST () NIL a*b%c\r\n", "D LIST ( ) NIL a*b%c\n" END, 0},
    {"* LIST () \"\\\\\" \"a\\\"b\\\\c\"\r\n", "D LIST ( ) \"\\\" \"a\"b\\c\"\n" END, 0},
    {"* LIST () \".\" \"\"\r\n", "D LIST ( ) \".\" \"\"\n" END, 0},
    {"* LIST () \".\" \"C:\\x\"\r\n", "D LIST ( ) \".\" \"C:\\x\"\n" END, 0},
    {"* LIST () \"/\" \"x {3}\"\r\n", "D LIST ( ) \"/\" \"x {3}\"\n" END, 0},
    {"* X {3} y\r\n", "D X {3} y\n" END, 0},
    /* sections */
    {"* 1 FETCH (BODY[HEADER.FIELDS (DATE FROM)] {4}\r\na\r\n\r)\r\n",
        "D 1 FETCH ( BODY[HEADER.FIELDS (DATE FROM)] \"a\\x0d\\x0a\\x0d\" )\n" END, 0},
    {"* 1 FETCH (BODY[]<0> NIL)\r\n", "D 1 FETCH ( BODY[]<0> NIL )\n" END, 0},
    {"* 1 FETCH (body[1.MIME] \"x\")\r\n", "D 1 FETCH ( body[1.MIME] \"x\" )\n" END, 0},
    {"* 1 FETCH (BODY[HEADER.FIELDS (\"x] y\" a]b)]<7> x)\r\n",
        "D 1 FETCH ( BODY[HEADER.FIELDS (\"x] y\" a]b)]<7> x )\n" END, 0},
    {"* 1 FETCH (BINARY[1 ] ~{2}\r\n\x01\x02 BINARY.SIZE[1 2] 3)\r\n",
        "D 1 FETCH ( BINARY[1 ] \"\\x01\\x02\" BINARY.SIZE[1 2] 3 )\n" END, 0},
    {"* 1 FETCH (BODY[]{1}\r\nx)\r\n", "D 1 FETCH ( BODY[] \"x\" )\n" END, 0},
    {"* 1 FETCH (BODY[] \"\")\r\n", "D 1 FETCH ( BODY[] \"\" )\n" END, 0},
    {"* 1 FETCH (BODY[HEADER (x {2}\r\nab)\r\n* 2 EXISTS\r\n",
        "!D 1 FETCH ( BODY[HEADER ( x \"ab\" )\nD 2 EXISTS\n" END, 0},
    {"* X BODYX[a b] XBODY[c d]\r\n", "D X BODYX[a b] XBODY[c d]\n" END, 0},
    /* literals */
    {"* LIST () \"/\" {5}\r\na\r\nb(\r\n", "D LIST ( ) \"/\" \"a\\x0d\\x0ab(\"\n" END, 0},
    {"* LIST () \"/\" {3+}\r\nabc\r\n", "D LIST ( ) \"/\" \"abc\"\n" END, 0},
    {"* LIST () \"/\" {0}\r\n\r\n", "D LIST ( ) \"/\" \"\"\n" END, 0},
    {"* LIST () \"/\" {003}\r\nabc\r\n", "D LIST ( ) \"/\" \"abc\"\n" END, 0},
    {"* X {1}\r\na {1}\r\nb {1}\r\nc\r\n", "D X \"a\" \"b\" \"c\"\n" END, 0},
    {"* X {3}\r\na\0b\r\n", "D X \"a\\x00b\"\n" END, sizeof "* X {3}\r\na\0b\r\n" - 1},
    {"* X ~{1+}\r\na\r\n", "D X \"a\"\n" END, 0},
    {"* X {a}\r\n* 1 EXISTS\r\n", "D X {a}\nD 1 EXISTS\n" END, 0},
    {"* X {-1}\r\n* 1 EXISTS\r\n", "D X {-1}\nD 1 EXISTS\n" END, 0},
    {"* X {}\r\n* 1 EXISTS\r\n", "D X {}\nD 1 EXISTS\n" END, 0},
    {"* X {4294967299}\r\nabc\r\n", "E hostile EPROTO\n", 0},
    {"* X {18446744073709551619}\r\nabc\r\n", "E hostile EPROTO\n", 0},
    {"* X {99999999999999999999999}\r\nabc\r\n", "E hostile EPROTO\n", 0},
    {"* X {5}\r\nabc", END, 0},
    {"* X {5}\r\n", END, 0},
    {"* X abc", END, 0},
    /* status */
    {"* OK\r\n", "S OK \n" END, 0},
    {"* NO \r\n", "S NO \n" END, 0},
    {"* ok hello [x] {5}\r\n", "S OK hello [x] {5}\n" END, 0},
    {"* BYE bye\r\n", "S BYE bye\n" END, 0},
    {"* PREAUTH hi\r\n", "S PREAUTH hi\n" END, 0},
    {"* BAD [ALERT] \xc3\xa4\r\n", "S BAD [ALERT] \xc3\xa4\n" END, 0},
    {"* OK [UIDVALIDITY 3857529045] UIDs valid\r\n",
        "S OK [UIDVALIDITY 3857529045] UIDs valid\n" END, 0},
    {"* OK [PERMANENTFLAGS (\\Seen a]b \\*)] Limited\r\n",
        "S OK [PERMANENTFLAGS ( \\Seen a]b \\* )] Limited\n" END, 0},
    {"* OK [X \"a] b\"]none\r\n", "S OK [X \"a] b\"] none\n" END, 0},
    {"* OK [READ-ONLY]\r\n", "S OK [READ-ONLY] \n" END, 0},
    {"* OK []\r\n", "S OK \n" END, 0},
    {"* OK [X (a] text\r\n", "S OK [X (a] text\n" END, 0},
    {"* OK [never closed\r\n", "S OK [never closed\n" END, 0},
    {"* OK [X )] text\r\n", "S OK [X )] text\n" END, 0},
    {"* OK [X \"a] text\r\n", "S OK [X \"a] text\n" END, 0},
    {"* OKAY x\r\n", "D OKAY x\n" END, 0},
    /* tagged */
    {"a1 OK done\r\n", "T a1 OK done\n" END, 0},
    {"a1 no [TRYCREATE] none\r\n", "T a1 NO [TRYCREATE] none\n" END, 0},
    {"a1 BAD\r\n", "T a1 BAD \n" END, 0},
    {"a1 OK [COPYUID 1 2:3 4:5] x {3}\r\n", "T a1 OK [COPYUID 1 2:3 4:5] x {3}\n" END, 0},
    {"a1 BYE x\r\n", "!T a1  BYE x\n" END, 0},
    {"a1 PREAUTH x\r\n", "!T a1  PREAUTH x\n" END, 0},
    {"HTTP/1.1 400 Bad Request\r\n", "!T HTTP/1.1  400 Bad Request\n" END, 0},
    {"x\r\n", "!T x  \n" END, 0},
    {" a OK x\r\n", "!T   a OK x\n" END, 0},
    /* continuation */
    {"+ idling\r\n", "C idling\n" END, 0},
    {"+\r\n", "C \n" END, 0},
    {"+ \r\n", "C \n" END, 0},
    {"+ {5}\r\n", "C {5}\n" END, 0},
    {"+x\r\n", "!C x\n" END, 0},
    /* lines that end as some servers end them */
    {"* 1 EXISTS\n* X {2}\nab\na OK x\n", "D 1 EXISTS\nD X \"ab\"\nT a OK x\n" END, 0},
    /* odd ones, which must not take the next response along */
    {"* (((x {5}\r\nabcde\r\n* 1 EXISTS\r\n", "!D ( ( ( x \"abcde\"\nD 1 EXISTS\n" END, 0},
    {"* )) x {2}\r\nab\r\n* 1 EXISTS\r\n", "!D x \"ab\"\nD 1 EXISTS\n" END, 0},
    {"* X (a\r\n* 1 EXISTS\r\n", "!D X ( a\nD 1 EXISTS\n" END, 0},
    {"* LIST () \"/\" \"abc\r\n* 1 EXISTS\r\n", "!D LIST ( ) \"/\" \"abc\"\nD 1 EXISTS\n" END, 0},
    {"* X \"a {3}\r\n* 1 EXISTS\r\n", "!D X \"a {3}\"\nD 1 EXISTS\n" END, 0},
    {"* X \"a\\\r\n* 1 EXISTS\r\n", "!D X \"a\\\"\nD 1 EXISTS\n" END, 0},
    {"\r\n* 1 EXISTS\r\n", "!D\nD 1 EXISTS\n" END, 0},
    {"*\r\n", "!D\n" END, 0},
    {"* \r\n", "!D\n" END, 0},
    {"*OK x {1}\r\na\r\n", "!D OK x \"a\"\n" END, 0},
    {"* X a\0b\r\n* 1 EXISTS\r\n", "!D X a\\x00b\nD 1 EXISTS\n" END,
        sizeof "* X a\0b\r\n* 1 EXISTS\r\n" - 1},
    {"* X {1}\r\na b\0\r\n* 1 EXISTS\r\n", "!D X \"a\" b\\x00\nD 1 EXISTS\n" END,
        sizeof "* X {1}\r\na b\0\r\n* 1 EXISTS\r\n" - 1},
    {"* OK a\0b\r\n", "!S OK a\n" END, sizeof "* OK a\0b\r\n" - 1},
    {"a\0b OK c\r\n", "!T a  OK c\n" END, sizeof "a\0b OK c\r\n" - 1},
};

START_TEST(each_answer_is_cut_as_the_grammar_says)
{
    const struct row *row = &rows[_i];
    char *told = tell_text(row->wire, row_len(row), NULL);
    ck_assert_str_eq(told, row->told);
    free(told);
}
END_TEST

START_TEST(it_does_not_matter_how_the_bytes_are_cut)
{
    const struct row *row = &rows[_i];
    size_t len = row_len(row);
    for (size_t first = 1; first <= len; first++) {
        struct feed feed = {.data = row->wire, .len = len, .first = first};
        char *told = tell_all(&feed, NULL, NULL);
        ck_assert_str_eq(told, row->told);
        free(told);
    }
    for (size_t most = 1; most <= 3; most++) {
        struct feed feed = {.data = row->wire, .len = len, .most = most};
        char *told = tell_all(&feed, NULL, NULL);
        ck_assert_str_eq(told, row->told);
        free(told);
    }
}
END_TEST

START_TEST(it_does_not_matter_where_a_whole_conversation_is_cut)
{
    struct buf wire = BUF_INIT;
    struct buf expected = BUF_INIT;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t told_len = strlen(rows[i].told);
        /* only rows that leave the place known can have a next one */
        if (told_len > strlen(END) && rows[i].told[0] != 'E') {
            buf_append(&wire, rows[i].wire, row_len(&rows[i]));
            buf_append(&expected, rows[i].told, told_len - strlen(END));
        }
    }
    buf_append_text(&expected, END);
    for (size_t first = 1; first <= wire.len; first++) {
        struct feed feed = {.data = wire.data, .len = wire.len, .first = first};
        char *told = tell_all(&feed, NULL, NULL);
        ck_assert_str_eq(told, expected.data);
        free(told);
    }
    buf_finish(&wire);
    buf_finish(&expected);
}
END_TEST

START_TEST(tokens_stay_right_while_their_memory_moves)
{
    struct buf wire = BUF_INIT;
    buf_append_text(&wire, "* X");
    for (unsigned i = 0; i < 100000; i++) {
        buf_printf(&wire, " %u", i);
        if (i % 1000 == 999) {
            buf_append_text(&wire, " {3}\r\na\r\n");
        }
    }
    buf_append_text(&wire, "\r\n");
    struct feed feed = {.data = wire.data, .len = wire.len, .most = 777};
    struct gate_source source = {feed_read, &feed};
    struct gate *gate = gate_create(&source, NULL);
    struct response response;
    ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, NULL), 0);
    ck_assert(!response.malformed);
    ck_assert_uint_eq(response.count, 100000 + 100 + 1);
    size_t at = 1;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t number = 0;
        ck_assert(token_u32(&response, at++, &number));
        ck_assert_uint_eq(number, i);
        if (i % 1000 == 999) {
            ck_assert_str_eq(response.tokens[at++].text, "a\r\n");
        }
    }
    gate_destroy(&gate);
    buf_finish(&wire);
}
END_TEST

/* ---- token helpers ---- */

static struct gate *read_one(struct feed *feed, struct response *ret)
{
    struct gate_source source = {feed_read, feed};
    struct gate *gate = gate_create(&source, NULL);
    ck_assert_int_eq(gate_read(gate, ret, NULL, DEADLINE_NEVER, NULL), 0);
    return gate;
}

START_TEST(numbers_are_digits_within_their_range)
{
    static const struct {
        const char *text;
        bool fits_u32;
        bool fits_u64;
        uint64_t number;
    } numbers[] = {
        {"0", true, true, 0},
        {"007", true, true, 7},
        {"4294967295", true, true, UINT32_MAX},
        {"4294967296", false, true, 4294967296ULL},
        {"9223372036854775807", false, true, INT64_MAX},
        {"9223372036854775808", false, false, 0},
        {"18446744073709551617", false, false, 0},
        {"99999999999999999999999999", false, false, 0},
        {"-1", false, false, 0},
        {"+1", false, false, 0},
        {"1a", false, false, 0},
        {"\"1\"", false, false, 0},
        {"NIL", false, false, 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct buf wire = BUF_INIT;
        buf_printf(&wire, "* %s\r\n", numbers[i].text);
        struct feed feed = {.data = wire.data, .len = wire.len};
        struct response response;
        struct gate *gate = read_one(&feed, &response);
        uint32_t u32 = 77;
        uint64_t u64 = 77;
        ck_assert(token_u32(&response, 0, &u32) == numbers[i].fits_u32);
        ck_assert(token_u64(&response, 0, &u64) == numbers[i].fits_u64);
        ck_assert_uint_eq(u32, numbers[i].fits_u32 ? numbers[i].number : 77);
        ck_assert_uint_eq(u64, numbers[i].fits_u64 ? numbers[i].number : 77);
        gate_destroy(&gate);
        buf_finish(&wire);
    }
}
END_TEST

START_TEST(lists_are_stepped_over_as_one_value)
{
    static const char wire[] = "* 1 FETCH (A (B) (C (D))) E\r\n";
    struct feed feed = {.data = wire, .len = strlen(wire)};
    struct response response;
    struct gate *gate = read_one(&feed, &response);
    /* 1 FETCH ( A ( B ) ( C ( D ) ) ) E
     * 0 1     2 3 4 5 6 7 8 9 10 11 12 13 14 */
    ck_assert_uint_eq(response.count, 15);
    ck_assert_uint_eq(token_next(&response, 0), 1);
    ck_assert_uint_eq(token_next(&response, 2), 14);
    ck_assert_uint_eq(token_next(&response, 4), 7);
    ck_assert_uint_eq(token_next(&response, 7), 13);
    ck_assert_uint_eq(token_next(&response, 9), 12);
    ck_assert_uint_eq(token_next(&response, 14), 15);
    ck_assert_uint_eq(token_next(&response, 15), 15);
    ck_assert_uint_eq(token_next(&response, SIZE_MAX), 15);
    ck_assert(token_is(&response, 1, "fetch"));
    ck_assert(!token_is(&response, 1, "fetc"));
    ck_assert(!token_is(&response, 2, "("));
    ck_assert(!token_is(&response, 99, "E"));
    gate_destroy(&gate);
}
END_TEST

START_TEST(a_list_that_is_never_closed_reaches_to_the_end)
{
    static const char wire[] = "* (A (B) C\r\n";
    struct feed feed = {.data = wire, .len = strlen(wire)};
    struct response response;
    struct gate *gate = read_one(&feed, &response);
    ck_assert(response.malformed);
    ck_assert_uint_eq(response.count, 6);
    ck_assert_uint_eq(token_next(&response, 0), 6);
    ck_assert_uint_eq(token_next(&response, 2), 5);
    gate_destroy(&gate);
}
END_TEST

/* ---- streaming ---- */

struct taker {
    struct buf begun; /* the tokens each time */
    struct buf taken;
    size_t largest;
    uint64_t size;
    uint64_t from; /* literals of this size and more are streamed */
    int begin_result;
    int data_result;
};

static int taker_begin(void *arg, const struct response *so_far, uint64_t size, struct err *why)
{
    struct taker *taker = arg;
    (void)why;
    tell_response(&taker->begun, so_far);
    taker->size = size;
    if (taker->begin_result < 0) {
        return err_set(why, ERR_LOCAL, ENOSPC, "no place for it");
    }
    return size >= taker->from ? 1 : 0;
}

static int taker_data(void *arg, const void *data, size_t len, struct err *why)
{
    struct taker *taker = arg;
    if (taker->data_result < 0) {
        return err_set(why, ERR_CANCELLED, EINTR, "had enough");
    }
    if (len > taker->largest) {
        taker->largest = len;
    }
    buf_append(&taker->taken, data, len);
    return 0;
}

static char *tell_streamed(struct taker *taker, const struct buf *wire, size_t most)
{
    struct gate_sink sink = {taker_begin, taker_data, taker};
    struct feed feed = {.data = wire->data, .len = wire->len, .most = most};
    return tell_all(&feed, NULL, &sink);
}

static void taker_finish(struct taker *taker)
{
    buf_finish(&taker->begun);
    buf_finish(&taker->taken);
}

START_TEST(a_large_literal_goes_to_the_sink_in_order_and_in_small_pieces)
{
    static const size_t pieces[] = {0, 1, 7, 4096, 65536, 100000};
    struct buf body = BUF_INIT;
    for (unsigned i = 0; body.len < 300000; i++) {
        buf_printf(&body, "line %u\r\n", i);
    }
    struct buf wire = BUF_INIT;
    buf_printf(&wire, "* 9 FETCH (X {1}\r\ny BODY[] {%zu}\r\n", body.len);
    buf_append(&wire, body.data, body.len);
    buf_append_text(&wire, " UID 4)\r\na OK x\r\n");
    struct buf expected = BUF_INIT;
    buf_printf(&expected, "D 9 FETCH ( X \"y\" BODY[] \"\"~%zu UID 4 )\nT a OK x\n" END, body.len);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct taker taker = {.from = 2};
        char *told = tell_streamed(&taker, &wire, pieces[i]);
        ck_assert_str_eq(told, expected.data);
        ck_assert_str_eq(taker.begun.data, "D 9 FETCH ( X\nD 9 FETCH ( X \"y\" BODY[]\n");
        ck_assert_uint_eq(taker.size, body.len);
        ck_assert_uint_eq(taker.taken.len, body.len);
        ck_assert_mem_eq(taker.taken.data, body.data, body.len);
        ck_assert_uint_le(taker.largest, 65536);
        free(told);
        taker_finish(&taker);
    }
    buf_finish(&body);
    buf_finish(&wire);
    buf_finish(&expected);
}
END_TEST

START_TEST(an_empty_literal_can_be_streamed_too)
{
    struct buf wire = BUF_INIT;
    buf_append_text(&wire, "* 9 FETCH (BODY[] {0}\r\n)\r\n");
    struct taker taker = {.from = 0};
    char *told = tell_streamed(&taker, &wire, 0);
    ck_assert_str_eq(told, "D 9 FETCH ( BODY[] \"\"~0 )\n" END);
    ck_assert_uint_eq(taker.taken.len, 0);
    free(told);
    taker_finish(&taker);
    buf_finish(&wire);
}
END_TEST

START_TEST(what_the_sink_returns_is_what_the_reader_gets)
{
    struct buf wire = BUF_INIT;
    buf_append_text(&wire, "* 9 FETCH (BODY[] {3}\r\nabc)\r\n");
    struct taker no_place = {.from = 1, .begin_result = -ENOSPC};
    char *told = tell_streamed(&no_place, &wire, 0);
    ck_assert_str_eq(told, "E local ENOSPC\n");
    free(told);
    taker_finish(&no_place);
    struct taker enough = {.from = 1, .data_result = -EINTR};
    told = tell_streamed(&enough, &wire, 0);
    ck_assert_str_eq(told, "E cancelled EINTR\n");
    free(told);
    taker_finish(&enough);
    buf_finish(&wire);
}
END_TEST

START_TEST(status_texts_never_reach_the_sink)
{
    struct buf wire = BUF_INIT;
    buf_append_text(&wire, "* OK {3}\r\na OK {3}\r\n+ {3}\r\n");
    struct taker taker = {.from = 0};
    char *told = tell_streamed(&taker, &wire, 0);
    ck_assert_str_eq(told, "S OK {3}\nT a OK {3}\nC {3}\n" END);
    ck_assert_uint_eq(taker.begun.len, 0);
    free(told);
    taker_finish(&taker);
    buf_finish(&wire);
}
END_TEST

/* ---- the place in the stream ---- */

START_TEST(bytes_behind_an_answer_are_noticed)
{
    static const char wire[] = "a OK begin TLS\r\n* OK injected\r\n";
    struct feed feed = {.data = wire, .len = strlen(wire)};
    struct response response;
    struct gate *gate = read_one(&feed, &response);
    ck_assert(gate_has_buffered(gate));
    ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, NULL), 0);
    ck_assert(!gate_has_buffered(gate));
    gate_destroy(&gate);
}
END_TEST

START_TEST(an_end_in_the_middle_makes_the_gate_useless)
{
    struct feed feed = {.data = "* X {5}\r\nab", .len = 11};
    struct gate_source source = {feed_read, &feed};
    struct gate *gate = gate_create(&source, NULL);
    struct response response;
    struct err why = ERR_INIT;
    ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, &why), -EHOSTDOWN);
    ck_assert_int_eq(why.class, ERR_RETRY);
    feed = (struct feed){.data = "cde\r\na OK x\r\n", .len = 13};
    ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, &why), -EPROTO);
    ck_assert_int_eq(why.class, ERR_HOSTILE);
    gate_destroy(&gate);
}
END_TEST

START_TEST(an_end_between_answers_does_not)
{
    struct feed feed = {.data = "", .len = 0};
    struct gate_source source = {feed_read, &feed};
    struct gate *gate = gate_create(&source, NULL);
    struct response response;
    ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, NULL), -EHOSTDOWN);
    feed = (struct feed){.data = "a OK x\r\n", .len = 8};
    ck_assert_int_eq(gate_read(gate, &response, NULL, DEADLINE_NEVER, NULL), 0);
    ck_assert_int_eq(response.kind, RESPONSE_TAGGED);
    gate_destroy(&gate);
}
END_TEST

START_TEST(a_gate_that_never_was_is_destroyed_without_harm)
{
    struct gate *gate = NULL;
    gate_destroy(&gate);
    ck_assert_ptr_null(gate);
}
END_TEST

int main(void)
{
    int count = (int)(sizeof rows / sizeof rows[0]);
    Suite *suite = suite_create("gate");
    TCase *tcase = tcase_create("gate");
    tcase_add_loop_test(tcase, each_answer_is_cut_as_the_grammar_says, 0, count);
    tcase_add_loop_test(tcase, it_does_not_matter_how_the_bytes_are_cut, 0, count);
    tcase_add_test(tcase, it_does_not_matter_where_a_whole_conversation_is_cut);
    tcase_add_test(tcase, tokens_stay_right_while_their_memory_moves);
    tcase_add_test(tcase, numbers_are_digits_within_their_range);
    tcase_add_test(tcase, lists_are_stepped_over_as_one_value);
    tcase_add_test(tcase, a_list_that_is_never_closed_reaches_to_the_end);
    tcase_add_test(tcase, a_large_literal_goes_to_the_sink_in_order_and_in_small_pieces);
    tcase_add_test(tcase, an_empty_literal_can_be_streamed_too);
    tcase_add_test(tcase, what_the_sink_returns_is_what_the_reader_gets);
    tcase_add_test(tcase, status_texts_never_reach_the_sink);
    tcase_add_test(tcase, bytes_behind_an_answer_are_noticed);
    tcase_add_test(tcase, an_end_in_the_middle_makes_the_gate_useless);
    tcase_add_test(tcase, an_end_between_answers_does_not);
    tcase_add_test(tcase, a_gate_that_never_was_is_destroyed_without_harm);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Rows and bodies, in all the shapes and orders in which servers send them. */
#include <check.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "imap/session_core.h"
#include "session_case.h"

static void add(struct uidset *set, uint32_t first, uint32_t last)
{
    ck_assert_int_eq(uidset_add(set, first, last), 0);
}

/* ---- rows ----------------------------------------------------------------------------------- */

struct seen {
    GString *text; /* what came, each item by its letter */
    size_t count, stop_after;
};

static int see_row(void *arg, const struct fetched_row *row)
{
    struct seen *seen = arg;
    g_string_append_printf(seen->text, "%u", row->uid.value);
    if ((row->have & ROW_FLAGS) != 0) {
        g_string_append_printf(seen->text, " F(%s)", row->flags);
    }
    if ((row->have & ROW_DATE) != 0) {
        g_string_append_printf(seen->text, " D%" PRId64, row->internaldate_s);
    }
    if ((row->have & ROW_SIZE) != 0) {
        g_string_append_printf(seen->text, " S%" PRIu64, row->size_bytes);
    }
    if ((row->have & ROW_HEADER) != 0) {
        g_string_append_printf(seen->text, " H%zu", row->header_len);
    }
    if ((row->have & ROW_MODSEQ) != 0) {
        g_string_append_printf(seen->text, " M%" PRIu64, row->modseq);
    }
    g_string_append_c(seen->text, ';');
    seen->count++;
    return seen->count == seen->stop_after ? -ECANCELED : 0;
}

#define ALL_ITEMS (ROW_FLAGS | ROW_DATE | ROW_SIZE | ROW_HEADER | ROW_MODSEQ)
#define ASKED                                                                                      \
    "C UID FETCH 1:9 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK\\[HEADER.FIELDS (DATE SUBJECT " \
    "FROM MESSAGE-ID)\\] MODSEQ)\n"
#define HEADER "BODY[HEADER.FIELDS (DATE SUBJECT FROM MESSAGE-ID)]"

struct shape {
    const char *answers;
    const char *expected;
};

static const struct shape shapes[] = {
    /* 1-Jan-2000 00:00:00 is 946684800 */
    {"S * 1 FETCH (UID 4 FLAGS (\\\\Seen \\\\Recent b A) INTERNALDATE \" 1-Jan-2000 00:00:00 "
     "+0000\" RFC822.SIZE 99 MODSEQ (7) " HEADER " {6}\\r\\nA: b\\r\\n)\n",
        "4 F(\\Seen A b) D946684800 S99 H6 M7;"},
    {"S * 1 FETCH (" HEADER " {6}\\r\\nA: b\\r\\n MODSEQ (7) RFC822.SIZE 99 INTERNALDATE "
     "\"01-Jan-2000 01:00:00 +0100\" FLAGS () UID 4)\n",
        "4 F() D946684800 S99 H6 M7;"},
    {"S * 1 fetch (uid 4 body[header.fields (\"DATE\" \"SUBJECT\")] \"A: b\")\n", "4 H4;"},
    {"S * 1 FETCH (UID 4 " HEADER " NIL)\n", "4;"},
    {"S * 1 FETCH (UID 4 " HEADER " \"\")\n", "4 H0;"},
    {"S * 1 FETCH (UID 4 INTERNALDATE \"00-Jan-0000 00:00:00 +0000\" RFC822.SIZE "
     "9223372036854775808)\n",
        "4;"},
    {"S * 1 FETCH (UID 4 INTERNALDATE NIL RFC822.SIZE -1 FLAGS NIL MODSEQ 7)\n", "4;"},
    {"S * 1 FETCH (UID 4 RFC822.SIZE 9223372036854775807 MODSEQ (9223372036854775807))\n",
        "4 S9223372036854775807 M9223372036854775807;"},
    {"S * 1 FETCH (UID 4294967295 RFC822.SIZE 4294967296)\n", "4294967295 S4294967296;"},
    /* without a UID, or with one that is none or two: nobody's row */
    {"S * 1 FETCH (FLAGS (\\\\Seen))\nS * 1 FETCH (UID 0 RFC822.SIZE 1)\nS * 1 FETCH (UID "
     "4294967296 RFC822.SIZE 1)\n"
     "S * 1 FETCH (UID 4 RFC822.SIZE 1 UID 5)\nS * 1 FETCH (UID x RFC822.SIZE 1)\n",
        ""},
    {"S * 1 FETCH (UID 4 RFC822.SIZE 1 RFC822.SIZE 2 UID 4)\n", "4 S1;"},
    /* broken lists hide only themselves */
    {"S * 1 FETCH (UID 4 FLAGS\nS * 1 FETCH (UID 4 FLAGS)\nS * 1 FETCH\nS * 1 FETCH ()\nS * 1 "
     "FETCH (UID)\n"
     "S * x FETCH (UID 4 RFC822.SIZE 1)\nS * 1 FETCH (UID 5 RFC822.SIZE 1)\n",
        "5 S1;"},
    /* unknown items, and news about others in between */
    {"S * 1 FETCH (X-ODD (a (b \"c\")) UID 4 RFC822.SIZE 1)\nS * 8 EXISTS\nS * 2 FETCH (FLAGS "
     "(\\\\Seen) UID 77)\n"
     "S * 1 FETCH (UID 4 RFC822.SIZE 1)\n",
        "4 S1;77 F(\\Seen);4 S1;"},
};

START_TEST(a_row_may_come_in_any_shape)
{
    char *script =
        g_strconcat(IN("CONDSTORE") EXAMINED ASKED, shapes[_i].answers, "S $T OK\nAUTO", NULL);
    const char *const scripts[] = {script};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct seen seen = {.text = g_string_new(NULL)};
    const struct row_request request = {.uids = &set, .items = ALL_ITEMS};
    struct place place;
    add(&set, 1, 9);
    place_open(&place, scripts);
    place_examine(&place);
    int rc = session_fetch_rows(place.session, &request, see_row, &seen, &place.why);
    ck_assert_msg(rc == 0, "%s", place.why.text);
    ck_assert_str_eq(seen.text->str, shapes[_i].expected);
    place_end(&place);
    g_string_free(seen.text, TRUE);
    g_free(script);
}
END_TEST

START_TEST(a_long_header_is_cut)
{
    char *header = g_strnfill(70000, 'h');
    char *script = g_strdup_printf(IN("IDLE") EXAMINED "C UID FETCH *\nS * 1 FETCH (" HEADER
                                                       " {70000}\\r\\n%s UID 4)\nS $T OK\nAUTO",
        header);
    const char *const scripts[] = {script};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct seen seen = {.text = g_string_new(NULL)};
    const struct row_request request = {.uids = &set, .items = ROW_HEADER};
    struct place place;
    add(&set, 1, 9);
    place_open(&place, scripts);
    place_examine(&place);
    ck_assert_int_eq(session_fetch_rows(place.session, &request, see_row, &seen, &place.why), 0);
    ck_assert_str_eq(seen.text->str, "4 H65536;");
    place_end(&place);
    g_string_free(seen.text, TRUE);
    g_free(script);
    g_free(header);
}
END_TEST

/* Ten blocks of two: eight are sent before any is answered, and the answers are interleaved. */
START_TEST(eight_commands_are_on_the_way_at_once)
{
    static const char *const script[] = {
        IN("CONDSTORE") "C EXAMINE *\nS * 3 EXISTS\nS * OK [UIDVALIDITY 7]\nS $T OK\n"
                        "C UID FETCH 1:2 (UID FLAGS) (CHANGEDSINCE 5)\nC UID FETCH 3:4 *\nC UID "
                        "FETCH 5,7 *\nC UID FETCH 9:10 *\nC UID FETCH 11:12 *\n"
                        "C UID FETCH 13:14 *\nC UID FETCH 15:16 *\nC UID FETCH 17:18 *\n"
                        "S * 9 FETCH (UID 3 FLAGS ())\nS * 9 FETCH (UID 1 FLAGS ())\nS $3 OK\n"
                        "C UID FETCH 19:20 *\nS * 9 FETCH (UID 5 FLAGS ())\nS $4 OK\nC UID FETCH "
                        "21 *\n"
                        "S * 9 FETCH (UID 21 FLAGS ())\nS $6 OK\nS $5 OK\nS $7 OK\nS $8 OK\n"
                        "S $9 OK\nS $12 OK\nS $11 OK\nS $10 OK\nAUTO"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct seen seen = {.text = g_string_new(NULL)};
    const struct row_request request = {
        .uids = &set, .items = ROW_FLAGS, .block = 2, .changed_since = 5};
    struct place place;
    add(&set, 1, 5);
    add(&set, 7, 7);
    add(&set, 9, 21);
    place_open(&place, script);
    place_examine(&place);
    int rc = session_fetch_rows(place.session, &request, see_row, &seen, &place.why);
    ck_assert_msg(rc == 0, "%s", place.why.text);
    ck_assert_str_eq(seen.text->str, "3 F();1 F();5 F();21 F();");
    place_end(&place);
    g_string_free(seen.text, TRUE);
}
END_TEST

START_TEST(the_first_refusal_is_returned_after_all_are_heard)
{
    static const char *const script[] = {
        IN("IDLE") EXAMINED "C UID FETCH 1 *\nC UID FETCH 2 *\nC UID FETCH 3 *\n"
                            "S $3 OK\nS $4 NO [NOPERM] that one not\nS * 3 FETCH (UID 3 FLAGS "
                            "())\nS $5 BAD what\nAUTO"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct seen seen = {.text = g_string_new(NULL)};
    const struct row_request request = {.uids = &set, .items = ROW_FLAGS, .block = 1};
    struct place place;
    struct mailbox_status status;
    add(&set, 1, 3);
    place_open(&place, script);
    place_examine(&place);
    int rc = session_fetch_rows(place.session, &request, see_row, &seen, &place.why);
    place_failed(&place, rc, ERR_REFUSED, EACCES);
    ck_assert_str_eq(seen.text->str, "3 F();");
    ck_assert(!session_is_dead(place.session));
    ck_assert_int_eq(session_examine(place.session, "box", 3, &status, &place.why), 0);
    place_end(&place);
    g_string_free(seen.text, TRUE);
}
END_TEST

START_TEST(lines_stay_short_for_scattered_uids)
{
    static const struct {
        const char *capability;
        size_t most;
    } table[] = {{"IDLE", 1000}, {"CONDSTORE", 8192}};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        char *script = g_strdup_printf("%s%s%sAUTO", GREET "S $T OK [CAPABILITY IMAP4rev1 ",
            table[i].capability, "] in\n" EXAMINED);
        const char *const scripts[] = {script};
        CLEANUP(uidset) struct uidset set = UIDSET_INIT;
        CLEANUP(uidset) struct uidset asked = UIDSET_INIT;
        struct seen seen = {.text = g_string_new(NULL)};
        const struct row_request request = {.uids = &set, .items = ALL_ITEMS, .block = UINT32_MAX};
        struct place place;
        for (uint32_t uid = 4000000001; uid < 4000006001; uid += 2) {
            add(&set, uid, uid);
        }
        place_open(&place, scripts);
        place_examine(&place);
        ck_assert_int_eq(
            session_fetch_rows(place.session, &request, see_row, &seen, &place.why), 0);
        char *heard = imap_script_heard_tls(place.script);
        char **lines = g_strsplit(heard, "\r\n", 0);
        size_t commands = 0;
        for (size_t k = 0; lines[k] != NULL; k++) {
            char *at = strstr(lines[k], " UID FETCH ");
            ck_assert_uint_le(strlen(lines[k]), table[i].most);
            if (at != NULL) {
                at += strlen(" UID FETCH ");
                ck_assert_int_eq(uidset_parse(&asked, at, strcspn(at, " ")), 0);
                commands++;
            }
        }
        ck_assert_uint_gt(commands, 1);
        ck_assert_uint_eq(uidset_size(&asked), uidset_size(&set));
        ck_assert_uint_eq(asked.count, set.count);
        g_strfreev(lines);
        free(heard);
        place_end(&place);
        g_string_free(seen.text, TRUE);
        g_free(script);
    }
}
END_TEST

START_TEST(no_row_is_given_after_uidvalidity_changed)
{
    static const char *const script[] = {IN("IDLE") EXAMINED
        "C UID FETCH 1 *\nC UID FETCH 2 *\nS * 1 FETCH (UID 1 FLAGS ())\n"
        "S * OK [UIDVALIDITY 8] new\nS * 2 FETCH (UID 2 FLAGS ())\nS $3 OK\nS $4 OK\nAUTO"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct seen seen = {.text = g_string_new(NULL)};
    const struct row_request request = {.uids = &set, .items = ROW_FLAGS, .block = 1};
    struct place place;
    add(&set, 1, 2);
    place_open(&place, script);
    place_examine(&place);
    int rc = session_fetch_rows(place.session, &request, see_row, &seen, &place.why);
    place_failed(&place, rc, ERR_CONFLICT, ESTALE);
    ck_assert_str_eq(seen.text->str, "1 F();");
    ck_assert(!session_is_dead(place.session));
    place_end(&place);
    g_string_free(seen.text, TRUE);
}
END_TEST

START_TEST(rows_may_be_stopped_and_the_session_goes_on)
{
    static const char *const script[] = {
        IN("IDLE") EXAMINED "C UID FETCH 1:2 *\nS * 1 FETCH (UID 1 FLAGS ())\nS * 2 FETCH (UID 2 "
                            "FLAGS ())\nS $T OK\n" EXAMINED "AUTO"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct seen seen = {.text = g_string_new(NULL), .stop_after = 1};
    const struct row_request request = {.uids = &set, .items = ROW_FLAGS};
    struct place place;
    add(&set, 1, 2);
    place_open(&place, script);
    place_examine(&place);
    int rc = session_fetch_rows(place.session, &request, see_row, &seen, &place.why);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_str_eq(seen.text->str, "1 F();");
    place_examine(&place);
    place_end(&place);
    g_string_free(seen.text, TRUE);
}
END_TEST

/* ---- bodies --------------------------------------------------------------------------------- */

struct drain {
    GString *text; /* "begin(uid,size)bytes end(uid);" */
    size_t bytes;
    int fail_at_begin, fail_at_data, fail_at_end;
    bool long_ones; /* count bytes instead of keeping them */
    struct session
        *hurried; /* waits no longer than a moment for what comes after the first bytes */
};

static int failing(int rc, struct err *why)
{
    return rc != 0 ? err_set(why, ERR_LOCAL, rc, "the disk is full") : 0;
}

static int drain_begin(void *arg, struct imap_uid uid, uint64_t size_bytes, struct err *why)
{
    struct drain *drain = arg;
    g_string_append_printf(drain->text, "(%u,%" PRIu64 ")", uid.value, size_bytes);
    drain->bytes = 0;
    return failing(drain->fail_at_begin, why);
}

static int drain_data(void *arg, const void *data, size_t len, struct err *why)
{
    struct drain *drain = arg;
    ck_assert_uint_le(len, 65536);
    drain->bytes += len;
    if (drain->hurried != NULL) {
        drain->hurried->wait_ms = 100;
    }
    if (!drain->long_ones) {
        g_string_append_len(drain->text, data, (gssize)len);
    }
    return failing(drain->fail_at_data, why);
}

static int drain_end(void *arg, struct imap_uid uid, struct err *why)
{
    struct drain *drain = arg;
    g_string_append_printf(drain->text, "[%u,%zu];", uid.value, drain->bytes);
    return failing(drain->fail_at_end, why);
}

static void drain_drop(void *arg)
{
    struct drain *drain = arg;
    g_string_append(drain->text, "drop;");
}

static void drain_missing(void *arg, struct imap_uid uid)
{
    struct drain *drain = arg;
    g_string_append_printf(drain->text, "missing %u;", uid.value);
}

static struct body_sink sink_of(struct drain *drain)
{
    return (struct body_sink){.begin = drain_begin,
        .data = drain_data,
        .end = drain_end,
        .drop = drain_drop,
        .missing = drain_missing,
        .arg = drain};
}

static const struct shape body_shapes[] = {
    {"S * 1 FETCH (UID 4 BODY[] {5}\\r\\nhello)\n", "(4,5)hello[4,5];"},
    {"S * 1 FETCH (BODY[] {5}\\r\\nhello UID 4)\n", "(0,5)hello[4,5];"},
    {"S * 1 FETCH (FLAGS (\\\\Seen) UID 4 MODSEQ (9) BODY[] {5}\\r\\nhello FLAGS ())\n",
        "(4,5)hello[4,5];"},
    {"S * 1 FETCH (UID 4 BODY[] \"hel\\\\\\\"lo\")\n", "(4,6)hel\"lo[4,6];"},
    {"S * 1 FETCH (UID 4 BODY[] \"\")\n", "(4,0)[4,0];"},
    {"S * 1 FETCH (UID 4 BODY[] {0}\\r\\n)\n", "(4,0)[4,0];"},
    {"S * 1 FETCH (UID 4 body[] {3}\\r\\n) \\r)\n", "(4,3)) \r[4,3];"},
    /* none: told at the end, and only of what was asked for */
    {"S * 1 FETCH (UID 4 BODY[] NIL)\n", "missing 4;"},
    {"S * 1 FETCH (UID 4)\nS * 1 FETCH (UID 5 FLAGS ())\nS * 1 FETCH (UID 77)\n",
        "missing 4;missing 5;"},
    {"S * 1 FETCH (UID 4 FLAGS ())\nS * 1 FETCH (UID 4 BODY[] {1}\\r\\na)\n", "(4,1)a[4,1];"},
    {"S * 1 FETCH (UID 4 BODY[] NIL)\nS * 1 EXPUNGE\n", ""},
    /* twice, and one that nobody asked for */
    {"S * 1 FETCH (UID 4 BODY[] {1}\\r\\na)\nS * 1 FETCH (UID 4 BODY[] {1}\\r\\nb)\n",
        "(4,1)a[4,1];(4,1)b[4,1];"},
    {"S * 1 FETCH (UID 77 BODY[] {1}\\r\\na)\n", "(77,1)a[77,1];"},
    {"S * 1 FETCH (UID 4 BODY[] {1}\\r\\na BODY[] {1}\\r\\nb)\n", "(4,1)a[4,1];"},
    /* nobody's */
    {"S * 1 FETCH (BODY[] {1}\\r\\na)\n", "(0,1)adrop;"},
    {"S * 1 FETCH (UID 4 BODY[] {1}\\r\\na UID 5)\n", "(4,1)adrop;"},
    {"S * 1 FETCH (UID 4 BODY[] {1}\\r\\na\nS * 1 FETCH (UID 5 BODY[] {1}\\r\\nb)\n",
        "(4,1)adrop;(5,1)b[5,1];"},
    {"S * 1 FETCH (UID 4 X (BODY[] {1}\\r\\na))\n", "(4,1)adrop;"},
    /* not the whole message */
    {"S * 1 FETCH (UID 4 BODY[TEXT] {1}\\r\\na BODY[]<0> {1}\\r\\nb)\n", "missing 4;"},
    {"S * 1 LIST (UID 4 BODY[] {1}\\r\\na)\n", ""},
};

START_TEST(a_body_may_come_in_any_shape)
{
    char *script = g_strconcat(IN("IDLE") EXAMINED "C UID FETCH 4:5 (UID BODY.PEEK\\[\\])\n",
        body_shapes[_i].answers, "S $T OK\nAUTO", NULL);
    const char *const scripts[] = {script};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct drain drain = {.text = g_string_new(NULL)};
    const struct body_sink sink = sink_of(&drain);
    struct place place;
    add(&set, 4, 5);
    place_open(&place, scripts);
    place_examine(&place);
    int rc = session_fetch_bodies(place.session, &set, 50, &sink, &place.why);
    ck_assert_msg(rc == 0, "%s", place.why.text);
    ck_assert_str_eq(drain.text->str, body_shapes[_i].expected);
    place_end(&place);
    g_string_free(drain.text, TRUE);
    g_free(script);
}
END_TEST

/* The answers to the next command come before the OK of the one before. */
START_TEST(bodies_of_pipelined_commands_may_interleave)
{
    static const char *const script[] = {IN("IDLE") EXAMINED
        "C UID FETCH 1 *\nC UID FETCH 2 *\nC UID FETCH 3 *\n"
        "S * 2 FETCH (UID 2 BODY[] {1}\\r\\nb)\nS * 1 FETCH (UID 1 BODY[] {1}\\r\\na)\nS $4 OK\n"
        "S * 3 FETCH (UID 3 BODY[] {1}\\r\\nc)\nS $3 OK\nS $5 OK\nAUTO"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct drain drain = {.text = g_string_new(NULL)};
    const struct body_sink sink = sink_of(&drain);
    struct place place;
    add(&set, 1, 3);
    place_open(&place, script);
    place_examine(&place);
    ck_assert_int_eq(session_fetch_bodies(place.session, &set, 1, &sink, &place.why), 0);
    ck_assert_str_eq(drain.text->str, "(2,1)b[2,1];(1,1)a[1,1];(3,1)c[3,1];");
    place_end(&place);
    g_string_free(drain.text, TRUE);
}
END_TEST

START_TEST(a_large_body_streams)
{
    enum { SIZE = 3000000 };
    char *body = g_strnfill(SIZE, 'x');
    char *script = g_strdup_printf(IN("IDLE") EXAMINED
        "C UID FETCH *\nR * 1 FETCH (UID 1 BODY[] {%d}\\r\\n\nR %s\nS )\nS $T OK\nAUTO",
        SIZE, body);
    const char *const scripts[] = {script};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct drain drain = {.text = g_string_new(NULL), .long_ones = true};
    const struct body_sink sink = sink_of(&drain);
    struct place place;
    add(&set, 1, 1);
    place_open(&place, scripts);
    place_examine(&place);
    ck_assert_int_eq(session_fetch_bodies(place.session, &set, 1, &sink, &place.why), 0);
    ck_assert_str_eq(drain.text->str, "(1,3000000)[1,3000000];");
    ck_assert_uint_gt(session_bytes_in(place.session), SIZE);
    place_end(&place);
    g_string_free(drain.text, TRUE);
    g_free(script);
    g_free(body);
}
END_TEST

START_TEST(a_body_that_breaks_off_is_dropped)
{
    static const char *const ends[] = {"CLOSE", "", "S )\\r\\n$T OK\nEOF"};
    char *script = g_strdup_printf(IN("IDLE") EXAMINED
        "C UID FETCH *\nR * 1 FETCH (UID 1 BODY[] {100}\\r\\nhalf\n%s",
        ends[_i]);
    const char *const scripts[] = {script};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct drain drain = {.text = g_string_new(NULL), .long_ones = true};
    const struct body_sink sink = sink_of(&drain);
    struct place place;
    add(&set, 1, 1);
    place_open(&place, scripts);
    place_examine(&place);
    drain.hurried = _i == 2 ? place.session : NULL; /* the third waits for what never comes */
    int rc = session_fetch_bodies(place.session, &set, 1, &sink, &place.why);
    place_failed(&place, rc, ERR_RETRY, _i == 2 ? ETIMEDOUT : EHOSTDOWN);
    ck_assert_str_eq(drain.text->str, "(1,100)drop;");
    ck_assert(session_is_dead(place.session));
    place_end(&place);
    g_string_free(drain.text, TRUE);
    g_free(script);
}
END_TEST

START_TEST(what_the_sink_cannot_take_ends_the_session)
{
    static const char *const expected[] = {"(1,1)", "(1,1)adrop;", "(1,1)a[1,1];"};
    static const char *const quoted_or_not[] = {"{1}\\r\\na", "\"a\""};
    for (size_t quoted = 0; quoted < 2; quoted++) {
        char *script =
            g_strdup_printf(IN("IDLE") EXAMINED "C UID FETCH *\nS * 1 FETCH (UID 1 BODY[] %s)\nEOF",
                quoted_or_not[quoted]);
        const char *const scripts[] = {script};
        CLEANUP(uidset) struct uidset set = UIDSET_INIT;
        struct drain drain = {.text = g_string_new(NULL)};
        const struct body_sink sink = sink_of(&drain);
        struct place place;
        drain.fail_at_begin = _i == 0 ? ENOSPC : 0;
        drain.fail_at_data = _i == 1 ? ENOSPC : 0;
        drain.fail_at_end = _i == 2 ? ENOSPC : 0;
        add(&set, 1, 1);
        place_open(&place, scripts);
        place_examine(&place);
        int rc = session_fetch_bodies(place.session, &set, 1, &sink, &place.why);
        place_failed(&place, rc, ERR_LOCAL, ENOSPC);
        ck_assert_str_eq(drain.text->str, expected[_i]);
        ck_assert(session_is_dead(place.session));
        place_end(&place);
        g_string_free(drain.text, TRUE);
        g_free(script);
    }
}
END_TEST

START_TEST(no_body_is_given_after_uidvalidity_changed)
{
    static const char *const script[] = {
        IN("IDLE") EXAMINED "C UID FETCH *\nS * OK [UIDVALIDITY 8]\nS * 1 FETCH (UID 1 BODY[] "
                            "{1}\\r\\na)\nS $T OK\nAUTO"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct drain drain = {.text = g_string_new(NULL)};
    const struct body_sink sink = sink_of(&drain);
    struct place place;
    add(&set, 1, 1);
    place_open(&place, script);
    place_examine(&place);
    int rc = session_fetch_bodies(place.session, &set, 1, &sink, &place.why);
    place_failed(&place, rc, ERR_CONFLICT, ESTALE);
    ck_assert_str_eq(drain.text->str, "");
    place_end(&place);
    g_string_free(drain.text, TRUE);
}
END_TEST

START_TEST(nothing_is_asked_for_an_empty_set)
{
    static const char *const script[] = {IN("IDLE") EXAMINED "C LOGOUT\nEOF"};
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    struct drain drain = {.text = g_string_new(NULL)};
    const struct body_sink sink = sink_of(&drain);
    struct place place;
    place_open(&place, script);
    place_examine(&place);
    ck_assert_int_eq(session_fetch_bodies(place.session, &set, 1, &sink, &place.why), 0);
    ck_assert_str_eq(drain.text->str, "");
    place_end(&place);
    g_string_free(drain.text, TRUE);
}
END_TEST

static Suite *fetch_suite(void)
{
    Suite *suite = suite_create("imap fetch");
    TCase *rows = tcase_create("rows");
    tcase_set_timeout(rows, 120);
    tcase_add_loop_test(rows, a_row_may_come_in_any_shape, 0, (int)G_N_ELEMENTS(shapes));
    tcase_add_test(rows, a_long_header_is_cut);
    tcase_add_test(rows, eight_commands_are_on_the_way_at_once);
    tcase_add_test(rows, the_first_refusal_is_returned_after_all_are_heard);
    tcase_add_test(rows, lines_stay_short_for_scattered_uids);
    tcase_add_test(rows, no_row_is_given_after_uidvalidity_changed);
    tcase_add_test(rows, rows_may_be_stopped_and_the_session_goes_on);
    suite_add_tcase(suite, rows);
    TCase *bodies = tcase_create("bodies");
    tcase_set_timeout(bodies, 120);
    tcase_add_loop_test(bodies, a_body_may_come_in_any_shape, 0, (int)G_N_ELEMENTS(body_shapes));
    tcase_add_test(bodies, bodies_of_pipelined_commands_may_interleave);
    tcase_add_test(bodies, a_large_body_streams);
    tcase_add_loop_test(bodies, a_body_that_breaks_off_is_dropped, 0, 3);
    tcase_add_loop_test(bodies, what_the_sink_cannot_take_ends_the_session, 0, 3);
    tcase_add_test(bodies, no_body_is_given_after_uidvalidity_changed);
    tcase_add_test(bodies, nothing_is_asked_for_an_empty_set);
    suite_add_tcase(suite, bodies);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(fetch_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground.h"
#include "unit.h"

static struct ground ground; /* NOLINT: the fixture's */
static struct mailbox_id inbox;

static void set_up(void)
{
    ground_make(&ground);
    ground_open(&ground);
    inbox = ground_inbox(&ground);
}

static void tear_down(void)
{
    ground_remove(&ground);
}

static void assert_names(const char *expected)
{
    CLEANUP(buf) struct buf names = BUF_INIT;
    ground_names(&ground, inbox, &names);
    ck_assert_str_eq(buf_text(&names), expected);
}

START_TEST(what_was_added_is_found_by_id_name_and_uid)
{
    struct message_new row = {.uid = {4294967295u},
        .size_bytes = 5000000000,
        .internaldate_s = -5,
        .flags = "\\Answered $Work",
        .name = "2002-08-22.Hello.abcdef.eml",
        .date = "Thu, 22 Aug 2002",
        .subject = "H\xe9llo",
        .from = "a@b",
        .message_id = NULL};
    ground_add(&ground, inbox, &row, 1);
    struct copied by_uid;
    struct copied by_name;
    struct copied by_id;
    ck_assert(ground_by_uid(&ground, inbox, 4294967295u, &by_uid));
    ck_assert_int_eq(
        store_message_by_name(ground.store, inbox, row.name, copy_message, &by_name, &ground.why),
        0);
    ck_assert_int_eq(
        store_message_get(ground.store, by_uid.id, true, copy_message, &by_id, &ground.why), 0);
    ck_assert_int_eq(by_name.id.value, by_uid.id.value);
    ck_assert_int_eq(by_id.id.value, by_uid.id.value);
    ck_assert_uint_eq(by_id.uid, 4294967295u);
    ck_assert_uint_eq(by_id.uidvalidity, 7);
    ck_assert_int_eq(by_id.size_bytes, 5000000000);
    ck_assert_int_eq(by_id.internaldate_s, -5);
    ck_assert(!by_id.proven);
    ck_assert_str_eq(by_id.flags, "\\Answered $Work");
    ck_assert_str_eq(by_id.name, row.name);
    ck_assert_str_eq(by_id.subject, "H\xe9llo");
    ck_assert_str_eq(by_uid.subject, "");
}
END_TEST

START_TEST(what_is_not_there_is_gone)
{
    struct copied copied;
    int rc = store_message_get(
        ground.store, (struct message_id){99}, false, copy_message, &copied, &ground.why);
    ck_assert_int_eq(rc, -ENOENT);
    ck_assert_int_eq(ground.why.class, ERR_GONE);
    ck_assert(!ground_by_uid(&ground, inbox, 1, &copied));
    ck_assert_int_eq(
        store_message_by_name(ground.store, inbox, "x.eml", copy_message, &copied, &ground.why),
        -ENOENT);
}
END_TEST

START_TEST(a_uid_that_is_there_is_left_alone)
{
    struct message_new first = ground_row(5, "a.eml");
    struct message_new again = ground_row(5, "b.eml");
    again.size_bytes = 1;
    ground_add(&ground, inbox, &first, 1);
    ground_add(&ground, inbox, &again, 1);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, 5, &copied));
    ck_assert_str_eq(copied.name, "a.eml");
    ck_assert_int_eq(copied.size_bytes, 1005);
    uint64_t messages = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(messages, 1);
    ck_assert_uint_eq(bytes, 1005);
}
END_TEST

START_TEST(rows_of_another_uidvalidity_are_refused)
{
    struct message_new row = ground_row(5, "a.eml");
    static const uint32_t others[] = {0, 6, 8};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        int rc = store_messages_add(ground.store, inbox, others[i], &row, 1, NULL, &ground.why);
        ck_assert_int_eq(rc, -ESTALE);
        ck_assert_int_eq(ground.why.class, ERR_CONFLICT);
        struct mailbox_synced synced = {.uidvalidity = others[i], .finished = true};
        rc = store_mailbox_synced(ground.store, inbox, &synced, NULL, &ground.why);
        ck_assert_int_eq(rc, -ESTALE);
    }
    int rc =
        store_messages_add(ground.store, (struct mailbox_id){999}, 7, &row, 1, NULL, &ground.why);
    ck_assert_int_eq(rc, -ESTALE);
    assert_names("");
}
END_TEST

START_TEST(one_bad_row_undoes_its_whole_transaction)
{
    struct message_new rows[] = {ground_row(1, "a.eml"), ground_row(0, "b.eml")};
    int rc = store_messages_add(ground.store, inbox, 7, rows, 2, NULL, &ground.why);
    ck_assert_int_eq(rc, -EINVAL);
    rows[1] = ground_row(2, "b~2.eml");
    rc = store_messages_add(ground.store, inbox, 7, rows, 2, NULL, &ground.why);
    ck_assert_int_eq(rc, -EINVAL);
    assert_names("");
    uint64_t messages = 9;
    uint64_t bytes = 9;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(messages, 0);
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

/* Every order in which five duplicates may arrive, one by one and with one other name among them.
 */
START_TEST(ranks_are_the_position_by_uid_whatever_the_order_of_arrival)
{
    static const char expected[] = "10:x.eml 11:y.eml 20:x~2.eml 30:x~3.eml 40:x~4.eml 50:x~5.eml";
    unsigned state = 12345;
    for (int round = 0; round < 20; round++) {
        uint32_t uids[] = {10, 20, 30, 40, 50, 11};
        for (size_t i = 5; i > 0; i--) {
            state = state * 1103515245u + 12345u;
            size_t j = (state >> 16) % (i + 1);
            uint32_t kept = uids[i];
            uids[i] = uids[j];
            uids[j] = kept;
        }
        struct message_new rows[6];
        for (size_t i = 0; i < 6; i++) {
            rows[i] = ground_row(uids[i], uids[i] == 11 ? "y.eml" : "x.eml");
        }
        size_t batch = round % 3 == 0 ? 1 : (round % 3 == 1 ? 2 : 6);
        for (size_t i = 0; i < 6; i += batch) {
            ground_add(&ground, inbox, rows + i, batch);
        }
        assert_names(expected);
        ground_gone(&ground, inbox, "1:4294967295", NULL);
        assert_names("");
    }
}
END_TEST

START_TEST(a_removal_closes_the_gap_in_the_ranks)
{
    for (uint32_t uid = 1; uid <= 5; uid++) {
        struct message_new row = ground_row(uid, "x.eml");
        ground_add(&ground, inbox, &row, 1);
    }
    ground_gone(&ground, inbox, "5", NULL);
    assert_names("1:x.eml 2:x~2.eml 3:x~3.eml 4:x~4.eml");
    ground_gone(&ground, inbox, "1,3", NULL);
    assert_names("2:x.eml 4:x~2.eml");
    struct copied copied;
    ck_assert_int_eq(
        store_message_by_name(ground.store, inbox, "x~2.eml", copy_message, &copied, &ground.why),
        0);
    ck_assert_uint_eq(copied.uid, 4);
    ck_assert_int_eq(
        store_message_by_name(ground.store, inbox, "x~3.eml", copy_message, &copied, &ground.why),
        -ENOENT);
}
END_TEST

START_TEST(a_listener_hears_of_names_that_shift_under_their_old_names)
{
    struct message_new rows[] = {ground_row(20, "x.eml"), ground_row(30, "x.eml")};
    ground_add(&ground, inbox, rows, 2);
    struct copied older;
    struct copied newer;
    ck_assert(ground_by_uid(&ground, inbox, 20, &older));
    ck_assert(ground_by_uid(&ground, inbox, 30, &newer));
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct change_listener listener = ground_listener(&lines);
    struct message_new first = ground_row(10, "x.eml");
    ck_assert_int_eq(
        store_messages_add(ground.store, inbox, 7, &first, 1, &listener, &ground.why), 0);
    CLEANUP(buf) struct buf expected = BUF_INIT;
    buf_printf(
        &expected, "renamed %" PRId64 " %" PRId64 " x.eml\n", older.id.value * 4, inbox.value);
    buf_printf(
        &expected, "renamed %" PRId64 " %" PRId64 " x~2.eml\n", newer.id.value * 4, inbox.value);
    ck_assert_str_eq(buf_text(&lines), buf_text(&expected));

    buf_reset(&lines);
    buf_reset(&expected);
    ground_gone(&ground, inbox, "20", &listener);
    buf_printf(
        &expected, "removed %" PRId64 " %" PRId64 " x~2.eml\n", older.id.value * 4, inbox.value);
    buf_printf(
        &expected, "renamed %" PRId64 " %" PRId64 " x~3.eml\n", newer.id.value * 4, inbox.value);
    ck_assert_str_eq(buf_text(&lines), buf_text(&expected));
}
END_TEST

START_TEST(additions_are_told_once_the_mailbox_is_complete)
{
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct change_listener listener = ground_listener(&lines);
    struct message_new rows[] = {ground_row(9, "a.eml"), ground_row(3, "a.eml")};
    ck_assert_int_eq(
        store_messages_add(ground.store, inbox, 7, rows, 1, &listener, &ground.why), 0);
    ck_assert_str_eq(buf_text(&lines), "");
    ground_finish(&ground, inbox);
    ck_assert_int_eq(
        store_messages_add(ground.store, inbox, 7, rows, 2, &listener, &ground.why), 0);
    struct copied a;
    struct copied b;
    ck_assert(ground_by_uid(&ground, inbox, 9, &a));
    ck_assert(ground_by_uid(&ground, inbox, 3, &b));
    CLEANUP(buf) struct buf expected = BUF_INIT;
    buf_printf(&expected, "added %" PRId64 " %" PRId64 " a.eml\n", b.id.value * 4, inbox.value);
    buf_printf(&expected, "renamed %" PRId64 " %" PRId64 " a.eml\n", a.id.value * 4, inbox.value);
    ck_assert_str_eq(buf_text(&lines), buf_text(&expected));
}
END_TEST

START_TEST(a_synchronisation_sets_flags_and_counters_together)
{
    ground_fill(&ground, inbox, 1, 3);
    struct message_flags flags[] = {{{2}, "\\Flagged"}, {{9}, "\\Seen"}};
    struct mailbox_synced synced = {.uidvalidity = 7,
        .flags = flags,
        .flags_count = 2,
        .finished = true,
        .uidnext = 4294967295u,
        .messages = 3,
        .unseen = 1,
        .highestmodseq = 9223372036854775807u};
    ck_assert_int_eq(store_mailbox_synced(ground.store, inbox, &synced, NULL, &ground.why), 0);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, 2, &copied));
    ck_assert_str_eq(copied.flags, "\\Flagged");
    ck_assert(ground_by_uid(&ground, inbox, 1, &copied));
    ck_assert_str_eq(copied.flags, "\\Seen");
    struct mailbox_row row;
    ck_assert_int_eq(store_mailbox_get(ground.store, inbox, &row, &ground.why), 0);
    ck_assert(row.complete);
    ck_assert_uint_eq(row.uidnext, 4294967295u);
    ck_assert_uint_eq(row.messages, 3);
    ck_assert_uint_eq(row.unseen, 1);
    ck_assert_uint_eq(row.highestmodseq, 9223372036854775807u);
    mailbox_row_finish(&row);
    /* An unfinished one leaves them as they are. */
    struct mailbox_synced part = {.uidvalidity = 7, .uidnext = 1};
    ck_assert_int_eq(store_mailbox_synced(ground.store, inbox, &part, NULL, &ground.why), 0);
    ck_assert_int_eq(store_mailbox_get(ground.store, inbox, &row, &ground.why), 0);
    ck_assert_uint_eq(row.uidnext, 4294967295u);
    mailbox_row_finish(&row);
}
END_TEST

START_TEST(a_new_uidvalidity_empties_the_mailbox_and_the_old_one_does_nothing)
{
    ground_fill(&ground, inbox, 1, 2);
    ground_finish(&ground, inbox);
    struct copied first;
    struct copied second;
    ck_assert(ground_by_uid(&ground, inbox, 1, &first));
    ck_assert(ground_by_uid(&ground, inbox, 2, &second));
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct change_listener listener = ground_listener(&lines);
    ck_assert_int_eq(
        store_mailbox_set_uidvalidity(ground.store, inbox, 7, &listener, &ground.why), 0);
    assert_names("1:m1.eml 2:m2.eml");
    ck_assert_str_eq(buf_text(&lines), "");
    ck_assert_int_eq(
        store_mailbox_set_uidvalidity(ground.store, inbox, 8, &listener, &ground.why), 0);
    assert_names("");
    CLEANUP(buf) struct buf expected = BUF_INIT;
    buf_printf(&expected,
        "removed %" PRId64 " %" PRId64 " m1.eml\nremoved %" PRId64 " %" PRId64 " m2.eml\n",
        first.id.value * 4, inbox.value, second.id.value * 4, inbox.value);
    ck_assert_str_eq(buf_text(&lines), buf_text(&expected));
    struct mailbox_row row;
    ck_assert_int_eq(store_mailbox_get(ground.store, inbox, &row, &ground.why), 0);
    ck_assert(!row.complete);
    ck_assert_uint_eq(row.uidvalidity, 8);
    mailbox_row_finish(&row);
    struct copied copied;
    ck_assert_int_eq(
        store_message_get(ground.store, first.id, false, copy_message, &copied, &ground.why),
        -ENOENT);
    uint64_t messages = 9;
    uint64_t bytes = 9;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(messages, 0);
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

struct page {
    int64_t last;
    size_t rows, enough;
    unsigned char seen[4001]; /* by UID */
};

static int note_page(void *arg, const struct message_row *row)
{
    struct page *page = arg;
    ck_assert_int_gt(row->id.value, page->last);
    page->last = row->id.value;
    page->seen[row->uid.value]++;
    page->rows++;
    return page->rows == page->enough;
}

/* Between the pages rows go (also the one the reader stands on) and come. */
START_TEST(paging_meets_each_stable_row_exactly_once)
{
    ground_fill(&ground, inbox, 1001, 1000);
    struct page page = {0};
    for (uint32_t step = 0;; step++) {
        size_t before = page.rows;
        ck_assert_int_eq(store_message_page(ground.store, inbox, (struct message_id){page.last}, 64,
                             note_page, &page, &ground.why),
            0);
        ck_assert_uint_le(page.rows - before, 64);
        if (page.rows == before) {
            break;
        }
        if (step < 10) {
            char uids[32];
            (void)snprintf(uids, sizeof uids, "%u", 1001 + step * 64 + 63);
            ground_gone(&ground, inbox, uids, NULL);
            ground_fill(&ground, inbox, 100 + step * 10, 3);
        }
    }
    for (uint32_t uid = 1001; uid <= 2000; uid++) {
        ck_assert_msg(page.seen[uid] == 1 || (uid - 1001) % 64 == 63, "uid %u: %u times", uid,
            page.seen[uid]);
        ck_assert_uint_le(page.seen[uid], 1);
    }
    for (uint32_t uid = 100; uid < 200; uid++) {
        ck_assert_uint_eq(page.seen[uid], (uid - 100) % 10 < 3 ? 1 : 0);
    }
}
END_TEST

START_TEST(a_callback_may_end_a_page)
{
    ground_fill(&ground, inbox, 1, 10);
    struct page page = {.enough = 4};
    ck_assert_int_eq(store_message_page(ground.store, inbox, (struct message_id){0}, 100, note_page,
                         &page, &ground.why),
        0);
    ck_assert_uint_eq(page.rows, 4);
}
END_TEST

/* More readers are out at once than the pool keeps. */
static int nest(void *arg, const struct message_row *row)
{
    uint32_t *depth = arg;
    (*depth)++;
    if (*depth < 12) {
        ck_assert_int_eq(
            store_message_by_uid(ground.store, inbox, row->uid, nest, depth, &ground.why), 0);
    } else {
        ck_assert_int_eq(store_fact_set(ground.store, "deep", "yes", &ground.why), 0);
    }
    return 0;
}

START_TEST(callbacks_that_read_and_write_never_wait_for_each_other)
{
    ground_fill(&ground, inbox, 1, 1);
    uint32_t depth = 0;
    ck_assert_int_eq(
        store_message_by_uid(ground.store, inbox, (struct imap_uid){1}, nest, &depth, &ground.why),
        0);
    ck_assert_uint_eq(depth, 12);
    char text[8];
    ck_assert_int_eq(store_fact_get(ground.store, "deep", text, sizeof text, &ground.why), 0);
    ck_assert_str_eq(text, "yes");
}
END_TEST

START_TEST(totals_follow_random_changes)
{
    enum { UIDS = 60, STEPS = 300 };
    static int64_t model[UIDS + 1]; /* size, 0: not there */
    memset(model, 0, sizeof model);
    unsigned state = 99;
    for (int step = 0; step < STEPS; step++) {
        state = state * 1103515245u + 12345u;
        uint32_t uid = 1 + (state >> 16) % UIDS;
        unsigned kind = (state >> 8) % 8;
        if (kind < 5) {
            struct message_new row = ground_row(uid, uid % 3 == 0 ? "same.eml" : "other.eml");
            row.size_bytes = (int64_t)((state >> 4) % 1000 + 1);
            ground_add(&ground, inbox, &row, 1);
            model[uid] = model[uid] == 0 ? row.size_bytes : model[uid];
        } else {
            char uids[32];
            uint32_t last = kind == 7 ? uid + 5 : uid;
            (void)snprintf(uids, sizeof uids, "%u:%u", uid, last);
            ground_gone(&ground, inbox, uids, NULL);
            for (uint32_t i = uid; i <= last && i <= UIDS; i++) {
                model[i] = 0;
            }
        }
        uint64_t messages = 0;
        uint64_t bytes = 0;
        uint64_t expected_messages = 0;
        uint64_t expected_bytes = 0;
        for (uint32_t i = 1; i <= UIDS; i++) {
            expected_messages += model[i] != 0;
            expected_bytes += (uint64_t)model[i];
        }
        ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
        ck_assert_uint_eq(messages, expected_messages);
        ck_assert_uint_eq(bytes, expected_bytes);
    }
    /* And every rank is the position. */
    CLEANUP(buf) struct buf expected = BUF_INIT;
    unsigned ranks[2] = {0, 0};
    for (uint32_t i = 1; i <= UIDS; i++) {
        if (model[i] != 0) {
            unsigned rank = ++ranks[i % 3 == 0];
            buf_printf(&expected, "%s%u:%s", expected.len == 0 ? "" : " ", i,
                i % 3 == 0 ? "same" : "other");
            if (rank > 1) {
                buf_printf(&expected, "~%u", rank);
            }
            buf_append_text(&expected, ".eml");
        }
    }
    assert_names(buf_text(&expected));
}
END_TEST

START_TEST(absurd_sizes_do_not_break_the_totals)
{
    for (uint32_t uid = 1; uid <= 4; uid++) {
        struct message_new row = ground_row(uid, "a.eml");
        row.size_bytes = INT64_MAX;
        ground_add(&ground, inbox, &row, 1);
    }
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, 4, &copied));
    ck_assert_int_eq(copied.size_bytes, INT64_MAX);
    ground_gone(&ground, inbox, "1:4", NULL);
    uint64_t messages = 9;
    uint64_t bytes = 9;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(messages, 0);
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("messages");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, what_was_added_is_found_by_id_name_and_uid);
    tcase_add_test(tests, what_is_not_there_is_gone);
    tcase_add_test(tests, a_uid_that_is_there_is_left_alone);
    tcase_add_test(tests, rows_of_another_uidvalidity_are_refused);
    tcase_add_test(tests, one_bad_row_undoes_its_whole_transaction);
    tcase_add_test(tests, ranks_are_the_position_by_uid_whatever_the_order_of_arrival);
    tcase_add_test(tests, a_removal_closes_the_gap_in_the_ranks);
    tcase_add_test(tests, a_listener_hears_of_names_that_shift_under_their_old_names);
    tcase_add_test(tests, additions_are_told_once_the_mailbox_is_complete);
    tcase_add_test(tests, a_synchronisation_sets_flags_and_counters_together);
    tcase_add_test(tests, a_new_uidvalidity_empties_the_mailbox_and_the_old_one_does_nothing);
    tcase_add_test(tests, paging_meets_each_stable_row_exactly_once);
    tcase_add_test(tests, a_callback_may_end_a_page);
    tcase_add_test(tests, callbacks_that_read_and_write_never_wait_for_each_other);
    tcase_add_test(tests, totals_follow_random_changes);
    tcase_add_test(tests, absurd_sizes_do_not_break_the_totals);
    return unit_run("messages", tests);
}

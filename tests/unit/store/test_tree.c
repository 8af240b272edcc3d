#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground.h"
#include "unit.h"

static struct ground ground;

static void set_up(void)
{
    ground_make(&ground);
    ground_open(&ground);
}

static void tear_down(void)
{
    ground_remove(&ground);
}

static void replace(const struct tree_node *nodes, size_t count, struct buf *ret_lines)
{
    struct change_listener listener = ground_listener(ret_lines);
    int rc = store_tree_replace(ground.store, nodes, count, &listener, &ground.why);
    ck_assert_msg(rc == 0, "store_tree_replace: %d %s", rc, ground.why.text);
}

static int append_row(void *arg, const struct mailbox_row *row)
{
    buf_printf(
        arg, "%" PRId64 "/%" PRId64 ":%s=", row->parent.value, row->id.value, row->component);
    buf_append(arg, row->raw, row->raw_len);
    buf_append_char(arg, ' ');
    return 0;
}

static void assert_tree(int64_t parent, int64_t after, const char *expected)
{
    CLEANUP(buf) struct buf rows = BUF_INIT;
    ck_assert_int_eq(store_mailbox_children(ground.store, (struct mailbox_id){parent},
                         (struct mailbox_id){after}, append_row, &rows, &ground.why),
        0);
    ck_assert_str_eq(buf_text(&rows), expected);
}

START_TEST(a_list_becomes_rows_with_parents)
{
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct tree_node nodes[] = {ground_node("INBOX", SIZE_MAX, "INBOX"),
        ground_node("a", SIZE_MAX, "a"), ground_node("a/b", 1, "b"), ground_node("", 2, "%")};
    nodes[1].listed = false;
    nodes[1].selectable = false;
    nodes[2].special_use = "\\Sent";
    nodes[2].subscribed = true;
    nodes[2].no_inferiors = true;
    nodes[3].delimiter = 0;
    replace(nodes, 4, &lines);
    ck_assert_str_eq(
        buf_text(&lines), "added 6 0 INBOX\nadded 10 0 a\nadded 14 2 b\nadded 18 3 %\n");
    assert_tree(-1, 0, "0/1:INBOX=INBOX 0/2:a=a 2/3:b=a/b 3/4:%= ");
    assert_tree(0, 0, "0/1:INBOX=INBOX 0/2:a=a ");
    assert_tree(0, 1, "0/2:a=a ");
    assert_tree(2, 0, "2/3:b=a/b ");
    struct mailbox_row row;
    ck_assert_int_eq(
        store_mailbox_child(ground.store, (struct mailbox_id){2}, "b", &row, &ground.why), 0);
    ck_assert(row.listed && row.selectable && row.subscribed && row.no_inferiors);
    ck_assert_str_eq(row.special_use, "\\Sent");
    ck_assert_int_eq(row.delimiter, '/');
    ck_assert(!row.complete);
    ck_assert_uint_eq(row.uidvalidity, 0);
    mailbox_row_finish(&row);
    ck_assert_int_eq(store_mailbox_get(ground.store, (struct mailbox_id){4}, &row, &ground.why), 0);
    ck_assert_int_eq(row.delimiter, 0);
    ck_assert_uint_eq(row.raw_len, 0);
    mailbox_row_finish(&row);
    ck_assert_int_eq(
        store_mailbox_get(ground.store, (struct mailbox_id){5}, &row, &ground.why), -ENOENT);
    ck_assert_int_eq(
        store_mailbox_child(ground.store, (struct mailbox_id){0}, "b", &row, &ground.why), -ENOENT);
    ck_assert_int_eq(ground.why.class, ERR_GONE);
}
END_TEST

START_TEST(raw_names_keep_every_byte)
{
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct tree_node node = ground_node("x", SIZE_MAX, "x");
    node.raw = "\xff\0'\"%\n";
    node.raw_len = 6;
    replace(&node, 1, &lines);
    struct mailbox_row row;
    ck_assert_int_eq(store_mailbox_get(ground.store, (struct mailbox_id){1}, &row, &ground.why), 0);
    ck_assert_uint_eq(row.raw_len, 6);
    ck_assert_mem_eq(row.raw, "\xff\0'\"%\n", 6);
    mailbox_row_finish(&row);
}
END_TEST

START_TEST(rows_keep_their_id_by_raw_name)
{
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct tree_node before[] = {ground_node("a", SIZE_MAX, "a"), ground_node("b", SIZE_MAX, "b"),
        ground_node("c", SIZE_MAX, "c")};
    replace(before, 3, &lines);
    buf_reset(&lines);
    /* a and c change places, b goes, d comes between a and its parent. */
    struct tree_node after[] = {
        ground_node("d", SIZE_MAX, "d"), ground_node("a", 0, "c"), ground_node("c", SIZE_MAX, "a")};
    replace(after, 3, &lines);
    ck_assert_str_eq(
        buf_text(&lines), "removed 10 0 b\nrenamed 6 0 a\nrenamed 14 0 c\nadded 18 0 d\n");
    assert_tree(-1, 0, "4/1:c=a 0/3:a=c 0/4:d=d ");
    buf_reset(&lines);
    replace(after, 3, &lines);
    ck_assert_str_eq(buf_text(&lines), "");
}
END_TEST

START_TEST(two_mailboxes_may_change_places)
{
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct tree_node before[] = {ground_node("a", SIZE_MAX, "x"), ground_node("b", SIZE_MAX, "y")};
    replace(before, 2, &lines);
    struct tree_node after[] = {ground_node("a", SIZE_MAX, "y"), ground_node("b", SIZE_MAX, "x")};
    replace(after, 2, &lines);
    assert_tree(-1, 0, "0/1:y=a 0/2:x=b ");
}
END_TEST

START_TEST(ids_are_not_used_again)
{
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct tree_node a = ground_node("a", SIZE_MAX, "a");
    struct tree_node b = ground_node("b", SIZE_MAX, "b");
    replace(&a, 1, &lines);
    replace(&b, 1, &lines);
    replace(NULL, 0, &lines);
    replace(&a, 1, &lines);
    assert_tree(-1, 0, "0/3:a=a ");
    /* Nor those of messages. */
    struct message_new row = ground_row(1, "m.eml");
    ck_assert_int_eq(
        store_mailbox_set_uidvalidity(ground.store, (struct mailbox_id){3}, 7, NULL, &ground.why),
        0);
    ground_add(&ground, (struct mailbox_id){3}, &row, 1);
    struct copied first;
    ck_assert(ground_by_uid(&ground, (struct mailbox_id){3}, 1, &first));
    ground_gone(&ground, (struct mailbox_id){3}, "1", NULL);
    ground_add(&ground, (struct mailbox_id){3}, &row, 1);
    struct copied second;
    ck_assert(ground_by_uid(&ground, (struct mailbox_id){3}, 1, &second));
    ck_assert_int_gt(second.id.value, first.id.value);
}
END_TEST

START_TEST(a_mailbox_takes_its_messages_along)
{
    struct mailbox_id inbox = ground_inbox(&ground);
    ground_fill(&ground, inbox, 1, 5);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, 3, &copied));
    CLEANUP(buf) struct buf lines = BUF_INIT;
    replace(NULL, 0, &lines);
    ck_assert_str_eq(buf_text(&lines), "removed 6 0 INBOX\n");
    ck_assert_int_eq(
        store_message_get(ground.store, copied.id, false, copy_message, &copied, &ground.why),
        -ENOENT);
    uint64_t messages = 9;
    uint64_t bytes = 9;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(messages, 0);
    ck_assert_uint_eq(bytes, 0);
}
END_TEST

START_TEST(what_can_no_longer_be_selected_has_no_messages)
{
    struct mailbox_id inbox = ground_inbox(&ground);
    ground_fill(&ground, inbox, 1, 1);
    struct copied copied;
    ck_assert(ground_by_uid(&ground, inbox, 1, &copied));
    CLEANUP(buf) struct buf lines = BUF_INIT;
    struct tree_node node = ground_node("INBOX", SIZE_MAX, "INBOX");
    node.selectable = false;
    replace(&node, 1, &lines);
    CLEANUP(buf) struct buf expected = BUF_INIT;
    buf_printf(
        &expected, "attributes 6 0 INBOX\nremoved %" PRId64 " 1 m1.eml\n", copied.id.value * 4);
    ck_assert_str_eq(buf_text(&lines), buf_text(&expected));
    struct mailbox_row row;
    ck_assert_int_eq(store_mailbox_get(ground.store, inbox, &row, &ground.why), 0);
    ck_assert_uint_eq(row.uidvalidity, 0);
    mailbox_row_finish(&row);
}
END_TEST

START_TEST(a_wrong_list_changes_nothing)
{
    (void)ground_inbox(&ground);
    struct tree_node late[] = {ground_node("a/b", 1, "b"), ground_node("a", SIZE_MAX, "a")};
    struct tree_node twice[] = {ground_node("a", SIZE_MAX, "a"), ground_node("a", SIZE_MAX, "b")};
    struct tree_node same[] = {ground_node("a", SIZE_MAX, "a"), ground_node("b", SIZE_MAX, "a")};
    struct tree_node slash[] = {ground_node("a", SIZE_MAX, "a/b"), ground_node("b", SIZE_MAX, "c")};
    struct tree_node empty[] = {ground_node("a", SIZE_MAX, ""), ground_node("b", SIZE_MAX, "c")};
    const struct tree_node *const wrong[] = {late, twice, same, slash, empty};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int rc = store_tree_replace(ground.store, wrong[i], 2, NULL, &ground.why);
        ck_assert_msg(rc == -EINVAL, "list %zu: %d", i, rc);
        ck_assert_int_eq(ground.why.class, ERR_BUG);
        assert_tree(-1, 0, "0/1:INBOX=INBOX ");
    }
}
END_TEST

START_TEST(facts_are_kept_by_name_and_cut_to_the_room_there_is)
{
    char text[8] = "x";
    ck_assert_int_eq(store_fact_get(ground.store, "a", text, sizeof text, &ground.why), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(store_fact_set(ground.store, "a", "one", &ground.why), 0);
    ck_assert_int_eq(store_fact_set(ground.store, "b", "'; DROP TABLE fact", &ground.why), 0);
    ck_assert_int_eq(store_fact_set(ground.store, "a", "two", &ground.why), 0);
    ground_close(&ground);
    ground_open(&ground);
    ck_assert(!ground.rebuilt);
    ck_assert_int_eq(store_fact_get(ground.store, "a", text, sizeof text, &ground.why), 0);
    ck_assert_str_eq(text, "two");
    ck_assert_int_eq(store_fact_get(ground.store, "b", text, sizeof text, &ground.why), 0);
    ck_assert_str_eq(text, "'; DROP");
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("tree");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_list_becomes_rows_with_parents);
    tcase_add_test(tests, raw_names_keep_every_byte);
    tcase_add_test(tests, rows_keep_their_id_by_raw_name);
    tcase_add_test(tests, two_mailboxes_may_change_places);
    tcase_add_test(tests, ids_are_not_used_again);
    tcase_add_test(tests, a_mailbox_takes_its_messages_along);
    tcase_add_test(tests, what_can_no_longer_be_selected_has_no_messages);
    tcase_add_test(tests, a_wrong_list_changes_nothing);
    tcase_add_test(tests, facts_are_kept_by_name_and_cut_to_the_room_there_is);
    return unit_run("tree", tests);
}

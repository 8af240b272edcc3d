#include <stdio.h>
#include <string.h>

#include "ground.h"
#include "store/db.h"
#include "store/schema.h"
#include "unit.h"

static struct ground ground;
static struct db *db;

static void set_up(void)
{
    ground_make(&ground);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/plans.db", ground.root);
    ground_shell("touch %s", path);
    ck_assert_int_eq(db_open(&db, path, DB_WRITER, -1, &ground.why), 0);
    ck_assert_int_eq(schema_prepare(db, &ground.why), 0);
}

static void tear_down(void)
{
    db_close(&db, false);
    ground_remove(&ground);
}

/* The lines of a statement's plan, each between '|'. */
static void read_plan(const char *sql, struct buf *ret)
{
    CLEANUP(buf) struct buf explain = BUF_INIT;
    buf_printf(&explain, "EXPLAIN QUERY PLAN %s", sql);
    sqlite3_stmt *statement = NULL;
    ck_assert_int_eq(
        sqlite3_prepare_v2(db->handle, buf_text(&explain), -1, &statement, NULL), SQLITE_OK);
    buf_append_char(ret, '|');
    while (sqlite3_step(statement) == SQLITE_ROW) {
        buf_printf(ret, "%s|", db_text(statement, 3));
    }
    ck_assert_int_eq(sqlite3_finalize(statement), SQLITE_OK);
}

START_TEST(no_statement_reads_more_messages_than_it_gives)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (i == SQL_BEGIN || i == SQL_COMMIT || i == SQL_ROLLBACK) {
            continue;
        }
        const char *sql = statement_sql((enum statement)i);
        CLEANUP(buf) struct buf plan = BUF_INIT;
        read_plan(sql, &plan);
        ck_assert_msg(strstr(buf_text(&plan), "SCAN m") == NULL || i == SQL_MAILBOX_EVERY, "%s: %s",
            sql, buf_text(&plan));
        bool sorts = strstr(buf_text(&plan), "TEMP B-TREE") != NULL;
        ck_assert_msg(sorts == (i == SQL_MESSAGE_EVERY_OF_NAME), "%s: %s", sql, buf_text(&plan));
    }
}
END_TEST

START_TEST(a_page_begins_where_it_was_told)
{
    CLEANUP(buf) struct buf plan = BUF_INIT;
    read_plan(statement_sql(SQL_MESSAGE_PAGE), &plan);
    ck_assert_ptr_nonnull(strstr(buf_text(&plan), "message_by_mailbox (mailbox=? AND rowid>?)"));
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("plans");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, no_statement_reads_more_messages_than_it_gives);
    tcase_add_test(tests, a_page_begins_where_it_was_told);
    return unit_run("plans", tests);
}

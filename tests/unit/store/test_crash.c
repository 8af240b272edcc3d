#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ground.h"
#include "unit.h"

enum { BATCH = 50, ROUNDS = 12, UIDS_MAX = 1000000 };

static struct ground ground;

static void set_up(void)
{
    ground_make(&ground);
}

static void tear_down(void)
{
    ground_remove(&ground);
}

static struct mailbox_id inbox_of_now(void)
{
    struct mailbox_row row;
    ck_assert_int_eq(
        store_mailbox_child(ground.store, (struct mailbox_id){0}, "INBOX", &row, &ground.why), 0);
    struct mailbox_id id = row.id;
    mailbox_row_finish(&row);
    return id;
}

/* The child: works until it is killed, and reports each step that was acknowledged with a byte. */
static void work(int report_fd, void (*step)(uint32_t number), uint32_t from)
{
    ground_open(&ground);
    for (uint32_t number = from;; number++) {
        step(number);
        if (write(report_fd, "x", 1) != 1) {
            _exit(1);
        }
    }
}

/* Kills a child after so many reports, at whatever point of its next step it then is. Returns how
 * many it made in all. */
static uint32_t run_and_kill(void (*step)(uint32_t number), uint32_t from, uint32_t reports)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)close(ends[0]);
        work(ends[1], step, from);
        _exit(1);
    }
    ck_assert_int_eq(close(ends[1]), 0);
    uint32_t seen = 0;
    char byte = 0;
    while (seen < reports && read(ends[0], &byte, 1) == 1) {
        seen++;
    }
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(ends[0], &byte, 1) == 1) {
        seen++;
    }
    ck_assert_int_eq(close(ends[0]), 0);
    ck_assert_uint_ge(seen, reports);
    return seen;
}

/* Descending UIDs of one name: each batch shifts the ranks of those before it. */
static void add_batch(uint32_t number)
{
    struct message_new rows[BATCH];
    for (uint32_t i = 0; i < BATCH; i++) {
        rows[i] = ground_row(UIDS_MAX - number * BATCH - i, "same.eml");
    }
    ground_add(&ground, inbox_of_now(), rows, BATCH);
}

START_TEST(a_kill_leaves_whole_transactions_only)
{
    ground_open(&ground);
    (void)ground_inbox(&ground);
    ground_close(&ground);
    uint32_t done = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t reported = run_and_kill(add_batch, done, 1 + round % 4);
        ground_open(&ground);
        ck_assert(!ground.rebuilt);
        struct mailbox_id inbox = inbox_of_now();
        CLEANUP(uidset) struct uidset uids = UIDSET_INIT;
        ck_assert_int_eq(store_message_uids(ground.store, inbox, &uids, &ground.why), 0);
        uint64_t count = uidset_size(&uids);
        ck_assert_uint_eq(count % BATCH, 0);
        ck_assert_uint_ge(count, (uint64_t)(done + reported) * BATCH);
        ck_assert_uint_le(count, (uint64_t)(done + reported + 1) * BATCH);
        done = (uint32_t)(count / BATCH);
        uint64_t messages = 0;
        uint64_t bytes = 0;
        ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
        ck_assert_uint_eq(messages, count);
        uint64_t expected_bytes = 0;
        for (uint32_t i = 0; i < count; i++) {
            struct copied copied;
            char name[32] = "same.eml";
            if (i > 0) {
                (void)snprintf(name, sizeof name, "same~%u.eml", i + 1);
            }
            uint32_t uid = UIDS_MAX + 1 - (uint32_t)count + i;
            unit_require(ground_by_uid(&ground, inbox, uid, &copied));
            unit_require(strcmp(copied.name, name) == 0);
            expected_bytes += (uint64_t)copied.size_bytes;
        }
        ck_assert_uint_eq(bytes, expected_bytes);
        ground_close(&ground);
    }
}
END_TEST

/* A body that tells its own UID in every line. */
static void make_text(uint32_t uid, char *ret, size_t size)
{
    char line[16];
    size_t len = (size_t)snprintf(line, sizeof line, "%u\n", uid);
    for (size_t at = 0; at < size - 1; at++) {
        ret[at] = line[at % len];
    }
    ret[size - 1] = '\0';
}

enum { TEXT_SIZE = 100001 };

static void write_body(uint32_t number)
{
    static char text[TEXT_SIZE];
    uint32_t uid = number + 1;
    make_text(uid, text, sizeof text);
    if (ground_body(&ground, inbox_of_now(), uid, text, NULL) != 0) {
        _exit(1);
    }
}

START_TEST(a_kill_leaves_whole_bodies_only)
{
    ground_open(&ground);
    struct mailbox_id inbox = ground_inbox(&ground);
    ground_fill(&ground, inbox, 1, 2000); /* the sizes they are listed with are all wrong */
    ground_close(&ground);
    char incoming[128];
    (void)snprintf(incoming, sizeof incoming, "%s/incoming", ground.cache);
    static char expected[TEXT_SIZE];
    uint32_t done = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t reported = run_and_kill(write_body, done, 1 + round % 5);
        ground_open(&ground);
        ck_assert_uint_eq(ground_count_files(incoming), 0);
        for (uint32_t uid = done + 1; uid <= done + reported + 2; uid++) {
            struct copied copied;
            ck_assert(ground_by_uid(&ground, inbox, uid, &copied));
            CLEANUP(free) char *text = ground_read(&ground, copied.id);
            ck_assert(text != NULL || uid > done + reported);
            make_text(uid, expected, sizeof expected);
            ck_assert(text == NULL || strcmp(text, expected) == 0);
        }
        done += reported;
        ground_close(&ground);
    }
}
END_TEST

static void make_index(uint32_t number)
{
    (void)number;
    ground_close(&ground);
    ground_open(&ground);
    (void)ground_inbox(&ground);
}

START_TEST(a_kill_while_it_opens_and_closes_keeps_the_index)
{
    uint32_t fact = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        (void)run_and_kill(make_index, 0, round % 3);
        ground_open(&ground);
        ck_assert(!ground.rebuilt);
        char text[16];
        char expected[16] = "";
        if (fact > 0) {
            (void)snprintf(expected, sizeof expected, "%u", fact);
        }
        ck_assert_int_eq(store_fact_get(ground.store, "round", text, sizeof text, &ground.why), 0);
        ck_assert_str_eq(text, expected);
        (void)snprintf(expected, sizeof expected, "%u", ++fact);
        ck_assert_int_eq(store_fact_set(ground.store, "round", expected, &ground.why), 0);
        ground_close(&ground);
    }
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("crash");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    const char *mode = getenv("CK_FORK"); /* NOLINT(concurrency-mt-unsafe): no thread yet */
    if (mode == NULL || strcmp(mode, "no") != 0) {
        tcase_add_test(tests, a_kill_leaves_whole_transactions_only);
        tcase_add_test(tests, a_kill_leaves_whole_bodies_only);
        tcase_add_test(tests, a_kill_while_it_opens_and_closes_keeps_the_index);
    }
    return unit_run("crash", tests);
}

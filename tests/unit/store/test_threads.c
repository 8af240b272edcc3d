#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lock.h"
#include "ground.h"
#include "unit.h"

enum { READERS = 8, STABLE = 500, STEPS = 60 };

static struct ground ground;
static struct mailbox_id inbox;

static void set_up(void)
{
    ground_make(&ground);
    ground_open(&ground);
    inbox = ground_inbox(&ground);
    ground_fill(&ground, inbox, 1, STABLE);
}

static void tear_down(void)
{
    ground_remove(&ground);
}

struct tally {
    size_t stable;
    int64_t last;
};

static int tally_row(void *arg, const struct message_row *row)
{
    struct tally *tally = arg;
    tally->stable += row->uid.value <= STABLE ? 1 : 0;
    tally->last = row->id.value;
    return 0;
}

/* How many of the rows that nobody touches one listing meets; -1 for a failure. */
static long list_once(void)
{
    struct tally tally = {0, 0};
    for (;;) {
        int64_t before = tally.last;
        struct err why;
        if (store_message_page(ground.store, inbox, (struct message_id){before}, 37, tally_row,
                &tally, &why) != 0) {
            return -1;
        }
        if (tally.last == before) {
            return (long)tally.stable;
        }
    }
}

static void *read_rows(void *arg)
{
    long *wrong = arg;
    for (int i = 0; i < STEPS; i++) {
        *wrong += list_once() == STABLE ? 0 : 1;
    }
    return NULL;
}

/* Rows above the stable ones come and go. */
static void *write_rows(void *arg)
{
    long *wrong = arg;
    struct err why;
    for (uint32_t i = 0; i < STEPS; i++) {
        struct message_new rows[3];
        for (uint32_t j = 0; j < 3; j++) {
            rows[j] = ground_row(10000 + i * 3 + (2 - j), "same.eml");
        }
        *wrong += store_messages_add(ground.store, inbox, 7, rows, 3, NULL, &why) == 0 ? 0 : 1;
        struct uidset gone = UIDSET_INIT;
        *wrong += uidset_add(&gone, 10000 + i * 2, 10000 + i * 2) == 0 ? 0 : 1;
        struct mailbox_synced synced = {.uidvalidity = 7, .gone = &gone, .finished = true};
        *wrong += store_mailbox_synced(ground.store, inbox, &synced, NULL, &why) == 0 ? 0 : 1;
        uidset_finish(&gone);
    }
    return NULL;
}

/* Writes, reads and trims bodies of 4 bytes, as many threads do for the same messages. */
static void *use_bodies(void *arg)
{
    long *wrong = arg;
    struct err why;
    for (uint32_t i = 0; i < STEPS; i++) {
        struct imap_uid uid = {1 + i % 20};
        struct body_writer *writer = NULL;
        struct message_id id = {0};
        bool changed = false;
        char text[8];
        (void)snprintf(text, sizeof text, "%04u", uid.value);
        *wrong += store_body_begin(ground.store, inbox, 7, &writer, &why) == 0 ? 0 : 1;
        *wrong += body_writer_add(writer, text, 4, &why) == 0 ? 0 : 1;
        *wrong += body_writer_commit(&writer, uid, &id, &changed, &why) == 0 ? 0 : 1;
        int fd = -1;
        int64_t size_bytes = 0;
        int rc = store_body_open(ground.store, id, &fd, &size_bytes, &why);
        char back[8] = "";
        if (rc == 0) {
            *wrong += size_bytes == 4 && read(fd, back, 7) == 4 && strcmp(back, text) == 0 ? 0 : 1;
            (void)close(fd);
        } else {
            *wrong += rc == -ENOENT ? 0 : 1;
        }
        if (i % 16 == 0) {
            *wrong += store_body_trim(ground.store, i % 32 == 0 ? 0 : 100, &why) == 0 ? 0 : 1;
            *wrong += store_body_settle(ground.store, &why) == 0 ? 0 : 1;
        }
    }
    return NULL;
}

START_TEST(readers_a_writer_and_bodies_do_not_disturb_each_other)
{
    ground_close(&ground);
    ground.options.cache_limit_bytes = 40;
    ground_open(&ground);
    pthread_t threads[READERS + 3];
    long wrong[READERS + 3] = {0};
    for (size_t i = 0; i < READERS + 3; i++) {
        void *(*run)(void *) = i < READERS ? read_rows : (i == READERS ? write_rows : use_bodies);
        ck_assert_int_eq(thread_start(&threads[i], "test", run, &wrong[i]), 0);
    }
    for (size_t i = 0; i < READERS + 3; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_msg(wrong[i] == 0, "thread %zu: %ld", i, wrong[i]);
    }
    uint64_t messages = 0;
    uint64_t bytes = 0;
    ck_assert_int_eq(store_totals(ground.store, &messages, &bytes, &ground.why), 0);
    ck_assert_uint_eq(messages, STABLE + STEPS * 2);
    ck_assert_int_eq(store_body_trim(ground.store, 0, &ground.why), 0);
    ck_assert(!store_body_over_limit(ground.store));
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("threads");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, readers_a_writer_and_bodies_do_not_disturb_each_other);
    return unit_run("threads", tests);
}

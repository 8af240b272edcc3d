#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/inside.h"
#include "mount.h"
#include "unit.h"

/* A mount whose INBOX holds so many messages and is listed. */
static void begin(struct mount *mount, unsigned count)
{
    mount_init(mount);
    fake_mailbox(mount->pool, "INBOX", '/', 0);
    (void)fake_messages(mount->pool, "INBOX", count);
    mount_start(mount);
    ck_assert_int_eq(mount_freshen(mount, "INBOX"), 0);
}

static struct inode_no by_uid(struct mount *mount, uint32_t uid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "INBOX/.uid/%u.eml", uid);
    return mount_at(mount, path);
}

static struct message_id id_of(struct inode_no ino)
{
    return (struct message_id){inode_row(ino)};
}

/* Reads the message and compares every byte. */
static void check_body(struct mount *mount, uint32_t uid)
{
    int rc = 0;
    char *expected = fake_body(mount->pool, "INBOX", uid);
    char *body = mount_read(mount, by_uid(mount, uid), &rc);
    ck_assert_msg(body != NULL, "the body of %u is there: %s", uid, strerror(rc));
    ck_assert_str_eq(body, expected);
    free(body);
    free(expected);
}

static void check_fails(struct mount *mount, uint32_t uid, int errnum)
{
    int rc = 0;
    ck_assert_ptr_null(mount_read(mount, by_uid(mount, uid), &rc));
    ck_assert_int_eq(rc, errnum);
}

START_TEST(a_body_is_fetched_once)
{
    struct mount mount;
    begin(&mount, 2);
    check_body(&mount, 1);
    check_body(&mount, 1);
    ck_assert_uint_eq(fake_counts(mount.pool).bodies, 1);
    assert_text(mount_xattr(&mount, "INBOX/.uid/1.eml", "user.imap.cached"), "1");
    assert_text(mount_xattr(&mount, "INBOX/.uid/2.eml", "user.imap.cached"), "0");
    mount_stop(&mount);
    fake_offline(mount.pool, true);
    mount_start(&mount);
    check_body(&mount, 1);
    check_fails(&mount, 2, EHOSTDOWN);
    mount_finish(&mount);
}
END_TEST

enum { WAITERS = 40 };

START_TEST(many_waits_share_one_fetch)
{
    struct mount mount;
    struct awaited waits[WAITERS];
    int fd = -1;
    int64_t size = 0;
    begin(&mount, 1);
    fake_hold(mount.pool, HOLD_BODIES);
    struct message_id id = id_of(by_uid(&mount, 1));
    for (int i = 0; i < WAITERS; i++) {
        awaited_init(&waits[i]);
        ck_assert_int_eq(engine_body(mount.engine, id, &fd, &size, &waits[i].wait), PARKED);
        engine_check(mount.engine);
    }
    fake_release(mount.pool);
    for (int i = 0; i < WAITERS; i++) {
        ck_assert_int_eq(awaited_result(&waits[i]), 0);
    }
    ck_assert_uint_eq(fake_counts(mount.pool).bodies, 1);
    mount_finish(&mount);
}
END_TEST

START_TEST(messages_that_wait_together_share_one_command)
{
    struct mount mount;
    struct awaited waits[WAITERS];
    int fd = -1;
    int64_t size = 0;
    begin(&mount, WAITERS);
    struct fake_counts before = fake_counts(mount.pool);
    fake_offline(mount.pool, false); /* the next job has to connect */
    fake_hold(mount.pool, HOLD_CONNECT);
    for (uint32_t i = 0; i < WAITERS; i++) {
        awaited_init(&waits[i]);
        ck_assert_int_eq(
            engine_body(mount.engine, id_of(by_uid(&mount, i + 1)), &fd, &size, &waits[i].wait),
            PARKED);
    }
    fake_release(mount.pool);
    for (int i = 0; i < WAITERS; i++) {
        ck_assert_int_eq(awaited_result(&waits[i]), 0);
    }
    ck_assert_uint_eq(fake_counts(mount.pool).body_commands, before.body_commands + 1);
    for (uint32_t i = 0; i < WAITERS; i++) {
        check_body(&mount, i + 1);
    }
    ck_assert_uint_eq(fake_counts(mount.pool).bodies, before.bodies + WAITERS);
    mount_finish(&mount);
}
END_TEST

struct news {
    pthread_mutex_t mutex;
    unsigned data_changes;
    struct inode_no inode;
    unsigned gone;
};

static void on_inode(void *arg, struct inode_no inode, bool data)
{
    struct news *news = arg;
    pthread_mutex_lock(&news->mutex);
    if (data) {
        news->data_changes++;
        news->inode = inode;
    }
    pthread_mutex_unlock(&news->mutex);
}

static void on_entry(
    void *arg, struct inode_no parent, const char *name, struct inode_no child, bool gone)
{
    struct news *news = arg;
    (void)parent;
    (void)name;
    (void)child;
    pthread_mutex_lock(&news->mutex);
    news->gone += gone;
    pthread_mutex_unlock(&news->mutex);
}

/* _i: which way the server lies */
START_TEST(a_wrong_size_is_put_right_before_a_byte_is_read)
{
    static const int64_t lies[] = {1000, -20};
    struct mount mount;
    struct news news = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    (void)fake_messages(mount.pool, "INBOX", 1);
    fake_lie_about_size(mount.pool, "INBOX", 1, lies[_i]);
    mount_start(&mount);
    const struct engine_listener listener = {on_entry, on_inode, &news};
    engine_set_listener(mount.engine, &listener);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    struct node node;
    struct inode_no ino = by_uid(&mount, 1);
    char *body = fake_body(mount.pool, "INBOX", 1);
    int64_t true_size = (int64_t)strlen(body);
    free(body);
    ck_assert_int_eq(view_get(mount.engine, ino, &node), 0);
    ck_assert_int_eq(node.size_bytes, true_size + lies[_i]);
    check_body(&mount, 1);
    ck_assert_int_eq(view_get(mount.engine, ino, &node), 0);
    ck_assert_int_eq(node.size_bytes, true_size);
    ck_assert_uint_eq(news.data_changes, 1);
    ck_assert_uint_eq(news.inode.value, ino.value);
    mount_finish(&mount);
}
END_TEST

START_TEST(the_listener_hears_what_is_gone)
{
    struct mount mount;
    struct news news = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    (void)fake_messages(mount.pool, "INBOX", 3);
    mount_start(&mount);
    const struct engine_listener listener = {on_entry, on_inode, &news};
    engine_set_listener(mount.engine, &listener);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(news.gone, 0);
    fake_expunge(mount.pool, "INBOX", 2);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(news.gone, 1);
    mount_finish(&mount);
}
END_TEST

/* _i: how the body fails to come; the message beside it must come all the same. */
START_TEST(a_body_the_server_does_not_give_fails_alone)
{
    static const struct {
        enum body_fault fault;
        int errnum;
    } cases[] = {
        {BODY_MISSING, EIO},
        {BODY_UNANSWERED, EIO},
        {BODY_EMPTY, EIO},
        {BODY_OF_OTHER, EIO},
        {BODY_CUT_ALWAYS, EHOSTDOWN},
        {BODY_HOSTILE, EIO},
        {BODY_HUGE, EFBIG},
    };
    struct mount mount;
    struct awaited waits[3];
    int fd = -1;
    int64_t size = 0;
    begin(&mount, 4);
    fake_body_fault(mount.pool, "INBOX", 3, cases[_i].fault);
    fake_offline(mount.pool, false);
    fake_hold(mount.pool, HOLD_CONNECT);
    for (uint32_t i = 0; i < 3; i++) { /* 2, 3 and 4 in one command */
        awaited_init(&waits[i]);
        ck_assert_int_eq(
            engine_body(mount.engine, id_of(by_uid(&mount, i + 2)), &fd, &size, &waits[i].wait),
            PARKED);
    }
    fake_release(mount.pool);
    ck_assert_int_eq(awaited_result(&waits[0]), 0);
    ck_assert_int_eq(awaited_result(&waits[1]), -cases[_i].errnum);
    ck_assert_int_eq(awaited_result(&waits[2]), 0);
    check_body(&mount, 1);
    check_body(&mount, 2);
    check_body(&mount, 4);
    unsigned commands = fake_counts(mount.pool).body_commands;
    check_fails(&mount, 3, cases[_i].errnum);
    if (cases[_i].fault != BODY_CUT_ALWAYS) { /* it is remembered, the server is left alone */
        ck_assert_uint_eq(fake_counts(mount.pool).body_commands, commands);
    }
    assert_text(mount_xattr(&mount, "INBOX/.uid/3.eml", "user.imap.cached"), "0");
    mount_finish(&mount);
}
END_TEST

START_TEST(a_message_expunged_before_it_is_read_is_stale)
{
    struct mount mount;
    begin(&mount, 2);
    struct inode_no ino = by_uid(&mount, 2);
    fake_expunge(mount.pool, "INBOX", 2);
    int rc = 0;
    ck_assert_ptr_null(mount_read(&mount, ino, &rc));
    ck_assert_int_eq(rc, ESTALE);
    check_body(&mount, 1);
    mount_finish(&mount);
}
END_TEST

START_TEST(an_open_body_outlives_its_message)
{
    struct mount mount;
    int fd = -1;
    int64_t size = 0;
    struct awaited awaited;
    begin(&mount, 1);
    check_body(&mount, 1);
    char *expected = fake_body(mount.pool, "INBOX", 1);
    awaited_init(&awaited);
    ck_assert_int_eq(
        engine_body(mount.engine, id_of(by_uid(&mount, 1)), &fd, &size, &awaited.wait), 0);
    fake_expunge(mount.pool, "INBOX", 1);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    ck_assert_uint_eq(mount_count(&mount, "INBOX"), 0);
    char *text = alloc_zeroed((size_t)size + 1, 1);
    ck_assert_int_eq(pread(fd, text, (size_t)size, 0), size);
    ck_assert_str_eq(text, expected);
    free(text);
    free(expected);
    (void)close(fd);
    mount_finish(&mount);
}
END_TEST

START_TEST(another_numbering_serves_no_body)
{
    struct mount mount;
    begin(&mount, 3);
    struct inode_no ino = by_uid(&mount, 2);
    fake_expunge(mount.pool, "INBOX", 1);
    fake_renumber(mount.pool, "INBOX", 5);
    int rc = 0;
    ck_assert_ptr_null(mount_read(&mount, ino, &rc));
    ck_assert_int_eq(rc, ESTALE);
    ck_assert_uint_eq(fake_counts(mount.pool).bodies, 0);
    mount_finish(&mount);
}
END_TEST

/* Only what really comes can be too large: that is BODY_HUGE above. */
START_TEST(a_message_that_is_only_called_too_large_is_read)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    (void)fake_messages(mount.pool, "INBOX", 1);
    fake_lie_about_size(mount.pool, "INBOX", 1, (int64_t)1 << 31);
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    check_body(&mount, 1);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_connection_that_is_lost_once_goes_unnoticed)
{
    struct mount mount;
    struct awaited awaited;
    int fd = -1;
    int64_t size = 0;
    begin(&mount, 1);
    fake_hold(mount.pool, HOLD_BODIES);
    awaited_init(&awaited);
    ck_assert_int_eq(
        engine_body(mount.engine, id_of(by_uid(&mount, 1)), &fd, &size, &awaited.wait), PARKED);
    fake_await_held(mount.pool, 1);
    fake_offline(mount.pool, false); /* ends the connections there are */
    fake_release(mount.pool);
    ck_assert_int_eq(awaited_result(&awaited), 0);
    check_body(&mount, 1);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_queued_body_nobody_waits_for_is_not_fetched)
{
    struct mount mount;
    struct awaited first;
    struct awaited second;
    int fd = -1;
    int64_t size = 0;
    begin(&mount, 2);
    fake_offline(mount.pool, false);
    fake_hold(mount.pool, HOLD_CONNECT);
    awaited_init(&first);
    awaited_init(&second);
    ck_assert_int_eq(
        engine_body(mount.engine, id_of(by_uid(&mount, 1)), &fd, &size, &first.wait), PARKED);
    ck_assert_int_eq(
        engine_body(mount.engine, id_of(by_uid(&mount, 2)), &fd, &size, &second.wait), PARKED);
    ck_assert(engine_cancel(mount.engine, &first.wait));
    ck_assert(!engine_cancel(mount.engine, &first.wait));
    engine_check(mount.engine);
    fake_release(mount.pool);
    ck_assert_int_eq(awaited_result(&second), 0);
    ck_assert_uint_eq(awaited_times(&first), 0);
    ck_assert_uint_eq(fake_counts(mount.pool).bodies, 1);
    mount_finish(&mount);
}
END_TEST

START_TEST(a_wait_ends_at_its_deadline)
{
    struct mount mount;
    mount_init(&mount);
    fake_mailbox(mount.pool, "INBOX", '/', 0);
    (void)fake_messages(mount.pool, "INBOX", 1);
    mount.options.timeout_ms = 3600000;
    mount_start(&mount);
    ck_assert_int_eq(mount_freshen(&mount, "INBOX"), 0);
    mount_stop(&mount);
    mount.options.timeout_ms = 40;
    mount_start(&mount);
    fake_hold(mount.pool, HOLD_BODIES);
    /* the fetch is given up too, once nobody waits for it: the worker comes free again */
    check_fails(&mount, 1, ETIMEDOUT);
    fake_await_none_held(mount.pool);
    engine_check(mount.engine);
    mount_finish(&mount);
}
END_TEST

START_TEST(the_end_of_the_mount_ends_every_wait)
{
    struct mount mount;
    struct awaited waits[4];
    int fd = -1;
    int64_t size = 0;
    begin(&mount, 2);
    fake_hold(mount.pool, HOLD_BODIES);
    for (int i = 0; i < 4; i++) {
        awaited_init(&waits[i]);
    }
    ck_assert_int_eq(
        engine_body(mount.engine, id_of(by_uid(&mount, 1)), &fd, &size, &waits[0].wait), PARKED);
    fake_await_held(mount.pool, 1);
    ck_assert_int_eq(
        engine_body(mount.engine, id_of(by_uid(&mount, 2)), &fd, &size, &waits[1].wait), PARKED);
    fake_hold(mount.pool, HOLD_BODIES);
    mount_stop(&mount);
    ck_assert_int_eq(awaited_result(&waits[0]), -EHOSTDOWN);
    ck_assert_int_eq(awaited_result(&waits[1]), -EHOSTDOWN);
    mount_finish(&mount);
}
END_TEST

/* ---- races
 * --------------------------------------------------------------------------------------- */

enum { RACERS = 4, ROUNDS = 60, RACE_MESSAGES = 30 };

struct racer {
    struct mount *mount;
    struct message_id ids[RACE_MESSAGES];
    unsigned cancelled, done;
    pthread_t thread;
};

/* Each wait is either cancelled or done, never both, never neither. */
static void *race(void *arg)
{
    struct racer *racer = arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct awaited waits[RACE_MESSAGES];
        bool parked[RACE_MESSAGES];
        for (int i = 0; i < RACE_MESSAGES; i++) {
            int fd = -1;
            int64_t size = 0;
            awaited_init(&waits[i]);
            int rc = engine_body(racer->mount->engine, racer->ids[i], &fd, &size, &waits[i].wait);
            parked[i] = rc == PARKED;
            if (rc == 0) {
                (void)close(fd);
            }
        }
        for (int i = 0; i < RACE_MESSAGES; i++) {
            if (!parked[i]) {
                continue;
            }
            if (engine_cancel(racer->mount->engine, &waits[i].wait)) {
                unit_require(awaited_times(&waits[i]) == 0);
                racer->cancelled++;
            } else {
                (void)awaited_result(&waits[i]);
                unit_require(awaited_times(&waits[i]) == 1);
                racer->done++;
            }
        }
    }
    return NULL;
}

START_TEST(exactly_one_of_done_and_cancel_wins)
{
    struct mount mount;
    struct racer racers[RACERS];
    begin(&mount, RACE_MESSAGES);
    /* these fail fast and are never cached, so that every round waits anew */
    for (uint32_t uid = 1; uid <= RACE_MESSAGES; uid++) {
        fake_body_fault(mount.pool, "INBOX", uid, uid % 2 == 0 ? BODY_CUT_ALWAYS : BODY_SOUND);
    }
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){.mount = &mount};
        for (uint32_t uid = 1; uid <= RACE_MESSAGES; uid++) {
            racers[i].ids[uid - 1] = id_of(by_uid(&mount, uid));
        }
        ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        ck_assert_int_eq(pthread_join(racers[i].thread, NULL), 0);
        engine_check(mount.engine);
    }
    mount_finish(&mount);
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("bodies");
    tcase_add_test(tests, a_body_is_fetched_once);
    tcase_add_test(tests, many_waits_share_one_fetch);
    tcase_add_test(tests, messages_that_wait_together_share_one_command);
    tcase_add_loop_test(tests, a_wrong_size_is_put_right_before_a_byte_is_read, 0, 2);
    tcase_add_test(tests, the_listener_hears_what_is_gone);
    tcase_add_loop_test(tests, a_body_the_server_does_not_give_fails_alone, 0, 7);
    tcase_add_test(tests, a_message_expunged_before_it_is_read_is_stale);
    tcase_add_test(tests, an_open_body_outlives_its_message);
    tcase_add_test(tests, another_numbering_serves_no_body);
    tcase_add_test(tests, a_message_that_is_only_called_too_large_is_read);
    tcase_add_test(tests, a_connection_that_is_lost_once_goes_unnoticed);
    tcase_add_test(tests, a_queued_body_nobody_waits_for_is_not_fetched);
    tcase_add_test(tests, a_wait_ends_at_its_deadline);
    tcase_add_test(tests, the_end_of_the_mount_ends_every_wait);
    tcase_add_test(tests, exactly_one_of_done_and_cancel_wins);
    return unit_run("bodies", tests);
}

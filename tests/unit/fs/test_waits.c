/* Requests that wait for the engine: who else may go on, and how a wait is ended early. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/waker.h"
#include "mounted.h"

enum { READERS = 64, OTHERS = 20 };

static const char BODY[] = "Subject: one\r\n\r\nbody\r\n";

/* A mailbox with numbered messages and one that is called x. */
struct box {
    struct inode_no ino;
    struct inode_no x;
    struct inode_no numbered[READERS];
};

static void start(struct mounted *m, struct box *box)
{
    mounted_start(m);
    box->ino = fake_add_mailbox(m->engine, INODE_ROOT, "INBOX");
    box->x = fake_add_message(m->engine, box->ino, "x.eml", BODY, (int64_t)strlen(BODY));
    for (int i = 0; i < READERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "m%d.eml", i);
        box->numbered[i] = fake_add_message(m->engine, box->ino, name, BODY, (int64_t)strlen(BODY));
    }
}

/* TOOL... DIR/name; the exit status, so that a mount that hangs does not hang the test. */
static pid_t start_on(const struct mounted *m, const char *tool, const char *name)
{
    CLEANUP(free) char *path = mounted_path(m, name);
    return start_program((const char *const[]){tool, path, NULL});
}

static int run_on(const struct mounted *m, const char *tool, const char *name)
{
    int status = await_program(start_on(m, tool, name));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What makes a program wait: the engine's call that parks, and what the program does. */
struct stuck {
    const char *what;
    enum fake_call call;
    bool at_message; /* the call is about x.eml, else about the mailbox */
    const char *tool;
    const char *name;
};

static const struct stuck STUCK[] = {
    {"lookup", FAKE_FRESHEN, false, "stat", "INBOX/missing.eml"},
    {"opendir", FAKE_FRESHEN, false, "ls", "INBOX"},
    {"readdir", FAKE_MORE, false, "ls", "INBOX"},
    {"open", FAKE_BODY, true, "cat", "INBOX/x.eml"},
};
enum { STUCK_COUNT = sizeof STUCK / sizeof STUCK[0] };

static struct inode_no about(const struct stuck *stuck, const struct box *box)
{
    return stuck->at_message ? box->x : box->ino;
}

static pid_t start_stuck(const struct mounted *m, const struct box *box, const struct stuck *stuck)
{
    fake_hold(m->engine, stuck->call, about(stuck, box));
    pid_t pid = start_on(m, stuck->tool, stuck->name);
    ck_assert_msg(fake_await_parked(m->engine, stuck->call, about(stuck, box), 1), "%s never waits",
        stuck->what);
    return pid;
}

static void check_signal_frees(int signal_number)
{
    struct mounted m;
    struct box box;
    start(&m, &box);
    for (int i = 0; i < STUCK_COUNT; i++) {
        pid_t pid = start_stuck(&m, &box, &STUCK[i]);
        ck_assert_int_eq(kill(pid, signal_number), 0);
        int status = await_program(pid); /* while the engine still does not answer */
        ck_assert_msg(
            WIFSIGNALED(status) && WTERMSIG(status) == signal_number, "%s", STUCK[i].what);
        ck_assert(fake_await_parked(m.engine, STUCK[i].call, about(&STUCK[i], &box), 0));
        fake_release(m.engine, STUCK[i].call, about(&STUCK[i], &box), 0);
        ck_assert_msg(run_on(&m, "ls", "INBOX") == 0, "%s", STUCK[i].what);
    }
    mounted_stop(&m);
}

START_TEST(sigint_frees_whoever_waits)
{
    check_signal_frees(SIGINT);
}
END_TEST

START_TEST(sigkill_frees_whoever_waits)
{
    check_signal_frees(SIGKILL);
}
END_TEST

START_TEST(a_wait_ends_with_what_the_engine_says)
{
    static const struct {
        int result;
        int status; /* of the program */
    } ends[] = {{0, 0}, {-EHOSTDOWN, 1}, {-ETIMEDOUT, 1}};
    struct mounted m;
    struct box box;
    start(&m, &box);
    for (int i = 1; i < STUCK_COUNT; i++) { /* the missing name stays missing */
        for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++) {
            pid_t pid = start_stuck(&m, &box, &STUCK[i]);
            fake_release(m.engine, STUCK[i].call, about(&STUCK[i], &box), ends[k].result);
            int status = await_program(pid);
            ck_assert(WIFEXITED(status));
            ck_assert_msg((WEXITSTATUS(status) != 0) == ends[k].status, "%s", STUCK[i].what);
        }
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(a_name_that_came_while_a_lookup_waited_is_found)
{
    struct mounted m;
    struct box box;
    start(&m, &box);
    pid_t pid = start_stuck(&m, &box, &STUCK[0]);
    (void)fake_add_message(m.engine, box.ino, "missing.eml", BODY, (int64_t)strlen(BODY));
    fake_release(m.engine, FAKE_FRESHEN, box.ino, 0);
    int status = await_program(pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    mounted_stop(&m);
}
END_TEST

/* Others look names up that the kernel does not know yet, and list, in the directory of the wait.
 */
static void check_others_go_on(const struct stuck *stuck, bool with_news)
{
    struct mounted m;
    struct box box;
    start(&m, &box);
    pid_t pid = start_stuck(&m, &box, stuck);
    for (int i = 0; i < OTHERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "INBOX/m%d.eml", i);
        if (with_news) {
            fake_tell_entry(m.engine, box.ino, "x.eml");
            fake_tell_entry(m.engine, box.ino, name + strlen("INBOX/"));
        }
        ck_assert_msg(run_on(&m, "cat", name) == 0, "%s during %s", name, stuck->what);
    }
    if (stuck->call != FAKE_FRESHEN) { /* else opendir waits for the same */
        fake_release(m.engine, stuck->call, about(stuck, &box), 0);
        ck_assert_int_eq(run_on(&m, "ls", "INBOX"), 0);
    }
    fake_release(m.engine, stuck->call, about(stuck, &box), 0);
    (void)await_program(pid);
    mounted_stop(&m);
}

START_TEST(a_wait_keeps_nobody_else_in_its_directory_waiting)
{
    check_others_go_on(&STUCK[_i], false);
}
END_TEST

START_TEST(news_for_the_kernel_keeps_nobody_waiting_behind_a_wait)
{
    check_others_go_on(&STUCK[_i], true);
}
END_TEST

/* Tells the kernel of names without a pause. */
struct teller {
    struct engine *engine;
    struct inode_no box;
    struct waker enough;
    unsigned told;
};

static void *tell_names(void *arg)
{
    struct teller *teller = arg;
    while (!waker_is_set(&teller->enough)) {
        fake_tell_entry(teller->engine, teller->box, "x.eml");
        teller->told++;
    }
    return NULL;
}

START_TEST(a_storm_of_news_loses_no_lookup)
{
    struct mounted m;
    struct box box;
    pthread_t thread;
    start(&m, &box);
    CLEANUP(free) char *missing = mounted_path(&m, "INBOX/missing.eml");
    CLEANUP(free) char *there = mounted_path(&m, "INBOX/x.eml");
    struct teller teller = {.engine = m.engine, .box = box.ino};
    ck_assert_int_eq(waker_init(&teller.enough), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, tell_names, &teller), 0);
    for (int i = 0; i < 3000; i++) {
        struct stat about;
        ck_assert_int_eq(stat(there, &about), 0);
        ck_assert_int_eq(stat(missing, &about), -1);
        ck_assert_msg(errno == ENOENT, "%s", strerrorname_np(errno));
    }
    waker_wake(&teller.enough);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    waker_finish(&teller.enough);
    ck_assert_uint_gt(teller.told, 0);
    mounted_stop(&m);
}
END_TEST

START_TEST(while_many_readers_are_stuck_listings_go_on)
{
    struct mounted m;
    struct box box;
    pid_t pids[READERS];
    start(&m, &box);
    for (int i = 0; i < READERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "INBOX/m%d.eml", i);
        fake_hold(m.engine, FAKE_BODY, box.numbered[i]);
        pids[i] = start_on(&m, "cat", name);
    }
    for (int i = 0; i < READERS; i++) {
        ck_assert(fake_await_parked(m.engine, FAKE_BODY, box.numbered[i], 1));
    }
    CLEANUP(free) char *path = mounted_path(&m, "INBOX");
    ck_assert_int_eq(run_program((const char *const[]){"ls", "-l", path, NULL}), 0);
    ck_assert_int_eq(run_on(&m, "cat", "INBOX/x.eml"), 0);
    ck_assert_uint_eq(fake_parked(m.engine), READERS);
    for (int i = 0; i < READERS; i++) {
        ck_assert_int_eq(kill(pids[i], SIGKILL), 0);
        (void)await_program(pids[i]);
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(many_openers_of_one_message_are_all_served)
{
    struct mounted m;
    struct box box;
    pid_t pids[READERS];
    start(&m, &box);
    fake_hold(m.engine, FAKE_BODY, box.x);
    for (int i = 0; i < READERS; i++) {
        pids[i] = start_on(&m, "cat", "INBOX/x.eml");
    }
    ck_assert(fake_await_parked(m.engine, FAKE_BODY, box.x, READERS));
    fake_release(m.engine, FAKE_BODY, box.x, 0);
    for (int i = 0; i < READERS; i++) {
        int status = await_program(pids[i]);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    mounted_stop(&m);
}
END_TEST

START_TEST(a_signal_and_the_answer_at_the_same_moment_answer_once)
{
    struct mounted m;
    struct box box;
    start(&m, &box);
    for (int i = 0; i < 4 * OTHERS; i++) {
        pid_t pid = start_stuck(&m, &box, &STUCK[3]);
        ck_assert_int_eq(kill(pid, SIGINT), 0);
        fake_release(m.engine, FAKE_BODY, box.x, 0);
        (void)await_program(pid); /* either may win */
    }
    ck_assert_int_eq(run_on(&m, "cat", "INBOX/x.eml"), 0);
    mounted_stop(&m);
}
END_TEST

START_TEST(the_end_of_the_mount_frees_whoever_waits)
{
    struct mounted m;
    struct box box;
    start(&m, &box);
    pid_t pid = start_stuck(&m, &box, &STUCK[_i]);
    mounted_stop(&m);
    int status = await_program(pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) != 0);
}
END_TEST

START_TEST(an_unmount_from_outside_ends_the_mount)
{
    struct mounted m;
    struct box box;
    start(&m, &box);
    ck_assert_int_eq(run_on(&m, "cat", "INBOX/x.eml"), 0);
    ck_assert_int_eq(umount2(m.dir, 0), 0);
    mounted_join(&m);
    ck_assert_int_eq(m.result, 0);
}
END_TEST

START_TEST(a_mount_that_is_stopped_before_it_ran_ends_at_once)
{
    struct mounted m;
    for (int i = 0; i < OTHERS; i++) {
        mounted_start(&m);
        mounted_stop(&m);
    }
}
END_TEST

int main(void)
{
    TCase *tests = unit_case("waits");
    tcase_add_test(tests, sigint_frees_whoever_waits);
    tcase_add_test(tests, sigkill_frees_whoever_waits);
    tcase_add_test(tests, a_wait_ends_with_what_the_engine_says);
    tcase_add_test(tests, a_name_that_came_while_a_lookup_waited_is_found);
    tcase_add_loop_test(tests, a_wait_keeps_nobody_else_in_its_directory_waiting, 0, STUCK_COUNT);
    tcase_add_loop_test(
        tests, news_for_the_kernel_keeps_nobody_waiting_behind_a_wait, 0, STUCK_COUNT);
    tcase_add_test(tests, a_storm_of_news_loses_no_lookup);
    tcase_add_test(tests, while_many_readers_are_stuck_listings_go_on);
    tcase_add_test(tests, many_openers_of_one_message_are_all_served);
    tcase_add_test(tests, a_signal_and_the_answer_at_the_same_moment_answer_once);
    tcase_add_loop_test(tests, the_end_of_the_mount_frees_whoever_waits, 0, STUCK_COUNT);
    tcase_add_test(tests, an_unmount_from_outside_ends_the_mount);
    tcase_add_test(tests, a_mount_that_is_stopped_before_it_ran_ends_at_once);
    return mounted_run("waits", tests);
}

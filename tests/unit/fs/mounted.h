/*
 * mounted.h - a real mount over the fake engine, and programs that use it from outside.
 */
#ifndef IMAPFS_TESTS_MOUNTED_H
#define IMAPFS_TESTS_MOUNTED_H

#include <pthread.h>
#include <sys/types.h>

#include "fake_engine.h"
#include "fs/fs.h"
#include "unit.h"

struct mounted {
    struct engine *engine;
    struct fs *fs;
    char dir[128];
    pthread_t thread;
    int result; /* of fs_run, after mounted_stop */
};

/* The mount serves when this returns; it is at m->dir. */
void mounted_start(struct mounted *m);
/* Ends it (fs_stop), waits for fs_run, and checks that nothing is left. */
void mounted_stop(struct mounted *m);
/* The same where the mount point was unmounted from outside. */
void mounted_join(struct mounted *m);

/* DIR/name; the caller frees it. */
char *mounted_path(const struct mounted *m, const char *name);

/* Starts a program with its output thrown away. */
pid_t start_program(const char *const argv[]);
/* Waits for its end (a minute at most) and returns its wait status. */
int await_program(pid_t pid);
/* Both; its exit status. */
int run_program(const char *const argv[]);

/* A new directory that is cleaned up at the end. */
void make_test_dir(char *ret, size_t size);
/* Runs the case where a mount is possible, else says that it was skipped; the result of main(). */
int mounted_run(const char *name, TCase *tests);

#endif

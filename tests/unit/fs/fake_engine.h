/*
 * fake_engine.h - an engine without store and server: a tree in memory, and calls that park or fail
 * where the test says so. It stands in for the real one in every test of fs.
 */
#ifndef IMAPFS_TESTS_FAKE_ENGINE_H
#define IMAPFS_TESTS_FAKE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

enum fake_call { FAKE_FRESHEN, FAKE_MORE, FAKE_BODY };

struct engine *fake_create(void);
void fake_destroy(struct engine *engine); /* fails if somebody still waits */

struct inode_no fake_add_mailbox(struct engine *engine, struct inode_no parent, const char *name);
/* The body is `text`; its size is believed to be `size_bytes` until fake_correct_size. */
struct inode_no fake_add_message(struct engine *engine, struct inode_no parent, const char *name,
    const char *text, int64_t size_bytes);
/* Gone from the tree; the listener is told. */
void fake_remove(struct engine *engine, struct inode_no ino);
/* The believed size becomes the true one; the listener is told. */
void fake_correct_size(struct engine *engine, struct inode_no ino);
/* The listener is told that a name changed (and nothing else happens). */
void fake_tell_entry(struct engine *engine, struct inode_no parent, const char *name);
void fake_set_space(struct engine *engine, struct view_space space);

/* From now on such calls park; fake_release ends that and wakes those who wait; fake_wake only
 * wakes. */
void fake_hold(struct engine *engine, enum fake_call call, struct inode_no ino);
void fake_release(struct engine *engine, enum fake_call call, struct inode_no ino, int result);
void fake_wake(struct engine *engine, enum fake_call call, struct inode_no ino, int result);
/* From now on such calls fail with this -errno; 0: no longer. */
void fake_fail(struct engine *engine, enum fake_call call, struct inode_no ino, int rc);

/* Waits until so many wait there; a minute at most. */
bool fake_await_parked(
    struct engine *engine, enum fake_call call, struct inode_no ino, unsigned count);
unsigned fake_parked(struct engine *engine); /* of all calls */
unsigned fake_calls(struct engine *engine, enum fake_call call);

#endif

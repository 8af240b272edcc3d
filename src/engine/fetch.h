/*
 * engine/fetch.h - what the two halves of fetching bodies share: the wants (fetch.c) and the task
 * that gets them (fetch_task.c).
 */
#ifndef IMAPFS_ENGINE_FETCH_H
#define IMAPFS_ENGINE_FETCH_H

#include "engine/inside.h"

extern const struct task_kind fetch_task_kind;

/* Puts a body's flight into its mailbox's queue; `first`: before the others. */
void fetch_queue_want(struct engine *engine, struct flight *flight, bool first)
    REQUIRES(engine->lock);
/* A task for the mailbox's waiting wants, to be submitted; NULL when one is queued already. */
struct task *fetch_task(struct engine *engine, struct mailbox_id mailbox) REQUIRES(engine->lock);
/* Moves waiting wants into the task: as many as make a good command, or `all` that find room. */
void fetch_take_wants(struct engine *engine, struct task *task, bool all) REQUIRES(engine->lock);
/* Lands the task's want at the index. No lock is held. */
void fetch_land(struct task *task, size_t index, int result);
/* The message's body is not asked for again for a while. */
void fetch_remember_failure(struct engine *engine, struct message_id id, int result);

#endif

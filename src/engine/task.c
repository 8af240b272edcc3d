/* Tasks: jobs of the pool that carry flights. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/inside.h"

static int task_run(void *arg, struct session *session, struct err *why)
{
    struct task *task = arg;
    struct engine *engine = task->engine;
    lock_assert_none_held();
    lock_take(&engine->lock);
    task->started = true;
    if (task->flight != NULL) {
        flight_set_state(task->flight, FLIGHT_RUNNING);
    }
    lock_release(&engine->lock);
    return task->kind->run(task, session, why);
}

/* Frees the task when nobody is inside pool_cancel with it. */
static void let_go(struct engine *engine, struct task *task) REQUIRES(engine->lock)
{
    if (!task->finished || task->pins > 0) {
        return;
    }
    if (task->prev != NULL) {
        task->prev->next = task->next;
    } else {
        engine->tasks = task->next;
    }
    if (task->next != NULL) {
        task->next->prev = task->prev;
    }
    free(task);
    if (engine->tasks == NULL) {
        cond_wake_all(&engine->tasks_gone);
    }
}

static void task_done(void *arg, int result, const struct err *why)
{
    struct task *task = arg;
    struct engine *engine = task->engine;
    lock_assert_none_held();
    if (result == 0) {
        engine_well(engine);
    }
    task->kind->done(task, result, why);
    lock_take(&engine->lock);
    task->finished = true;
    let_go(engine, task);
    lock_release(&engine->lock);
}

struct task *task_create(struct engine *engine, const struct task_kind *kind, struct flight *flight)
{
    lock_assert_held(&engine->lock);
    struct task *task = alloc_zeroed(1, sizeof *task);
    task->engine = engine;
    task->kind = kind;
    task->flight = flight;
    task->job = (struct pool_job){
        .priority = PRIORITY_INTERACTIVE,
        .deadline_ms = DEADLINE_NEVER,
        .run = task_run,
        .done = task_done,
        .arg = task,
    };
    task->next = engine->tasks;
    if (task->next != NULL) {
        task->next->prev = task;
    }
    engine->tasks = task;
    return task;
}

void task_submit(struct task *task)
{
    if (task != NULL) {
        lock_assert_none_held();
        pool_submit(task->engine->pool, &task->job);
    }
}

void task_cancel_pinned(struct task *task)
{
    struct engine *engine = task->engine;
    lock_assert_none_held();
    pool_cancel(engine->pool, &task->job);
    lock_take(&engine->lock);
    task->pins--;
    let_go(engine, task);
    lock_release(&engine->lock);
}

static struct task *pin_next(struct engine *engine) REQUIRES(engine->lock)
{
    for (struct task *task = engine->tasks; task != NULL; task = task->next) {
        if (!task->cancelled && !task->finished) {
            task->cancelled = true;
            task->pins++;
            return task;
        }
    }
    return NULL;
}

void tasks_end(struct engine *engine)
{
    lock_take(&engine->lock);
    for (struct task *task = pin_next(engine); task != NULL; task = pin_next(engine)) {
        lock_release(&engine->lock);
        task_cancel_pinned(task);
        lock_take(&engine->lock);
    }
    while (engine->tasks != NULL) {
        (void)cond_wait(&engine->tasks_gone, &engine->lock, DEADLINE_NEVER);
    }
    lock_release(&engine->lock);
}

/* The cache of bodies is kept within its limit and made to survive a power cut, by a thread of its
 * own. */
#include "base/clock.h"
#include "engine/inside.h"
#include "store/body.h"

enum { SETTLE_MS = 30 * 1000, PROTECT_S = 60, PROTECT_MS = PROTECT_S * 1000 };

void tidy_body_written(struct engine *engine)
{
    bool over = store_body_over_limit(engine->store);
    lock_take(&engine->lock);
    bool wake = engine->settle_ms == DEADLINE_NEVER;
    if (wake) {
        engine->settle_ms = deadline_in(SETTLE_MS);
    }
    if (over && engine->trim_ms == DEADLINE_NEVER) {
        engine->trim_ms = clock_now_ms();
        wake = true;
    }
    if (wake) {
        cond_wake_one(&engine->tidy_changed);
    }
    lock_release(&engine->lock);
}

static void settle(struct engine *engine)
{
    struct err why = ERR_INIT;
    if (store_body_settle(engine->store, &why) != 0) {
        engine_trouble(engine, "the cache of messages", &why);
    }
}

/* What was read in the last minute stays; then it is looked at again. */
static void trim(struct engine *engine)
{
    struct err why = ERR_INIT;
    if (store_body_trim(engine->store, PROTECT_S, &why) != 0) {
        engine_trouble(engine, "the cache of messages", &why);
    }
    bool over = store_body_over_limit(engine->store);
    lock_take(&engine->lock);
    if (over) {
        engine->trim_ms = deadline_in(PROTECT_MS);
    }
    lock_release(&engine->lock);
}

void *tidy_main(void *arg)
{
    struct engine *engine = arg;
    lock_take(&engine->lock);
    while (!engine->tidy_ending) {
        int64_t now_ms = clock_now_ms();
        bool settle_now = engine->settle_ms <= now_ms;
        bool trim_now = engine->trim_ms <= now_ms;
        if (!settle_now && !trim_now) {
            int64_t next_ms =
                engine->settle_ms < engine->trim_ms ? engine->settle_ms : engine->trim_ms;
            (void)cond_wait(&engine->tidy_changed, &engine->lock,
                next_ms); /* the round looks at the clock itself */
            continue;
        }
        engine->settle_ms = settle_now ? DEADLINE_NEVER : engine->settle_ms;
        engine->trim_ms = trim_now ? DEADLINE_NEVER : engine->trim_ms;
        lock_release(&engine->lock);
        if (settle_now) {
            settle(engine);
        }
        if (trim_now) {
            trim(engine);
        }
        lock_take(&engine->lock);
    }
    lock_release(&engine->lock);
    return NULL;
}

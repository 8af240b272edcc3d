/* df: the quota as last told, asked again in the background. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "engine/inside.h"

enum { QUOTA_AGE_MS = 10 * 60 * 1000 };
/* Without a quota there is room, else tools refuse to write. */
#define ROOM_WITHOUT_QUOTA ((uint64_t)1 << 40)

static int run_quota(struct task *task, struct session *session, struct err *why)
{
    struct engine *engine = task->engine;
    struct quota quota = {.known = false};
    int rc = session_quota(session, "INBOX", strlen("INBOX"), &quota, why);
    if (rc == 0) {
        lock_take(&engine->lock);
        engine->quota.quota = quota.known;
        engine->quota.total_bytes = quota.storage_limit_bytes;
        engine->quota.used_bytes = quota.storage_used_bytes;
        lock_release(&engine->lock);
    }
    return rc;
}

static void quota_done(struct task *task, int result, const struct err *why)
{
    if (result != 0 && why != NULL && (why->class == ERR_RETRY || why->class == ERR_AUTH)) {
        engine_trouble(task->engine, "", why); /* a refusal concerns nobody: there is no quota */
    }
    flight_land(task->flight, caller_errno(result, why));
}

void quota_refresh(struct engine *engine)
{
    static const struct task_kind kind = {run_quota, quota_done};
    struct task *task = NULL;
    lock_take(&engine->lock);
    if (!engine->ending && engine->quota_fresh_until_ms <= clock_now_ms() &&
        flight_find(engine, FLIGHT_QUOTA, 0) == NULL) {
        engine->quota_fresh_until_ms = deadline_in(QUOTA_AGE_MS);
        task = task_create(engine, &kind, flight_create(engine, FLIGHT_QUOTA, 0));
        task->job.priority = PRIORITY_SYNC;
    }
    lock_release(&engine->lock);
    task_submit(task);
}

int view_space(struct engine *engine, struct view_space *ret)
{
    uint64_t bytes = 0;
    struct view_space space;
    quota_refresh(engine);
    lock_take(&engine->lock);
    space = engine->quota;
    lock_release(&engine->lock);
    if (store_totals(engine->store, &space.messages, &bytes, NULL) != 0) {
        return -EIO;
    }
    if (!space.quota) {
        space.used_bytes = bytes;
        space.total_bytes = bytes + ROOM_WITHOUT_QUOTA;
    }
    *ret = space;
    return 0;
}

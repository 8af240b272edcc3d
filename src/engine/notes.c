/* What a person should know: the last errors, each once. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/inside.h"

static struct note *note_at(struct engine *engine, size_t index) REQUIRES(engine->lock)
{
    return &engine->notes[(engine->note_first + index) % NOTES_MAX];
}

/* The same was said within the last minute: it is counted. */
static bool repeat(struct engine *engine, const struct noted_error *error) REQUIRES(engine->lock)
{
    for (size_t i = 0; i < engine->note_count; i++) {
        struct note *note = note_at(engine, i);
        if (strcmp(note->error.text, error->text) == 0 &&
            error->wall_s - note->error.wall_s < NOTE_REPEAT_S) {
            note->times++;
            return true;
        }
    }
    return false;
}

static void keep(struct engine *engine, const struct noted_error *error) REQUIRES(engine->lock)
{
    if (engine->note_count == NOTES_MAX) {
        engine->note_first = (engine->note_first + 1) % NOTES_MAX;
        engine->note_count--;
    }
    *note_at(engine, engine->note_count) = (struct note){*error, 1};
    engine->note_count++;
}

void engine_note(struct engine *engine, const char *fmt, ...)
{
    char text[2 * sizeof((struct noted_error *)0)->text];
    struct noted_error error = {clock_wall_s(), ""};
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len < 0) {
        return;
    }
    (void)text_clean(error.text, sizeof error.text, text, strlen(text)); /* cut is as good */
    lock_take(&engine->lock);
    engine->errors++;
    bool said = repeat(engine, &error);
    if (!said) {
        keep(engine, &error);
    }
    lock_release(&engine->lock);
    if (!said) {
        log_line(engine->log, LOG_LEVEL_WARNING, "%s", error.text);
    }
}

void engine_trouble(struct engine *engine, const char *what, const struct err *why)
{
    if (why == NULL || why->class == ERR_CANCELLED || why->class == ERR_NONE ||
        why->class == ERR_GONE) { /* what others removed is no trouble */
        return;
    }
    if (why->class == ERR_RETRY || why->class == ERR_AUTH) { /* of the account, not of `what` */
        lock_take(&engine->lock);
        bool said = engine->trouble_noted;
        engine->trouble_noted = true;
        lock_release(&engine->lock);
        if (!said) {
            engine_note(engine, "%s", why->text);
        }
        return;
    }
    engine_note(engine, "%s%s%s", what, what[0] == '\0' ? "" : ": ", why->text);
}

void engine_well(struct engine *engine)
{
    lock_take(&engine->lock);
    bool was_ill = engine->trouble_noted;
    engine->trouble_noted = false;
    lock_release(&engine->lock);
    if (was_ill) {
        log_line(engine->log, LOG_LEVEL_INFO, "the server answers again");
    }
}

int caller_errno(int result, const struct err *why)
{
    if (result == 0) {
        return 0;
    }
    switch (why == NULL ? ERR_NONE : why->class) {
    case ERR_GONE:
    case ERR_CONFLICT:
        return -ESTALE;
    case ERR_CANCELLED:
        return -EHOSTDOWN;
    case ERR_HOSTILE:
    case ERR_BUG:
        return -EIO;
    case ERR_NONE:
    case ERR_RETRY:
    case ERR_AUTH:
    case ERR_REFUSED:
    case ERR_LOCAL:
        break;
    }
    return result;
}

static struct noted_error shown(const struct note *note)
{
    struct noted_error error = note->error;
    if (note->times > 1) {
        char times[32];
        int len = snprintf(times, sizeof times, " (%u times)", note->times);
        size_t at = strlen(error.text);
        size_t most = sizeof error.text - 1 - (size_t)len;
        at = at < most ? at : most;
        (void)g_strlcpy(error.text + at, times, sizeof error.text - at); /* fits by `most` */
    }
    return error;
}

void engine_errors(
    struct engine *engine, void (*each)(void *arg, const struct noted_error *error), void *arg)
{
    struct noted_error *errors = g_new(struct noted_error, NOTES_MAX);
    lock_take(&engine->lock);
    size_t count = engine->note_count;
    for (size_t i = 0; i < count; i++) {
        errors[i] = shown(note_at(engine, i));
    }
    lock_release(&engine->lock);
    for (size_t i = 0; i < count; i++) {
        each(arg, &errors[i]);
    }
    g_free(errors);
}

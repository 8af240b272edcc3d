#include "app/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"

static const char *state_word(enum pool_state state)
{
    switch (state) {
    case POOL_NEVER_CONNECTED:
        return "not connected yet";
    case POOL_ONLINE:
        return "online";
    case POOL_OFFLINE:
        return "offline";
    case POOL_AUTH_FAILED:
        return "login refused";
    }
    return "unknown";
}

static void format_time(int64_t wall_s, char *ret, size_t size)
{
    time_t moment = (time_t)wall_s;
    struct tm parts;
    if (gmtime_r(&moment, &parts) == NULL ||
        strftime(ret, size, "%Y-%m-%d %H:%M:%SZ", &parts) == 0) {
        ret[0] = '\0';
    }
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

char *report_status(const struct report_facts *facts)
{
    struct engine_status status;
    engine_get_status(facts->engine, &status);
    struct buf text = BUF_INIT;
    buf_printf(&text, "account      %s\n", facts->account);
    buf_printf(&text, "server       %s, %u connections, %u requests queued\n",
        state_word(status.pool.state), status.pool.sessions, status.pool.queued);
    if (status.pool.last_error.text[0] != '\0' && status.pool.state != POOL_ONLINE) {
        char when[32];
        format_time(status.pool.last_error_wall_s, when, sizeof when);
        buf_printf(&text, "last failure %s, %s; next attempt %s\n", when,
            status.pool.last_error.text,
            status.pool.next_attempt_in_ms > 0 ? "later" : "when there is work");
    }
    buf_printf(&text,
        "mailboxes    %" PRIu64 ", %" PRIu64 " of them synchronised, %" PRIu64 " messages\n",
        status.mailboxes, status.synchronised_mailboxes, status.messages);
    buf_printf(&text, "cache        %" PRIu64 " bodies, %.1f of %.1f MiB\n", status.cached_bodies,
        mebibytes(status.cached_bytes), mebibytes(status.cache_limit_bytes));
    buf_printf(&text,
        "line         %.1f MiB received, %.1f MiB sent, %" PRIu64 " bodies and %" PRIu64
        " rows fetched\n",
        mebibytes(status.pool.bytes_in), mebibytes(status.pool.bytes_out), status.bodies_fetched,
        status.rows_fetched);
    buf_printf(&text, "waiting      %" PRIu64 " system calls\n", status.waiting);
    buf_printf(&text, "errors       %" PRIu64 " noted%s\n", status.errors,
        status.errors > 0 ? "; imapfsctl errors shows them" : "");
    return buf_steal(&text);
}

char *report_status_json(const struct report_facts *facts)
{
    struct engine_status status;
    engine_get_status(facts->engine, &status);
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "account", facts->account, "state", state_word(status.pool.state), "connections",
        (json_int_t)status.pool.sessions, "connections_made", (json_int_t)status.pool.connects,
        "requests_queued", (json_int_t)status.pool.queued, "mailboxes",
        (json_int_t)status.mailboxes, "mailboxes_synchronised",
        (json_int_t)status.synchronised_mailboxes, "messages", (json_int_t)status.messages,
        "cached_bodies", (json_int_t)status.cached_bodies, "cached_bytes",
        (json_int_t)status.cached_bytes, "cache_limit_bytes", (json_int_t)status.cache_limit_bytes,
        "bytes_received", (json_int_t)status.pool.bytes_in, "bytes_sent",
        (json_int_t)status.pool.bytes_out, "bodies_fetched", (json_int_t)status.bodies_fetched,
        "body_bytes_fetched", (json_int_t)status.body_bytes_fetched, "rows_fetched",
        (json_int_t)status.rows_fetched, "waiting", (json_int_t)status.waiting);
    if (root == NULL) {
        return NULL;
    }
    (void)json_object_set_new(root, "errors", json_integer((json_int_t)status.errors));
    (void)json_object_set_new(root, "last_failure",
        status.pool.last_error.text[0] != '\0' ? json_string(status.pool.last_error.text)
                                               : json_null());
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    json_decref(root);
    if (text == NULL) {
        return NULL;
    }
    struct buf line = BUF_INIT;
    buf_append_text(&line, text);
    buf_append_char(&line, '\n');
    free(text);
    return buf_steal(&line);
}

static void add_error(void *arg, const struct noted_error *error)
{
    char when[32];
    format_time(error->wall_s, when, sizeof when);
    buf_printf(arg, "%s  %s\n", when, error->text);
}

char *report_errors(const struct report_facts *facts)
{
    struct buf text = BUF_INIT;
    engine_errors(facts->engine, add_error, &text);
    return buf_steal(&text);
}

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "imap/gate_inside.h"

/* The slowest line on which a literal is waited for, in bytes per millisecond: 16 KiB/s. */
#define SLOWEST_BYTES_PER_MS 16

/*
 * Outside literals the response's deadline stands. A literal may be far larger than what arrives
 * until then: its bytes move the deadline on, at the slowest speed that is worth waiting for, and
 * no single piece may take longer than the whole wait first allowed.
 */
static int64_t current_deadline(const struct gate *gate)
{
    if (gate->deadline_ms == DEADLINE_NEVER || gate->literal_used == 0) {
        return gate->deadline_ms;
    }
    int64_t earned_ms = (int64_t)(gate->literal_used / SLOWEST_BYTES_PER_MS);
    int64_t total = gate->deadline_ms > DEADLINE_NEVER - earned_ms ? DEADLINE_NEVER
                                                                   : gate->deadline_ms + earned_ms;
    int64_t piece = deadline_in(gate->wait_ms);
    return piece < total ? piece : total;
}

static int refill(struct gate *gate, struct err *why)
{
    gate->input_at = 0;
    gate->input_end = 0;
    int64_t deadline_ms = current_deadline(gate);
    if (gate->touched && deadline_poll_ms(deadline_ms) == 0) {
        /* A source may give what is there even after the deadline: bytes that trickle in would
         * keep an answer going for ever. */
        return err_set(why, ERR_RETRY, ETIMEDOUT, "the server's answer took too long");
    }
    int64_t n =
        gate->source.read(gate->source.arg, gate->input, GATE_INPUT_BYTES, deadline_ms, why);
    if (n < 0) {
        return (int)n;
    }
    if (n == 0 || (uint64_t)n > GATE_INPUT_BYTES) {
        return err_set(
            why, ERR_BUG, EIO, "the source of the server's bytes gave %lld of them", (long long)n);
    }
    gate->input_end = (size_t)n;
    gate->touched = true;
    return 0;
}

int gate_next_line(struct gate *gate, struct slice *ret, struct err *why)
{
    buf_reset(&gate->line);
    for (;;) {
        if (gate->input_at == gate->input_end) {
            int r = refill(gate, why);
            if (r < 0) {
                return r;
            }
        }
        gate->touched = true;
        const char *start = gate->input + gate->input_at;
        size_t have = gate->input_end - gate->input_at;
        const char *lf = memchr(start, '\n', have);
        size_t take = lf != NULL ? (size_t)(lf - start) + 1 : have;
        if (take > gate->limits.line_bytes - gate->line_used) {
            return err_set(why, ERR_HOSTILE, EPROTO,
                "the server sent an answer with more than %zu bytes outside literals",
                gate->limits.line_bytes);
        }
        gate->line_used += take;
        gate->input_at += take;
        if (lf != NULL && gate->line.len == 0) {
            *ret = (struct slice){start, lf};
            break;
        }
        buf_append(&gate->line, start, take);
        if (lf != NULL) {
            *ret = (struct slice){gate->line.data, gate->line.data + gate->line.len - 1};
            break;
        }
    }
    if (ret->end > ret->at && ret->end[-1] == '\r') {
        ret->end--;
    }
    return 0;
}

int gate_next_piece(struct gate *gate, uint64_t most, struct slice *ret, struct err *why)
{
    if (gate->input_at == gate->input_end) {
        int r = refill(gate, why);
        if (r < 0) {
            return r;
        }
    }
    size_t take = gate->input_end - gate->input_at;
    if (take > most) {
        take = (size_t)most;
    }
    const char *start = gate->input + gate->input_at;
    *ret = (struct slice){start, start + take};
    gate->input_at += take;
    gate->literal_used += take;
    return 0;
}

/*
 * imap/gate_inside.h - what the gate's own files share: its input, its tokens and their arena.
 *
 * A line is found once (gate_input.c), cut into tokens once (gate_token.c) and never looked at
 * again: the work is linear in the bytes received, however they are cut. Only gate*.c includes
 * this.
 */
#ifndef IMAPFS_IMAP_GATE_INSIDE_H
#define IMAPFS_IMAP_GATE_INSIDE_H

#include "base/buf.h"
#include "imap/gate.h"

#define GATE_INPUT_BYTES ((size_t)64 * 1024)

struct gate {
    struct gate_source source;
    struct gate_limits limits; /* none is 0 */
    bool broken;               /* the place in the stream is lost */

    /* bytes received and not yet used: input[input_at..input_end) */
    char *input;
    size_t input_at, input_end;
    struct buf line; /* a line that did not stand in the input as a whole */

    /* the response being read */
    int64_t deadline_ms;   /* moves on with each byte of a literal */
    int64_t wait_ms;       /* the longest wait for one piece of a literal */
    size_t line_used;      /* bytes outside literals so far */
    uint64_t literal_used; /* bytes of literals so far */
    bool touched;          /* a byte of it was received */
    struct response response;

    /* Token text, each ended with NUL. Whoever makes it grow moves the tokens' pointers along. */
    char *arena;
    size_t arena_len, arena_capacity;
    struct token *tokens;
    size_t token_count, token_capacity;
    uint32_t *open; /* indices of the OPEN tokens that wait for their CLOSE */
    size_t open_count;
};

/* A line without its end; in the input or in gate->line, until the next gate_next_line or
 * gate_next_piece. */
struct slice {
    const char *at;
    const char *end;
};

/* gate_input.c */
int gate_next_line(struct gate *gate, struct slice *ret, struct err *why) MUST_USE;
/* Between 1 and `most` bytes of a literal, in the input; they count as used. */
int gate_next_piece(struct gate *gate, uint64_t most, struct slice *ret, struct err *why) MUST_USE;

/* gate_token.c */
struct gate_literal {
    bool follows;
    uint64_t size;
};
void gate_reset_tokens(struct gate *gate);
/* Room for `len` more bytes of text. -ENOMEM. */
int gate_reserve(struct gate *gate, size_t len, struct err *why) MUST_USE;
/* Cuts a line of a DATA response; says whether a literal follows it. HOSTILE EPROTO. */
int gate_cut_line(
    struct gate *gate, struct slice line, struct gate_literal *ret, struct err *why) MUST_USE;
/* Cuts a response code; *at stands behind its "[" and is moved behind its "]". Without one that
 * ends there are no tokens and *at stays. HOSTILE EPROTO. */
int gate_cut_code(struct gate *gate, const char **at, const char *end, struct err *why) MUST_USE;
/* Adds a literal's token, its text being the arena from `text_at` on. */
int gate_push_literal(
    struct gate *gate, size_t text_at, uint64_t size, bool streamed, struct err *why) MUST_USE;
int gate_check_kept(const struct gate *gate, size_t more, struct err *why) MUST_USE;

#endif

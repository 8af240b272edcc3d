#include "imap/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "imap/gate_inside.h"

static const struct gate_limits default_limits = {
    .line_bytes = (size_t)1024 * 1024,
    .keep_bytes = (size_t)64 * 1024,
    .response_bytes = (size_t)8 * 1024 * 1024,
    .literal_bytes = INT32_MAX,
    .depth = 32,
    .tokens = 1000000,
};

/* Lengths of tokens are 32 bits; no limit may promise more. */
#define LIMIT_MAX ((size_t)1024 * 1024 * 1024)

static size_t limit_or(size_t limit, size_t otherwise)
{
    if (limit == 0) {
        return otherwise;
    }
    return limit < LIMIT_MAX ? limit : LIMIT_MAX;
}

struct gate *gate_create(const struct gate_source *source, const struct gate_limits *limits)
{
    static const struct gate_limits none = {0};
    const struct gate_limits *given = limits != NULL ? limits : &none;
    struct gate *gate = alloc_zeroed(1, sizeof *gate);
    gate->source = *source;
    gate->limits.line_bytes = limit_or(given->line_bytes, default_limits.line_bytes);
    gate->limits.keep_bytes = limit_or(given->keep_bytes, default_limits.keep_bytes);
    gate->limits.response_bytes = limit_or(given->response_bytes, default_limits.response_bytes);
    gate->limits.literal_bytes =
        given->literal_bytes != 0 ? given->literal_bytes : default_limits.literal_bytes;
    gate->limits.depth = limit_or(given->depth, default_limits.depth);
    gate->limits.tokens = limit_or(given->tokens, default_limits.tokens);
    gate->input = alloc_zeroed(1, GATE_INPUT_BYTES);
    gate->open = alloc_zeroed(gate->limits.depth, sizeof *gate->open);
    return gate;
}

void gate_destroy(struct gate **gate)
{
    if (*gate == NULL) {
        return;
    }
    free((*gate)->input);
    free((*gate)->open);
    free((*gate)->arena);
    free((*gate)->tokens);
    buf_finish(&(*gate)->line);
    free(*gate);
    *gate = NULL;
}

bool gate_has_buffered(const struct gate *gate)
{
    return gate->input_at < gate->input_end;
}

/* ---- literals ---- */

/* Shows what was read so far to whoever asks. */
static void show_tokens(struct gate *gate)
{
    gate->response.tokens = gate->tokens;
    gate->response.count = gate->token_count;
}

static int stream_literal(
    struct gate *gate, uint64_t size, const struct gate_sink *sink, struct err *why)
{
    for (uint64_t left = size; left > 0;) {
        struct slice piece;
        int r = gate_next_piece(gate, left, &piece, why);
        if (r < 0) {
            return r;
        }
        size_t len = (size_t)(piece.end - piece.at);
        r = sink->data(sink->arg, piece.at, len, why);
        if (r < 0) {
            return r;
        }
        left -= len;
    }
    int r = gate_reserve(gate, 1, why);
    return r < 0 ? r : gate_push_literal(gate, gate->arena_len, size, true, why);
}

/* Keeps the first limits.keep_bytes and reads over the rest. Memory follows what has arrived, never
 * what was announced. */
static int keep_literal(struct gate *gate, uint64_t size, struct err *why)
{
    size_t keep = size < gate->limits.keep_bytes ? (size_t)size : gate->limits.keep_bytes;
    int r = gate_check_kept(gate, keep + 1, why);
    if (r < 0) {
        return r;
    }
    size_t text_at = gate->arena_len;
    for (uint64_t left = size; left > 0;) {
        struct slice piece;
        r = gate_next_piece(gate, left, &piece, why);
        if (r < 0) {
            return r;
        }
        size_t len = (size_t)(piece.end - piece.at);
        size_t room = keep - (gate->arena_len - text_at);
        size_t kept = len < room ? len : room;
        r = gate_reserve(gate, kept + 1, why);
        if (r < 0) {
            return r;
        }
        memcpy(gate->arena + gate->arena_len, piece.at, kept);
        gate->arena_len += kept;
        left -= len;
    }
    r = gate_reserve(gate, 1, why);
    return r < 0 ? r : gate_push_literal(gate, text_at, size, false, why);
}

static int read_literal(
    struct gate *gate, uint64_t size, const struct gate_sink *sink, struct err *why)
{
    int streamed = 0;
    if (sink != NULL) {
        show_tokens(gate);
        streamed = sink->begin(sink->arg, &gate->response, size, why);
    }
    if (streamed < 0) {
        return streamed;
    }
    return streamed > 0 ? stream_literal(gate, size, sink, why) : keep_literal(gate, size, why);
}

/* ---- kinds of responses ---- */

static int read_data(
    struct gate *gate, struct slice line, const struct gate_sink *sink, struct err *why)
{
    gate->response.kind = RESPONSE_DATA;
    for (;;) {
        struct gate_literal literal;
        int r = gate_cut_line(gate, line, &literal, why);
        if (r < 0) {
            return r;
        }
        if (!literal.follows) {
            break;
        }
        r = read_literal(gate, literal.size, sink, why);
        if (r < 0) {
            return r;
        }
        r = gate_next_line(gate, &line, why);
        if (r < 0) {
            return r;
        }
    }
    if (gate->open_count > 0 || gate->token_count == 0) {
        gate->response.malformed = true;
    }
    return 0;
}

/* Copies text into the arena; its offset there. */
static int keep_text(
    struct gate *gate, const char *at, const char *end, size_t *ret_at, struct err *why)
{
    size_t len = (size_t)(end - at);
    int r = gate_check_kept(gate, len + 1, why);
    if (r == 0) {
        r = gate_reserve(gate, len + 1, why);
    }
    if (r < 0) {
        return r;
    }
    *ret_at = gate->arena_len;
    memcpy(gate->arena + gate->arena_len, at, len);
    gate->arena_len += len;
    gate->arena[gate->arena_len++] = '\0';
    return 0;
}

static const char *word_end(const char *at, const char *end)
{
    const char *space = at < end ? memchr(at, ' ', (size_t)(end - at)) : NULL;
    return space != NULL ? space : end;
}

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && *at == ' ') {
        at++;
    }
    return at;
}

/* One of the words a status response may begin with, in upper case; NULL if it is none. */
static const char *status_word(const char *at, const char *end, bool tagged)
{
    static const char *const words[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
    size_t known = tagged ? 3 : sizeof words / sizeof words[0];
    size_t len = (size_t)(end - at);
    for (size_t i = 0; i < known; i++) {
        if (strlen(words[i]) == len && strncasecmp(words[i], at, len) == 0) {
            return words[i];
        }
    }
    return NULL;
}

/* What stands behind the word: "[code] text", both optional. */
static int read_code_and_text(
    struct gate *gate, const char *at, const char *end, size_t *ret_text, struct err *why)
{
    at = skip_spaces(at, end);
    if (at < end && *at == '[') {
        const char *behind = at + 1;
        int r = gate_cut_code(gate, &behind, end, why);
        if (r < 0) {
            return r;
        }
        if (behind != at + 1) {
            at = behind < end && *behind == ' ' ? behind + 1 : behind;
        }
    }
    return keep_text(gate, at, end, ret_text, why);
}

static int read_status(struct gate *gate, const char *word, struct slice line, struct err *why)
{
    gate->response.kind = RESPONSE_STATUS;
    gate->response.word = word;
    size_t text_at;
    int r = read_code_and_text(gate, word_end(line.at, line.end), line.end, &text_at, why);
    if (r == 0) {
        gate->response.text = gate->arena + text_at;
    }
    return r;
}

static int read_tagged(struct gate *gate, struct slice line, struct err *why)
{
    struct response *response = &gate->response;
    response->kind = RESPONSE_TAGGED;
    const char *tag_end = word_end(line.at, line.end);
    const char *word = skip_spaces(tag_end, line.end);
    const char *behind = word_end(word, line.end);
    bool has_tag = tag_end > line.at && memchr(line.at, '\0', (size_t)(tag_end - line.at)) == NULL;
    const char *known = has_tag ? status_word(word, behind, true) : NULL;
    if (known == NULL) {
        response->malformed = true;
        behind = word;
    }
    size_t tag_at = 0;
    size_t text_at = 0;
    int r = keep_text(gate, line.at, tag_end, &tag_at, why);
    if (r == 0) {
        r = read_code_and_text(gate, behind, line.end, &text_at, why);
    }
    if (r < 0) {
        return r;
    }
    response->tag = gate->arena + tag_at;
    response->word = known != NULL ? known : "";
    response->text = gate->arena + text_at;
    return 0;
}

static int read_continue(struct gate *gate, struct slice line, struct err *why)
{
    gate->response.kind = RESPONSE_CONTINUE;
    const char *at = line.at + 1;
    if (at < line.end && *at == ' ') {
        at++;
    } else if (at < line.end) {
        gate->response.malformed = true;
    }
    size_t text_at;
    int r = keep_text(gate, at, line.end, &text_at, why);
    if (r == 0) {
        gate->response.text = gate->arena + text_at;
    }
    return r;
}

static int read_untagged(
    struct gate *gate, struct slice line, const struct gate_sink *sink, struct err *why)
{
    line.at++;
    if (line.at == line.end || *line.at != ' ') {
        gate->response.malformed = true;
    }
    line.at = skip_spaces(line.at, line.end);
    const char *word = status_word(line.at, word_end(line.at, line.end), false);
    if (word != NULL && !gate->response.malformed) {
        return read_status(gate, word, line, why);
    }
    return read_data(gate, line, sink, why);
}

static int read_response(struct gate *gate, const struct gate_sink *sink, struct err *why)
{
    struct slice line;
    int r = gate_next_line(gate, &line, why);
    if (r < 0) {
        return r;
    }
    if (line.at == line.end) {
        gate->response.malformed = true; /* an empty line is nobody's answer */
        return 0;
    }
    bool has_nul = memchr(line.at, '\0', (size_t)(line.end - line.at)) != NULL;
    switch (*line.at) {
    case '*':
        r = read_untagged(gate, line, sink, why);
        break;
    case '+':
        r = read_continue(gate, line, why);
        break;
    default:
        r = read_tagged(gate, line, why);
        break;
    }
    if (has_nul) {
        gate->response.malformed = true;
    }
    return r;
}

int gate_read(struct gate *gate, struct response *ret, const struct gate_sink *sink,
    int64_t deadline_ms, struct err *why)
{
    if (gate->broken) {
        return err_set(why, ERR_HOSTILE, EPROTO,
            "an answer of the server broke off before, the connection cannot be used any more");
    }
    gate_reset_tokens(gate);
    gate->response = (struct response){.kind = RESPONSE_DATA, .tag = "", .word = "", .text = ""};
    gate->deadline_ms = deadline_ms;
    gate->wait_ms = deadline_ms == DEADLINE_NEVER ? 0 : deadline_ms - clock_now_ms();
    gate->line_used = 0;
    gate->literal_used = 0;
    gate->touched = false;
    int r = read_response(gate, sink, why);
    if (r < 0) {
        gate->broken = gate->touched;
        return r;
    }
    show_tokens(gate);
    *ret = gate->response;
    return 0;
}

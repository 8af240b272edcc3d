#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "imap/gate_inside.h"

#define ARENA_FIRST ((size_t)4096)
#define TOKENS_FIRST ((size_t)64)
/* What one large answer made grow is given back before the next. */
#define ARENA_KEEP ((size_t)1024 * 1024)
#define TOKENS_KEEP ((size_t)16384)

/* One line (or the inside of a response code) being cut. */
struct cutter {
    struct gate *gate;
    const char *at;
    const char *end;
    bool in_code;         /* "]" outside parentheses and quotes ends it, and literals are text */
    bool section_unended; /* one "BODY[" did not end on this line: looking again for each would cost
                             the square of the line */
};

static const char no_text[] = "";

void gate_reset_tokens(struct gate *gate)
{
    if (gate->arena_capacity > ARENA_KEEP) {
        free(gate->arena);
        gate->arena = NULL;
        gate->arena_capacity = 0;
    }
    if (gate->token_capacity > TOKENS_KEEP) {
        free(gate->tokens);
        gate->tokens = NULL;
        gate->token_capacity = 0;
    }
    gate->arena_len = 0;
    gate->token_count = 0;
    gate->open_count = 0;
}

int gate_reserve(struct gate *gate, size_t len, struct err *why)
{
    if (len <= gate->arena_capacity - gate->arena_len) {
        return 0;
    }
    size_t capacity = gate->arena_capacity == 0 ? ARENA_FIRST : gate->arena_capacity;
    while (capacity - gate->arena_len < len) {
        capacity *= 2;
    }
    char *arena = malloc(capacity);
    if (arena == NULL) {
        return err_set(why, ERR_LOCAL, ENOMEM, "out of memory while reading the server's answer");
    }
    if (gate->arena_len > 0) {
        memcpy(arena, gate->arena, gate->arena_len);
    }
    for (size_t i = 0; i < gate->token_count; i++) {
        struct token *token = &gate->tokens[i];
        if (token->text != no_text) {
            token->text = arena + (token->text - gate->arena);
        }
    }
    free(gate->arena);
    gate->arena = arena;
    gate->arena_capacity = capacity;
    return 0;
}

int gate_check_kept(const struct gate *gate, size_t more, struct err *why)
{
    if (gate->arena_len > gate->limits.response_bytes ||
        more > gate->limits.response_bytes - gate->arena_len) {
        return err_set(why, ERR_HOSTILE, EPROTO, "the server sent an answer of more than %zu bytes",
            gate->limits.response_bytes);
    }
    return 0;
}

static int grow_tokens(struct gate *gate, struct err *why)
{
    if (gate->token_count >= gate->limits.tokens) {
        return err_set(why, ERR_HOSTILE, EPROTO, "the server sent an answer of more than %zu words",
            gate->limits.tokens);
    }
    if (gate->token_count < gate->token_capacity) {
        return 0;
    }
    size_t capacity = gate->token_capacity == 0 ? TOKENS_FIRST : gate->token_capacity * 2;
    struct token *tokens = realloc(gate->tokens, capacity * sizeof *tokens);
    if (tokens == NULL) {
        return err_set(why, ERR_LOCAL, ENOMEM, "out of memory while reading the server's answer");
    }
    gate->tokens = tokens;
    gate->token_capacity = capacity;
    return 0;
}

static int push_bare(struct gate *gate, enum token_kind kind, struct err *why)
{
    int r = grow_tokens(gate, why);
    if (r < 0) {
        return r;
    }
    gate->tokens[gate->token_count++] = (struct token){.kind = kind, .text = no_text};
    return 0;
}

/* Ends the text that stands in the arena from `text_at` on; room for the NUL is there. */
static int push_text(struct gate *gate, enum token_kind kind, size_t text_at, struct err *why)
{
    int r = grow_tokens(gate, why);
    if (r < 0) {
        return r;
    }
    size_t len = gate->arena_len - text_at;
    gate->arena[gate->arena_len++] = '\0';
    gate->tokens[gate->token_count++] = (struct token){
        .kind = kind, .len = (uint32_t)len, .text = gate->arena + text_at, .literal_size = len};
    return 0;
}

int gate_push_literal(
    struct gate *gate, size_t text_at, uint64_t size, bool streamed, struct err *why)
{
    int r = push_text(gate, TOKEN_STRING, text_at, why);
    if (r < 0) {
        return r;
    }
    struct token *token = &gate->tokens[gate->token_count - 1];
    token->literal_size = size;
    token->streamed = streamed;
    return 0;
}

static void take_text(struct gate *gate, const char *from, const char *to)
{
    memcpy(gate->arena + gate->arena_len, from, (size_t)(to - from));
    gate->arena_len += (size_t)(to - from);
}

/* ---- parentheses ---- */

static int cut_open(struct cutter *cutter, struct err *why)
{
    struct gate *gate = cutter->gate;
    if (gate->open_count >= gate->limits.depth) {
        return err_set(why, ERR_HOSTILE, EPROTO, "the server sent parentheses more than %zu deep",
            gate->limits.depth);
    }
    int r = push_bare(gate, TOKEN_OPEN, why);
    if (r < 0) {
        return r;
    }
    gate->open[gate->open_count++] = (uint32_t)(gate->token_count - 1);
    cutter->at++;
    return 0;
}

static int cut_close(struct cutter *cutter, struct err *why)
{
    struct gate *gate = cutter->gate;
    cutter->at++;
    if (gate->open_count == 0) {
        gate->response.malformed = true;
        return 0;
    }
    int r = push_bare(gate, TOKEN_CLOSE, why);
    if (r < 0) {
        return r;
    }
    uint32_t opened = gate->open[--gate->open_count];
    gate->tokens[opened].match = (uint32_t)(gate->token_count - 1);
    return 0;
}

/* ---- strings ---- */

static int cut_quoted(struct cutter *cutter, struct err *why)
{
    struct gate *gate = cutter->gate;
    size_t text_at = gate->arena_len;
    char *out = gate->arena + text_at;
    const char *p = cutter->at + 1;
    const char *end = cutter->end;
    while (p < end && *p != '"') {
        if (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\')) {
            p++;
        }
        *out++ = *p++;
    }
    gate->arena_len = (size_t)(out - gate->arena);
    if (p == end) {
        gate->response.malformed = true; /* the line's end ends it */
        cutter->at = end;
    } else {
        cutter->at = p + 1;
    }
    return push_text(gate, TOKEN_STRING, text_at, why);
}

enum literal_found { NO_LITERAL, LITERAL, LITERAL_TOO_LARGE };

/* Whether `at` (a "{") to `end` (of the line) announces a literal: "{" digits ["+"] "}". */
static enum literal_found read_announcement(
    const char *at, const char *end, uint64_t most, uint64_t *ret_size)
{
    const char *p = at + 1;
    uint64_t size = 0;
    bool too_large = false;
    while (p < end && *p >= '0' && *p <= '9') {
        unsigned digit = (unsigned)(*p - '0');
        if (size > (UINT64_MAX - digit) / 10) {
            too_large = true;
        } else {
            size = size * 10 + digit;
        }
        p++;
    }
    if (p == at + 1) {
        return NO_LITERAL;
    }
    if (p < end && *p == '+') {
        p++;
    }
    if (p == end || *p != '}' || p + 1 != end) {
        return NO_LITERAL;
    }
    if (too_large || size > most) {
        return LITERAL_TOO_LARGE;
    }
    *ret_size = size;
    return LITERAL;
}

/* Looks for a literal at `at`; 1 if the line ends with one there, 0, or HOSTILE EPROTO. */
static int find_literal(
    struct cutter *cutter, const char *at, struct gate_literal *ret, struct err *why)
{
    if (cutter->in_code || at == cutter->end || *at != '{') {
        return 0;
    }
    uint64_t most = cutter->gate->limits.literal_bytes;
    switch (read_announcement(at, cutter->end, most, &ret->size)) {
    case NO_LITERAL:
        return 0;
    case LITERAL:
        ret->follows = true;
        return 1;
    case LITERAL_TOO_LARGE:
        break;
    }
    return err_set(why, ERR_HOSTILE, EPROTO,
        "the server announced a literal of more than %llu bytes", (unsigned long long)most);
}

/* ---- atoms ---- */

/* Only these words take what stands in brackets behind them: a keyword may hold a "[" of its own.
 */
static bool opens_section(const char *word, size_t len)
{
    return (len == 4 && strncasecmp(word, "BODY", 4) == 0) ||
           (len == 6 && strncasecmp(word, "BINARY", 6) == 0) ||
           (len == 11 && strncasecmp(word, "BINARY.SIZE", 11) == 0);
}

/* The end of a quoted string that starts at `at`, or `end`. */
static const char *skip_quoted(const char *at, const char *end)
{
    for (const char *p = at + 1; p < end; p++) {
        if (*p == '\\' && p + 1 < end) {
            p++;
        } else if (*p == '"') {
            return p + 1;
        }
    }
    return end;
}

/* "<123>" behind a section: which part of it this is. */
static const char *skip_origin(const char *at, const char *end)
{
    if (at == end || *at != '<') {
        return at;
    }
    const char *p = at + 1;
    while (p < end && ((*p >= '0' && *p <= '9') || *p == '.')) {
        p++;
    }
    return p < end && *p == '>' ? p + 1 : at;
}

/* From "[" to behind its "]" and origin; "]" counts outside quotes and parentheses, where it may be
 * part of a header's name. NULL if it does not end on this line. */
static const char *skip_section(const char *at, const char *end)
{
    size_t depth = 0;
    const char *p = at + 1;
    while (p < end) {
        switch (*p) {
        case '"':
            p = skip_quoted(p, end);
            continue;
        case '(':
            depth++;
            break;
        case ')':
            depth -= depth > 0 ? 1 : 0;
            break;
        case ']':
            if (depth == 0) {
                return skip_origin(p + 1, end);
            }
            break;
        default:
            break;
        }
        p++;
    }
    return NULL;
}

/* The end of an atom that is still one when it holds anything but what ends every atom. */
static int find_atom_end(
    struct cutter *cutter, const char **ret_end, struct gate_literal *literal, struct err *why)
{
    bool bracket_ends = cutter->in_code && cutter->gate->open_count == 0;
    bool may_hold_section = !cutter->in_code && !cutter->section_unended;
    const char *start = cutter->at;
    const char *p = start;
    for (; p < cutter->end; p++) {
        char c = *p;
        if (c == ' ' || c == '(' || c == ')' || (c == ']' && bracket_ends)) {
            break;
        }
        if (c == '[' && may_hold_section && opens_section(start, (size_t)(p - start))) {
            const char *behind = skip_section(p, cutter->end);
            if (behind != NULL) {
                *ret_end = behind;
                return 0;
            }
            cutter->gate->response.malformed = true;
            cutter->section_unended = true;
        }
        if (c == '{') {
            int r = find_literal(cutter, p, literal, why);
            if (r < 0) {
                return r;
            }
            if (r > 0) {
                break;
            }
        }
    }
    *ret_end = p;
    return 0;
}

static int cut_atom(struct cutter *cutter, struct gate_literal *literal, struct err *why)
{
    struct gate *gate = cutter->gate;
    const char *atom_end;
    int r = find_atom_end(cutter, &atom_end, literal, why);
    if (r < 0) {
        return r;
    }
    size_t text_at = gate->arena_len;
    take_text(gate, cutter->at, atom_end);
    cutter->at = literal->follows ? cutter->end : atom_end;
    return push_text(gate, TOKEN_ATOM, text_at, why);
}

/* The literal that starts at the cutter, "{5}" or "~{5}"; else an atom. */
static int cut_literal_or_atom(struct cutter *cutter, struct gate_literal *ret, struct err *why)
{
    const char *brace = cutter->at + (*cutter->at == '~' ? 1 : 0);
    int r = find_literal(cutter, brace, ret, why);
    if (r < 0) {
        return r;
    }
    if (r > 0) {
        cutter->at = cutter->end;
        return 0;
    }
    return cut_atom(cutter, ret, why);
}

/* One token, or the announcement of a literal. */
static int cut_one(struct cutter *cutter, struct gate_literal *ret, struct err *why)
{
    switch (*cutter->at) {
    case ' ':
        cutter->at++;
        return 0;
    case '(':
        return cut_open(cutter, why);
    case ')':
        return cut_close(cutter, why);
    case '"':
        return cut_quoted(cutter, why);
    case '{':
    case '~':
        return cut_literal_or_atom(cutter, ret, why);
    default:
        return cut_atom(cutter, ret, why);
    }
}

/* Each byte of a line gives at most itself and a NUL. */
static int reserve_for(struct gate *gate, const char *at, const char *end, struct err *why)
{
    return gate_reserve(gate, 2 * (size_t)(end - at) + 2, why);
}

int gate_cut_line(struct gate *gate, struct slice line, struct gate_literal *ret, struct err *why)
{
    int r = reserve_for(gate, line.at, line.end, why);
    if (r < 0) {
        return r;
    }
    if (line.at < line.end && memchr(line.at, '\0', (size_t)(line.end - line.at)) != NULL) {
        gate->response.malformed = true;
    }
    struct cutter cutter = {.gate = gate, .at = line.at, .end = line.end};
    *ret = (struct gate_literal){.follows = false};
    while (cutter.at < cutter.end) {
        r = cut_one(&cutter, ret, why);
        if (r < 0) {
            return r;
        }
    }
    return gate_check_kept(gate, 0, why);
}

int gate_cut_code(struct gate *gate, const char **at, const char *end, struct err *why)
{
    int r = reserve_for(gate, *at, end, why);
    if (r < 0) {
        return r;
    }
    size_t arena_before = gate->arena_len;
    bool malformed_before = gate->response.malformed;
    gate->response.malformed = false;
    struct cutter cutter = {.gate = gate, .at = *at, .end = end, .in_code = true};
    struct gate_literal none = {.follows = false};
    while (cutter.at < end && !(*cutter.at == ']' && gate->open_count == 0)) {
        r = cut_one(&cutter, &none, why);
        if (r < 0) {
            return r;
        }
    }
    if (cutter.at == end || gate->response.malformed) {
        gate->arena_len = arena_before;
        gate->token_count = 0;
        gate->open_count = 0;
    } else {
        *at = cutter.at + 1;
    }
    gate->response.malformed = malformed_before;
    return 0;
}

/* ---- for readers ---- */

static const struct token *atom_at(const struct response *response, size_t index)
{
    if (index >= response->count || response->tokens[index].kind != TOKEN_ATOM) {
        return NULL;
    }
    return &response->tokens[index];
}

bool token_is(const struct response *response, size_t index, const char *atom)
{
    const struct token *token = atom_at(response, index);
    return token != NULL && token->len == strlen(atom) &&
           strncasecmp(token->text, atom, token->len) == 0;
}

static bool read_number(const struct response *response, size_t index, uint64_t most, uint64_t *ret)
{
    const struct token *token = atom_at(response, index);
    if (token == NULL || token->len == 0) {
        return false;
    }
    uint64_t number = 0;
    for (uint32_t i = 0; i < token->len; i++) {
        char c = token->text[i];
        if (c < '0' || c > '9') {
            return false;
        }
        unsigned digit = (unsigned)(c - '0');
        if (number > (most - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *ret = number;
    return true;
}

bool token_u32(const struct response *response, size_t index, uint32_t *ret)
{
    uint64_t number;
    if (!read_number(response, index, UINT32_MAX, &number)) {
        return false;
    }
    *ret = (uint32_t)number;
    return true;
}

bool token_u64(const struct response *response, size_t index, uint64_t *ret)
{
    return read_number(response, index, INT64_MAX, ret);
}

size_t token_next(const struct response *response, size_t index)
{
    if (index >= response->count) {
        return response->count;
    }
    const struct token *token = &response->tokens[index];
    if (token->kind != TOKEN_OPEN) {
        return index + 1;
    }
    if (token->match <= index || token->match >= response->count) {
        return response->count; /* it was never closed */
    }
    return (size_t)token->match + 1;
}

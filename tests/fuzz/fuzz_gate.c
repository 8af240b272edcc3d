/*
 * fuzz_gate.c: whatever a server says, and however it is cut, the gate gives the same answers
 * within its limits. The first byte chooses the pieces and the limits, the rest is the wire.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/imap/gate_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 8
#define TOKENS 200

static void must(bool so, const char *what)
{
    if (!so) {
        (void)fprintf(stderr, "not so: %s\n", what);
        abort();
    }
}

/* Parentheses of a sound answer are paired, those of any answer stay in bounds. */
static void check_response(const struct response *response)
{
    size_t depth = 0;
    must(response->count <= TOKENS, "the tokens are within their limit");
    must(response->tag != NULL && response->word != NULL && response->text != NULL,
        "texts are never NULL");
    for (size_t i = 0; i < response->count; i++) {
        const struct token *token = &response->tokens[i];
        must(token->text[token->len] == '\0', "a token's text ends with NUL");
        must(token->streamed ? token->len == 0 : token->len <= token->literal_size,
            "no more is kept than was there");
        size_t next = token_next(response, i);
        must(next > i && next <= response->count, "the next value stands behind this one");
        if (token->kind == TOKEN_OPEN) {
            must(++depth <= DEPTH, "the depth is within its limit");
            must(token->match == 0 || response->tokens[token->match].kind == TOKEN_CLOSE,
                "what matches an open parenthesis is a closed one");
            must(token->match != 0 || response->malformed, "a sound answer closes all");
        } else if (token->kind == TOKEN_CLOSE) {
            must(depth-- > 0, "what is closed was open");
        }
    }
    must(depth == 0 || response->malformed, "only a malformed answer leaves a list open");
}

static int begin(void *arg, const struct response *so_far, uint64_t size, struct err *why)
{
    (void)arg;
    (void)why;
    must(so_far->kind == RESPONSE_DATA, "only data has literals");
    return size % 3 == 0 ? 1 : 0;
}

static int take(void *arg, const void *data, size_t len, struct err *why)
{
    (void)why;
    must(len > 0 && len <= 65536, "pieces are small");
    buf_append(arg, data, len);
    return 0;
}

static char *tell(struct feed *feed, const struct gate_limits *limits)
{
    struct buf streamed = BUF_INIT;
    struct gate_sink sink = {begin, take, &streamed};
    struct gate_source source = {feed_read, feed};
    struct gate *gate = gate_create(&source, limits);
    struct buf told = BUF_INIT;
    struct response response;
    struct err why = ERR_INIT;
    while (gate_read(gate, &response, &sink, DEADLINE_NEVER, &why) == 0) {
        check_response(&response);
        tell_response(&told, &response);
    }
    must(why.errnum == EPROTO || (why.errnum == EHOSTDOWN && feed->at == feed->len),
        "it ends at the end or with what is hostile");
    buf_printf(&told, "E %d %s\n", why.errnum, why.text);
    buf_append(&told, streamed.data, streamed.len);
    buf_finish(&streamed);
    gate_destroy(&gate);
    return buf_steal(&told);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct gate_limits limits = {.line_bytes = data[0] & 0x80 ? 300 : 0,
        .keep_bytes = 50,
        .response_bytes = data[0] & 0x40 ? 200 : 0,
        .literal_bytes = 5000,
        .depth = DEPTH,
        .tokens = TOKENS};
    const char *wire = (const char *)data + 1;
    struct feed whole = {.data = wire, .len = size - 1};
    struct feed cut = {
        .data = wire, .len = size - 1, .first = data[0] & 7, .most = 1 + ((data[0] >> 3) & 7)};
    char *told = tell(&whole, &limits);
    char *told_cut = tell(&cut, &limits);
    must(strcmp(told, told_cut) == 0, "it does not matter how the bytes are cut");
    free(told);
    free(told_cut);
    return 0;
}

/*
 * gate_feed.h - feeds a gate from memory, in pieces as the test wants them, and writes what came
 * out as one line of text for each response.
 *
 *   S OK [CODE args] text    an untagged status          T tag OK [CODE args] text   a tagged one
 *   D 1 FETCH ( UID 5 )      data                        C text                      "+"
 *   E retry EHOSTDOWN        how it ended: class and errno
 *
 * "!" before the letter: malformed. Strings stand in quotes with \xNN for what is not printable,
 * followed by /size where a literal was cut and by ~size where it was streamed.
 */
#ifndef IMAPFS_TESTS_GATE_FEED_H
#define IMAPFS_TESTS_GATE_FEED_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "imap/gate.h"

struct feed {
    const char *data;
    size_t len;
    size_t at;
    size_t first; /* size of the first piece, 0: as asked for */
    size_t most;  /* size of each piece after it, 0: as asked for */
};

static inline int64_t feed_read(
    void *arg, void *data, size_t size, int64_t deadline_ms, struct err *why)
{
    struct feed *feed = arg;
    (void)deadline_ms;
    size_t n = feed->len - feed->at;
    size_t most = feed->at == 0 && feed->first > 0 ? feed->first : feed->most;
    if (most > 0 && n > most) {
        n = most;
    }
    if (n > size) {
        n = size;
    }
    if (n == 0) {
        return err_set(why, ERR_RETRY, EHOSTDOWN, "the end of the memory");
    }
    memcpy(data, feed->data + feed->at, n);
    feed->at += n;
    return (int64_t)n;
}

static inline void tell_token(struct buf *told, const struct token *token)
{
    static const char *const marks[] = {"", "", " (", " )"};
    if (token->kind == TOKEN_OPEN || token->kind == TOKEN_CLOSE) {
        buf_append_text(told, marks[token->kind]);
        return;
    }
    const char *quote = token->kind == TOKEN_STRING ? "\"" : "";
    buf_printf(told, " %s", quote);
    for (size_t i = 0; i < token->len; i++) {
        unsigned char c = (unsigned char)token->text[i];
        if (c < 0x20 || c > 0x7e) {
            buf_printf(told, "\\x%02x", (unsigned)c);
        } else {
            buf_append_char(told, (char)c);
        }
    }
    buf_append_text(told, quote);
    if (token->streamed) {
        buf_printf(told, "~%llu", (unsigned long long)token->literal_size);
    } else if (token->literal_size != token->len) {
        buf_printf(told, "/%llu", (unsigned long long)token->literal_size);
    }
}

static inline void tell_response(struct buf *told, const struct response *response)
{
    static const char letters[] = {'S', 'D', 'T', 'C'};
    bool coded = response->kind == RESPONSE_STATUS || response->kind == RESPONSE_TAGGED;
    buf_printf(told, "%s%c", response->malformed ? "!" : "", letters[response->kind]);
    if (response->kind == RESPONSE_TAGGED) {
        buf_printf(told, " %s", response->tag);
    }
    if (coded) {
        buf_printf(told, " %s", response->word);
    }
    struct buf tokens = BUF_INIT;
    for (size_t i = 0; i < response->count; i++) {
        tell_token(&tokens, &response->tokens[i]);
    }
    if (coded && response->count > 0) {
        buf_printf(told, " [%s]", tokens.data + 1);
    } else if (response->count > 0) {
        buf_append(told, tokens.data, tokens.len);
    }
    buf_finish(&tokens);
    if (response->kind != RESPONSE_DATA) {
        buf_printf(told, " %s", response->text);
    }
    buf_append_char(told, '\n');
}

/* Reads all that the feed has. The caller frees the text. */
static inline char *tell_all(
    struct feed *feed, const struct gate_limits *limits, const struct gate_sink *sink)
{
    struct gate_source source = {feed_read, feed};
    struct gate *gate = gate_create(&source, limits);
    struct buf told = BUF_INIT;
    struct response response;
    struct err why = ERR_INIT;
    while (gate_read(gate, &response, sink, DEADLINE_NEVER, &why) == 0) {
        tell_response(&told, &response);
    }
    buf_printf(&told, "E %s %s\n", err_class_name(why.class), strerrorname_np(why.errnum));
    gate_destroy(&gate);
    return buf_steal(&told);
}

static inline char *tell_text(const char *wire, size_t len, const struct gate_limits *limits)
{
    struct feed feed = {.data = wire, .len = len};
    return tell_all(&feed, limits, NULL);
}

#endif

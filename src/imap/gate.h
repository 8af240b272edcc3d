/*
 * imap/gate.h - everything the server says passes here first: tokens in linear time, within limits.
 *
 * A response is read whole (its line and every literal in it) and given as a flat array of tokens;
 * a large literal the reader asks for is streamed instead of kept. What breaks a limit or the
 * grammar so that the stream's place is lost is HOSTILE EPROTO, and the connection must be closed;
 * a response that is merely odd (unbalanced parentheses, an unknown kind, an unended quote) ends at
 * its line's end and is marked malformed: its tokens are in bounds, but mean nothing sure. A line
 * with NUL outside literals is malformed too; a bare LF ends a line like CRLF. A literal's bytes
 * are as sent and may hold NUL. Same thread rules as the stream. RFC 9051 4 and 9.
 */
#ifndef IMAPFS_IMAP_GATE_H
#define IMAPFS_IMAP_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

enum token_kind {
    TOKEN_ATOM,   /* also numbers, NIL, flags, and BODY[...]<...> as one token with all between its
                     brackets */
    TOKEN_STRING, /* quoted or literal, decoded */
    TOKEN_OPEN,   /* ( */
    TOKEN_CLOSE   /* ) */
};

struct token {
    enum token_kind kind;
    uint32_t len;          /* bytes at text, at most gate_limits.keep_bytes for a literal */
    uint32_t match;        /* OPEN: index of its CLOSE; 0 while it has none */
    const char *text;      /* borrowed until the next gate_read; followed by NUL */
    uint64_t literal_size; /* announced bytes of a literal (also of one that was cut or streamed),
                              else len */
    bool streamed;         /* its bytes went to the reader's sink, len is 0 */
};

enum response_kind {
    RESPONSE_STATUS,  /* untagged OK NO BAD PREAUTH BYE: word, code, text */
    RESPONSE_DATA,    /* other untagged: tokens */
    RESPONSE_TAGGED,  /* tag, word, code, text */
    RESPONSE_CONTINUE /* "+": text */
};

struct response {
    enum response_kind kind;
    bool malformed;
    /* Texts are "" where the kind has none, never NULL. */
    const char *tag;  /* TAGGED */
    const char *word; /* STATUS, TAGGED: "OK" ... in upper case; "" in a malformed TAGGED */
    const char
        *text; /* STATUS, TAGGED, CONTINUE: the human text or base64, raw; clean before printing */
    /* DATA: all tokens after "* ". STATUS and TAGGED: the tokens between [ and ], count 0 without a
     * code or when it does not end (then it is part of the text). */
    const struct token *tokens;
    size_t count;
};

struct gate_limits {
    size_t line_bytes; /* of one response outside literals, line ends too; 0: 1 MiB. The answer to
                          SEARCH without ESEARCH takes up to 11 bytes for each message */
    size_t keep_bytes; /* of one literal kept in memory, the rest of it is read over; 0: 64 KiB */
    size_t response_bytes;  /* of kept text of one response, a NUL for each token; 0: 8 MiB */
    uint64_t literal_bytes; /* largest literal believed; 0: 2 GiB - 1 */
    size_t depth;           /* of parentheses; 0: 32 */
    size_t tokens;          /* of one response; 0: 1,000,000 */
};

/* Where bytes come from: the stream, or a test's or fuzzer's memory. Same contract as stream_read.
 */
struct gate_source {
    int64_t (*read)(void *arg, void *data, size_t size, int64_t deadline_ms, struct err *why);
    void *arg;
};

/*
 * Asked at the start of each literal of a DATA response, with the tokens so far. `begin` returns 1
 * to have it streamed, 0 to keep it, or -errno to give up (why filled). `data` gets the bytes in
 * order, in pieces of at most 64 KiB; -errno gives up. A NULL sink keeps all.
 */
struct gate_sink {
    int (*begin)(void *arg, const struct response *so_far, uint64_t size, struct err *why);
    int (*data)(void *arg, const void *data, size_t len, struct err *why);
    void *arg;
};

struct gate;

/* NULL limits are all defaults. */
struct gate *gate_create(
    const struct gate_source *source, const struct gate_limits *limits) MUST_USE;
void gate_destroy(struct gate **gate);

/*
 * Reads the next response; what it points at lasts until the next call. `deadline_ms` (clock.h)
 * bounds the whole outside literals; each 16 KiB of a literal that arrive move it on by a second,
 * and no piece is waited for longer than the time that was left at the call. RETRY
 * ETIMEDOUT/EHOSTDOWN from the source; HOSTILE EPROTO as above; LOCAL ENOMEM; what the sink
 * returned. After a failure in the middle of a response every later call is HOSTILE EPROTO; a
 * timeout or cancellation before its first byte leaves the gate usable.
 */
int gate_read(struct gate *gate, struct response *ret, const struct gate_sink *sink,
    int64_t deadline_ms, struct err *why) MUST_USE;

/* Whether bytes were received that no response has used yet (after STARTTLS's OK: an attack). */
bool gate_has_buffered(const struct gate *gate);

/* Token helpers. All tolerate any index and token. */
bool token_is(const struct response *response, size_t index,
    const char *atom); /* an atom, case-insensitive */
/* Decimal 0..2^32-1 / 0..2^63-1 of an atom, strictly digits. */
bool token_u32(const struct response *response, size_t index, uint32_t *ret);
bool token_u64(const struct response *response, size_t index, uint64_t *ret);
/* The index after this value (a token, or a whole parenthesised list). */
size_t token_next(const struct response *response, size_t index);

#endif

#include "imap/session_core.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/lock.h"

int session_fail(struct session *session, int rc)
{
    session->dead = true;
    return rc;
}

int session_hostile(struct session *session, const char *what, struct err *why)
{
    return session_fail(session, err_set(why, ERR_HOSTILE, EPROTO, "%s %s", session->server, what));
}

int session_ended(struct session *session, const struct response *bye, struct err *why)
{
    if (!session->trusted) { /* words that anybody on the way can have written are not shown */
        return session_fail(
            session, err_set(why, ERR_RETRY, EHOSTDOWN,
                         "%s ended the connection before it was encrypted", session->server));
    }
    return session_fail(session,
        err_set(why, ERR_RETRY, EHOSTDOWN, "%s ended the connection: %.200s", session->server,
            bye->text != NULL && bye->text[0] != '\0' ? bye->text : "it gave no reason"));
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/*
 * Two limits at once: something must come within wait_ms, and the whole must come faster than
 * SLOWEST_BYTES_PER_MS once wait_ms is over, so that a server that trickles cannot hold us for
 * ever.
 */
static int64_t source_read(void *arg, void *data, size_t size, int64_t deadline_ms, struct err *why)
{
    struct session *session = arg;
    uint64_t received = stream_bytes_in(session->stream) - session->phase_bytes;
    int64_t total =
        session->phase_ms + session->wait_ms + (int64_t)(received / SLOWEST_BYTES_PER_MS);
    int64_t progress = deadline_in(session->wait_ms);
    return stream_read(
        session->stream, data, size, least(deadline_ms, least(total, progress)), why);
}

void session_new_gate(struct session *session)
{
    const struct gate_source source = {.read = source_read, .arg = session};
    const struct gate_limits limits = {.line_bytes = LINE_BYTES_MAX};
    gate_destroy(&session->gate);
    session->gate = gate_create(&source, &limits);
}

int session_new_prefix(struct session *session, struct err *why)
{
    uint64_t chance = 0;
    if (getrandom(&chance, sizeof chance, 0) != (ssize_t)sizeof chance) {
        return session_fail(
            session, err_set(why, ERR_LOCAL, EIO, "this machine gives no random numbers"));
    }
    (void)snprintf(session->tag_prefix, sizeof session->tag_prefix, "%016" PRIx64, chance);
    return 0;
}

int session_write(struct session *session, const void *data, size_t len, struct err *why)
{
    int rc = stream_write(session->stream, data, len, deadline_in(session->wait_ms), why);
    return rc == 0 ? 0 : session_fail(session, rc);
}

void session_phase(struct session *session)
{
    session->phase_ms = clock_now_ms();
    session->phase_bytes = stream_bytes_in(session->stream);
    session->phase_untagged = 0;
}

/* ---- sending -------------------------------------------------------------------------------- */

void session_begin(struct session *session, struct command *command)
{
    char tag[TAG_SIZE];
    session->tag_count++;
    (void)snprintf(tag, sizeof tag, "%s%" PRIu64, session->tag_prefix, session->tag_count);
    command_begin(
        command, tag, (session->capabilities & (CAP_LITERAL_PLUS | CAP_LITERAL_MINUS)) != 0);
}

/* Books the command whose tag was made last. */
static void book_flight(struct session *session)
{
    assert(session->flight_count < FLIGHTS_MAX);
    (void)snprintf(session->flights[session->flight_count], TAG_SIZE, "%s%" PRIu64,
        session->tag_prefix, session->tag_count);
    session->flight_count++;
}

static int finish_command(struct session *session, struct command *command, struct err *why)
{
    if (session->dead) {
        return err_set(why, ERR_RETRY, EHOSTDOWN, "the connection to %s is lost", session->server);
    }
    if (command_finish(command) != 0) {
        return err_set(why, ERR_REFUSED, EINVAL, "a name cannot be said to %s", session->server);
    }
    return 0;
}

int session_launch(struct session *session, struct command *command, struct err *why)
{
    int rc = finish_command(session, command, why);
    if (rc != 0) {
        return rc;
    }
    book_flight(session);
    return session_write(session, command->bytes.data, command->bytes.len, why);
}

/* ---- hearing -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned capability;
} capability_names[] = {
    {"CONDSTORE", CAP_CONDSTORE},
    {"QRESYNC", CAP_QRESYNC | CAP_CONDSTORE}, /* RFC 7162 3.2.3: it brings CONDSTORE with it */
    {"ESEARCH", CAP_ESEARCH},
    {"NAMESPACE", CAP_NAMESPACE},
    {"QUOTA", CAP_QUOTA},
    {"LIST-EXTENDED", CAP_LIST_EXTENDED},
    {"SPECIAL-USE", CAP_SPECIAL_USE},
    {"LITERAL+", CAP_LITERAL_PLUS},
    {"LITERAL-", CAP_LITERAL_MINUS},
    {"UIDPLUS", CAP_UIDPLUS},
    {"MOVE", CAP_MOVE},
    {"IDLE", CAP_IDLE},
    {"UNSELECT", CAP_UNSELECT},
    {"ENABLE", CAP_ENABLE},
    {"SASL-IR", CAP_SASL_IR},
    {"ID", CAP_ID},
    /* RFC 9051 appendix E: what the second revision contains */
    {"IMAP4rev2", CAP_IMAP4REV2 | CAP_ESEARCH | CAP_NAMESPACE | CAP_LIST_EXTENDED |
                      CAP_SPECIAL_USE | CAP_UIDPLUS | CAP_MOVE | CAP_IDLE | CAP_UNSELECT |
                      CAP_ENABLE | CAP_SASL_IR | CAP_LIST_STATUS | CAP_LITERAL_MINUS},
    {"LIST-STATUS", CAP_LIST_STATUS},
};

static const struct {
    const char *name;
    unsigned mechanism;
} mechanism_names[] = {
    {"AUTH=SCRAM-SHA-256", MECHANISM_SCRAM_SHA_256},
    {"AUTH=SCRAM-SHA-1", MECHANISM_SCRAM_SHA_1},
    {"AUTH=PLAIN", MECHANISM_PLAIN},
    {"AUTH=LOGIN", MECHANISM_LOGIN},
};

/* A list of capabilities replaces the one before. */
static void hear_capabilities(struct session *session, const struct response *response)
{
    session->capabilities = 0;
    session->mechanisms = 0;
    session->login_disabled = false;
    session->capabilities_known = true;
    for (size_t i = 1; i < response->count; i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(capability_names); k++) {
            if (token_is(response, i, capability_names[k].name)) {
                session->capabilities |= capability_names[k].capability;
            }
        }
        for (size_t k = 0; k < G_N_ELEMENTS(mechanism_names); k++) {
            if (token_is(response, i, mechanism_names[k].name)) {
                session->mechanisms |= mechanism_names[k].mechanism;
            }
        }
        if (token_is(response, i, "LOGINDISABLED")) {
            session->login_disabled = true;
        }
    }
}

static void hear_uidvalidity(struct selected *selected, const struct response *response)
{
    uint32_t value = 0;
    if (!token_u32(response, 1, &value)) {
        value = 0; /* missing or out of range: of no use */
    }
    if (selected->opening) {
        selected->status.uidvalidity = value;
    } else if (selected->open && value != selected->status.uidvalidity && !selected->not_sticky) {
        selected->changed = true;
    }
}

/* The old mailbox is closed, all that follows is about the new one (RFC 7162 3.2.11). */
static void hear_closed(struct selected *selected)
{
    if (selected->opening) {
        selected->status = (struct mailbox_status){0};
        selected->not_sticky = false;
        selected->news = false;
    }
}

void session_hear_code(struct session *session, const struct response *response)
{
    struct selected *selected = &session->selected;
    if (!session->trusted || response->count == 0 || response->malformed) {
        return;
    }
    if (token_is(response, 0, "CAPABILITY")) {
        hear_capabilities(session, response);
    } else if (token_is(response, 0, "UIDVALIDITY")) {
        hear_uidvalidity(selected, response);
    } else if (token_is(response, 0, "UIDNEXT")) {
        (void)token_u32(response, 1, &selected->status.uidnext); /* no number: not given */
    } else if (token_is(response, 0, "HIGHESTMODSEQ")) {
        /* The counters are as of the EXAMINE: a later value would hide what came between. */
        if (!selected->opening) {
            selected->news = true;
        } else if (!token_u64(response, 1, &selected->status.highestmodseq)) {
            selected->status.highestmodseq = 0;
        }
    } else if (token_is(response, 0, "NOMODSEQ")) {
        selected->status.highestmodseq = 0;
    } else if (token_is(response, 0, "UIDNOTSTICKY")) {
        selected->not_sticky = true;
    } else if (token_is(response, 0, "CLOSED")) {
        hear_closed(selected);
    }
}

static void hear_expunge(struct selected *selected, uint64_t how_many)
{
    selected->expunges++;
    selected->news = true;
    selected->status.messages -= (uint32_t)MIN(how_many, (uint64_t)selected->status.messages);
}

static void hear_vanished(struct selected *selected, const struct response *response)
{
    CLEANUP(uidset) struct uidset set = UIDSET_INIT;
    size_t last = response->count - 1;
    const struct token *token = &response->tokens[last];
    if (last >= 1 && token->kind == TOKEN_ATOM &&
        uidset_parse(&set, token->text, token->len) == 0) {
        hear_expunge(selected, last == 1 ? uidset_size(&set) : 0); /* (EARLIER) leaves the count */
    }
}

static void hear_numbered(struct session *session, const struct response *response, uint32_t number)
{
    struct selected *selected = &session->selected;
    if (token_is(response, 1, "EXISTS")) {
        if (!selected->opening && selected->status.messages != number) {
            selected->news = true;
        }
        selected->status.messages = number;
    } else if (token_is(response, 1, "EXPUNGE")) {
        hear_expunge(selected, 1);
    } else if (token_is(response, 1, "FETCH") && !session->fetching) {
        selected->news = true;
    }
}

static void hear_data(struct session *session, const struct response *response)
{
    uint32_t number = 0;
    if (!session->trusted || response->count == 0 || response->malformed) {
        return;
    }
    if (token_u32(response, 0, &number)) {
        hear_numbered(session, response, number);
    } else if (token_is(response, 0, "CAPABILITY")) {
        hear_capabilities(session, response);
    } else if (token_is(response, 0, "VANISHED")) {
        hear_vanished(&session->selected, response);
    }
}

/* Takes the flight of this tag out of the list; false if there is none. */
static bool land_flight(struct session *session, const char *tag)
{
    for (size_t i = 0; i < session->flight_count; i++) {
        if (strcmp(session->flights[i], tag) == 0) {
            session->flight_count--;
            memmove(session->flights[i], session->flights[i + 1],
                (session->flight_count - i) * sizeof session->flights[0]);
            return true;
        }
    }
    return false;
}

static int step_tagged(struct session *session, const struct response *response, struct err *why)
{
    if (!land_flight(session, response->tag)) {
        return session_hostile(session, "answered a command that was never sent", why);
    }
    if (strcmp(response->word, "OK") != 0 && strcmp(response->word, "NO") != 0 &&
        strcmp(response->word, "BAD") != 0) {
        return session_hostile(session, "ended a command neither with OK nor NO nor BAD", why);
    }
    session_hear_code(session, response);
    session_phase(session);
    return STEP_TAGGED;
}

static int step_untagged(struct session *session, const struct listener *listener,
    const struct response *response, struct err *why)
{
    if (++session->phase_untagged > UNTAGGED_MAX) {
        return session_hostile(session, "does not stop talking", why);
    }
    if (response->kind == RESPONSE_STATUS) {
        if (strcmp(response->word, "BYE") == 0) {
            return session_ended(session, response, why);
        }
        session_hear_code(session, response);
        return STEP_UNTAGGED;
    }
    hear_data(session, response);
    if (session->trusted && listener != NULL && listener->data != NULL) {
        int rc = listener->data(listener->arg, response, why);
        if (rc != 0) {
            return session_fail(session, rc);
        }
    }
    return STEP_UNTAGGED;
}

int session_step(
    struct session *session, const struct listener *listener, struct response *ret, struct err *why)
{
    lock_assert_none_held();
    int rc = gate_read(
        session->gate, ret, listener != NULL ? listener->sink : NULL, DEADLINE_NEVER, why);
    if (rc != 0) {
        return session_fail(session, rc);
    }
    session->used_ms = clock_now_ms();
    switch (ret->kind) {
    case RESPONSE_STATUS:
    case RESPONSE_DATA:
        return step_untagged(session, listener, ret, why);
    case RESPONSE_CONTINUE:
        if (!session->continue_awaited) {
            return session_hostile(session, "asked for more of a command that was complete", why);
        }
        return STEP_CONTINUE;
    case RESPONSE_TAGGED:
        return step_tagged(session, ret, why);
    }
    return session_hostile(session, "answered in no known way", why);
}

/* Writes the pieces, awaiting "+" between them. 0: all is sent. STEP_TAGGED: the command was over
 * before. */
static int write_pieces(struct session *session, const struct command *command,
    const struct listener *listener, struct response *ret, struct err *why)
{
    size_t from = 0;
    for (size_t i = 0; i <= command->piece_count; i++) {
        size_t end = i < command->piece_count ? command->piece_ends[i] : command->bytes.len;
        int rc = session_write(session, command->bytes.data + from, end - from, why);
        from = end;
        if (rc != 0 || end == command->bytes.len) {
            return rc;
        }
        session->continue_awaited = true;
        do {
            rc = session_step(session, listener, ret, why);
        } while (rc == STEP_UNTAGGED);
        session->continue_awaited = false;
        if (rc != STEP_CONTINUE) {
            return rc;
        }
    }
    return 0;
}

int session_exchange(struct session *session, struct command *command,
    const struct listener *listener, struct response *ret, struct err *why)
{
    int rc = finish_command(session, command, why);
    if (rc != 0) {
        return rc;
    }
    book_flight(session);
    session_phase(session);
    rc = write_pieces(session, command, listener, ret, why);
    if (rc == STEP_TAGGED) {
        if (response_is_ok(ret)) { /* it has not seen the whole of it */
            return session_hostile(session, "accepted a command before it was complete", why);
        }
        return 0;
    }
    while (rc == 0) { /* STEP_UNTAGGED is 0 too */
        rc = session_step(session, listener, ret, why);
    }
    return rc < 0 ? rc : 0;
}

int session_run(struct session *session, struct command *command, const struct listener *listener,
    const char *what, struct err *why)
{
    struct response response = {.word = ""};
    int rc = session_exchange(session, command, listener, &response, why);
    command_release(command);
    if (rc == 0 && !response_is_ok(&response)) {
        rc = session_refusal(session, &response, what, why);
    }
    return rc;
}

/* ---- refusals ------------------------------------------------------------------------------- */

bool response_is_ok(const struct response *response)
{
    return strcmp(response->word, "OK") == 0;
}

bool response_is_throttling(const struct response *response)
{
    static const char *const words[] = {"throttl", "rate limit", "too many", "try again", "backoff",
        "temporarily", "maximum number of connections"};
    if (token_is(response, 0, "LIMIT") || token_is(response, 0, "THROTTLED")) {
        return true;
    }
    for (size_t i = 0; response->text != NULL && i < G_N_ELEMENTS(words); i++) {
        if (strcasestr(response->text, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

int session_refusal(
    struct session *session, const struct response *tagged, const char *what, struct err *why)
{
    static const struct {
        const char *code;
        enum err_class class;
        int errnum;
    } table[] = {
        {"NONEXISTENT", ERR_GONE, ENOENT},
        {"TRYCREATE", ERR_GONE, ENOENT},
        {"NOPERM", ERR_REFUSED, EACCES},
        {"EXPUNGEISSUED", ERR_REFUSED, ESTALE},
    };
    enum err_class class = ERR_REFUSED;
    int errnum = EIO;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (token_is(tagged, 0, table[i].code)) {
            class = table[i].class;
            errnum = table[i].errnum;
        }
    }
    if (class == ERR_REFUSED && errnum == EIO && response_is_throttling(tagged)) {
        class = ERR_RETRY;
        errnum = EAGAIN;
        (void)session_fail(session, 0);
    }
    const char *text = tagged->text != NULL && tagged->text[0] != '\0' ? tagged->text : "no reason";
    return err_set(why, class, errnum, "%s refused to %s: %.160s", session->server, what, text);
}

int session_ask_capabilities(struct session *session, struct err *why)
{
    struct command command;
    session->capabilities_known = false;
    session_begin(session, &command);
    command_word(&command, "CAPABILITY");
    int rc = session_run(session, &command, NULL, "say what it can do", why);
    if (!session->dead && (rc != 0 || !session->capabilities_known)) {
        return session_hostile(session, "does not say what it can do", why);
    }
    return rc;
}

int session_check_selected(struct session *session, struct err *why)
{
    if (session->dead) {
        return err_set(why, ERR_RETRY, EHOSTDOWN, "the connection to %s is lost", session->server);
    }
    if (!session->selected.open) {
        return err_set(why, ERR_BUG, EINVAL, "no mailbox is open");
    }
    if (session->selected.changed) {
        return err_set(why, ERR_CONFLICT, ESTALE,
            "%s has renumbered the messages of the mailbox (UIDVALIDITY changed)", session->server);
    }
    return 0;
}

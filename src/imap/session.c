#include "imap/session.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "imap/login.h"
#include "imap/session_core.h"

enum {
    CONNECT_MS = 10000,
    TLS_MS = 10000,
    GREETING_MS = 10000,
    LOGIN_MS = 20000,
    ALIVE_FRESH_MS = 5000, /* used within this: taken to be alive */
    ALIVE_WAIT_MS = 5000,
    GOODBYE_MS = 200,
    CLEAR_UNTAGGED_MAX = 100 /* answers before TLS */
};

void secret_finish(struct secret *secret)
{
    if (secret->text != NULL) {
        explicit_bzero(secret->text, secret->len);
        free(secret->text);
    }
    secret->text = NULL;
    secret->len = 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int connect_stream(struct session *session, struct waker *cancel, struct err *why)
{
    const struct account *account = &session->account;
    const struct stream_options options = {
        .host = account->host,
        .port = account->port,
        .connect_ms = MIN(account->timeout_ms, CONNECT_MS),
        .tls_ms = MIN(account->timeout_ms, TLS_MS),
        .tls = account->tls,
        .cancel = cancel,
    };
    int rc = stream_open(&session->stream, &options, why);
    return rc == 0 ? 0 : session_fail(session, rc);
}

static int read_greeting(struct session *session, struct err *why)
{
    struct response greeting;
    session_phase(session);
    int rc = gate_read(session->gate, &greeting, NULL, DEADLINE_NEVER, why);
    if (rc != 0) {
        return session_fail(session, rc);
    }
    if (greeting.kind != RESPONSE_STATUS) {
        return session_hostile(session, "does not greet as an IMAP server does", why);
    }
    if (strcmp(greeting.word, "BYE") == 0 || strcmp(greeting.word, "NO") == 0) {
        return session_ended(session, &greeting, why);
    }
    if (strcmp(greeting.word, "PREAUTH") == 0 && session->trusted) {
        return session_fail(session,
            err_set(why, ERR_AUTH, EACCES,
                "%s says that somebody is logged in already (PREAUTH), which is not accepted",
                session->server));
    }
    if (strcmp(greeting.word, "OK") != 0) { /* PREAUTH in the clear: RFC 9051 7.1.4 */
        return session_hostile(session, "does not greet with OK", why);
    }
    session_hear_code(session, &greeting); /* ignored before TLS */
    return 0;
}

/* The one exchange in the clear. Nothing that is said in it counts but "tag OK". */
static int await_starttls(struct session *session, struct err *why)
{
    struct response response = {.word = ""};
    int rc;
    do {
        rc = session_step(session, NULL, &response, why);
        if (session->phase_untagged > CLEAR_UNTAGGED_MAX) {
            return session_hostile(session, "talks too much before encryption", why);
        }
    } while (rc == STEP_UNTAGGED);
    if (rc < 0) {
        return rc;
    }
    if (!response_is_ok(&response)) {
        return session_fail(
            session, err_set(why, ERR_RETRY, EHOSTDOWN,
                         "%s refused to encrypt the connection (STARTTLS)", session->server));
    }
    if (gate_has_buffered(session->gate)) {
        return session_hostile(session, "slipped words in before encryption began", why);
    }
    return 0;
}

static int starttls(struct session *session, struct err *why)
{
    struct command command;
    session_new_gate(session);
    int rc = read_greeting(session, why);
    if (rc != 0) {
        return rc;
    }
    session_begin(session, &command);
    command_word(&command, "STARTTLS");
    session_phase(session);
    rc = session_launch(session, &command, why);
    command_release(&command);
    if (rc == 0) {
        rc = await_starttls(session, why);
    }
    if (rc == 0) {
        rc = session_new_prefix(session, why); /* the old one was seen by everybody on the way */
    }
    return rc;
}

static int start_encryption(struct session *session, struct err *why)
{
    int rc = stream_start_tls(session->stream, why);
    if (rc != 0) {
        return session_fail(session, rc);
    }
    session->trusted = true;
    session_new_gate(session);
    return 0;
}

static int log_in(struct session *session, struct err *why)
{
    int rc = session->capabilities_known ? 0 : session_ask_capabilities(session, why);
    if (rc != 0) {
        return session_fail(session, rc);
    }
    session->capabilities_known = false;
    session->wait_ms = MIN(session->account.timeout_ms, LOGIN_MS);
    rc = session_login(session, why);
    if (rc == 0 && !session->capabilities_known) {
        rc = session_ask_capabilities(session, why);
    }
    return rc == 0 ? 0 : session_fail(session, rc);
}

static int open_steps(struct session *session, struct waker *cancel, struct err *why)
{
    int rc = session_new_prefix(session, why);
    session->wait_ms = MIN(session->account.timeout_ms, GREETING_MS);
    if (rc == 0) {
        rc = connect_stream(session, cancel, why);
    }
    if (rc == 0 && session->account.security == SECURITY_STARTTLS) {
        rc = starttls(session, why);
    }
    if (rc == 0) {
        rc = start_encryption(session, why);
    }
    if (rc == 0 && session->account.security == SECURITY_TLS) {
        rc = read_greeting(session, why);
    }
    if (rc == 0) {
        rc = log_in(session, why);
    }
    return rc;
}

int session_open(
    struct session **ret, const struct account *account, struct waker *cancel, struct err *why)
{
    struct session *session = g_new0(struct session, 1);
    session->account = *account;
    (void)snprintf(
        session->server, sizeof session->server, "%.255s:%.32s", account->host, account->port);
    int rc = open_steps(session, cancel, why);
    if (rc != 0) {
        session_destroy(&session);
        return rc;
    }
    session->wait_ms = account->timeout_ms;
    session->used_ms = clock_now_ms();
    *ret = session;
    return 0;
}

void session_destroy(struct session **session_pointer)
{
    struct session *session = *session_pointer;
    if (session == NULL) {
        return;
    }
    if (!session->dead && session->trusted) {
        struct command command;
        session_begin(session, &command);
        command_word(&command, "LOGOUT");
        if (command_finish(&command) == 0) {
            struct err ignored = ERR_INIT;
            /* Politeness: the connection is closed whether or not it is heard. */
            (void)!stream_write(session->stream, command.bytes.data, command.bytes.len,
                deadline_in(GOODBYE_MS), &ignored);
        }
        command_release(&command);
    }
    gate_destroy(&session->gate);
    stream_destroy(&session->stream);
    buf_finish(&session->selected.name);
    g_free(session);
    *session_pointer = NULL;
}

/* ---- while it lives ------------------------------------------------------------------------- */

bool session_is_dead(const struct session *session)
{
    return session->dead;
}

bool session_is_alive(struct session *session)
{
    if (session->dead) {
        return false;
    }
    if (clock_now_ms() - session->used_ms < ALIVE_FRESH_MS && !gate_has_buffered(session->gate) &&
        !stream_has_input(session->stream)) {
        return true;
    }
    struct command command;
    struct err ignored = ERR_INIT;
    session_begin(session, &command);
    command_word(&command, "NOOP");
    session->wait_ms = MIN(session->account.timeout_ms, ALIVE_WAIT_MS);
    /* NO or BAD to a NOOP is an answer too: only a dead session is no longer alive. */
    (void)!session_run(session, &command, NULL, "say whether it is there", &ignored);
    session->wait_ms = session->account.timeout_ms;
    return !session->dead;
}

unsigned session_capabilities(const struct session *session)
{
    return session->capabilities;
}

uint64_t session_bytes_in(const struct session *session)
{
    return stream_bytes_in(session->stream);
}

uint64_t session_bytes_out(const struct session *session)
{
    return stream_bytes_out(session->stream);
}

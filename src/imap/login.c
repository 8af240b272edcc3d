#include "imap/login.h"

#include <errno.h>
#include <glib.h>
#include <gsasl.h>
#include <string.h>
#include <strings.h>

#include "imap/session_core.h"

struct method {
    const char *name;
    unsigned mechanism;
    bool initial; /* the client speaks first, SASL-IR may carry it */
    bool mutual;  /* the server has to prove something too */
};

/* Best first. */
static const struct method methods[] = {
    {"SCRAM-SHA-256", MECHANISM_SCRAM_SHA_256, true, true},
    {"SCRAM-SHA-1", MECHANISM_SCRAM_SHA_1, true, true},
    {"PLAIN", MECHANISM_PLAIN, true, false},
    {"LOGIN", MECHANISM_LOGIN, false, false},
};

struct login {
    struct session *session;
    const struct method *method;
    const struct secret *secret;
    bool asked_too_much; /* SCRAM: too many iterations */
    Gsasl *context;
    Gsasl_session *sasl;
    int last; /* of gsasl_step64 */
};

/* ---- secrets -------------------------------------------------------------------------------- */

static void wipe_text(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
}

/* GNU SASL only frees its copy of a property: wipe it in place first. */
static void wipe_property(Gsasl_session *sasl, Gsasl_property property)
{
    const char *copy = gsasl_property_fast(sasl, property);
    if (copy != NULL) {
        wipe_text((char *)(uintptr_t)copy);
    }
}

static void login_finish(struct login *login)
{
    if (login->sasl != NULL) {
        wipe_property(login->sasl, GSASL_PASSWORD);
        wipe_property(login->sasl, GSASL_SCRAM_SALTED_PASSWORD);
        gsasl_finish(login->sasl);
    }
    if (login->context != NULL) {
        gsasl_done(login->context);
    }
}

static void wipe_command(struct command *command)
{
    if (command->bytes.data != NULL) {
        explicit_bzero(command->bytes.data, command->bytes.capacity);
    }
    command_release(command);
}

/* Room for all that will be added, so that no half-grown copy of a secret stays in the heap. */
static void reserve_command(struct command *command, size_t room)
{
    size_t len = command->bytes.len;
    CLEANUP(free) char *nothing = g_malloc0(room);
    buf_append(&command->bytes, nothing, room);
    command->bytes.len = len;
    command->bytes.data[len] = '\0';
}

/* ---- GNU SASL ------------------------------------------------------------------------------- */

/* The password is handed out only here, so that the number of iterations is known and checked
 * before any work is done with it. */
static int on_property(Gsasl *context, Gsasl_session *sasl, Gsasl_property property)
{
    (void)context;
    struct login *login = gsasl_session_hook_get(sasl);
    if (property != GSASL_PASSWORD || login == NULL) {
        return GSASL_NO_CALLBACK;
    }
    const char *iterations = gsasl_property_fast(sasl, GSASL_SCRAM_ITER);
    if (iterations != NULL && g_ascii_strtoull(iterations, NULL, 10) > SCRAM_ITERATIONS_MAX) {
        login->asked_too_much = true;
        return GSASL_NO_PASSWORD;
    }
    return gsasl_property_set_raw(sasl, GSASL_PASSWORD, login->secret->text, login->secret->len);
}

static int start_sasl(struct login *login, struct err *why)
{
    if (gsasl_init(&login->context) != GSASL_OK) {
        return session_fail(
            login->session, err_set(why, ERR_LOCAL, EIO, "GNU SASL does not start"));
    }
    gsasl_callback_set(login->context, on_property);
    if (gsasl_client_start(login->context, login->method->name, &login->sasl) != GSASL_OK) {
        return session_fail(login->session,
            err_set(why, ERR_AUTH, EACCES, "GNU SASL here lacks %s", login->method->name));
    }
    gsasl_session_hook_set(login->sasl, login);
    if (gsasl_property_set(login->sasl, GSASL_AUTHID, login->session->account.user) != GSASL_OK) {
        return session_fail(login->session, err_set(why, ERR_LOCAL, ENOMEM, "out of memory"));
    }
    login->last = GSASL_NEEDS_MORE;
    return 0;
}

/* Why a challenge could not be answered. */
static int step_failed(struct login *login, const char *challenge, struct err *why)
{
    struct session *session = login->session;
    if (login->asked_too_much) {
        return session_hostile(session, "asks for more rounds of SCRAM than are sane", why);
    }
    if (login->last == GSASL_SASLPREP_ERROR) {
        return session_fail(
            session, err_set(why, ERR_AUTH, EACCES,
                         "the user name or password holds characters that %s does not allow",
                         login->method->name));
    }
    if (g_str_has_prefix(challenge, "ZT")) { /* "e=...": the server's own words for a refusal */
        return session_fail(session, err_set(why, ERR_AUTH, EACCES, "%s refused the password of %s",
                                         session->server, session->account.user));
    }
    return session_hostile(session,
        login->method->mutual ? "could not prove that it knows the password"
                              : "answered the login with nonsense",
        why);
}

/* One turn: *ret is base64 that the caller wipes and gsasl_frees. */
static int turn(struct login *login, const char *challenge, char **ret, struct err *why)
{
    *ret = NULL;
    if (login->last == GSASL_OK) {
        return session_hostile(login->session, "asks for more after the login was complete", why);
    }
    login->last = gsasl_step64(login->sasl, challenge, ret);
    if (login->last != GSASL_OK && login->last != GSASL_NEEDS_MORE) {
        wipe_text(*ret);
        gsasl_free(*ret);
        *ret = NULL;
        return step_failed(login, challenge, why);
    }
    return 0;
}

static int answer(struct login *login, const char *challenge, struct err *why)
{
    char *out = NULL;
    int rc = turn(login, challenge, &out, why);
    if (rc != 0) {
        return rc;
    }
    size_t len = out != NULL ? strlen(out) : 0;
    char *line = g_malloc(len + 3);
    memcpy(line, out != NULL ? out : "", len);
    memcpy(line + len, "\r\n", 3);
    rc = session_write(login->session, line, len + 2, why);
    wipe_text(line);
    g_free(line);
    wipe_text(out);
    gsasl_free(out);
    return rc;
}

static int send_authenticate(struct login *login, bool with_initial, struct err *why)
{
    struct command command;
    char *out = NULL;
    int rc = with_initial ? turn(login, "", &out, why) : 0;
    if (rc != 0) {
        return rc;
    }
    session_begin(login->session, &command);
    reserve_command(&command, (out != NULL ? strlen(out) : 0) + 128);
    command_word(&command, "AUTHENTICATE");
    command_word(&command, login->method->name);
    if (with_initial) {
        command_word(&command, out != NULL && out[0] != '\0' ? out : "=");
    }
    rc = session_launch(login->session, &command, why);
    wipe_command(&command);
    wipe_text(out);
    gsasl_free(out);
    return rc;
}

static int refused(struct session *session, const struct response *tagged, struct err *why)
{
    static const char *const busy[] = {"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "THROTTLED"};
    static const char *const wrong[] = {"AUTHENTICATIONFAILED", "EXPIRED", "AUTHORIZATIONFAILED"};
    const char *text = tagged->text != NULL && tagged->text[0] != '\0' ? tagged->text : "no reason";
    bool later = response_is_throttling(tagged);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        later = later && !token_is(tagged, 0, wrong[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(busy); i++) {
        later = later || token_is(tagged, 0, busy[i]);
    }
    if (later) {
        return session_fail(
            session, err_set(why, ERR_RETRY, EHOSTDOWN, "%s cannot log %s in just now: %.160s",
                         session->server, session->account.user, text));
    }
    return session_fail(
        session, err_set(why, ERR_AUTH, EACCES, "%s refused the login of %s: %.160s",
                     session->server, session->account.user, text));
}

static int talk_sasl(struct login *login, struct err *why)
{
    struct session *session = login->session;
    bool initial = login->method->initial && (session->capabilities & CAP_SASL_IR) != 0;
    bool spoken = initial || !login->method->initial;
    struct response response = {.word = ""};
    session_phase(session);
    int rc = send_authenticate(login, initial, why);
    while (rc == 0) {
        session->continue_awaited = true;
        rc = session_step(session, NULL, &response, why);
        session->continue_awaited = false;
        if (rc == STEP_CONTINUE) {
            /* The first "+" only says "go on": its text is not part of the mechanism. */
            const char *text = spoken && response.text != NULL ? response.text : "";
            CLEANUP(free) char *challenge = g_strdup(text);
            spoken = true;
            rc = answer(login, challenge, why);
        }
    }
    if (rc != STEP_TAGGED) {
        return rc;
    }
    if (!response_is_ok(&response)) {
        return refused(session, &response, why);
    }
    if (login->last != GSASL_OK) {
        return session_hostile(session,
            login->method->mutual ? "could not prove that it knows the password"
                                  : "accepted a login that was not complete",
            why);
    }
    return 0;
}

static int login_sasl(struct session *session, const struct method *method,
    const struct secret *secret, struct err *why)
{
    struct login login = {.session = session, .method = method, .secret = secret};
    int rc = start_sasl(&login, why);
    if (rc == 0) {
        rc = talk_sasl(&login, why);
    }
    login_finish(&login);
    return rc;
}

/* ---- the LOGIN command ---------------------------------------------------------------------- */

static int login_command(struct session *session, const struct secret *secret, struct err *why)
{
    struct command command;
    struct response response = {.word = ""};
    session_begin(session, &command);
    reserve_command(&command, 2 * (strlen(session->account.user) + secret->len) + 256);
    command_word(&command, "LOGIN");
    command_string(&command, session->account.user, strlen(session->account.user));
    command_string(&command, secret->text, secret->len);
    int rc = session_exchange(session, &command, NULL, &response, why);
    wipe_command(&command);
    if (rc != 0) {
        return session_fail(session, rc);
    }
    return response_is_ok(&response) ? 0 : refused(session, &response, why);
}

/* ---- which ---------------------------------------------------------------------------------- */

static bool method_offered(const struct session *session, const struct method *method)
{
    return (session->mechanisms & method->mechanism) != 0 ||
           (method->mechanism == MECHANISM_LOGIN && !session->login_disabled);
}

static const struct method *choose_method(const struct session *session)
{
    for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
        const char *wanted = session->account.auth;
        if ((wanted == NULL || strcasecmp(wanted, methods[i].name) == 0) &&
            method_offered(session, &methods[i])) {
            return &methods[i];
        }
    }
    return NULL;
}

static bool has_line_end(const char *text, size_t len)
{
    return memchr(text, '\0', len) != NULL || memchr(text, '\r', len) != NULL ||
           memchr(text, '\n', len) != NULL;
}

int session_login(struct session *session, struct err *why)
{
    if (!session->trusted ||
        !stream_is_tls(session->stream)) { /* never: the last line of defence */
        return session_fail(
            session, err_set(why, ERR_BUG, EINVAL, "a login was tried without encryption"));
    }
    const struct method *method = choose_method(session);
    if (method == NULL) {
        const char *wanted = session->account.auth;
        return session_fail(session,
            err_set(why, ERR_AUTH, EACCES, "%s offers no way to log in that is usable here (%s)",
                session->server, wanted != NULL ? wanted : "SCRAM, PLAIN or LOGIN"));
    }
    struct secret secret = {NULL, 0};
    int rc = session->account.secret(session->account.secret_arg, &secret, why);
    if (rc != 0) {
        return session_fail(session, rc);
    }
    if (has_line_end(session->account.user, strlen(session->account.user)) ||
        has_line_end(secret.text, secret.len)) {
        rc = session_fail(
            session, err_set(why, ERR_AUTH, EACCES, "the user name or password holds a line end"));
    } else if (method->mechanism == MECHANISM_LOGIN && !session->login_disabled) {
        rc = login_command(session, &secret, why);
    } else {
        rc = login_sasl(session, method, &secret, why);
    }
    if (rc == -EACCES && session->account.secret_refused != NULL) {
        session->account.secret_refused(session->account.secret_arg);
    }
    secret_finish(&secret);
    return rc;
}

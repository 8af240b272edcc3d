#include "session_case.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int give_secret(void *arg, struct secret *ret, struct err *why)
{
    (void)why;
    const char *text = arg != NULL ? arg : PASSWORD;
    ret->len = strlen(text);
    ret->text = strdup(text);
    ck_assert_ptr_nonnull(ret->text);
    return 0;
}

void place_start(struct place *place, const char *const *scripts, size_t count)
{
    *place = (struct place){.why = ERR_INIT};
    ck_assert_int_eq(waker_init(&place->waker), 0);
    place->script = imap_script_start(scripts, count);
    place->account = (struct account){
        .host = "localhost",
        .port = imap_script_port(place->script),
        .security = SECURITY_TLS,
        .user = USER,
        .timeout_ms = 60000,
        .tls = imap_script_tls(place->script),
        .secret = give_secret,
    };
}

int place_try(struct place *place)
{
    return session_open(&place->session, &place->account, &place->waker, &place->why);
}

void place_open(struct place *place, const char *const *script)
{
    place_start(place, script, 1);
    ck_assert_msg(place_try(place) == 0, "%s", place->why.text);
}

void place_examine(struct place *place)
{
    struct mailbox_status status;
    int rc = session_examine(place->session, "box", 3, &status, &place->why);
    ck_assert_msg(rc == 0, "%s", place->why.text);
}

void place_end(struct place *place)
{
    session_destroy(&place->session);
    char *failure = imap_script_stop(&place->script);
    ck_assert_msg(failure == NULL, "%s", failure);
    waker_finish(&place->waker);
}

void place_failed(const struct place *place, int rc, enum err_class class, int errnum)
{
    ck_assert_msg(rc == -errnum && place->why.class == class, "%d, %s: %s", rc,
        err_class_name(place->why.class), place->why.text);
}

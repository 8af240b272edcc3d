#include "app/cred.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "app/command_output.h"
#include "app/netrc.h"
#include "app/prompt.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/lock.h"

enum { SECRET_MAX = 4096, COMMAND_MS = 30000 };

struct cred {
    /* const after create */
    const struct settings *settings;
    char *credential_path; /* systemd's, NULL without */
    char *netrc_path;
    struct lock lock;
    /* guarded by lock */
    char *text;    /* one locked page, SECRET_MAX bytes */
    size_t len;    /* 0: not known */
    bool prompted; /* it came from the terminal, which is not asked again */
};

static char *secret_page(void)
{
    char *page = mmap(NULL, SECRET_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    /* Each is a second fence: a mount without the right to lock memory still works. */
    (void)mlock(page, SECRET_MAX);
    (void)madvise(page, SECRET_MAX, MADV_DONTDUMP);
    (void)madvise(page, SECRET_MAX, MADV_WIPEONFORK);
    return page;
}

int cred_create(struct cred **ret, const struct settings *settings, struct err *why)
{
    struct cred *cred = alloc_zeroed(1, sizeof *cred);
    cred->settings = settings;
    lock_init(&cred->lock, RANK_CRED, "cred");
    const char *directory =
        getenv("CREDENTIALS_DIRECTORY"); /* NOLINT(concurrency-mt-unsafe): before any thread */
    if (directory != NULL && directory[0] == '/') {
        cred->credential_path = g_build_filename(directory, "imapfs-password", NULL);
        if (access(cred->credential_path, F_OK) < 0) {
            g_free(cred->credential_path);
            cred->credential_path = NULL;
        }
    }
    cred->netrc_path = settings->netrc != NULL ? g_strdup(settings->netrc)
                                               : g_build_filename(g_get_home_dir(), ".netrc", NULL);
    cred->text = secret_page();
    if (cred->text == NULL) {
        cred_destroy(&cred);
        return err_set(why, ERR_LOCAL, ENOMEM, "there is no memory for the password");
    }
    *ret = cred;
    return 0;
}

void cred_destroy(struct cred **cred)
{
    struct cred *gone = *cred;
    if (gone == NULL) {
        return;
    }
    *cred = NULL;
    if (gone->text != NULL) {
        explicit_bzero(gone->text, SECRET_MAX);
        (void)munmap(gone->text, SECRET_MAX);
    }
    lock_finish(&gone->lock);
    g_free(gone->credential_path);
    g_free(gone->netrc_path);
    free(gone);
}

/* systemd's file: the whole of it but one final newline. */
static int read_credential(const char *path, struct buf *ret, struct err *why)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[SECRET_MAX];
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text) : -1;
    if (got < 0) {
        return err_set(why, ERR_AUTH, EACCES, "the credential %s cannot be read: %s", path,
            strerrordesc_np(errno));
    }
    size_t len = (size_t)got;
    len -= len > 0 && text[len - 1] == '\n' ? 1 : 0;
    buf_append(ret, text, len);
    explicit_bzero(text, sizeof text);
    return 0;
}

/* Asks the source that needs nobody: 1 and the password, 0 if there is none. */
static int ask_source(const struct cred *cred, struct buf *ret, struct err *why)
{
    const struct settings *settings = cred->settings;
    if (cred->credential_path != NULL) {
        int result = read_credential(cred->credential_path, ret, why);
        return result < 0 ? result : 1;
    }
    if (settings->password_command != NULL) {
        int result =
            command_first_line(settings->password_command, deadline_in(COMMAND_MS), ret, why);
        return result < 0 ? result : 1;
    }
    const struct netrc_wanted wanted = {
        settings->source.host, settings->source.port, settings->source.user};
    int result = netrc_read(cred->netrc_path, &wanted, ret, why);
    if (result == 0 && settings->netrc != NULL) {
        return err_set(why, ERR_AUTH, EACCES, "%s has no entry for machine %s, login %s",
            settings->netrc, wanted.host, wanted.user);
    }
    return result;
}

static int keep_locked(struct cred *cred, const struct buf *text, struct err *why)
    REQUIRES(&cred->lock)
{
    if (text->len == 0 || text->len >= SECRET_MAX || strpbrk(text->data, "\r\n") != NULL ||
        strlen(text->data) != text->len) {
        return err_set(why, ERR_AUTH, EACCES,
            "the password is empty, longer than %d bytes, or has a line end in it", SECRET_MAX - 1);
    }
    memcpy(cred->text, text->data, text->len + 1);
    cred->len = text->len;
    return 0;
}

static void wipe(struct buf *text)
{
    if (text->data != NULL) {
        explicit_bzero(text->data, text->capacity);
    }
    buf_finish(text);
}

int cred_prompt(struct cred *cred, struct err *why)
{
    struct buf text = BUF_INIT;
    int result = ask_source(cred, &text, why);
    bool ask = result == 0;
    if (ask) {
        CLEANUP(free) char *account = source_display(&cred->settings->source);
        result = prompt_password(account, &text, why);
    }
    if (result >= 0) {
        lock_take(&cred->lock);
        result = keep_locked(cred, &text, why);
        cred->prompted = ask;
        lock_release(&cred->lock);
    }
    wipe(&text);
    return result;
}

int cred_secret(void *arg, struct secret *ret, struct err *why)
{
    struct cred *cred = arg;
    struct buf text = BUF_INIT;
    int result = 0;
    lock_take(&cred->lock);
    bool known = cred->len > 0;
    bool prompted = cred->prompted;
    lock_release(&cred->lock);
    if (!known) {
        result =
            prompted ? 0 : ask_source(cred, &text, why); /* may run a command: without the lock */
        if (result == 0) {
            result = err_set(why, ERR_AUTH, EACCES,
                "there is no password any more; unmount and mount again to be asked for it");
        }
    }
    lock_take(&cred->lock);
    if (result > 0 && cred->len == 0) {
        result = keep_locked(cred, &text, why);
    }
    if (result >= 0 && cred->len == 0) { /* refused on another connection meanwhile */
        result = err_set(why, ERR_AUTH, EACCES, "the password was refused");
    }
    if (result >= 0) {
        ret->text = strdup(cred->text);
        ret->len = cred->len;
        result = ret->text != NULL
                     ? 0
                     : err_set(why, ERR_LOCAL, ENOMEM, "there is no memory for the password");
    }
    lock_release(&cred->lock);
    wipe(&text);
    return result;
}

void cred_refused(void *arg)
{
    struct cred *cred = arg;
    lock_take(&cred->lock);
    if (!cred->prompted) {
        explicit_bzero(cred->text, SECRET_MAX);
        cred->len = 0;
    }
    lock_release(&cred->lock);
}

#include "app/mount.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/control.h"
#include "app/report.h"
#include "base/alloc.h"
#include "base/lock.h"
#include "base/waker.h"
#include "engine/engine.h"
#include "fs/fs.h"
#include "imap/pool.h"
#include "store/store.h"

struct mount {
    /* const after create */
    struct mount_options options;
    char *account; /* source_display */
    char *control_path;
    struct tls_context *tls;
    struct store *store;
    struct pool *pool;
    struct engine *engine;
    struct fs *fs;
    struct control *control;
    int signal_fd;
    struct waker served; /* fs_run is over: the signal thread ends */
};

static int open_store(struct mount *mount, struct err *why)
{
    const struct settings *settings = mount->options.settings;
    const struct store_options options = {mount->options.places->state_dir,
        mount->options.places->cache_dir, (uint64_t)settings->cache_size_bytes};
    bool rebuilt = false;
    int result = store_open(&mount->store, &options, &rebuilt, why);
    if (result == 0 && rebuilt) {
        log_line(mount->options.log, LOG_LEVEL_WARNING,
            "the index in %s was corrupted; it was moved aside and is built again from the server",
            options.state_dir);
    }
    return result;
}

static int open_pool(struct mount *mount, struct err *why)
{
    const struct settings *settings = mount->options.settings;
    const struct tls_options tls = {settings->tls_ca, settings->tls_pin};
    int result = tls_context_create(&mount->tls, &tls, why);
    if (result < 0) {
        return result;
    }
    const struct pool_options options = {
        .account = {.host = settings->source.host,
            .port = settings->source.port,
            .security = settings->source.starttls ? SECURITY_STARTTLS : SECURITY_TLS,
            .user = settings->source.user,
            .auth = settings->auth,
            .timeout_ms = settings->timeout_s * 1000,
            .tls = mount->tls,
            .secret = cred_secret,
            .secret_refused = cred_refused,
            .secret_arg = mount->options.cred},
        .connections = (unsigned)settings->connections,
    };
    return pool_create(&mount->pool, &options, why);
}

static int open_engine(struct mount *mount, struct err *why)
{
    const struct settings *settings = mount->options.settings;
    const struct engine_options options = {
        .store = mount->store,
        .pool = mount->pool,
        .log = mount->options.log,
        .max_age_ms = settings->max_age_s * 1000,
        .timeout_ms = settings->timeout_s * 1000,
        .subscribed_only = settings->subscribed,
        .include = (const char *const *)settings->include,
        .exclude = (const char *const *)settings->exclude,
        .root_mailbox = settings->source.mailbox,
    };
    return engine_create(&mount->engine, &options, why);
}

static char *special_text(void *arg, enum special_node node)
{
    struct mount *mount = arg;
    const struct report_facts facts = {mount->engine, mount->account};
    switch (node) {
    case SPECIAL_STATUS:
        return report_status(&facts);
    case SPECIAL_STATUS_JSON:
        return report_status_json(&facts);
    case SPECIAL_ERRORS:
        return report_errors(&facts);
    case SPECIAL_ROOT:
    case SPECIAL_DIR:
        break;
    }
    return NULL;
}

static int open_fs(struct mount *mount, struct err *why)
{
    const struct settings *settings = mount->options.settings;
    const struct fs_options options = {
        .engine = mount->engine,
        .log = mount->options.log,
        .uid = (uid_t)settings->uid,
        .gid = (gid_t)settings->gid,
        .umask = (mode_t)settings->umask,
        .allow_other = settings->allow_other,
        .debug = settings->debug,
        .fsname = mount->account,
        .control_path = mount->control_path,
        .special_text = special_text,
        .special_arg = mount,
    };
    return fs_create(&mount->fs, &options, why);
}

/* From here on a signal is an orderly end; before, when nothing is mounted yet, it simply ends the
 * process. */
static int take_signals(struct mount *mount, struct err *why)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    mount->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    int result = mount->signal_fd < 0 ? -errno : waker_init(&mount->served);
    if (result < 0) {
        return err_set(why, ERR_LOCAL, -result, "the mount cannot listen to signals: %s",
            strerrordesc_np(-result));
    }
    return 0;
}

static int start_engine(struct mount *mount, struct err *why)
{
    return engine_start(mount->engine, why);
}

static int mount_fs(struct mount *mount, struct err *why)
{
    return fs_mount(mount->fs, mount->options.places->mountpoint, why);
}

static int open_control(struct mount *mount, struct err *why)
{
    const struct control_options options = {mount->control_path, mount->engine, mount->pool};
    return control_create(&mount->control, &options, why);
}

int mount_create(struct mount **ret, const struct mount_options *options, struct err *why)
{
    static int (*const STEPS[])(struct mount *, struct err *) = {open_store, open_pool, open_engine,
        open_fs, start_engine, open_control, take_signals, mount_fs};
    struct mount *mount = alloc_zeroed(1, sizeof *mount);
    mount->options = *options;
    mount->signal_fd = -1;
    mount->served.fd = -1;
    mount->account = source_display(&options->settings->source);
    mount->control_path = g_build_filename(options->places->state_dir, "control", NULL);
    int result = 0;
    for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(STEPS); i++) {
        result = STEPS[i](mount, why);
    }
    if (result < 0) {
        mount_destroy(&mount);
        return result;
    }
    *ret = mount;
    return 0;
}

static void *signal_thread(void *arg)
{
    struct mount *mount = arg;
    struct pollfd waited[2] = {
        {.fd = mount->signal_fd, .events = POLLIN}, {.fd = mount->served.fd, .events = POLLIN}};
    while (poll(waited, 2, -1) < 0 && errno == EINTR) {
    }
    if (waited[1].revents == 0) {
        log_line(mount->options.log, LOG_LEVEL_INFO, "a signal ends the mount");
        fs_stop(mount->fs);
    }
    return NULL;
}

int mount_serve(struct mount *mount)
{
    pthread_t thread;
    int result = thread_start(&thread, "signals", signal_thread, mount);
    if (result < 0) {
        return result;
    }
    result = fs_run(mount->fs);
    waker_wake(&mount->served);
    (void)pthread_join(thread, NULL);
    return result;
}

void mount_destroy(struct mount **mount)
{
    struct mount *gone = *mount;
    if (gone == NULL) {
        return;
    }
    *mount = NULL;
    control_destroy(&gone->control);
    engine_destroy(&gone->engine); /* tells fs its news to the last */
    fs_destroy(&gone->fs);
    pool_destroy(&gone->pool);
    store_destroy(&gone->store);
    tls_context_destroy(&gone->tls);
    if (gone->signal_fd >= 0) {
        (void)close(gone->signal_fd);
    }
    if (gone->served.fd >= 0) {
        waker_finish(&gone->served);
    }
    g_free(gone->account);
    g_free(gone->control_path);
    free(gone);
}
